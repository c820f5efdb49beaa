"""Components in files of one's own: found by the file's name, checked like ours, part of the source."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikebench.core import own_files
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.metrics import catalogue
from spikebench.core.own_files import OwnFiles
from spikebench.core.registry import REGISTRIES
from spikebench.core.signatures import options_of
from spikebench.core.source import changed, source
from spikebench.core.suite import Suite, inputs_of
from spikebench.core.suite_reader import load
from spikebench.core.variant import VariantSpec

DATA = '''"""Things of one's own."""
from spikebench import InputSpec

class Blobs:
    """Bright and dark squares."""

    def __init__(self, root: str, samples: int = 8, side: int = 8):
        self.samples, self.inputs = samples, InputSpec(1, side, 2)

    def split(self, name):
        raise NotImplementedError
'''
NET = '''"""A network."""
from helper import WIDTH

def make(inputs, hidden: int = 8, rate=0.5, **others):
    """One layer."""
    return (inputs, hidden, rate)

def timed(inputs, T, hidden: int = WIDTH):
    return (inputs, T, hidden)
'''
SUITE = """suite: own
dataset: {data/blobs.py:Blobs: {root: here}}
variants:
  base: spikformer-2-64
  grid: {family: [spikformer, {name: nets/net.py:make, hidden: 4}, nets/net.py:timed], T: [1, 2]}
"""


@pytest.fixture(autouse=True)
def nothing_in_use() -> Iterator[None]:
    yield
    own_files.use(OwnFiles())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"data/blobs.py": DATA, "nets/net.py": NET, "nets/helper.py": "WIDTH = 3\n", "suite.yaml": SUITE}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


class Rules:
    """Resolves as the networks' own rules do, and asks nothing else."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: []

    @staticmethod
    def resolve(spec: VariantSpec, inputs: Any) -> VariantSpec:
        from spikebench.networks import resolve

        return resolve(spec, inputs)

    @staticmethod
    def settled(stage: Choice, *others: Any) -> Choice:
        return stage


def read(folder: Path, text: str = SUITE) -> Suite:
    (folder / "suite.yaml").write_text(text)
    return load(folder / "suite.yaml", Rules())  # type: ignore[arg-type]


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(folder, text)
    return [str(problem).removeprefix(str(folder) + "/") for problem in caught.value.problems]


def test_a_suite_names_a_data_set_and_networks_by_their_files(folder: Path) -> None:
    suite = read(folder)
    assert inputs_of(suite.dataset).size == 8
    assert [str(variant.family) for variant in suite.variants] == [
        *("spikformer", "spikformer"),
        *("net.py:make(hidden=4)", "net.py:timed", "net.py:timed"),
    ]


def test_equal_networks_are_one_variant_and_fields_that_mean_nothing_are_not_told(folder: Path) -> None:
    made, *timed = read(folder).variants[2:]
    assert made.meant() == {"family": {"name": "net.py:make", "hidden": 4}, "T": 1}
    assert [variant.T for variant in timed] == [1, 2]


def test_modules_beside_a_file_are_its_folders_own_and_as_they_are_now(folder: Path) -> None:
    def width() -> int:
        own_files.use(OwnFiles(named=(folder / "nets" / "net.py",)))
        return int(Choice("net.py:timed").resolve("families").hidden)

    (folder / "other").mkdir()
    (folder / "other" / "helper.py").write_text("WIDTH = 7\n")
    (folder / "other" / "more.py").write_text("from helper import WIDTH\n")
    assert width() == 3
    assert own_files.load(folder / "other" / "more.py").WIDTH == 7
    assert width() == 3
    (folder / "nets" / "helper.py").write_text("WIDTH = 51\n")
    assert width() == 51


def test_ids_do_not_depend_on_where_the_files_lie(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    import shutil

    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for file in ("data/blobs.py", "nets/net.py", "nets/helper.py"):
        shutil.copy(folder / file, elsewhere)
    ids = [cell.cell_id for cell in read(folder).cells]
    moved = SUITE.replace("data/", "").replace("nets/", "")
    assert [cell.cell_id for cell in read(elsewhere, moved).cells] == ids


def test_the_suite_that_is_kept_can_be_read_from_anywhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    import yaml

    suite = read(folder)
    own_files.use(OwnFiles())
    again = read(tmp_path_factory.mktemp("results"), yaml.safe_dump(dict(suite.data), sort_keys=False))
    assert [cell.cell_id for cell in again.cells] == [cell.cell_id for cell in suite.cells]
    assert set(again.own.paths) == set(suite.own.paths)


def test_a_version_makes_new_cells_and_an_edit_another_source(folder: Path) -> None:
    before, was = [cell.cell_id for cell in read(folder).cells], source()
    net = folder / "nets" / "net.py"
    net.write_text(NET + "\n# a remark\n")
    same, now = [cell.cell_id for cell in read(folder).cells], source()
    assert same == before
    assert changed(was, now) == ["net.py (edited)"]
    net.write_text(NET + "\nmake.version = 2\n")
    after = [cell.cell_id for cell in read(folder).cells]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, True, True]
    net.write_text(NET)
    (folder / "nets" / "helper.py").write_text("WIDTH = 5\n")
    read(folder)
    assert changed(was, source()) == ["net.py (edited)"]


def test_sources_without_files_of_ones_own_say_nothing_of_them(folder: Path) -> None:
    without = source()
    read(folder)
    assert source()["source_id"] != without["source_id"]
    own_files.use(OwnFiles())
    assert source() == without


def test_listed_files_offer_what_a_file_of_that_name_would_in_our_folders(folder: Path) -> None:
    (folder / "mine.py").write_text('"""Nothing attends (an example)."""\nclass Attention:\n    def forward(self): ...\n')
    suite = read(folder, "suite: own\ndataset: digits\nplugins: [mine.py]\nvariants: {grid: {attention: [ssa, mine]}}\n")
    assert [variant.attention.name for variant in suite.variants] == ["ssa", "mine"]
    attentions = REGISTRIES["attentions"]
    assert "mine" in attentions.names()
    assert "mine" not in REGISTRIES["stems"]
    assert (attentions.origin("mine"), attentions.describe("mine")) == ("mine.py", "Nothing attends (an example).")
    own_files.use(OwnFiles())
    assert "mine" not in attentions


def test_a_harness_of_ones_own_declares_its_metrics(folder: Path) -> None:
    text = (
        "from spikebench.core.metrics import Metric\n"
        "class Count:\n"
        "    metrics = (Metric('things', '1', None, 'counted', 'Things'),)\n"
        "    version, needs_weights, exclusive, resumes = 1, False, False, False\n"
        "    def run(self, subject, options): ...\n"
    )
    (folder / "count.py").write_text(text)
    suite = read(folder, "suite: own\ndataset: digits\nvariants: {base: spikformer-2-64}\nmeasure: [count.py:Count]\n")
    assert [harness.name for harness in suite.measure] == ["count.py:Count"]
    assert catalogue()["things"].title == "Things"
    own_files.use(OwnFiles())
    assert "things" not in catalogue()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("nets/net.py:make", "nets/gone.py:make"), "suite.yaml:5:32: variants.grid.family[1].name: no such file: "),
        (("net.py:timed", "net.py:tined"), "has no 'tined'; did you mean 'timed'? (known: WIDTH, make, timed)"),
        (("hidden: 4", "hiden: 4"), "net.py:make has no option 'hiden'; did you mean 'hidden'? (known: hidden, rate)"),
        (("hidden: 4", "hidden: four"), "expected a whole number, got 'four'"),
        ((": {root: here}", ""), "dataset"),
        (("dataset: {data/blobs.py:Blobs", "dataset: {data:Blobs"), "unknown data set"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(folder: Path, change: tuple[str, str], expected: str) -> None:
    found = problems(folder, SUITE.replace(*change))
    assert len(found) == 1
    assert expected in found[0]
    assert found[0].startswith("suite.yaml:")


def test_a_field_that_no_network_of_the_suite_takes_is_told(folder: Path) -> None:
    text = SUITE.replace("[spikformer, ", "[").replace("T: [1, 2]", "depth: [1, 2]")
    means_nothing = "means nothing to net.py:make, net.py:timed, whose options are set as family.OPTION"
    assert problems(folder, text) == [f"suite.yaml:5:76: variants.grid.depth: {means_nothing}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = (\n", ":1: is not Python: '(' was never closed"),
        ("import nothing_such\nclass Attention: ...\n", ":1: cannot be imported: ModuleNotFoundError"),
        ("a = 1\n", "mine.py offers no component: expected a class called one of Attention, "),
        ("class Attention: ...\n", "it lacks forward"),
        (
            "from spikebench import InputSpec\nclass Attention:\n    shape = InputSpec(3, (8, 16), 3)\n    def f(self): ...\n",
            "mine.py:3: size: expected a whole number, got (8, 16) (height and width are equal: crop or pad)",
        ),
        ("class Attention: ...\nraise SystemExit\n", "cannot be imported: SystemExit()"),
    ],
)
def test_a_file_that_is_no_use_is_told_with_its_line(folder: Path, text: str, expected: str) -> None:
    (folder / "mine.py").write_text(text)
    suite = "suite: own\ndataset: digits\nplugins: [mine.py]\nvariants: {grid: {attention: [ssa, mine]}}\n"
    assert expected in "\n".join(problems(folder, suite))


def test_names_that_are_taken_are_told(folder: Path) -> None:
    (folder / "ssa.py").write_text("class Attention:\n    def forward(self): ...\n")
    (folder / "nets" / "blobs.py").write_text(DATA)
    text = (
        "suite: own\ndataset: data/blobs.py:Blobs\nplugins: [ssa.py, nets/blobs.py, a.txt]\nvariants: {base: spikformer-2-64}\n"
    )
    taken, other, text_file = problems(folder, text)[:3]
    assert "has the same name, and a component is known by the name of its file: rename one" in taken
    assert "the attention 'ssa' is there already: rename the file, or write ssa.py:Attention where it is used" in other
    assert "expected a Python file (*.py), got 'a.txt'" in text_file
    assert read(folder, "suite: own\ndataset: digits\nplugins: [ssa.py]\nvariants: {grid: {attention: [ssa.py:Attention]}}\n")


def test_options_are_what_a_signature_takes_by_keyword() -> None:
    def make(inputs: Any, width: int, rate: float = 0.5, kind=object(), sizes: tuple[int, ...] = (1,), /, **more):  # type: ignore[no-untyped-def]  # noqa: B008
        ...

    def fine(inputs: Any, rate: float = 0.5, *, width: int, kind=print, names=[], **more):  # type: ignore[no-untyped-def]  # noqa: B006
        ...

    with pytest.raises(InputError, match="width cannot be given by keyword"):
        options_of(make, "make", {"inputs"})
    options = options_of(fine, "fine", {"inputs"})
    fields = {field.name: field for field in dataclasses.fields(options)}
    assert set(fields) == {"rate", "width", "kind", "names"}
    assert fields["width"].default is dataclasses.MISSING
    assert options(width=1) == options(width=1, rate=0.5)


def test_in_python_paths_are_seen_from_the_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import spikebench
    from spikebench.data import load as load_data

    monkeypatch.chdir(folder)
    made = "nn.Sequential(nn.Flatten(), nn.Linear(inputs.size**2, inputs.classes))"
    (folder / "lin.py").write_text(f"from torch import nn\ndef make(inputs, T):\n    return {made}\n")
    data = load_data({"data/blobs.py:Blobs": {"root": "here", "side": 4}})
    model = spikebench.build("lin.py:make", data.inputs, T=3)
    assert (data.inputs.size, model.T, sum(p.numel() for p in model.parameters())) == (4, 3, 4 * 4 * 2 + 2)
    assert {path.name for path in own_files.in_use().paths} == {"blobs.py", "lin.py"}
    with pytest.raises(InputError, match="no such file"):
        spikebench.build("gone.py:make")
