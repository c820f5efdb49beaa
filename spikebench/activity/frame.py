"""A module that is running."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from types import FrameType

from torch import nn


@dataclass(slots=True)
class Frame:
    """A module's call: its path, and how often each operation has run in it so far. ``caller``: the Python frame that runs it;
    ``handled``: the exception that was being handled when it began; ``block``: what ends with it.
    """

    scope: str
    module: nn.Module
    neuron: bool
    caller: FrameType
    handled: BaseException | None
    block: ExitStack | None = None
    ordinals: dict[str, int] = field(default_factory=dict)
