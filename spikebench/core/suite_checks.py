"""What can be wrong with a suite whose shape and names are right: what stands twice, and what the floors above know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spikebench.core.cells import Cell
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.core.grid import repeated
from spikebench.core.metrics import metric
from spikebench.core.recipes import Found, Placed
from spikebench.core.records import Selector
from spikebench.core.registry import REGISTRIES
from spikebench.core.suite import Rules, samples_of
from spikebench.core.variant import VariantSpec
from spikebench.core.yaml_nodes import KeyPath


def names(file: Any, folder: Path, rules: Rules | None) -> Iterator[Found | Problem]:
    """Profiles, chips, formats, metrics and columns that are none. Problems within a file of one's own come as such."""
    own = {"profiles": rules.profile, "chips": rules.chip} if rules is not None else {}
    for key, registry, given in (("energy", "profiles", file.energy), ("chips", "chips", file.chips)):
        for index, name in enumerate(given):
            if not name.endswith(".toml"):
                yield from _asked((key, index), REGISTRIES[registry].path, name)
            elif not (folder / name).is_file():
                yield (key, index), f"no such file: {name}"
            elif own:
                yield from own[registry](folder / name)
    for index, name in enumerate(file.report.formats):
        yield from _asked(("report", "formats", index), _of_reports, name)
    for name in file.check:
        if name != "confidence":
            yield from _asked(("check", name), _known_metric, name)
    for index, text in enumerate(file.report.columns):
        yield from _asked(("report", "columns", index), _known_metric, text)


def twice(file: Any) -> Iterator[Found]:
    """What a list has more than once: it would be done once, unsaid."""
    lists: dict[KeyPath, Sequence[Any]] = {
        ("seeds",): file.seeds,
        ("measure",): file.measure,
        ("energy",): file.energy,
        ("chips",): file.chips,
        ("plugins",): file.plugins,
        ("report", "formats"): file.report.formats,
        ("report", "columns"): file.report.columns,
    }
    for path, values in lists.items():
        for index, message in repeated(values):
            yield (*path, index), message


def unheard(file: Any, variants: Sequence[VariantSpec]) -> Iterator[Found]:
    """Fields of a variant that mean nothing to any network of the suite: whoever writes them expects something of them."""
    owners = sorted({variant.family.name for variant in variants})
    takes = {
        field for name in owners for field in getattr(REGISTRIES["families"].get(name), "takes", VariantSpec.__dataclass_fields__)
    }
    base = {} if isinstance(file.variants.base, str) else file.variants.base
    for path, field in [*((("grid", name), name) for name in file.variants.grid), *((("base", name), name) for name in base)]:
        if owners and field.partition(".")[0] not in {"family", "preset", *takes}:
            yield ("variants", *path), f"means nothing to {', '.join(owners)}, whose options are set as family.OPTION"


def batches(dataset: Choice, placed: Sequence[Placed]) -> Iterator[Found]:
    """A batch of more samples than there are would be another one than the suite says. Options are right already."""
    samples = samples_of(dataset, "train")
    for one in placed if samples is not None else ():
        for stage, choice in (("pretrain", one.recipe.pretraining), ("train", one.recipe.training)):
            batch = 1 if choice is None else getattr(choice.resolve("harnesses"), "batch_size", 1)
            if batch > (samples or batch):
                message = f"a batch of {batch:,} is more than the {samples:,} samples of the training split of {dataset}"
                yield one.place(stage, "batch_size"), message


def here(file: Any, rules: Rules) -> Iterator[Found]:
    """What this machine, unless it only queues the jobs, and the gate have to say."""
    launchers, name = REGISTRIES["launchers"], file.launcher.name
    elsewhere = name in launchers and getattr(launchers.get(name), "stays", False)
    for problem in () if elsewhere else rules.device(file.device):
        yield ("device",), problem.message
    for problem in rules.tolerances(file.check):
        yield ("check", problem.key.removeprefix("check.")), problem.message


def baseline(file: Any, rules: Rules, cells: Sequence[Cell], recipes: Sequence[str]) -> Iterator[Found]:
    """Why ``report.baseline`` is no row of these cells, of which each has its recipe. What a search will find is not known."""
    if file.report.baseline and file.search is None:
        for problem in rules.baseline(file.report.baseline, cells, recipes):
            yield ("report", "baseline", *([problem.key] if problem.key else [])), problem.message


def _asked(path: KeyPath, question: Any, name: str) -> Iterator[Found]:
    try:
        question(name)
    except InputError as error:
        yield from ((path, problem.message) for problem in error.problems)


def _known_metric(text: str) -> None:
    metric(Selector.parse(text).metric)


def _of_reports(name: str) -> None:
    if getattr(REGISTRIES["formats"].get(name), "verdicts_only", False):
        raise InputError(f"{name} writes a gate's verdicts, not a report: use `spikebench check --{name} FILE`")
