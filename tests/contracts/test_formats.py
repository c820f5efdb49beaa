"""Every report format: writes any document, loses no word and no number, and fails with one clear error."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.reading.model.display import Display
from spikebench.reading.reports.document import Absent, Column, Document, Heading, Label, Number, Row, Table, Text, Verdict
from spikebench.testing import FormatContract
from spikebench.testing._reports import DOCUMENT, FIGURES, NASTY

NAMES = REGISTRIES["formats"].names()
WORDED = [name for name in NAMES if not getattr(REGISTRIES["formats"].get(name), "numbers_only", False)]
"""Formats that write more than numbers."""


@pytest.mark.parametrize("member", NAMES)
class TestFormats(FormatContract):
    @pytest.fixture(autouse=True)
    def _chosen(self, member: str) -> None:
        self.name = member


def write(name, folder, document=DOCUMENT):
    return list(REGISTRIES["formats"].get(name)().write(document, folder))


@pytest.mark.parametrize("name", WORDED)
def test_no_number_is_lost(name, tmp_path, capsys):
    plots = (".pdf",) if name == "picture" else (".pdf", ".svg")
    texts = [path.read_text() for path in write(name, tmp_path) if path.suffix not in plots]
    text = "\n".join([*texts, capsys.readouterr().out])
    if name != "junit":
        assert ("0.98765" if name == "csv" else "98.77") in text
        assert "0.0123" in text if name == "csv" else "1.23" in text
    assert "fail" in text


def test_csv_is_tidy_units_in_the_names_and_no_words_among_numbers(tmp_path):
    columns = (
        Column("variant", "variant", numeric=False),
        Column("energy", "Energy", Display("µJ", 1e6)),
        Column("accuracy:difference", "Δ Accuracy", Display("pp", 100.0, signed=True)),
        Column("saved", "saved", Display("MB", 1e-6)),
        Column("speed", "speed", Display("images/s")),
    )
    rows = (Row((Label("a"), Number(2e-6, 1e-7), Label("baseline"), Number(3e6), Number(7.5))),)
    write("csv", tmp_path, Document("d", (Table("t", "", columns, rows),)))
    (row,) = csv.DictReader((tmp_path / "t.csv").open())
    assert row == {
        "variant": "a",
        "energy [J]": "2e-06",
        "energy:half_width [J]": "1e-07",
        "accuracy:difference": "",
        "accuracy:difference:word": "baseline",
        "saved [B]": "3000000",
        "speed [images/s]": "7.5",
    }


def test_csv_keeps_full_precision_and_reasons(tmp_path):
    path = next(path for path in write("csv", tmp_path) if path.name == "numbers.csv")
    rows = list(csv.DictReader(path.open()))
    assert rows[0]["name"] == NASTY
    assert (rows[0]["accuracy"], rows[0]["accuracy:half_width"], rows[0]["accuracy:n"]) == ("0.98765", "0.0123", "3")
    assert (rows[1]["accuracy"], rows[1]["accuracy:reason"]) == ("", NASTY)
    assert rows[0]["verdict:message"] == NASTY


def test_html_is_self_contained_escaped_and_follows_the_colour_scheme(tmp_path):
    (page,) = write("html", tmp_path)
    text = page.read_text()
    assert "<c>" not in text
    assert "&lt;c&gt;" in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert text.count("<svg") == len(FIGURES)
    assert "currentColor" in text
    for loads in ("<link", "<script ", "src=", "url(http", "@import"):
        assert loads not in text, loads
    ids = [part.split('"')[0] for part in text.split(' id="')[1:]]
    assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)


def test_a_picture_loads_nothing_and_is_xml(tmp_path):
    (path,) = write("picture", tmp_path)
    ElementTree.parse(path)
    for loads in ("url(http", "@font-face", "<image", "<script", "href"):
        assert loads not in path.read_text(), loads


def test_markdown_keeps_one_line_per_row(tmp_path):
    path = next(path for path in write("markdown", tmp_path) if path.suffix == ".md")
    rows = [line for line in path.read_text().splitlines() if line.startswith("| ")]
    widths = {line.replace("\\|", "").count("|") for line in rows}
    assert widths == {4}
    assert any("**98.77 ± 1.23**" in line for line in rows)


def test_latex_has_balanced_braces_and_no_bare_special_character(tmp_path):
    path = next(path for path in write("latex", tmp_path) if path.name == "numbers.tex")
    text = path.read_text()
    bare = text.replace("\\\\", "").replace("\\{", "").replace("\\}", "")
    assert bare.count("{") == bare.count("}")
    for character in "%#":
        assert f"\\{character}" in text
        assert character not in text.replace(f"\\{character}", "")
    assert r"\mathbf{98.77 \pm 1.23}" in text


def test_both_ends_of_an_interval_are_words_among_latex_numbers(tmp_path):
    columns = (Column("accuracy", "Accuracy", Display("%", 100.0, 2)),)
    rows = (Row((Number(0.9457, 0.26, 2, bounds=(0.4737, 1.0)),)),)
    write("latex", tmp_path, Document("d", (Table("t", "", columns, rows),)))
    assert r"$94.57\ (47.37\mbox{ to }100.00)$" in (tmp_path / "t.tex").read_text()


def test_a_wide_latex_table_is_cut_into_parts_that_name_their_rows_and_a_long_one_breaks_over_pages(tmp_path):
    columns = (Column("variant", "variant", numeric=False), *(Column(f"m{i}", f"Metric {i}", Display("ms")) for i in range(30)))
    rows = tuple(Row((Label(f"variant-{r}"), *(Number(r * 1000 + i, 0.5) for i in range(30)))) for r in range(50))
    write("latex", tmp_path, Document("d", (Table("t", "", columns, rows),)))
    text = (tmp_path / "t.tex").read_text()
    parts = text.count(r"\begin{longtable}")
    assert parts > 1
    assert text.count(r"\endhead") == parts
    assert text.count("variant-7 &") == parts
    assert all(text.count(f"{{,}}{i:03d}.000") >= 1 for i in range(30))


def test_terminal_bands_never_pass_the_width(tmp_path):
    from io import StringIO

    from rich.console import Console

    from spikebench.reading.reports.formats.terminal import show

    columns = (Column("variant", "variant", numeric=False), *(Column(f"m{i}", f"Metric {i}", Display("ms")) for i in range(12)))
    rows = tuple(Row((Label(f"variant-{r}"), *(Number(r * 1000 + i, 0.5) for i in range(12)))) for r in range(3))
    for width in (40, 80, 140):
        stream = StringIO()
        show(Document("d", (Table("t", "", columns, rows),)), Console(file=stream, width=width))
        text = stream.getvalue()
        assert max(map(len, text.splitlines())) <= width
        for i in range(12):
            assert f"{2000 + i:,}.000 ± 0.500" in text
        assert text.count("variant-2") == {40: 12, 80: 4, 140: 2}[width]


def test_a_terminal_without_unicode_gets_ascii(tmp_path):
    from io import BytesIO, TextIOWrapper

    from rich.console import Console

    from spikebench.reading.reports.formats.terminal import show

    raw = BytesIO()
    show(DOCUMENT, Console(file=TextIOWrapper(raw, encoding="ascii"), width=100))


def test_junit_refuses_a_document_without_verdicts(tmp_path):
    with pytest.raises(InputError, match="no"):
        write("junit", tmp_path, Document("d", (Text("nothing"),)))
    assert not list(Path(tmp_path).iterdir())


@pytest.mark.parametrize("name", WORDED)
def test_no_escape_reaches_a_terminal_or_a_file(name, tmp_path, capsys):
    evil = "\x1b[31mred\x1b]0;title\x07\u202e"
    table = Table(
        "t",
        evil,
        (Column("a", evil, numeric=False), Column("b", "b")),
        (Row((Label(evil), Absent((0,)))), Row((Label("x"), Verdict("fail", evil, evil)))),
        (evil,),
    )
    write(name, tmp_path, Document(evil, (Heading(evil), Text(evil), table), {"machine": evil}))
    written = capsys.readouterr().out + "".join(
        path.read_text() for path in tmp_path.rglob("*") if path.suffix != ".pdf" and path.is_file()
    )
    assert "red" in written
    assert not set(written) & {"\x1b", "\x07", "\u202e"}


def numbers():
    """A row of one variant: an accuracy with an interval, an energy without, a difference and a metric that nobody declares."""
    columns = (
        Column("stem", "stem", numeric=False),
        Column("accuracy", "Accuracy", Display("%", 100.0)),
        Column("accuracy:difference", "difference", Display("pp", 100.0)),
        Column("energy{profile=p}", "Energy", Display("µJ", 1e6)),
        Column("latency{batch_size=1}", "Latency", Display("ms", 1e3)),
        Column("seeds", "n"),
    )
    cells = (Label("sps \x1b[31m" + NASTY), Number(0.9, 0.0123), Number(0.1), Number(2e-6), Absent(), Number(3))
    return Document("d", (Table("t", "", columns, (Row(cells),)),), {"machine": "a CPU"})


def test_benchers_format_has_bounds_where_there_is_an_interval(tmp_path):
    (path,) = write("bmf", tmp_path, numbers())
    (benchmark, measures) = next(iter(json.loads(path.read_text()).items()))
    assert benchmark == "sps " + NASTY
    assert measures == {
        "accuracy": {"value": 0.9, "lower_value": pytest.approx(0.8877), "upper_value": pytest.approx(0.9123)},
        "energy{profile=p}": {"value": 2e-6},
    }


def test_services_are_given_the_ends_of_an_interval_that_is_no_middle(tmp_path):
    columns = (Column("variant", "variant", numeric=False), Column("accuracy", "Accuracy", Display("%", 100.0, 2)))
    rows = (Row((Label("sps"), Number(0.9457, 0.26315, 2, bounds=(0.4737, 1.0)))),)
    document = Document("d", (Table("t", "", columns, rows),))
    (bmf,) = write("bmf", tmp_path, document)
    (measures,) = json.loads(bmf.read_text()).values()
    assert measures == {"accuracy": {"value": 0.9457, "lower_value": 0.4737, "upper_value": 1.0}}
    (bigger,) = (json.loads(path.read_text()) for path in write("github_action_benchmark", tmp_path, document))
    assert bigger[0]["range"] == "0.4737 to 1"


def test_github_action_benchmark_has_a_list_for_each_direction(tmp_path):
    bigger, smaller = (json.loads(path.read_text()) for path in write("github_action_benchmark", tmp_path, numbers()))
    assert bigger == [
        {"name": f"sps {NASTY} accuracy", "unit": "1", "value": 0.9, "range": "± 0.0123", "extra": "machine: a CPU"}
    ]
    assert smaller == [{"name": f"sps {NASTY} energy{{profile=p}}", "unit": "J", "value": 2e-6, "extra": "machine: a CPU"}]


@pytest.mark.parametrize("name", ["bmf", "github_action_benchmark"])
def test_services_that_take_numbers_refuse_a_document_of_words(name, tmp_path):
    with pytest.raises(InputError, match="numbers alone"):
        write(name, tmp_path, Document("d", (Text("nothing"),)))
    assert not list(tmp_path.iterdir())
