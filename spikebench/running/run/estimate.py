"""How long a plan will take: a guess from two training steps of each variant, timed on this machine."""

from __future__ import annotations

import dataclasses
import time

from spikebench.core.cells import Cell
from spikebench.running.jobs.plan import Plan
from spikebench.running.jobs.subject import initial_model


@dataclasses.dataclass(frozen=True)
class Guess:
    """``seconds``: None if there is no training to do."""

    parameters: int
    seconds: float | None

    def spell(self) -> str:
        if self.seconds is None:
            return "-"
        return f"{self.seconds:.0f} s" if self.seconds < 120 else f"{self.seconds / 60:.1f} min"


def estimate(plan: Plan, threads: int) -> dict[str, Guess]:
    """A guess for each cell_id, for workers of ``threads`` CPU threads; cells that differ in their seed alone are timed once."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        return _estimate(plan)
    finally:
        torch.set_num_threads(before)


def _estimate(plan: Plan) -> dict[str, Guess]:
    known: dict[tuple[str, bool], tuple[int, float]] = {}
    guesses = {}
    for cell, jobs in plan.cells:
        pending = [planned for planned in jobs if not planned.done]
        trains = any(planned.is_training for planned in pending)
        key = (cell.group_id, trains)
        if key not in known:
            known[key] = _time_cell(cell, trains)
        parameters, seconds = known[key]
        guesses[cell.cell_id] = Guess(parameters, seconds if trains else None)
    return guesses


def _time_cell(cell: Cell, trains: bool) -> tuple[int, float]:
    import torch

    model = initial_model(cell)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if not trains or cell.training is None:
        return parameters, 0.0
    from spikebench.core.registry import REGISTRIES

    options = cell.training.resolve("harnesses")
    data = REGISTRIES["datasets"].get(cell.dataset.name)(cell.dataset.resolve("datasets")).split("train")
    size = min(options.batch_size, len(data))
    pairs = [data[index] for index in range(size)]
    images = torch.stack([torch.as_tensor(image) for image, _ in pairs])
    labels = torch.as_tensor([int(label) for _, label in pairs])
    model.train()
    times = []
    for _ in range(2):
        started = time.perf_counter()
        torch.nn.functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        times.append(time.perf_counter() - started)
    return parameters, min(times) * -(-len(data) // size) * options.epochs
