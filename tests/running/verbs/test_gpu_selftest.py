"""The GPU's self-test, on a CPU: what can be run there is right, a fault is told, and without a GPU nothing is claimed."""

import pytest
import torch

from spikebench.running.verbs import gpu_selftest


def test_every_path_that_a_cpu_can_run_is_right_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in gpu_selftest.CUDA_ONLY:
        monkeypatch.delitem(gpu_selftest.PATHS, name)
    found = {name: (verdict, detail) for name, verdict, detail in gpu_selftest.report(torch.device("cpu"))}
    assert len(found) >= 12
    assert {name: each for name, each in found.items() if each[0] != "runs"} == {}


def test_a_fault_is_told_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from spikebench.kernels.lif import triton

    def wrong(device: object) -> str:
        return gpu_selftest._near(torch.ones(2), torch.tensor([1.0, 2.0]), 1e-3, "gradient")

    monkeypatch.setattr(gpu_selftest, "PATHS", {"first": wrong, "second": lambda device: "fine"})
    assert triton is not None
    (first, second) = gpu_selftest.report(torch.device("cpu"))
    assert first[:2] == ("first", "broken")
    assert "gradient is off by" in first[2]
    assert "gpu_selftest.py:" in first[2]
    assert second == ("second", "runs", "fine")


@pytest.mark.skipif(torch.cuda.is_available(), reason="runs there")
def test_without_a_gpu_the_paths_are_listed_and_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_selftest.examine() is False
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(gpu_selftest.PATHS) + 1
    assert all(line.startswith("not run") for line in lines[:-1])
    assert "no CUDA device" in lines[-1]
