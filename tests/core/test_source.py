"""Edited code is other code: committed or not, ours or a plugin's, installed or in place."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path
from typing import Any

import pytest

from spikebench.core import contents
from spikebench.core.cells import Cell
from spikebench.core.choice import Choice
from spikebench.core.contents import digest_of, package_files, plugin_files
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.source import changed, source
from spikebench.core.variant import COMPONENTS, VariantSpec


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "mine.py").write_text("class Attention: ...\n")
    (folder / "deep/table.toml").write_text("a = 1\n")
    return folder


def test_every_edit_counts_and_nothing_else_does(package: Path) -> None:
    before = digest_of(package_files(package))
    assert before == digest_of(reversed(list(package_files(package))))
    for noise in ("__pycache__/mine.pyc", ".mine.py.swp", "mine.py~"):
        (package / noise).parent.mkdir(exist_ok=True)
        (package / noise).write_text("x")
    assert digest_of(package_files(package)) == before
    seen = {before}
    for path, text in (
        ("mine.py", "class Attention: pass\n"),
        ("deep/table.toml", "a = 2\n"),
        ("new.py", ""),
        ("deep/new.csv", ""),
    ):
        (package / path).write_text(text)
        seen.add(digest_of(package_files(package)))
    (package / "new.py").rename(package / "newer.py")
    seen.add(digest_of(package_files(package)))
    assert len(seen) == 6


def test_ours_are_the_files_that_are_loaded() -> None:
    found = dict(package_files(Path(contents.__file__).parents[1]))
    assert found["spikebench/core/contents.py"] == Path(contents.__file__)
    assert "spikebench/networks/presets/spikformer-4-384.yaml" in found


def entry(distribution: PathDistribution | None, value: str) -> EntryPoint:
    found = EntryPoint("mine", value, "spikebench.attentions")
    vars(found).update(dist=distribution)
    return found


def test_an_installed_plugin_is_all_files_of_its_distribution(tmp_path: Path) -> None:
    info = tmp_path / "theirs-0.1.dist-info"
    info.mkdir()
    (tmp_path / "theirs.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("x = 1\n")
    (info / "METADATA").write_text("Name: theirs\nVersion: 0.1\n")
    (info / "RECORD").write_text("theirs.py,,\nhelper.py,,\ntheirs-0.1.dist-info/METADATA,,\n../../bin/theirs,,\n")
    plugin = entry(PathDistribution(info), "theirs:Attention")
    assert {name for name, _ in plugin_files(plugin)} == {"theirs.py", "helper.py"}
    before = digest_of(plugin_files(plugin))
    (tmp_path / "helper.py").write_text("x = 2\n")
    assert digest_of(plugin_files(plugin)) != before


def test_a_plugin_in_place_is_its_package(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(package.parent))
    plugin = entry(None, "theirs.mine:Attention")
    assert {name for name, _ in plugin_files(plugin)} == {"theirs/__init__.py", "theirs/mine.py", "theirs/deep/table.toml"}
    assert "theirs" not in sys.modules
    assert not list(plugin_files(entry(None, "not_there_at_all:Attention")))


BASE: dict[str, Any] = {
    "spikebench": "0.1.0",
    "commit": "a" * 40,
    "dirty": False,
    "python": "3.11",
    "contents": {"spikebench": "1", "theirs": "2"},
    "plugins": {"theirs": "0.1"},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"commit": "b" * 40}, []),
        ({"contents": {"spikebench": "9", "theirs": "2"}, "dirty": True},
         ["spikebench (0.1.0 aaaaaaaa -> 0.1.0 aaaaaaaa with local changes)"]),
        ({"contents": {"spikebench": "1", "theirs": "9"}}, ["theirs (0.1, its files were edited)"]),
        ({"contents": {"spikebench": "1", "theirs": "9"}, "plugins": {"theirs": "0.2"}}, ["theirs (0.1 -> 0.2)"]),
        ({"contents": {"spikebench": "1"}, "plugins": {}}, ["theirs (0.1 -> none)"]),
        ({"python": "3.12"}, ["Python (3.11 -> 3.12)"]),
    ],
)  # fmt: skip
def test_what_changed_is_named(change: dict[str, Any], said: list[str]) -> None:
    assert changed(BASE, {**BASE, **change}) == said


def test_sources_from_before_contents_are_told_apart_by_their_commit() -> None:
    old = {name: value for name, value in BASE.items() if name != "contents"}
    assert changed(old, BASE) == []
    assert changed({**old, "commit": "b" * 40}, BASE) == ["spikebench (0.1.0 bbbbbbbb -> 0.1.0 aaaaaaaa)"]


def test_a_source_says_what_it_hashes() -> None:
    facts = source()
    assert set(facts["contents"]) == {"spikebench", *facts["plugins"]}
    assert all(len(digest) == 16 for digest in facts["contents"].values())


def cell(**variant: Any) -> Cell:
    return Cell(VariantSpec().replace(**variant), Choice("digits"), None, 0)


@pytest.mark.parametrize("field", COMPONENTS)
def test_a_component_that_means_something_else_makes_another_cell(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cell()
    member = REGISTRIES[COMPONENTS[field]].get(getattr(before.variant, field).name)
    monkeypatch.setattr(member, "version", 1, raising=False)
    # Version 1 is what a component without a version is: the ids of before stay.
    assert (cell().cell_id, cell().group_id) == (before.cell_id, before.group_id)
    monkeypatch.setattr(member, "version", 2, raising=False)
    after = cell()
    assert before.cell_id != after.cell_id != cell(T=5).cell_id
    assert after.group_id != before.group_id
    assert after.to_plain()["versions"] == {field: 2}
    assert Cell.from_plain(after.to_plain()).cell_id == after.cell_id
    monkeypatch.setattr(member, "version", "two", raising=False)
    with pytest.raises(InputError, match="its version is 'two'"):
        assert cell().cell_id


def test_ids_are_what_they_were_before_components_had_versions() -> None:
    trained = Cell(
        VariantSpec().replace(attention="softmax", stem="scs", neuron={"name": "lif", "v_threshold": 0.5}),
        Choice("digits"), Choice("train", {"epochs": 3}), 1,
    )  # fmt: skip
    assert (cell().cell_id, cell().group_id) == ("ad1398ca23cb9391", "7beed5706bd8549f")
    assert trained.cell_id == "9afb293d0e7088f7"
    assert "versions" not in cell().to_plain()
