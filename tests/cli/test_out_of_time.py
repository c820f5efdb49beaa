"""A batch system ends a run with SIGTERM, ``--max-time`` before that: the step in hand is waited for, and nothing is lost."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import torch

from spikebench.core.errors import InputError
from spikebench.running.verbs.run import run_suite
from tests.cli.conftest import TINY
from tests.cli.test_interrupted import start

LONG = TINY.replace("epochs: 3", "epochs: 100000").replace("[ssa, softmax]", "[ssa]").replace("batch_size: 256", "batch_size: 32")


def checkpoint_in(folder: Path) -> Path | None:
    return next(folder.glob("results/tiny/weights/*/checkpoint-*.pt"), None)


def test_sigterm_reaches_the_workers_and_leaves_the_middle_of_an_epoch(tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text(f"{LONG}launcher: {{processes: {{workers: 1}}}}\n")
    running = start(suite, "results", tmp_path)
    patience = time.monotonic() + 120
    while checkpoint_in(tmp_path) is None and running.poll() is None and time.monotonic() < patience:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "the same command goes on from there" in said
    kept = torch.load(checkpoint_in(tmp_path), weights_only=True)
    assert kept["progress"] is None or 0 < kept["progress"]["step"] < 40
    assert kept["history"]


def test_a_run_that_has_so_much_time_takes_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text(LONG)
    before = signal.getsignal(signal.SIGTERM)
    for limit in ("2 s", "20 s", "120 s"):  # more on a machine that has much else to do
        with pytest.raises(KeyboardInterrupt):
            run_suite(suite, tmp_path / "results", False, limit)
        if checkpoint_in(tmp_path):
            break
    assert checkpoint_in(tmp_path)
    assert "the time is up (--max-time); what is finished is kept" in capsys.readouterr().err.replace("\n", " ")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_limit_without_a_unit_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--max-time: expected .*min, h; got no unit in '8'"):
        run_suite(tmp_path / "none.yaml", tmp_path, False, "8")
