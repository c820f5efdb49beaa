"""Every report format: writes any document, loses no word and no number, and fails with one clear error."""

import csv
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from spikebench.core.errors import StorageError
from spikebench.core.registry import REGISTRIES
from spikebench.reading.model.display import Display
from spikebench.reading.reports.document import (
    Absent,
    Column,
    Document,
    Figure,
    Heading,
    Label,
    Number,
    Row,
    Series,
    Table,
    Text,
    Verdict,
)

NAMES = REGISTRIES["formats"].names()
NASTY = 'a|b & <c> "d" 100 % $x_y$ {z} #1 \\ ~^ *e* `f`'
HEADS = (
    Column("name", "name", numeric=False),
    Column("accuracy", "Accuracy", Display("%", 100.0, 2), (0,)),
    Column("verdict", "verdict", numeric=False),
)
TABLE = Table(
    "numbers",
    NASTY,
    HEADS,
    (
        Row((Label(NASTY, (1,)), Number(0.98765, 0.0123, 3, best=True), Verdict("fail", NASTY)), marked=True),
        Row((Label("plain"), Absent((1,)), Verdict("inconclusive", "cannot tell"))),
        Row((Label("negative"), Number(-0.5), Verdict("pass"))),
    ),
    ("what accuracy means", NASTY),
)
SERIES = (Series("front", (1.0, 2.0), (0.1, 0.2)), Series(NASTY, (1.0, 2.0), (0.1, 0.2), (0.01, 0.02)))


def data(key):
    return dataclasses.replace(TABLE, key=f"{key}-data")


FIGURES = (
    Figure("lines", NASTY, "lines", "epoch", NASTY, data("lines"), SERIES),
    Figure("points", "caption", "points", "x", "y", data("points"), SERIES, log_x=True),
    Figure("bars", "caption", "bars", "x", "", data("bars"), (Series("s", (0.0, 1.0), (3.0, 4.0)),), ticks=("a", NASTY)),
    Figure("heat", "caption", "heatmap", "x", "", data("heat"), (), ("t0", "t1"), (NASTY, "b"), ((1.0, None), (0.0, 2.0))),
)
DOCUMENT = Document(
    NASTY, (Heading(NASTY), Text("plain words"), Text(NASTY, "warning"), TABLE, *FIGURES), {"machine": "a CPU & more"}
)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def write(name, folder, document=DOCUMENT):
    return list(REGISTRIES["formats"].get(name)().write(document, folder))


def test_describes_itself(name):
    assert len(REGISTRIES["formats"].describe(name)) > 20


def test_writes_what_it_says_and_the_same_bytes_again(name, tmp_path, capsys):
    one, two = write(name, tmp_path / "one"), write(name, tmp_path / "two")
    printed = capsys.readouterr().out
    assert one or printed
    assert [path.name for path in one] == [path.name for path in two]
    assert sorted(path.name for path in tmp_path.glob("one/*")) == sorted({path.name for path in one})
    for a, b in zip(one, two, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name


def test_no_number_is_lost(name, tmp_path, capsys):
    texts = [path.read_text() for path in write(name, tmp_path) if path.suffix not in (".pdf", ".svg")]
    text = "\n".join([*texts, capsys.readouterr().out])
    if name != "junit":
        assert ("0.98765" if name == "csv" else "98.77") in text
        assert "0.0123" in text if name == "csv" else "1.23" in text
    assert "fail" in text


def test_a_disk_that_refuses_is_one_clear_error(name, tmp_path):
    target = tmp_path / "file"
    target.write_text("in the way")
    if name == "terminal":
        pytest.skip("writes no file")
    with pytest.raises(StorageError):
        write(name, target)


def test_imports_neither_torch_nor_pandas(name, tmp_path):
    code = (
        "import sys; from spikebench.core.registry import REGISTRIES; from pathlib import Path\n"
        "from spikebench.reading.reports.document import *\n"
        "table = Table('t', '', (Column('n', 'n'),), (Row((Verdict('pass'),)),))\n"
        f"REGISTRIES['formats'].get({name!r})().write(Document('d', (table,)), Path({str(tmp_path)!r}))\n"
        "sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


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
    for loads in ("<link", "<script", "src=", "url(http", "@import"):
        assert loads not in text, loads
    ids = [part.split('"')[0] for part in text.split(' id="')[1:]]
    assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)


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
    from spikebench.core.errors import InputError

    with pytest.raises(InputError, match="no"):
        write("junit", tmp_path, Document("d", (Text("nothing"),)))
    assert not list(Path(tmp_path).iterdir())
