"""Tensors that become Python values, exceptions that a model catches, and containers as arguments and results."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from spikebench.activity import ActivityObserver, count


class After(nn.Module):
    """4 inputs, 3 outputs, no bias: 24 events for 2 rows of nonzero numbers; then ``step(x, y)``."""

    def __init__(self, step: object) -> None:
        super().__init__()
        self.f, self.step = nn.Linear(4, 3, bias=False), step

    def forward(self, x: Tensor) -> object:
        return self.step(x, self.f(x))  # type: ignore[operator]


def shrink(x: Tensor, y: Tensor) -> Tensor:
    while y.abs().max() > 1e-3:
        y = y * 0.1
    return y


READS = {
    "item": lambda x, y: y * x.max().item(),
    "float": lambda x, y: y * float(x.mean()),
    "int": lambda x, y: y + int(x.sum()),
    "bool": lambda x, y: y + bool(x.sum() > 0),
    "if any": lambda x, y: y + 1 if torch.isnan(x).any() else y,
    "equal": lambda x, y: y + 1 if torch.equal(x, x) else y,
    "allclose": lambda x, y: y + 1 if torch.allclose(x, x) else y,
    "is_nonzero": lambda x, y: y + 1 if torch.is_nonzero(x.sum()) else y,
    "contains": lambda x, y: y + 1 if 0.5 in x else y,
    "argmax": lambda x, y: y + x.sum(1).argmax().item(),
    "index": lambda x, y: y[:, x.sum().long() % 3 :],
    "range": lambda x, y: [y[:, i] for i in range(x.sum().long() % 3)],
    "tolist": lambda x, y: y * x.tolist()[0][0],
    "numpy": lambda x, y: y * float(x.numpy().max()),
    "format": lambda x, y: f"{x.sum():.3f}" and y,
    "length": lambda x, y: y * len(x),
    "iterate": lambda x, y: sum(y * len(row) for row in x),
    "while": shrink,
    "loss in forward": lambda x, y: (y, {"loss": y.square().mean().item()}),
    "None": lambda x, y: None,
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "enable_grad"])
def test_what_python_reads_is_no_operation(name: str, mode: str) -> None:
    with getattr(torch, mode)():
        found = count(After(READS[name]).eval(), torch.rand(2, 4) + 0.1)
    assert (found.total(), found.not_counted) == (24, ())


@dataclass
class Batch:
    image: Tensor
    name: str = "x"


class Carrier:
    def __init__(self, image: Tensor) -> None:
        self.image = image


@pytest.mark.parametrize(
    ("wrap", "unwrap"),
    [
        (lambda x: {"image": x, "name": "x"}, lambda a: a["image"]),
        (lambda x: [[x], None], lambda a: a[0][0]),
        (lambda x: Batch(x), lambda a: a.image),
        (lambda x: Carrier(x), lambda a: a.image),
    ],
)
def test_inputs_and_outputs_in_containers(wrap: object, unwrap: object) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = After(lambda x, y: wrap(y))  # type: ignore[operator]
            self.last = nn.Linear(3, 2, bias=False)

        def forward(self, argument: object) -> object:
            return wrap(self.last(unwrap(self.inner(unwrap(argument)))))  # type: ignore[operator]

    found = count(Net(), (wrap(torch.rand(2, 4) + 0.1),))  # type: ignore[operator]
    assert (found.total("dense"), found.not_counted, found.samples) == (24 + 12, (), 2)


# exceptions


class Fails(nn.Module):
    """Computes, then raises."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.inner, self.error = After(self._raise), error

    def _raise(self, x: Tensor, y: Tensor) -> Tensor:
        raise self.error

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Tries(nn.Module):
    """Catches what ``first`` raises and goes on with ``second``."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.last = first, nn.Linear(4, 2, bias=False), nn.Linear(2, 5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        try:
            y = self.first(x)
        except BaseException:
            y = self.second(x)
        return self.last(y.abs() + 1)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), StopIteration()])
@pytest.mark.parametrize("as_neuron", [False, True])
def test_an_exception_that_the_model_catches(error: BaseException, as_neuron: bool) -> None:
    """What ran before it has run; what runs after it is counted where it runs, twice in a row."""
    model = nn.Sequential(nn.Identity(), Tries(Fails(error)))
    with torch.no_grad(), ActivityObserver(model, neurons=(Fails,) if as_neuron else ()) as observer:
        for _ in range(2):
            model(torch.rand(2, 4) + 0.1)
    linears = {site.scope: (site.events, site.calls) for site in observer.analysis.sites if site.operation == "linear"}
    expected = {"1.first.inner.f": (48, 2), "1.second": (32, 2), "1.last": (40, 2)}
    if as_neuron:
        del expected["1.first.inner.f"]
    assert linears == expected
    assert observer.analysis.samples == 4
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_an_exception_in_the_middle_of_a_pass_while_another_is_handled() -> None:
    """The model is called in an ``except`` block: the exception there is not the model's."""
    model = After(lambda x, y: y)
    try:
        raise ValueError
    except ValueError:
        found = count(model, torch.rand(2, 4) + 0.1)
    assert found.total() == 24


def test_an_exception_that_escapes_leaves_no_counts_and_no_hooks() -> None:
    broken = Fails(ValueError("no"))
    model = nn.Sequential(broken, nn.Identity())
    with pytest.raises(ValueError, match="no"):
        count(model, torch.rand(2, 4))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    x = torch.rand(2, 4) + 0.1
    with torch.no_grad(), ActivityObserver(model) as observer:
        with pytest.raises(ValueError, match="no"):
            model(x)
        broken.inner.step = lambda x, y: y
        model(x)
        assert (observer.analysis.total(), observer.analysis.samples, observer.analysis.not_counted) == (24, 2, ())
        broken.inner.step = broken._raise
        with pytest.raises(ValueError, match="no"):
            model(x)
    (row,) = observer.analysis.not_counted
    assert "ValueError ended a call half-way" in row.reason
    broken.inner.step = lambda x, y: y
    assert count(model, x).total() == 24
