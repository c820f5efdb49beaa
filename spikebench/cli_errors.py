"""From exceptions to messages and exit codes; see ``spikebench.cli`` for what the codes mean."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

import typer

from spikebench.core import allocator
from spikebench.core.errors import INTERRUPTED, SpikebenchError, StorageError
from spikebench.core.text import printable

MOST_LINES = 50
"""Of errors that are printed: a file that is wrong throughout fills no screen after screen."""

Command = TypeVar("Command", bound=Callable[..., Any])


def guarded(command: Command) -> Command:
    """Errors that a user can cause become one message on standard error and the exit code that they mean."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            allocator.keep()
            return command(*arguments, **options)
        except SpikebenchError as error:
            _fail(error)
        except (typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:
            # The reader of a pipe (head, less) has seen enough.
            sys.stderr.close()
            raise typer.Exit(0) from None
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            if error.filename is None:
                _fault(error, (*arguments, *options.values()))
            _fail(StorageError(f"{error.filename}: {error.strerror}"))
        except Exception as error:
            _fault(error, (*arguments, *options.values()))

    return run  # type: ignore[return-value]


def _fail(error: SpikebenchError) -> NoReturn:
    problems = getattr(error, "problems", ())
    if len(problems) > 1:
        print(f"{len(problems)} problems:", file=sys.stderr)
    lines = printable(str(error)).splitlines()
    for line in lines[:MOST_LINES]:
        print(f"error: {line}" if len(problems) <= 1 else f"  {line}", file=sys.stderr)
    if len(lines) > MOST_LINES:
        print(f"  and {len(lines) - MOST_LINES} more", file=sys.stderr)
    raise typer.Exit(error.exit_code) from None


def _fault(error: Exception, arguments: Iterable[Any]) -> NoReturn:
    from spikebench.core import fault

    for line in fault.describe(error, arguments):
        print(f"error: {printable(line)}", file=sys.stderr)
    raise typer.Exit(fault.EXIT_CODE) from None
