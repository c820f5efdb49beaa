"""Where in the code a process that says nothing is: asked by a signal, answered by faulthandler, whatever Python is doing."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sysconfig
import time
from multiprocessing.connection import Connection

from spikebench.core.process import is_stopped

PATIENCE = 1.0
"""Seconds that the answer may take."""
ASK = getattr(signal, "SIGQUIT", None)
"""Nobody else's: batch systems and submitit use SIGUSR1, SIGUSR2 and SIGTERM."""
FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<name>\S+)')


def answer_with_stack(answer: Connection) -> None:
    """Let this process write its main thread's stack to ``answer`` whenever it is asked."""
    if ASK is not None:
        faulthandler.register(ASK, file=answer.fileno(), all_threads=False)
        _answers.append(answer)


_answers: list[Connection] = []
"""Kept open as long as the process."""


class Stack:
    """The parent's end."""

    def __init__(self, answer: Connection) -> None:
        self.answer = answer

    def of(self, pid: int | None) -> str:
        """``; it was in NAME (FILE:LINE)``, the innermost function that is not of a library; "" where nothing is answered."""
        if pid is None or ASK is None:
            return ""
        if is_stopped(pid):
            return "; its process was stopped"
        try:
            os.kill(pid, ASK)
        except OSError:
            return ""
        frames = [match.groups() for match in FRAME.finditer(self._heard())]
        libraries = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<")
        own = [frame for frame in frames if "-packages" not in frame[0] and not frame[0].startswith(libraries)]
        return "".join(f"; it was in {name} ({os.path.basename(file)}:{line})" for file, line, name in (own or frames)[:1])

    def _heard(self) -> str:
        text, until = b"", time.monotonic() + PATIENCE
        while self.answer.poll(max(0.0, until - time.monotonic())):
            try:
                text += os.read(self.answer.fileno(), 65536)
            except OSError:
                break
            until = min(until, time.monotonic() + 0.1)  # it is written in one go
        return text.decode(errors="replace")
