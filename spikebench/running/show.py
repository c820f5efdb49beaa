"""What the verb ``show`` prints: a network layer by layer, with nothing trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from spikebench.api import build, variant_of
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.suite import inputs_of
from spikebench.core.variant import COMPONENTS, InputSpec, VariantSpec

IMAGENET = InputSpec(3, 224, 1000)
CIFAR = InputSpec(3, 32, 10)


def show_variant(variant: str, dataset: str, changes: Sequence[str], audit: bool) -> None:
    """Print the layer table; with ``audit`` which layers receive anything but binary spikes. Raises InputError."""
    import torch
    from rich.console import Console

    from spikebench.activity import count
    from spikebench.reading.layers import audit_table, layer_table

    spec = variant_of(variant)
    spec = spec.replace(**_parse(changes)) if changes else spec
    inputs = guess_inputs(spec, variant) if dataset == "auto" else inputs_of(Choice(dataset))
    model = build(spec, inputs).eval()
    generator = torch.Generator().manual_seed(0)
    shape = (1, inputs.channels, inputs.size, inputs.size)
    image = torch.randn((spec.T, *shape) if inputs.events else shape, generator=generator)
    analysis = count(model, image)
    console = Console()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    size = f"{inputs.channels}x{inputs.size}x{inputs.size}, {inputs.classes} classes"
    console.print(f"[bold]{variant}[/bold] on {size}: {parameters:,} parameters, T = {spec.T}", highlight=False)
    console.print(_components(spec), highlight=False)
    table = audit_table if audit else layer_table
    console.print(table(analysis.to_pandas(), {name: p.numel() for name, p in model.named_parameters()}))
    console.print("operations per image over all T; events with untrained weights (seed 0) on one random image", style="dim")


def guess_inputs(spec: VariantSpec, name: str) -> InputSpec:
    """The shape that a preset was published with: its comment names the data set, its size decides."""
    if spec.dim <= 64:
        return inputs_of(Choice("digits"))
    return CIFAR if name in ("spikformer-2-384", "spikformer-4-256", "spikformer-4-384") else IMAGENET


def _parse(changes: Sequence[str]) -> dict[str, Any]:
    parsed = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"--set expects FIELD=VALUE, got {change!r}")
        parsed[name.strip()] = yaml.safe_load(value)
    return parsed


def _components(spec: VariantSpec) -> str:
    return ", ".join(f"{field} {getattr(spec, field)}" for field in COMPONENTS)
