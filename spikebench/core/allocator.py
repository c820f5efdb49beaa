"""Memory that is freed stays with the process until a job ends, so that the next tensor of that size costs no page faults.

glibc maps what is large anew for every tensor and hands it back when the tensor goes; the kernel then clears each page before it
is written. ``keep`` turns that off by ``mallopt``; ``SPIKEBENCH_MALLOC=system`` leaves the allocator as it is. Times depend on
it, so their records carry ``setting()`` as the condition ``malloc``.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any, Literal

from spikebench.core.errors import InputError, Problem, nearest

VARIABLE = "SPIKEBENCH_MALLOC"
SETTINGS = ("kept", "system")
Setting = Literal["kept", "system"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of ``mallopt``: -1 never shrinks the heap by itself; 0 maps nothing, so that large blocks come from the heap too."""
_kept = False


def keep() -> None:
    """Set this process's allocator, unless the user has said ``system`` or the allocator is not glibc's.

    Cheap, and may be called again. Raises InputError for an unknown word in the variable.
    """
    global _kept
    wanted = os.environ.get(VARIABLE) or "kept"
    if wanted not in SETTINGS:
        raise InputError(Problem(f"unknown allocator setting {wanted!r}{nearest(wanted, SETTINGS)}", key=VARIABLE))
    if wanted == "kept" and not _kept and library().startswith("glibc"):
        libc = _libc()
        _kept = all([libc.mallopt(M_MMAP_MAX, 0), libc.mallopt(M_TRIM_THRESHOLD, -1)])


def for_any_version() -> dict[str, str]:
    """Variables of glibc's own that do what ``keep`` does, for a process whose code may not know it: both sides of a comparison
    get the same. None where the user has said ``system``.
    """
    if (os.environ.get(VARIABLE) or "kept") != "kept":
        return {}
    return {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


def trim() -> None:
    """Give the kernel back every page that holds nothing: what one job has freed may be all that the next one, or another
    process, needs.
    """
    if _kept:
        _libc().malloc_trim(0)


def setting() -> Setting:
    """What holds in this process: ``kept`` since ``keep`` has been called, else ``system``."""
    return "kept" if _kept else "system"


@cache
def library() -> str:
    """Whose ``malloc`` this process has: ``glibc 2.36``, the file of one that was loaded before it, or the system's name."""
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION") if sys.platform == "linux" else None
    except (ValueError, OSError):  # another C library does not know the name
        version = None
    if not version:
        return f"{sys.platform}'s own"
    found = _file_of_malloc()
    return version if not found or found.startswith("libc") else found


def _file_of_malloc() -> str:
    import ctypes

    class Info(ctypes.Structure):
        _fields_ = (
            *(("file", ctypes.c_char_p), ("base", ctypes.c_void_p)),
            *(("symbol", ctypes.c_char_p), ("address", ctypes.c_void_p)),
        )

    info, libc = Info(), _libc()
    if not libc.dladdr(ctypes.cast(libc.malloc, ctypes.c_void_p), ctypes.byref(info)) or not info.file:
        return ""
    return Path(os.fsdecode(info.file)).name


@cache
def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None)
