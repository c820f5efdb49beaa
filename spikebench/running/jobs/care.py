"""What a launcher must see to for a suite's jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.core.protocols import Care
from spikebench.core.suite import Suite
from spikebench.running.jobs.execute import Executor
from spikebench.training import ranks


def care_of(suite: Suite, harnesses: Iterable[Choice | None], device: str, work: Executor | None = None) -> Care:
    """``device``: the kind that the jobs run on. The harness that trains on most devices decides how many each job gets.

    Raises InputError for limits under torchrun, whose processes end together.
    """
    if ranks.here() is not None:
        message = "torchrun's processes end together, so a job cannot be ended alone"
        limits = [Problem(message, key=name) for name in ("job_timeout", "stall") if getattr(suite, name) is not None]
        if limits:
            raise InputError(limits)
        return Care(device=device)
    devices = max((int(getattr(choice.resolve("harnesses"), "devices", 1)) for choice in harnesses if choice), default=1)
    care = Care(suite.job_timeout, suite.stall, device=device, devices=devices)
    return care if work is None else dataclasses.replace(care, apart=work.took_its_process_down)
