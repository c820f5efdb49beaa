"""What a training knows of the epochs behind it, and of the one that it is in."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One epoch's figures.

    ``training_loss``: mean over its samples, with smoothing and penalties, of the weights as they were then.

    ``learning_rate``: of its last step. ``seconds``: its optimisation steps, validation and checkpoint left out; ``throughput``:
    samples per second of those. ``loss`` and ``accuracy``: after it, on the validation split; None where nothing is validated.
    ``figures``: what else was found, by name. ``silent``: neuron layers without a spike in the whole epoch. ``memory``: bytes
    held after it, by tensors on a GPU, by the process on a CPU; ``peak``: most of it in its steps, 0 if unknown.
    ``test_accuracy``: with ``test_epochs`` alone, in fp32.
    """

    number: int
    training_loss: float
    learning_rate: float
    seconds: float
    throughput: float
    loss: float | None = None
    accuracy: float | None = None
    figures: dict[str, float] = dataclasses.field(default_factory=dict)
    silent: tuple[str, ...] = ()
    memory: int = 0
    peak: int = 0
    test_accuracy: float | None = None


@dataclasses.dataclass
class Progress:
    """How far an epoch is.

    ``order``: the randomness from which its order was drawn, (n,) uint8. ``step``: steps taken; ``samples`` seen in them;
    ``loss``: sum over these, 0-d float64; ``rate``: the last learning rate. ``sums``: what an objective adds up beside the loss,
    0-d float64 by name. ``seconds``: how long the steps took. ``silent``: neuron layers without a spike so far. ``peak``: bytes.
    """

    order: Tensor
    loss: Tensor
    step: int = 0
    samples: int = 0
    rate: float = 0.0
    seconds: float = 0.0
    sums: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    silent: list[str] = dataclasses.field(default_factory=list)
    peak: int = 0

    def add(self, name: str, value: Tensor) -> None:
        """Add a 0-d ``value`` to the sum called ``name``."""
        self.sums[name] = self.sums.get(name, torch.zeros_like(self.loss)) + value.detach()


def known(value: float | None) -> float:
    """A figure that every training of labels has."""
    assert value is not None, "a training has taken its first step, and is validated after each epoch"
    return value
