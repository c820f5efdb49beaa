"""Activation checkpointing: in training, what blocks keep for the backward pass is computed again there (arXiv 1604.06174)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spikebench.core.errors import InputError, Problem
from spikebench.networks import batch_parts, rates
from spikebench.networks.encoder import Block
from spikebench.networks.stems._stage import Stage
from spikebench.training.options import Checkpointing


def recomputing(model: nn.Module, how: Checkpointing) -> AbstractContextManager[None]:
    """Inside the block, training passes of ``model`` recompute, and give the same gradients to the bit.

    ``blocks``: each encoder block, and each stage of the stem, keeps its input alone. ``spikingjelly``: SpikingJelly's ``memopt``
    on its own Spikformer, with inputs that are spikes kept at a bit each. BatchNorm's statistics see a batch once, and dropout
    draws what it drew. Raises InputError for a network without such parts.
    """
    if how == "off":
        return nullcontext()
    parts = _blocks(model) if how == "blocks" else _spikingjellys(model)
    if not parts:
        which = "family sj has" if how == "spikingjelly" else "blocks of ours have"
        message = f"nothing here can be recomputed as {how!r}: this network has none of the modules that {which}"
        raise InputError(Problem(message, key="activation_checkpointing"))
    return _patched([module for module, _ in parts]) if how == "blocks" else _swapped(model, parts)


def _blocks(model: nn.Module) -> list[tuple[nn.Module, bool]]:
    """The outermost ones."""
    found: list[nn.Module] = []
    inside: set[nn.Module] = set()
    for module in model.modules():
        if module not in inside and isinstance(module, (Block, Stage)):
            found.append(module)
            inside.update(module.modules())
    return [(module, False) for module in found]


@contextmanager
def _patched(blocks: list[nn.Module]) -> Iterator[None]:
    """Their ``forward`` is another one inside; the modules stay what they are, to whoever copies or stores them."""
    for block in blocks:
        block.forward = _twice(block, block.forward)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def _twice(block: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and block.training):
            return forward(x)
        # The second pass may run in a thread of the backward pass, when what surrounds this one is over.
        add, collecting = batch_parts.adding(), rates.collecting()

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _second_pass(block, add, collecting)

        out: Tensor = checkpoint(forward, x, use_reentrant=False, context_fn=contexts)
        return out

    return run


@contextmanager
def _second_pass(block: nn.Module, add: batch_parts.Sum | None, collecting: bool) -> Iterator[None]:
    """What the pass changes beside its output, it changes in copies; it runs as the first one did."""
    kept = [(module, dict(module._buffers)) for module in block.modules()]
    for module, buffers in kept:
        for name, buffer in buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.clone()
    with ExitStack() as around:
        if add is not None:
            around.enter_context(batch_parts.together(add))
        if collecting:
            around.enter_context(rates.collecting_rates())
        try:
            yield
        finally:
            for module, buffers in kept:
                module._buffers.update(buffers)


def _spikingjellys(model: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Blocks and stages of SpikingJelly's Spikformer, and whether spikes go in: into its stem's stages after the first."""
    from spikingjelly.activation_based.model import spikformer

    found: list[tuple[nn.Module, bool]] = []
    for module in model.modules():
        if isinstance(module, spikformer.SpikformerPatchStem):
            stages: Any = module.stages
            found += [(stage, number > 0) for number, stage in enumerate(stages)]
            found.append((module.positional_encoding, True))
        elif isinstance(module, spikformer.SpikformerBlock):
            found.append((module, False))
    return found


@contextmanager
def _swapped(model: nn.Module, parts: list[tuple[nn.Module, bool]]) -> Iterator[None]:
    from spikingjelly.activation_based import memopt

    names = {module: name for name, module in model.named_modules()}
    if model.training:
        for module, spikes in parts:
            compressor = memopt.BitSpikeCompressor() if spikes else None
            model.set_submodule(names[module], memopt.checkpoint_module(module, compressor=compressor))
    try:
        yield
    finally:
        for module, _ in parts:
            model.set_submodule(names[module], module)
