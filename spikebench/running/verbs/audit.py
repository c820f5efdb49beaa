"""What the verb ``audit`` does: ask the checks of a preset, a suite, a checkpoint or a network of somebody's own."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikebench.core import findings as audits
from spikebench.core import own_files
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem, nearest, storage_errors
from spikebench.core.findings import Finding
from spikebench.core.records import Selector
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import InputSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spikebench.core.suite import Suite

SUITES = (".yaml", ".yml")


@dataclass(frozen=True)
class Asked:
    """Options of the command. ``weights``: the rest of a suite's ``weights`` block, for a checkpoint. ``samples``: images."""

    checks: Sequence[str] = ()
    fail: Sequence[str] = ()
    dataset: str = ""
    changes: Sequence[str] = ()
    weights: Mapping[str, Any] | None = None
    samples: int = 4
    results: Path = Path("results")
    json: Path | None = None


@dataclass(frozen=True)
class _Subject:
    name: str
    model: nn.Module
    inputs: Tensor | Sequence[Tensor]


def audit_target(target: str, asked: Asked) -> bool:
    """Print what the checks find, and write it to ``asked.json``. Returns whether a check failed that ``fail`` names, or the
    suite's ``check:`` block (``audit{check=NAME}``, or ``audit`` for all).

    Raises InputError for a target, a check or an option that cannot be used.
    """
    from spikebench.auditing import audit
    from spikebench.core.console import standard_error, standard_output
    from spikebench.reading.reports.audits import blocks
    from spikebench.reading.reports.document import Document
    from spikebench.reading.reports.formats.terminal import show

    _known([*asked.checks], "--only")
    _known([name for name in asked.fail if name != "all"], "--fail")
    if asked.samples < 2:
        raise InputError(Problem(f"must be at least 2, got {asked.samples}", key="--samples"))
    suite = _suite(target) if target.endswith(SUITES) else None
    named = [*asked.fail, *(_gated(suite) if suite is not None else ())]
    found: dict[str, tuple[Finding, ...]] = {}
    for subject in _cells(suite, asked) if suite is not None else [_single(target, asked)]:
        if suite is not None:
            standard_error().print(f"audit of {subject.name}")
        found[subject.name] = audit(subject.model, subject.inputs, checks=asked.checks).findings
    show(Document(f"audit of {target}", tuple(blocks(found))), standard_output(width=140))
    if asked.json is not None:
        plain = {name: [one.to_plain() for one in findings] for name, findings in found.items()}
        with storage_errors(asked.json):
            asked.json.write_text(json.dumps({"target": target, "audits": plain}, indent=2) + "\n", encoding="utf-8")
    return any(audits.failed(findings, named) for findings in found.values())


def _known(names: Sequence[str], option: str) -> None:
    checks = REGISTRIES["checks"]
    problems = [
        Problem(f"unknown audit check {name!r}{nearest(name, checks)}", key=option) for name in names if name not in checks
    ]
    if problems:
        raise InputError(problems)


# targets


def _single(target: str, asked: Asked) -> _Subject:
    path, _, factory = target.rpartition(":")
    if path.endswith(".py"):
        return _of_factory(Path(path), factory, asked)
    if asked.weights is not None:
        return _of_checkpoint(Path(target), asked)
    if target not in REGISTRIES["presets"] and ("/" in target or Path(target).exists()):
        raise InputError(f"{target}: a checkpoint needs --layout, a suite ends in .yaml, a network of yours is FILE.py:FACTORY")
    return _of_variant(target, asked)


def _parameters(factory: Any) -> Sequence[inspect.Parameter]:
    try:
        return list(inspect.signature(factory).parameters.values())
    except ValueError:  # of what is not written in Python nothing is known
        return []


def _of_variant(name: str, asked: Asked) -> _Subject:
    import torch

    from spikebench.api import build, variant_of
    from spikebench.core.grid import combine
    from spikebench.running.verbs._given import parse_changes
    from spikebench.running.verbs.show import guess_inputs

    spec = variant_of(name)
    spec = combine(spec.to_plain(), parse_changes(asked.changes)) if asked.changes else spec
    shape = guess_inputs(name) if not asked.dataset else _inputs_of(asked.dataset)
    torch.manual_seed(0)
    model = build(spec, shape)
    return _Subject(name, model, _images(shape, spec.T, asked))


def _of_checkpoint(path: Path, asked: Asked) -> _Subject:
    from spikebench.networks.foreign import load_foreign
    from spikebench.running.verbs._given import parse_changes

    given = dict(asked.weights or {})
    model = load_foreign(path, given.pop("layout"), **given, **parse_changes(asked.changes))
    return _Subject(path.name, model, _images(model.inputs, model.T, asked))


def _of_factory(path: Path, name: str, asked: Asked) -> _Subject:
    """``FILE.py:FACTORY``: called without arguments it gives a module, or a module and its inputs. One that must be given inputs
    is a family, built as a suite builds it.
    """
    from torch import nn

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    module = own_files.load(path)
    factory = getattr(module, name, None)
    if not callable(factory):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(f"{path}: has no factory {name!r}{nearest(name, known)}")
    if any(given.default is given.empty and given.kind <= given.POSITIONAL_OR_KEYWORD for given in _parameters(factory)):
        if not asked.dataset:
            raise InputError(f"{path}:{name}: what is it fed? Name a data set with --dataset")
        return _of_variant(f"{path}:{name}", asked)
    try:
        made = factory()
    except Exception as error:  # somebody's own code may raise anything
        raise InputError(f"{path}:{name} cannot be made: {type(error).__name__}: {error}") from error
    model, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, nn.Module):
        raise InputError(f"{path}:{name} returned a {type(model).__name__}, expected an nn.Module, or one with its inputs")
    if inputs is None:
        shape = _inputs_of(asked.dataset) if asked.dataset else getattr(model, "inputs", None)
        if not isinstance(shape, InputSpec):
            raise InputError(f"{path}:{name}: what does it take? Return (module, inputs), or name a data set with --dataset")
        inputs = _images(shape, int(getattr(model, "T", 1)), asked)
    return _Subject(name, model, inputs)


def _inputs_of(dataset: str) -> InputSpec:
    from spikebench.core.suite import inputs_of
    from spikebench.running.verbs._given import parse_value

    return inputs_of(Choice.parse(parse_value(dataset, "--dataset")))


def _images(shape: InputSpec, T: int, asked: Asked) -> Tensor:
    """Of the data set that was named, or random."""
    import torch

    if asked.dataset:
        from spikebench.running.verbs._given import parse_value

        return _of_test_split(Choice.parse(parse_value(asked.dataset, "--dataset")), asked.samples)
    size = (asked.samples, shape.channels, shape.size, shape.size)
    generator = torch.Generator().manual_seed(0)
    if shape.events:
        return torch.poisson(torch.full((T, *size), 0.3), generator=generator)
    return torch.randn(size, generator=generator)


def _of_test_split(dataset: Choice, samples: int) -> Tensor:
    from spikebench.data import batches, load, spread

    return next(iter(batches(spread(load(dataset).split("test"), samples), samples)))[0]


# suites


def _suite(path: str) -> Suite:
    from spikebench.core.suite_reader import load
    from spikebench.running.jobs import rules

    return load(path, rules)


def _gated(suite: Suite) -> Iterator[str]:
    """The checks that the suite's ``check:`` block names."""
    for text in suite.check:
        selector = Selector.parse(text) if text != "confidence" else None
        if selector is not None and selector.metric == audits.METRIC:
            yield selector.conditions.get("check", "all")


def _cells(suite: Suite, asked: Asked) -> Iterator[_Subject]:
    """Each network of a suite with its trained weights, where a run has left them; else as its training would begin."""
    from spikebench.core.cells import Job
    from spikebench.reading.model import factors
    from spikebench.running.jobs.subject import Subject, has_weights, initial_model

    rows = [factors.flatten(cell.facts()) for cell in suite.cells]
    names = [*factors.differing(rows), *(["seed"] if len(suite.seeds) > 1 else [])]
    images = _of_test_split(suite.dataset, asked.samples)
    for cell, row in zip(suite.cells, rows, strict=True):
        folder = asked.results / suite.name / "weights" / cell.cell_id
        trained = cell.training is not None and has_weights(folder)
        model = Subject(Job(cell, Choice("audit")), folder).model if trained else initial_model(cell).eval()
        yield _Subject(factors.name_of(row, names) + (" (trained)" if trained else ""), model, images)
