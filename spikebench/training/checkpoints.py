"""Checkpoints and finished weights: written whole or not at all, and read without running any code of theirs."""

from __future__ import annotations

import copy
import os
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from spikebench.core.errors import StorageError, storage_errors

WEIGHTS = "weights.pt"
TEST_EPOCHS = "test-epochs.pt"
"""Accuracies on the test split by epoch, of a training with ``test_epochs``."""
SMALL = 16 * 2**20
"""Bytes of weights that the next job of the process, which mostly wants them, is handed beside the file: to read that takes some
0.1 ms a tensor, as long as to run a small network."""
_latest: tuple[Path, tuple[int, ...], Mapping[str, Any]] | None = None


def write(path: Path, content: Any) -> None:
    """``torch.save`` that a kill at any moment, or a full disk, leaves either undone or done.

    Raises DiskError if the disk takes no more, StorageError if this file cannot be written; what stood there before stays.
    """
    partial = _partial(path)
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                _save(content, file)
                os.fsync(file.fileno())
            partial.replace(path)
    except StorageError:
        with suppress(OSError):
            partial.unlink()
        raise


def _save(content: Any, file: BinaryIO) -> None:
    """``torch.save``, whose zip writer says RuntimeError for whatever the file says: what the file said is raised instead."""
    watched = _Watched(file)
    try:
        torch.save(content, watched)  # type: ignore[arg-type]
        file.flush()
    except RuntimeError as error:
        raise watched.error or StorageError(f"{file.name}: cannot be written: {error}") from error


class _Watched:
    """A file that remembers why it could not be written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def read(path: Path, device: torch.device | str = "cpu") -> Any:
    """What ``write`` stored; tensors and plain data only. Raises StorageError if the file is missing or damaged."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise StorageError(f"{path}: there is no such file; has this network been trained?") from error
    except Exception as error:  # a damaged zip or pickle raises whatever it likes
        raise StorageError(f"{path}: cannot be read ({error}); remove it to train from the start") from error


def write_weights(folder: Path, state: Mapping[str, Any]) -> None:
    """The finished weights of a training. Raises as ``write``."""
    global _latest
    path = folder / WEIGHTS
    forget_latest()
    write(path, state)
    plain = all(isinstance(value, Tensor) and value.device.type == "cpu" for value in state.values())
    if plain and sum(value.nbytes for value in state.values()) <= SMALL:
        _latest = path, _stamp(path), copy_of(state)


def copy_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict that what happens to the module does not change."""
    copied = OrderedDict(
        (name, value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)) for name, value in state.items()
    )
    # The versions of its modules, which loading looks at.
    copied.__dict__.update(getattr(state, "__dict__", {}))
    return copied


def forget_latest() -> None:
    """Hold no weights in memory: what is trained next is measured."""
    global _latest
    _latest = None


def _handed_on(path: Path) -> Mapping[str, Any] | None:
    """What was written here last, if it is what lies there, for who asks first."""
    latest = _latest
    forget_latest()
    if latest is None or latest[0] != path:
        return None
    with suppress(OSError):
        return latest[2] if _stamp(path) == latest[1] else None
    return None


def _stamp(path: Path) -> tuple[int, ...]:
    """What another content changes, whoever put it there."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def read_weights(model: nn.Module, folder: Path) -> nn.Module:
    """See ``spikebench.training.load_weights``."""
    path = folder / WEIGHTS
    state = _handed_on(path) or read(path)
    try:
        model.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise StorageError(f"{path}: holds another network's weights: {error}") from error
    return model


def _partial(path: Path) -> Path:
    return path.with_suffix(".partial")
