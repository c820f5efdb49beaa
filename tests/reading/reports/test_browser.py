"""A report of 200 variants in a real browser, and reports through LaTeX; without them the tests skip and say so."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from spikebench.reading.model.frame import load_results
from spikebench.reading.reports import report
from spikebench.reading.reports.formats import html, latex
from spikebench.testing._reports import DOCUMENT
from tests.benchmarks.scale import fill, records_of, suite

CHROMIUM, PDFLATEX = shutil.which("chromium"), shutil.which("pdflatex")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
needs_latex = pytest.mark.skipif(PDFLATEX is None, reason="no pdflatex here: apt-get install texlive-latex-recommended")
GRID = {
    "T": [1, 2, 3, 4],
    "attention": ["ssa", "softmax", "sdsa", "relu", "identity"],
    "stem": ["sps", "scs"],
    "mlp_ratio": [1.0, 2.0, 3.0, 4.0, 5.0],
}

DRIVE = """
<script>
const table = document.getElementById("comparison");
const rows = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
const column = (name) => [...table.tHead.rows[0].cells].findIndex((head) => head.textContent.startsWith(name));
const place = (name) => rows().map((row) => row.cells[column(name)].textContent);
const values = (name) => place(name).map(parseFloat);
const found = { rows: rows().length, before: values("Accuracy") };
const head = table.tHead.rows[0].cells[column("Accuracy")].querySelector("button");
head.click(); found.ascending = values("Accuracy");
head.click(); found.descending = values("Accuracy"); found.sort = table.tHead.rows[0].cells[column("Accuracy")].ariaSort;
head.click(); found.again = values("Accuracy");
const tools = table.parentElement.previousElementSibling;
const input = tools.querySelector("input[type=search]");
const type = (text) => {
  input.value = text; input.dispatchEvent(new Event("input"));
  return rows().map((row) => row.textContent);
};
found.filtered = type("T=4 softmax"); found.said = tools.querySelector("[role=status]").textContent;
found.numeric = (type("accuracy>91"), values("Accuracy"));
found.nothing = type("no such word").length; type("");
const boxes = [...tools.querySelectorAll("input[type=checkbox]")];
boxes[column("SOPs")].click();
found.hidden = getComputedStyle(table.rows[5].cells[column("SOPs")]).display;
const style = (cell) => getComputedStyle(cell);
found.stuck = [style(table.tHead.rows[0].cells[0]).position, style(table.rows[3].cells[0]).left];
const print = [...document.styleSheets[0].cssRules].filter((rule) => rule.conditionText === "print");
const gone = print.flatMap((rule) => [...rule.cssRules]).filter((rule) => rule.style.display === "none");
found.printed = [print.length, gone.some((rule) => table.querySelector("th button").matches(rule.selectorText))];
found.links = [...document.querySelectorAll("nav a")].every((link) => document.querySelector(link.getAttribute("href")));
document.body.innerHTML = "";
document.body.append(Object.assign(document.createElement("pre"), { id: "found", textContent: JSON.stringify(found) }));
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """200 variants with 3 seeds and all metrics: 190,000 records."""
    folder = tmp_path_factory.mktemp("many")
    measure = ["accuracy", {"activity": {"samples": 64}}, {"memory": {"batch_sizes": [8]}}]
    baseline = {"T": 4, "attention": "ssa", "stem": "sps", "mlp_ratio": 4.0}
    path = suite(folder, GRID, 3, measure=measure, train={"epochs": 10}, report={"baseline": baseline})
    done = fill(path, folder / "results", {name: records_of(name) for name in ("train", "accuracy", "activity", "memory")})
    return html.text(report.document(load_results(done)))


def opened(page: str, folder: Path) -> tuple[str, list[str]]:
    """The page's source after its scripts have run, and what they wrote to the console."""
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
               f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000", path.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def driven(page: str, folder: Path) -> tuple[dict, list[str]]:
    source, console = opened(page.replace("</body>", f"{DRIVE}</body>"), folder)
    text = source.partition('<pre id="found">')[2].partition("</pre>")[0]
    return json.loads(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")), console


@needs_browser
def test_two_hundred_variants_sort_and_filter_without_a_word_on_the_console(page: str, tmp_path: Path) -> None:
    assert len(page.encode()) < 2e6
    found, console = driven(page, tmp_path)
    assert console == []
    assert found["rows"] == 200
    assert found["ascending"] == sorted(found["before"])
    assert found["descending"] == sorted(found["before"], reverse=True)
    assert found["sort"] == "descending"
    assert found["again"] == found["before"]  # the order of the suite
    assert len(found["filtered"]) == 10
    assert all("softmax" in row for row in found["filtered"])
    assert found["said"] == "10 of 200 rows"
    assert found["numeric"] == [value for value in found["before"] if value > 91]
    assert found["nothing"] == 0
    assert found["hidden"] == "none"
    assert found["stuck"] == ["sticky", "0px"]
    assert found["links"]
    assert found["printed"] == [1, False]  # the words of a head are in its button


@needs_browser
def test_the_console_is_heard(tmp_path: Path) -> None:
    """The test above would hear an error."""
    _, console = opened("<!doctype html><title>t</title><script>throw new Error('heard')</script>", tmp_path)
    assert any("heard" in line for line in console)


@needs_browser
def test_nasty_names_are_harmless_to_the_script(tmp_path: Path) -> None:
    source, console = opened(html.text(DOCUMENT), tmp_path)
    assert console == []
    assert source.count('class="sort"') > 0


def test_without_its_script_the_page_has_every_row(page: str) -> None:
    body = page.partition('<table id="comparison"')[2].partition("</table>")[0]
    assert body.count("<tr") == 201


@needs_latex
def test_latex_makes_a_pdf_of_any_document_without_clipping(tmp_path: Path) -> None:
    latex.Format().write(DOCUMENT, tmp_path)
    text, log = compiled(tmp_path)
    assert text.startswith(b"%PDF")
    assert not [line for line in log.splitlines() if line.startswith("!")]


@needs_latex
def test_latex_breaks_two_hundred_rows_over_pages_and_cuts_wide_tables(tmp_path: Path, wide_and_long: object) -> None:
    latex.Format().write(wide_and_long, tmp_path)  # type: ignore[arg-type]
    _, log = compiled(tmp_path)
    over = [float(part.partition("pt")[0]) for part in log.split("Overfull \\hbox (")[1:]]
    assert not [points for points in over if points > 5], "a table is wider than the page"
    pages = int(log.partition("Output written on report.pdf (")[2].split()[0])
    assert pages > 4


@pytest.fixture
def wide_and_long() -> object:
    from spikebench.reading.model.display import Display
    from spikebench.reading.reports.document import Column, Document, Label, Number, Row, Table

    columns = (Column("variant", "variant", numeric=False), *(Column(f"m{i}", f"Metric {i}", Display("ms")) for i in range(16)))
    rows = tuple(Row((Label(f"sps ssa T={r}"), *(Number(r * 1000.0 + i, 0.5) for i in range(16)))) for r in range(200))
    words = Table("words", "", (Column("a", "a", numeric=False),), (Row((Label("many words " * 60),)),))
    return Document("long", (Table("t", "", columns, rows), words))


def compiled(folder: Path) -> tuple[bytes, str]:
    """Twice, as a longtable asks for."""
    for _ in range(2):
        command = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False, errors="replace")
        assert done.returncode == 0, done.stdout[-1500:]
    return (folder / "report.pdf").read_bytes(), (folder / "report.log").read_text(errors="replace")
