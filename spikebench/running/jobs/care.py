"""What a launcher must see to for a suite's jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from spikebench.core.choice import Choice
from spikebench.core.protocols import Care
from spikebench.core.suite import Suite
from spikebench.running.jobs.execute import Executor


def care_of(suite: Suite, harnesses: Iterable[Choice | None], device: str, work: Executor | None = None) -> Care:
    """``device``: the kind that the jobs run on. The harness that trains on most devices decides how many each job gets."""
    devices = max((int(getattr(choice.resolve("harnesses"), "devices", 1)) for choice in harnesses if choice), default=1)
    care = Care(suite.job_timeout, suite.stall, device=device, devices=devices)
    return care if work is None else dataclasses.replace(care, apart=work.took_its_process_down)
