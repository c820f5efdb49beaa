"""Whatever happens to one file of a results folder: no verb ends in a traceback, and no finished record of another is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from spikebench import cli
from spikebench.core import metrics, registry
from spikebench.core.errors import SpikebenchError
from spikebench.core.job_files import JobWriter
from spikebench.core.lock import FILE
from spikebench.core.process import host
from spikebench.core.store import ResultsFolder
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import load
from spikebench.reading.model.frame import load_results
from spikebench.running.jobs import rules
from spikebench.running.run.runner import bind, open_run

SUITE = """
suite: clocks
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2}, grid: {T: [1, 2]}}
train: none
measure: [{clock: {hour: 1}}, {clock: {hour: 2}}]
report: {formats: [csv], baseline: {T: 1}}
"""
DRIVEN = ("report", "log.jsonl", FILE, "unfinished")
"""What runs and reports write anew."""

Harm = Callable[[Path], None]


@pytest.fixture(scope="module", autouse=True)
def clock() -> Iterator[None]:
    whole = registry._plugins
    entry = EntryPoint("clock", "tests.damage.clock:Clock", "spikebench.harnesses")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_plugins", lambda group: {"clock": entry} if group == entry.group else whole(group))
        metrics._catalogue.cache_clear()
        yield
    metrics._catalogue.cache_clear()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of every kind; the suite that it is of lies beside it."""
    folder = tmp_path_factory.mktemp("pristine") / "clocks"
    suite = folder.parent / "clocks.yaml"
    suite.write_text(SUITE)
    list(open_run(suite, folder.parent).events())
    (done, *_) = ResultsFolder(folder).job_files()
    left = JobWriter(done.path, done.header, done.records[:1])
    left.close()
    (cell,) = {one["dataset"] for one in ResultsFolder(folder).cells().values()}
    shape = {"channels": 1, "size": 8, "classes": 10}
    split = {"dataset": cell, "split": "train", "samples": 1258, "inputs": shape}
    ResultsFolder(folder).put_facts("datasets", "digits-train", split)
    (folder / "weights" / done.header["cell_id"]).mkdir()
    (folder / "weights" / done.header["cell_id"] / "weights.pt").write_bytes(b"PK weights")
    gone = {"host": host(), "pid": 1, "start": 1, "verb": "spikebench run", "since": 0}
    (folder / FILE).write_text(json.dumps(gone))
    (folder / "log.jsonl").write_text('{"event": "run"}\n')
    return folder


@cache
def suite_at(path: Path) -> Suite:
    return load(path, rules)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part in DRIVEN for part in path.relative_to(folder).parts)
    }


def numbers(folder: Path) -> dict[tuple[str, Any], Any]:
    frame = load_results(folder)
    return {(record.job_id, record.conditions.get("n")): record.value for record in frame.records if record.metric == "ticks"}


numbers_at = cache(numbers)
"""Of a folder that nothing happens to."""

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\x1b[31m", "[/red]", "=1+1", "../../etc/passwd", "\ud800", "<script>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
WHOLE_FILES = [
    *(b"", b"\n", b"[]", b"{}", b"null", b"0", b'"x"', b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5_000, b"NaN", b"\xff\xfe"),
    *(b"- " * 3_000, b"a: &a [*a]", b"suite: clocks\nenergy: {a: 1}\n", b"suite: clocks\nreport: 3\n", b"\x00" * 100, b"PK"),
    *(b'{"schema": 3}\n', b'{"schema": 2, "job_id": "a"}\n{"records": 0}\n', b'{"records": 0}\n' * 3),
]


def replaced(line: bytes, path: list[int], value: Any) -> bytes:
    """The JSON text with one of its values, which ``path`` leads to, replaced."""
    try:
        data = json.loads(line)
    except ValueError:
        return line
    inner, steps = data, list(path)
    while isinstance(inner, (dict, list)) and inner:
        keys = list(inner) if isinstance(inner, dict) else range(len(inner))
        key = keys[steps[0] % len(keys)]
        steps = steps[1:]
        if not steps or not isinstance(inner[key], (dict, list)):
            inner[key] = value
            break
        inner = inner[key]
    return json.dumps(data).encode()


def with_value(lines_path_value: tuple[int, list[int], Any]) -> Harm:
    line, path, value = lines_path_value

    def harm(file: Path) -> None:
        text = file.read_bytes()
        if file.suffix == ".json":
            file.write_bytes(replaced(text, path, value))
            return
        lines = text.split(b"\n")
        lines[line % len(lines)] = replaced(lines[line % len(lines)], path, value)
        file.write_bytes(b"\n".join(lines))

    return harm


def cut(share: float) -> Harm:
    return lambda file: file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])


def flip(share_bit: tuple[float, int]) -> Harm:
    def harm(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[int(share_bit[0] * (len(content) - 1))] ^= 1 << share_bit[1]
        file.write_bytes(bytes(content))

    return harm


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


HARMS = st.one_of(
    st.floats(0, 1).map(cut),
    st.tuples(st.floats(0, 1), st.integers(0, 7)).map(flip),
    st.tuples(st.integers(0, 5), st.lists(st.integers(0, 20), min_size=1, max_size=3), JSON).map(with_value),
    st.sampled_from(WHOLE_FILES).map(lambda content: lambda file: file.write_bytes(content)),
    st.binary(max_size=60).map(lambda content: lambda file: file.write_bytes(content)),
    st.sampled_from([folder_instead, Path.unlink]),
)


def invoke(*words: object) -> int:
    done = CliRunner().invoke(cli.app, [*map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    assert done.exit_code != 70, done.output
    assert "\x1b" not in done.output
    return done.exit_code


def refusal(suite: Suite, folder: Path) -> str:
    """Run the suite into the folder; what a person is told if it, or a job of it, cannot be done."""
    try:
        run = bind(suite, folder)
        list(run.events())
    except SpikebenchError as error:
        return str(error)
    return " ".join(run.failures.values())


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(which=st.integers(0, 1000), harm=HARMS)
def test_one_damaged_file(which: int, harm: Harm, pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    suite = suite_at(pristine.parent / "clocks.yaml")
    folder = tmp_path_factory.mktemp("case") / "clocks"
    shutil.copytree(pristine, folder)
    everything = [path for path in sorted(folder.rglob("*")) if path.is_file() and "report" not in path.parts]
    victim = everything[which % len(everything)]
    whole = numbers_at(pristine)
    harm(victim)
    before = files(folder)
    hurt = victim.relative_to(folder).parts[0] == "jobs" and victim.suffix == ".jsonl"
    others = {key: value for key, value in whole.items() if not (hurt and key[0] == victim.stem.partition("-")[0])}

    code = invoke("report", folder, "--format", "csv", "--out", folder.parent / "report")
    assert code in (0, 2)
    assert invoke("status", folder) == 0
    assert files(folder) == before
    if code == 0:
        found = numbers(folder)
        assert others.items() <= found.items()
    refused = refusal(suite, folder)
    if refused:
        # What stands in the way is named, and nothing was written over it.
        assert victim.name in refused
    else:
        assert not bind(suite, folder).plan.pending
        assert others.items() <= numbers(folder).items()
    after = files(folder)
    name = str(victim.relative_to(folder))
    assert {key: value for key, value in before.items() if key != name}.items() <= after.items()
    shutil.rmtree(folder.parent)
