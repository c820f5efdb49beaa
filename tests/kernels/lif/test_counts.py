"""What a kernel counts while it writes spikes is what is there afterwards, and the spikes are the same to the bit."""

import pytest
import torch

from spikebench.kernels.lif import lif
from spikebench.kernels.lif._counts import Counts, counting_spikes, run_of


def innermost(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(2, -1).contiguous().movedim(-1, 2)


def counted(x: torch.Tensor, **options: object) -> list[tuple[torch.Tensor, Counts]]:
    heard: list[tuple[torch.Tensor, Counts]] = []
    with counting_spikes(lambda spikes, counts: heard.append((spikes, counts))):
        lif(x, **options)
    return heard


@pytest.mark.parametrize("backend", ["numba", "torch", "reference"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "shape", [(4, 3, 5, 7, 2), (3, 2, 1030, 5), (2, 65, 6, 4, 4), (4, 2, 8)], ids=lambda shape: "x".join(map(str, shape))
)
@pytest.mark.parametrize("threads", [1, 2])
def test_counts_are_those_of_plain_sums(backend: str, dtype: torch.dtype, shape: tuple[int, ...], threads: int) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).add_(0.8).to(dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for current in (x, innermost(x), x[:1].expand(shape)):
            ((spikes, counts),) = counted(current, backend=backend)
            assert torch.equal(spikes, lif(current, backend="reference"))
            fired = spikes.movedim(2, -1) if counts.run == shape[2] and spikes.stride(2) == 1 else spikes
            flat = fired.flatten(2).float()
            assert torch.equal(counts.by_run, flat.unflatten(2, (-1, counts.run)).sum(3))
            assert torch.equal(counts.by_neuron, flat.sum((0, 1)))
            assert 0 < counts.by_neuron.sum() < spikes.numel()
    finally:
        torch.set_num_threads(before)


def test_threads_share_no_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of one neuron lie in several threads' parts."""
    monkeypatch.setattr("spikebench.kernels.lif.numba.GRAIN", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(5)
    try:
        x = innermost(torch.randn(4, 7, 12, 3, 3, generator=torch.Generator().manual_seed(1)))
        ((spikes, counts),) = counted(x, backend="numba")
        assert torch.equal(counts.by_neuron, spikes.movedim(2, -1).sum((0, 1)).flatten())
        assert torch.equal(counts.by_run, spikes.sum(2).flatten(2))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("x", "run"),
    [
        (torch.zeros(2, 3, 4, 5, 5), 100),
        (innermost(torch.zeros(2, 3, 4, 5, 5)), 4),
        (torch.zeros(2, 3, 4), 4),
        (torch.zeros(2, 3), None),
        (torch.zeros(2, 0, 4), None),
        (torch.zeros(2, 4, 3).transpose(1, 2), None),  # samples are innermost
        (torch.zeros(2, 3, 4, 10)[..., ::2], None),
    ],
)
def test_a_run_is_a_position_or_a_sample(x: torch.Tensor, run: int | None) -> None:
    assert run_of(x) == run


def test_nothing_is_counted_where_a_gradient_is_asked_for() -> None:
    x = torch.randn(2, 3, 4).requires_grad_()
    assert counted(x) == []
    with torch.no_grad():
        assert len(counted(x)) == 1
