"""Which workers a Ray cluster's nodes have room for."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from spikebench.core.errors import InputError
from spikebench.core.protocols import Care
from spikebench.running.jobs.events import Where
from spikebench.running.launchers._ray_messages import Terms

Node = Mapping[str, Any]
"""As ``ray.nodes()`` has it."""


@dataclasses.dataclass(frozen=True)
class Post:
    """A worker's place: a node, and what is set aside there for it."""

    node_id: str
    where: Where
    cpus: float
    gpus: float

    @property
    def key(self) -> tuple[str, str]:
        return self.node_id, self.where.worker

    def actor(self, station: type) -> Any:
        """The class of the worker, as Ray starts it there and nowhere else. Several of its methods run at a time."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        where = NodeAffinitySchedulingStrategy(self.node_id, soft=False)
        options = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_concurrency": 4, "max_restarts": 0, "max_task_retries": 0}
        return ray.remote(station).options(scheduling_strategy=where, **options)


def names_of(nodes: Sequence[Node]) -> dict[str, Node]:
    """Host names, with the beginning of Ray's own id where several nodes are of one host."""
    hosts = Counter(node["NodeManagerHostname"] for node in nodes)
    named = {
        node["NodeManagerHostname"] + (f"-{node['NodeID'][:6]}" if hosts[node["NodeManagerHostname"]] > 1 else ""): node
        for node in nodes
    }
    return dict(sorted(named.items()))


def posts(nodes: Mapping[str, Node], terms: Terms) -> list[Post]:
    """As many as there is room for, one of each node after the other; one a node where jobs are exclusive.

    Raises InputError saying what there is, if no node has room for any.
    """
    rooms = [_of_node(name, node, terms) for name, node in nodes.items()]
    found = [room[index] for index in range(max(map(len, rooms), default=0)) for room in rooms if index < len(room)]
    if not found:
        wanted = _count(terms.care.devices, "GPU") if terms.care.device == "cuda" else _count(terms.threads, "CPU core")
        there = "; ".join(f"{name} has {_has(node, 'CPU'):g} CPU, {_has(node, 'GPU'):g} GPU" for name, node in nodes.items())
        raise InputError(f"no node of the Ray cluster has {wanted} for a job: {there or 'it has no nodes'}")
    return found[: terms.workers]


def _of_node(name: str, node: Node, terms: Terms) -> list[Post]:
    care, cpus, gpus = terms.care, _has(node, "CPU"), _has(node, "GPU")
    on_gpu = care.device == "cuda"
    count = int(gpus // care.devices) if on_gpu else int(cpus // terms.threads)
    if care.exclusive and count:
        return [Post(node["NodeID"], Where(name, "1"), cpus, gpus if on_gpu else 0)]
    share = min(terms.threads, cpus / count) if count else 0
    return [Post(node["NodeID"], Where(name, str(index + 1)), int(share), _gpus(care)) for index in range(count)]


def _gpus(care: Care) -> int:
    return care.devices if care.device == "cuda" else 0


def _has(node: Node, resource: str) -> float:
    return float(node["Resources"].get(resource, 0))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
