"""What a number means: name, unit, direction, how it is shown. Declared once, beside what emits it."""

from __future__ import annotations

import dataclasses
import math
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Literal

from spikebench.core import own_files
from spikebench.core.errors import InputError, nearest
from spikebench.core.own_files import State
from spikebench.core.registry import REGISTRIES

Direction = Literal["higher", "lower"]
Kind = Literal["measured", "counted", "estimated", "published"]


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """One quantity.

    ``unit``: base SI unit as stored (``s``, ``J``, ``B``, ``1`` for counts and fractions, ``1/s``). ``direction``: which way is
    better, None where neither is. ``display_unit`` and ``display_factor``: stored value x factor is what tables show.
    ``portable``: may be pooled over machines. ``combine``: how layers make the whole (``sum``; ``mean``, weighted by the
    harness; None: they do not). ``exact``: given the same weights, inputs and machine it repeats to the last bit.
    ``tolerance``: relative change that a gate lets pass by default (for fractions such as accuracy: absolute).
    ``headline``: its place among the columns of the first table, smallest first; None: there only where a suite asks for it.
    """

    name: str
    unit: str
    direction: Direction | None
    kind: Kind
    title: str
    symbol: str = ""
    display_unit: str = ""
    display_factor: float = 1.0
    digits: int = 3
    portable: bool = True
    combine: Literal["sum", "mean"] | None = None
    exact: bool = False
    tolerance: float = 0.0
    note: str = ""
    headline: int | None = None

    @property
    def timed(self) -> bool:
        """Whether it depends on how fast the process allocates memory: times and what goes with them."""
        return not self.portable and not self.exact and self.unit != "B"

    @property
    def heading(self) -> str:
        """Title with its display unit, as a table's column head."""
        return f"{self.title} [{self.display_unit}]" if self.display_unit else self.title

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is better than ``b``; False where the metric has no direction."""
        return (self.direction == "higher" and a > b) or (self.direction == "lower" and a < b)


VALUE_FREE = frozenset(
    {
        *("parameters", "parameter_bytes", "saved_bytes", "neurons", "membrane_updates", "time_steps", "learning_rate"),
        *("dense_macs", "dense_macs_inside", "input_elements", "output_elements", "weight_elements"),
    }
)
"""Exact metrics that shapes and options alone decide: the same on every machine, split and sample, to the last digit."""


def catalogue() -> Mapping[str, Metric]:
    """Every metric that any harness or derivation declares, by name, those in a suite's own files too. Imports those modules, but
    no torch. After them those that results folders declare of code that is not here, see ``learn``.

    Raises InputError if two declare the same name with different meanings.
    """
    return ChainMap(_catalogue(own_files.state()), _learned)


@cache
def _catalogue(own: State) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for registry in ("harnesses", "derivations"):
        for member in [*REGISTRIES[registry], *(_named() if registry == "harnesses" else [])]:
            for metric in REGISTRIES[registry].get(member).metrics:
                if found.setdefault(metric.name, metric) != metric:
                    raise InputError(f"metric {metric.name!r} is declared twice with different meanings, once by {member!r}")
    return found


def _named() -> Iterator[str]:
    """The harnesses of own files that a suite names one by one."""
    for path in own_files.in_use().named:
        for name in own_files.emitters(path):
            yield f"{path.name}:{name}"


_learned: dict[str, Metric] = {}


def foreign() -> list[dict[str, Any]]:
    """The metrics that harnesses of other packages and of a suite's own files declare, as JSON: who reads the results later need
    not have that code, and must not run it to learn what a number is called.

    A harness that cannot be loaded is left out: who uses it hears why.
    """
    found: dict[str, Metric] = {}
    registry = REGISTRIES["harnesses"]
    for member in [*registry, *_named()]:
        if registry.origin(member) != "spikebench":
            try:
                found |= {metric.name: metric for metric in registry.get(member).metrics}
            except InputError:
                continue
    return [dataclasses.asdict(metric) for metric in found.values()]


def learn(declarations: Iterable[Mapping[str, Any]]) -> None:
    """Know these metrics too, as ``foreign`` gave them: where no code here declares the same name, and until another folder says
    otherwise. What does not fit a ``Metric`` is passed over: the metric is then known by its records alone.
    """
    for declaration in declarations:
        metric = _declared(declaration)
        if metric is not None:
            _learned[metric.name] = metric


def _declared(facts: Mapping[str, Any]) -> Metric | None:
    from pydantic import TypeAdapter, ValidationError

    try:
        metric = TypeAdapter(Metric).validate_python(dict(facts))
    except ValidationError:
        return None
    factor, tolerance = metric.display_factor, metric.tolerance
    fits = math.isfinite(factor) and factor > 0 and math.isfinite(tolerance) and tolerance >= 0 and 0 <= metric.digits <= 12
    return metric if fits else None


def headline() -> tuple[str, ...]:
    """The names of the metrics that stand in the first table, in their order."""
    return _headline(tuple((metric.headline, name) for name, metric in catalogue().items() if metric.headline is not None))


@cache
def _headline(placed: tuple[tuple[int, str], ...]) -> tuple[str, ...]:
    return tuple(name for _, name in sorted(placed))


def metric(name: str) -> Metric:
    """Look a metric up. Raises InputError naming the nearest known one."""
    known = catalogue()
    if name not in known:
        titled = [own for own, metric in known.items() if metric.title.casefold() == name.replace("_", " ").casefold()]
        hint = f"; did you mean {titled[0]!r}, which tables call {known[titled[0]].title}?" if titled else nearest(name, known)
        raise InputError(f"unknown metric {name!r}{hint}")
    return known[name]
