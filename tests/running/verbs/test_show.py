"""Tables of the terminal: whole in a pipe, cut to a window, and sums that are sums."""

from __future__ import annotations

import pytest

from spikebench.running.verbs import show
from spikebench.running.verbs._aligned import aligned

ROWS = [("layer", "operation", "number"), ("blocks.0.attention.query.convolution", "conv1d", "1,234"), ("head", "linear", "5")]


def test_a_pipe_gets_all_of_it_and_a_window_what_fits():
    whole = aligned(ROWS, [False, False, True])
    assert ROWS[1][0] in whole[1]
    cut = aligned(ROWS, [False, False, True], 40)
    assert max(map(len, cut)) <= 40
    assert "1,234" in cut[1]
    assert cut[1].startswith("blocks.")
    assert "volution" in cut[1]  # both ends of a path tell layers apart
    assert "…" in cut[1]
    assert "…" not in cut[2]


def test_numbers_are_never_cut_even_where_nothing_fits():
    assert "1,234" in aligned(ROWS, [False, False, True], 10)[1]


@pytest.fixture(scope="module")
def shown():
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("rich.console.Console.out", lambda self, text, **_: lines.extend(text.splitlines()))
        show.show_variant("spikformer-2-64", "digits", [], cross_check=False)
    return lines


def test_the_columns_of_a_network_add_up(shown):
    head, *layers, whole = shown
    for name in ("parameters", "MACs (dense)", "SOPs (events)"):
        end = head.index(name) + len(name)
        # A number ends where its column does; a line without one is shorter, or blank there.
        cells = [line[:end].split()[-1] if line[end - 1 : end].strip() else "0" for line in [*layers, whole]]
        numbers = [int(cell.replace(",", "")) for cell in cells]
        assert sum(numbers[:-1]) == numbers[-1] > 0, name
    assert whole.startswith("whole network")
    assert any(line.startswith("norms, neurons and others") for line in layers)


OWN = (
    "from torch import nn\ndef make(inputs{}, width=4):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, inputs.classes))\n"
)


@pytest.mark.parametrize(
    ("takes", "changes", "said"),
    [
        ("", [], "T = 1 (its function takes no T)"),
        (", T", [], "T = 4 (as in a suite that gives none; --set T=2 gives another)"),
        (", T", ["T=2"], "T = 2"),
    ],
)
def test_the_steps_of_an_own_network_say_where_they_are_from(takes, changes, said, tmp_path, monkeypatch, capsys):
    (tmp_path / "own.py").write_text(OWN.format(takes))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    show.show_variant("own.py:make", "digits", changes, cross_check=False)
    assert capsys.readouterr().out.splitlines()[0].endswith(f"650 parameters, {said}")
