"""What happens at a step changes nothing before it; what sees later steps by design says so (PSN, arXiv 2304.12760)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spikebench.activity.nested import named_parts
from spikebench.auditing.calls import distance, steps_before
from spikebench.auditing.patient import EXACT, NotApplicable, Patient, Undecidable
from spikebench.auditing.watch import Event, Place, first_difference, watching
from spikebench.core.findings import Finding
from spikebench.networks.network import ForeignNetwork, Network

FIGURE = "largest change of an earlier step"


class Check:
    """In evaluation mode and float64: one step of the input is changed, and no module may show it in an earlier step.

    Of a network that is given images and repeats them itself, the first module that has steps is changed instead of the input.
    A module's ``looks_ahead(T)`` declares how many steps it takes together (``PSN`` all of them, chunked attention a chunk).
    """

    title = "Causality"
    order = 30

    def __call__(self, patient: Patient) -> Finding:
        inputs, sequence = _sequence(patient)
        T = inputs[0].shape[1 if patient.batch_first else 0] if sequence else patient.T
        if T is None:
            raise Undecidable("it is not known how many time steps it has: give T=")
        if T < 2:
            raise NotApplicable("one time step has no earlier one")
        together, names = _looks_ahead(patient.exact, T)
        if together >= T:
            raise NotApplicable(f"declared to see all {T} steps at once: {names}")
        looks = _Looks(patient, inputs, T, sequence)
        worst: Place | None = None
        for t in sorted({together, T // 2 // together * together or together, (T - 1) // together * together}):
            found = looks.earlier_than(t)
            worst = found if worst is None or (found is not None and found.difference > worst.difference) else worst
        if not looks.compared:
            raise Undecidable("no module's output has an axis of time steps")
        aside = f"; {names} takes {together} together, as declared" if together > 1 else ""
        if worst is None:
            said = f"changing one of {T} steps changes nothing before it, in any of {looks.compared} outputs of modules{aside}"
            return Finding("causality", "pass", said, 0.0, FIGURE)
        said = f"what comes at a step changes results of earlier ones: it cannot run step by step, as events arrive{aside}"
        return Finding("causality", "fail", said, worst.difference, FIGURE, patient.name(worst.layer))


class _Looks:
    def __init__(self, patient: Patient, inputs: Sequence[Tensor], T: int, sequence: bool) -> None:
        self.patient, self.inputs, self.T, self.sequence = patient, inputs, T, sequence
        self.samples = inputs[0].shape[1] if sequence and not patient.batch_first else inputs[0].shape[0]
        self.compared = 0
        self._entry = "" if sequence else self._first_with_steps()
        self._before = self._run(None)

    def earlier_than(self, t: int) -> Place | None:
        """Where step ``t`` of the input shows in an earlier one."""
        self.compared, seen = 0, self._run(t)

        def compare(a: Event, b: Event) -> float | None:
            return max((d for d in map(self._apart(a, t), a.tensors, b.tensors) if d is not None), default=None)

        return first_difference(self._before, seen, compare, EXACT)

    def _apart(self, event: Event, t: int) -> Any:
        def apart(one: Tensor, other: Tensor) -> float | None:
            found = [distance(x, y) for x, y in zip(self._steps(one, t), self._steps(other, t), strict=True)]
            if not found and self._calls.get(event.scope) == self.T:  # once a step
                found = [distance(one, other) if event.call < t else 0.0]
            self.compared += bool(found)
            return min(found, default=None)

        return apart

    def _steps(self, x: Tensor, t: int) -> list[Tensor]:
        return list(steps_before(x, t, self.T, self.samples, self.patient.batch_first))

    def _run(self, t: int | None) -> list[Event]:
        model, inputs = self.patient.exact, list(self.inputs)
        hooks = []
        if t is not None and self.sequence:
            inputs[0] = inputs[0].clone()
            step = inputs[0].select(1 if self.patient.batch_first else 0, t)
            step.copy_(_other(step))
        elif t is not None:
            module, calls = dict(named_parts(model))[self._entry], [0]

            def change(_: nn.Module, __: Any, output: Tensor) -> Tensor:
                calls[0] += 1
                return self._changed(output, t, calls[0] - 1)

            hooks.append(nn.Module.register_forward_hook(module, change))
        try:
            with watching(model) as events:
                self.patient.call(model, inputs)
        finally:
            for hook in hooks:
                hook.remove()
        self._calls = {event.scope: event.call + 1 for event in events}
        return events

    def _changed(self, output: Tensor, t: int, call: int) -> Tensor:
        if self._calls[self._entry] == self.T:
            return _other(output) if call == t else output
        changed = output.clone()
        steps = changed if changed.shape[0] == self.T else torch.unflatten(changed, 0, (self.T, self.samples))
        steps[t].copy_(_other(steps[t]))
        return steps.flatten(0, 1) if steps is not changed and changed.dim() == output.dim() else steps

    def _first_with_steps(self) -> str:
        """The first module whose output has time steps, of a network that makes them itself."""
        with watching(self.patient.exact) as events:
            self.patient.call(self.patient.exact, self.inputs)
        self._calls = {event.scope: event.call + 1 for event in events}
        for event in events:
            if event.kind == "out" and event.scope and len(event.tensors) == 1:
                x = event.tensors[0]
                if self._calls[event.scope] == self.T or tuple(x.shape[:2]) == (self.T, self.samples):
                    return event.scope
                if x.shape[:1] == (self.T * self.samples,) and self._calls[event.scope] == 1:
                    return event.scope
        raise Undecidable("it takes images, and no module inside has a step of its own that could be changed")


def _other(x: Tensor) -> Tensor:
    """Other values of the same kind: spikes become their opposites, numbers move by their size."""
    if bool(((x == 0) | (x == 1)).all()):
        return 1 - x
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype).to(x.device)
    return x + noise * x.abs().max().clamp_min(1)


def _sequence(patient: Patient) -> tuple[tuple[Tensor, ...], bool]:
    """Inputs that are a sequence of different steps where the network takes one, of a number of samples that is not T."""
    inputs = patient.exact_inputs
    count = min(patient.samples, 3)
    if patient.layout.time_track is not None:
        T = inputs[0].shape[patient.layout.time_track]
        return patient.some(inputs, range(count - (count == T and count > 1))), True
    if isinstance(patient.model, Network) and not isinstance(patient.model, ForeignNetwork) and len(inputs) == 1:
        T = patient.T or 1
        if T == 1 and not any(reason for reason in _refusals(patient.model, 4)):
            T = 4
        count -= count == T and count > 1
        images = patient.some(inputs, range(count))[0]
        noise = torch.randn(T, *images.shape, generator=torch.Generator().manual_seed(0), dtype=images.dtype)
        return (images + noise.to(images.device) * images.std(),), True
    T = patient.T or 0
    return patient.some(inputs, range(count - (count == T and count > 1))), False


def _refusals(model: nn.Module, T: int) -> list[str]:
    asks = (getattr(module, "steps_problem", None) for module in model.modules())
    return [reason for ask in asks if ask and (reason := ask(T))]


def _looks_ahead(model: nn.Module, T: int) -> tuple[int, str]:
    """How many steps are taken together by what declares it, at most, and by whom."""
    found = {name: int(look(T)) for name, module in model.named_modules() if (look := getattr(module, "looks_ahead", None))}
    together = max(found.values(), default=1)
    names = [name for name, steps in found.items() if steps == together > 1]
    return together, ", ".join(names[:2]) + (", ..." if len(names) > 2 else "")
