"""What every network offers: ``spec``, ``inputs``, a settable ``T``, logits, logits by step, and its own loss."""

from __future__ import annotations

import sys

from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.core.errors import InputError, Problem
from spikebench.core.variant import InputSpec, VariantSpec


class Network(nn.Module):
    """Base of all networks. A subclass writes ``steps``.

    Stateless between calls: neurons start from rest in every ``forward``. ``batch_first``: sequences come as (B, T, C, H, W), as
    the authors' event networks take them.
    """

    def __init__(self, spec: VariantSpec, inputs: InputSpec) -> None:
        super().__init__()
        self.spec = spec
        self.inputs = inputs
        self._T = spec.T
        self.batch_first = False

    @property
    def T(self) -> int:  # noqa: N802 - the field's name for it
        """Time steps that a static image is shown for. May be set: evaluation at other time steps than those trained with.

        Raises InputError where a component cannot: it has parameters for each step (``psn``, ``glif``), or takes steps in chunks.
        """
        return self._T

    @T.setter
    def T(self, steps: int) -> None:  # noqa: N802
        if steps < 1:
            raise InputError(Problem(f"must be at least 1, got {steps}", key="T"))
        reasons: dict[str, list[str]] = {}
        for name, module in self.named_modules():
            if (ask := getattr(module, "steps_problem", None)) and (reason := ask(steps)):
                reasons.setdefault(reason, []).append(name)
        if reasons:
            said = [f"{reason} ({', '.join(names[:2])}{', ...' * (len(names) > 2)})" for reason, names in reasons.items()]
            raise InputError([Problem(text, key="T") for text in said])
        self._T = steps

    def forward_steps(self, x: Tensor) -> Tensor:
        """Logits of each step (T, B, classes) from ``x`` as in ``forward``; (1, B, classes) where the head averages first."""
        return self.steps(x.transpose(0, 1) if self.batch_first and x.dim() == 5 else x)

    def steps(self, x: Tensor) -> Tensor:
        """``forward_steps``, with time first."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) from images (B, C, H, W), encoded to ``T`` steps inside, or from a sequence (T', B, C, H, W)."""
        return self.forward_steps(x).mean(0)

    def loss(self, x: Tensor, y: Tensor, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """(loss, logits): the scalar to minimise and the logits (B, classes) it came from.

        ``y``: class numbers (B,) or class probabilities (B, classes), as mixup makes them. The head decides how steps enter.
        """
        steps = self.forward_steps(x)
        return self.loss_of_steps(steps, y, label_smoothing), steps.mean(0)

    def loss_of_steps(self, steps: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Scalar loss of logits by step (T, B, classes): cross-entropy of their mean, unless the head has its own."""
        return F.cross_entropy(steps.mean(0), y, label_smoothing=label_smoothing)


class ForeignNetwork(Network):
    """Somebody's ``nn.Module`` with a network's interface: ``module`` maps (B, C, H, W), or (T, B, C, H, W) from event data, to
    logits (B, classes), or of each step (T, B, classes).

    ``T`` is passed on where the module has such an attribute. Neurons of SpikingJelly start from rest in every call.
    """

    def __init__(self, module: nn.Module, spec: VariantSpec, inputs: InputSpec) -> None:
        super().__init__(spec, inputs)
        self.module = module

    @property
    def neuron_classes(self) -> tuple[type[nn.Module], ...]:
        """Classes of modules that are its spiking neurons, as the module says; SpikingJelly's are known."""
        return tuple(getattr(self.module, "neuron_classes", ()))

    @property
    def T(self) -> int:  # noqa: N802 - the field's name for it
        """The module's own ``T`` where it has one, else the variant's."""
        return int(getattr(self.module, "T", self._T))

    @T.setter
    def T(self, steps: int) -> None:  # noqa: N802
        if not hasattr(self.module, "T") and steps != self._T:
            raise InputError(Problem(f"family {self.spec.family.name!r} has no T to set", key="T"))
        if hasattr(self.module, "T"):
            self.module.T = steps  # type: ignore[assignment]
        self._T = steps

    def steps(self, x: Tensor) -> Tensor:
        """(T, B, classes), or (1, B, classes). Raises InputError if the module returns anything else."""
        self._rest()
        out: Tensor = self.module(x)
        self._rest()  # or this call's graph would live on in the neurons' state
        batch, shape = x.shape[x.dim() - 4], tuple(getattr(out, "shape", ()))
        if len(shape) not in (2, 3) or shape[-2:] != (batch, self.inputs.classes):
            got = shape or type(out).__name__
            who = self.spec.family.name
            raise InputError(f"{who} must return (B, classes) = {(batch, self.inputs.classes)} or (T, B, classes), got {got}")
        return out if len(shape) == 3 else out.unsqueeze(0)

    def _rest(self) -> None:
        base = sys.modules.get("spikingjelly.activation_based.base")
        if base is not None:
            for module in self.module.modules():
                if isinstance(module, base.MemoryModule):
                    module.reset()
