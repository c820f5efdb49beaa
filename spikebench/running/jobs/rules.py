"""What a suite file asks of the networks while it is checked (``core.suite.Networks``)."""

from __future__ import annotations

from pathlib import Path

from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.checks import check, resolve

__all__ = ["check", "foreign", "resolve"]


def foreign(path: Path, layout: str, num_heads: int | None = None, ema: bool = False) -> tuple[VariantSpec, InputSpec]:
    """The network that somebody else's checkpoint is of, and the input that it was trained on. Raises InputError."""
    from spikebench.networks.foreign import read

    found = read(path, layout, num_heads=num_heads, ema=ema)
    return found.spec, found.inputs
