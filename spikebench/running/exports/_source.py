"""What is exported: one trained cell of a results folder, with the suite that makes it and with what was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikebench.core.cells import Cell, Job
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.core.records import Record
from spikebench.core.store import ResultsFolder
from spikebench.reading.model.frame import Frame, load_results
from spikebench.reading.reports.explain import find_group
from spikebench.running.jobs.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor

    from spikebench.networks.network import Network


@dataclasses.dataclass
class Source:
    """``name``: of the group, as reports show it. ``records``: of the cell, the whole network's alone."""

    folder: ResultsFolder
    frame: Frame
    cell: Cell
    name: str

    @cached_property
    def model(self) -> Network:
        """With its trained weights, in evaluation mode, on the CPU. Raises StorageError if there are none."""
        model: Any = self._subject.model
        found: Network = model
        return found

    @cached_property
    def _subject(self) -> Subject:
        # `accuracy` stands for any harness that needs trained weights.
        return Subject(Job(self.cell, Choice("accuracy"), "cpu"), self.folder.weights_folder(self.cell.cell_id))

    def images(self, count: int) -> Tensor:
        """The first test images (B, C, H, W), or sequences (T, B, C, H, W)."""
        from spikebench.harnesses._ways.contender import first_batch

        return first_batch(self._subject.dataset, count, self._subject.device)[0]

    @property
    def records(self) -> Sequence[Record]:
        from spikebench.reading.model.summary import is_whole

        return [r for r in self.frame.records if r.cell_id == self.cell.cell_id and is_whole(r) and r.value is not None]

    def suite(self) -> dict[str, Any]:
        """A suite of this one network: run it, and the same weights are trained again."""
        from spikebench.core.choice import plain

        cell = self.cell
        found: dict[str, Any] = {
            "suite": f"exported-{cell.cell_id[:8]}",
            "dataset": plain(cell.dataset),
            "variants": {"base": cell.variant.to_plain()},
            "seeds": [cell.seed],
            "train": "none" if cell.training is None else dict(plain(cell.training.options)),
        }
        if cell.pretraining is not None:
            found["pretrain"] = dict(plain(cell.pretraining.options))
        if cell.weights is not None:
            found["weights"] = {"path": cell.weights.path, "layout": cell.weights.layout, "ema": cell.weights.ema}
        return found


def find(path: Path, group: str | None, seed: int | None) -> Source:
    """The cell that a person means: of a group the one with this seed, else with its first. Raises InputError, StorageError."""
    folder = ResultsFolder(path).require()
    frame = load_results(path)
    group_id = find_group(frame, group)
    seeds = {own: cell_id for cell_id, own in frame.groups[group_id].seeds.items()}
    chosen = min(seeds) if seed is None else seed
    if chosen not in seeds:
        known = ", ".join(map(str, sorted(seeds)))
        raise InputError(Problem(f"{frame.name(group_id)} has no seed {chosen} (known: {known})", key="--seed"))
    return Source(folder, frame, Cell.from_plain(frame.cells[seeds[chosen]]), frame.name(group_id))


def needs(package: str, extra: str) -> Any:
    """An optional package. Raises InputError that says how to install it."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"this format needs the package {package}: pip install 'spikebench[{extra}]' ({error})") from error
