"""Counts what a network does, exactly: synaptic operations, spikes, and everything else, from one observed pass."""

from spikebench.activity.analysis import ActivityAnalysis
from spikebench.activity.counting import count
from spikebench.activity.observer import ActivityObserver
from spikebench.activity.sums import WrongDeclarationError

__all__ = ["ActivityAnalysis", "ActivityObserver", "WrongDeclarationError", "count"]
