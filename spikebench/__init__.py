"""Train a grid of Spikformer variants, measure what they cost and achieve, and gate CI on it.

The names below are imported when first used, so that ``import spikebench`` and the command's ``--help`` need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "audit": "spikebench.auditing",
    "build": "spikebench.api",
    "build_masked": "spikebench.api",
    "count": "spikebench.activity",
    "lif": "spikebench.kernels.lif",
    "load_foreign": "spikebench.networks.foreign",
    "load_results": "spikebench.reading.model.frame",
    "run": "spikebench.api",
    "InputSpec": "spikebench.core.variant",
    "VariantSpec": "spikebench.core.variant",
}
__all__ = [
    "InputSpec",
    "VariantSpec",
    "__version__",
    "audit",
    "build",
    "build_masked",
    "count",
    "lif",
    "load_foreign",
    "load_results",
    "run",
]

if TYPE_CHECKING:
    from spikebench.activity import count
    from spikebench.api import build, build_masked, run
    from spikebench.auditing import audit
    from spikebench.core.variant import InputSpec, VariantSpec
    from spikebench.kernels.lif import lif
    from spikebench.networks.foreign import load_foreign
    from spikebench.reading.model.frame import load_results


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spikebench' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
