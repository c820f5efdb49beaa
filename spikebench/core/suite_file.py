"""The shape of a suite file, checked by pydantic; what the words in it mean is checked in ``suite``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError


def _parse_choice(value: Any) -> Choice:
    try:
        return Choice.parse(value)
    except InputError as error:
        raise ValueError(str(error)) from None


def _none_or_mapping(value: Any) -> Any:
    if value == "none" or isinstance(value, dict):
        return value
    raise ValueError("expected a mapping of training options, or none")


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


class WeightsBlock(Block):
    """Start from somebody else's checkpoint."""

    path: str
    layout: str


class ReportBlock(Block):
    """What the report compares and writes."""

    baseline: dict[str, Any] = Field(default_factory=dict, description="Factors that name the baseline's row")
    formats: list[str] = Field(default_factory=lambda: ["markdown", "csv"])
    columns: list[str] = Field(default_factory=list, description="Selectors of further columns")


class SuiteFile(Block):
    """A suite: which networks, trained on what, measured how."""

    suite: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name; the results folder is called so")
    question: str = Field("", description="What one wants to know; printed above the table")
    dataset: choice_of("datasets")  # type: ignore[valid-type]
    variants: VariantsBlock = Field(default_factory=VariantsBlock)  # type: ignore[arg-type]
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default_factory=lambda: [0], min_length=1)
    pretrain: dict[str, Any] | None = Field(None, description="Options of the harness `pretrain`")
    train: Annotated[Any, BeforeValidator(_none_or_mapping)] = Field(
        default_factory=dict, description="Options of the harness `train`, or none: weights stay as they are"
    )
    weights: WeightsBlock | None = None
    measure: list[choice_of("harnesses")] = Field(  # type: ignore[valid-type]
        default_factory=lambda: [Choice("accuracy"), Choice("activity")]
    )
    energy: list[str] = Field(default_factory=lambda: ["spikformer-paper"], description="Energy profiles, or paths of TOML files")
    report: ReportBlock = Field(default_factory=ReportBlock)  # type: ignore[arg-type]
    search: dict[str, Any] | None = None
    check: dict[str, Any] = Field(default_factory=dict)
    launcher: choice_of("launchers") = Choice("inline")  # type: ignore[valid-type]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_cells: int = Field(10_000, ge=1, description="Refuse a larger grid: it is usually a mistake")
