"""Which variants no other one beats, and how sure that is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from spikebench.core.metrics import Metric
from spikebench.reading.model.paired import Paired

Point = tuple[float, float]
"""Cost and gain."""
DRAWS = 500


def front(points: Mapping[str, Point], cost: Metric, gain: Metric) -> set[str]:
    """The names of the points that no other point equals or beats in both, beating it in one."""
    import numpy as np

    names = list(points)
    found = undominated(np.array([points[name] for name in names], dtype=float).reshape(-1, 2), cost, gain)
    return {name for name, on in zip(names, found, strict=True) if on}


def shares(names: Sequence[Hashable], cost: Paired, gain: Paired) -> dict[Hashable, float]:
    """How often each variant is on the front when seeds and test images are drawn again, as a fraction of ``DRAWS``."""
    import numpy as np

    drawn = np.stack([side.draws(names, DRAWS) for side in (cost, gain)], axis=-1)
    on = np.mean([undominated(points, cost.metric, gain.metric) for points in drawn], axis=0)
    return dict(zip(names, on.tolist(), strict=True))


def undominated(points: Any, cost: Metric, gain: Metric) -> Any:
    """(n, 2) of costs and gains -> (n,) of bool. Equal points beat each other in nothing: both or neither are on the front."""
    import numpy as np

    x, y = (points[:, axis] * (1 if metric.direction != "higher" else -1) for axis, metric in enumerate((cost, gain)))
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    before = np.minimum.accumulate(np.concatenate(([np.inf], y)))[:-1]
    on = y < before
    for place in np.flatnonzero((x[1:] == x[:-1]) & (y[1:] == y[:-1])) + 1:
        on[place] = on[place - 1]
    found = np.empty(len(on), dtype=bool)
    found[order] = on
    return found
