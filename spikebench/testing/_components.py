"""The contracts of a network's parts: each is put into a small network, which must then behave like one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from spikebench.activity import count
from spikebench.auditing import audit, lively
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks import build, check, resolve
from spikebench.testing._members import MemberContract

INPUTS = InputSpec(channels=2, size=8, classes=3)
STRUCTURE = ("batch_invariance", "call_invariance", "causality", "token_order")
"""Checks of an audit that no weights can fail."""
SMALL = VariantSpec(depth=1, dim=16, num_heads=2, mlp_ratio=2.0, T=2)


class ComponentContract(MemberContract):
    """``field``: the part of a variant that is tested. ``needs``: other fields that this member cannot be without."""

    field: ClassVar[str]
    needs: Mapping[str, Any] = {}
    inputs: InputSpec = INPUTS

    @property
    def variant(self) -> VariantSpec:
        return SMALL.replace(**{self.field: {"name": self.name, **self.options}, **self.needs})

    @pytest.fixture
    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return lively(build(self.variant, self.inputs))

    @pytest.fixture
    def images(self) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.rand(5, self.inputs.channels, self.inputs.size, self.inputs.size, generator=generator) * 4

    def test_makes_a_network(self) -> None:
        assert check(self.variant, self.inputs) == []

    def test_makes_one_with_what_is_automatic_written_out(self) -> None:
        assert check(resolve(self.variant, self.inputs), self.inputs) == []

    def test_trains_one_step_and_reaches_every_parameter(self) -> None:
        assert unreached(self.variant, self.inputs) == []

    @pytest.mark.parametrize("steps", [0, 1], ids=["untrained", "trained"])
    def test_its_audit_finds_no_fault_of_structure(self, model: Any, images: Tensor, steps: int) -> None:
        """Neighbours in a batch, calls, later steps and places change nothing; neighbours not before running averages started."""
        for _ in range(steps):
            model.loss(images, torch.arange(len(images)) % self.inputs.classes)
        found = audit(model.eval(), images, checks=STRUCTURE if steps else STRUCTURE[:1])
        assert all(one.verdict in ("pass", "not applicable") for one in found.findings), str(found)

    @pytest.mark.parametrize("steps", [0, 1], ids=["untrained", "trained"])
    def test_counts_of_images_add_up(self, model: Any, images: Tensor, steps: int) -> None:
        """Those of a batch are those of its images, each alone."""
        images[1] = 0  # a silent image beside others is where averages over a batch show
        for _ in range(steps):
            model.loss(images, torch.arange(len(images)) % self.inputs.classes)
        model = model.double().eval()
        counted, apart = count(model, images.double()), [count(model, image[None]) for image in images.double()]
        for convention in ("events", "dense", "unit"):
            assert counted.total(convention) == sum(one.total(convention) for one in apart)

    def test_weights_are_all_in_the_state_dict(self, model: nn.Module, images: Tensor) -> None:
        twin = build(self.variant, self.inputs)
        twin.load_state_dict(model.state_dict())
        with torch.no_grad():
            assert torch.equal(twin.eval()(images), model.eval()(images))

    @pytest.mark.parametrize("training", [False, True])
    def test_is_counted_with_nothing_left_out(self, model: nn.Module, images: Tensor, training: bool) -> None:
        found = count(model.train(training), images)
        assert found.total() > 0
        assert found.not_counted == ()


class StemContract(ComponentContract):
    registry, field = "stems", "stem"


class AttentionContract(ComponentContract):
    registry, field = "attentions", "attention"


class ResidualContract(ComponentContract):
    registry, field = "residuals", "residual"


class NeuronContract(ComponentContract):
    registry, field = "neurons", "neuron"


class SurrogateContract(ComponentContract):
    registry, field = "surrogates", "surrogate"


class EncodingContract(ComponentContract):
    registry, field = "encodings", "encoding"


class PositionContract(ComponentContract):
    registry, field = "positions", "position"


class HeadContract(ComponentContract):
    registry, field = "heads", "head"


class FamilyContract(ComponentContract):
    registry, field = "families", "family"


def unreached(spec: VariantSpec, inputs: InputSpec = INPUTS) -> list[str]:
    """Build, train one step on six images, and name the parameters that got no gradient."""
    torch.manual_seed(0)
    model: Any = lively(build(spec, inputs))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    silent = _silent_layers(model)
    labels = torch.arange(6) % inputs.classes
    loss, logits = model.loss(torch.rand(6, inputs.channels, inputs.size, inputs.size) * 4, labels)
    assert logits.shape == (6, inputs.classes)
    assert torch.isfinite(loss)
    loss.backward()
    optimizer.step()
    assert any((p != before[name]).any() for name, p in model.named_parameters())
    return [name for name, p in model.named_parameters() if not _reached(p, silent)]


def _silent_layers(model: nn.Module) -> set[int]:
    """Filled by the next forward pass: ids of weights whose layer saw nothing but zeros."""
    silent: set[int] = set()

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not inputs[0].any():
            silent.add(id(layer.weight))

    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.register_forward_pre_hook(note)
    return silent


def _reached(parameter: nn.Parameter, silent: set[int]) -> bool:
    """Whether a finite gradient came. A weight's must not be zero unless its input is; a bias before BatchNorm gets none."""
    grad = parameter.grad
    if grad is None or not torch.isfinite(grad).all():
        return False
    return parameter.dim() < 2 or id(parameter) in silent or bool(grad.any())
