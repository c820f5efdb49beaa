"""How sure the front is, said only where seeds say it."""

from spikebench.reading.reports.document import Absent, Number
from spikebench.reading.reports.sections.pareto import Section


def test_how_often_each_is_on_the_front_stands_below_the_plot(grid, make_frame):
    (figure,) = Section()(make_frame(grid))
    shares = {" ".join(cell.text for cell in row.cells[:2]): row.cells[-1] for row in figure.data.rows}
    assert all(isinstance(share, Number) for share in shares.values())
    for name, share in shares.items():
        assert f"{name} {100 * share.value:.0f} %" in figure.caption


def test_one_seed_does_not_say_how_sure_the_front_is(make_cell, make_frame):
    cells = [make_cell(0, stem="scs"), *(make_cell(seed) for seed in (0, 1))]
    (figure,) = Section()(make_frame(cells))
    assert all(isinstance(row.cells[-1], Absent) for row in figure.data.rows)
    assert "drawn again" not in figure.caption
    assert any("one seed" in note for note in figure.data.footnotes)
