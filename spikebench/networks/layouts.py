"""Which layer of a published network is which of ours, and what its tensors do not say (facts read from the released code).

A layout is a table of layers, theirs -> ours; a layer's tensors (weight, bias, running_mean, ..) keep their names, and only the
shapes of 1x1 convolutions differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikebench.core.errors import InputError, Problem, nearest

Layers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Stack:
    """Blocks ``theirs.0``, ``theirs.1``, .. that are ``ours.0``, ..; ``layers`` of each; ``fc1``: their MLP's first layer.

    ``dims``: of an attention weight and an MLP weight, 2 for a linear layer, 3 or 4 for a 1x1 convolution: layouts with the same
    names differ in them. None where the released code was not read that closely.
    """

    theirs: str
    ours: str
    layers: Layers
    fc1: str
    dims: tuple[int, int] | None = None


@dataclass(frozen=True)
class Layout:
    """A published network. ``layers`` stand outside blocks, ``stacks`` hold the blocks, ``first`` sees the image.

    ``fields``: the VariantSpec apart from what tensors tell (depth, dim, mlp_ratio, q/k/v bias). ``num_heads``: as published, by
    width; a width that is not listed must be given. ``size``: of the images it was trained on. ``quirks``: faults of the released
    code, which its checkpoints were trained with, by name, in a sentence.
    """

    name: str
    first: str
    layers: Layers
    stacks: tuple[Stack, ...]
    fields: Mapping[str, Any]
    num_heads: Mapping[int, int] | int
    size: int
    events: bool = False
    quirks: Mapping[str, str] = field(default_factory=dict)

    def chosen(self, quirks: str) -> tuple[str, ...]:
        """Names of the quirks that ``none``, ``released`` or a name asks for. Raises InputError for one that it lacks."""
        if quirks == "none":
            return ()
        if quirks == "released":
            return tuple(self.quirks)
        if quirks not in self.quirks:
            hint = nearest(quirks, ["none", "released", *self.quirks])
            raise InputError(Problem(f"layout {self.name} has no quirk {quirks!r}{hint}", key="quirks"))
        return (quirks,)


def _layers(*pairs: str) -> Layers:
    """``"theirs -> ours"`` for a convolution or linear layer and the BatchNorm after it: ``{conv,bn}`` names theirs."""
    out = []
    for pair in pairs:
        theirs, ours = pair.split(" -> ")
        stem, names = theirs.split("{")
        weight, norm = names.rstrip("}").split(",")
        out += [(stem + weight, ours), (stem + norm, ours.rpartition(".")[0] + ".norm")]
    return tuple(out)


def _attention(name: str, kind: str, parts: str) -> tuple[str, ...]:
    return tuple(f"{name}.{{{part}_{kind},{part}_bn}} -> attention.{part}.linear" for part in parts.split())


def _mlp(kind: str, first: str = "fc1", second: str = "fc2") -> tuple[str, ...]:
    return tuple(
        f"mlp.{{{theirs}_{kind},{theirs}_bn}} -> mlp.{ours}.linear" for theirs, ours in ((first, "fc1"), (second, "fc2"))
    )


HEAD: Layers = (("head", "head.linear"),)
SPS = (
    *_layers(
        *(f"patch_embed.{{proj_conv{end},proj_bn{end}}} -> stem.stages.{i}.conv" for i, end in enumerate(("", "1", "2", "3"))),
        "patch_embed.{rpe_conv,rpe_bn} -> stem.position.conv",
    ),
    *HEAD,
)
TOKENIZER = (
    *_layers(
        "patch_embed.{block0_conv,block0_bn} -> stem.first.conv",
        *(f"patch_embed.{{block{i + 1}_conv,block{i + 1}_bn}} -> stem.stages.{i}.conv" for i in range(4)),
    ),
    *HEAD,
)
PEDS = (
    *_layers(
        "patch_embed1.{proj_conv,proj_bn} -> stages.0.embedding.pixels.conv",
        "patch_embed1.{proj1_conv,proj1_bn} -> stages.0.embedding.deep.0.conv",
        "patch_embed1.{proj_res_conv,proj_res_bn} -> stages.0.embedding.shortcut.conv",
        *(
            f"patch_embed{i + 1}.{{{name}_conv,{name}_bn}} -> stages.{i}.embedding.{ours}.conv"
            for i in (1, 2)
            for name, ours in (("proj3", "deep.0"), ("proj4", "deep.1"), ("proj_res", "shortcut"))
        ),
    ),
    *HEAD,
)
THIRD_CONV = _layers("patch_embed1.{proj2_conv,proj2_bn} -> stages.0.embedding.deep.1.conv")


def _blocks(kind: str, mlp: tuple[str, ...], dims: tuple[int, int]) -> tuple[Stack, ...]:
    layers = _layers(*_attention("attn", kind, "q k v proj"), *mlp)
    return (Stack("block", "blocks", layers, fc1=layers[8][0], dims=dims),)


def _qk_blocks() -> tuple[Stack, ...]:
    mlp = _mlp("conv", "mlp1", "mlp2")
    token, full = (
        _layers(*_attention("tssa", "conv", "q k proj"), *mlp),
        _layers(*_attention("ssa", "conv", "q k v proj"), *mlp),
    )
    return tuple(
        Stack(f"stage{i + 1}", f"stages.{i}.blocks", layers, fc1="mlp.mlp1_conv") for i, layers in enumerate((token, token, full))
    )


KV_FIRST, QK_FIRST = {"published_order": "kv_first"}, {"published_order": "qk_first"}
SPIKINGFORMER = {"stem": "spikingformer", "residual": "membrane"}
SDT = {"stem": "sdt", "attention": "sdsa", "residual": "membrane", "head": "spiking"}
CIFAR_HEADS = {256: 8, 384: 12}
CARRIED = {
    "carried_state": "the neuron behind the last stage's projections runs on from image to image of a batch (references.md 1.11)"
}

LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "spikformer-cifar",
            "patch_embed.proj_conv",
            SPS,
            _blocks("linear", _mlp("linear"), (2, 2)),
            {"stem": {"name": "sps", "patch_size": 4}, "attention": {"name": "ssa", **QK_FIRST}},
            CIFAR_HEADS,
            32,
        ),
        Layout(
            "spikformer-imagenet",
            "patch_embed.proj_conv",
            SPS,
            _blocks("conv", _mlp("conv"), (3, 4)),
            {"stem": {"name": "sps", "patch_size": 16}, "attention": {"name": "ssa", **KV_FIRST}},
            8,
            224,
        ),
        Layout(
            "spikformer-dvs",
            "patch_embed.proj_conv",
            SPS,
            _blocks("conv", _mlp("conv"), (3, 3)),
            {"stem": {"name": "sps", "patch_size": 16}, "attention": {"name": "ssa", "scale": 0.25, **QK_FIRST}, "T": 16},
            {256: 16},
            128,
            events=True,
        ),
        Layout(
            "spikingformer-cifar",
            "patch_embed.block0_conv",
            TOKENIZER,
            _blocks("conv", _mlp("conv", "mlp1", "mlp2"), (3, 4)),
            {**SPIKINGFORMER, "stem": {"name": "spikingformer", "patch_size": 4}, "attention": {"name": "ssa", **QK_FIRST}},
            CIFAR_HEADS,
            32,
        ),
        Layout(
            "spikingformer-imagenet",
            "patch_embed.block0_conv",
            TOKENIZER,
            _blocks("conv", _mlp("conv", "mlp1", "mlp2"), (3, 4)),
            {**SPIKINGFORMER, "stem": {"name": "spikingformer", "patch_size": 16}, "attention": {"name": "ssa", **KV_FIRST}},
            8,
            224,
        ),
        Layout(
            "sdt-cifar",
            "patch_embed.proj_conv",
            SPS,
            _blocks("conv", _mlp("conv"), (4, 4)),
            {**SDT, "stem": {"name": "sdt", "patch_size": 4}},
            8,
            32,
        ),
        Layout(
            "sdt-imagenet",
            "patch_embed.proj_conv",
            SPS,
            _blocks("conv", _mlp("conv"), (4, 4)),
            {**SDT, "stem": {"name": "sdt", "patch_size": 16}},
            8,
            224,
        ),
        Layout(
            "qkformer-cifar",
            "patch_embed1.proj_conv",
            PEDS,
            _qk_blocks(),
            {"family": {"name": "qkformer", "first_patch": 1}},
            8,
            32,
            quirks=CARRIED,
        ),
        Layout(
            "qkformer-imagenet",
            "patch_embed1.proj_conv",
            (*PEDS, *THIRD_CONV),
            _qk_blocks(),
            {"family": {"name": "qkformer", "first_patch": 4}},
            8,
            224,
            quirks=CARRIED,
        ),
    )
}
"""Released code was read for the CIFAR layouts, ``spikformer-imagenet`` and ``spikformer-dvs``. The other ImageNet ones take the
same tensor names with the pooling of 224x224 images, which is an assumption; ``qkformer-imagenet`` has one convolution more."""

DEAD = (
    r"block\.\d+\.norm[12]\.(weight|bias)",
    r"stage\d\.\d+\.norm[12]\.(weight|bias)",
    r"pos_embed\d?",
    r"norm\.(weight|bias)",
    r"block\.\d+\.attn\.talking_heads\.weight",
)
"""Tensors that the released code allocates and never uses."""
