"""Checkpoints of the authors' own code, in our networks: same logits, and every component open to ablation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.variant import InputSpec
from spikebench.networks.building import build
from spikebench.networks.foreign._quirks import apply_quirks
from spikebench.networks.foreign._reading import Source, read_state
from spikebench.networks.foreign._translate import OPTIONAL, Translation, translate
from spikebench.networks.layouts import LAYOUTS
from spikebench.networks.network import Network

__all__ = ["LAYOUTS", "Transfer", "apply_quirks", "load_foreign", "load_into", "read"]


def load_foreign(
    source: Source,
    layout: str,
    *,
    num_heads: int | None = None,
    size: int | None = None,
    classes: int | None = None,
    ema: bool = False,
    batch_first: bool = False,
    quirks: str = "none",
    **spec: Any,
) -> Network:
    """The published network with its weights, in evaluation mode, on the CPU.

    ``source``: a state dict, or the path of a .pth, .pth.tar or .safetensors file (never run as code). ``layout``: a name of
    ``LAYOUTS``; CIFAR and ImageNet twins can have the same tensors and differ in pooling, so the name decides. Depth, width, MLP
    and classes are read from the tensors; ``num_heads`` cannot be and is the published one for the width, unless given. ``size``:
    side of the images if not that of the layout's data set. ``classes``: another number than the checkpoint's gives a new, random
    head, for fine-tuning. ``ema``: the averaged weights of a checkpoint that has both. ``batch_first``: sequences as
    (B, T, C, H, W), as the authors' event code takes them. ``quirks``: ``released`` reproduces the known faults of the released
    code (``LAYOUTS[layout].quirks``), which published numbers were had with; or one of them by name; ``none``: the network as its
    paper defines it. ``spec``: VariantSpec fields that differ from the published network
    (``T=6``, ``attention="sdsa"``): weights without a place then stay out, new components are random.

    Raises InputError: a file that cannot be read, an unknown layout, tensors that are missing, unknown or of a wrong shape (the
    first are named, and the layout that fits best), a quirk that the layout does not have, or fields that make no network.
    """
    found = read(source, layout, num_heads=num_heads, size=size, ema=ema)
    inputs = found.inputs
    if classes is not None:
        inputs = InputSpec(inputs.channels, inputs.size, classes, inputs.events)
    model = build(found.spec.replace(**spec), inputs)
    if spec.keys() <= {"T"}:
        _transfer(found, model, free="head." if inputs != found.inputs else None)
    else:
        _transfer(found, model, free="")
    apply_quirks(model, layout, quirks)
    model.batch_first = batch_first
    model.eval()
    return model


def read(source: Source, layout: str, *, num_heads: int | None = None, size: int | None = None, ema: bool = False) -> Translation:
    """What a checkpoint is in our terms: ``.spec``, ``.inputs`` and ``.state``. Raises as ``load_foreign``."""
    if layout not in LAYOUTS:
        raise InputError(Problem(f"unknown layout {layout!r}{nearest(layout, LAYOUTS)}", key="layout"))
    state = read_state(source, ema)
    try:
        return translate(state, LAYOUTS[layout], num_heads, size)
    except InputError as error:
        if isinstance(source, (str, Path)):
            raise InputError([replace(problem, file=str(source)) for problem in error.problems]) from None
        raise


class Transfer(NamedTuple):
    """What came over."""

    unused: list[str]
    """Tensors of the checkpoint, by our names, without a place in the model."""
    untouched: list[str]
    """Parameters and buffers of the model that kept their values."""


def load_into(model: Network, source: Source, layout: str, *, ema: bool = False, quirks: str = "none") -> Transfer:
    """Start ``model`` from a checkpoint: what has the same place and shape is copied, for ablation and fine-tuning.

    A head for other classes stays as it is. ``quirks``: as in ``load_foreign``. Raises InputError as ``load_foreign``, and if a
    shared tensor has another shape, or nothing is shared at all.
    """
    transfer = _transfer(read(source, layout, num_heads=model.spec.num_heads, ema=ema), model, free="")
    apply_quirks(model, layout, quirks)
    return transfer


@torch.no_grad()
def _transfer(found: Translation, model: Network, free: str | None) -> Transfer:
    """Copies what fits. Tensors whose names begin with ``free`` may be missing on either side; in the head, differ in shape."""
    target = model.state_dict()
    fitting, wrong, unused = {}, [], []
    for name, tensor in found.state.items():
        if name not in target:
            unused.append(name)
        elif _squeezed(tensor) == _squeezed(target[name]):
            fitting[name] = tensor
        elif name.startswith("head.") and free is not None:
            unused.append(name)
        else:
            wrong.append(f"{found.theirs(name)} is {tuple(tensor.shape)}, expected {tuple(target[name].shape)}")
    untouched = [name for name in target if name not in fitting and not name.endswith(OPTIONAL)]
    lost = {
        "wrong shape": wrong,
        "no place for": [found.theirs(name) for name in unused if free is None or not name.startswith(free)],
        "missing": [found.theirs(name) for name in untouched if free is None or not name.startswith(free)],
    }
    problems = [Problem(f"{what}: {'; '.join(names[:4])}") for what, names in lost.items() if names]
    if not fitting:
        problems.append(Problem("the checkpoint and the network share no tensor"))
    if problems:
        raise InputError(problems)
    for name, tensor in fitting.items():
        target[name].copy_(tensor.reshape(target[name].shape))
    return Transfer(unused, untouched)


def _squeezed(tensor: Tensor) -> tuple[int, ...]:
    """The shape without the ones at its end: a 1x1 convolution is a matrix."""
    shape = list(tensor.shape)
    while len(shape) > 1 and shape[-1] == 1:
        shape.pop()
    return tuple(shape)
