"""What the kernel harness times: one input, and who computes its LIF."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from spikebench.core.records import Scalar
from spikebench.harnesses._ways.ways import Dtype

Phase: TypeAlias = Literal["forward", "forward+backward"]
Shape: TypeAlias = tuple[int, ...]
ITEM_SIZE: dict[Dtype, int] = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Way:
    """Who computes the LIF, and how much of it."""

    backend: str
    phase: Phase


@dataclass(frozen=True)
class Point:
    """One input: all ways to compute it, and a copy of it, take turns."""

    shape: Shape
    dtype: Dtype

    @property
    def conditions(self) -> dict[str, Scalar]:
        return {"shape": "x".join(map(str, self.shape)), "dtype": self.dtype}

    def conditions_of(self, way: Way) -> dict[str, Scalar]:
        """What tells the records of ``way`` apart."""
        return {**self.conditions, "backend": way.backend, "phase": way.phase}

    @property
    def copied(self) -> int:
        """Bytes that a copy of x reads and writes."""
        return 2 * math.prod(self.shape) * ITEM_SIZE[self.dtype]

    def floor(self, phase: Phase) -> int:
        """Bytes that a LIF must move: in fp32 8 an element and step forward, 12 more backward; in half precision 4 and 6."""
        tensors = 2 if phase == "forward" else 2 + 3
        return tensors * math.prod(self.shape) * ITEM_SIZE[self.dtype]
