"""The loss against closed forms; firing-rate regularisation lowers rates; precision is what was asked for."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from spikebench.core.errors import InputError
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks import build, collecting_rates
from spikebench.testing import TINY
from spikebench.training import precision
from spikebench.training.evaluation import evaluate
from spikebench.training.objective import Classification, rate_excess
from spikebench.training.options import TrainingOptions

X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2
Y = torch.tensor([0, 1, 2, 3, 0, 1])


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return build(TINY, InputSpec(channels=1, size=8, classes=4))


def test_a_plain_module_is_judged_by_smoothed_cross_entropy() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    found = Classification(TrainingOptions(label_smoothing=0.2))(model, X, Y)
    target = 0.8 * functional.one_hot(Y, 4) + 0.2 / 4
    expected = -(target * model(X).log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(found, expected)


def test_a_network_is_judged_by_its_own_loss() -> None:
    class Own(nn.Module):
        def loss(self, x: torch.Tensor, y: torch.Tensor, label_smoothing: float) -> tuple[torch.Tensor, None]:
            return torch.tensor(7.0 + label_smoothing), None

    assert float(Classification(TrainingOptions(label_smoothing=0.5))(Own(), X, Y)) == 7.5


def test_rate_excess_is_its_closed_form_and_counts_only_what_is_above_the_target() -> None:
    rates = [torch.tensor(0.1), torch.tensor(0.5), torch.tensor(0.3)]
    assert float(rate_excess(rates, 0.2)) == pytest.approx((0.3**2 + 0.1**2) / 3)
    assert float(rate_excess(rates, 0.5)) == 0.0
    with pytest.raises(InputError, match="no spiking neurons"):
        rate_excess([], 0.1)


def mean_rate(model: nn.Module) -> float:
    with torch.no_grad(), collecting_rates() as rates:
        model(X)
    return float(torch.stack(rates).mean())


def test_the_penalty_lowers_the_firing_rates_of_a_real_network() -> None:
    ends = []
    for penalty in (0.0, 300.0):
        model = tiny().train()
        objective = Classification(TrainingOptions(rate_penalty=penalty, rate_target=0.0))
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
        for _ in range(25):
            optimizer.zero_grad()
            objective(model, X, Y).backward()
            optimizer.step()
        ends.append(mean_rate(model))
    assert ends[1] < 0.7 * ends[0]


@pytest.mark.parametrize("amx", [False, True])
def test_auto_is_bf16_on_a_cpu_only_with_amx_and_a_wide_network(amx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "usable", lambda: frozenset({"avx2", *(["amx_bf16"] if amx else [])}))
    assert precision.settle("auto", "cpu", 128) == ("bf16" if amx else "off")
    assert precision.settle("auto", "cpu", 127) == precision.settle("off", "cpu", 128) == "off"
    assert precision.settle("bf16", "cpu", 16) == "bf16"
    wide = build(VariantSpec(depth=1, dim=128, num_heads=2, T=1), InputSpec(1, 8, 2))
    assert precision.resolve("auto", torch.device("cpu"), wide) == ("bf16" if amx else "fp32")
    assert precision.resolve("auto", torch.device("cpu"), nn.Linear(999, 999)) == "fp32"


def test_autocast_is_what_it_says() -> None:
    cpu = torch.device("cpu")
    with precision.autocast("bf16", cpu):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with precision.autocast("fp32", cpu):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_evaluation_is_independent_of_the_batch_size_and_leaves_the_mode() -> None:
    split = torch.utils.data.TensorDataset(X, Y)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 4)).train()
    found = [evaluate(model, split, torch.device("cpu"), batch_size) for batch_size in (1, 4, 6)]
    assert model.training
    model.eval()
    assert [result.correct.tolist() for result in found] == [(model(X).argmax(-1) == Y).tolist()] * 3
    expected = functional.cross_entropy(model(X), Y).item()
    assert [result.loss for result in found] == pytest.approx([expected] * 3)
    assert found[0].accuracy == sum(found[0].correct.tolist()) / 6
    with pytest.raises(ValueError, match="empty"):
        evaluate(model, torch.utils.data.TensorDataset(X[:0], Y[:0]), torch.device("cpu"))
