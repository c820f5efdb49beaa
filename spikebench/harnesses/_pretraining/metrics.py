"""The metrics of pre-training: names of their own, since a pre-trained network is another one than the cell's."""

from __future__ import annotations

from spikebench.core.metrics import Metric

RECONSTRUCTION_LOSS = Metric(
    "reconstruction_loss",
    "1",
    "lower",
    "measured",
    "Reconstruction loss",
    note="mean squared error of hidden patches of the training images over the epoch, in units of the targets",
)
MEAN_LINE = Metric(
    "reconstruction_mean_line",
    "1",
    None,
    "measured",
    "Loss of answering with means",
    note="what each hidden patch's own mean would cost as an answer, over the same epoch: below it, something was learned",
)
SECONDS = Metric(
    "pretraining_seconds",
    "s",
    "lower",
    "measured",
    "Pre-training time",
    display_unit="s",
    portable=False,
    tolerance=0.1,
    note="optimisation steps of the epoch",
)
THROUGHPUT = Metric(
    "pretraining_throughput",
    "1/s",
    "higher",
    "measured",
    "Pre-training throughput",
    display_unit="images/s",
    portable=False,
    tolerance=0.1,
    note="images per second of optimisation steps",
)
MACS = Metric(
    "pretraining_macs",
    "1",
    "lower",
    "counted",
    "MACs of a masked pass",
    display_unit="M",
    display_factor=1e-6,
    exact=True,
    note="dense multiply-accumulates of one masked image, forward, over all T, decoder included",
)
EVENTS = Metric(
    "pretraining_events",
    "1",
    "lower",
    "counted",
    "Events of a masked pass",
    display_unit="M",
    display_factor=1e-6,
    note="nonzero inputs times existing taps of one masked image in the encoder, over all T: visible tokens alone",
)
PEAK = Metric(
    "pretraining_peak_memory",
    "B",
    "lower",
    "measured",
    "Peak memory of a masked step",
    display_unit="MiB",
    display_factor=2.0**-20,
    portable=False,
    tolerance=0.05,
    note="of torch's allocator during one optimisation step",
)
RATE = Metric(
    "pretraining_firing_rate",
    "1",
    None,
    "measured",
    "Firing rate in pre-training",
    note="mean output of a neuron layer on 32 training images with fixed masks, after the epoch",
)
EXAMPLE = Metric(
    "reconstruction_example",
    "1",
    "lower",
    "measured",
    "Reconstructed image",
    note="mean squared error of an image's hidden patches; the samples are its pixels, row by row, channel after channel",
)
