"""All checks of one network, and their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikebench.activity.opaque import unusable
from spikebench.auditing.patient import NotApplicable, Patient, Undecidable, said
from spikebench.core.findings import Finding
from spikebench.core.registry import REGISTRIES


@dataclass(frozen=True)
class Audit:
    """``findings``: one for each check, in their order. Its ``str`` names the checks that failed, and where."""

    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(found.check for found in self.findings if found.failed)

    def __getitem__(self, check: str) -> Finding:
        """The finding of a check. Raises KeyError for one that was not asked for."""
        for found in self.findings:
            if found.check == check:
                return found
        raise KeyError(check)

    def __str__(self) -> str:
        bad = [str(found) for found in self.findings if found.failed]
        passed = sum(found.verdict == "pass" for found in self.findings)
        head = f"{passed} of {len(self.findings)} checks passed, {len(bad)} failed"
        return "\n  ".join([head + (":" if bad else ""), *bad])


def audit(
    model: nn.Module,
    inputs: Tensor | Sequence[Tensor],
    *,
    T: int | None = None,
    samples: int | None = None,
    neurons: Sequence[type[nn.Module]] = (),
    attentions: Sequence[type[nn.Module]] = (),
    checks: Sequence[str] = (),
) -> Audit:
    """Examine ``model``, any torch module, on ``inputs``: a tensor, or a tuple of tensors as its arguments; at least two samples.

    ``T``, ``samples``: as in ``count``, where neither the network nor its input says them. ``neurons``, ``attentions``: module
    classes that are neuron layers and attentions, besides those of spikebench and SpikingJelly. ``checks``: only these
    (``spikebench list checks``). The network is left as it was: checks run copies of it, in float64 where spikes are compared.
    Where its BatchNorm has seen no batch, the copies get statistics of ``inputs``, and where structure is asked, affine numbers
    under which every layer fires. Raises InputError for an unknown check, and for inputs without values.
    """
    return Audit(tuple(findings(Patient(model, inputs, T, samples, neurons, attentions), checks)))


def findings(patient: Patient, checks: Sequence[str] = ()) -> Iterator[Finding]:
    """One finding after the other; a check that breaks could not tell, and says why."""
    unusable(*patient.inputs)
    for name in checks or names():
        check = REGISTRIES["checks"].get(name)()
        devices = sorted({p.device.index for p in patient.model.parameters() if p.is_cuda})
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)
            try:
                yield check(patient)
            except NotApplicable as reason:
                yield Finding(name, "not applicable", str(reason))
            except Undecidable as reason:
                yield Finding(name, "could not tell", str(reason))
            except Exception as error:  # somebody's network may do anything when it is run in another way
                yield Finding(name, "could not tell", f"the check broke off: {said(error)}")


def names() -> list[str]:
    """All checks, in the order in which they are asked."""
    return sorted(REGISTRIES["checks"], key=lambda name: REGISTRIES["checks"].get(name).order)
