"""A checkpoint file or mapping as a plain state dict: nothing in it is run."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor

from spikebench.core.errors import InputError, Problem

Source = str | Path | Mapping[str, Any]
CONTAINERS = ("state_dict", "model", "model_state_dict", "net")
EMA_CONTAINERS = ("state_dict_ema", "model_ema", "ema", "ema_state_dict")
PREFIXES = ("module.", "model.", "_orig_mod.", "ema_model.")


def read_state(source: Source, ema: bool = False) -> dict[str, Tensor]:
    """The tensors of ``source`` by name, on the CPU: a path to .pth, .pth.tar, .pt or .safetensors, or a mapping.

    Containers (``state_dict``, ``model``, ..) are opened and prefixes (``module.``, ..) stripped; ``ema`` takes the averaged
    weights instead. Raises InputError: no such file, a damaged one, one that would run code, one without tensors or averages.
    """
    name = str(source) if isinstance(source, (str, Path)) else None
    found: Any = _load(Path(source)) if isinstance(source, (str, Path)) else source
    state = _without_prefixes(_opened(found, ema, name))
    if not state:
        raise InputError(Problem("holds no tensors by name: not a checkpoint of a network", file=name))
    return state


def _load(path: Path) -> Any:
    if not path.is_file():
        raise InputError(Problem("no such file", file=str(path)))
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        # timm keeps its command line in the checkpoint; a Namespace is plain data.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first = str(error).strip().split("\n", 1)[0]
        refused = next((line.strip() for line in str(error).splitlines() if "GLOBAL" in line or "global" in line), first)
        raise InputError(
            Problem(
                f"is no plain checkpoint: it is damaged, or would run code when loaded and is refused ({refused})", file=str(path)
            )
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, BadZipFile, KeyError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(Problem(f"is truncated or damaged: {reason}", file=str(path))) from None
    except Exception as error:
        if type(error).__name__ == "SafetensorError":
            raise InputError(Problem(f"is truncated or damaged: {error}", file=str(path))) from None
        raise


def _opened(found: Any, ema: bool, name: str | None) -> Mapping[str, Any]:
    if isinstance(found, Mapping):
        for key in EMA_CONTAINERS if ema else CONTAINERS:
            if isinstance(found.get(key), Mapping):
                return _opened(found[key], False, name)
        if ema:
            raise InputError(Problem(f"has no averaged weights ({', '.join(EMA_CONTAINERS)})", file=name))
        return found
    raise InputError(Problem(f"holds a {type(found).__name__}, not a mapping of tensors", file=name))


def _without_prefixes(found: Mapping[str, Any]) -> dict[str, Tensor]:
    state = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, Tensor)}
    while state and (prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None)):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state
