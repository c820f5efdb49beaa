"""Every registered component of a network, ours or a plugin's: it trains, is described, and what makes no sense is refused."""

import itertools
import re

import pytest
import torch

from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import COMPONENTS, InputSpec, VariantSpec
from spikebench.networks import build, check
from spikebench.networks.presets import load

INPUTS = InputSpec(channels=2, size=8, classes=3)
TINY = VariantSpec(depth=1, dim=16, num_heads=2, mlp_ratio=2.0, T=2)
TWIN = {"family": "vit", "attention": "vanilla", "T": 1}  # what the ANN family needs beside its name
NEEDS = {  # what a component cannot be without
    ("stem", "spikingformer"): {"residual": "membrane"},
    ("stem", "sdt"): {"residual": "membrane"},
    ("family", "vit"): TWIN,
    ("family", "sj"): {"family": {"name": "sj", "patch_size": 4}},
    ("family", "qkformer"): {"depth": 3},
}
MEMBERS = [(field, name) for field, registry in COMPONENTS.items() for name in REGISTRIES[registry]]
KEYS = re.compile(
    r"(family|stem|attention|residual|neuron|surrogate|encoding|position|head|depth|dim|num_heads|mlp_ratio|T)(\.\w+)*"
)


def trained_one_step(spec, inputs=INPUTS):
    """Builds, trains one step on 6 images, and returns the names of parameters that got no gradient."""
    torch.manual_seed(0)
    model = lively(build(spec, inputs))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    silent = silent_layers(model)
    loss, logits = model.loss(torch.rand(6, inputs.channels, inputs.size, inputs.size) * 4, torch.arange(6) % 3)
    assert logits.shape == (6, inputs.classes)
    assert torch.isfinite(loss)
    loss.backward()
    optimizer.step()
    assert any((p != before[name]).any() for name, p in model.named_parameters())
    return [name for name, p in model.named_parameters() if not reached(p, silent)]


def lively(model):
    """Firing in every layer, so that a gradient of zero means a path that is cut and not one that is silent by chance."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.affine:
            torch.nn.init.constant_(module.weight, 2.0)
            torch.nn.init.uniform_(module.bias, 0.5, 1.5)
    return model


def silent_layers(model):
    """Filled by the next forward pass: ids of weights whose layer saw nothing but zeros."""
    silent = set()
    for module in model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            module.register_forward_pre_hook(lambda layer, x: None if x[0].any() else silent.add(id(layer.weight)))
    return silent


def reached(parameter, silent):
    """Whether a finite gradient came. A weight's must not be zero unless its input is; a bias before BatchNorm gets none."""
    grad = parameter.grad
    if grad is None or not torch.isfinite(grad).all():
        return False
    return parameter.dim() < 2 or id(parameter) in silent or bool(grad.any())


@pytest.mark.parametrize(("field", "name"), MEMBERS, ids=lambda part: part)
def test_each_component_trains_one_step_with_gradients_reaching_every_parameter(field, name):
    spec = TINY.replace(**{field: name, **NEEDS.get((field, name), {})})
    assert check(spec, INPUTS) == []
    assert trained_one_step(spec) == []


PAIRS = list(itertools.product(REGISTRIES["stems"], REGISTRIES["attentions"], REGISTRIES["residuals"]))


@pytest.mark.parametrize(("stem", "attention", "residual"), PAIRS, ids=lambda part: part)
def test_all_stems_attentions_and_residuals_train_together_or_say_why_not(stem, attention, residual):
    spec = TINY.replace(stem=stem, attention=attention, residual=residual)
    problems = check(spec, INPUTS)
    if problems:
        assert REGISTRIES["stems"].get(stem).emits_potentials
        assert not REGISTRIES["residuals"].get(residual).neuron_first
        assert all(KEYS.fullmatch(problem.key) for problem in problems)
    else:
        assert trained_one_step(spec) == []


@pytest.mark.parametrize("name", REGISTRIES["presets"].names())
def test_each_preset_resolves_and_serves_an_image_it_was_made_for(name):
    spec = load(name)
    inputs = InputSpec(3, 224, 1000) if spec.depth >= 6 else InputSpec(3, 32, 10)
    assert check(spec, inputs) == []


@pytest.mark.parametrize("field", COMPONENTS)
def test_each_member_says_what_it_is_and_where_it_was_published(field):
    registry = REGISTRIES[COMPONENTS[field]]
    for name in registry:
        if registry.origin(name) == "spikebench":
            assert 20 < len(registry.describe(name)) <= 130
            assert field == "surrogate" or re.search(r"arXiv|SpikingJelly|XOR-Spikformer|\(.* \d{4}\)", registry.describe(name))


@pytest.mark.parametrize("name", REGISTRIES["presets"].names())
def test_each_preset_names_its_paper(name):
    assert "arXiv" in REGISTRIES["presets"].describe(name)
