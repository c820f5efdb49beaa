"""How many spikes flip in bf16, fp16 and TF32, layer by layer, and where the answer changes (Micikevicius et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from spikebench.auditing.low_precision import PRECISIONS, LowPrecision
from spikebench.auditing.neurons import neuron_layers
from spikebench.auditing.patient import NotApplicable, Patient, Undecidable
from spikebench.core.findings import Detail, Finding

FIGURE = "share of images whose answer changes, in the worst precision"


class Check:
    """Against float64, in evaluation mode; ``low_precision`` says what is rounded. Flips go on from layer to layer, as they do.

    The layer is where it starts to matter: with all products before it in low precision the answers are still right, with its own
    they are not. The answers of an untrained network mean nothing; its flips are counted all the same.
    """

    title = "Precision"
    order = 80

    def __call__(self, patient: Patient) -> Finding:
        runs = _Runs(patient)
        right = runs.answers(None)
        if right is None:
            raise Undecidable("its first output is not logits (..., classes)")
        details: list[Detail] = []
        changed: dict[str, float] = {}
        layers: dict[str, str] = {}
        for precision in PRECISIONS:
            mode = LowPrecision(precision)
            answers = runs.answers(mode)
            details += [Detail(layer, precision, share) for layer, share in runs.flips().items()]
            if not mode.scopes:
                raise NotApplicable("it has no convolution and no matrix product")
            changed[precision] = _share(right, answers)
            if changed[precision]:
                layers[precision] = patient.name(self._starts(runs, precision, right, mode.scopes))
        flipped = {name: max((d.value for d in details if d.of == name), default=0.0) for name in PRECISIONS}
        flips = ", ".join(f"{name} {share:.2%}" for name, share in flipped.items())
        worst = max(changed, key=lambda name: changed[name])
        told = f"spikes flipped in the layer with most: {flips}" if runs.names else "it has no neuron layers"
        if not changed[worst]:
            return Finding("precision", "pass", f"no answer changes; {told}", 0.0, FIGURE, details=tuple(details))
        if patient.is_untrained:
            said = f"untrained, so that answers are near-ties; {told}"
            return Finding("precision", "could not tell", said, changed[worst], FIGURE, details=tuple(details))
        where = ", ".join(f"{name} from {layers[name]} on ({share:.0%} of images)" for name, share in changed.items() if share)
        return Finding(
            "precision", "fail", f"answers change: {where}; {told}", changed[worst], FIGURE, layers[worst], tuple(details)
        )

    @staticmethod
    def _starts(runs: _Runs, precision: str, right: Tensor, scopes: Sequence[str]) -> str:
        """Where one product more in low precision makes the answers wrong: by halving, one place of several where there are."""
        fine, wrong = 0, len(scopes)
        while wrong - fine > 1:
            middle = (fine + wrong) // 2
            if _share(right, runs.answers(LowPrecision(precision, middle))):
                wrong = middle
            else:
                fine = middle
        return scopes[wrong - 1]


class _Runs:
    """Runs of one network, their answers and their spikes."""

    def __init__(self, patient: Patient) -> None:
        self.patient, self.model = patient, patient.exact
        self.names = neuron_layers(patient, self.model, patient.exact_inputs)
        self._right: dict[str, list[Tensor]] = {}
        self._now: dict[str, list[Tensor]] = {}

    def answers(self, mode: LowPrecision | None) -> Tensor | None:
        self._now = {name: [] for name in self.names}
        parts = dict(self.model.named_modules())
        hooks = [
            parts[name].register_forward_hook(lambda _, __, out, name=name: self._now[name].append(_first(out).detach().clone()))
            for name in self.names
            if name in parts
        ]
        try:
            if mode is None:
                outputs = self.patient.call(self.model, self.patient.exact_inputs)
                self._right = self._now
            else:
                with mode.running(self.model):
                    outputs = self.patient.call(self.model, self.patient.exact_inputs)
        finally:
            for hook in hooks:
                hook.remove()
        if not outputs or not outputs[0].is_floating_point() or outputs[0].dim() < 2 or outputs[0].shape[-1] < 2:
            return None
        return outputs[0].argmax(-1)

    def flips(self) -> dict[str, float]:
        """Share of each layer's outputs in the last run that are not as in float64."""
        found = {}
        for name, right in self._right.items():
            now = self._now[name]
            total = sum(x.numel() for x in right)
            if total and len(now) == len(right):
                found[name] = sum(float((a != b).sum()) for a, b in zip(right, now, strict=True)) / total
        return found


def _first(out: Tensor | tuple[Tensor, ...]) -> Tensor:
    return out if isinstance(out, Tensor) else out[0]


def _share(right: Tensor, answers: Tensor | None) -> float:
    return 1.0 if answers is None else float((right != answers).double().mean())
