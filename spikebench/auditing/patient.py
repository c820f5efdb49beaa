"""The network under audit: copies of it that checks may run, and its inputs, sample by sample."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from spikebench.activity.layout import Layout
from spikebench.activity.nested import named_parts, tensors_within
from spikebench.activity.neurons import known_neurons, reset_states
from spikebench.activity.state import undisturbed
from spikebench.auditing.calls import chosen
from spikebench.auditing.lively import calibrate, lively, norms, untrained

EXACT = 1e-9
"""Largest difference of float64 results, relative to their size, that rounding alone explains."""
MOST = 3
"""Samples that checks of single samples look at, besides a silent one."""


class Undecidable(Exception):  # noqa: N818 - no error: a check says with it that it cannot tell
    """Why a check could not tell."""


class NotApplicable(Exception):  # noqa: N818
    """Why a check does not apply."""


class Patient:
    """``model``: as given, never run itself. ``inputs``: its arguments. ``layout``: which axis holds samples, and which steps.

    ``neurons``, ``attentions``: module classes that are such, besides those known.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor | Sequence[Tensor],
        T: int | None = None,
        samples: int | None = None,
        neurons: Sequence[type[nn.Module]] = (),
        attentions: Sequence[type[nn.Module]] = (),
    ) -> None:
        self.model = model
        self.inputs: tuple[Tensor, ...] = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
        self.layout = Layout(model, self.inputs, T, samples)
        self.neurons = (*neurons, *getattr(model, "neuron_classes", ()))
        self.attentions = tuple(attentions)

    # samples and steps

    @property
    def axis(self) -> int:
        """The axis of the inputs that holds samples."""
        track = self.layout.track
        if track is None:
            raise Undecidable("it is not known which axis of the input holds the samples: give samples=")
        return track

    @property
    def samples(self) -> int:
        return self.layout.samples

    @property
    def batch_first(self) -> bool:
        return self.layout.track == 0 and self.layout.time_track == 1

    @cached_property
    def T(self) -> int | None:  # noqa: N802 - the field's name for it
        """Time steps, where the network, its input or the caller says so."""
        return self.layout.steps

    def some(self, inputs: Sequence[Tensor], indices: Sequence[int]) -> tuple[Tensor, ...]:
        return chosen(inputs, self.axis, self.samples, indices)

    @cached_property
    def few(self) -> tuple[Tensor, ...]:
        """Up to ``MOST`` samples in float64, and a silent one second: where averages over a batch show.

        Raises Undecidable where there are not two.
        """
        count = min(self.samples, MOST)
        if count < 2:
            raise Undecidable("one sample is no batch: give at least two")
        picked = self.some(self.exact_inputs, [0, 0, *range(1, count)])
        for x, given in zip(picked, self.exact_inputs, strict=True):
            if x is not given and x.is_floating_point():
                x.select(self.axis, 1).zero_()
        return picked

    def turned(self, few: Sequence[Tensor], order: Sequence[int]) -> tuple[Tensor, ...]:
        """The samples of ``few`` in another order, or some of them several times."""
        return chosen(few, self.axis, few[0].shape[self.axis], order)

    def one(self, inputs: Sequence[Tensor], index: int, samples: int) -> tuple[Tensor, ...]:
        """One sample of a batch of ``samples``."""
        return chosen(inputs, self.axis, samples, [index])

    # the twins

    @cached_property
    def is_untrained(self) -> bool:
        return untrained(self.model)

    def copy(self) -> nn.Module:
        """A copy in evaluation mode, at rest, without what is left of a graph. Raises Undecidable for what cannot be copied."""
        try:
            with undisturbed(self.model):
                reset_states(self.model)
                return copy.deepcopy(self.model).eval()
        except Exception as error:
            raise Undecidable(f"the network cannot be copied: {said(error)}") from error

    def twin(self, dtype: torch.dtype | None = None, wake: Callable[[nn.Module], object] | None = None) -> nn.Module:
        """A copy in ``dtype``; an untrained one woken by ``wake``, if given, and with BatchNorm's statistics of the inputs."""
        model = self.copy()
        inputs = self.inputs
        if dtype is not None:
            model = model.to(dtype)
            inputs = cast(inputs, dtype)
        if self.is_untrained:
            if wake is not None:
                wake(model)
            scratch = copy.deepcopy(model)
            calibrate(scratch, inputs)
            for (_, norm), (_, seen) in zip(norms(model), norms(scratch), strict=True):
                norm.load_state_dict(seen.state_dict())
        return model

    @cached_property
    def exact(self) -> nn.Module:
        """A float64 twin in evaluation mode, every layer of it firing if the network is untrained.

        Raises Undecidable for a network that does not run in float64: in less, rounding alone flips spikes.
        """
        try:
            model = self.twin(torch.float64, wake=lively)
            self.call(model, self.exact_inputs)
        except Undecidable:
            raise
        except Exception as error:
            raise Undecidable(f"it does not run in float64, without which rounding cannot be told: {said(error)}") from error
        return model

    @cached_property
    def exact_inputs(self) -> tuple[Tensor, ...]:
        return cast(self.inputs, torch.float64)

    @torch.no_grad()
    def call(self, model: nn.Module, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The tensors that ``model`` returns, called at rest and left as it was; random numbers as in every such call."""
        with undisturbed(model):
            reset_states(model)
            torch.manual_seed(0)
            return tuple(tensor.detach().clone() for tensor in tensors_within(model(*inputs)))

    # names

    def name(self, scope: str) -> str:
        """A module by its path, the whole by its class."""
        return scope or type(self.model).__name__

    def neuron_names(self, model: nn.Module) -> list[str]:
        """Paths of the neuron layers, in order of registration."""
        kinds = (*known_neurons(), *self.neurons)
        inside: list[str] = []
        for name, module in named_parts(model):
            if isinstance(module, kinds) and not any(name.startswith(f"{outer}.") for outer in inside):
                inside.append(name)
        return inside

    def has_norms(self) -> bool:
        return any(True for _ in norms(self.model))


def cast(inputs: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Floating-point inputs in ``dtype``."""
    return tuple(x.to(dtype) if x.is_floating_point() else x for x in inputs)


def said(error: BaseException) -> str:
    """An exception in one short line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:160]}" if first else type(error).__name__


def scale(tensors: Sequence[Tensor]) -> float:
    """The size of results, at least 1: what a tolerance is relative to."""
    finite = [float(x.abs().max()) for x in tensors if x.is_floating_point() and x.numel() and bool(x.isfinite().all())]
    return max([1.0, *finite])
