"""Convolutions that oneDNN breaks: no damage, right numbers, the library's own bits where it is sound."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from spikebench import count
from spikebench.networks.layers import Conv2d
from tests.networks.hunt import convolutions

# Where oneDNN has AVX at most it gathers nothing, so its numbers are right: they must be ours to the bit.
BITS = """
import itertools, torch
from torch import nn
from spikebench.networks.layers import Conv2d

def everything(layer, x, time):
    x = x.clone().requires_grad_()
    y = layer(x.unsqueeze(0))[0] if time else layer(x)
    weights = torch.linspace(-1, 1, y.numel()).view_as(y).to(y.dtype).contiguous(memory_format=torch.channels_last)
    y.backward(weights)
    return [y, x.grad, *(parameter.grad for parameter in layer.parameters())]

for channels, out, bias, bf16 in itertools.product((1, 2, 4, 7, 8, 12, 15, 16), (4, 8, 24), (False, True), (False, True)):
    torch.manual_seed(0)
    ours, plain = (Conv2d(channels, out, 1, stride=2, bias=bias), nn.Conv2d(channels, out, 1, stride=2, bias=bias))
    ours.load_state_dict(plain.state_dict())
    x = torch.rand(12, channels, 16, 16).round().contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        pairs = zip(everything(ours, x, True), everything(plain, x, False), strict=True)
        assert all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs), (channels, out, bias, bf16)
"""

QKFORMER = """
import torch, spikebench
torch.set_num_threads(1)
for _ in range(8):
    model = spikebench.build("qkformer-4-384", spikebench.InputSpec(2, 8, 3), T=2, dim=16, depth=3, num_heads=2).train()
    model.loss(torch.rand(6, 2, 8, 8) * 4, torch.arange(6) % 3)[0].backward()
"""


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    return done.returncode, done.stderr[-500:]


def test_a_small_qkformer_trains_where_avx2_is_all_there_is():
    assert run(QKFORMER, ONEDNN_MAX_CPU_ISA="AVX2", MALLOC_CHECK_="3")[0] == 0


def test_where_the_library_is_sound_its_bits_are_kept():
    assert run(BITS, ONEDNN_MAX_CPU_ISA="AVX") == (0, "")


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format], ids=["channels-last", "channels-first"])
@pytest.mark.parametrize("channels", [1, 2, 7, 8, 15, 16])
def test_gradients_are_those_of_the_definition(channels, memory):
    torch.manual_seed(channels)
    layer = Conv2d(channels, 6, 1, stride=2).double()
    x = torch.randn(1, 3, channels, 8, 8, dtype=torch.float64)[0].contiguous(memory_format=memory).requires_grad_()
    grad = torch.randn(3, 6, 4, 4, dtype=torch.float64)
    y = layer(x.unsqueeze(0))[0]
    y.backward(grad)
    pixels = x.detach()[:, :, ::2, ::2]
    weight = layer.weight[:, :, 0, 0]
    into_x = torch.zeros_like(x)
    into_x[:, :, ::2, ::2] = torch.einsum("bohw,oi->bihw", grad, weight)
    torch.testing.assert_close(y, torch.einsum("bihw,oi->bohw", pixels, weight) + layer.bias.view(-1, 1, 1))
    torch.testing.assert_close(x.grad, into_x)
    torch.testing.assert_close(layer.weight.grad[:, :, 0, 0], torch.einsum("bohw,bihw->oi", grad, pixels))
    torch.testing.assert_close(layer.bias.grad, grad.sum((0, 2, 3)))


def test_gradients_of_gradients_are_those_of_the_definition():
    layer = Conv2d(3, 2, 1, stride=2).double()
    x = torch.randn(1, 2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(layer, (x,))


def test_a_frozen_layer_passes_the_gradient_on():
    layer = Conv2d(4, 8, 1, stride=2).requires_grad_(False)
    x = torch.randn(1, 2, 4, 8, 8, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.any()
    layer.bias.requires_grad_()
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [2 * 4 * 4] * 8


def test_names_and_counts_are_those_of_a_plain_convolution():
    layer = Conv2d(4, 8, 1, stride=2, bias=False)
    assert set(layer.state_dict()) == set(nn.Conv2d(4, 8, 1, bias=False).state_dict())
    x = (torch.rand(1, 1, 4, 8, 8) < 0.3).float()
    counted = count(layer, x)
    assert torch.is_grad_enabled()
    assert counted.total("dense") == 8 * 4 * 4 * 4
    assert counted.total() == x[..., ::2, ::2].sum() * 8


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("kernel", "channels"), [(4, 8), (4, 16), (4, 24), (8, 8), (8, 12), (8, 28), (16, 4), (16, 30)])
def test_patches_in_bf16_are_those_of_fp32_up_to_rounding(kernel, channels, training):
    """The library's own are off by as much as they are large, on CPUs with bf16 instructions."""
    torch.manual_seed(0)
    layer = Conv2d(channels, 8, kernel, stride=kernel)
    x = torch.randn(1, 2, channels, 64, 64).bfloat16().float()
    with torch.no_grad():
        layer.weight.copy_(layer.weight.bfloat16())
        layer.bias.copy_(layer.bias.bfloat16())
    exact = nn.functional.conv2d(x[0].double(), layer.weight.double(), layer.bias.double(), stride=kernel)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.set_grad_enabled(training):
        y = layer(x)[0]
    assert y.dtype == torch.bfloat16
    assert (y.double() - exact).abs().max() < 0.02 * exact.abs().max()
    halved = Conv2d(channels, 8, kernel, stride=kernel).bfloat16()
    halved.load_state_dict(layer.state_dict())
    assert (halved(x.bfloat16())[0].double() - exact).abs().max() < 0.02 * exact.abs().max()
    if training:
        y.sum().backward()
        pixels = x[0].double().unfold(2, kernel, kernel).unfold(3, kernel, kernel).sum((0, 2, 3))
        torch.testing.assert_close(
            layer.weight.grad, pixels.expand(8, -1, -1, -1).float(), rtol=0.02, atol=0.02 * float(pixels.abs().max())
        )


def test_the_hunt_sees_what_is_planted():
    """A convolution of kernel 0 is the hunt's own mistake: it writes two numbers behind a tensor."""
    planted = {"kernel": 0, "side": 24, "dtype": "float32"}
    fine = next(convolutions.trials([4], [8]))
    assert convolutions.hunt([fine, planted, fine], "DEFAULT", "torch") == [(planted, "writes outside of its memory")]


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["SSE41", "AVX", "AVX2", "DEFAULT"])
def test_no_convolution_of_ours_is_broken(isa):
    """A part of the hunt: 8 pixels show what AVX2 breaks, 64 what AVX-512 does."""
    tried = [*convolutions.trials([1, 2, 4], [8]), *convolutions.trials([7, 12], [64])]
    tried += convolutions.trials([8, 24], [16], "bfloat16")
    assert convolutions.hunt(tried, isa, "ours") == []
