"""Dense MACs of every preset equal fvcore's convolution, linear and matmul counts, and half of torch's FlopCounterMode."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import spikebench
from spikebench.activity import count
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import InputSpec

SMALL = InputSpec(channels=1, size=8, classes=10)
CIFAR = InputSpec(channels=3, size=32, classes=10)
IMAGENET = InputSpec(channels=3, size=224, classes=1000)


def smallest(preset: str) -> nn.Module:
    """The preset's width on the smallest image and with the fewest blocks that it takes: more of them are more of the same."""
    for inputs in (SMALL, CIFAR, IMAGENET):
        for depth in (1, 2, 3, 4):
            with suppress(InputError):
                return spikebench.build(preset, inputs, depth=depth).eval()
    raise AssertionError(f"{preset} takes no image")


@pytest.mark.parametrize("preset", REGISTRIES["presets"].names())
def test_dense_macs_equal_fvcore_and_half_of_torch(preset: str) -> None:
    from fvcore.nn import FlopCountAnalysis

    from spikebench.networks.shortcuts import without_shortcuts

    model = smallest(preset)
    inputs = model.inputs
    x = torch.rand(*([model.T] if inputs.events else []), 1, inputs.channels, inputs.size, inputs.size)
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    ours = count(model, x)
    assert ours.not_counted == ()
    # Elementwise products of activations (spike-driven attention) are no convolution, linear or matmul.
    dense = sum(site.dense_macs for site in ours.sites if site.operation != "hadamard")
    with torch.no_grad(), without_shortcuts():
        found = FlopCountAnalysis(model, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
        with FlopCounterMode(display=False) as flops:
            model(x)
    assert dense == sum(found[name] for name in ("conv", "linear", "matmul"))
    assert 2 * dense == flops.get_total_flops()


def test_the_published_network_on_cifar() -> None:
    """Spikformer-4-384 at T = 4, one 32x32 image: counted by hand, with and without taps that fall on padding."""
    model = spikebench.build("spikformer-4-384", CIFAR).eval()
    found = count(model, torch.rand(1, 3, 32, 32))
    assert found.total("dense") == 3_736_145_664
    assert sum(site.dense_macs_inside for site in found.sites) == 3_591_198_720
