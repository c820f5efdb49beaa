"""Who is on the front, and how sure that is: said only where seeds say it."""

import dataclasses

import pytest

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


@pytest.mark.parametrize("all_guess", [False, True])
def test_what_guesses_is_on_no_front_however_little_it_takes(grid, make_frame, all_guess):
    def alter(one, record):
        idle = all_guess or one["variant"]["stem"] == "scs"
        if record.metric == "accuracy" and record.conditions["T"] == 4 and idle:
            answers = [int(i % 10 == one["seed"]) for i in range(360)]
            return dataclasses.replace(record, value=sum(answers) / 360, samples=answers)
        if record.metric == "events" and not record.scope and one["variant"]["stem"] == "scs":
            return dataclasses.replace(record, value=record.value // 10)
        return record

    (figure,) = Section()(make_frame(grid, alter))
    line = next(one for one in figure.series if one.name == "front")
    shares = {row.cells[0].text: row.cells[-1] for row in figure.data.rows}
    if all_guess:  # nothing to hold against any of them
        assert isinstance(shares["scs"], Number)
        assert "guessing is on no front" not in figure.caption
    else:
        assert min(line.y) > 90
        notes = [figure.data.footnotes[index] for index in shares["scs"].notes]
        assert isinstance(shares["scs"], Absent)
        assert notes == ["No better than guessing, and on no front: what it takes little of is no merit."]
        assert isinstance(shares["sps"], Number)
        assert "What does no better than guessing is on no front." in figure.caption
    assert {one.name.split()[0] for one in figure.series} == {"front", "sps", "scs"}  # all are drawn
