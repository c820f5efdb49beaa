"""Every citation of ``references.md`` leads to a heading of it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
REFERENCES = ROOT / "spikebench" / "references.md"
CITED = re.compile(r"references\.md,? (\d+(?:\.\d+)?b?(?:(?:,| and) \d+(?:\.\d+)?b?)*)")
HEADING = re.compile(r"^#+ (\d+(?:\.\d+)?b?) ", re.M)


def citations() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pattern in ("spikebench/**/*", "tests/**/*.py", "suites/*.yaml", "*.md"):
        for path in ROOT.glob(pattern):
            if path.suffix in (".py", ".md", ".yaml", ".toml", ".csv") and path.is_file():
                for match in CITED.finditer(re.sub(r"\s+(?:#\s*)?", " ", path.read_text(encoding="utf-8"))):
                    for number in re.findall(r"\d+(?:\.\d+)?b?", match[1]):
                        found.setdefault(number, []).append(path.relative_to(ROOT).as_posix())
    return found


def test_every_citation_has_its_heading() -> None:
    headings = set(HEADING.findall(REFERENCES.read_text(encoding="utf-8")))
    cited = citations()
    assert len(cited) > 5
    assert {number: places for number, places in cited.items() if number not in headings} == {}


def test_nothing_is_cited_that_is_not_in_the_repository() -> None:
    """The file once had another name and another place."""
    other = re.compile("REFERENCES" + r" \d")
    assert not [path for path in (ROOT / "spikebench").rglob("*.py") if other.search(path.read_text(encoding="utf-8"))]
