"""What else happened while something was timed: context switches and stolen time on a CPU; clocks, heat and power on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROC_STAT = Path("/proc/stat")
SWITCH_EVERY = 0.1
"""Seconds of a call that excuse one involuntary context switch: a competing process takes some milliseconds each time."""


@dataclass
class Disturbance:
    """What the block of ``watching`` suffered. ``steal``: clock ticks that the hypervisor gave to others; None where unknown."""

    switches: int = 0
    steal: int | None = None

    def spoils(self, seconds: float) -> bool:
        """Whether a call of this duration should be left out of a median."""
        return bool(self.steal) or self.switches > int(seconds / SWITCH_EVERY)


@contextmanager
def watching() -> Iterator[Disturbance]:
    """Involuntary context switches of this process, all its threads, and the machine's steal ticks inside the block."""
    found = Disturbance()
    switches, steal = _switches(), _steal()
    try:
        yield found
    finally:
        found.switches = _switches() - switches
        after = _steal()
        found.steal = None if steal is None or after is None else after - steal


def _switches() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _steal() -> int | None:
    try:
        with PROC_STAT.open(encoding="ascii") as file:
            return int(file.readline().split()[8])
    except (OSError, IndexError, ValueError):
        return None


@dataclass(frozen=True)
class GpuState:
    """``sm_clock`` in Hz, ``temperature`` in degrees Celsius, ``power`` in W."""

    sm_clock: float
    temperature: float
    power: float


class Gpu:
    """A CUDA device as NVML sees it. Raises LookupError, saying why, where NVML cannot be asked."""

    def __init__(self, index: int = 0) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise LookupError("NVML needs the package nvidia-ml-py: pip install 'spikebench[gpu]'") from error
        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
            self._handle = self._find(index)
        except pynvml.NVMLError as error:
            raise LookupError(f"NVML: {error}") from error

    def _find(self, index: int) -> Any:
        """By UUID: NVML counts all devices, CUDA only those of CUDA_VISIBLE_DEVICES."""
        import torch

        uuid = f"GPU-{torch.cuda.get_device_properties(index).uuid}"
        return self._nvml.nvmlDeviceGetHandleByUUID(uuid)

    def state(self) -> GpuState:
        """Now."""
        nvml, handle = self._nvml, self._handle
        return GpuState(
            nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM) * 1e6,
            float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
            nvml.nvmlDeviceGetPowerUsage(handle) / 1e3,
        )

    def joules(self) -> float:
        """Energy since the driver was loaded; the counter moves about every 100 ms."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3
