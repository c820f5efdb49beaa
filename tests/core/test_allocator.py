"""Memory that is freed stays with the process, until it is given back; page faults and sizes are counted, not times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spikebench.core import allocator
from spikebench.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
GLIBC = pytest.mark.skipif(not allocator.library().startswith("glibc"), reason="another allocator, which is left alone")

HEAD = """
import json, resource, sys
from spikebench.core import allocator
MB = 1 << 20
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
allocator.keep()
"""
AGAIN = """
for _ in range(3):
    before = faults()
    for size in (48, 96, 48):
        block = b"x" * (size * MB)
        del block
print(json.dumps([allocator.setting(), faults() - before]))
"""
LIMITED = """
resource.setrlimit(resource.RLIMIT_AS, (1024 * MB, 1024 * MB))
blocks = []
try:
    while True:
        blocks.append(b"x" * (20 * MB))
except MemoryError:
    most = len(blocks)
blocks.clear()
held = resident()
allocator.trim()
after = resident()
next_one = len(b"x" * (most * 16 * MB)) // MB
print(json.dumps([most * 20, next_one, held // MB, after // MB]))
"""


def answer(program: str, setting: str | None) -> Any:
    environment = {name: value for name, value in os.environ.items() if name != allocator.VARIABLE} | {"PYTHONPATH": str(ROOT)}
    if setting is not None:
        environment[allocator.VARIABLE] = setting
    done = subprocess.run([sys.executable, "-c", HEAD + program], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@GLIBC
def test_what_is_allocated_again_costs_no_page_faults() -> None:
    setting, kept = answer(AGAIN, None)
    assert setting == "kept"
    assert kept < 100
    setting, mapped = answer(AGAIN, "system")
    assert setting == "system"
    assert mapped > 10_000  # 192 MB in pages of 4 kB


@GLIBC
def test_under_a_limit_as_much_fits_as_without_the_setting_and_all_of_it_is_given_back() -> None:
    kept, system = answer(LIMITED, None), answer(LIMITED, "system")
    for most, next_one, _, after in (kept, system):
        assert next_one > 0.75 * most  # a block as large as what many small ones held
        assert after < 100
    assert kept[0] >= system[0] - 40
    assert kept[2] > 500, "freed memory was not kept, so that this test shows nothing"


VARIABLES = """
print(json.dumps(allocator.for_any_version()))
"""
MAPPED_OR_NOT = """
before = faults()
for _ in range(3):
    block = b"x" * (64 * MB)
    del block
print(json.dumps(faults() - before))
"""


@GLIBC
def test_a_version_that_does_not_know_the_setting_gets_it_by_glibcs_own_variables() -> None:
    assert answer(VARIABLES, "system") == {}
    variables = answer(VARIABLES, None)
    bare = HEAD.replace("allocator.keep()", "") + MAPPED_OR_NOT
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", bare],
                env={**os.environ, "PYTHONPATH": str(ROOT), **extra},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for extra in (variables, {})
    ]
    assert found[0] < 0.5 * found[1]  # the first block is new memory either way


def test_an_unknown_word_is_an_error_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(allocator.VARIABLE, "sistem")
    with pytest.raises(InputError, match=r"SPIKEBENCH_MALLOC.*'sistem'.*system"):
        allocator.keep()
