"""Energy counters: NVML's for a GPU, RAPL's for a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spikebench.harnesses._timing.observe import Gpu

if TYPE_CHECKING:
    import torch

POWERCAP = Path("/sys/class/powercap")


class Meter(Protocol):
    """``joules()`` since some moment in the past, never falling. ``name`` goes into the records."""

    name: str

    def joules(self) -> float: ...


class Nvml:
    """The whole board's energy. The counter moves about every 100 ms, so only windows of seconds mean anything."""

    name = "NVML"

    def __init__(self, device: torch.device) -> None:
        self._gpu = Gpu(device.index or 0)
        self.joules()

    def joules(self) -> float:
        """Raises LookupError on GPUs before Volta, which have no such counter."""
        try:
            return self._gpu.joules()
        except Exception as error:  # NVMLError, a class that exists only with the package
            raise LookupError(f"NVML's energy counter: {error}") from error


class Rapl:
    """All CPU packages together, memory not included; each counter starts again at its own maximum.

    Raises LookupError, saying why, where there is none or it may not be read.
    """

    name = "RAPL"

    def __init__(self, root: Path | None = None) -> None:
        root = root or POWERCAP
        # intel-rapl:0 is a package, intel-rapl:0:1 a part of it that must not be added again; AMD uses the same names.
        self._zones = sorted(zone for zone in root.glob("intel-rapl:*") if zone.name.count(":") == 1 and _is_package(zone))
        if not self._zones:
            raise LookupError(f"no RAPL counter of a CPU package in {root}: not this CPU, or a virtual machine or container")
        try:
            self._ranges = [int((zone / "max_energy_range_uj").read_text()) for zone in self._zones]
            self._last = self._read()
        except OSError as error:
            raise LookupError(f"RAPL's counters may not be read ({error.strerror}): they need root on most systems") from error
        self._total = 0

    def joules(self) -> float:
        """Call it at least once a minute: a counter that came around twice in between cannot be told from one that did once."""
        now = self._read()
        for index, (before, after) in enumerate(zip(self._last, now, strict=True)):
            self._total += after - before + (self._ranges[index] if after < before else 0)
        self._last = now
        return self._total / 1e6

    def _read(self) -> list[int]:
        return [int((zone / "energy_uj").read_text()) for zone in self._zones]


def _is_package(zone: Path) -> bool:
    try:
        return (zone / "name").read_text().startswith("package")
    except OSError:
        return False


def meter_for(device: torch.device) -> Meter:
    """Raises LookupError with the reason where this device's energy cannot be measured."""
    return Nvml(device) if device.type == "cuda" else Rapl()
