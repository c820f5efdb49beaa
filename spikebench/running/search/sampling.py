"""Which trials a search draws, and which it ends early: Optuna's samplers and pruners, as a suite names them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spikebench.core.choice import Choice
from spikebench.core.search_methods import PRUNERS, SAMPLERS, method_options

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, TrialState


def per_trial(choice: Choice, seed: int, conditional: bool, known: dict[str, Any]) -> BaseSampler:
    """Draws each trial with a sampler of its own, by the trial's number: whoever asks, in whatever order, draws the same.

    ``known``: what samplers have found out about the study's space, kept by who opened it.
    """
    from optuna.samplers import BaseSampler

    class PerTrial(BaseSampler):  # type: ignore[misc]
        def __init__(self) -> None:
            self._own: tuple[int, BaseSampler] | None = None

        def _of(self, trial: FrozenTrial) -> BaseSampler:
            if self._own is None or self._own[0] != trial.number:
                self._own = trial.number, make_sampler(choice, seed, trial.number, conditional)
                _share(self._own[1], known)
            return self._own[1]

        def before_trial(self, study: Study, trial: FrozenTrial) -> None:
            self._of(trial).before_trial(study, trial)

        def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
            found: dict[str, Any] = self._of(trial).infer_relative_search_space(study, trial)
            return found

        def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
            drawn: dict[str, Any] = self._of(trial).sample_relative(study, trial, search_space)
            return drawn

        def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
            return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

        def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
            self._of(trial).after_trial(study, trial, state, values)

    return PerTrial()


def _share(sampler: BaseSampler, known: dict[str, Any]) -> None:
    """The parameters that all trials have are found by a look at those that ended since the last one; a new sampler alone would
    look at all of them, each time."""
    from optuna.search_space import IntersectionSearchSpace

    for name in ("_search_space", "_intersection_search_space"):
        own = getattr(sampler, name, None)
        if isinstance(own, IntersectionSearchSpace):
            setattr(sampler, name, known.setdefault(name, own))


def make_sampler(choice: Choice, seed: int, number: int, conditional: bool = False) -> BaseSampler:
    """The sampler for trial ``number``. ``conditional``: some parameters exist only sometimes."""
    from optuna import samplers

    options = method_options(choice, SAMPLERS, "sampler")
    own = int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4], "big")
    match choice.name:
        case "tpe":
            return samplers.TPESampler(
                n_startup_trials=options.startup_trials, multivariate=True, group=conditional, constant_liar=True, seed=own
            )
        case "nsga2":
            return samplers.NSGAIISampler(population_size=options.population_size, seed=own)
        case "gp":
            return samplers.GPSampler(n_startup_trials=options.startup_trials, seed=own)
        case "qmc":
            # One scrambled sequence for all trials: its position is stored in the study, its seed must not change.
            independent = samplers.RandomSampler(seed=own)
            return samplers.QMCSampler(
                qmc_type=options.sequence,
                scramble=True,
                seed=seed,
                independent_sampler=independent,
                warn_independent_sampling=False,
            )
        case _:
            # The grid's points wait in the study (``begin``); nothing is left to draw.
            return samplers.RandomSampler(seed=own)


def make_pruner(choice: Choice, epochs: int) -> BasePruner:
    """The pruner; its steps are epochs, of which a trial has ``epochs``."""
    from optuna import pruners

    options = method_options(choice, PRUNERS, "pruner")
    match choice.name:
        case "median":
            return pruners.MedianPruner(n_startup_trials=options.startup_trials, n_warmup_steps=options.warmup_epochs)
        case "percentile":
            return pruners.PercentilePruner(
                options.percentile, n_startup_trials=options.startup_trials, n_warmup_steps=options.warmup_epochs
            )
        case "asha":
            return pruners.SuccessiveHalvingPruner(min_resource=options.min_epochs, reduction_factor=options.reduction_factor)
        case "hyperband":
            most = max(epochs, options.min_epochs)
            return pruners.HyperbandPruner(
                min_resource=options.min_epochs, max_resource=most, reduction_factor=options.reduction_factor
            )
        case _:
            return pruners.NopPruner()
