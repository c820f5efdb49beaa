"""What a pass does, counted, against sums made by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from spikebench.core.choice import Choice
from spikebench.harnesses._timing.outcome import UnavailableError
from spikebench.harnesses._work import callgrind, perf
from spikebench.harnesses._work.calls import calls_of
from spikebench.harnesses.work import Harness
from spikebench.testing._subjects import make_subject


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 5, bias=False), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x).reshape(-1) + 1


def test_calls_and_bytes_by_layer_are_those_of_a_hand_count() -> None:
    """A product of 2x3 and 3x5 floats, a ReLU of 10, a sum of 10; the reshape is a view."""
    net, x = Net(), torch.rand(2, 3)
    with torch.inference_mode():
        found = calls_of(lambda: net(x))
    assert found.bytes == Counter({"inner.0": 4 * (6 + 15 + 10), "inner.1": 4 * 20, "": 4 * 20})
    assert found.calls == Counter({"inner.0": 1, "inner.1": 1, "": 2})


def test_the_backward_pass_belongs_to_the_layer_that_it_is_of() -> None:
    net, x = Net(), torch.rand(2, 3)
    forward = calls_of(lambda: net(x))
    both = calls_of(lambda: net(x).sum().backward())
    assert both.calls["inner.0"] > forward.calls["inner.0"]
    assert both.calls["inner.1"] > forward.calls["inner.1"]
    again = calls_of(lambda: net(x).sum().backward())
    assert calls_of(lambda: net(x).sum().backward()) == again


def test_an_empty_tensor_moves_nothing_and_an_expanded_one_what_is_there() -> None:
    one = torch.rand(1)
    found = calls_of(lambda: torch.empty(100) is None or one.expand(50).clone())
    assert found.bytes[""] == 4 + 200


def test_instructions_are_given_to_the_innermost_module_that_ran() -> None:
    """A counter that ticks once whenever it is read: each stretch between two readings has one instruction."""
    net, ticks = Net(), iter(range(1000))
    found = perf.by_layer(net, lambda: net(torch.rand(2, 3)), lambda: next(ticks))
    # network, inner, inner.0, inner, inner.1, inner, network
    assert found == Counter({"inner": 3, "": 2, "inner.0": 1, "inner.1": 1})


def test_a_machine_without_a_counter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf.platform, "machine", lambda: "riscv64")
    with pytest.raises(UnavailableError, match="x86-64 and AArch64"):
        perf.Counters()

    class NoCounter:
        def syscall(self, *arguments: object) -> int:
            return -1

    monkeypatch.undo()
    monkeypatch.setattr(perf.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(perf.ctypes, "CDLL", lambda *_, **__: NoCounter())
    monkeypatch.setattr(perf.ctypes, "get_errno", lambda: 2)
    with pytest.raises(UnavailableError, match="no counter for it"):
        perf.Counters()


def test_dumps_of_callgrind_are_added_by_layer(tmp_path: Path) -> None:
    net, marks = Net(), []
    layers = callgrind.watched(net, lambda: net(torch.rand(2, 3)), lambda: None, lambda: marks.append(len(marks)))
    assert layers == ["", "inner", "inner.0", "inner", "inner.1", "inner", ""]
    assert len(marks) == len(layers)
    for number in range(1, 8):
        (tmp_path / f"out.{number}").write_text(f"version: 1\nsummary: {10**number}\n\nfn=(1)\n0 {10**number}\n\ntotals: 5\n")
    assert callgrind.added(layers, tmp_path / "out") == Counter(
        {"": 10 + 10**7, "inner": 10**2 + 10**4 + 10**6, "inner.0": 10**3, "inner.1": 10**5}
    )


def test_without_valgrind_or_with_one_that_fails_instructions_are_absent_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(callgrind.shutil, "which", lambda name: None)
    subject = SimpleNamespace(device=torch.device("cpu"))
    with pytest.raises(UnavailableError, match="not installed"):
        callgrind.by_layer(subject, None, 1)  # type: ignore[arg-type]
    program = tmp_path / "valgrind"
    program.write_text("#!/bin/sh\necho 'cannot start' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(callgrind.shutil, "which", lambda name: str(program))
    with pytest.raises(UnavailableError, match=r"exit code 3.*cannot start"):
        callgrind.by_layer(subject, None, 1)  # type: ignore[arg-type]


def test_a_pass_with_one_more_operator_counts_one_more_and_names_its_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Harness.Options(batch_sizes=(2,), instructions="off")
    subject = make_subject(tmp_path, Choice("work", {"batch_sizes": [2]}))
    before = list(Harness().run(subject, options))
    layer = type(subject.model.blocks[0].mlp)
    forward = layer.forward
    monkeypatch.setattr(layer, "forward", lambda self, x: forward(self, x) * 1)
    after = list(Harness().run(subject, options))

    def value(records: list, metric: str, scope: str = "") -> int:
        return sum(record.value for record in records if record.metric == metric and record.scope == scope)

    assert value(after, "aten_calls") == value(before, "aten_calls") + 1
    assert value(after, "aten_calls", "blocks.0.mlp") == value(before, "aten_calls", "blocks.0.mlp") + 1
    assert value(after, "bytes_moved") > value(before, "bytes_moved")
    assert value(after, "allocations") > value(before, "allocations")
    launches = next(record for record in after if record.metric == "kernel_launches")
    assert (launches.value, launches.status, launches.reason) == (None, "unavailable", "a CPU launches no kernels")
    assert sum(r.value for r in after if r.metric == "aten_calls" and r.scope) == value(after, "aten_calls")
