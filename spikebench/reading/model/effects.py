"""What each factor does, averaged over the rest of the grid: main effects and interactions as contrasts of variants."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import combinations

from spikebench.reading.model.factors import Factor
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.paired import Difference, Paired

Block = tuple[Factor, ...]
"""The values of all other factors."""


@dataclasses.dataclass(frozen=True, slots=True)
class Effect:
    """``new`` against ``old`` of ``factor``. ``given``: of an interaction, another factor, its value, and the value that it is
    compared with: by how much the effect is another there. ``over``: combinations of the rest that it is the mean of.
    """

    factor: str
    new: Factor
    old: Factor
    over: int
    difference: Difference
    given: tuple[str, Factor, Factor] | None = None


class Design:
    """Groups of one data set by their factors. ``reference``: factor -> the value that others are compared with."""

    def __init__(self, frame: Frame, groups: Sequence[str]) -> None:
        rows = {group_id: frame.groups[group_id].shown for group_id in groups}
        names = [name for name in frame.factors() if name != "dataset"]
        self.values: dict[str, list[Factor]] = {
            name: list(dict.fromkeys(row.get(name) for row in rows.values())) for name in names
        }
        self.values = {name: values for name, values in self.values.items() if len(values) > 1}
        first = rows.get(frame.baseline or "", {})
        self.reference = {name: first.get(name, values[0]) for name, values in self.values.items()}
        self._at = {tuple(row.get(name) for name in self.values): group_id for group_id, row in rows.items()}

    def main(self, factor: str, new: Factor, old: Factor, paired: Paired) -> Effect | None:
        """Over the combinations of the rest in which both values have numbers; None if there are none."""
        blocks = self._blocks((factor,), paired)
        both = [block for block, at in blocks.items() if (new,) in at and (old,) in at]
        weights: dict[str, float] = {}
        for block in both:
            weights[blocks[block][(new,)]] = 1 / len(both)
            weights[blocks[block][(old,)]] = -1 / len(both)
        difference = paired.contrast(weights) if both else None
        return None if difference is None else Effect(factor, new, old, len(both), difference)

    def effects(self, paired: Paired) -> list[Effect]:
        """Every value of every factor against the reference."""
        found = [
            self.main(factor, value, self.reference[factor], paired)
            for factor, values in self.values.items()
            for value in values
            if value != self.reference[factor]
        ]
        return [effect for effect in found if effect is not None]

    def interactions(self, paired: Paired) -> list[Effect]:
        """For every two factors: how much the effect of the first is another where the second is not at its reference."""
        found = []
        for one, two in combinations(self.values, 2):
            blocks = self._blocks((one, two), paired)
            for a in self.values[one]:
                for b in self.values[two]:
                    old, other = self.reference[one], self.reference[two]
                    if a == old or b == other:
                        continue
                    corners = {(a, b): 1.0, (old, b): -1.0, (a, other): -1.0, (old, other): 1.0}
                    whole = [at for at in blocks.values() if corners.keys() <= at.keys()]
                    weights = {at[corner]: sign / len(whole) for at in whole for corner, sign in corners.items()}
                    difference = paired.contrast(weights) if whole else None
                    if difference is not None:
                        found.append(Effect(one, a, old, len(whole), difference, (two, b, other)))
        return found

    def _blocks(self, factors: tuple[str, ...], paired: Paired) -> dict[Block, dict[Block, str]]:
        """The rest -> values of ``factors`` -> group, of groups that have numbers."""
        names = list(self.values)
        own = [names.index(name) for name in factors]
        found: dict[Block, dict[Block, str]] = {}
        for values, group_id in self._at.items():
            if group_id in paired.rows:
                rest = tuple(value for place, value in enumerate(values) if place not in own)
                found.setdefault(rest, {})[tuple(values[place] for place in own)] = group_id
        return found
