"""Every error that a user can cause, and the exit code that it means."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from spikebench.core.text import printable

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells have it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the input: where it stands, what was found there and what was expected.

    ``line`` and ``column`` count from 1 and are None where the input has no lines (a command-line option, a binary file).
    """

    message: str
    key: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return printable(": ".join(part for part in (place, self.key, self.message) if part))

    def within(self, key: str) -> Problem:
        """The same problem seen from one level further out: ``key`` is put before its own key."""
        return replace(self, key=f"{key}.{self.key}" if self.key else key)


class SpikebenchError(Exception):
    """Base of all errors shown to a user as a message without a traceback; ``exit_code`` ends the command."""

    exit_code = 2


class InputError(SpikebenchError):
    """The input cannot be used (exit 2). Holds every problem at once, so that a file is mended in one go."""

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = [Problem(problems)]
        elif isinstance(problems, Problem):
            problems = [problems]
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class StorageError(SpikebenchError):
    """A results folder cannot be read or written (exit 2): full or read-only disk, another suite's folder."""


class DiskError(StorageError):
    """Nothing more can be written here (full, over quota, read-only, broken): ends a run, since every further job would lose
    what it measures. Any other StorageError is about one file, and harms what needs that file."""


_OF_THE_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the limit on the size of a file is reached",
    errno.EROFS: "the disk is read-only",
    errno.EIO: "the disk reports an error",
}
_OF_ONE_FILE = {
    errno.EACCES: "no permission to write",
    errno.EISDIR: "a folder stands where a file is needed",
    errno.ENOTDIR: "a file stands where a folder is needed",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into one clear message that names the file and what stays as it was: DiskError or StorageError."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        what = _OF_THE_DISK.get(number) or _OF_ONE_FILE.get(number) or error.strerror or str(error)
        message = f"{error.filename2 or error.filename or path}: {what}; finished results in the folder stay as they were"
        raise (DiskError if number in _OF_THE_DISK else StorageError)(message) from error


class NotComparableError(SpikebenchError):
    """Two results answer different questions, so no verdict can be given (exit 5)."""

    exit_code = 5


MOST_NAMES = 24
"""Names that an error lists."""


def nearest(got: object, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, whatever its case, and all of them, or the first of many."""
    names: Sequence[str] = sorted(set(map(str, known)))
    folded = {name.casefold(): name for name in reversed(names)}
    close = difflib.get_close_matches(str(got).casefold(), folded, n=1, cutoff=0.5)
    hint = f"; did you mean {folded[close[0]]!r}?" if close else ""
    more = f", and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    listing = f" (known: {', '.join(names[:MOST_NAMES])}{more})" if names and not (more and close) else ""
    return hint + listing
