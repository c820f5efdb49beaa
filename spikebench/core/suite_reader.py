"""Checks a suite file: its shape, every name in it, every option, and whether each network of its grid can exist."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikebench.core import recipes, suite_checks, yaml_nodes
from spikebench.core.cells import Cell, Weights
from spikebench.core.choice import Choice, plain
from spikebench.core.errors import InputError, Problem
from spikebench.core.own_references import localise
from spikebench.core.quantity import duration
from spikebench.core.registry import is_stage
from spikebench.core.search import Search
from spikebench.core.suite import Rules, Suite, inputs_of, settled
from spikebench.core.text import shorten
from spikebench.core.variant import COMPONENTS, InputSpec, VariantSpec
from spikebench.core.yaml_nodes import Document, KeyPath

if TYPE_CHECKING:
    from spikebench.core.suite_shape import Shape


def load(path: str | Path, rules: Rules | None = None) -> Suite:
    """Read, check and expand a suite file.

    Raises InputError with every problem of the file at once: file:line:column, the key's path, what was got and expected.
    """
    return from_document(yaml_nodes.read(path), rules)


def from_document(document: Document, rules: Rules | None = None) -> Suite:
    """As ``load``, of a document that is already read."""
    return Reader(document, rules).read()


class Reader:
    """Collects problems instead of stopping at the first; see ``from_document``."""

    def __init__(self, document: Document, rules: Rules | None) -> None:
        self.document, self.own = localise(document)
        self.rules = rules
        self.problems: list[Problem] = list(document.problems)
        self.shape: Shape
        self._settled_data: dict[str, Any] = {}

    def read(self) -> Suite:
        if not isinstance(self.document.data, Mapping):
            message = f"expected a mapping with the keys suite, dataset, variants, ..., got {shorten(self.document.data)}"
            raise InputError([*self.problems, self.document.problem((), message)])
        from spikebench.core.suite_shape import read_shape

        self.shape = read_shape(self.document.data, self.document.broken)
        file = self.shape.file
        for path, message in self.shape.problems:
            self.problems.append(self.document.problem(path, message))
        self._choice(file.dataset, "datasets", ("dataset",))
        self._settle(file)
        self._choice(file.launcher, "launchers", ("launcher",))
        for index, harness in enumerate(file.measure):
            self._choice(harness, "harnesses", ("measure", index))
            if self._is_fine(f"measure[{index}]") and is_stage(harness.name):
                self._add(("measure", index), f"{harness.name} is not a measurement: use the key {harness.name}:")
        placed = recipes.read(file.pretrain, file.train, file.recipes)
        for path, message in recipes.problems(placed):
            self._add(path, message)
        own = placed[0].recipe
        self._tell(suite_checks.names(file, self._folder, self.rules))
        self._tell(suite_checks.twice(file))
        inputs = self._attempt(("dataset",), lambda: inputs_of(file.dataset)) if self._is_fine("dataset") else None
        if inputs is not None and self._is_fine("train", "pretrain", "recipes"):
            self._tell(suite_checks.batches(file.dataset, placed))
        weights = self._weights(file)
        if weights is not None:
            self._start_from(weights, file, inputs)
        variants = self._variants(file, inputs)
        search = self._search(file, own.training)
        job_timeout = self._attempt(("job_timeout",), lambda: duration(file.job_timeout))
        stall = self._attempt(("stall",), lambda: duration(file.stall))
        self._pretrainings(file, placed, variants, inputs, weights)
        if self.rules is not None:
            self._tell(suite_checks.here(file, self.rules))
        needed = ("dataset", "variants", "train", "pretrain", "recipes", "weights", "report.baseline", "seeds")
        if self.rules is not None and self._is_fine(*needed):
            pairs = [(one, variant) for one in placed[1:] or placed for variant in variants]
            ways = [(one.recipe, variant) for one, variant in pairs]
            cells = [Cell(w.positioned(v), file.dataset, w.training, 0, w.stored, weights) for w, v in ways]
            self._tell(suite_checks.baseline(file, self.rules, cells, [one.name for one, _ in pairs]))
        if self.problems:
            raise InputError(sorted(dict.fromkeys(self.problems), key=lambda p: (p.line or 0, p.column or 0)))
        # The resolved suite is kept in the results folder, from where a relative path would lead elsewhere.
        files = {"energy": self._resolved(file.energy), "chips": self._resolved(file.chips)}
        return Suite(
            name=file.suite,
            question=file.question,
            dataset=file.dataset,
            variants=tuple(variants),
            seeds=tuple(file.seeds),
            training=own.training,
            pretraining=own.pretraining,
            listed_recipes=tuple(dict.fromkeys(one.recipe for one in placed[1:])),
            weights=weights,
            measure=tuple(file.measure),
            energy=tuple(files["energy"]),
            chips=tuple(files["chips"]),
            report=file.report.model_dump(),
            check=file.check,
            search=search,
            launcher=file.launcher,
            job_timeout=job_timeout,
            stall=stall,
            device=file.device,
            data={
                **plain(self.document.data),
                **{key: names for key, names in files.items() if key in self.document.data},
                **self._settled_data,
            },
            document=self.document,
            own=self.own,
            rules=self.rules,
        )

    def _resolved(self, names: Sequence[str]) -> list[str]:
        """Profiles or chips, files of one's own by their full path."""
        return [str((self._folder / name).resolve()) if name.endswith(".toml") else name for name in names]

    def _pretrainings(
        self,
        file: Any,
        placed: Sequence[recipes.Placed],
        variants: Sequence[VariantSpec],
        inputs: InputSpec | None,
        weights: Weights | None,
    ) -> None:
        if file.search is not None:
            for key in ("recipes", "pretrain"):
                if getattr(file, key) not in ({}, "none"):
                    self._add((key,), "a search trains each trial in one way, without pre-training")
        if weights is not None and any(one.recipe.pretraining for one in placed):
            self._add(("weights",), "a network starts from given weights or from a pre-training, not from both")
        if self.problems or inputs is None or self.rules is None:
            return
        used = placed[1:] or placed
        for path, message in dict.fromkeys(recipes.misfits(used, variants, inputs, self.rules)):
            self._add(path, message)
        if weights is not None and weights.layout == "masked":
            for variant in variants:
                reason = self.rules.pretrained(Path(weights.path), variant, inputs)
                if reason:
                    self._add(("weights", "path"), f"{weights.path}: {reason}")

    def _tell(self, found: Iterator[recipes.Found | Problem]) -> None:
        for one in found:
            if isinstance(one, Problem):
                self.problems.append(one)
            else:
                self._add(*one)

    def _variants(self, file: Any, inputs: InputSpec | None) -> list[VariantSpec]:
        from spikebench.core.grid import expand

        named = {"base", "grid"} & set(self._given("variants")) or "weights" in self.document.data
        if not named and not self.shape.lacks("variants"):
            self._add(("variants",), "which networks? The key variants needs a base (a preset, or fields) or a grid")
        if self.shape.lacks("variants") or not self._is_fine("weights"):
            inputs = None  # a network of which a part is not known cannot be judged as a whole
        variants, places, problems = expand(file.variants, file.max_cells, len(file.seeds))
        for located, problem in problems:
            self._add(("variants", *located), problem.message)
        reported: set[tuple[str, str]] = set()
        for variant, where in zip(variants, places, strict=True):
            for problem in self._variant_problems(variant, inputs):
                field = problem.key.split(".")[0]
                own = ("base", field)
                path = where.get(field, own if ("variants", *own) in self.document.places else where[""])
                if (str(path), problem.message) not in reported:
                    reported.add((str(path), problem.message))
                    self._add(
                        ("variants", *path), problem.message, key=f"{yaml_nodes.spell_path(('variants', *path))} ({problem.key})"
                    )
        self._tell(suite_checks.unheard(file, [] if reported or problems else variants))
        if reported or problems or inputs is None or self.rules is None:
            return variants
        return list(dict.fromkeys(self.rules.resolve(variant, inputs) for variant in variants))

    def _variant_problems(self, variant: VariantSpec, inputs: InputSpec | None) -> list[Problem]:
        found: list[Problem] = []
        for field, registry in COMPONENTS.items():
            try:
                getattr(variant, field).resolve(registry)
            except InputError as error:
                found += [problem.within(field) for problem in error.problems]
        if not found and inputs is not None and self.rules is not None:
            found += self.rules.check(variant, inputs)
        return found

    def _search(self, file: Any, training: Choice | None) -> Search | None:
        if file.search is None or self.shape.lacks("variants"):
            return None
        from spikebench.core.grid import base_fields
        from spikebench.core.search_reader import Surroundings, read_search

        base = base_fields(file.variants.base, [])
        if base is None:
            return None
        search, problems = read_search(file.search, Surroundings(base, training, file.measure, file.energy, file.chips))
        for path, problem in problems:
            self._add(("search", *path), problem.message)
        return search

    def _weights(self, file: Any) -> Weights | None:
        if file.weights is None:
            return None
        path = self._folder / file.weights.path
        if not path.is_file():
            self._add(("weights", "path"), f"no such file: {path}")
            return None
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        quirks = ""
        if (rules := self.rules) is not None:
            quirks = self._attempt(("weights", "quirks"), lambda: rules.quirks(file.weights.layout, file.weights.quirks)) or ""
        return Weights(str(path.resolve()), file.weights.layout, sha256, file.weights.ema, quirks)

    def _start_from(self, weights: Weights, file: Any, inputs: InputSpec | None) -> None:
        """The checkpoint's network is the base of the grid, unless the suite names another or it is a pre-trained encoder."""
        if self.rules is None or weights.layout == "masked":
            return
        try:
            spec, trained_on = self.rules.foreign(Path(weights.path), weights.layout, file.weights.num_heads, weights.ema)
        except InputError as error:
            for problem in error.problems:
                at = problem.key if problem.key in ("layout", "num_heads") else "path"
                self._add(("weights", at), problem.message)
            return
        if "base" not in file.variants.model_fields_set:
            file.variants = file.variants.model_copy(update={"base": spec.to_plain()})
        if inputs is None:
            return
        if inputs.channels != trained_on.channels:
            message = f"{file.dataset} has {inputs.channels} channels, the checkpoint was trained on {trained_on.channels}"
            self._add(("dataset",), message)
        if file.train == "none" and inputs.classes != trained_on.classes:
            message = (
                f"{file.dataset} has {inputs.classes} classes, the checkpoint {trained_on.classes}: a new head needs training"
            )
            self._add(("train",), message)

    @property
    def _folder(self) -> Path:
        return Path(self.document.file).parent

    def _choice(self, choice: Choice, registry: str, path: KeyPath) -> None:
        self._of_options(choice, path, lambda: choice.resolve(registry))

    def _settle(self, file: Any) -> None:
        """Files of the user's that are not there are told now, not when they are first read."""
        before: Choice = file.dataset
        if self._is_fine("dataset"):
            after = self._of_options(before, ("dataset",), lambda: settled(before, self._folder))
            if after is not None and after != before:
                file.dataset, self._settled_data = after, {"dataset": after.to_plain()}

    def _of_options(self, choice: Choice, path: KeyPath, action: Callable[[], Any]) -> Any:
        """As ``_attempt``, of what is said of a component's options: each problem stands at its option."""
        try:
            return action()
        except InputError as error:
            for problem in error.problems:
                inner = tuple(problem.key.split(".")) if problem.key else ()
                nested = (*path, choice.name, *inner) if (*path, choice.name) in self.document.places else (*path, *inner)
                self._add(nested, problem.message)
            return None

    def _attempt(self, path: KeyPath, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except InputError as error:
            for problem in error.problems:
                self._add(path, problem.message)
            return None

    def _given(self, key: str) -> Mapping[str, Any]:
        """A block as the file has it; empty where there is none."""
        block = self.document.data.get(key)
        return block if isinstance(block, Mapping) else {}

    def _is_fine(self, *keys: str) -> bool:
        """Whether no problem stands at or below these keys."""
        return not any(
            problem.key == key or problem.key.startswith((f"{key}.", f"{key}[")) for problem in self.problems for key in keys
        )

    def _add(self, path: Sequence[str | int], message: str, key: str | None = None) -> None:
        place = self.shape.place(path)
        if not self.document.is_broken(place):
            self.problems.append(self.document.problem(place, message, key))
