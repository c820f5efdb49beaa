"""The harness `kernel`: ratios are of shared rounds; what breaks or is wrong has no speed."""

import shutil
from collections.abc import Iterator
from math import prod
from pathlib import Path
from statistics import median

import pytest
import torch

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.records import Record, Selector, label
from spikebench.harnesses._kernel import heat, timed
from spikebench.harnesses._kernel.heat import COPY, Effort, Field
from spikebench.harnesses._kernel.points import Point, Way
from spikebench.harnesses._kernel.timed import Copy, Lif
from spikebench.harnesses._timing.rule import Sample, Series
from spikebench.harnesses.kernel import Harness
from spikebench.testing import TINY, make_subject

CPU = torch.device("cpu")
FAST = {"shapes": [[2, 2, 4, 3, 3]], "backends": ["numba", "torch", "spikingjelly"], "seconds": 0.01}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(folder: Path, previous: list[Record] | None = None, variant=TINY, **options: object) -> list[Record]:
    choice = Choice("kernel", {**FAST, **options})
    subject = make_subject(folder, choice, previous=previous or (), variant=variant, model=torch.nn.Identity())
    return list(Harness().run(subject, choice.resolve("harnesses")))


@pytest.mark.parametrize(("dtype", "forward", "backward"), [("fp32", 8, 12), ("bf16", 4, 6), ("fp16", 4, 6)])
def test_byte_floors(dtype: str, forward: int, backward: int) -> None:
    """references.md 8, per element and step."""
    shape = (4, 3, 5, 2)
    point = Point(shape, dtype)
    assert point.floor("forward") == point.copied == forward * prod(shape)
    assert point.floor("forward+backward") == (forward + backward) * prod(shape)


def test_records_of_every_way(tmp_path: Path) -> None:
    records = run(tmp_path, dtypes=["fp32", "bf16"])
    assert len(records) == 2 * (1 + 2 * (5 + 5 + 4))  # a copy; SpikingJelly is no speed-up over itself
    assert len({label(record) for record in records}) == len(records)
    assert all(record.status == "ok" and (record.value > 0 or record.metric == "kernel_spoiled") for record in records)
    spoiled = Selector.parse("kernel_spoiled{backend=numba, phase=forward+backward, dtype=bf16}").one(records)
    time = Selector.parse("kernel_time{backend=numba, phase=forward+backward, dtype=bf16}").one(records)
    assert time.conditions == {"shape": "2x2x4x3x3", "dtype": "bf16", "backend": "numba", "phase": "forward+backward"}
    assert (len(spoiled.samples), sum(spoiled.samples)) == (len(time.samples), spoiled.value)
    assert min(time.samples) <= time.value <= max(time.samples)
    assert time.reason.startswith("LIF by numba; spikes equal to the reference's; ")
    bandwidth = Selector.parse("kernel_bandwidth{backend=numba, phase=forward+backward, dtype=bf16}").one(records)
    assert bandwidth.value == pytest.approx(144 * 10 / time.value)
    copy = Selector.parse("copy_bandwidth{dtype=fp32}").one(records)
    assert copy.conditions == {"shape": "2x2x4x3x3", "dtype": "fp32"}
    theirs_ = Selector.parse("kernel_time{backend=spikingjelly, phase=forward, dtype=fp32}").one(records)
    assert "LIF by SpikingJelly's torch" in theirs_.reason
    ours = Selector.parse("kernel_time{backend=numba, phase=forward, dtype=fp32}").one(records)
    ratio = Selector.parse("kernel_speedup{backend=numba, phase=forward, dtype=fp32}").one(records)
    shared = list(zip(theirs_.samples, ours.samples, strict=False))
    assert ratio.samples == pytest.approx([a / b for a, b in shared])
    assert f"base: SpikingJelly, median {theirs_.value * 1e3:.4g} ms; {len(shared)} shared rounds" in ratio.reason


def series(*seconds: float, spoiled: tuple[int, ...] = ()) -> Series:
    return Series([Sample(s, i in spoiled) for i, s in enumerate(seconds)], "converged")


def ratios(base: Series, own: Series) -> dict[str, Record]:
    """The records of numba's forward pass beside a SpikingJelly and a copy that took ``base``."""
    ours, jelly = Way("numba", "forward+backward"), Way("spikingjelly", "forward+backward")
    options = Choice("kernel", FAST).resolve("harnesses")
    field = Field(Point((2, 3), "fp32"), [ours], options.backends, Effort(1.0, 0.01, False), CPU)
    field.series = {COPY: base, jelly: base, ours: own}
    return {record.metric: record for record in field.records()}


def test_ratios_pair_the_rounds_and_leave_spoiled_ones_out() -> None:
    found = ratios(series(4, 40, 6, 8, 100, spoiled=(1,)), series(2, 2, 2, 2))
    assert found["kernel_speedup"].samples == [2, 20, 3, 4]  # the fifth round was SpikingJelly's alone
    assert found["kernel_speedup"].value == 3
    assert "4 shared rounds, 1 spoiled and left out" in found["kernel_speedup"].reason
    assert (found["kernel_spoiled"].value, found["kernel_spoiled"].samples) == (0, [0, 0, 0, 0])  # the copy was, not numba
    assert found["copy_fraction"].value == pytest.approx(3 * 20 / 8)  # 20 bytes an element against a copy's 8


def test_ratios_of_a_busy_machine_leave_nothing_out_and_say_so() -> None:
    found = ratios(series(2, 4, 6, spoiled=(0, 1)), series(1, 1, 1))
    assert found["kernel_speedup"].value == median([2, 4, 6])
    assert "2 spoiled and kept: the machine was busy" in found["kernel_speedup"].reason


def test_what_cannot_run_here_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(timed, "which_backend", _without_triton)
    records = run(tmp_path, backends=["triton", "spikingjelly-compiled", "spikingjelly"], phases=["forward"])
    absent = {(r.conditions["backend"], r.metric): r for r in records if r.value is None}
    assert {backend for backend, _ in absent} == {"triton", "spikingjelly-compiled"}
    assert len(absent) == 2 * 5
    assert {record.status for record in absent.values()} == {"unavailable"}
    assert absent["triton", "kernel_time"].reason == "no CUDA device"
    assert "C++ compiler" in absent["spikingjelly-compiled", "kernel_speedup"].reason


def _without_triton(*arguments, backend: str) -> str:
    if backend == "triton":
        raise InputError("no CUDA device")
    return backend


def test_another_neuron_is_unavailable_and_a_surrogate_without_counterpart_leaves_no_ratio(tmp_path: Path) -> None:
    others = run(tmp_path, variant=TINY.replace(neuron="psn"))
    assert {record.reason for record in others} == {"the variant's neuron is 'psn'; this benchmark is of 'lif'"}
    assert {record.status for record in others} == {"unavailable"}
    records = run(tmp_path, variant=TINY.replace(surrogate="rect"), phases=["forward"])
    assert Selector.parse("kernel_time{backend=numba}").one(records).status == "ok"
    assert Selector.parse("copy_fraction{backend=numba}").one(records).status == "ok"
    ratio = Selector.parse("kernel_speedup{backend=numba}").one(records)
    assert ratio.status == "unavailable"
    assert "nothing to compare with: SpikingJelly: surrogate 'rect' has no counterpart" in ratio.reason


def test_without_spikingjelly_there_are_no_ratios_to_it(tmp_path: Path) -> None:
    assert {record.metric for record in run(tmp_path, backends=["torch"])} == {
        "kernel_time", "kernel_spoiled", "kernel_bandwidth", "copy_fraction", "copy_bandwidth"}  # fmt: skip


def test_a_wrong_result_has_no_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = timed.lif

    def wrong(x, *arguments, backend: str):
        spikes = right(x, *arguments, backend=backend)
        return spikes.index_fill(0, torch.tensor(0), 1.0) if backend == "torch" else spikes

    monkeypatch.setattr(timed, "lif", wrong)
    records = run(tmp_path)
    broken = [record for record in records if record.status != "ok"]
    assert {record.conditions["backend"] for record in broken} == {"torch"}
    assert len(broken) == 2 * 5
    assert all("of 144 spikes differ from the reference's; a wrong result has no speed" in r.reason for r in broken)
    assert {record.status for record in broken} == {"failed"}


@pytest.mark.parametrize("call", [0, 1, 15])  # the last is in the race: 13 calls come before it, and it has three at least
def test_out_of_memory_is_a_failed_record_and_the_others_are_unharmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    original, calls = Lif.__call__, []

    def bounded(self: Lif) -> torch.Tensor:
        if self.way == Way("torch", "forward") and len(self.x) == 2:
            calls.append(1)
            if len(calls) > call:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nlong story")
        return original(self)

    monkeypatch.setattr(Lif, "__call__", bounded)
    records = run(tmp_path, shapes=[[2, 3, 4], [1, 3, 4]])
    broken = [record for record in records if record.status != "ok"]
    assert {tuple(record.conditions.values()) for record in broken} == {("2x3x4", "fp32", "torch", "forward")}
    assert {record.reason for record in broken} == {"OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."}
    assert (len(broken), len(records)) == (5, 2 * (1 + 2 * 14))


def test_an_input_that_cannot_even_be_made_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = timed.inputs_of

    def bounded(point: Point, device: torch.device):
        if point.shape[0] == 7:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] can't allocate memory")
        return original(point, device)

    monkeypatch.setattr(heat, "inputs_of", bounded)
    records = run(tmp_path, shapes=[[7, 3], [1, 3]])
    assert {(record.conditions["shape"], record.status) for record in records} == {("7x3", "failed"), ("1x3", "ok")}
    assert len(records) == 2 * 29


def test_a_copy_that_fails_takes_only_its_own_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Copy) -> torch.Tensor:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(Copy, "__call__", broken)
    records = run(tmp_path)
    assert {record.metric for record in records if record.status == "failed"} == {"copy_bandwidth", "copy_fraction"}
    assert {record.metric for record in records if record.status == "ok"} == {
        "kernel_time", "kernel_spoiled", "kernel_speedup", "kernel_bandwidth"}  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "made"),
    [
        # Whatever is kept of the first shape's 29 records, the second shape's six contenders and the reference are made.
        (0, 14),
        (1 + 5, 7 + 7 - 1),  # the copy and numba forward
        (1 + 5 + 5 + 4, 7 + 4),  # all of forward: the backward pass alone is left, with SpikingJelly beside it
        (1 + 14 + 10, 7 + 2),  # what is left is SpikingJelly's own
        (28, 7 + 2),
        (29, 7),
        (58, 0),
    ],
)
def test_an_interrupted_sweep_measures_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: list[Record], kept: int, made: int
) -> None:
    built = []
    monkeypatch.setattr(heat, "Lif", lambda *arguments: built.append(1) or Lif(*arguments))
    rest = run(tmp_path, previous=whole[:kept], shapes=[[2, 3], [3, 3]])
    assert sorted(map(label, [*whole[:kept], *rest])) == sorted(map(label, whole))
    assert len(built) == made


def test_a_missing_ratio_is_measured_with_its_base_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: list[Record]
) -> None:
    """Else it would compare a time of today with one of another day."""
    lost = Selector.parse("kernel_speedup{shape=2x3, backend=numba, phase=forward}").one(whole)
    built = []
    monkeypatch.setattr(heat, "Lif", lambda *arguments: built.append(arguments[1]) or Lif(*arguments))
    (found,) = run(tmp_path, previous=[record for record in whole if record is not lost], shapes=[[2, 3], [3, 3]])
    assert label(found) == label(lost)
    assert built == [Way(backend, "forward") for backend in ("reference", "numba", "spikingjelly")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """An undisturbed sweep of two shapes, 29 records each."""
    return run(tmp_path_factory.mktemp("whole"), shapes=[[2, 3], [3, 3]])


def test_what_is_named_twice_is_measured_once(tmp_path: Path) -> None:
    records = run(tmp_path, shapes=[[2, 3], [2, 3]], backends=["torch", "torch"])
    assert len(records) == len({label(record) for record in records}) == 1 + 2 * 4


def test_options_are_refused_before_anything_runs() -> None:
    for options, message in (
        ({"backends": ["spikinjelly"]}, "unknown backend 'spikinjelly'; did you mean 'spikingjelly'"),
        ({"backends": []}, "backends needs at least one"),
        ({"shapes": []}, "shapes needs at least one"),
        ({"shapes": [[4]]}, r"two sizes or more, each at least 1; got \[4\]"),
        ({"shapes": [[0, 3]]}, r"each at least 1; got \[0, 3\]"),
        ({"phases": ["backward"]}, "phases"),
        ({"dtypes": ["fp64"]}, "dtypes"),
        ({"seconds": 0}, "above 0"),
        ({"precision": 0}, "above 0"),
    ):
        with pytest.raises(InputError, match=message):
            Choice("kernel", options).resolve("harnesses")
