"""The training loop: a generator of epochs that may be closed or killed at any moment and goes on from its last checkpoint."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spikebench.data import Dataset, batches, resident
from spikebench.training import checkpoints
from spikebench.training.augmentation import augment
from spikebench.training.begun import begun, forget
from spikebench.training.drop_path import add_drop_path
from spikebench.training.evaluation import evaluate
from spikebench.training.labels import labelled
from spikebench.training.layers import SCALE, decayed
from spikebench.training.objective import Classification
from spikebench.training.options import TrainingOptions
from spikebench.training.precision import autocast, resolve
from spikebench.training.randomness import Randomness
from spikebench.training.schedule import learning_rate

if TYPE_CHECKING:
    from spikebench.data import Split

Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One epoch's figures.

    ``training_loss``: mean over its samples, with smoothing and penalties, of the weights as they were then.

    ``learning_rate``: of its last step. ``seconds``: its optimisation steps, validation and checkpoint left out; ``throughput``:
    samples per second of those. ``loss`` and ``accuracy``: after it, on the validation split; None where nothing is validated.
    ``figures``: what else was found, by name.
    """

    number: int
    training_loss: float
    learning_rate: float
    seconds: float
    throughput: float
    loss: float | None = None
    accuracy: float | None = None
    figures: dict[str, float] = dataclasses.field(default_factory=dict)


class Training:
    """A network in training and all that a checkpoint must hold to go on with it bit for bit.

    ``seed`` decides order, augmentation and what the network draws, not the initial weights: those are the model's.
    ``objective``: (model, x, y) -> loss; the classification loss of ``options`` if left out.
    """

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        options: TrainingOptions,
        *,
        seed: int,
        device: torch.device,
        objective: Objective | None = None,
    ) -> None:
        self.model, self.options, self.device = model, options, device
        self.precision = resolve(options.amp, device, model)
        self.objective = objective or Classification(options)
        self.dataset = dataset
        self.train_split = labelled(resident(dataset.split("train"), device), options.labels, seed)
        self.samples = len(self.train_split)  # type: ignore[arg-type]
        self.steps_per_epoch = math.ceil(self.samples / options.batch_size)
        self.optimizer = make_optimizer(model, options)
        if options.drop_path:
            add_drop_path(model, options.drop_path)
        self.randomness = Randomness(seed, device)
        self.first_step_loss: float | None = None
        self.history: list[Epoch] = []

    @cached_property
    def validation_split(self) -> Split:
        """Read when first validated: a training that does not validate never sees it."""
        return resident(self.dataset.split("validation"), self.device)

    def first_loss(self) -> float:
        """The loss of the first step, without taking it: nothing of the model or of the randomness changes."""
        trial = copy.copy(self)
        trial.model = copy.deepcopy(self.model).train()
        trial.randomness = copy.deepcopy(self.randomness)
        with torch.no_grad(), trial.randomness.active():
            return float(trial._loss(*next(trial._batches())))

    def time_steps(self, count: int) -> list[float]:
        """Seconds of each of ``count`` optimisation steps (fewer where an epoch has fewer); the weights and the state change."""
        seconds = []
        self.model.train()
        with self.randomness.active():
            for x, y in itertools.islice(self._batches(), count):
                start = self._now()
                self._step(x, y, self.options.lr)
                seconds.append(self._now() - start)
        return seconds

    def epoch(self) -> Epoch:
        """Train one epoch more and validate. Raises FloatingPointError if the loss is no longer finite."""
        number = len(self.history) + 1
        self.model.train()
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        start = self._now()
        with self.randomness.active():
            for index, (x, y) in enumerate(self._batches()):
                rate = learning_rate((number - 1) * self.steps_per_epoch + index, self.steps_per_epoch, self.options)
                loss = self._step(x, y, rate)
                total += loss * len(y)
                if self.first_step_loss is None:
                    self.first_step_loss = float(loss)
        seconds = self._now() - start
        training_loss = float(total) / self.samples
        if not math.isfinite(training_loss):
            raise FloatingPointError(f"training diverged: the loss is {training_loss} in epoch {number}")
        done = Epoch(number, training_loss, rate, seconds, self.samples / seconds, **self._judge())
        self.history.append(done)
        return done

    def _judge(self) -> dict[str, Any]:
        """What an epoch says of the network after it, as fields of ``Epoch``."""
        found = evaluate(
            self.model,
            self.validation_split,
            self.device,
            batch_size=max(self.options.batch_size, 256),
            precision=self.precision,
            workers=self.options.workers,
        )
        return {"loss": found.loss, "accuracy": found.accuracy}

    def _step(self, x: Tensor, y: Tensor, rate: float) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get(SCALE, 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(x, y)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.options.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.optimizer.step()
        return loss.detach()

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        x = augment(x, self.options.augment, self.randomness.generator)
        with autocast(self.precision, self.device):
            return self.objective(self.model, x, y)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        return batches(self.train_split, self.options.batch_size, self.device, self.randomness.generator, self.options.workers)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "randomness": self.randomness.state_dict(),
            "first_step_loss": self.first_step_loss,
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.randomness.load_state_dict(state["randomness"])
        self.first_step_loss = state["first_step_loss"]
        self.history = [Epoch(**epoch) for epoch in state["history"]]


def train(training: Training, folder: Path, job_id: str) -> Iterator[Epoch]:
    """Train to the end, from the checkpoint that this code left of the job in ``folder`` if there is one; the weights stay there.

    Yields every epoch in order, those of before a kill too, so what is made of them is the same as if nothing had happened.
    Each is in the checkpoint before it is yielded. ``weights.pt`` is written before the last epoch is yielded, and the checkpoint
    removed after that: whoever took all epochs has the weights. Raises StorageError if it is damaged, or if the disk is full.
    """
    checkpoint = begun(folder, job_id)
    if checkpoint.exists():
        training.load_state_dict(checkpoints.read(checkpoint))
    total = training.options.epochs
    for number in range(1, total + 1):
        if number > len(training.history):
            training.epoch()
            checkpoints.write(checkpoint, training.state_dict())
        if number == total:
            _finish(training, folder)
        yield training.history[number - 1]
    if total == 0:
        training.first_step_loss = training.first_loss()
        _finish(training, folder)
    forget(folder, job_id)


def _finish(training: Training, folder: Path) -> None:
    training.model.eval()
    checkpoints.write(folder / checkpoints.WEIGHTS, training.model.state_dict())


def make_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """AdamW (arXiv 1711.05101), or SGD with momentum 0.9; weight decay on parameters of two and more dimensions alone.

    The fused implementation where there is one: its arithmetic is the same, and small networks would spend more time between the
    parameters than on them.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.layer_decay != 1:
        groups = decayed(model, groups, options.layer_decay)
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.lr, momentum=0.9, fused=True)
    return torch.optim.AdamW(groups, lr=options.lr, fused=True)
