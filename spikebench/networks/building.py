"""From a variant and an input to a network."""

from __future__ import annotations

from torch import nn

from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.checks import check
from spikebench.networks.network import ForeignNetwork, Network


def build(spec: VariantSpec, inputs: InputSpec) -> Network:
    """The network that ``spec`` describes, on the CPU, in training mode, with random weights from torch's global generator.

    A family is a callable ``(options, spec, inputs) -> nn.Module``; one that returns another module than a ``Network`` (a user's
    own) is wrapped so that it has a network's interface. Raises InputError with every problem that ``check`` finds.
    """
    problems = check(spec, inputs)
    if problems:
        raise InputError(problems)
    family = REGISTRIES["families"].get(spec.family.name)
    module: nn.Module = family(spec.family.resolve("families"), spec, inputs)
    if not isinstance(module, nn.Module):
        raise InputError(f"network family {spec.family.name!r} must make a torch.nn.Module, got {type(module).__name__}")
    return module if isinstance(module, Network) else ForeignNetwork(module, spec, inputs)
