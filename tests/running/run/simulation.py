"""A cluster in virtual time: workers take chains as they become free, nodes fail and come back, chains go on elsewhere."""

from __future__ import annotations

import dataclasses
import heapq
import random
from collections import deque
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Cluster:
    """``checkpoint``: seconds of work between two checkpoints of a training. ``overhead``: the driver's, for each chain.
    ``failure``: mean seconds from one failure of a node to its next; ``repair``: seconds until it is back.
    """

    nodes: int = 1
    workers: int = 1
    checkpoint: float = 600.0
    overhead: float = 0.0
    failure: float = float("inf")
    repair: float = 0.0

    @property
    def width(self) -> int:
        return self.nodes * self.workers


@dataclasses.dataclass(frozen=True)
class Course:
    """``makespan``: seconds. ``ended``: each chain, in the order of their ends. ``retried``: chains that lost their node."""

    makespan: float
    ended: tuple[int, ...]
    retried: int


@dataclasses.dataclass(order=True)
class _Free:
    at: float
    worker: int


def course(seconds: Sequence[float], cluster: Cluster, seed: int = 0) -> Course:
    """Run chains of so many ``seconds`` in this order; one that loses its node is the next to be taken up, where it was saved."""
    rng = random.Random(seed)
    down = [_failures(cluster, rng, 4 * sum(seconds) / cluster.width + 10 * max(seconds)) for _ in range(cluster.nodes)]
    waiting = deque((chain, left) for chain, left in enumerate(seconds))
    free = [_Free(0.0, worker) for worker in range(cluster.width)]
    lost: list[tuple[float, int, float]] = []  # when, which chain, seconds left
    ends: list[tuple[float, int]] = []
    retried = 0
    while waiting or lost:
        now = heapq.heappop(free)
        if lost and lost[0][0] <= now.at:
            _, chain, left = heapq.heappop(lost)
        elif waiting:
            chain, left = waiting.popleft()
        else:  # nothing to do until a node fails
            heapq.heappush(free, _Free(lost[0][0], now.worker))
            continue
        failures = down[now.worker // cluster.workers]
        ready = now.at + cluster.overhead
        outage = next(((at, back) for at, back in failures if back > now.at), None)
        if outage is not None and outage[0] <= now.at:
            # The node is down: its worker is there again when the node is.
            heapq.heappush(free, _Free(outage[1], now.worker))
            heapq.heappush(lost, (now.at, chain, left))
        elif outage is None or ready + left <= outage[0]:
            ends.append((ready + left, chain))
            heapq.heappush(free, _Free(ready + left, now.worker))
        else:
            retried += 1
            done = max(0.0, outage[0] - ready)
            heapq.heappush(lost, (outage[0], chain, left - done // cluster.checkpoint * cluster.checkpoint))
            heapq.heappush(free, _Free(outage[1], now.worker))
    return Course(max(ends)[0], tuple(chain for _, chain in sorted(ends)), retried)


def makespan(seconds: Iterable[float], workers: int) -> float:
    return course(list(seconds), Cluster(workers=workers)).makespan


def _failures(cluster: Cluster, rng: random.Random, until: float) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    now = 0.0
    while cluster.failure < float("inf"):
        now += rng.expovariate(1 / cluster.failure)
        if now > until:
            break
        found.append((now, now + cluster.repair))
        now += cluster.repair
    return found
