"""Other shapes and layouts than it was tried with: it works or refuses in plain words, and never answers wrongly."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from spikebench.activity.nested import tensors_within
from spikebench.auditing.calls import distance
from spikebench.auditing.patient import EXACT, Patient, said, scale
from spikebench.auditing.watch import unfinished, watching
from spikebench.core.errors import InputError
from spikebench.core.findings import Finding

REFUSALS = (InputError, ValueError, AssertionError, NotImplementedError)
"""Exceptions by which somebody says on purpose that this cannot be done; others are accidents of indexing and shapes."""
ONE_IN_TRAINING = "one image in training"
"""Which torch's BatchNorm refuses where it has one value a channel, and every epoch ends with such a batch by chance."""
FIGURE = "ways in which it breaks"


class Check:
    """Contiguous or not, channels first or last in memory: the same results. Images that are not square, one image in training,
    other time steps: finite results, or a refusal. After other time steps the old ones give what they gave.
    """

    title = "Shape and layout"
    order = 100

    def __call__(self, patient: Patient) -> Finding:
        tries = _Tries(patient)
        images = patient.inputs[0].dim() in (4, 5)
        ways: dict[str, Callable[[], None]] = {"an input that is not contiguous": tries.strided}
        if images:
            ways |= {"channels last in memory": tries.channels_last, "images that are not square": tries.not_square}
        ways[ONE_IN_TRAINING] = tries.one_in_training
        if isinstance(getattr(patient.model, "T", None), int) or patient.layout.time_track is not None:
            ways["other time steps"] = tries.other_steps
        refused, broken, layer = [], [], ""
        for words, attempt in ways.items():
            try:
                attempt()
            except Exception as reason:
                if isinstance(reason, InputError if words == ONE_IN_TRAINING else REFUSALS):
                    refused.append(f"{words} ({said(reason)})")
                    continue
                broken.append(f"{words}: {reason if isinstance(reason, _Wrong) else said(reason)}")
                layer = layer or tries.place
        aside = f"; it refuses {', '.join(refused)}" if refused else ""
        if not broken:
            return Finding("layout", "pass", f"{len(ways) - len(refused)} other shapes and layouts work{aside}", 0, FIGURE)
        return Finding("layout", "fail", f"it breaks with {'; '.join(broken)}{aside}", len(broken), FIGURE, layer)


class _Wrong(Exception):  # noqa: N818
    """A result that is not what it should be."""


class _Tries:
    """``place``: the module that ran last when an attempt ended."""

    def __init__(self, patient: Patient) -> None:
        self.patient, self.place = patient, ""
        self.expected = patient.call(patient.exact, patient.exact_inputs)

    def strided(self) -> None:
        first, *rest = self.patient.exact_inputs
        wide = torch.zeros(*first.shape[:-1], 2 * first.shape[-1], dtype=first.dtype, device=first.device)
        wide[..., ::2] = first
        self._same((wide[..., ::2], *rest))

    def channels_last(self) -> None:
        first, *rest = self.patient.exact_inputs
        last = first.movedim(-3, -1).contiguous().movedim(-1, -3)
        self._same((last, *rest))

    def not_square(self) -> None:
        """Half as high and twice as wide: as many pixels, where halves there are."""
        first, *rest = self.patient.exact_inputs
        H = first.shape[-2]
        halves = (first, first) if H % 2 else first.chunk(2, -2)
        wide = torch.cat(tuple(halves), -1)
        out = self._run(self.patient.exact, (wide, *rest))
        _finite(out)
        for given, expected in zip(out, self.expected, strict=False):
            if given.shape != expected.shape and expected.dim() == 2:
                raise _Wrong(f"results of shape {tuple(given.shape)} in place of {tuple(expected.shape)}")

    def one_in_training(self) -> None:
        patient = self.patient
        model = copy.deepcopy(patient.exact).train()
        inputs = patient.some(patient.exact_inputs, [0])
        with torch.enable_grad():
            out = [x for x in self._run(model, inputs, training=True) if x.is_floating_point()]
            _finite(out)
            loss = torch.stack([x.sum() for x in out if x.requires_grad]).sum()
            loss.backward()  # type: ignore[no-untyped-call]

    def other_steps(self) -> None:
        patient, model = self.patient, copy.deepcopy(self.patient.exact)
        axis = patient.layout.time_track
        if axis is not None:
            first, *rest = patient.exact_inputs
            _finite(self._run(model, (torch.cat([first, first.narrow(axis, 0, 1)], axis), *rest)))
            if first.shape[axis] > 1:
                _finite(self._run(model, (first.narrow(axis, 0, first.shape[axis] - 1), *rest)))
        else:
            T = int(model.T)  # type: ignore[arg-type]
            for steps in (T + 1, *([T - 1] if T > 1 else [])):
                model.T = steps  # type: ignore[assignment]
                _finite(self._run(model, patient.exact_inputs))
            model.T = T  # type: ignore[assignment]
        again = self._run(model, patient.exact_inputs)
        if max(map(distance, again, self.expected), default=0.0) > EXACT * scale(self.expected):
            raise _Wrong("afterwards the old time steps give other results")

    def _same(self, inputs: Sequence[Tensor]) -> None:
        difference = max(map(distance, self._run(self.patient.exact, inputs), self.expected), default=0.0)
        if difference > EXACT * scale(self.expected):
            raise _Wrong(f"results differ by {difference:.2g}")

    def _run(self, model: nn.Module, inputs: Sequence[Tensor], training: bool = False) -> tuple[Tensor, ...]:
        with watching(model) as events:
            try:
                if training:
                    return tuple(tensors_within(model(*inputs)))
                return self.patient.call(model, inputs)
            except BaseException:
                place = unfinished(events)
                self.place = "" if place is None else self.patient.name(place)
                raise


def _finite(out: Sequence[Tensor]) -> None:
    if not all(bool(x.isfinite().all()) for x in out if x.is_floating_point()):
        raise _Wrong("results are not finite")
