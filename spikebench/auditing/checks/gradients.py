"""Every trainable parameter gets a gradient, and surrogates are the derivatives that they claim to be (Neftci et al. 2019)."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from spikebench.activity.nested import tensors_within
from spikebench.auditing.patient import NotApplicable, Patient, Undecidable, said
from spikebench.auditing.surrogates import TOLERANCE, error, surrogates
from spikebench.core.findings import Detail, Finding

FIGURE = "parameters without a gradient"


class Check:
    """In float64; what is zero in training must be zero with BatchNorm's running statistics too, where biases before it count.

    The weights of a layer that nothing but zeros reach may have none: such a layer is told by ``activity``.
    """

    title = "Gradients"
    order = 50

    def __call__(self, patient: Patient) -> Finding:
        if not any(parameter.requires_grad for parameter in patient.model.parameters()):
            raise NotApplicable("it has no trainable parameters")
        training, silent = _gradients(patient, True)
        lost = [name for name, grad in training.items() if grad is None]
        broken = [name for name, grad in training.items() if grad is not None and not bool(grad.isfinite().all())]
        zero = [name for name, grad in training.items() if grad is not None and not bool(grad.any())]
        if zero:
            evaluating, more = _gradients(patient, False)
            still = {name for name, grad in evaluating.items() if grad is None or not bool(grad.any())}
            zero = [name for name in zero if name in still and name not in silent | more]
        wrong = {name: off for name, pair in surrogates(patient.exact) if pair is not None and (off := error(pair)) > TOLERANCE}
        words = [
            _words(lost, "used by no output, which hangs distributed training", patient),
            _words(zero, "zero for every sample: cut off, or the backward pass is silent", patient),
            _words(broken, "not finite", patient),
        ]
        if wrong:
            words.append(
                f"the surrogate of {_some(list(wrong))} is off by {max(wrong.values()):.0%} of the derivative of its primitive"
            )
        bad = [*lost, *zero, *broken]
        details = tuple(Detail(name, "error of the surrogate", off) for name, off in wrong.items())
        if not bad and not wrong:
            return Finding("gradients", "pass", f"all {len(training)} parameters are reached", 0, FIGURE)
        layer = bad[0] if bad else next(iter(wrong))
        return Finding("gradients", "fail", "; ".join(filter(None, words)), len(bad), FIGURE, layer, details)


def _gradients(patient: Patient, training: bool) -> tuple[Mapping[str, Tensor | None], set[str]]:
    """Each parameter's gradient of a random combination of the outputs, and those whose module saw nothing but zeros."""
    model = copy.deepcopy(patient.exact).train(training)
    silent: set[str] = set()

    def note(name: str, module: nn.Module, inputs: tuple[object, ...]) -> None:
        if inputs and all(not bool(x.any()) for x in tensors_within(inputs)):
            silent.update(f"{name}.{own}" if name else own for own, _ in module.named_parameters(recurse=False))

    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda module, inputs, name=name: note(name, module, inputs))
    generator = torch.Generator().manual_seed(2)
    with torch.enable_grad():
        outputs = [x for x in tensors_within(model(*patient.exact_inputs)) if x.is_floating_point() and x.requires_grad]
        if not outputs:
            raise Undecidable("no output depends on a parameter by way of autograd")
        weighted = (x * torch.rand(x.shape, generator=generator, dtype=x.dtype).to(x.device) for x in outputs)
        loss = torch.stack([part.sum() for part in weighted]).sum()
        try:
            loss.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise Undecidable(f"the backward pass breaks: {said(error)}") from error
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}, silent


def _words(names: list[str], what: str, patient: Patient) -> str:
    total = sum(1 for parameter in patient.model.parameters() if parameter.requires_grad)
    return f"{len(names)} of {total} parameters are {what} ({_some(names)})" if names else ""


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f", and {len(names) - 3} more" if len(names) > 3 else "")
