"""What numbers a data set's options may have, said the same way by all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def outside(options: Any, rules: Iterable[tuple[str, str, bool]]) -> str:
    """``rules``: (option, what it must be, whether it is). A line for each that is broken; "" if none is."""
    return "\n".join(f"{name} must be {what}, got {getattr(options, name)}" for name, what, good in rules if not good)
