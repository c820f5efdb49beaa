"""One network on one chip: whether it fits, what an image costs there and takes, and the rates at which spikes pay."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property

from spikebench.derived import array_cost, many_cores
from spikebench.derived.array_cost import Mode
from spikebench.derived.chip import Chip, load_chip
from spikebench.derived.many_cores import PARTS, Amount, Cost
from spikebench.derived.mapping import DoesNotFitError, Placement, place
from spikebench.derived.workload import Load

TWIN_CHIP = "digital-array"
"""Where the dense alternatives run, whatever chip they are compared with."""
TWINS: tuple[Mode, ...] = ("quantised", "dense")
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Densities at which a core for dense work could take over from one for sparse work."""


@dataclasses.dataclass
class OnChip:
    """``loads``: the network's layers. What cannot be had is None, and ``why_not`` says why."""

    chip: Chip
    loads: Sequence[Load]

    @cached_property
    def _mapped(self) -> Placement | str:
        if self.chip.core is None:
            return ""
        try:
            return place(self.loads, self.chip.core)
        except DoesNotFitError as error:
            return f"does not fit {self.chip.name}: {error}"

    @property
    def placement(self) -> Placement | None:
        """None on an array, and where the network does not fit."""
        return None if isinstance(self._mapped, str) else self._mapped

    @property
    def why_not(self) -> str:
        """Why it cannot run there at all; "" if it can."""
        return self._mapped if isinstance(self._mapped, str) else ""

    @property
    def why_no_energy(self) -> str:
        known = self.chip.core_energy if self.chip.array is None else self.chip.array_energy
        return self.why_not or ("" if known is not None else f"no energies of {self.chip.name} are public")

    @property
    def why_no_time(self) -> str:
        known = self.chip.array is not None or self.chip.time is not None or self.chip.step is not None
        return self.why_not or ("" if known else f"no times of {self.chip.name} are public")

    @cached_property
    def seconds(self) -> float | None:
        if self.why_no_time:
            return None
        if self.chip.array is not None:
            return array_cost.seconds_of(self.loads, self.chip)
        assert self.placement is not None
        return many_cores.seconds_of(self.loads, self.chip, self.placement)

    @cached_property
    def costs(self) -> list[Cost]:
        """Of every layer; empty where there is no energy."""
        if self.why_no_energy:
            return []
        if self.chip.array is not None:
            return array_cost.costs(self.loads, self.chip, "spiking", self.seconds)
        assert self.placement is not None
        return many_cores.costs(self.loads, self.chip, self.placement, self.seconds)

    @property
    def amounts(self) -> list[Amount]:
        """What the energy is made of, static power apart; empty where there is no energy."""
        if self.why_no_energy:
            return []
        if self.chip.array is not None:
            return array_cost.amounts(self.loads, self.chip)
        assert self.placement is not None
        return many_cores.amounts(self.loads, self.chip, self.placement)

    @property
    def joules(self) -> float:
        return sum(cost.joules for cost in self.costs)

    @property
    def parts(self) -> dict[str, float]:
        return {part: sum(cost.parts[part] for cost in self.costs) for part in PARTS}

    @property
    def utilisation(self) -> float:
        """Of an array's elements while it computes; of the room for neurons in the cores that are used."""
        if self.chip.array is not None:
            return array_cost.utilisation(self.loads, self.chip)
        assert self.placement is not None
        assert self.chip.core is not None
        return sum(load.neurons for load in self.loads) / (self.placement.cores * self.chip.core.neurons)

    @property
    def beyond(self) -> list[str]:
        """Layers whose input is no train of spikes."""
        return list(dict.fromkeys(load.site.scope or load.site.operation for load in self.loads if load.needs_numbers))

    @property
    def fits(self) -> str:
        """``3 chips of 128 cores; synapse memory is what runs out``"""
        if self.placement is None or self.chip.core is None:
            return ""
        chips = self.placement.chips(self.chip.core)
        limit = self.placement.limit()
        what = f"; {limit} {'are' if limit == 'neurons' else 'is'} what runs out" if limit else ""
        return f"{chips} chip{'s' * (chips > 1)} of {self.chip.core.per_chip} cores{what}"


@dataclasses.dataclass(frozen=True, slots=True)
class BreakEven:
    """``rate``: events for each MAC of the dense layer, as counted; ``needed``: the rate at which the spiking layer costs as much
    as its twin, None where even silence costs more.
    """

    rate: float
    needed: float | None


def break_even(mine: Sequence[Cost], twin: Sequence[Cost], loads: Sequence[Load]) -> BreakEven:
    """Of these layers together, if all their activity grew or fell alike."""
    dense = sum(load.site.dense_macs for load in loads)
    rate = sum(load.events for load in loads) / dense if dense else 0.0
    active = sum(cost.active for cost in mine)
    left = sum(cost.joules for cost in twin) - sum(cost.joules - cost.active for cost in mine)
    if left <= 0 or not active:
        return BreakEven(rate, None)
    return BreakEven(rate, rate * left / active)


def twin_costs(loads: Sequence[Load], mode: Mode) -> list[Cost]:
    """The dense alternative on the array that stands for them all."""
    return array_cost.costs(loads, load_chip(TWIN_CHIP), mode)


def dense_share(loads: Sequence[Load], threshold: float) -> float:
    """The share of all dense MACs that are in layers of at least this density: what a core for dense work would be sent by a
    stratifier that looks at whole layers (Bishop, arXiv 2505.12281, looks at bundles within them).
    """
    whole = sum(load.site.dense_macs for load in loads)
    return sum(load.site.dense_macs for load in loads if load.density >= threshold) / whole if whole else 0.0
