"""Blocks, widths, heads, thresholds as the variant says, parameters as its paper prints (references.md 1.1, 1.3, 1.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from spikebench.auditing.patient import NotApplicable, Patient
from spikebench.core.findings import Detail, Finding
from spikebench.core.published import Published, load_all
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.attentions._base import QKVAttention
from spikebench.networks.building import build
from spikebench.networks.encoder import MLP, Block
from spikebench.networks.network import ForeignNetwork, Network
from spikebench.networks.neurons._base import KernelNeuron
from spikebench.networks.presets import load

FIGURE = "largest relative difference of parameters from a printed number"
ROUNDING = 0.003
"""Relative: papers print four digits, and count LayerNorms that their code allocates and never uses."""
DATASETS: Mapping[str, InputSpec] = {
    "imagenet": InputSpec(3, 224, 1000),
    "cifar10": InputSpec(3, 32, 10),
    "cifar100": InputSpec(3, 32, 10),
    "cifar10-dvs": InputSpec(2, 128, 10, events=True),
    "dvs128-gesture": InputSpec(2, 128, 11, events=True),
}
"""What papers print parameters of: beside CIFAR-100 they repeat those of the network for CIFAR-10."""


class Check:
    """Of networks that carry their variant (``model.spec``); of another nobody has declared anything.

    Parameters are compared where the variant is a preset, built for the paper's data set and never run.
    """

    title = "Declared against published"
    order = 110

    def __call__(self, patient: Patient) -> Finding:
        model = patient.model
        if not isinstance(model, Network) or isinstance(model, ForeignNetwork):
            raise NotApplicable("nothing is declared: it carries no variant")
        faults = list(_structure(model, model.spec))
        printed = list(_printed(model.spec)) if model.spec in _presets() else []
        off = [(row, ours, theirs) for row, ours, theirs in printed if abs(ours / theirs - 1) > ROUNDING]
        figure = max((abs(ours / theirs - 1) for _, ours, theirs in printed), default=0.0)
        details = tuple(
            Detail("", f"parameters beside {row.system} {row.variant}", ours / theirs - 1) for row, ours, theirs in printed
        )
        words = [f"{patient.name(layer)} {what}" for layer, what in faults[:3]]
        words += [f"{ours:,} parameters where {row.source} prints {theirs:,}" for row, ours, theirs in off[:2]]
        if words:
            layer = patient.name(faults[0][0]) if faults else ""
            return Finding("declared", "fail", "; ".join(words), figure, FIGURE, layer, details)
        beside = (
            f"parameters are within {figure:.2%} of {len(printed)} printed numbers"
            if printed
            else "no paper prints its parameters"
        )
        return Finding(
            "declared",
            "pass",
            f"blocks, widths, heads and thresholds are the variant's; {beside}",
            figure,
            FIGURE,
            details=details,
        )


def _structure(model: nn.Module, spec: VariantSpec) -> Iterator[tuple[str, str]]:
    """What is not as the variant says: (path, words)."""
    blocks = [(name, module) for name, module in model.named_modules() if isinstance(module, Block)]
    if not blocks:
        return  # a network of somebody else's parts, SpikingJelly's for one
    if len(blocks) != spec.depth:
        yield blocks[-1][0], f"is the last of {len(blocks)} blocks, the variant has {spec.depth}"
    staged = spec.family.name == "qkformer"
    for name, block in blocks:
        # QKFormer's stages are a quarter, a half and the whole as wide.
        dim = spec.dim // 2 ** max(0, 2 - int(name.split(".")[1])) if staged else spec.dim
        hidden = round(dim * spec.mlp_ratio)
        for part, module in block.named_modules():
            path = f"{name}.{part}"
            if isinstance(module, MLP):
                for layer, wanted in ((module.fc1, (dim, hidden)), (module.fc2, (hidden, dim))):
                    yield from _width(path, layer, wanted)
            if isinstance(module, QKVAttention):
                if module.num_heads != spec.num_heads:
                    yield path, f"has {module.num_heads} heads, the variant {spec.num_heads}"
                for own in (*module.inputs, "proj"):
                    yield from _width(f"{path}.{own}", getattr(module, own), (dim, dim))
    yield from _thresholds(model, spec)


def _width(path: str, layer: Any, wanted: tuple[int, int]) -> Iterator[tuple[str, str]]:
    linear = getattr(layer, "linear", None)
    if isinstance(linear, nn.Linear) and (linear.in_features, linear.out_features) != wanted:
        yield path, f"is {linear.in_features} to {linear.out_features} wide, the variant's are {wanted[0]} to {wanted[1]}"


def _thresholds(model: nn.Module, spec: VariantSpec) -> Iterator[tuple[str, str]]:
    """The neuron's own everywhere, the attention's in the one behind its product."""
    own = getattr(spec.neuron.resolve("neurons"), "v_threshold", None)
    attentions = {f"{name}.neuron": module for name, module in model.named_modules() if isinstance(module, QKVAttention)}
    for name, module in model.named_modules():
        if isinstance(module, KernelNeuron):
            mixing = attentions.get(name)
            wanted = own if mixing is None else mixing.options.v_threshold
            if spec.family.name == "spikformer" and mixing is not None:
                wanted = getattr(spec.attention.resolve("attentions"), "v_threshold", wanted)
            if module.v_threshold != wanted:
                yield name, f"fires at {module.v_threshold:g}, the variant's at {wanted:g}"


def _presets() -> list[VariantSpec]:
    return [load(name) for name in REGISTRIES["presets"]]


def _printed(spec: VariantSpec) -> Iterator[tuple[Published, int, int]]:
    """(row, parameters here, parameters printed) of each row of a paper that is about this variant."""
    built: dict[str, int] = {}
    factors = {field: str(getattr(spec, field)) for field in VariantSpec.__dataclass_fields__}
    for row in load_all():
        printed = next((record.value for record in row.records if record.metric == "parameters"), None)
        if printed is None or row.dataset not in DATASETS or str(spec.T) != row.T or not row.is_of(factors):
            continue
        if row.dataset not in built:
            with torch.device("meta"):
                model = build(spec, DATASETS[row.dataset])
            built[row.dataset] = sum(parameter.numel() for parameter in model.parameters())
        yield row, built[row.dataset], int(printed)
