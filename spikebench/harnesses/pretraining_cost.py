"""What a step of masked pre-training costs against a supervised step of the same network, both timed in turns on this machine.

Nothing is learned: weights are random. The claim it tests is Spikformer V2's (arXiv 2401.02020), that the saving grows with size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record

STEP_SECONDS = Metric(
    "step_seconds",
    "s",
    "lower",
    "measured",
    "Step time",
    display_unit="ms",
    display_factor=1e3,
    portable=False,
    tolerance=0.1,
    note="median of whole optimisation steps, masked and supervised ones in turns",
)
STEP_MACS = Metric(
    "step_macs",
    "1",
    "lower",
    "counted",
    "MACs",
    display_unit="M",
    display_factor=1e-6,
    exact=True,
    note="dense multiply-accumulates of one image's forward pass over all T, decoder included",
)
STEP_PEAK = Metric(
    "step_peak_memory",
    "B",
    "lower",
    "measured",
    "Peak memory of a step",
    display_unit="MiB",
    display_factor=2.0**-20,
    portable=False,
    tolerance=0.05,
    note="of torch's allocator during one optimisation step",
)
Kind = Literal["supervised", "masked", "masked-dense"]


class Harness:
    """``kind`` is a condition: ``supervised``, ``masked``, and ``masked-dense``: whole images in the stem, hidden again."""

    @dataclass(frozen=True)
    class Options:
        """``mask_ratios``: each is a masked step; ``dense_stem``: time it beside the sparse one. ``steps``: of each kind,
        after one that does not count. ``decoder_depth``, ``decoder_width``: as in ``pretrain``.
        """

        mask_ratios: tuple[float, ...] = (0.75,)
        batch_size: int = 32
        steps: int = 10
        dense_stem: bool = True
        decoder_depth: int = 1
        decoder_width: int = 64

        def __post_init__(self) -> None:
            if not self.mask_ratios or any(not 0 < ratio < 1 for ratio in self.mask_ratios):
                raise ValueError("mask_ratios must lie between 0 and 1")
            if self.batch_size < 1 or self.steps < 1:
                raise ValueError("batch_size and steps must be at least 1")

    metrics = (STEP_SECONDS, STEP_MACS, STEP_PEAK)
    version = 1
    needs_weights = False
    exclusive = True
    resumes = False
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """Three records for each kind and mask ratio. Raises InputError for a network that cannot be pre-trained."""
        from spikebench.harnesses._pretraining.steps import Step, counted, kinds, peak, race

        steps: list[Step] = list(kinds(subject, options))
        for step, times in zip(steps, race(steps, options.steps, subject.device), strict=True):
            middle = sorted(times)[len(times) // 2]
            yield Record.of(STEP_SECONDS, middle, conditions=step.conditions, samples=times)
        for step in steps:
            yield Record.of(STEP_MACS, counted(step), conditions=step.conditions)
            yield Record.of(STEP_PEAK, peak(step, subject.device), conditions=step.conditions)
