"""Evaluation looks at one image at a time: what stands beside it in a batch changes nothing, under any option."""

import dataclasses
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import nn

from spikebench import InputSpec, VariantSpec, audit, build, count
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import COMPONENTS
from spikebench.networks import check
from spikebench.networks.encodings._draws import draws_of
from spikebench.testing._components import INPUTS, SMALL
from tests.contracts.test_components import NEEDS, OPTIONS

RATE = VariantSpec(depth=1, dim=16, num_heads=2, mlp_ratio=2.0, T=2).replace(encoding="rate")


def choices():
    """Each value of each option that is a word or a switch, other than its default."""
    for field, registry in COMPONENTS.items():
        for name in REGISTRIES[registry]:
            options = REGISTRIES[registry].options(name)
            hints = get_type_hints(options)
            for option in dataclasses.fields(options):
                hint = hints[option.name]
                words = (
                    (True, False)
                    if hint is bool
                    else [w for h in (hint, *get_args(hint)) if get_origin(h) is Literal for w in get_args(h)]
                )
                for word in words:
                    if word != option.default:
                        yield pytest.param(field, name, {option.name: word}, id=f"{name}-{option.name}={word}")


@pytest.mark.parametrize(("field", "name", "options"), list(choices()))
def test_no_option_makes_an_image_see_its_neighbours(field, name, options):
    key = (COMPONENTS[field], name)
    spec = SMALL.replace(**{field: {"name": name, **OPTIONS.get(key, {}), **options}, **NEEDS.get(key, {})})
    inputs = InputSpec(channels=2, size=16, classes=3)
    assert check(spec, inputs) == []
    torch.manual_seed(0)
    found = audit(build(spec, inputs).eval(), torch.rand(2, 2, 16, 16) * 4, checks=["batch_invariance"])
    assert found["batch_invariance"].verdict == "pass", str(found)


@pytest.mark.parametrize("seed", range(6))
def test_counts_of_an_untrained_dssa_are_those_of_its_images(seed):
    torch.manual_seed(seed)
    spec = VariantSpec(depth=1, dim=32, num_heads=4, T=4).replace(attention="dssa", neuron={"name": "lif", "v_threshold": 0.1})
    model = build(spec, InputSpec(1, 16, 10)).eval()
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_var.fill_(0.5)
            module.bias.data.normal_(0, 0.3)
    images = torch.rand(3, 1, 16, 16)
    images[1] = 0
    assert count(model, images).total() == sum(count(model, image[None]).total() for image in images)


def test_a_trained_dssa_scales_by_the_rates_that_it_learned():
    model = build(SMALL.replace(attention="dssa"), INPUTS)
    average = next(module for module in model.modules() if type(module).__name__ == "RunningRate")
    spikes = (torch.rand(2, 4, 1, 8, 8) < torch.tensor([0.1, 0.3, 0.5, 0.9]).view(1, 4, 1, 1, 1)).float()
    assert torch.equal(average.eval()(spikes).flatten(), spikes.mean((0, 2, 3, 4)))
    assert average.train()(spikes) == spikes.mean()
    assert average.eval()(spikes[:, :1]) == spikes.mean()


def test_rate_coding_belongs_to_the_image_and_to_its_seed():
    image = torch.rand(4, 2, 8, 8)
    draws = draws_of(image, 5, seed=3)
    assert torch.equal(draws_of(image[[2, 0]], 5, seed=3), draws[:, [2, 0]])
    assert torch.equal(draws_of(image, 2, seed=3), draws[:2])
    assert torch.equal(draws_of(image.double(), 5, seed=3), draws)
    assert torch.equal(draws_of(image.contiguous(memory_format=torch.channels_last), 5, seed=3), draws)
    assert not torch.equal(draws_of(image, 5, seed=4), draws)
    assert not torch.equal(draws_of(image.flip(3), 5, seed=3).flip(4), draws)
    assert not torch.equal(draws[:, 0], draws[:, 1])


def test_the_draws_are_splitmix64_in_python():
    mask, golden = 2**64 - 1, 0x9E3779B97F4A7C15

    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    image = torch.tensor([0.0, -0.5, 0.25, 1.0]).view(1, 1, 2, 2)
    pixels = image.flatten().view(torch.int32).tolist()
    key = sum(mix((bits + place * golden) & mask) for place, bits in enumerate(pixels, 1)) + mix(7 * golden & mask)
    key = mix(key & mask)
    expected = [(mix((key + place * golden) & mask) >> 40) / 2**24 for place in range(1, 13)]
    assert draws_of(image, 3, seed=7).flatten().tolist() == expected


def test_the_draws_are_uniform_and_without_correlation():
    draws = draws_of(torch.rand(50, 1, 20, 20), 10, seed=0).double()
    n = draws.numel()
    assert 0 <= draws.min() < draws.max() < 1
    histogram = torch.histc(draws, 64, 0, 1)
    chi_squared = float(((histogram - n / 64) ** 2 / (n / 64)).sum())
    assert chi_squared < 63 + 6 * (2 * 63) ** 0.5  # six standard deviations
    centred = draws - draws.mean()
    for axis in range(5):
        if draws.shape[axis] > 1:
            length = draws.shape[axis] - 1
            product = (centred.narrow(axis, 0, length) * centred.narrow(axis, 1, length)).mean() / centred.var()
            assert abs(float(product)) < 6 / n**0.5


def test_training_draws_anew_and_evaluation_does_not():
    model = build(RATE, INPUTS)
    image = torch.rand(2, INPUTS.channels, 8, 8)
    assert not torch.equal(model.encoding(image, 2), model.encoding(image, 2))
    model.eval()
    assert torch.equal(model.encoding(image, 2), model.encoding(image, 2))


@pytest.mark.parametrize("trained", [False, True])
def test_an_untrained_dssa_takes_all_steps_together_and_says_so(trained):
    torch.manual_seed(0)
    model = build(SMALL.replace(attention="dssa"), INPUTS)
    if trained:
        model.train()(torch.rand(4, 2, 8, 8))
    found = audit(model.eval(), torch.rand(3, 2, 8, 8) * 4, checks=["causality"])["causality"]
    assert found.verdict == ("pass" if trained else "not applicable"), str(found)
