"""Machine and source fingerprints."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spikebench.core.machine import machine
from spikebench.core.source import source


def test_the_number_of_threads_is_another_machine_and_the_hour_is_not() -> None:
    assert machine(1)["machine_id"] != machine(2)["machine_id"]
    program = "from spikebench.core.machine import machine; print(machine(1)['machine_id'])"
    ids = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(ids) == 1


def test_no_load_clock_or_path_is_identity() -> None:
    facts = machine(1)
    assert facts.keys() == {
        *("machine_id", "schema", "cpu", "instructions", "cores", "architecture", "system", "threads"),
        *("torch", "triton", "numba", "gpus", "cuda", "malloc"),
    } | ({"tf32"} if facts["gpus"] else set())


def test_a_source_names_version_and_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = source()
    assert facts["spikebench"]
    assert facts["commit"] is None or len(facts["commit"]) == 40
    assert facts["dirty"] in (True, False)
    assert set(facts["contents"]) == {"spikebench", *facts["plugins"]}
