"""Two processes that train one network against one process: the same weights, statistics and losses up to rounding."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from spikebench import data
from spikebench.core.variant import VariantSpec
from spikebench.networks import batch_parts, build
from spikebench.networks.layers import BatchNorm2d
from spikebench.training.group import ALONE, Group, cut, parts_of
from spikebench.training.loop import Training
from spikebench.training.options import TrainingOptions

CPU = torch.device("cpu")
TINY = VariantSpec(depth=1, dim=16, num_heads=2, T=2)
OPTIONS = TrainingOptions(
    epochs=2, batch_size=10, lr=5e-3, augment="standard", mixup=0.5, erase=0.5, ema=0.9, warmup_epochs=0, clip_norm=0.1
)
SMALL = {"random": {"channels": 1, "size": 8, "classes": 4, "samples": 31}}


class Double:
    """In double precision rounding moves no membrane over its threshold, so that what is compared is the algorithm."""

    version = 1

    def __init__(self) -> None:
        self._dataset = data.load(SMALL)
        self.inputs = self._dataset.inputs

    def split(self, name: data.SplitName) -> TensorDataset:
        x, y = self._dataset.split(name).tensors
        return TensorDataset(x.double(), y)


def make(options: TrainingOptions, group: Group = ALONE) -> Training:
    torch.set_num_threads(1)
    torch.manual_seed(4)
    dataset = Double()
    return Training(build(TINY, dataset.inputs).double(), dataset, options, seed=3, device=CPU, group=group)


def state_of(training: Training) -> dict[str, torch.Tensor]:
    return {**training.model.state_dict(), **{f"kept.{name}": value for name, value in training.kept.state_dict().items()}}


def _rank(rank: int, world: int, folder: Path, options: list[TrainingOptions]) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    for number, one in enumerate(options):
        training = make(one, Group(rank, world))
        epochs = [training.epoch()]
        if number == 0:
            kept = training.state_dict()
            if rank == 0:
                torch.save(kept, folder / "kept.pt")
        epochs.append(training.epoch())
        found = [(epoch.training_loss, epoch.silent) for epoch in epochs]
        torch.save((found, state_of(training)), folder / f"{number}-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("world", [2])
def test_two_processes_are_one_up_to_rounding(tmp_path: Path, world: int) -> None:
    """Passes that are shared, dealt out whole, and (31 samples in steps of 10: the last has one) too small to be either."""
    options = [OPTIONS, replace(OPTIONS, accumulate=2), replace(OPTIONS, accumulate=5, activation_checkpointing="blocks")]
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=_rank, args=(rank, world, tmp_path, options)) for rank in range(world)]
    for process in ranks:
        process.start()
    alone = []
    for one in options:
        training = make(one)
        alone.append(([(e.training_loss, e.silent) for e in (training.epoch() for _ in range(one.epochs))], state_of(training)))
    for process in ranks:
        process.join(300)
        assert process.exitcode == 0
    for number, (losses, state) in enumerate(alone):
        for rank in range(world):
            found, weights = torch.load(tmp_path / f"{number}-{rank}.pt", weights_only=False)
            assert [silent for _, silent in found] == [silent for _, silent in losses]
            assert [loss for loss, _ in found] == pytest.approx([loss for loss, _ in losses], rel=1e-9)
            for name, value in state.items():
                torch.testing.assert_close(weights[name], value, rtol=1e-7, atol=1e-9, msg=f"{number} {rank} {name}")
    resumed = make(OPTIONS)  # what two have begun, one goes on with
    resumed.load_state_dict(torch.load(tmp_path / "kept.pt", weights_only=True))
    assert resumed.epoch().training_loss == pytest.approx(alone[0][0][1][0], rel=1e-9)
    for name, value in alone[0][1].items():
        torch.testing.assert_close(state_of(resumed)[name], value, rtol=1e-7, atol=1e-9)
    assert not torch.allclose(alone[0][1]["head.linear.weight"], alone[1][1]["head.linear.weight"], rtol=1e-5), (
        "BatchNorm differs"
    )


@pytest.mark.parametrize("n", [1, 2, 7, 10, 31])
@pytest.mark.parametrize("accumulate", [1, 2, 4, 5])
@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_all_samples_are_computed_once_and_pairs_stay_together(n: int, accumulate: int, world: int) -> None:
    weight, seen = 0.0, []
    for rank in range(world):
        numbers, parts = parts_of(n, accumulate, Group(rank, world))
        assert [part.stretch.start for part in parts] == [0, *(part.stretch.stop for part in parts[:-1])]
        assert len(numbers) == (parts[-1].stretch.stop if parts else 0)
        weight += sum(part.weight for part in parts)
        for part in parts:
            own = numbers[part.stretch].tolist()
            assert own == list(range(own[0], own[-1] + 1))
            assert own[0] % 2 == 0
            seen += own if part.kind != "copied" or rank == 0 else []
    assert sorted(seen) == list(range(n))
    assert weight == pytest.approx(1)
    kinds = {tuple(part.kind for part in parts_of(n, accumulate, Group(rank, world))[1]) for rank in range(world)}
    assert len(kinds) == 1, "all ranks meet in the same sums"


def test_cuts_are_between_pairs() -> None:
    assert [(one.start, one.stop) for one in cut(10, 4)] == [(0, 2), (2, 4), (4, 6), (6, 10)]
    assert [(one.start, one.stop) for one in cut(3, 2)] == [(0, 2), (2, 3)]
    assert parts_of(6, 1)[1][0].weight == 1.0


@pytest.mark.parametrize("copies", [1, 4])
def test_batch_norm_of_one_part_is_batch_norm(copies: int) -> None:
    """Sums over a single part are the part's own: what is left is the arithmetic, of static images (T copies) too."""
    x = torch.randn(6, 3, 4, 4, dtype=torch.float64)
    expected, found = BatchNorm2d(3).double(), BatchNorm2d(3).double()
    wanted = expected(x.expand(copies, *x.shape))
    with batch_parts.together(lambda part: part):
        torch.testing.assert_close(found(x.expand(copies, *x.shape)), wanted)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value)
    assert batch_parts.whole(7) == 7
