"""A pre-trained network looked at once: what a masked step costs, and what it paints."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from spikebench.core.records import Record, Scalar
from spikebench.harnesses._memory.allocations import bytes_of, peak
from spikebench.harnesses._pretraining.metrics import EVENTS, EXAMPLE, MACS, PEAK
from spikebench.networks.masked import MaskedNetwork
from spikebench.training.optimizers import make_optimizer
from spikebench.training.options import TrainingOptions

EXAMPLES = 6
LARGEST = 64
"""Pixels on a side up to which images are kept in records."""


def counts(model: MaskedNetwork, x: Tensor, mask: Tensor) -> Iterator[Record]:
    """MACs and events of one image, means over ``x``."""
    from spikebench.activity import count

    training = model.training
    found = count(model.eval(), (x, mask))
    model.train(training)
    images = found.samples
    encoder = sum(site.events for site in found.sites if site.synaptic and site.scope.startswith("network."))
    if found.not_counted:
        reason = "; ".join(f"{part.scope}: {part.reason}" for part in found.not_counted[:3])
        yield Record.absent(MACS, reason)
        yield Record.absent(EVENTS, reason)
        return
    yield Record.of(MACS, sum(site.dense_macs for site in found.sites if site.synaptic) / images)
    yield Record.of(EVENTS, encoder / images)


def peak_memory(model: MaskedNetwork, x: Tensor, mask: Tensor, options: TrainingOptions) -> Iterator[Record]:
    """Of the second optimisation step of a copy: the optimizer's state is there by then."""
    twin = copy.deepcopy(model).train()
    optimizer = make_optimizer(twin, options)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        twin(x, mask).loss.backward()
        optimizer.step()

    step()
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    alive = bytes_of([*twin.parameters(), *twin.buffers(), *states, x, mask])
    yield Record.of(PEAK, peak(step, x.device, alive).allocated, conditions={"batch_size": len(mask)})


@torch.no_grad()
def examples(model: MaskedNetwork, x: Tensor, mask: Tensor) -> Iterator[Record]:
    """Three records for each image: ``input``, ``masked`` (hidden pixels at the image's lowest value) and ``reconstruction``."""
    if x.shape[-1] > LARGEST:
        yield Record.absent(EXAMPLE, f"images of more than {LARGEST} x {LARGEST} pixels are not kept in records")
        return
    training = model.training
    found = model.eval()(x, mask)
    model.train(training)
    images = x.mean(0) if x.dim() == 5 else x
    painted = model.pixels(x, found.reconstruction)
    hidden = model.unpatch(mask.unsqueeze(-1).expand(-1, -1, model.patch(images).shape[2]).float()) > 0
    shown = torch.where(hidden, images.amin((1, 2, 3), keepdim=True), images)
    for index in range(len(images)):
        error = float((painted[index] - images[index]).square()[hidden[index]].mean())
        for part, pixels in (("input", images), ("masked", shown), ("reconstruction", painted)):
            conditions: dict[str, Scalar] = {"image": index, "part": part, "channels": pixels.shape[1]}
            samples = [round(value, 4) for value in pixels[index].flatten().tolist()]
            yield Record.of(EXAMPLE, error, conditions=conditions, samples=samples)
