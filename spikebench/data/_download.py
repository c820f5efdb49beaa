"""Files that are fetched where a suite asks for it, and kept if their checksum is the published one."""

from __future__ import annotations

import dataclasses
import tarfile
import urllib.request
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path

from spikebench.core.errors import InputError, Problem, storage_errors
from spikebench.data._files import alone, md5_of

CHUNK = 2**20


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file as its publisher has it."""

    name: str
    url: str
    md5: str


def require_whole(archive: Archive, path: Path) -> None:
    """Raises InputError for a file that ends early. A zip says at its end what is in it; any other is read, once as it is now."""
    facts = path.stat()
    _require_whole(archive, path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=32)
def _require_whole(archive: Archive, path: Path, size: int, changed: int) -> None:
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as found:
                found.namelist()
            return
        with path.open("rb") as stream:
            if md5_of(stream) == archive.md5:
                return
        with tarfile.open(path, "r|*") as members:
            for _ in members:
                pass
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(damaged(path, error)) from error


def damaged(path: Path, error: Exception) -> Problem:
    """Of an archive that cannot be read to its end."""
    what = f"{path}: ends early or is damaged ({error}; {path.stat().st_size:,} bytes): remove it and download it again"
    return Problem(what, key="root")


def fetch(archive: Archive, folder: Path) -> Path:
    """``folder/name``, downloaded if it is not there; of several processes that ask at once, one does it and the others wait.

    Raises InputError if it cannot be had, or is not what was published: then nothing is kept.
    """
    target = folder / archive.name
    with alone(folder / f".{archive.name}.lock"):
        if not target.is_file():
            partial = target.with_name(f"{archive.name}.partial")
            try:
                with storage_errors(partial):
                    _copy(archive, partial)
                    with partial.open("rb") as stream:
                        found = md5_of(stream)
                    if found != archive.md5:
                        raise InputError(
                            Problem(f"{archive.url}: came with checksum {found}, expected {archive.md5}", key="download")
                        )
                    partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
    return target


def _copy(archive: Archive, partial: Path) -> None:
    try:
        source = urllib.request.urlopen(archive.url, timeout=60)
    except (OSError, ValueError) as error:
        raise InputError(Problem(f"{archive.url}: cannot be downloaded ({error})", key="download")) from error
    with source, partial.open("wb") as file:
        while True:
            try:
                chunk = source.read(CHUNK)
            except OSError as error:
                raise InputError(Problem(f"{archive.url}: the download broke off ({error})", key="download")) from error
            if not chunk:
                return
            file.write(chunk)
