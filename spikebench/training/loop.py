"""The training loop: epochs of steps, and all of the state from which it goes on after any of them, bit for bit."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spikebench.data import Dataset, batches, resident
from spikebench.training.augmentation import augment
from spikebench.training.drop_path import add_drop_path
from spikebench.training.evaluation import evaluate
from spikebench.training.labels import labelled
from spikebench.training.layers import SCALE
from spikebench.training.objective import Classification
from spikebench.training.optimizers import make_optimizer
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


@dataclasses.dataclass
class Progress:
    """How far an epoch is.

    ``order``: the randomness from which its order was drawn, (n,) uint8. ``step``: steps taken; ``samples`` seen in them;
    ``loss``: sum over these, 0-d float64; ``rate``: the last learning rate. ``sums``: what an objective adds up beside the loss,
    0-d float64 by name. ``seconds``: how long the steps took.
    """

    order: Tensor
    loss: Tensor
    step: int = 0
    samples: int = 0
    rate: float = 0.0
    seconds: float = 0.0
    sums: dict[str, Tensor] = dataclasses.field(default_factory=dict)

    def add(self, name: str, value: Tensor) -> None:
        """Add a 0-d ``value`` to the sum called ``name``."""
        self.sums[name] = self.sums.get(name, torch.zeros_like(self.loss)) + value.detach()


def _nothing() -> None:
    return None


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
        self.progress: Progress | None = None

    @cached_property
    def validation_split(self) -> Split:
        """Read when first validated: a training that does not validate never sees it."""
        return resident(self.dataset.split("validation"), self.device)

    def first_loss(self) -> float:
        """The loss of the first step, without taking it: nothing of the model or of the randomness changes."""
        trial = copy.copy(self)
        trial.model = copy.deepcopy(self.model).train()
        trial.randomness = copy.deepcopy(self.randomness)
        trial.progress = trial._begin()
        with torch.no_grad(), trial.randomness.active():
            return float(trial._loss(*next(trial._batches(trial.progress))))

    def time_steps(self, count: int) -> list[float]:
        """Seconds of each of ``count`` optimisation steps (fewer where an epoch has fewer); the weights and the state change."""
        seconds = []
        self.model.train()
        self.progress = self._begin()
        with self.randomness.active():
            for x, y in itertools.islice(self._batches(self.progress), count):
                start = self._now()
                self._step(x, y, self.options.lr)
                seconds.append(self._now() - start)
        self.progress = None
        return seconds

    def epoch(self, after_step: Callable[[], None] = _nothing) -> Epoch:
        """Train one epoch more, or what is left of one, and validate.

        ``after_step`` is called when the state is whole; what it raises ends the epoch there. Raises FloatingPointError if the
        loss is no longer finite.
        """
        number = len(self.history) + 1
        self.model.train()
        now = self.progress = self.progress or self._begin()
        with self.randomness.active():
            start = self._now() - now.seconds
            for x, y in self._batches(now):
                now.rate = learning_rate((number - 1) * self.steps_per_epoch + now.step, self.steps_per_epoch, self.options)
                loss = self._step(x, y, now.rate)
                now.loss += loss * len(y)
                now.samples += len(y)
                now.step += 1
                if self.first_step_loss is None:
                    self.first_step_loss = float(loss)
                before = time.perf_counter()
                now.seconds = before - start
                after_step()
                start += time.perf_counter() - before
            now.seconds = self._now() - start
        training_loss = float(now.loss) / now.samples
        if not math.isfinite(training_loss):
            raise FloatingPointError(f"training diverged: the loss is {training_loss} in epoch {number}")
        done = Epoch(number, training_loss, now.rate, now.seconds, now.samples / now.seconds, **self._judge(now))
        self.history.append(done)
        self.progress = None
        return done

    def _begin(self) -> Progress:
        return Progress(self.randomness.generator.get_state(), torch.zeros((), dtype=torch.float64, device=self.device))

    def _judge(self, now: Progress) -> dict[str, Any]:
        """What an epoch that ended as ``now`` says of the network, as fields of ``Epoch``."""
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

    def _batches(self, now: Progress) -> Iterator[tuple[Tensor, Tensor]]:
        """Those of the epoch that are still to come."""
        generator = self.randomness.generator
        if now.step:
            generator = torch.Generator()
            generator.set_state(now.order)
        order = torch.randperm(self.samples, generator=generator).split(self.options.batch_size)  # type: ignore[no-untyped-call]
        return batches(self.train_split, self.options.batch_size, self.device, order[now.step :], self.options.workers)

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
            "progress": None if self.progress is None else dataclasses.asdict(self.progress),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.randomness.load_state_dict(state["randomness"])
        self.first_step_loss = state["first_step_loss"]
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.progress = None if state["progress"] is None else Progress(**state["progress"])
