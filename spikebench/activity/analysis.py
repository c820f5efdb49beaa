"""What a pass found, as rows and totals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from spikebench.activity.neurons import NeuronSums
from spikebench.activity.sums import COUNTS, SiteSums
from spikebench.derived.sites import NeuronLayer, NotCounted, Site, neuron_site

if TYPE_CHECKING:
    import pandas as pd


class ActivityAnalysis:
    """Sums over everything that was passed: all calls, all time steps, all samples. Divide by ``samples`` for one image's.

    ``sites``: one row per operation site in order of execution, no totals, so columns sum to the whole network.
    ``neuron_layers``: one row per neuron layer. ``not_counted``: what could not be counted, where and why; while it is not
    empty, sums are lower bounds, or too high where a neuron that nobody declared was counted as synapses. ``samples``: images
    seen; ``time_steps``: T.
    """

    def __init__(self) -> None:
        self.site_sums: dict[tuple[str, str, int], SiteSums] = {}
        self.neuron_sums: dict[str, NeuronSums] = {}
        self.samples = 0
        self.time_steps = 1
        self._uncounted: dict[tuple[str, str, str], int] = {}
        self._places = 0

    def next_place(self) -> int:
        self._places += 1
        return self._places - 1

    def uncounted(self, scope: str, operation: str, reason: str, calls: int = 1) -> None:
        key = (scope, operation, reason)
        self._uncounted[key] = self._uncounted.get(key, 0) + calls

    def not_counted_so_far(self) -> Mapping[tuple[str, str, str], int]:
        """How often something could not be counted, by scope, operation and reason."""
        return dict(self._uncounted)

    def clear(self) -> None:
        """Nothing was passed yet."""
        self.site_sums.clear()
        self.neuron_sums.clear()
        self._uncounted.clear()
        self._places = 0

    def passed(self, samples: int, steps: int) -> None:
        """One call of the network is over."""
        self.samples += samples
        self.time_steps = steps
        for name in ("sites", "neuron_layers"):
            self.__dict__.pop(name, None)

    def __repr__(self) -> str:
        head = f"{self.samples} samples, T = {self.time_steps}, {self.total():,} SOPs, {len(self.neuron_layers)} neuron layers"
        missing = [f"not counted: {row.operation} in {row.scope or 'the network'}: {row.reason}" for row in self.not_counted]
        return "\n  ".join([f"<ActivityAnalysis: {head}", *missing]) + ">"

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        return tuple(sums.row() for sums in sorted(self.site_sums.values(), key=lambda sums: sums.site))

    @cached_property
    def neuron_layers(self) -> tuple[NeuronLayer, ...]:
        return tuple(sums.row(self.samples) for sums in sorted(self.neuron_sums.values(), key=lambda sums: sums.site))

    @property
    def not_counted(self) -> tuple[NotCounted, ...]:
        return tuple(NotCounted(scope, operation, calls, reason) for (scope, operation, reason), calls in self._uncounted.items())

    def total(self, convention: str = "events", **options: Any) -> int | float:
        """Synaptic operations of the whole network under a named convention (``spikebench.derived.conventions``), summed over
        samples.

        Raises InputError for an unknown convention or option.
        """
        from spikebench.derived.conventions import total

        return total(self._rows, convention, time_steps=self.time_steps, **options)

    def macs_and_acs(self, convention: str = "events", **options: Any) -> tuple[int | float, int | float]:
        """As ``total``, multiply-accumulates and accumulates apart."""
        from spikebench.derived.conventions import macs_and_acs

        return macs_and_acs(self._rows, convention, time_steps=self.time_steps, **options)

    @property
    def _rows(self) -> list[Site]:
        neurons = [neuron_site(layer.site, layer.scope, layer.membrane_updates) for layer in self.neuron_layers]
        return sorted((*self.sites, *neurons), key=lambda site: site.site)

    def by_sample(self, column: str) -> list[int] | None:
        """A count column (``events``, ``events_left``, ``events_right``, ``unit_acs``) of the whole network, one number per
        sample.

        Sites whose ``unit_acs`` is None are left out, as in the column's sum. Each number is what its sample has when it is
        counted alone; None where a site's sums cannot be told apart by sample: where samples were mixed (means over the batch,
        BatchNorm in training), where it is not known which axis holds them, where Python has read a value, and for
        ``events_right`` of layers that follow from their shape. What leaves PyTorch, or depends on a place in the batch by way
        of a constant, is not seen to mix.
        """
        if column not in COUNTS:
            raise KeyError(f"counts by sample are kept for {', '.join(COUNTS)}, not {column!r}")
        total = [0] * self.samples
        for sums in self.site_sums.values():
            row = sums.row()
            if not row.synaptic or (column == "unit_acs" and row.unit_acs is None):
                continue
            found = sums.by_sample.get(column)
            if found is None or len(found) != self.samples:
                return None
            total = [a + b for a, b in zip(total, found, strict=True)]
        return total

    def events_by_step(self, site: int) -> list[int] | None:
        """Events of a site at each time step, summed over samples, if time lies before the samples in what it reads, as in our
        networks, (T, B, ...); None where it cannot lie so. Nobody but the network knows whether it does.
        """
        found = next(sums.by_step for sums in self.site_sums.values() if sums.site == site)
        return found or None

    def spikes_by_sample(self, scope: str | None = None) -> list[int] | None:
        """Spikes of every sample, of one neuron layer or of all; None where samples cannot be told apart."""
        total = [0] * self.samples
        for name, sums in self.neuron_sums.items():
            if scope is not None and name != scope:
                continue
            if sums.by_sample is None or len(sums.by_sample) != self.samples:
                return None
            total = [a + b for a, b in zip(total, sums.by_sample, strict=True)]
        return total

    def by_scope(self, depth: int | None = None) -> Mapping[str, Mapping[str, int | float]]:
        """Count columns summed by scope: every module path and all paths above it, ``""`` being the whole; at most ``depth``
        names deep.
        """
        columns = ("dense_macs", "dense_macs_inside", "events", "events_left", "events_right", "unit_acs", "other_ops")
        found: dict[str, dict[str, int | float]] = {"": dict.fromkeys(columns, 0)}
        for site in self.sites:
            parts = site.scope.split(".") if site.scope else []
            for end in range(len(parts) + 1):
                if depth is not None and end > depth:
                    break
                row = found.setdefault(".".join(parts[:end]), dict.fromkeys(columns, 0))
                for column in columns:
                    row[column] += getattr(site, column) or 0
        return found

    def other_ops(self) -> Mapping[str, int | float]:
        """Operations that are not synaptic, by kind: ``bias``, ``batch_norm``, ``pooling``, ``residual``, ``membrane``
        (updates), ...
        """
        found: dict[str, int | float] = {}
        for site in self.sites:
            kind = "bias" if site.synaptic else site.operation
            if site.other_ops:
                found[kind] = found.get(kind, 0) + site.other_ops
        membrane = sum(layer.membrane_updates for layer in self.neuron_layers)
        return {**found, "membrane": membrane} if membrane else found

    def to_pandas(self) -> pd.DataFrame:
        """One row per operation site; ``unit_acs`` is <NA> for real input."""
        import pandas as pd

        table = pd.DataFrame(
            [dataclasses.asdict(site) for site in self.sites], columns=[f.name for f in dataclasses.fields(Site)]
        )
        return table.astype({"unit_acs": "Int64"})

    def neurons(self) -> pd.DataFrame:
        """One row per neuron layer, in order of execution; ``firing_rate_by_step`` holds T rates, () if steps are unknown."""
        import pandas as pd

        names = [field.name for field in dataclasses.fields(NeuronLayer)]
        return pd.DataFrame([dataclasses.asdict(layer) for layer in self.neuron_layers], columns=names)
