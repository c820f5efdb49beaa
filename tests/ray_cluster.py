"""A Ray cluster of two nodes on this machine, shared by all tests of a session that need one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = {
    "RAY_worker_niceness": "0",  # a busy machine would starve workers of Ray's own niceness, 15
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Work of tests is imported where it runs; spikebench is not taken from here, but from what was sent along.
    "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
}


class TwoNodes:
    """``address``; ``lose`` a node that is not the head, and ``mend`` what is lost. ``name``: what spikebench calls its node."""

    def __init__(self, port: int | None = None, nodes: int = 2) -> None:
        self._port = port
        for name, value in ENVIRONMENT.items():
            os.environ[name] = value
        self.start()
        self._count = nodes
        self.mend()

    def start(self) -> None:
        from ray.cluster_utils import Cluster

        arguments: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
        if self._port is not None:
            arguments["gcs_server_port"] = self._port
        self.cluster = Cluster(initialize_head=True, head_node_args=arguments)
        self.address: str = self.cluster.address

    @property
    def others(self) -> list[Any]:
        return [*self.cluster.worker_nodes]

    def mend(self) -> None:
        while len(self.others) < self._count - 1:
            self.cluster.add_node(num_cpus=1, object_store_memory=80 << 20, env_vars={"SECOND_NODE": "yes"})

    def is_head(self, name: str) -> bool:
        return self.cluster.head_node.node_id.startswith(name.rpartition("-")[2])

    def lose(self) -> None:
        """As when the power goes."""
        for node in self.others:
            self.cluster.remove_node(node, allow_graceful=False)

    def stop(self) -> None:
        self.lose()
        if self.cluster.head_node is not None:
            self.cluster.remove_node(self.cluster.head_node, allow_graceful=False)


@contextlib.contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'spikebench[ray]'")
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    cluster = TwoNodes()
    try:
        yield cluster
    finally:
        cluster.stop()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
