"""Spiking transformers from interchangeable components: one file a component, ``build`` is the only way to a network.

Tensors are (T, B, C, H, W) in stems and (T, B, C, N) in encoders. torch is loaded when the first of these names is used, since
reading a preset needs none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikebench.networks.building import build as build
    from spikebench.networks.checks import check as check
    from spikebench.networks.checks import resolve as resolve
    from spikebench.networks.foreign import load_foreign as load_foreign
    from spikebench.networks.network import Network as Network
    from spikebench.networks.neurons import SpikingNeuron as SpikingNeuron
    from spikebench.networks.rates import collecting_rates as collecting_rates

_HOME = {
    "build": "building",
    "check": "checks",
    "resolve": "checks",
    "Network": "network",
    "SpikingNeuron": "neurons",
    "load_foreign": "foreign",
    "collecting_rates": "rates",
}

__all__ = ["build", "check", "collecting_rates", "load_foreign", "Network", "resolve", "SpikingNeuron"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
