"""The ways to run a network that latency, memory and power tell apart; torch is not needed to name them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from spikebench.core.errors import nearest
from spikebench.core.records import Scalar
from spikebench.core.registry import REGISTRIES

Mode: TypeAlias = Literal["eager", "compile", "cudagraph"]
Dtype: TypeAlias = Literal["fp32", "tf32", "bf16", "fp16"]
Phase: TypeAlias = Literal["inference", "training"]
OURS, SPIKINGJELLY, COMPILED = "spikebench", "spikingjelly", "spikingjelly-compiled"
SPIKINGJELLYS = (SPIKINGJELLY, COMPILED)


@dataclass(frozen=True)
class Way:
    """``backend``: ``spikebench`` (our choice), one of our backends by name, ``spikingjelly``, or ``spikingjelly-compiled``.

    ``spikingjelly-compiled`` compiles SpikingJelly's LIF alone; ``spikingjelly`` in mode ``compile`` the whole network.
    ``fused``: BatchNorm and LIF in one kernel where one runs; ``fold``: BatchNorm folded into the layers before it. Both change
    roundings.
    """

    backend: str = OURS
    mode: Mode = "eager"
    dtype: Dtype = "fp32"
    phase: Phase = "inference"
    fused: bool = False
    fold: bool = False

    def conditions(self, batch_size: int) -> dict[str, Scalar]:
        """What tells its records apart."""
        return {
            "batch_size": batch_size,
            "dtype": self.dtype,
            "phase": self.phase,
            "mode": self.mode,
            "backend": self.backend,
            **({"fused": "auto"} if self.fused else {}),
            **({"fold": True} if self.fold else {}),
        }


def check_lists(batch_sizes: Iterable[int], backends: Iterable[str], **others: Sequence[object]) -> None:
    """Raises ValueError naming everything that is wrong: an empty list, a batch size below 1, a backend that does not exist."""
    sizes, names = list(batch_sizes), list(backends)
    known = [OURS, *SPIKINGJELLYS, *REGISTRIES["backends"].names()]
    problems = [f"{name} needs at least one entry" for name, values in {"backends": names, **others}.items() if not values]
    if not sizes or min(sizes) < 1:
        problems.append(f"batch_sizes needs at least one size, each at least 1; got {sizes}")
    problems += [f"unknown backend {name!r}{nearest(name, known)}" for name in names if name not in known]
    if problems:
        raise ValueError("\n".join(problems))
