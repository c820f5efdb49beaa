"""The loop: deterministic, whole after a kill at any moment, and alone with its randomness."""

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from spikebench import data
from spikebench.core.errors import DiskError, StorageError
from spikebench.core.source import source
from spikebench.training import checkpoints, interruption, load_weights
from spikebench.training.begun import begun
from spikebench.training.epochs import Epoch
from spikebench.training.loop import Training
from spikebench.training.optimizers import make_optimizer
from spikebench.training.options import TrainingOptions
from spikebench.training.randomness import Randomness, seed_globally
from spikebench.training.whole import train

OPTIONS = TrainingOptions(epochs=4, batch_size=32, lr=3e-3, augment="light")
CPU = torch.device("cpu")
SMALL = {"random": {"channels": 1, "size": 8, "classes": 4, "samples": 70}}


class Noisy(nn.Module):
    """Draws from the global generator (dropout) and keeps buffers (BatchNorm): all that a checkpoint could forget."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(216, 10)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Signalled(Noisy):
    """Gets a signal in the middle of its ``moment``-th step, as a batch system or a user would send it."""

    def __init__(self, moment: int, number: int) -> None:
        super().__init__()
        self.moment, self.number = moment, number

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.moment -= 1
            if self.moment == 0:
                os.kill(os.getpid(), self.number)
        return super().forward(x)


def make(options: TrainingOptions = OPTIONS, seed: int = 5, model: nn.Module | None = None) -> Training:
    torch.manual_seed(seed)
    return Training(model or Noisy(), data.load(SMALL), options, seed=seed, device=CPU)


def without_times(epochs: list[Epoch]) -> list[tuple[float, ...]]:
    return [(e.number, e.training_loss, e.loss, e.accuracy, e.learning_rate) for e in epochs]


def same_weights(one: Path, other: Path) -> bool:
    states = [torch.load(folder / "weights.pt", weights_only=True) for folder in (one, other)]
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Bit-equality is promised for the same number of threads; and forking with OpenMP's threads alive would hang."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Epoch], Path]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return list(train(make(), folder, "me")), folder


def test_leaves_the_weights_and_nothing_else(undisturbed: tuple[list[Epoch], Path]) -> None:
    epochs, folder = undisturbed
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4]
    assert os.listdir(folder) == ["weights.pt"]


@pytest.mark.parametrize("taken", [1, 2, 3, 4])
def test_closed_at_any_epoch_and_run_again_it_ends_the_same_to_the_last_bit(
    undisturbed: tuple[list[Epoch], Path], tmp_path: Path, taken: int
) -> None:
    running = train(make(), tmp_path, "me")
    first = [next(running) for _ in range(taken)]
    running.close()
    torch.manual_seed(999)  # whatever another job of the process does meanwhile
    resumed = make(seed=5, model=Noisy())  # another start: the checkpoint decides
    epochs = list(train(resumed, tmp_path, "me"))
    assert epochs[:taken] == first
    assert without_times(epochs) == without_times(undisturbed[0])
    assert same_weights(tmp_path, undisturbed[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", [1, 2, 4, 8, 12])
def test_told_to_stop_in_the_middle_of_an_epoch_it_ends_the_same_to_the_last_bit(
    undisturbed: tuple[list[Epoch], Path], tmp_path: Path, moment: int, number: signal.Signals
) -> None:
    """Twelve steps, three an epoch: the step that the signal falls into is the last that the checkpoint knows."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {which: signal.signal(which, end) for which in (signal.SIGTERM, signal.SIGINT)}
    try:
        torch.manual_seed(5)
        stopped = make(model=Signalled(moment, number))
        with pytest.raises(KeyboardInterrupt):
            list(train(stopped, tmp_path, "me"))
        assert [signal.getsignal(which) for which in before] == [end, end]
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
    kept = checkpoints.read(begun(tmp_path, "me"))
    assert 3 * len(kept["history"]) + (kept["progress"] or {"step": 0})["step"] == moment
    torch.manual_seed(999)
    resumed = list(train(make(model=Noisy()), tmp_path, "me"))
    assert without_times(resumed) == without_times(undisturbed[0])
    assert same_weights(tmp_path, undisturbed[1])
    assert resumed[0].seconds < 60, "the time between the two runs is none of the epoch's"


def test_a_step_that_hangs_can_be_interrupted_and_ignored_signals_stay_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, end), signal.signal(signal.SIGTERM, signal.SIG_IGN)
    monkeypatch.setattr(interruption, "PATIENCE", 0.0)
    try:
        with interruption.deferred() as heard:
            os.kill(os.getpid(), signal.SIGTERM)
            assert not heard
        with interruption.deferred() as heard:
            os.kill(os.getpid(), signal.SIGINT)
            assert heard
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
            heard.signal = 0
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def _train_slowly(folder: Path, checkpoint_minutes: float) -> None:
    torch.set_num_threads(1)
    for _ in train(make(replace(OPTIONS, checkpoint_minutes=checkpoint_minutes)), folder, "me"):
        time.sleep(0.01)


@pytest.mark.parametrize("checkpoint_minutes", [10.0, 0.0])
def test_killed_with_sigkill_at_ten_moments_it_ends_the_same(
    undisturbed: tuple[list[Epoch], Path], tmp_path: Path, checkpoint_minutes: float
) -> None:
    forked = multiprocessing.get_context("fork")  # a fresh interpreter would spend seconds on importing torch
    random, kills = Random(0), 0
    while kills < 10 and not (tmp_path / "weights.pt").exists():
        child = forked.Process(target=_train_slowly, args=(tmp_path, checkpoint_minutes))
        child.start()
        time.sleep(random.uniform(0.01, 0.04))
        child.kill()
        child.join()
        kills += child.exitcode == -signal.SIGKILL
    assert kills >= 2
    epochs = list(train(make(), tmp_path, "me"))
    assert without_times(epochs) == without_times(undisturbed[0])
    assert same_weights(tmp_path, undisturbed[1])
    assert os.listdir(tmp_path) == ["weights.pt"]


def test_a_kill_while_writing_leaves_the_last_checkpoint(
    undisturbed: tuple[list[Epoch], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = train(make(), tmp_path, "me")
    next(running)

    def torn(content: object, file: object) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", torn)
        with pytest.raises(DiskError, match=r"checkpoint-me-\w+\.pt: the disk is full"):
            next(running)
    assert os.listdir(tmp_path) == [begun(tmp_path, "me").name]
    assert without_times(list(train(make(), tmp_path, "me"))) == without_times(undisturbed[0])


def test_a_damaged_checkpoint_is_named_and_kept(tmp_path: Path) -> None:
    running = train(make(), tmp_path, "me")
    next(running)
    running.close()
    checkpoint = begun(tmp_path, "me")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(StorageError, match="cannot be read"):
        next(train(make(), tmp_path, "me"))
    assert checkpoint.exists()


def test_what_others_have_begun_is_neither_taken_up_nor_touched(
    undisturbed: tuple[list[Epoch], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another device's training is another job; other code's is of another source, and of no use once this one is finished."""
    left = []
    for job_id, source_id in (("on another device", source()["source_id"]), ("me", "older code")):
        with monkeypatch.context() as patch:
            patch.setattr("spikebench.training.begun.source", lambda source_id=source_id: {"source_id": source_id})
            running = train(make(seed=9), tmp_path, job_id)
            next(running)
            running.close()
            left.append(begun(tmp_path, job_id))
    contents = [path.read_bytes() for path in left]
    running = train(make(), tmp_path, "me")
    assert without_times([next(running)]) == without_times(undisturbed[0][:1])
    assert [path.read_bytes() for path in left] == contents
    assert without_times(list(running)) == without_times(undisturbed[0][1:])
    assert sorted(os.listdir(tmp_path)) == sorted([left[0].name, "weights.pt"])


def test_seeds_differ_and_other_draws_of_the_process_change_nothing(
    undisturbed: tuple[list[Epoch], Path], tmp_path: Path
) -> None:
    other = list(train(make(seed=6), tmp_path / "other", "me"))
    assert without_times(other) != without_times(undisturbed[0])
    running, epochs = train(make(), tmp_path / "beside", "me"), []
    state = torch.get_rng_state()
    for epoch in running:
        epochs.append(epoch)
        assert torch.equal(torch.get_rng_state(), state)
        torch.rand(3)
        state = torch.get_rng_state()
    assert without_times(epochs) == without_times(undisturbed[0])


def test_no_epochs_keeps_the_weights_and_still_knows_the_first_loss(tmp_path: Path) -> None:
    none, one = make(TrainingOptions(epochs=0, batch_size=32)), make(TrainingOptions(epochs=1, batch_size=32))
    before = {name: value.clone() for name, value in none.model.state_dict().items()}
    assert list(train(none, tmp_path / "none", "me")) == []
    assert all(torch.equal(value, before[name]) for name, value in none.model.state_dict().items())
    list(train(one, tmp_path / "one", "me"))
    assert none.first_step_loss == one.first_step_loss
    assert (tmp_path / "none" / "weights.pt").exists()


def test_a_seed_is_torchs_and_nothing_of_it_stays() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2**40 + 3)
        expected = torch.rand(3)
        before = len(torch.cuda._queued_calls)
        seed_globally(2**40 + 3)
        assert torch.equal(torch.rand(3), expected)
        assert len(torch.cuda._queued_calls) == before


def test_one_step_is_what_torch_does_by_hand(tmp_path: Path) -> None:
    """Without shuffling's help: one batch holds all samples, so any order gives the same step (up to rounding)."""
    options = TrainingOptions(epochs=1, batch_size=70, lr=1e-2, weight_decay=0.3, warmup_epochs=0, clip_norm=0.05, min_lr=0.0)
    training = make(options, model=nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).double())
    by_hand = nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).double()
    by_hand.load_state_dict(training.model.state_dict())
    x, y = training.train_split.tensors
    training.examples.split = training.train_split = training.validation_split = TensorDataset(x.double(), y)
    epoch = training.epoch()
    loss = nn.functional.cross_entropy(by_hand(x.double()), y, label_smoothing=0.1)
    loss.backward()
    gradients = [parameter.grad for parameter in by_hand.parameters()]
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
    assert norm > 0.05, "clipping must bite"
    for parameter, gradient, decay in zip(by_hand.parameters(), gradients, (0.3, 0.0), strict=True):
        clipped = gradient * 0.05 / (norm + 1e-6)
        with torch.no_grad():  # AdamW's first step: the bias corrections leave g / (|g| + eps)
            parameter.mul_(1 - 1e-2 * decay).sub_(1e-2 * clipped / (clipped.abs() + 1e-8))
    for found, expected in zip(training.model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert epoch.training_loss == pytest.approx(loss.item(), rel=1e-12)
    assert epoch.learning_rate == 1e-2


def test_biases_and_norms_do_not_decay() -> None:
    groups = make_optimizer(Noisy(), TrainingOptions(weight_decay=0.5)).param_groups
    assert [(group["weight_decay"], [p.dim() for p in group["params"]]) for group in groups] == [
        (0.5, [4, 2]),
        (0.0, [1, 1, 1, 1]),
    ]


def test_a_diverged_training_says_so_and_leaves_no_weights(tmp_path: Path) -> None:
    class Explodes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.log(self.w - 2).expand(len(x), 4)

    with pytest.raises(FloatingPointError, match="loss is nan in epoch 1"):
        list(train(make(model=Explodes()), tmp_path, "me"))
    assert not (tmp_path / "weights.pt").exists()


def test_the_next_to_load_finished_weights_gets_what_the_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = make(TrainingOptions(epochs=1, batch_size=32))
    list(train(training, tmp_path, "me"))
    for value in training.model.state_dict().values():  # whatever becomes of the network that was trained
        value.fill_(7)
    read, asked = checkpoints.read, []
    monkeypatch.setattr(checkpoints, "read", lambda path: asked.append(path) or read(path))
    first, second = (load_weights(Noisy(), tmp_path) for _ in range(2))
    assert asked == [tmp_path / "weights.pt"], "once from memory, then from the file"
    for (name, value), (_, stored) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        assert torch.equal(value, stored), name
        assert value.dtype == stored.dtype


@pytest.mark.parametrize("what", ["changed", "elsewhere", "large"])
def test_weights_in_memory_that_are_not_the_files_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "large":
        monkeypatch.setattr(checkpoints, "SMALL", 100)
    here, other = tmp_path / "here", tmp_path / "other"
    one, two = Noisy().state_dict(), Noisy().state_dict()
    checkpoints.write(other / "weights.pt", two)
    checkpoints.write_weights(here, one)
    if what == "changed":
        (other / "weights.pt").replace(here / "weights.pt")
    read, asked = checkpoints.read, []
    monkeypatch.setattr(checkpoints, "read", lambda path: asked.append(path) or read(path))
    found = load_weights(Noisy(), other if what == "elsewhere" else here).state_dict()
    assert len(asked) == 1
    expected = one if what == "large" else two
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


def test_no_weights_are_held_while_another_network_is_trained(tmp_path: Path) -> None:
    checkpoints.write_weights(tmp_path, state := Noisy().state_dict())
    assert checkpoints._latest is not None
    assert checkpoints._latest[2]._metadata == state._metadata  # type: ignore[attr-defined]
    next(train(make(), tmp_path / "next", "me"))
    assert checkpoints._latest is None, "they would count as memory of the training"


def test_load_weights_names_what_is_wrong(undisturbed: tuple[list[Epoch], Path], tmp_path: Path) -> None:
    model = load_weights(Noisy(), undisturbed[1])
    stored = torch.load(undisturbed[1] / "weights.pt", weights_only=True)
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())
    with pytest.raises(StorageError, match="has this network been trained"):
        load_weights(Noisy(), tmp_path)
    with pytest.raises(StorageError, match="another network's weights"):
        load_weights(nn.Linear(2, 2), undisturbed[1])
    (tmp_path / "weights.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(StorageError, match="cannot be read"):
        load_weights(Noisy(), tmp_path)


def test_what_the_network_draws_goes_on_from_epoch_to_epoch_and_over_a_restart() -> None:
    first, restarted = Randomness(3, CPU), Randomness(4, CPU)
    drawn = []
    for _ in range(3):
        state = first.state_dict()
        with first.active():
            drawn.append(torch.rand(4).tolist())
    assert len({tuple(draw) for draw in drawn}) == 3, "dropout would repeat itself in every epoch"
    restarted.load_state_dict(state)
    with restarted.active():
        assert torch.rand(4).tolist() == drawn[2]


class Frames(nn.Module):
    """Takes (T, B, C, H, W); fails on anything else."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * 8 * 8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        T, B = x.shape[:2]
        assert (T, x.shape[2:]) == (3, (2, 8, 8))
        return self.linear(x.view(T, B, -1)).mean(0)


class Listed(torch.utils.data.Dataset):
    """A split that is not in tensors: training goes through a DataLoader."""

    def __init__(self, split: TensorDataset) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        return self.split[index]


class Loaded:
    version = 1

    def __init__(self, dataset: data.Dataset) -> None:
        self.inputs, self._dataset = dataset.inputs, dataset

    def split(self, name: data.SplitName) -> Listed:
        return Listed(self._dataset.split(name))


EVENTS = {"random": {"channels": 2, "size": 8, "classes": 4, "events": True, "T": 3, "samples": 20}}


@pytest.mark.parametrize("taken", [1, 2])
def test_event_frames_and_loaders_resume_as_exactly(tmp_path: Path, taken: int) -> None:
    def make_loaded() -> Training:
        torch.manual_seed(0)
        options = TrainingOptions(epochs=3, batch_size=8, augment="standard")
        return Training(Frames(), Loaded(data.load(EVENTS)), options, seed=1, device=CPU)

    undisturbed = list(train(make_loaded(), tmp_path / "undisturbed", "me"))
    running = train(make_loaded(), tmp_path / "stopped", "me")
    for _ in range(taken):
        next(running)
    running.close()
    resumed = list(train(make_loaded(), tmp_path / "stopped", "me"))
    assert without_times(resumed) == without_times(undisturbed)
    assert same_weights(tmp_path / "stopped", tmp_path / "undisturbed")


def test_what_the_disk_said_is_raised_and_not_torchs_word_for_it(tmp_path: Path) -> None:
    weights = {"w": torch.zeros(10_000)}
    with open("/dev/full", "wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        checkpoints._save(weights, file)
    (tmp_path / "weights.pt").mkdir()
    with pytest.raises(StorageError, match="a folder stands where a file is needed"):
        checkpoints.write(tmp_path / "weights.pt", weights)
    assert os.listdir(tmp_path) == ["weights.pt"]
