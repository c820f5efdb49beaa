"""The harness `latency`: what it times is the same network, every way; what cannot run says why; a broken way harms no other."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.records import Record, Selector, label
from spikebench.harnesses._latency import heat
from spikebench.harnesses._timing.outcome import UnavailableError
from spikebench.harnesses._ways import contender as contenders
from spikebench.harnesses._ways.contender import Contender, first_batch, settle
from spikebench.harnesses._ways.ways import Way
from spikebench.harnesses.latency import Harness
from spikebench.networks import collecting_rates
from spikebench.testing import TINY, make_subject

FAST = {"batch_sizes": [2], "seconds": 0.02}
ALL_OURS = ["spikebench", "reference", "torch", "numba"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(heat, "WINDOW_SECONDS", 0.002)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(folder: Path, previous: list[Record] | None = None, variant=TINY, **options: object) -> list[Record]:
    choice = Choice("latency", {**FAST, **options})
    subject = make_subject(folder, choice, previous=previous or (), variant=variant)
    return list(Harness().run(subject, choice.resolve("harnesses")))


SWEEP = {"backends": ["reference", "torch"], "batch_sizes": [1, 2]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """An undisturbed sweep: two batch sizes, two backends, four records each."""
    return run(tmp_path_factory.mktemp("whole"), **SWEEP)


def contender(folder: Path, way: Way, batch_size: int = 3, variant=TINY) -> tuple[Contender, torch.nn.Module]:
    subject = make_subject(folder, Choice("latency"), variant=variant)
    x, y = first_batch(subject.dataset, batch_size, subject.device)
    model = settle(subject.model, x)
    return Contender(model, way, x, y), model


@pytest.mark.parametrize("backend", [*ALL_OURS, "spikingjelly"])
def test_every_backend_runs_the_same_network(tmp_path: Path, backend: str) -> None:
    timed, model = contender(tmp_path, Way(backend))
    with torch.no_grad():
        expected = model(timed.x)
    assert float(expected.std()) > 0
    torch.testing.assert_close(timed._pass(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["reference", "torch", "numba", "spikingjelly"])
def test_training_passes_give_the_same_gradients_and_leave_the_model(tmp_path: Path, backend: str) -> None:
    timed, model = contender(tmp_path, Way(backend, phase="training"), batch_size=8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    timed()
    first = {name: parameter.grad.clone() for name, parameter in timed.model.named_parameters()}
    timed()  # a second call starts from zero gradients again
    model.train()
    model.loss(timed.x, timed.y, label_smoothing=0.1)[0].backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(first[name], parameter.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(timed.model.get_parameter(name).grad, parameter.grad, rtol=1e-4, atol=1e-6)
    model.load_state_dict(before)
    assert timed.model.training


def test_bf16_is_autocast(tmp_path: Path) -> None:
    timed, _ = contender(tmp_path, Way(dtype="bf16"))
    assert timed._pass().dtype in (torch.bfloat16, torch.float32)
    seen = []
    linear = next(module for module in timed.model.modules() if isinstance(module, torch.nn.Linear))
    linear.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    timed()
    assert seen[0] == torch.bfloat16


def test_the_implementation_that_really_ran_is_named(tmp_path: Path) -> None:
    assert contender(tmp_path, Way("torch"))[0].implementation() == "torch"
    assert contender(tmp_path, Way("spikebench"))[0].implementation() in ("numba", "torch")
    assert "torch" in contender(tmp_path, Way("spikingjelly"))[0].implementation()


def test_records_of_every_way_with_their_samples(tmp_path: Path) -> None:
    records = run(tmp_path, backends=["spikebench", "reference", "spikingjelly"], batch_sizes=[1, 2])
    assert len(records) == 2 * 3 * 4
    assert len({label(record) for record in records}) == len(records)
    one = Selector.parse("latency{batch_size=2, backend=reference}").one(records)
    assert one.conditions == {"batch_size": 2, "dtype": "fp32", "phase": "inference", "mode": "eager", "backend": "reference"}
    assert len(one.samples) >= 3
    assert min(one.samples) <= one.value <= max(one.samples)
    assert "LIF by reference" in one.reason
    assert "converged" in one.reason or "time was up" in one.reason
    spoiled = Selector.parse("spoiled_rounds{batch_size=2, backend=reference}").one(records)
    assert (len(spoiled.samples), sum(spoiled.samples)) == (len(one.samples), spoiled.value)
    rate = Selector.parse("throughput{batch_size=2, backend=reference}").one(records)
    assert len(rate.samples) == 5
    assert all(record.value > 0 for record in records if record.metric != "spoiled_rounds")


def test_what_cannot_run_here_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    records = run(tmp_path, modes=["eager", "compile", "cudagraph"])
    reasons = {record.conditions["mode"]: record.reason for record in records if record.metric == "latency"}
    assert reasons["cudagraph"] == "CUDA graphs need a CUDA device"
    assert "C++ compiler" in reasons["compile"]
    absent = [record for record in records if record.value is None]
    assert {record.status for record in absent} == {"unavailable"}
    assert len(absent) == 2 * 4
    assert Selector.parse("latency{mode=eager}").one(records).status == "ok"


def test_other_neurons_than_lif_have_no_spikingjelly_counterpart(tmp_path: Path) -> None:
    softened = TINY.replace(surrogate="rect")
    with pytest.raises(UnavailableError, match="surrogate 'rect' has no counterpart"):
        contender(tmp_path, Way("spikingjelly"), variant=softened)
    no_leak = TINY.replace(neuron={"name": "lif", "tau": 1.0})
    with pytest.raises(UnavailableError, match="tau above 1"):
        contender(tmp_path, Way("spikingjelly"), variant=no_leak)
    with pytest.raises(UnavailableError, match="no spiking neurons"):
        Contender(torch.nn.Linear(2, 2), Way("spikingjelly"), torch.zeros(1, 2), torch.zeros(1))
    with pytest.raises(UnavailableError, match="compiled already"):
        contender(tmp_path, Way("spikingjelly-compiled", mode="compile"))


@pytest.mark.parametrize("call", [0, 1, 20])
def test_out_of_memory_is_one_failed_record_and_the_others_are_unharmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    original, calls = Contender.__call__, []

    def bounded(self: Contender) -> None:
        if self.way.backend == "torch" and len(self.x) == 2:
            calls.append(1)
            if len(calls) > call:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nlong story")
        original(self)

    monkeypatch.setattr(Contender, "__call__", bounded)
    records = run(tmp_path, backends=["reference", "torch"], batch_sizes=[2, 1])
    broken = [record for record in records if record.status != "ok"]
    assert {(record.conditions["backend"], record.conditions["batch_size"]) for record in broken} == {("torch", 2)}
    assert {record.metric for record in broken} >= {"latency", "throughput", "spoiled_rounds"}
    assert {record.reason for record in broken} == {"OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."}
    assert {record.status for record in broken} == {"failed"}
    assert len(records) == 2 * 2 * 4
    assert Selector.parse("latency{batch_size=1, backend=torch}").one(records).status == "ok"


def test_a_batch_that_cannot_even_be_made_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = contenders.first_batch

    def bounded(dataset, size: int, device):
        if size == 7:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] can't allocate memory")
        return original(dataset, size, device)

    monkeypatch.setattr(heat, "first_batch", bounded)
    records = run(tmp_path, batch_sizes=[7, 1])
    assert [(record.status, record.conditions["batch_size"]) for record in records] == [("failed", 7)] * 4 + [("ok", 1)] * 4


@pytest.mark.parametrize(("kept", "built"), [(8, 2), (11, 2), (16, 0)])
def test_an_interrupted_sweep_measures_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: list[Record], kept: int, built: int
) -> None:
    made = []
    monkeypatch.setattr(heat, "Contender", lambda *arguments: made.append(1) or Contender(*arguments))
    rest = run(tmp_path, previous=whole[:kept], **SWEEP)
    assert sorted(map(label, [*whole[:kept], *rest])) == sorted(map(label, whole))
    assert len(made) == built


def test_options_are_refused_before_anything_runs() -> None:
    for options, message in (
        ({"backends": ["spikinjelly"]}, "unknown backend 'spikinjelly'; did you mean 'spikingjelly'"),
        ({"backends": []}, "backends needs at least one"),
        ({"batch_sizes": [1, 0]}, "each at least 1; got"),
        ({"batch_sizes": []}, "batch_sizes needs at least one size"),
        ({"modes": []}, "modes needs at least one entry"),
        ({"modes": [], "batch_sizes": [0], "backends": ["x"]}, "(?s)modes needs.*batch_sizes needs.*unknown backend 'x'"),
        ({"seconds": 0}, "above 0"),
        ({"dtypes": ["fp8"]}, "dtypes"),
    ):
        with pytest.raises(InputError, match=message):
            Choice("latency", options).resolve("harnesses")


def test_first_batch_repeats_a_small_data_set(tmp_path: Path) -> None:
    dataset = make_subject(tmp_path, Choice("latency")).dataset
    x, y = first_batch(dataset, 50, torch.device("cpu"))
    whole = dataset.split("test").tensors
    assert torch.equal(x, torch.cat([whole[0]] * 3)[:50])
    assert torch.equal(y, torch.cat([whole[1]] * 3)[:50])


def test_an_untrained_network_is_made_to_fire(tmp_path: Path) -> None:
    """With the statistics it is born with, BatchNorm lets almost nothing through: one would time a network of zeros."""
    subject = make_subject(tmp_path, Choice("latency"))
    x, _ = first_batch(subject.dataset, 20, subject.device)
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    settled = settle(subject.model, x)
    with torch.no_grad(), collecting_rates() as silent:
        subject.model(x)
    with torch.no_grad(), collecting_rates() as firing:
        settled(x)
    assert min(firing[:6]) > 0.02 > max(silent[1:])
    assert not settled.training
    assert all(torch.equal(value, before[name]) for name, value in subject.model.state_dict().items())
    momenta = {module.momentum for module in settled.modules() if hasattr(module, "running_var")}
    assert momenta == {0.1}


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_computes_the_same(tmp_path: Path) -> None:
    timed, model = contender(tmp_path, Way(mode="compile"))
    with torch.no_grad():
        expected = model(timed.x)
    with timed._context():
        torch.testing.assert_close(timed._pass().clone(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_graph_computes_the_same(tmp_path: Path) -> None:
    subject = make_subject(tmp_path, Choice("latency"), device="cuda")
    x, y = first_batch(subject.dataset, 4, subject.device)
    timed = Contender(subject.model, Way(mode="cudagraph"), x, y)
    timed()
    timed()
    with torch.no_grad():
        assert subject.model(x).shape == (4, 4)


def test_fused_and_folded_stand_beside_what_they_change(tmp_path: Path) -> None:
    records = run(tmp_path, batch_sizes=[2], backends=["numba", "spikingjelly"], seconds=0.02, fused=True, fold=True)
    times = [record for record in records if record.metric == "latency"]
    found = {(r.conditions["backend"], r.conditions.get("fused"), r.conditions.get("fold")): r for r in times}
    assert set(found) == {
        *(("numba", None, None), ("numba", "auto", None), ("numba", None, True)),
        ("spikingjelly", None, None),
    }
    assert all(record.value for record in times)
    assert "numba with BatchNorm" in found["numba", "auto", None].reason
    assert "with BatchNorm" not in found["numba", None, None].reason
    (flipped,) = [record for record in records if record.metric == "flipped_spikes"]
    assert flipped.conditions["fold"] is True
    assert 0 <= flipped.value < 0.05
    assert "BatchNorms folded" in flipped.reason


def test_a_training_step_is_not_folded(tmp_path: Path) -> None:
    records = run(tmp_path, batch_sizes=[2], phases=["training"], seconds=0.02, fold=True)
    assert records
    assert not any("fold" in record.conditions for record in records)
