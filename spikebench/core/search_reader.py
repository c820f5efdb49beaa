"""Checks a suite's ``search:`` block: every problem at once, each with where in the block it stands."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.grid import Located
from spikebench.core.quantity import duration
from spikebench.core.registry import REGISTRIES
from spikebench.core.search import Constraint, Objective, Quantity, Search
from spikebench.core.search_methods import PRUNERS, SAMPLERS, method_options
from spikebench.core.search_space import Space
from spikebench.core.search_space_reader import read_space
from spikebench.core.search_storage import check_storage
from spikebench.core.yaml_nodes import KeyPath

MOST_POINTS = 10_000
"""As with a suite's own grid: a larger one is a mistake."""


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What the rest of the suite says. ``base``: the fields of its base variant."""

    base: Mapping[str, Any]
    training: Choice | None
    measure: Sequence[Choice]
    energy: Sequence[str]
    chips: Sequence[str] = ()


def read_search(block: Any, suite: Surroundings) -> tuple[Search | None, list[Located]]:
    """``block``: a ``suite_file.SearchBlock``. The search is None if there are problems."""
    return _Reader(block, suite).read()


class _Reader:
    def __init__(self, block: Any, suite: Surroundings) -> None:
        self.block = block
        self.suite = suite
        self.problems: list[Located] = []

    def read(self) -> tuple[Search | None, list[Located]]:
        space, self.problems = read_space(self.block.space, self.suite.base, self.suite.training)
        objectives = self._parsed("objectives", Objective.parse)
        constraints = self._parsed("constraints", Constraint.parse)
        self._methods(space, objectives)
        timeout = self._attempt(("timeout",), lambda: duration(self.block.timeout))
        storage = self._attempt(("storage",), lambda: check_storage(self.block.storage))
        if self.problems:
            return None, self.problems
        block = self.block
        return Search(
            space, tuple(objectives), tuple(constraints), block.sampler, block.pruner, block.trials, timeout, block.seed, storage
        ), []

    def _parsed(self, key: str, parse: Callable[[str], Any]) -> list[Any]:
        found: list[Any] = []
        for index, text in enumerate(getattr(self.block, key)):
            parsed = self._attempt((key, index), lambda text=text: parse(text))  # type: ignore[misc]
            if parsed is not None:
                if str(parsed) in map(str, found):
                    self._add((key, index), f"{parsed} stands twice")
                found.append(parsed)
                quantity: Quantity = parsed.quantity
                self._attempt((key, index), lambda quantity=quantity: self._measured(quantity))  # type: ignore[misc]
        return found

    def _measured(self, quantity: Quantity) -> None:
        name, training = quantity.metric.name, self.suite.training
        emitters = [harness for harness in REGISTRIES["harnesses"] if name in _metrics("harnesses", harness)]
        here = {choice.name for choice in (*self.suite.measure, *([] if training is None else [training]))}
        asked = quantity.text.split("{")[0].split("@")[0]
        if not here.intersection(emitters) and not any(
            name in _metrics("derivations", other) for other in REGISTRIES["derivations"]
        ):
            if "train" in emitters:
                raise InputError(f"{asked} comes from training (validation split), and this suite trains nothing (train: none)")
            raise InputError(f"nothing in this suite measures {asked}; add to measure: {' or '.join(emitters)}")
        if training is not None and name.startswith("epoch_") and training.options.get("epochs") == 0:
            raise InputError(f"{asked} needs an epoch of training, and this suite has epochs: 0")
        if name == "energy":
            self._named(quantity, "profile", "energy", self.suite.energy)
        elif name in _metrics("derivations", "chips") and name not in ("synaptic_rate", "dense_share"):
            if not self.suite.chips:
                raise InputError(f"{asked} needs a chip, and this suite names none: add chips: [loihi]")
            self._named(quantity, "chip", "chips", self.suite.chips)

    def _named(self, quantity: Quantity, condition: str, key: str, known: Sequence[str]) -> None:
        """Whether it is clear which profile, or which chip, is meant."""
        asked = quantity.selector.conditions.get(condition)
        names = [str(name).removesuffix(".toml").rsplit("/", 1)[-1] for name in known]
        if asked is None and len(names) > 1:
            said = f"{quantity.metric.name}{{{condition}={names[0]}}}"
            raise InputError(f"matches several records, one for each {condition}: say which, as {said}")
        if asked is not None and asked not in names:
            raise InputError(f"the {condition} {asked!r} is not among those of {key}:{nearest(asked, names)}")

    def _methods(self, space: Space, objectives: Sequence[Objective]) -> None:
        block = self.block
        self._attempt(("sampler",), lambda: method_options(block.sampler, SAMPLERS, "sampler"))
        self._attempt(("pruner",), lambda: method_options(block.pruner, PRUNERS, "pruner"))
        if block.sampler.name == "grid":
            for parameter in space.parameters:
                if parameter.finite() is None:
                    self._add(("space", parameter.name), "the grid sampler needs a finite range: give a step, or a choice")
            count = math.prod(len(parameter.finite() or ()) for parameter in space.parameters)
            if count > MOST_POINTS:
                self._add(("sampler",), f"the grid has up to {count:,} points, more than {MOST_POINTS:,}: take another sampler")
        if block.pruner.name == "none" or not objectives:
            return
        if len(block.objectives) > 1:
            count = len(block.objectives)
            self._add(
                ("pruner",), f"a pruner compares trials by one number an epoch: it needs one objective, and there are {count}"
            )
        elif objectives[0].quantity.metric.name != "epoch_accuracy":
            message = f"a pruner looks at validation accuracy after each epoch, and the objective is {objectives[0]}"
            self._add(("pruner",), message)

    def _attempt(self, path: KeyPath, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except InputError as error:
            for problem in error.problems:
                self._add(path, problem.message)
            return None

    def _add(self, path: KeyPath, message: str) -> None:
        self.problems.append((path, Problem(message)))


def _metrics(registry: str, member: str) -> set[str]:
    return {metric.name for metric in REGISTRIES[registry].get(member).metrics}
