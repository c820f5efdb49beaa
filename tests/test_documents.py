"""What CONTRIBUTING and the READMEs of the rooms say of the tree holds."""

import re
import tomllib
from pathlib import Path

import pytest

from spikebench.core.registry import REGISTRIES

ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROOMS = [path.name for path in (ROOT / "spikebench").iterdir() if (path / "__init__.py").exists() and path.name != "testing"]


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_says_what_lives_there(room: str) -> None:
    text = (ROOT / "spikebench" / room / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {room}\n")
    assert f"`{room}`" in CONTRIBUTING
    for name in re.findall(r"`([\w/]+/)`", text):
        assert (ROOT / "spikebench" / room / name).is_dir(), name


def test_folders_files_and_tests_that_it_names_are_there() -> None:
    rows = [line for line in CONTRIBUTING.splitlines() if line.startswith("|") and "`test_" in line]
    assert len(rows) > 10
    for row in rows:
        for folder in re.findall(r"`((?:networks|kernels|data|harnesses|running|derived|reading)/[\w/]*)", row.split("|")[2]):
            assert (ROOT / "spikebench" / folder).is_dir(), folder
        for test in re.findall(r"`(test_\w+\.py)", row):
            assert (ROOT / "tests" / "contracts" / test).exists(), test


def test_every_kind_of_component_has_a_row() -> None:
    for registry in REGISTRIES.values():
        if registry.name in ("backends", "derivations"):
            continue  # told of under kernels, and in derived's README
        assert f"spikebench.{registry.package}".rpartition(".")[2] in CONTRIBUTING, registry.name


def test_fragments_have_a_known_kind() -> None:
    kinds = {kind["directory"] for kind in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]["type"]}
    for path in (ROOT / ".ci" / "changes").glob("*.md"):
        assert path.name == "README.md" or path.name.split(".")[1] in kinds, path.name


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(targets) > 20
    assert [target for target in targets if not target.startswith("https://") and not (ROOT / target).exists()] == []
