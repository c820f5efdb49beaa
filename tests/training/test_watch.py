"""What a long training finds out about itself: dead layers, a loss gone wrong, memory that grows, and its best epoch."""

from __future__ import annotations

import copy
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from spikebench import data
from spikebench.core.choice import Choice
from spikebench.core.records import Record, Selector
from spikebench.core.variant import VariantSpec
from spikebench.harnesses.train import Harness
from spikebench.networks import build
from spikebench.networks.neurons import SpikingNeuron
from spikebench.testing import make_subject
from spikebench.training import checkpoints, loop, watch
from spikebench.training.epochs import Epoch
from spikebench.training.loop import Training
from spikebench.training.options import TrainingOptions
from spikebench.training.whole import train

TINY = VariantSpec(depth=1, dim=16, num_heads=2, T=2)
SMALL = {"random": {"channels": 1, "size": 8, "classes": 4, "samples": 24}}
CPU = torch.device("cpu")


def make(options: TrainingOptions, deaf: tuple[str, ...] = ()) -> Training:
    torch.manual_seed(0)
    dataset = data.load(SMALL)
    model = build(TINY, dataset.inputs)
    for name in deaf:
        model.get_submodule(name).v_threshold = 1e9
    return Training(model, dataset, options, seed=0, device=CPU)


def run(folder: Path, **options: object) -> list[Record]:
    choice = Choice("train", {"batch_size": 8, **options})
    return list(Harness().run(make_subject(folder, choice), choice.resolve("harnesses")))


def test_layers_without_a_spike_are_those_that_a_look_at_every_output_finds() -> None:
    names = watch.neuron_layers(build(TINY, data.load(SMALL).inputs))
    training = make(TrainingOptions(epochs=2, batch_size=8), deaf=(names[2], names[-1]))
    spikes = dict.fromkeys(names, 0.0)
    for name, module in training.model.named_modules():
        if isinstance(module, SpikingNeuron):
            module.register_forward_hook(lambda module, _, out, name=name: spikes.__setitem__(name, spikes[name] + out.sum()))
    evaluated = copy.deepcopy(training)._judge
    training._judge = lambda now: evaluated(now)  # a copy is validated: what it fires is no spike of training
    epoch = training.epoch()
    assert set(epoch.silent) == {name for name in names if not spikes[name]} >= {names[2], names[-1]}
    assert len(epoch.silent) < len(names)
    assert not any(hook for name in names for hook in list(training.model.get_submodule(name)._forward_hooks.values())[1:])


def test_a_dead_layer_is_recorded_and_ends_the_training_where_that_is_asked_for(tmp_path: Path) -> None:
    names = watch.neuron_layers(make(TrainingOptions()).model)
    subject = make_subject(tmp_path, Choice("train"))
    subject.model.get_submodule(names[0]).v_threshold = 1e9  # nothing comes through: all are silent
    records: list[Record] = []
    with pytest.raises(RuntimeError, match=f"stopped after epoch 1: no spike in the whole epoch in {names[0]}"):
        records.extend(Harness().run(subject, TrainingOptions(epochs=3, batch_size=8, stop_on=("dead_layer",))))
    assert not (tmp_path / "weights.pt").exists()
    found = [record for record in run(tmp_path / "sound", epochs=1) if record.metric == "dead_layers" and not record.scope]
    assert len(found) == 1


def test_records_name_each_dead_layer(tmp_path: Path) -> None:
    names = watch.neuron_layers(make(TrainingOptions()).model)
    subject = make_subject(tmp_path, Choice("train"))
    subject.model.get_submodule(names[-1]).v_threshold = 1e9
    records = list(Harness().run(subject, TrainingOptions(epochs=2, batch_size=8)))
    assert Selector.parse(f"dead_layers{{epoch=2}}@{names[-1]}").one(records).value == 1
    assert Selector.parse("dead_layers{epoch=2}").one(records).value == sum(
        record.metric == "dead_layers" and record.conditions["epoch"] == 2 and record.scope != "" for record in records
    )


@pytest.mark.parametrize(
    ("mebibytes", "stops"),
    [
        ((50, 900, 100, 105, 110, 115, 120, 125), True),
        ((50, 900, 100, 105, 110, 115, 120, 121), False),  # the last rise is an allocator's rounding
        ((1, 20, 40, 60, 80, 100, 120), False),  # the first two epochs fill caches
        ((9, 9, 9, 9, 9, 9, 9, 9, 9), False),
    ],
)
def test_memory_that_grows_with_each_of_five_epochs(mebibytes: tuple[int, ...], stops: bool) -> None:
    history = [Epoch(number, 1.0, 0.1, 1.0, 1.0, memory=size * 2**20) for number, size in enumerate(mebibytes, 1)]
    assert bool(watch.complaint(history, ["memory"])) is stops
    assert watch.complaint(history, ["dead_layer"]) == ""
    assert not any(watch.complaint(history[:count], ["memory"]) for count in range(1, len(history)))


def test_memory_after_an_epoch_is_the_processes_own() -> None:
    """Of one that is new: an allocator with free memory takes none for more tensors."""
    code = """
import torch
from spikebench.training import watch
before = watch.memory(torch.device("cpu"))
more = torch.ones(256, 2**20, dtype=torch.uint8)
print(watch.memory(torch.device("cpu")) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 200 * 2**20 < int(done.stdout) < 300 * 2**20


@pytest.mark.parametrize(("checkpoint_minutes", "step"), [(10.0, 4), (0.0, 3)])
def test_a_loss_gone_wrong_ends_the_epoch_soon_and_is_in_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint_minutes: float, step: int
) -> None:
    monkeypatch.setattr(loop, "LOOK", 2)
    options = TrainingOptions(epochs=2, batch_size=4, checkpoint_minutes=checkpoint_minutes)
    training = Training(nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), data.load(SMALL), options, seed=0, device=CPU)
    training.objective = lambda model, x, y: model(x).sum() * (torch.nan if training.progress.step >= 2 else 1.0)
    with pytest.raises(FloatingPointError, match=f"the loss is nan in epoch 1 by step {step}"):
        list(train(training, tmp_path, "me"))
    left = [checkpoints.read(path)["progress"] for path in tmp_path.glob("checkpoint-*")]
    assert [progress["step"] for progress in left] == ([] if checkpoint_minutes else [2])
    assert all(torch.isfinite(progress["loss"]) for progress in left)


@pytest.mark.parametrize(("best_epoch", "others"), [("keep", ["best.pt"]), ("use", ["last.pt"]), ("ignore", [])])
def test_the_best_epoch_by_validation_is_kept_or_used(tmp_path: Path, best_epoch: str, others: list[str]) -> None:
    training = make(TrainingOptions(epochs=6, batch_size=8, lr=0.02, best_epoch=best_epoch))
    seen = []
    running = train(training, tmp_path, "me")
    for epoch in running:
        seen.append((epoch.accuracy, copy.deepcopy(training.model.state_dict())))
        if epoch.number == 3:  # and over a restart
            running.close()
            break
    training = make(TrainingOptions(epochs=6, batch_size=8, lr=0.02, best_epoch=best_epoch))
    for epoch in itertools.islice(train(training, tmp_path, "me"), 3, None):
        seen += [(epoch.accuracy, copy.deepcopy(training.model.state_dict()))]
    accuracies = [accuracy for accuracy, _ in seen]
    best = accuracies.index(max(accuracies))
    assert best != 5, "the last epoch must not be the best one, or nothing is tested"
    wanted = {"weights.pt": best if best_epoch == "use" else 5, "best.pt": best, "last.pt": 5}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "weights.pt"])
    for name in (*others, "weights.pt"):
        stored, expected = checkpoints.read(tmp_path / name), seen[wanted[name]][1]
        assert all(torch.equal(stored[key], value) for key, value in expected.items())


def test_which_epoch_was_best_is_recorded_and_using_it_is_another_cell(tmp_path: Path) -> None:
    records = run(tmp_path, epochs=3, best_epoch="keep")
    accuracies = [record.value for record in records if record.metric == "epoch_accuracy"]
    assert Selector.parse("best_epoch").one(records).value == 1 + accuracies.index(max(accuracies))
    canonical = {how: Choice("train", {"best_epoch": how}).canonical("harnesses") for how in ("ignore", "keep", "use")}
    assert canonical["ignore"] == canonical["keep"] != canonical["use"]
    assert canonical["ignore"] == Choice("train", {"stop_on": ["memory"]}).canonical("harnesses")
