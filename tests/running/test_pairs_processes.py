"""Processes of a side: their answers, their turns, their deaths, and that none outlives what started it. What carries an order
out is a stub of a few lines; all around it is the real thing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from spikebench.core.errors import InputError
from spikebench.core.process import start_of
from spikebench.running.pairs import processes
from spikebench.running.pairs.processes import Member, SideFailedError, abreast, ask, crew, scratch_folder
from spikebench.running.pairs.sides import Side

ROOT = Path(__file__).resolve().parents[2]
STUB = """
import importlib.util, json, os, sys, time
from pathlib import Path

spec = importlib.util.spec_from_file_location("child", {real!r})
child = importlib.util.module_from_spec(spec)
spec.loader.exec_module(child)

def carry_out(file, hand_over):
    order = json.loads(file.read_text())
    def answer(found):
        file.with_suffix(".answer").write_text(json.dumps(found))
{body}

child.carry_out = carry_out
child.main()
"""


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return Side("first", sys.executable, (), tmp_path / "s.yaml", "suite: s", tmp_path / "base")


def stub(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return STUB.format(real=str(ROOT / "spikebench" / "running" / "pairs" / "_child.py"), body=lines)


def child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    """From now on orders are carried out by ``body``, which has ``order``, ``answer`` and ``hand_over``."""
    path = tmp_path / "child.py"
    path.write_text(stub(body))
    monkeypatch.setattr(processes, "CHILD", path)
    monkeypatch.setattr(processes, "IMPORTED", ("json", "no_such_module"))


@pytest.fixture
def members(side: Side, tmp_path: Path) -> Iterator[dict[str, Member]]:
    """Two of them."""
    with crew({"a": side, "b": side}, tmp_path) as found:
        yield found


def test_an_answer_comes_back_with_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, side: Side, members: dict[str, Member]
) -> None:
    child(monkeypatch, tmp_path, "answer({'got': order})")
    got = ask(members["a"], {"task": "timing"}, [tmp_path])["got"]
    assert got == {
        "task": "timing", "abreast": False, "text": "suite: s", "suite": str(side.suite), "folder": str(side.folder),
        "roots": [str(tmp_path)],
    }  # fmt: skip
    assert ask(members["a"], {"task": "again"}, [])["got"]["task"] == "again"


def test_what_the_child_finds_wrong_names_the_side_and_the_suite(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, members: dict[str, Member]
) -> None:
    child(monkeypatch, tmp_path, "answer({'error': 's.yaml:3:1: unknown stem'})")
    with pytest.raises(InputError, match=r"first: .*s.yaml cannot be measured there: s.yaml:3:1: unknown stem"):
        ask(members["a"], {}, [])


@pytest.mark.parametrize(
    ("body", "words"),
    [("sys.exit('no more memory')", "exit code 1 .*: no more memory"), ("os.kill(os.getpid(), 9)", "ended by SIGKILL")],
)
def test_a_process_that_dies_is_told_with_its_last_words_and_the_next_one_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, members: dict[str, Member], body: str, words: str
) -> None:
    child(monkeypatch, tmp_path, f"if order.get('well'):\n    answer({{}})\nelse:\n    {body}")
    with pytest.raises(SideFailedError, match=words):
        ask(members["a"], {}, [])
    assert ask(members["a"], {"well": True}, []) == {}


def test_every_order_gets_an_interpreter_of_its_own_that_has_imported_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, members: dict[str, Member]
) -> None:
    child(monkeypatch, tmp_path, "print('noise')\nanswer([os.getpid(), os.getppid(), 'json' in sys.modules])")
    found = [ask(member, {}, []) for member in (members["a"], members["a"], members["b"])]
    assert len({pid for pid, _, _ in found}) == 3
    assert {parent for _, parent, _ in found} == {os.getpid()}
    assert all(imported for _, _, imported in found)


def test_abreast_one_runs_at_a_time_and_turns_go_round_until_all_have_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, members: dict[str, Member]
) -> None:
    body = """
log = open(order["log"], "a", buffering=1)
for turn in range(order["turns"]):
    hand_over()
    log.write(f"{order['name']}{turn} begins\\n")
    time.sleep(0.01)
    log.write(f"{order['name']}{turn} ends\\n")
answer({"abreast": order["abreast"]})
"""
    child(monkeypatch, tmp_path, body)
    log = tmp_path / "log"
    orders = {"b": {"name": "b", "turns": 9, "log": str(log)}, "a": {"name": "a", "turns": 6, "log": str(log)}}
    abreast(members, orders, [], Random(1))
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [word for _, word in lines] == ["begins", "ends"] * 15
    turns = [name for name, word in lines if word == "begins"]
    assert all(name == other for (name, _), (other, _) in zip(lines[::2], lines[1::2], strict=True))
    rounds = [turns[i : i + 2] for i in range(0, 12, 2)]
    assert [sorted(pair) for pair in rounds] == [[f"a{i}", f"b{i}"] for i in range(6)]
    assert turns[12:] == ["b6", "b7", "b8"]
    assert {pair[0][0] for pair in rounds} == {"a", "b"}, "neither of them always goes first"
    assert all(members[name].answer() == {"abreast": True} for name in orders)


def test_one_that_dies_abreast_does_not_keep_the_other_from_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, members: dict[str, Member]
) -> None:
    child(monkeypatch, tmp_path, "hand_over()\nif order['dies']:\n    os.kill(os.getpid(), 9)\nhand_over()\nanswer({})")
    abreast(members, {"a": {"dies": True}, "b": {"dies": False}}, [], Random(1))
    assert members["b"].answer() == {}
    with pytest.raises(SideFailedError, match="SIGKILL"):
        members["a"].answer()


GATE = """
import sys
from pathlib import Path
from spikebench.running.pairs import processes
from spikebench.running.pairs.sides import Side

with processes.scratch_folder() as scratch:
    processes.CHILD, processes.IMPORTED = Path(sys.argv[1]), ()
    print(scratch, flush=True)
    with processes.crew({"one": Side("x", sys.executable, (), Path("s"), "", scratch / "f")}, scratch) as members:
        processes.ask(members["one"], {}, [])
"""


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_killed_half_way_nothing_is_left(tmp_path: Path, signal_: int) -> None:
    """The process of a side ends with the gate, whatever ended that; folders of the killed are swept by the next gate."""
    stubbed = tmp_path / "child.py"
    stubbed.write_text(stub("print(os.getpid(), flush=True)\ntime.sleep(100)"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    # A background job of a shell ignores Ctrl-C, and so would all that it starts.
    gate = subprocess.Popen(
        [sys.executable, "-c", GATE, str(stubbed)],
        stdout=subprocess.PIPE, text=True, env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert gate.stdout is not None
    scratch = Path(gate.stdout.readline().strip())
    log = scratch / "one.log"
    while not (log.is_file() and log.read_text().endswith("\n")):
        time.sleep(0.02)
        assert gate.poll() is None
    pid = int(log.read_text())
    gate.send_signal(signal_)
    gate.wait(20)
    for _ in range(500):
        if start_of(pid) is None:
            break
        time.sleep(0.02)
    assert start_of(pid) is None
    assert scratch.exists() == (signal_ == signal.SIGKILL)


def test_folders_that_the_killed_left_go_at_the_next_start_and_no_other_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes.tempfile, "gettempdir", lambda: str(tmp_path))
    done = subprocess.run([sys.executable, "-c", "from spikebench.core.process import this_process; print(this_process())"],
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)  # fmt: skip
    dead = tmp_path / f"{processes.PREFIX}{done.stdout.strip()}.1"
    others = [tmp_path / f"{processes.PREFIX}elsewhere-1-1.1", tmp_path / f"{processes.PREFIX}odd", tmp_path / "other"]
    for folder in (dead, *others):
        folder.mkdir()
    with scratch_folder() as mine, scratch_folder() as second:
        assert mine.is_dir()
        assert second.is_dir()
        assert not dead.exists()
        assert all(folder.is_dir() for folder in others)
    assert not mine.exists()
    assert not second.exists()
