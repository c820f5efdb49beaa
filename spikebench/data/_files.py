"""Data sets that lie in files of the user's: where they are, and what is read from them without running anything of theirs."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from spikebench.core.errors import InputError, Problem, StorageError, storage_errors

ENVIRONMENT = "SPIKEBENCH_DATA"
"""Environment variable: the folder in which a data set without a ``root`` is looked for."""


def root_of(option: str, folder: Path = Path()) -> Path:
    """The folder that ``root`` names, seen from ``folder``, or the environment. Raises InputError if neither names one."""
    named = option or os.environ.get(ENVIRONMENT, "")
    if not named:
        raise InputError(
            Problem(f"where are the files? Write root: FOLDER, or set the environment variable {ENVIRONMENT}", key="root")
        )
    root = (folder / Path(named).expanduser()).resolve() if option else Path(named).expanduser().resolve()
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "no such folder"
        raise InputError(Problem(f"{what}: {root}{'' if option else f' (from {ENVIRONMENT})'}", key="root"))
    return root


def content_of(parts: Iterable[tuple[str, str | int]]) -> str:
    """16 hexadecimal digits of names with sizes or digests, in whatever order they come."""
    whole = hashlib.sha256()
    for name, what in sorted(parts):
        whole.update(f"{name}\0{what}\n".encode())
    return whole.hexdigest()[:16]


def same_content(found: str, said: str, root: Path) -> None:
    """Raises InputError if the suite says ``said`` of the files and they hold something else."""
    if said and said != found:
        message = f"the files in {root} are not those that this suite was written for: they hold {found or 'the published ones'}"
        raise InputError(Problem(f"{message}, not {said}; leave content out to take them as they are", key="content"))


def check_limit(unreadable: Mapping[str, str], files: int, skip: float) -> None:
    """Raises InputError, with the first few, if more than the share ``skip`` of the files cannot be read."""
    if len(unreadable) > skip * files:
        few = "".join(f"\n  {name}: {reason}" for name, reason in list(unreadable.items())[:5])
        many = f"{len(unreadable)} file{'s' if len(unreadable) > 1 else ''} cannot be read, more than {skip:.2%} of {files:,}"
        enough = math.ceil(100 * len(unreadable) / files) / 100
        message = (
            f"{many} (option skip): mend or remove what is damaged, or leave it out with `skip: {enough:g}` in dataset:{few}"
        )
        raise InputError(Problem(message, key="skip"))


def md5_of(stream: Any) -> str:
    """The checksum that data sets are published with, of an open file."""
    return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time, others wait; ``path`` is a file for this alone. Raises InputError where no file can be made."""
    try:
        import fcntl
    except ImportError:  # no such locks here: two processes would both download, and the second replaces the first
        yield
        return
    with storage_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    except StorageError as error:
        raise InputError(Problem(str(error), key="root")) from error
    finally:
        os.close(handle)


class _ArraysOnly(pickle.Unpickler):
    """Containers, numbers, text and arrays; anything else that a pickle names is refused, not imported."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            from numpy._core.multiarray import _reconstruct

            return _reconstruct
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            import numpy

            return getattr(numpy, name)
        if (module, name) == ("_codecs", "encode"):
            import codecs

            return codecs.encode
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array and no plain data")


def unpickle(stream: BinaryIO, name: str) -> Any:
    """Plain data and arrays of a pickle, its Python 2 text as latin-1. Raises InputError for anything else."""
    try:
        return _ArraysOnly(stream, encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise InputError(Problem(f"{name}: cannot be read ({error or type(error).__name__})", key="root")) from error
