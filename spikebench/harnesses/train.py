"""Trains the network: AdamW, cosine with warm-up, label smoothing, clipping, AMP; a record per epoch; goes on after a kill.

The recipe's defaults are those of Spikformer on CIFAR (arXiv 2209.15425, references.md 1.9). Its finished weights are what
every other harness with ``needs_weights`` measures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Scalar
from spikebench.harnesses._files import METRICS, told
from spikebench.training.options import TrainingOptions

if TYPE_CHECKING:
    from spikebench.training.epochs import Epoch

EPOCH_LOSS = Metric(
    "epoch_loss", "1", "lower", "measured", "Validation loss", note="mean cross-entropy in nats, without smoothing"
)
EPOCH_TRAINING_LOSS = Metric(
    "epoch_training_loss", "1", "lower", "measured", "Training loss", note="mean over the epoch, with smoothing and penalties"
)
EPOCH_ACCURACY = Metric(
    "epoch_accuracy",
    "1",
    "higher",
    "measured",
    "Validation accuracy",
    display_unit="%",
    display_factor=100.0,
    digits=2,
    tolerance=0.01,
    note="validation split, after the epoch",
)
LEARNING_RATE = Metric("learning_rate", "1", None, "counted", "Learning rate", exact=True, note="of the epoch's last step")
EPOCH_SECONDS = Metric(
    "epoch_seconds",
    "s",
    "lower",
    "measured",
    "Epoch time",
    display_unit="s",
    portable=False,
    tolerance=0.1,
    note="optimisation steps; validation and checkpoint left out",
)
EPOCH_THROUGHPUT = Metric(
    "epoch_throughput",
    "1/s",
    "higher",
    "measured",
    "Training throughput",
    display_unit="images/s",
    portable=False,
    tolerance=0.1,
    note="images per second of optimisation steps",
)
FIRST_STEP_LOSS = Metric(
    "first_step_loss",
    "1",
    None,
    "measured",
    "First-step loss",
    exact=True,
    note="on the first batch, before any update: near ln(classes) if the network starts sane",
)
DEAD_LAYERS = Metric(
    "dead_layers",
    "1",
    "lower",
    "counted",
    "Dead layers",
    digits=0,
    note="neuron layers without a spike in a whole epoch of training; a record for each of them, too",
)
EPOCH_MEMORY = Metric(
    "epoch_memory",
    "B",
    "lower",
    "measured",
    "Memory after the epoch",
    display_unit="MiB",
    display_factor=2.0**-20,
    digits=0,
    portable=False,
    tolerance=0.1,
    note="of tensors on a GPU, of the process on a CPU; the same after every epoch unless something is never let go",
)
EPOCH_PEAK = Metric(
    "epoch_peak_memory",
    "B",
    "lower",
    "measured",
    "Peak memory in training",
    display_unit="MiB",
    display_factor=2.0**-20,
    digits=0,
    portable=False,
    tolerance=0.1,
    note="most that the epoch's steps held: tensors on a GPU, all of the process on a CPU",
)
BEST_EPOCH = Metric("best_epoch", "1", None, "counted", "Best epoch", digits=0, note="by validation accuracy")


class Harness:
    """A job like any other. What it leaves in ``subject.weights_folder``: ``weights.pt``; while it runs: a checkpoint.

    It does not set ``resumes``: after a kill it yields the earlier epochs' records again, from the checkpoint, so the job's
    record set is that of an undisturbed run. On a CPU the values are equal bit for bit if the number of threads is the same,
    times apart; CUDA kernels that add in no fixed order make small differences.
    """

    Options = TrainingOptions
    metrics = (
        EPOCH_LOSS,
        EPOCH_TRAINING_LOSS,
        EPOCH_ACCURACY,
        LEARNING_RATE,
        EPOCH_SECONDS,
        EPOCH_THROUGHPUT,
        FIRST_STEP_LOSS,
        DEAD_LAYERS,
        EPOCH_MEMORY,
        EPOCH_PEAK,
        BEST_EPOCH,
        *METRICS,
    )
    version = 1
    needs_weights = False
    exclusive = False
    resumes = False
    stage = True

    def run(self, subject: Subject, options: TrainingOptions) -> Iterator[Record]:
        """``first_step_loss``, then for every epoch its figures with the conditions ``epoch`` (from 1) and ``precision``.

        With ``epochs: 0`` the weights stay as they are initialised. Raises FloatingPointError if the training diverges,
        RuntimeError for what ``stop_on`` names, and StorageError if a checkpoint cannot be used or written.
        """
        from spikebench.training import ranks
        from spikebench.training.devices import OnDevices
        from spikebench.training.epochs import known
        from spikebench.training.loop import Training
        from spikebench.training.whole import train

        training: Training | OnDevices
        if options.devices > 1 or ranks.here() is not None:
            training = OnDevices(subject, options)
            epochs = iter(training)
        else:
            training = Training(subject.model, subject.dataset, options, seed=subject.job.cell.seed, device=subject.device)
            epochs = train(training, subject.weights_folder, subject.job.job_id)
        for epoch in epochs:
            if epoch.number == 1:
                yield Record.of(FIRST_STEP_LOSS, known(training.first_step_loss), conditions={"precision": training.precision})
            yield from _records(epoch, {"epoch": epoch.number, "precision": training.precision})
        conditions: dict[str, Scalar] = {"precision": training.precision}
        if training.best is not None:
            yield Record.of(BEST_EPOCH, training.best["epoch"], conditions=conditions)
        if options.epochs == 0:
            yield Record.of(FIRST_STEP_LOSS, known(training.first_step_loss), conditions=conditions)
        for split, files in training.unreadable.items():
            yield from told(training.dataset, split, files)


def _records(epoch: Epoch, conditions: dict[str, Scalar]) -> Iterator[Record]:
    from spikebench.training.epochs import known

    for metric, value in (
        (EPOCH_TRAINING_LOSS, epoch.training_loss),
        (EPOCH_LOSS, known(epoch.loss)),
        (EPOCH_ACCURACY, known(epoch.accuracy)),
        (LEARNING_RATE, epoch.learning_rate),
        (EPOCH_SECONDS, epoch.seconds),
        (EPOCH_THROUGHPUT, epoch.throughput),
        (DEAD_LAYERS, len(epoch.silent)),
        (EPOCH_MEMORY, epoch.memory),
    ):
        yield Record.of(metric, value, conditions=conditions)
    if epoch.peak:
        yield Record.of(EPOCH_PEAK, epoch.peak, conditions=conditions)
    else:
        yield Record.absent(EPOCH_PEAK, "this system does not say how much a process held at most", conditions=conditions)
    for name in epoch.silent:
        yield Record.of(DEAD_LAYERS, 1, scope=name, conditions=conditions)
