"""Pre-trains the network to predict hidden patches of the training images, no label seen (after Spikformer V2, arXiv 2401.02020).

Our reading of it: see ``networks.masked``. The job belongs to a cell of its own, which all cells that fine-tune from it share.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Scalar
from spikebench.harnesses._pretraining.metrics import (
    EVENTS,
    EXAMPLE,
    MACS,
    MEAN_LINE,
    PEAK,
    RATE,
    RECONSTRUCTION_LOSS,
    SECONDS,
    THROUGHPUT,
)
from spikebench.training.pretraining_options import PretrainingOptions

if TYPE_CHECKING:
    from spikebench.training.epochs import Epoch


class Harness:
    """What it leaves in ``subject.weights_folder``, and what a kill does to it: see ``train``, it rides on the same loop."""

    Options = PretrainingOptions
    metrics = (RECONSTRUCTION_LOSS, MEAN_LINE, SECONDS, THROUGHPUT, RATE, MACS, EVENTS, PEAK, EXAMPLE)
    version = 2
    stage = True
    needs_weights = False
    exclusive = False
    resumes = False

    def run(self, subject: Subject, options: PretrainingOptions) -> Iterator[Record]:
        """Every epoch's figures with the condition ``epoch``, firing rates by layer too; then counts, memory and examples.

        Raises InputError if the network cannot be pre-trained, FloatingPointError if the loss diverges, StorageError if a
        checkpoint cannot be used or written.
        """
        from spikebench.harnesses._pretraining.looks import EXAMPLES, counts, examples, peak_memory
        from spikebench.training.pretraining import Pretraining, masked_model
        from spikebench.training.whole import train

        cell = subject.job.cell
        model = masked_model(cell.variant, subject.dataset.inputs, options, cell.seed).to(subject.device)
        training = Pretraining(model, subject.dataset, options, seed=cell.seed, device=subject.device)
        for epoch in train(training, subject.weights_folder, subject.job.job_id):
            yield from _records(epoch, {"epoch": epoch.number, "precision": training.precision})
            if epoch.number == options.epochs:  # while the checkpoint is there: a kill from here on costs no epoch
                yield from counts(model, *training.example(32))
                yield from peak_memory(model, *training.example(options.batch_size), training.options)
                yield from examples(model, *training.example(EXAMPLES))


def _records(epoch: Epoch, conditions: dict[str, Scalar]) -> Iterator[Record]:
    rates = {name: value for name, value in epoch.figures.items() if name != "mean_line"}
    for metric, value in (
        (RECONSTRUCTION_LOSS, epoch.training_loss),
        (MEAN_LINE, epoch.figures["mean_line"]),
        (SECONDS, epoch.seconds),
        (THROUGHPUT, epoch.throughput),
    ):
        yield Record.of(metric, value, conditions=conditions)
    if not rates:
        yield Record.absent(RATE, "this network has no spiking neurons", conditions=conditions)
        return
    yield Record.of(RATE, sum(rates.values()) / len(rates), conditions=conditions)
    for name, rate in rates.items():
        yield Record.of(RATE, rate, scope=name, conditions=conditions)
