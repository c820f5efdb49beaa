"""What the verb ``show`` prints: a network layer by layer, with nothing trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spikebench.api import build, variant_of
from spikebench.core.choice import Choice
from spikebench.core.console import standard_output
from spikebench.core.errors import InputError
from spikebench.core.garbage import not_searched
from spikebench.core.grid import combine
from spikebench.core.registry import REGISTRIES
from spikebench.core.suite import inputs_of
from spikebench.core.text import printable
from spikebench.core.variant import COMPONENTS, InputSpec, VariantSpec
from spikebench.data import load
from spikebench.running.verbs._aligned import aligned, width_of
from spikebench.running.verbs._given import parse_changes, parse_value

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spikebench.derived.sites import Site

IMAGENET = InputSpec(3, 224, 1000)
CIFAR = InputSpec(3, 32, 10)
DVS = InputSpec(2, 128, 10, events=True)


@not_searched()
def show_variant(variant: str, dataset: str, changes: Sequence[str], cross_check: bool) -> None:
    """Print the layer table; with ``cross_check`` what fvcore and torch count. Raises InputError."""
    import torch
    from rich.text import Text

    from spikebench.activity import count
    from spikebench.networks import resolve

    spec = variant_of(variant)
    spec = combine(spec.to_plain(), parse_changes(changes)) if changes else spec
    if dataset == "auto" and variant not in REGISTRIES["presets"]:
        raise InputError(f"what is {variant} fed? Say --dataset, as in a suite")
    inputs = guess_inputs(variant) if dataset == "auto" else load(parse_value(dataset, "--dataset")).inputs
    meant = spec.meant()
    if "stem" not in meant:
        spec = resolve(spec, inputs)
    # In training mode BatchNorm takes the image's own statistics: with untrained running ones hardly a neuron would fire.
    torch.manual_seed(0)
    model = build(spec, inputs).train()
    generator = torch.Generator().manual_seed(0)
    shape = (1, inputs.channels, inputs.size, inputs.size)
    image = torch.randn((spec.T, *shape) if inputs.events else shape, generator=generator)
    with torch.inference_mode():
        analysis = count(model, image)
    screen = standard_output()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    size = f"{inputs.channels}x{inputs.size}x{inputs.size}, {inputs.classes} classes"
    screen.print(Text(variant, style="bold"), f"on {size}: {parameters:,} parameters, T = {spec.T}{_why(spec, variant, changes)}")
    screen.print(", ".join(f"{field} {getattr(spec, field)}" for field in COMPONENTS if field in meant))
    lines = _layer_table(analysis.sites, model, width_of(screen))
    screen.out("\n".join(map(printable, lines)), highlight=False)
    if cross_check:
        screen.print(_cross_check(analysis.sites, model, image))
    for missing in analysis.not_counted:
        screen.print(f"not counted: {missing.operation} in {missing.scope or 'the network'}: {missing.reason}")
    screen.print(
        "per image over all T; events of untrained weights on one random image, BatchNorm with its statistics", style="dim"
    )


def _why(spec: VariantSpec, variant: str, changes: Sequence[str]) -> str:
    """Where the T of somebody's own network is from, which says nothing of it; "" for a preset, and for who has set it."""
    takes = getattr(REGISTRIES["families"].get(spec.family.name), "takes", None)
    if takes is None or variant in REGISTRIES["presets"]:
        return ""
    if "T" not in takes:
        return " (its function takes no T)"
    return "" if "T" in parse_changes(changes) else " (as in a suite that gives none; --set T=2 gives another)"


def _cross_check(sites: Sequence[Site], model: nn.Module, image: Tensor) -> str:
    """fvcore and torch know no elementwise product of activations, so ours is shown without."""
    from spikebench.activity.cross_check import dense_macs_elsewhere

    ours = sum(site.dense_macs for site in sites if site.synaptic and site.operation != "hadamard")
    others = dense_macs_elsewhere(model.eval(), image)
    counted = ", ".join(f"{tool} {macs:,} ({'equal' if macs == ours else f'{macs - ours:+,}'})" for tool, macs in others.items())
    return f"dense MACs without elementwise products: ours {ours:,}, {counted}"


def _layer_table(sites: Sequence[Site], model: nn.Module, width: int | None) -> list[str]:
    """A row per synaptic operation, one for the parameters of all else, and the sums of the columns."""
    layers = [site for site in sites if site.synaptic]
    parameters = _parameters([site.scope for site in layers], model)
    whole = sum(parameter.numel() for parameter in model.parameters())
    rows: list[tuple[Any, ...]] = [
        (site.scope, site.operation, site.input, own, site.dense_macs, site.events, site.nonzero_fraction)
        for site, own in zip(layers, parameters, strict=True)
    ]
    rest = whole - sum(own or 0 for own in parameters)
    rows += [("norms, neurons and others", "", "", rest, None, None, None)] if rest else []
    sums = (sum(site.dense_macs for site in layers), sum(site.events for site in layers))
    rows.append(("whole network", "", "", whole, *sums, None))
    heads = ("layer", "operation", "input", "parameters", "MACs (dense)", "SOPs (events)", "nonzero")
    return aligned([heads, *(tuple(map(_cell, row)) for row in rows)], [name in _NUMBERS for name in heads], width)


def _parameters(scopes: Sequence[str], model: nn.Module) -> list[int | None]:
    """Each layer's own parameters, at its first operation: no parameter is in two rows."""
    modules, seen = dict(model.named_modules()), set()
    found: list[int | None] = []
    for scope in scopes:
        own = [p for p in modules[scope].parameters(recurse=False) if id(p) not in seen] if scope in modules else []
        seen |= {id(parameter) for parameter in own}
        found.append(sum(parameter.numel() for parameter in own) or None)
    return found


_NUMBERS = ("parameters", "MACs (dense)", "SOPs (events)", "nonzero")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else ("" if value is None else str(value))


def guess_inputs(name: str) -> InputSpec:
    """The input that a preset was published with, which its description names; CIFAR's where it names none."""
    described = REGISTRIES["presets"].describe(name)
    if "digits" in described:
        return inputs_of(Choice("digits"))
    if "DVS" in described:
        return DVS
    return CIFAR if "CIFAR" in described else IMAGENET
