"""What came of a series, in words; and how a number that could not be measured is said, in one way for all harnesses."""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping

from spikebench.core.metrics import Metric
from spikebench.core.records import Record, Scalar, Status
from spikebench.harnesses._timing.rule import Series


class UnavailableError(Exception):
    """This machine cannot do it that way; the message says why. Not a failure."""


def absent(metric: Metric, error: Exception, conditions: Mapping[str, Scalar]) -> Record:
    """``unavailable`` where ``error`` is an UnavailableError, else ``failed`` with its kind and first line."""
    status: Status = "unavailable" if isinstance(error, UnavailableError) else "failed"
    return Record.absent(metric, reason_of(error), status, conditions=conditions)


def reason_of(error: Exception) -> str:
    """An UnavailableError's own words; the kind and the first line of any other."""
    return str(error) if isinstance(error, UnavailableError) else f"{type(error).__name__}: {first_line(error)}"


def let_go(error: Exception, device: object) -> None:
    """Free what ``error`` still holds: its traceback keeps the frames, and so the tensors, of what failed."""
    error.__traceback__ = None
    gc.collect()
    if getattr(device, "type", "") == "cuda":
        import torch

        torch.cuda.empty_cache()


def verdict(series: Series) -> str:
    """Why the series ended and how far it may be trusted: goes into the record's ``reason``."""
    spoiled = sum(sample.spoiled for sample in series.samples)
    interval = f"median within {series.precision:.1%}" if math.isfinite(series.precision) else "too few calls for an interval"
    ends = {"converged": "converged", "time": "the time was up", "calls": "the largest number of calls was reached"}
    busy = f"; the machine was busy: {spoiled} of {len(series.samples)} rounds spoiled, none left out" if series.busy else ""
    return f"{ends[series.stopped]}, {interval}{busy}"


def first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0]
