"""The training loop: epochs of steps, and all of the state from which it goes on after any of them, bit for bit."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spikebench.data import Dataset, resident
from spikebench.networks import shortcuts
from spikebench.networks.batch_parts import together
from spikebench.training import checkpoints, watch
from spikebench.training.augmentation import Augmentation
from spikebench.training.averaging import Average
from spikebench.training.draws import Draws
from spikebench.training.drop_path import add_drop_path
from spikebench.training.epochs import Epoch, Progress, known
from spikebench.training.evaluation import Evaluation, evaluate
from spikebench.training.group import ALONE, Batch, Group, Part, Statistics, distributed
from spikebench.training.layers import SCALE
from spikebench.training.mixing import mix
from spikebench.training.objective import Classification
from spikebench.training.optimizers import make_optimizer
from spikebench.training.options import TrainingOptions
from spikebench.training.precision import Precision, autocast, resolve
from spikebench.training.randomness import Randomness
from spikebench.training.recomputing import recomputing
from spikebench.training.samples import Samples, note_unreadable
from spikebench.training.schedule import learning_rate

if TYPE_CHECKING:
    from spikebench.data import Split

Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]


LOOK = 100
"""Steps after which the loss is looked at: a GPU must be waited for."""


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
        group: Group = ALONE,
    ) -> None:
        self.model, self.options, self.device = model, options, device
        self.precision = resolve(options.amp, device, model)
        self.objective = objective or Classification(options)
        self.dataset = dataset
        self.group = group
        self.examples = Samples(dataset, options, seed, device, group)
        self.train_split = self.examples.split
        self.samples = len(self.examples)
        self.steps_per_epoch = math.ceil(self.samples / options.batch_size)
        self.augmentation = Augmentation(options, self.examples.normal, self.examples.cropped)
        self.optimizer = make_optimizer(model, options)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "fp16")
        if options.drop_path:
            add_drop_path(model, options.drop_path)
        self.average = None if options.ema is None else Average(model, options.ema)
        self.randomness = Randomness(seed, device, group.rank)
        self.first_step_loss: float | None = None
        self.parallel = None if group.world == 1 else distributed(model, self.objective, device)
        self.statistics = Statistics(model)
        self.history: list[Epoch] = []
        self.progress: Progress | None = None
        self.best: dict[str, Any] | None = None
        self._left_out: dict[str, dict[str, str]] = {}

    @property
    def kept(self) -> nn.Module:
        """The network that is validated and kept: the average where there is one."""
        return self.model if self.average is None else self.average.model

    @cached_property
    def validation_split(self) -> Split:
        """Read when first validated: a training that does not validate never sees it."""
        return resident(self.dataset.split("validation"), self.device)

    @cached_property
    def _test_split(self) -> Split:
        return resident(self.dataset.split("test"), self.device)

    @property
    def unreadable(self) -> dict[str, dict[str, str]]:
        """Split -> file -> why it was left out, as far as they were read since the training began."""
        read = {"train": self.train_split, "validation": vars(self).get("validation_split")}
        return note_unreadable(self._left_out, read)

    def first_loss(self) -> float:
        """The loss of the first step, without taking it: nothing of the model's state or of the randomness changes."""
        trial = copy.copy(self)
        trial.randomness = copy.deepcopy(self.randomness)
        trial.progress = trial._begin()
        # A copy of the whole network takes some three times as long.
        mode, state = self.model.training, checkpoints.copy_of(self.model.state_dict())
        try:
            self.model.train()
            with torch.no_grad(), trial.randomness.active():
                return float(trial._loss(*trial._changed(next(trial._batches(trial.progress)))))
        finally:
            self.model.load_state_dict(state)
            self.model.train(mode)

    def time_steps(self, count: int) -> list[float]:
        """Seconds of each of ``count`` optimisation steps (fewer where an epoch has fewer); the weights and the state change."""
        seconds = []
        self.model.train()
        self.progress = self._begin()
        with self.randomness.active():
            for batch in itertools.islice(self._batches(self.progress), count):
                start = self._now()
                self._step(batch, self.options.lr)
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
        with self.randomness.active(), watch.crossing_off(self.model, now.silent):
            watch.forget_peak(self.device)
            start = self._now() - now.seconds
            for batch in self._batches(now):
                now.rate = learning_rate((number - 1) * self.steps_per_epoch + now.step, self.steps_per_epoch, self.options)
                loss = self._step(batch, now.rate)
                now.loss += loss * batch.n
                now.samples += batch.n
                now.step += 1
                if now.step % LOOK == 0:
                    self.require_finite()
                if self.first_step_loss is None:
                    self.first_step_loss = float(loss)
                before = time.perf_counter()
                now.seconds = before - start
                after_step()
                start += time.perf_counter() - before
            now.seconds = self._now() - start
            now.peak = max(now.peak, watch.peak(self.device))
        self.require_finite()
        # The first process alone judges; the others wait for it where they next have something to tell each other.
        judged = self._judge(now) if self.group.rank == 0 else {}
        ranks = self.group.gather(now.silent)
        silent = [name for name in now.silent if all(name in others for others in ranks)]
        found = {"silent": tuple(silent), "memory": watch.memory(self.device), "peak": now.peak, **judged}
        done = Epoch(number, float(now.loss) / now.samples, now.rate, now.seconds, now.samples / now.seconds, **found)
        self.history.append(done)
        if (
            "accuracy" in judged
            and self.options.best_epoch != "ignore"
            and (self.best is None or known(done.accuracy) > self.best["accuracy"])
        ):
            weights = {name: value.detach().to("cpu", copy=True) for name, value in self.kept.state_dict().items()}
            self.best = {"epoch": number, "accuracy": done.accuracy, "weights": weights}
        self.progress = None
        return done

    def require_finite(self) -> None:
        """Raises FloatingPointError if the loss of the epoch in hand is no number any more: what comes of it is of no use."""
        now = self.progress
        loss = 0.0 if now is None else float(now.loss) / now.samples
        if now is not None and not math.isfinite(loss):
            where = f"epoch {len(self.history) + 1} by step {now.step}"
            raise FloatingPointError(f"training diverged: the loss is {loss} in {where}")

    def _begin(self) -> Progress:
        nothing = torch.zeros((), dtype=torch.float64, device=self.device)
        return Progress(self.randomness.generator.get_state(), nothing, silent=watch.neuron_layers(self.model))

    def _judge(self, now: Progress) -> dict[str, Any]:
        """What an epoch that ended as ``now`` says of the network, as fields of ``Epoch``."""
        found = self._evaluate(self.validation_split, self.precision)
        judged: dict[str, Any] = {"loss": found.loss, "accuracy": found.accuracy}
        if self.options.test_epochs:
            judged["test_accuracy"] = self._evaluate(self._test_split, "fp32").accuracy
        return judged

    def _evaluate(self, split: Split, precision: Precision) -> Evaluation:
        batch_size = max(self.options.batch_size // self.options.passes, 256)
        return evaluate(self.kept, split, self.device, batch_size, precision, self.options.workers)

    def _step(self, batch: Batch, rate: float) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get(SCALE, 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        x, y = self._changed(batch)
        last = len(batch.parts) - 1
        total: Any = sum(self._pass(x, y, part, last=index == last) for index, part in enumerate(batch.parts))
        if self.group.world > 1 and self.statistics and batch.parts[0].kind == "whole":
            self.statistics.merge(self.group)
        if self.options.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.model)
        return self.group.sum(total)

    def _pass(self, x: Tensor, y: Tensor, part: Part, last: bool) -> Tensor:
        """Gradients of one part are added to those that are there; returns its share of the step's loss."""
        images, labels = x.narrow(x.dim() - 4, part.stretch.start, part.stretch.stop - part.stretch.start), y[part.stretch]
        with ExitStack() as around:
            around.enter_context(recomputing(self.model, self.options.activation_checkpointing))
            if self.options.fused == "auto":
                around.enter_context(shortcuts.fusing_bn_lif())
            if self.parallel is not None:
                if not last:
                    around.enter_context(self.parallel.no_sync())  # type: ignore[operator]
                if part.kind == "shared":
                    around.enter_context(together(self.group.sum_with_gradient))
                if part.kind == "whole" and self.statistics:
                    around.enter_context(self.statistics.noted())
            loss = self._loss(images, labels) * part.weight
            # DDP takes the mean over ranks, and the step's loss is their sum.
            self.scaler.scale(loss * self.group.world).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _changed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A batch as the network gets it: augmented, and mixed where that is on."""
        options = self.options
        draws = Draws(self.randomness.generator, batch.n, batch.numbers, self.device)
        x, y = self.augmentation(batch.x, draws), batch.y
        on = options.mixup_off_epoch == 0 or len(self.history) < options.mixup_off_epoch
        return mix(x, y, self.dataset.inputs.classes, options, draws) if (options.mixup or options.cutmix) and on else (x, y)

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        with autocast(self.precision, self.device):
            if self.parallel is not None and self.model.training and torch.is_grad_enabled():
                found: Tensor = self.parallel(x, y)
                return found
            return self.objective(self.model, x, y)

    def _batches(self, now: Progress) -> Iterator[Batch]:
        """Those of the epoch that are still to come, this rank's part of each."""
        generator = self.randomness.generator
        if now.step:
            generator = torch.Generator()
            generator.set_state(now.order)
        return self.examples.batches(len(self.history), generator, now.step)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "randomness": self.group.gather(self.randomness.state_dict()),
            "first_step_loss": self.first_step_loss,
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
            "best": self.best,
            "unreadable": self.unreadable,
            "progress": None if self.progress is None else dataclasses.asdict(self.progress),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
        ranks = state["randomness"]
        # On another number of devices the order goes on; what a new one draws by itself begins.
        own = ranks[self.group.rank] if self.group.rank < len(ranks) else self.randomness.state_dict()
        self.randomness.load_state_dict({**own, "generator": ranks[0]["generator"]})
        self.first_step_loss = state["first_step_loss"]
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.best = state["best"]
        self._left_out = state["unreadable"]
        self.progress = None if state["progress"] is None else Progress(**state["progress"])
