"""One network on one device, as a harness gets it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikebench.core.cells import Cell, Job, Weights
from spikebench.core.errors import StorageError
from spikebench.core.records import Record
from spikebench.core.registry import REGISTRIES, is_stage
from spikebench.core.store import ResultsFolder
from spikebench.core.suite import inputs_of
from spikebench.core.waiting import UNTRAINED, not_pretrained
from spikebench.data._checked import Checked
from spikebench.running.jobs.noted import Noted

if TYPE_CHECKING:
    import torch
    from torch import nn


class Subject:
    """See ``core.protocols.Subject``. Nothing is built, loaded or counted before it is asked for. ``results``: the folder that
    keeps how large the splits were that were read; None: nothing is kept."""

    def __init__(self, job: Job, weights_folder: Path, previous: Sequence[Record] = (), results: Path | None = None) -> None:
        self.job = job
        self.weights_folder = weights_folder
        self.previous = tuple(previous)
        self.results = results

    def __reduce__(self) -> tuple[type[Subject], tuple[Job, Path, Sequence[Record], Path | None]]:
        """Sent to another process, all is made there anew."""
        return type(self), (self.job, self.weights_folder, self.previous, self.results)

    @cached_property
    def device(self) -> torch.device:
        import torch

        return torch.device(self.job.device)

    @cached_property
    def dataset(self) -> Any:
        choice = self.job.cell.dataset
        found = REGISTRIES["datasets"].get(choice.name)(choice.resolve("datasets"))
        checked = found if type(found).__module__.startswith("spikebench.data.") else Checked(found, choice.name)
        return checked if self.results is None else Noted(checked, choice, ResultsFolder(self.results))

    @cached_property
    def model(self) -> nn.Module:
        """In evaluation mode. A training gets the seeded start, the given weights or the pre-trained encoder; a measurement the
        trained weights, or what a training would get where there is none.

        Raises StorageError if the weights that it needs are not there: the next run may have them.
        """
        from spikebench.training import load_weights

        cell = self.job.cell
        model = initial_model(cell)
        needed = next(iter(needed_by(self.job)), None)
        if needed is not None and needed is not cell:
            self._start_from_pretraining(model, needed)
        elif needed is not None:
            if not has_weights(self.weights_folder):
                raise StorageError(UNTRAINED)
            load_weights(model, self.weights_folder)
        return model.to(self.device).eval()

    def _start_from_pretraining(self, model: nn.Module, before: Cell) -> None:
        from spikebench.training.pretraining import load_pretrained

        folder = self.weights_folder.parent / before.cell_id
        if not has_weights(folder):
            raise StorageError(not_pretrained(before.cell_id))
        load_pretrained(model, folder)


def initial_model(cell: Cell) -> nn.Module:
    """The cell's network before any training: its own seeded start, or the given weights."""
    import torch

    from spikebench.networks import build
    from spikebench.training.randomness import seed_globally

    with torch.random.fork_rng(devices=[]):
        seed_globally(cell.seed)
        model: nn.Module = build(cell.variant, inputs_of(cell.dataset))
    if cell.weights is not None:
        _start_from(model, cell.weights)
    return model


def _start_from(model: Any, weights: Weights) -> None:
    """What has the same place and shape in the checkpoint is taken from it; components that the suite changed start afresh."""
    import hashlib

    from spikebench.networks.foreign import apply_quirks, load_into
    from spikebench.training.pretraining import load_pretrained_file

    with open(weights.path, "rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != weights.sha256:
            raise StorageError(f"{weights.path}: is not the file that it was when the suite was read")
    if weights.layout == "masked":
        load_pretrained_file(model, Path(weights.path))
    else:
        load_into(model, weights.path, weights.layout, ema=weights.ema)
        for name in weights.quirks.split(",") if weights.quirks not in ("", "none") else ():
            apply_quirks(model, weights.layout, name)


def needed_by(job: Job) -> tuple[Cell, ...]:
    """The cells that must be trained for this job: the one whose weights it loads, then those that that one starts from."""
    cell, before = job.cell, job.cell.pretraining_cell
    stage = is_stage(job.harness.name)
    if job.harness != cell.training and (stage or not REGISTRIES["harnesses"].get(job.harness.name).needs_weights):
        return ()
    own = cell if cell.training is not None and not stage else None
    return tuple(needed for needed in (own, before) if needed is not None)


def has_weights(folder: Path) -> bool:
    """Whether a finished training left its weights here."""
    return (folder / "weights.pt").is_file()
