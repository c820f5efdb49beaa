"""Which workers a cluster's nodes have room for, and which code may run there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from spikebench.core import source
from spikebench.core.errors import InputError
from spikebench.core.protocols import NO_CARE, Care
from spikebench.running.launchers._ray_code import difference, stage, versions
from spikebench.running.launchers._ray_messages import Terms
from spikebench.running.launchers._ray_posts import names_of, posts


def node(node_id: str, host: str, cpus: float = 0, gpus: float = 0) -> dict[str, Any]:
    return {"NodeID": node_id, "NodeManagerHostname": host, "Resources": {"CPU": cpus, "GPU": gpus}}


NODES = {"a": node("1", "a", 8, 4), "b": node("2", "b", 5), "c": node("3", "c", 0, 1)}


def terms(care: Care = NO_CARE, **changes: Any) -> Terms:
    made = Terms(None, None, care, 2, None, 3, Path(), (None, False), {}, {})
    return dataclasses.replace(made, **changes)


def places(found: list[Any]) -> list[tuple[str, float, float]]:
    return [(str(post.where), post.cpus, post.gpus) for post in found]


def test_a_worker_per_so_many_cores_dealt_over_the_nodes() -> None:
    assert places(posts(NODES, terms())) == [
        ("a/1", 2, 0),
        ("b/1", 2, 0),
        ("a/2", 2, 0),
        ("b/2", 2, 0),
        ("a/3", 2, 0),
        ("a/4", 2, 0),
    ]
    assert places(posts(NODES, terms(workers=2))) == [("a/1", 2, 0), ("b/1", 2, 0)]


def test_a_worker_per_gpu_or_per_as_many_as_a_job_uses() -> None:
    # Node c has no core to give: its GPU is used all the same.
    assert places(posts(NODES, terms(Care(device="cuda")))) == [
        ("a/1", 2, 1),
        ("c/1", 0, 1),
        ("a/2", 2, 1),
        ("a/3", 2, 1),
        ("a/4", 2, 1),
    ]
    assert places(posts(NODES, terms(Care(device="cuda", devices=2)))) == [("a/1", 2, 2), ("a/2", 2, 2)]


def test_exclusive_jobs_have_all_of_a_node() -> None:
    assert places(posts(NODES, terms(Care(exclusive=True)))) == [("a/1", 8, 0), ("b/1", 5, 0)]
    assert places(posts(NODES, terms(Care(device="cuda", exclusive=True)))) == [("a/1", 8, 4), ("c/1", 0, 1)]


def test_what_no_node_has_is_said_with_what_they_have() -> None:
    with pytest.raises(
        InputError, match=r"no node of the Ray cluster has 9 CPU cores for a job: a has 8 CPU, 4 GPU; b has 5 CPU"
    ):
        posts(NODES, terms(threads=9))
    with pytest.raises(InputError, match=r"has 1 GPU for a job: b has 5 CPU, 0 GPU$"):
        posts({"b": NODES["b"]}, terms(Care(device="cuda")))
    with pytest.raises(InputError, match="it has no nodes"):
        posts({}, terms())


def test_nodes_of_one_host_are_told_apart() -> None:
    found = names_of([node("abcdef12", "x"), node("123456ff", "x"), node("9", "y")])
    assert list(found) == ["x-123456", "x-abcdef", "y"]


def test_versions_that_differ_are_named_both_and_other_code_by_what_was_edited() -> None:
    here = (versions(), source.source())
    assert difference(here, here) == ""
    assert difference(({**here[0], "torch": "1.0", "Python": "3.9.1"}, here[1]), here).startswith("Python 3.9.1, not 3.")
    assert f"torch 1.0, not {here[0]['torch']}" in difference(({**here[0], "torch": "1.0"}, here[1]), here)
    edited = {**here[1], "contents": {**here[1]["contents"], "spikebench": "other"}}
    assert difference((here[0], edited), here).startswith("spikebench (")


def test_code_that_is_sent_is_the_same_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever git says there, where there is no checkout."""
    import subprocess
    import sys

    code = stage(tmp_path)
    program = (
        f"from spikebench.core import source; source.sent_from({source.checkout()!r});"
        "import spikebench; print(spikebench.__file__, source.source()['source_id'])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=code, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(code)}
    )
    file, source_id = said.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert source_id == source.source()["source_id"]
