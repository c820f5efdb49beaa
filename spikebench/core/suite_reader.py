"""Checks a suite file: its shape, every name in it, every option, and whether each network of its grid can exist."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from spikebench.core import recipes, yaml_nodes
from spikebench.core.cells import Weights
from spikebench.core.choice import Choice, plain, reword
from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.quantity import duration
from spikebench.core.registry import REGISTRIES, is_stage
from spikebench.core.search import Search
from spikebench.core.suite import Networks, Suite, inputs_of
from spikebench.core.variant import COMPONENTS, InputSpec, VariantSpec
from spikebench.core.yaml_nodes import Document, KeyPath


def load(path: str | Path, networks: Networks | None = None) -> Suite:
    """Read, check and expand a suite file.

    Raises InputError with every problem of the file at once: file:line:column, the key's path, what was got and expected.
    """
    return from_document(yaml_nodes.read(path), networks)


def from_document(document: Document, networks: Networks | None = None) -> Suite:
    """As ``load``, of a document that is already read."""
    return Reader(document, networks).read()


class Reader:
    """Collects problems instead of stopping at the first; see ``from_document``."""

    def __init__(self, document: Document, networks: Networks | None) -> None:
        self.document = document
        self.networks = networks
        self.problems: list[Problem] = list(document.problems)

    def read(self) -> Suite:
        file = self._shape()
        if file is None:
            raise InputError(self.problems)
        self._choice(file.dataset, "datasets", ("dataset",))
        self._choice(file.launcher, "launchers", ("launcher",))
        for index, harness in enumerate(file.measure):
            self._choice(harness, "harnesses", ("measure", index))
            if self._is_fine(f"measure[{index}]") and is_stage(harness.name):
                self._add(("measure", index), f"{harness.name} is not a measurement: use the key {harness.name}:")
        placed = recipes.read(file.pretrain, file.train, file.recipes)
        for path, message in recipes.problems(placed):
            self._add(path, message)
        own = placed[0].recipe
        self._names(file)
        inputs = self._attempt(("dataset",), lambda: inputs_of(file.dataset)) if self._is_fine("dataset") else None
        weights = self._weights(file)
        if weights is not None:
            self._start_from(weights, file, inputs)
        variants = self._variants(file, inputs)
        search = self._search(file, own.training)
        job_timeout = self._attempt(("job_timeout",), lambda: duration(file.job_timeout))
        stall = self._attempt(("stall",), lambda: duration(file.stall))
        self._pretrainings(file, placed, variants, inputs, weights)
        if self.problems:
            raise InputError(sorted(self.problems, key=lambda p: (p.line or 0, p.column or 0)))
        # The resolved suite is kept in the results folder, from where a relative path would lead elsewhere.
        energy = tuple(str((self._folder / name).resolve()) if name.endswith(".toml") else name for name in file.energy)
        return Suite(
            name=file.suite,
            question=file.question,
            dataset=file.dataset,
            variants=tuple(variants),
            seeds=tuple(dict.fromkeys(file.seeds)),
            training=own.training,
            pretraining=own.pretraining,
            listed_recipes=tuple(dict.fromkeys(one.recipe for one in placed[1:])),
            weights=weights,
            measure=tuple(file.measure),
            energy=energy,
            report=file.report.model_dump(),
            check=file.check,
            search=search,
            launcher=file.launcher,
            job_timeout=job_timeout,
            stall=stall,
            device=file.device,
            data={**plain(self.document.data), **({"energy": list(energy)} if "energy" in self.document.data else {})},
            document=self.document,
        )

    def _shape(self) -> Any:
        from pydantic import ValidationError

        from spikebench.core.suite_file import SuiteFile

        if not isinstance(self.document.data, Mapping):
            self._add((), f"expected a mapping with the keys suite, dataset, variants, ..., got {_show(self.document.data)}")
            return None
        try:
            return SuiteFile.model_validate(self.document.data)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._add(*_explain(detail, SuiteFile))
            return None

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
        if self.problems or inputs is None or self.networks is None:
            return
        used = placed[1:] or placed
        for path, message in dict.fromkeys(recipes.misfits(used, variants, inputs, self.networks)):
            self._add(path, message)
        if weights is not None and weights.layout == "masked":
            for variant in variants:
                reason = self.networks.pretrained(Path(weights.path), variant, inputs)
                if reason:
                    self._add(("weights", "path"), f"{weights.path}: {reason}")

    def _names(self, file: Any) -> None:
        for index, name in enumerate(file.energy):
            if not name.endswith(".toml"):
                self._attempt(("energy", index), lambda name=name: REGISTRIES["profiles"].path(name))  # type: ignore[misc]
            elif not (self._folder / name).is_file():
                self._add(("energy", index), f"no such file: {name}")
        for index, name in enumerate(file.report.formats):
            self._attempt(("report", "formats", index), lambda name=name: REGISTRIES["formats"].path(name))  # type: ignore[misc]
        from spikebench.core.records import Selector

        for name in file.check:
            if name != "confidence":
                self._attempt(("check", name), lambda text=name: _known_metric(Selector.parse(text)))  # type: ignore[misc]

        for index, text in enumerate(file.report.columns):
            self._attempt(("report", "columns", index), lambda text=text: _known_metric(Selector.parse(text)))  # type: ignore[misc]

    def _variants(self, file: Any, inputs: InputSpec | None) -> list[VariantSpec]:
        from spikebench.core.grid import expand

        variants, places, problems = expand(file.variants, file.max_cells, len(file.seeds))
        for path, problem in problems:
            self._add(("variants", *path), problem.message)
        reported: set[tuple[str, str]] = set()
        for variant, where in zip(variants, places, strict=True):
            for problem in self._variant_problems(variant, inputs):
                field = problem.key.split(".")[0]
                path = where.get(field, where[""])
                if (str(path), problem.message) not in reported:
                    reported.add((str(path), problem.message))
                    self._add(
                        ("variants", *path), problem.message, key=f"{yaml_nodes.spell_path(('variants', *path))} ({problem.key})"
                    )
        if reported or inputs is None or self.networks is None:
            return variants
        return list(dict.fromkeys(self.networks.resolve(variant, inputs) for variant in variants))

    def _variant_problems(self, variant: VariantSpec, inputs: InputSpec | None) -> list[Problem]:
        found: list[Problem] = []
        for field, registry in COMPONENTS.items():
            try:
                getattr(variant, field).resolve(registry)
            except InputError as error:
                found += [problem.within(field) for problem in error.problems]
        if not found and inputs is not None and self.networks is not None:
            found += self.networks.check(variant, inputs)
        return found

    def _search(self, file: Any, training: Choice | None) -> Search | None:
        if file.search is None:
            return None
        from spikebench.core.grid import base_fields
        from spikebench.core.search_reader import Surroundings, read_search

        base = base_fields(file.variants.base, [])
        if base is None:
            return None
        search, problems = read_search(file.search, Surroundings(base, training, file.measure, file.energy))
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
        return Weights(str(path.resolve()), file.weights.layout, sha256, file.weights.ema)

    def _start_from(self, weights: Weights, file: Any, inputs: InputSpec | None) -> None:
        """The checkpoint's network is the base of the grid, unless the suite names another or it is a pre-trained encoder."""
        if self.networks is None or weights.layout == "masked":
            return
        try:
            spec, trained_on = self.networks.foreign(Path(weights.path), weights.layout, file.weights.num_heads, weights.ema)
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
        try:
            choice.resolve(registry)
        except InputError as error:
            for problem in error.problems:
                inner = tuple(problem.key.split(".")) if problem.key else ()
                nested = (*path, choice.name, *inner) if (*path, choice.name) in self.document.places else (*path, *inner)
                self._add(nested, problem.message)

    def _attempt(self, path: KeyPath, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except InputError as error:
            for problem in error.problems:
                self._add(path, problem.message)
            return None

    def _is_fine(self, key: str) -> bool:
        return not any(problem.key == key or problem.key.startswith((f"{key}.", f"{key}[")) for problem in self.problems)

    def _add(self, path: Sequence[str | int], message: str, key: str | None = None) -> None:
        self.problems.append(self.document.problem(path, message, key))


def _known_metric(selector: Any) -> None:
    from spikebench.core.metrics import metric

    metric(selector.metric)


def _explain(detail: Mapping[str, Any], model: type) -> tuple[Sequence[str | int], str]:
    """A pydantic error in the words of this project."""
    path = tuple(part for part in detail["loc"] if not (isinstance(part, str) and part.startswith(("function-", "str", "dict["))))
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = _fields(model, path[:-1])
        return path, f"unknown key {path[-1]!r}{nearest(path[-1], known)}"
    if kind == "missing":
        return path, f"the key {path[-1]!r} is missing"
    return path, reword(detail)


def _fields(model: Any, path: Sequence[str | int]) -> list[str]:
    """The keys of the block at ``path``; none where anything goes."""
    for part in path:
        if get_origin(model) is dict:
            model = get_args(model)[-1]
        else:
            model = getattr(model.model_fields.get(part), "annotation", None)
            if get_origin(model) is not dict:  # a block that may be left out is `Block | None`
                model = next((inner for inner in get_args(model) if hasattr(inner, "model_fields")), model)
        if not hasattr(model, "model_fields") and get_origin(model) is not dict:
            return []
    return [field.alias or name for name, field in model.model_fields.items()] if hasattr(model, "model_fields") else []


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
