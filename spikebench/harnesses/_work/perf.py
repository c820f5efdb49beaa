"""Instructions retired, as the processor's own counter has them: Linux's perf_event_open, without the tool ``perf``."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

from torch import nn

from spikebench.harnesses._timing.outcome import UnavailableError
from spikebench.harnesses._work.innermost import cut

SYSCALL = {"x86_64": 298, "aarch64": 241}
"""Number of perf_event_open (linux: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h)."""
ATTRIBUTE_BYTES = 128
USER_ONLY = (1 << 5) | (1 << 6)
"""exclude_kernel and exclude_hv of ``struct perf_event_attr``; instructions are event 1 of type 0 (hardware)."""
WHY = {
    1: "the kernel forbids it (perf_event_paranoid)",
    2: "this machine, or its virtual one, has no counter for it",
    13: "the kernel forbids it (perf_event_paranoid)",
    38: "the kernel has no perf_event_open",
}


class Counters:
    """One counter for each thread that this process has. Raises UnavailableError, saying why, where there can be none."""

    def __init__(self) -> None:
        number = SYSCALL.get(platform.machine()) if platform.system() == "Linux" else None
        if number is None:
            raise UnavailableError("instructions are counted on Linux alone, on x86-64 and AArch64")
        self._files = ExitStack()
        self._descriptors: list[int] = []
        libc = ctypes.CDLL(None, use_errno=True)
        for thread in map(int, os.listdir("/proc/self/task")):
            attribute = struct.pack("<IIQQQQQ", 0, ATTRIBUTE_BYTES, 1, 0, 0, 0, USER_ONLY).ljust(ATTRIBUTE_BYTES, b"\0")
            descriptor = libc.syscall(number, ctypes.c_char_p(attribute), thread, -1, -1, 0)
            if descriptor < 0:
                error = ctypes.get_errno()
                self.close()
                raise UnavailableError(f"instructions cannot be counted: {WHY.get(error, os.strerror(error))}")
            self._descriptors.append(descriptor)
            self._files.callback(os.close, descriptor)

    def read(self) -> int:
        """Instructions of all threads since the counters were opened."""
        return sum(struct.unpack("<Q", os.read(descriptor, 8))[0] for descriptor in self._descriptors)

    def close(self) -> None:
        self._files.close()


def by_layer(model: nn.Module, run: Callable[[], object], read: Callable[[], int]) -> Counter[str]:
    """Instructions of one pass by the innermost module whose forward pass ran; "" is the rest, the backward pass with it."""
    found: Counter[str] = Counter()
    last = 0

    def begin() -> None:
        nonlocal last
        last = read()

    def end(layer: str) -> None:
        found[layer] += read() - last

    cut(model, run, begin, end)
    return found
