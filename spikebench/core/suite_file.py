"""The shape of a suite file, checked by pydantic; what the words in it mean is checked in ``suite``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.search_methods import PRUNERS, SAMPLERS
from spikebench.core.text import shorten
from spikebench.core.wording import yaml_hint


def _parse_choice(value: Any) -> Choice:
    try:
        return Choice.parse(value)
    except InputError as error:
        raise ValueError(str(error)) from None


def _none_or_mapping(value: Any) -> Any:
    if value is None or value == "none" or isinstance(value, dict):
        return "none" if value is None else value
    raise ValueError(f"expected a mapping of options, or none, got {shorten(value)}")


NoneOrOptions = Annotated[
    Any, BeforeValidator(_none_or_mapping), WithJsonSchema({"anyOf": [{"const": "none"}, {"type": "object"}]})
]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


def _folder_name(value: Any) -> Any:
    if isinstance(value, str) and not (re.fullmatch(NAME, value) and len(value) <= 100):
        raise ValueError(f"expected letters, digits, '.', '_' and '-', at most 100 and no sign first, got {shorten(value)}")
    return value


REGISTRY = "x-registry"
"""Stands in the generated JSON Schema where ``schema`` puts the members of a registry."""


def choice_of(registry: str) -> Any:
    """A field that names a member of ``registry``; the JSON Schema gets the names and options from ``schema``."""
    return Annotated[Choice, BeforeValidator(_parse_choice), WithJsonSchema({REGISTRY: registry})]


class Block(BaseModel):
    """Unknown keys are errors, and no text is taken for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class VariantsBlock(Block):
    """Which networks: every combination of the ``grid`` over the ``base``, less those that ``exclude`` names."""

    base: str | dict[str, Any] = Field(
        "spikformer-4-384", description="A preset's name, or a mapping of VariantSpec fields, `preset` among them"
    )
    grid: dict[str, list[Any]] = Field(
        default_factory=dict, description="VariantSpec fields (or `preset`, or `stem.patch_size`) with the values to combine"
    )
    exclude: list[dict[str, Any]] = Field(default_factory=list, description="Combinations to leave out")


class RecipeBlock(Block):
    """One way to train a variant. What it leaves out is as the suite's own `pretrain` and `train` say."""

    pretrain: NoneOrOptions = Field(None, description="Options to change, or none")
    train: NoneOrOptions = Field(None, description="Options to change, or none")


class WeightsBlock(Block):
    """Start from somebody else's checkpoint."""

    path: str = Field(description="The file, seen from the suite's")
    layout: str = Field(description="Whose tensor names: spikformer-cifar, spikingformer-cifar, ...; masked: a pre-training's")
    num_heads: int | None = Field(None, ge=1, description="Where the tensors cannot tell and the width was never published")
    ema: bool = Field(False, description="The averaged weights of a checkpoint that has both")
    quirks: str = Field("none", description="Known faults of the released code to reproduce: none, released (all), or a name")


class ReportBlock(Block):
    """What the report compares and writes."""

    baseline: dict[str, Any] = Field(default_factory=dict, description="Factors that name the baseline's row")
    formats: list[str] = Field(default_factory=lambda: ["markdown", "csv"], description="What is written after a run")
    columns: list[str] = Field(default_factory=list, description="Selectors of further columns")


def _range(value: Any) -> Any:
    problem = None if isinstance(value, list) and len(value) == 2 else f"expected [low, high], got {shorten(value)}"
    for end in value if problem is None else ():
        if isinstance(end, bool) or not isinstance(end, (int, float)):
            problem = problem or f"expected two numbers, got {shorten(end)}{yaml_hint(end)}"
    if problem is not None:
        raise ValueError(problem)
    return value


def _method(known: Mapping[str, type]) -> Any:
    schema = {"anyOf": [{"enum": list(known)}, {"type": "object"}]}
    return Annotated[Choice, BeforeValidator(_parse_choice), WithJsonSchema(schema)]


class ParameterBlock(Block):
    """What a search varies: one of `int`, `float` and `choice`."""

    int_: Annotated[list[int] | None, BeforeValidator(_range)] = Field(
        None, alias="int", description="[low, high], both included"
    )
    float_: Annotated[list[float] | None, BeforeValidator(_range)] = Field(
        None, alias="float", description="[low, high], both included"
    )
    choice: list[Any] | None = Field(None, min_length=1, description="Values, written as in a grid")
    step: float | None = Field(None, description="Of int and float: low, low + step, ...")
    log: bool = Field(False, description="Of int and float: even on a logarithmic scale")
    when: dict[str, Any] = Field(
        default_factory=dict, description="Other parameters of the space and the value (or values) for which this one exists"
    )

    def domains(self) -> dict[str, Any]:
        return {"int": self.int_, "float": self.float_, "choice": self.choice}


class SearchBlock(Block):
    """Which variants to look for, by what, and how long."""

    space: dict[str, ParameterBlock] = Field(
        min_length=1, description="Variant fields, options of a component (attention.order), fields of train"
    )
    objectives: list[str] = Field(min_length=1, description="Selectors; each metric knows which way is better")
    constraints: list[str] = Field(default_factory=list, description="parameters <= 2M, energy{profile=...} <= 0.1 mJ")
    sampler: _method(SAMPLERS) = Field(Choice("tpe"), description="How the next trial is chosen")  # type: ignore[valid-type]
    pruner: _method(PRUNERS) = Field(Choice("none"), description="What ends a trial that promises little")  # type: ignore[valid-type]
    trials: int = Field(30, ge=1, description="How many that count")
    timeout: float | str | None = Field(None, description="No trial begins after this many seconds; or 15 min")
    seed: int = Field(0, ge=0, description="Of the sampler; trainings use the suite's first seed")
    storage: str | None = Field(
        None,
        description="postgresql://user@host/name: a study that several drivers share; without it, a file of the results folder",
    )


class SuiteFile(Block):
    """A suite: which networks, trained on what, measured how."""

    suite: Annotated[str, BeforeValidator(_folder_name)] = Field(
        json_schema_extra={"pattern": NAME}, description="Name; the results folder is called so"
    )
    question: str = Field("", description="What one wants to know; printed above the table")
    dataset: choice_of("datasets") = Field(description="What is learned, with train, validation and test splits")  # type: ignore[valid-type]
    variants: VariantsBlock = Field(default_factory=VariantsBlock, description="Which networks")  # type: ignore[arg-type]
    seeds: list[Annotated[int, Field(ge=0, lt=2**63)]] = Field(
        default_factory=lambda: [0], min_length=1, description="Each variant is trained once with each"
    )
    pretrain: NoneOrOptions = Field("none", description="Options of the harness `pretrain`, or none")
    train: NoneOrOptions = Field(
        default_factory=dict, description="Options of the harness `train`, or none: weights stay as they are"
    )
    recipes: dict[str, RecipeBlock] = Field(
        default_factory=dict, description="Several ways to train each variant, by a name that explains them"
    )
    weights: WeightsBlock | None = Field(None, description="A checkpoint to start from")
    measure: list[choice_of("harnesses")] = Field(  # type: ignore[valid-type]
        default_factory=lambda: [Choice("accuracy"), Choice("activity")], min_length=1, description="What is done to each network"
    )
    plugins: list[str] = Field(
        default_factory=list, description="Python files with components of one's own; their paths, as seen from the suite's file"
    )
    energy: list[str] = Field(default_factory=lambda: ["spikformer-paper"], description="Energy profiles, or paths of TOML files")
    chips: list[str] = Field(
        default_factory=list, description="Chips that energy and time are estimated for, or paths of TOML files"
    )
    report: ReportBlock = Field(default_factory=ReportBlock, description="What is compared with what, and written where")
    search: SearchBlock | None = Field(None, description="What `spikebench search` looks for")
    check: dict[str, Any] = Field(
        default_factory=dict,
        description="Selector: tolerance of a gate (5%, 5% and 50 us, 1.0pp, 0); `confidence`: of its intervals, 0.95",
    )
    launcher: choice_of("launchers") = Field(Choice("inline"), description="What runs the jobs")  # type: ignore[valid-type]
    job_timeout: float | str | None = Field(None, description="A job that takes longer is ended and has failed; seconds, or 2 h")
    stall: float | str | None = Field(
        None, description="A job that records nothing for so long is ended and has failed; seconds, or 15 min"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where jobs run; auto: a CUDA GPU where torch sees one")
    max_cells: int = Field(10_000, ge=1, description="Refuse a larger grid: it is usually a mistake")
