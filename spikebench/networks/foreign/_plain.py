"""What else than tensors may lie in a checkpoint: plain data of the standard library and of NumPy, none of which runs code."""

from __future__ import annotations

import argparse
import collections
import datetime
import pathlib
import pickle
import re
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from spikebench.core.errors import InputError, Problem

Global = Callable[..., Any] | tuple[Callable[..., Any], str]
_MAKERS: dict[str, Callable[..., Any]] = {
    "scalar": np.float64(0).__reduce__()[0],  # type: ignore[dict-item] # NumPy's stubs call it a str
    "_reconstruct": np.zeros(0).__reduce__()[0],  # type: ignore[dict-item]
}
"""Of NumPy's scalars and arrays; versions 1 and 2 keep them in modules of different names."""
PLAIN: list[Global] = [  # nothing that makes much out of little, as bytes(10**12) does
    *(argparse.Namespace, types.SimpleNamespace, collections.defaultdict, collections.Counter),
    *(list, dict, tuple, set, frozenset, int, float, bool, str, complex, slice),
    *(pathlib.PosixPath, pathlib.PurePosixPath, datetime.datetime, datetime.date, datetime.timedelta),
    *(np.ndarray, np.dtype, *(kind for name, kind in vars(np.dtypes).items() if name.endswith("DType"))),
    *((maker, f"numpy.{core}.multiarray.{name}") for core in ("core", "_core") for name, maker in _MAKERS.items()),
]


_ADVICE = "; where you trust it, load it with its own code and save tensors alone: torch.save(model.state_dict(), FILE)"


def load_plain(path: Path) -> Any:
    """What is in a .pth, .pth.tar, .pt or .safetensors file, on the CPU.

    Raises InputError: no such file, one that is damaged or no checkpoint at all, and one that would run code when loaded.
    """
    if not path.is_file():
        raise InputError(Problem("no such file", file=str(path)))
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals(PLAIN), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(Problem(_refused(str(error)), file=str(path))) from None
    except Exception as error:  # whatever a reader of damaged bytes runs into
        lines = str(error).splitlines() if isinstance(error, (RuntimeError, OSError, BadZipFile)) else []
        reason = f": {lines[0]}" if lines and lines[0] else ""
        raise InputError(Problem(f"is truncated or damaged, or no checkpoint at all{reason}", file=str(path))) from None


def _refused(theirs: str) -> str:
    """torch's explanation advises to load the file all the same: here it says what is in it instead."""
    found = re.search(r"GLOBAL ([\w.]+)", theirs)
    if found is None:
        return "is truncated or damaged, or no checkpoint at all"
    return f"holds {found[1]}, which is not plain data: the file would run code when loaded, and is refused{_ADVICE}"
