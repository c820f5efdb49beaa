"""The harness `memory`, against what can be counted by hand."""

from pathlib import Path

import pytest
import torch
from torch import nn

from spikebench.core.choice import Choice
from spikebench.core.records import Record, Selector
from spikebench.harnesses._memory.allocations import Saved, bytes_of, checkpoint_size, peak
from spikebench.harnesses._ways import contender
from spikebench.harnesses.memory import Harness
from spikebench.testing import make_subject

CPU = torch.device("cpu")


def run(folder: Path, **options: object) -> list[Record]:
    choice = Choice("memory", {"batch_sizes": [2], **options})
    return list(Harness().run(make_subject(folder, choice), choice.resolve("harnesses")))


def test_peak_is_the_worst_moment_not_the_sum() -> None:
    def one_after_the_other() -> None:
        for _ in range(5):
            torch.empty(100_000)  # freed at once

    def together() -> None:
        held = [torch.empty(100_000) for _ in range(5)]
        del held

    assert peak(one_after_the_other, CPU, alive=0).allocated == 400_000
    assert peak(together, CPU, alive=1_000).allocated == 5 * 400_000 + 1_000
    assert peak(together, CPU, alive=0).reserved is None


def test_peak_of_a_matrix_product_with_its_gradient() -> None:
    weight = torch.randn(300, 300, requires_grad=True)
    x = torch.randn(200, 300)

    def step() -> None:
        (x @ weight).square().sum().backward()
        weight.grad = None

    matrix, rows = 300 * 300 * 4, 200 * 300 * 4
    found = peak(step, CPU, alive=0).allocated
    # At least the product, its square's gradient and the weight's gradient; at most every intermediate at once.
    assert rows + matrix <= found <= 5 * rows + matrix + 100


def test_storages_count_once() -> None:
    base = torch.zeros(100)
    assert bytes_of([base, base[:10], base.view(10, 10)]) == 400
    assert bytes_of([base, torch.zeros(1)]) == 404


def test_saved_for_backward_is_what_autograd_needs() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4), nn.Sigmoid())
    x = torch.randn(32, 8)
    saved = Saved(model, given=[x])
    with saved.watching():
        model(x).sum()
    # The input of the first linear is given; what ReLU saves the second linear saves too; sigmoid saves its output.
    assert saved.by_layer == {"1": 32 * 16 * 4, "3": 32 * 4 * 4}
    assert saved.total == 32 * 16 * 4 + 32 * 4 * 4
    with torch.no_grad():
        nothing = Saved(model, given=[x])
        with nothing.watching():
            model(x)
    assert nothing.total == 0


def test_what_is_saved_outside_of_layers_is_not_lost() -> None:
    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.inner(x).exp() * 2).sum()

    model, x = Square(), torch.randn(3, 4)
    saved = Saved(model, given=[x])
    with saved.watching():
        model(x)
    assert saved.by_layer == {"": 3 * 4 * 4}  # exp saves its result
    assert not model._forward_hooks
    assert not model.inner._forward_hooks


def test_checkpoint_size_is_the_files(tmp_path: Path) -> None:
    model = nn.Linear(50, 50)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    assert abs(checkpoint_size(model) - (tmp_path / "weights.pt").stat().st_size) <= 64  # the archive's name differs


def test_records(tmp_path: Path) -> None:
    records = run(tmp_path, batch_sizes=[2, 8], backends=["reference", "spikingjelly"])
    model = make_subject(tmp_path, Choice("memory")).model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert Selector.parse("parameter_bytes").one(records).value == 4 * parameters

    def value(metric: str, **conditions: object) -> float:
        inner = ", ".join(f"{name}={value}" for name, value in conditions.items())
        return Selector.parse(f"{metric}{{{inner}}}").one(records).value

    for backend in ("reference", "spikingjelly"):
        small, large = (value("saved_bytes", batch_size=size, backend=backend) for size in (2, 8))
        assert 3.8 < large / small < 4.05  # activations grow with the batch
        assert value("peak_allocated", batch_size=8, backend=backend, phase="training") > large + 3 * 4 * parameters
        layers = [r.value for r in records if r.metric == "saved_bytes" and r.scope and r.conditions["batch_size"] == 8]
        assert sum(layers) == sum(value("saved_bytes", batch_size=8, backend=name) for name in ("reference", "spikingjelly"))
    # Ours recomputes the membrane from x; SpikingJelly keeps it.
    ours, theirs = (value("saved_bytes", batch_size=8, backend=name) for name in ("reference", "spikingjelly"))
    assert ours < 0.8 * theirs
    reserved = Selector.parse("peak_reserved{batch_size=2, backend=reference, phase=inference}").one(records)
    assert (reserved.value, reserved.status) == (None, "unavailable")


def test_measuring_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = ([(r.metric, r.scope, r.value) for r in run(tmp_path, backends=["torch"])] for _ in range(2))
    assert one == other


def test_out_of_memory_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = contender.Contender.__call__

    def bounded(self: contender.Contender) -> None:
        if len(self.x) == 8 and self.way.phase == "training":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nlong story")
        original(self)

    monkeypatch.setattr(contender.Contender, "__call__", bounded)
    records = run(tmp_path, batch_sizes=[8, 2], backends=["torch"])
    failed = [record for record in records if record.status == "failed"]
    assert [record.metric for record in failed] == ["peak_allocated", "peak_reserved", "saved_bytes"]
    assert {record.conditions["batch_size"] for record in failed} == {8}
    assert failed[0].reason == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    assert Selector.parse("saved_bytes{batch_size=2}").one(records).status == "ok"
