"""A whole comparison of two commits with real processes, one round of it: each side runs its own code."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import gettempdir

import pytest
from typer.testing import CliRunner

from spikebench import cli
from spikebench.core.console import standard_error
from spikebench.core.errors import InputError
from spikebench.reading.gate.calibration import Calibration
from spikebench.reading.gate.timed import Key, Timed
from spikebench.running.pairs.against import Other
from spikebench.running.pairs.processes import PREFIX, scratch_folder
from spikebench.running.verbs import calibrate, check_pairs
from spikebench.running.verbs.check_pairs import Effort, check_against
from tests import warm

SUITE = """
suite: pulse
dataset: digits
variants: {base: {preset: spikformer-2-64, dim: 16, depth: 1, num_heads: 2, T: 1}}
train: none
measure: ["mine.py:Pulse", "mine.py:Beats"]
check: {pulse: 5%}
"""
MINE = """
from spikebench.core.metrics import Metric
from spikebench.core.records import Record

PULSE = Metric("pulse", "s", "lower", "measured", "Pulse", display_unit="ms", display_factor=1e3, portable=False)
BEATS = Metric("beats", "1", "lower", "counted", "Beats", exact=True)

class Pulse:
    metrics, version, needs_weights, exclusive, resumes = (PULSE,), 1, False, True, False
    def run(self, subject, options):
        yield Record.of(PULSE, {seconds}, samples=[{seconds}] * 3)

class Beats:
    metrics, version, needs_weights, exclusive, resumes = (BEATS,), 1, False, False, False
    def run(self, subject, options):
        yield Record.of(BEATS, {beats})
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three commits: without the suite's own file, with a fast one, with a slow one that beats once more."""
    root = tmp_path / "project"
    root.mkdir()

    def git(*words: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    (root / "readme.txt").write_text("nothing yet")
    for name, seconds, beats in (("nothing", 0.0, 0), ("fast", 0.01, 7), ("slow", 0.012, 8)):
        if seconds:
            (root / "mine.py").write_text(MINE.format(seconds=seconds, beats=beats))
            (root / "pulse.yaml").write_text(SUITE)
        git("add", "-A")
        git("commit", "-qm", name)
        git("tag", name)
    monkeypatch.chdir(root)
    return root


def worktrees(root: Path) -> str:
    words = ["git", "-C", str(root), "worktree", "list", "--porcelain"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_each_side_runs_its_own_code_in_its_own_processes_and_counts_are_judged_exactly(project: Path, tmp_path: Path) -> None:
    before = worktrees(project)
    (project / "readme.txt").write_text("changed")
    gate = check_against(project / "pulse.yaml", Other(ref="fast"), Effort(seconds=0.001, calibrations=tmp_path))
    found = {judgement.address.partition("{")[0]: judgement for judgement in gate.judgements}
    assert (found["pulse"].old, found["pulse"].new) == (0.01, 0.012)
    assert found["pulse"].outcome == "inconclusive"
    assert "the time given was up after 1 rounds" in found["pulse"].message
    assert (found["beats"].outcome, found["beats"].old, found["beats"].new) == ("fail", 7, 8)
    assert gate.exit_code == 1
    notices = " ".join(gate.notices)
    assert "(fast)" in notices
    assert "not committed, and is measured with them: readme.txt" in notices
    assert worktrees(project) == before


def test_killed_half_way_the_repository_and_the_baseline_are_as_they_were_and_nothing_runs_on(
    project: Path, tmp_path: Path
) -> None:
    baseline = project / "results" / "reference" / "kept.json"
    baseline.parent.mkdir(parents=True)
    baseline.write_text("{}")

    def state() -> tuple[str, str, dict[str, float]]:
        words = ["git", "-C", str(project), "status", "--porcelain", "--ignored"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        # Python itself writes __pycache__ beside the suite's own file.
        said = "".join(line for line in said.splitlines(keepends=True) if "__pycache__" not in line)
        inside = [path for path in project.rglob("*") if not {".git", "__pycache__"} & set(path.parts)]
        return worktrees(project), said, {str(path): path.stat().st_mtime for path in inside if path.is_file()}

    before = state()
    mark = f"MARK_OF_A_TEST={tmp_path}"
    environment = {**warm.environment(), "MARK_OF_A_TEST": str(tmp_path)}
    gate = warm.start("check", "pulse.yaml", "--against-ref", "fast", cwd=project, env=environment)
    scratch = f"{PREFIX}*-{gate.pid}-*"
    while not list(Path(gettempdir()).glob(f"{scratch}/*.order")):  # until a process of a side has something to do
        assert gate.poll() is None, gate.communicate()
        time.sleep(0.02)
    assert processes_with(mark) >= 1
    gate.kill()
    gate.wait(20)
    for _ in range(500):
        if not processes_with(mark):
            break
        time.sleep(0.02)
    assert processes_with(mark) == 0
    assert state() == before
    with scratch_folder():  # the next gate sweeps
        assert not list(Path(gettempdir()).glob(scratch))


def processes_with(variable: str) -> int:
    """How many processes of this machine have it in their environment, those that wait to be reaped apart."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found += variable.encode() in path.read_bytes().split(b"\0")
    return found


def test_a_ref_whose_suite_does_not_load_is_one_clear_message(project: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing: .*pulse.yaml cannot be measured there: .*mine.py") as error:
        check_against(project / "pulse.yaml", Other(ref="nothing"), Effort(calibrations=tmp_path))
    assert "Traceback" not in str(error.value)


@pytest.mark.parametrize(("window", "words"), [(0.1, "--window"), (0.0, "--window")])
def test_a_window_that_other_processes_decide_is_refused(window: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Effort(window=window)


def test_a_time_that_is_none_names_the_option() -> None:
    with pytest.raises(InputError, match="--max-time"):
        check_pairs.seconds_of("soon")
    assert check_pairs.seconds_of("2 min") == 120
    assert check_pairs.seconds_of(None) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "compare with what?"),
        (["--against", "results", "--against-ref", "fast"], "compare with one thing?"),
        (["--against-ref", "-fast"], "no name in git begins with -"),
        (["--against-ref", "fats"], "did you mean 'fast'"),
        (["--against-python", "nowhere/python"], "is no program that can be started"),
        (["--against-dir", "nowhere"], "is no folder"),
        (["--against-dir", "."], "is this very project"),
        (["--calibrate", "--max-time", "soon"], "--max-time"),
    ],
)
def test_every_wrong_way_to_ask_is_one_clear_message(project: Path, words: list[str], said: str) -> None:
    done = CliRunner().invoke(cli.app, ["check", "pulse.yaml", *words])
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert len([line for line in done.output.splitlines() if line.startswith("error: ")]) == 1


def test_a_calibration_keeps_every_pair_until_there_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "ENOUGH", 7)
    trace = Calibration.begin(tmp_path / "t.jsonl", {"suite": "s"})
    key, orders = Key(0, "pulse"), []

    def measure(names: Sequence[str], keys: Sequence[Key]) -> Mapping[str, Timed]:
        orders.append(tuple(names))
        return {name: {key: [0.01, 0.02, 0.02]} for name in names}

    calibrate.record(trace, measure, 60.0, standard_error())
    assert trace.medians == {key: [0.02] * 14}
    assert trace.differences == {key: [0.0] * 7}
    assert {orders.count(order) for order in set(orders)} == {3, 4}  # each of the two is first as often as the other
    assert Calibration.read(trace.path).differences == trace.differences
    calibrate.record(trace, lambda names, keys: pytest.fail("there are enough"), 60.0, standard_error())
    late = Calibration.begin(tmp_path / "late.jsonl", {"suite": "s"})
    calibrate.record(late, measure, 0.0, standard_error())
    assert late.seconds == []
