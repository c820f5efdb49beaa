"""Which samplers and pruners a search can name, and their options; what they do is Optuna's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spikebench.core.choice import Choice, build_options
from spikebench.core.errors import InputError, nearest
from spikebench.core.registry import NoOptions


def _at_least(options: object, **lowest: int) -> None:
    wrong = [
        f"{name} must be at least {low}, got {getattr(options, name)}"
        for name, low in lowest.items()
        if getattr(options, name) < low
    ]
    if wrong:
        raise ValueError("; ".join(wrong))


@dataclass(frozen=True)
class Tpe:
    """Tree-structured Parzen estimator. ``startup_trials``: random ones before it begins to learn."""

    startup_trials: int = 10

    def __post_init__(self) -> None:
        _at_least(self, startup_trials=1)


@dataclass(frozen=True)
class Nsga2:
    """NSGA-II, a genetic algorithm. ``population_size``: trials in one generation."""

    population_size: int = 20

    def __post_init__(self) -> None:
        _at_least(self, population_size=2)


@dataclass(frozen=True)
class Gp:
    """Gaussian process: for few, costly trials."""

    startup_trials: int = 10

    def __post_init__(self) -> None:
        _at_least(self, startup_trials=1)


@dataclass(frozen=True)
class Qmc:
    """Quasi-Monte Carlo: fills the space evenly and learns nothing."""

    sequence: Literal["sobol", "halton"] = "sobol"


@dataclass(frozen=True)
class Median:
    """Stops a trial that is worse than the median of the earlier ones at the same epoch."""

    startup_trials: int = 5
    warmup_epochs: int = 0

    def __post_init__(self) -> None:
        _at_least(self, startup_trials=0, warmup_epochs=0)


@dataclass(frozen=True)
class Percentile:
    """Stops a trial that is not among the best ``percentile`` % of the earlier ones at the same epoch."""

    percentile: float = 25.0
    startup_trials: int = 5
    warmup_epochs: int = 0

    def __post_init__(self) -> None:
        _at_least(self, startup_trials=0, warmup_epochs=0)
        if not 0 < self.percentile < 100:
            raise ValueError(f"percentile must be above 0 and below 100, got {self.percentile}")


@dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving (ASHA): only the best ``1 / reduction_factor`` go on past each rung of epochs."""

    min_epochs: int = 1
    reduction_factor: int = 4

    def __post_init__(self) -> None:
        _at_least(self, min_epochs=1, reduction_factor=2)


@dataclass(frozen=True)
class Hyperband:
    """Several successive halvings at once, from cautious to bold."""

    min_epochs: int = 1
    reduction_factor: int = 3

    def __post_init__(self) -> None:
        _at_least(self, min_epochs=1, reduction_factor=2)


SAMPLERS: Mapping[str, type] = {"tpe": Tpe, "nsga2": Nsga2, "gp": Gp, "qmc": Qmc, "random": NoOptions, "grid": NoOptions}
PRUNERS: Mapping[str, type] = {
    "none": NoOptions,
    "median": Median,
    "percentile": Percentile,
    "asha": Halving,
    "hyperband": Hyperband,
}


def method_options(choice: Choice, known: Mapping[str, type], what: str) -> Any:
    """The options of a sampler or pruner, with their defaults. Raises InputError for an unknown name and for wrong options."""
    if choice.name not in known:
        raise InputError(f"unknown {what} {choice.name!r}{nearest(choice.name, known)}")
    return build_options(known[choice.name], choice.options, owner=choice.name)
