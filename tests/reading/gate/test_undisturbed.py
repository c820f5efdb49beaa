"""What a harness left out of its median is left out by the gate, live and from a baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from spikebench.core.records import Record
from spikebench.core.store import ResultsFolder
from spikebench.harnesses._timing.rule import Sample, Series
from spikebench.reading.gate import baseline
from spikebench.reading.gate.check import check
from spikebench.reading.gate.undisturbed import undisturbed
from spikebench.reading.model.frame import Frame, load_results

SUITE = """
suite: timed
dataset: digits
variants: {base: spikformer-2-64}
check: {latency: 5%}
"""
WAY = {"batch_size": 1, "backend": "numba"}
CALM = [0.0100 + 1e-6 * (n % 7) for n in range(60)]
SPOILED = [0.05] * 20


def timed(spoiled: list[float]) -> list[Record]:
    series = Series([*(Sample(x) for x in CALM), *(Sample(x, spoiled=True) for x in spoiled)])
    samples = [sample.seconds for sample in series.samples]
    flags = [int(sample.spoiled) for sample in series.samples]
    return [
        Record("latency", series.median, "s", conditions=WAY, samples=samples),
        Record("spoiled_rounds", sum(flags), "1", kind="counted", conditions=WAY, samples=flags),
    ]


@pytest.fixture
def results(tmp_path: Path, make_cell: Callable[..., dict]) -> Callable[..., Path]:
    def write(name: str, spoiled: list[float]) -> Path:
        store = ResultsFolder(tmp_path / name).create()
        store.put_suite(SUITE)
        one = make_cell()
        store.put_facts("cells", one["cell_id"], one)
        ids = {"job_id": "a" * 16, "cell_id": one["cell_id"], "machine_id": "m1", "source_id": "s1"}
        writer = store.writer({"schema": 2, **ids, "harness": "latency"})
        for record in timed(spoiled):
            writer.write(record)
        writer.finish()
        return store.path

    return write


def latency(old: Frame, new: Frame) -> tuple[int, str]:
    gate = check(old, new)
    (judged,) = (judgement for judgement in gate.judgements if judgement.address.startswith("latency"))
    return gate.exit_code, judged.outcome


def test_flagged_calls_make_no_regression(results: Callable[..., Path]) -> None:
    calm, noisy = load_results(results("calm", [])), load_results(results("noisy", SPOILED))
    assert latency(calm, noisy) == (0, "pass")
    assert latency(noisy, calm) == (0, "pass")


def test_a_baseline_keeps_the_calls_that_its_values_summarise(results: Callable[..., Path], tmp_path: Path) -> None:
    kept = load_results(baseline.update(results("noisy", SPOILED), tmp_path / "reference"))
    (record,) = kept.by_metric["latency"]
    assert record.samples == pytest.approx(CALM, rel=1e-3)
    assert latency(kept, load_results(results("calm", []))) == (0, "pass")


@pytest.mark.parametrize("spoiled", [0, 1, 59, 60, 61, 200])
def test_the_samples_left_are_those_of_the_harness_own_median(spoiled: int) -> None:
    found = next(iter(undisturbed(timed([0.05] * spoiled))))
    series = Series([*(Sample(x) for x in CALM), *(Sample(0.05, spoiled=True) for _ in range(spoiled))])
    assert list(found.samples or ()) == series.clean
    assert median(found.samples or ()) == found.value


def test_a_ratio_leaves_out_the_rounds_in_which_either_call_was_spoiled() -> None:
    def flags(backend: str, samples: list[int]) -> Record:
        return Record("kernel_spoiled", sum(samples), "1", kind="counted", conditions={"backend": backend}, samples=samples)

    ratio = Record("kernel_speedup", 3.0, "1", conditions={"backend": "triton"}, samples=[2.0, 20.0, 3.0, 4.0])
    others = [flags("triton", [0, 0, 0, 0]), flags("spikingjelly", [0, 1, 0, 0, 1])]
    assert [r.samples for r in undisturbed([ratio, *others]) if r.metric == "kernel_speedup"] == [[2.0, 3.0, 4.0]]
    # Flags of another series, of another machine's, or none at all: nothing is known, and nothing left out.
    for unknown in ([flags("triton", [0, 1])], [dataclasses.replace(flags("triton", [0, 1, 0, 0]), machine_id="n")], []):
        assert [r.samples for r in undisturbed([ratio, *unknown]) if r.metric == "kernel_speedup"] == [ratio.samples]
