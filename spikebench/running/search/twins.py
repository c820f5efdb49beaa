"""The same network drawn by several drivers of one study: one of them runs it, the others wait for what comes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spikebench.core.cells import Cell
from spikebench.core.search_space import Values
from spikebench.running.search.outcome import state_of
from spikebench.running.search.study import SearchStudy

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.trial import FrozenTrial

FOLLOWS = "follows"
"""User attribute of a trial that waits for another one: that one's number."""


@dataclasses.dataclass(frozen=True)
class Follower:
    trial: Trial
    values: Values
    cell: Cell
    leader: int


class Twins:
    """Of one driver: its trials that wait for another driver's. Always empty where a study has one driver."""

    def __init__(self, study: SearchStudy) -> None:
        self.study = study
        self.followers: list[Follower] = []

    def claim(self, trial: Trial, cell_id: str) -> FrozenTrial | None:
        """Say which network a trial is of; the other driver's trial that has run it, or runs it already, if there is one."""
        with self.study.deciding():
            trial.set_user_attr("cell_id", cell_id)
            if self.study.drivers is None:
                self.study.write()
                return None
            found = [other for other in self.study.trials if other.number != trial.number and self._leads(other, cell_id)]
            return min(found, key=lambda other: not other.state.is_finished(), default=None)

    def _leads(self, other: FrozenTrial, cell_id: str) -> bool:
        assert self.study.drivers is not None
        if other.user_attrs.get("cell_id") != cell_id:
            return False
        runs = other.state.name == "RUNNING" and not other.user_attrs.get(FOLLOWS) and not self.study.drivers.is_mine(other)
        return runs or state_of(other) in ("complete", "pruned")

    def follow(self, trial: Trial, values: Values, cell: Cell, leader: FrozenTrial) -> None:
        trial.set_user_attr(FOLLOWS, str(leader.number))
        self.followers.append(Follower(trial, values, cell, leader.number))

    def ready(self) -> Iterator[tuple[Follower, FrozenTrial | None]]:
        """Those that need wait no longer, with the trial that they waited for; None if nothing came of that one."""
        known = {trial.number: trial for trial in self.study.trials} if self.followers else {}
        for one in list(self.followers):
            leader = known[one.leader]
            state = state_of(leader)
            if state == "running":
                continue
            self.followers.remove(one)
            one.trial.set_user_attr(FOLLOWS, "")
            yield one, leader if state in ("complete", "pruned") else None
