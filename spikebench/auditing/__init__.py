"""Does a network do what its paper says? Twelve checks, each with the first layer where a fault shows."""

from spikebench.auditing.audit import Audit, audit
from spikebench.auditing.lively import lively

__all__ = ["Audit", "audit", "lively"]
