"""``python -m spikebench`` is the same as the command ``spikebench``."""

from __future__ import annotations

import gc
import signal
import sys
import time
from typing import Any

from spikebench.core.errors import INTERRUPTED

DEAF = 15.0
"""Seconds after a Ctrl-C in which another one is not heard: what is being left tidy takes no longer than that."""


def main() -> None:
    _interrupt_once()
    try:
        try:
            from spikebench.training import ranks

            others = ranks.join()
            if others is not None and others.rank:
                others.help_out()
                return
            try:
                from spikebench.cli import app

                app()
            finally:
                if others is not None:
                    others.release()
        except KeyboardInterrupt:  # before the command began, or after it ended
            sys.exit(INTERRUPTED)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            # Python puts back the handler that kills as it ends: a key still held down would change what the shell is told.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise
    finally:
        # Python looks through all that is left as it ends, a second for a large folder's records, to free what ends anyway.
        gc.freeze()


def _interrupt_once() -> None:
    """A key that is held down interrupts once: a second exception would come in the middle of what the first one tidies up."""
    heard = -DEAF

    def interrupt(number: int, frame: Any) -> None:
        nonlocal heard
        if time.monotonic() - heard >= DEAF:
            heard = time.monotonic()
            raise KeyboardInterrupt

    # A background job of a shell ignores Ctrl-C, and goes on doing so. A batch system ends a job with SIGTERM.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, interrupt)


if __name__ == "__main__":
    main()
