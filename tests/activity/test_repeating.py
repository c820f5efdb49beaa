"""A call that is done again counts what a watched one counts, and is watched wherever it could be another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spikebench.activity import ActivityObserver, repeating
from spikebench.activity.analysis import ActivityAnalysis
from tests.activity.lively import lively


def passes(model: nn.Module, inputs: list[Tensor], between: Callable[[int], Any] = lambda i: None) -> tuple[Any, ...]:
    """What three calls in one observer have found, what they returned, and which of them were not watched."""
    outputs, again = [], []
    torch.manual_seed(7)
    with torch.no_grad(), ActivityObserver(model) as observer:
        for i, x in enumerate(inputs):
            between(i)
            outputs.append(model(x).clone())
            again.append(observer._repeating is not None and observer._repeating.again)
    return observer.analysis, outputs, again


def same(one: ActivityAnalysis, other: ActivityAnalysis) -> bool:
    columns = all(one.by_sample(name) == other.by_sample(name) for name in ("events", "events_left", "unit_acs"))
    steps = all(one.events_by_step(site.site) == other.events_by_step(site.site) for site in one.sites)
    rest = one.spikes_by_sample() == other.spikes_by_sample() and one.not_counted == other.not_counted
    return columns and steps and rest and (one.sites, one.neuron_layers) == (other.sites, other.neuron_layers)


def images(*batches: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(batch, 1, 8, 8, generator=generator) for batch in batches]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, ...]]:
    """``passes``, every one of them watched."""

    def run(*args: Any) -> tuple[Any, ...]:
        with monkeypatch.context() as patch:
            patch.setattr(repeating, "kind_of", lambda args, kwargs: None)
            return passes(*args)

    return run


@pytest.mark.parametrize(
    "overrides",
    [
        *({"stem": stem} for stem in ("sps", "scs", "conv1")),
        *({"stem": stem, "residual": "membrane"} for stem in ("spikingformer", "sdt")),
        *({"attention": name} for name in ("softmax", "sdsa", "dssa", "qk_token", "statten", "vanilla")),
        *({"residual": name} for name in ("or", "xor")),
        *({"encoding": name} for name in ("rate", "phase")),
        {"head": "spiking", "T": 1},
    ],
    ids=str,
)
def test_what_is_done_again_counts_as_what_is_watched(overrides: dict[str, Any], watched: Callable[..., Any]) -> None:
    model, inputs = lively(**overrides), images(3, 3, 3)
    found, outputs, again = passes(model, inputs)
    expected, told, none = watched(model, inputs)
    assert again == [False, True, True]
    assert not any(none)
    assert expected.total("events") > 0
    assert all(map(torch.equal, outputs, told))
    assert same(found, expected)


def test_another_batch_is_another_program(watched: Callable[..., Any]) -> None:
    model, inputs = lively(), images(3, 2, 3, 2, 1)
    found, _, again = passes(model, inputs)
    assert again == [False, False, True, True, False]
    assert same(found, watched(model, inputs)[0])


def hooked(model: nn.Module) -> None:
    model.stem.register_forward_hook(lambda module, args, out: out * 0)  # type: ignore[union-attr, operator]


def exchanged(model: nn.Module) -> None:
    model.blocks[0].attention.proj.linear.weight = nn.Parameter(torch.zeros(16, 16))  # type: ignore[union-attr, index]


def raised(model: nn.Module) -> None:
    for module in model.modules():
        if hasattr(module, "v_threshold"):
            module.v_threshold = 3.0


def fewer(model: nn.Module) -> None:
    model.T = 2  # type: ignore[assignment]


@pytest.mark.parametrize("change", [hooked, exchanged, raised, fewer, nn.Module.train])
def test_a_network_that_has_changed_is_watched(change: Callable[[nn.Module], Any], watched: Callable[..., Any]) -> None:
    def run(run: Callable[..., Any]) -> Any:
        model = lively()
        return run(model, images(3, 3, 3), lambda i: change(model) if i == 2 else None)

    found, outputs, again = run(passes)
    expected, told, _ = run(watched)
    assert again == [False, True, False]
    assert all(map(torch.equal, outputs, told))
    assert same(found, expected)


def test_weights_that_are_written_to_are_read_again(watched: Callable[..., Any]) -> None:
    def run(run: Callable[..., Any]) -> Any:
        model = lively()
        return run(model, images(3, 3, 3), lambda i: i == 2 and model.stem.requires_grad_(False).apply(_halved))

    found, outputs, again = run(passes)
    assert again == [False, True, True]
    assert same(found, run(watched)[0])
    assert all(map(torch.equal, outputs, run(watched)[1]))


def _halved(module: nn.Module) -> None:
    for weight in module._parameters.values():
        if weight is not None:
            weight.mul_(0.5)


class Looks(nn.Module):
    """A stem's neighbour that asks for values, as nothing of ours does."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


def test_a_part_of_somebody_else_is_always_watched() -> None:
    model = lively()
    model.position = Looks()
    assert passes(model, images(3, 3))[2] == [False, False]
    assert passes(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), images(3, 3))[2] == [False, False]


def test_who_else_listens_sees_the_operations() -> None:
    model, (x, _) = lively(), images(3, 3)
    with torch.no_grad(), ActivityObserver(model) as observer:
        model(x)
        with FlopCounterMode(display=False) as flops:
            model(x)
        model(x)
    assert flops.get_total_flops() > 0
    assert observer.analysis.samples == 9
    assert "forward" not in vars(model)
    with ActivityObserver(model) as observer:  # gradients are asked for
        model(x)
        assert model(x).requires_grad


def test_a_call_that_fails_takes_nothing_with_it() -> None:
    model, (x, y, z) = lively(), images(3, 3, 3)
    with torch.no_grad(), ActivityObserver(model) as observer:
        with pytest.raises(RuntimeError):
            model(torch.rand(3, 2, 8, 8))
        for each in (x, y, z):
            model(each)
    assert same(observer.analysis, passes(model, [x, y, z])[0])
