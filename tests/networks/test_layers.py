"""Shortcuts change no number: the first convolution once, Q (K^T V), fused QKV; and the layout is as cheap as it claims."""

import pytest
import torch
from torch import nn

from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks import build, shortcuts
from spikebench.networks.layers import BatchNorm2d, Conv2d, max_pool

INPUTS = InputSpec(3, 16, 5)
SPEC = VariantSpec(depth=1, dim=32, num_heads=4, mlp_ratio=2.0, T=4)


def static(T=4, batch=3, dtype=torch.float32, seed=0):
    image = torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return image.unsqueeze(0).expand(T, -1, -1, -1, -1)


def test_layers_before_the_first_neuron_compute_a_static_image_once():
    calls = []
    conv = Conv2d(3, 8, 3, padding=1)
    conv.register_forward_hook(lambda _, x, y: calls.append(y.stride(0)))
    norm = BatchNorm2d(8).eval()
    x = static()
    out = max_pool(norm(conv(x)))
    assert out.stride(0) == 0
    with shortcuts.without_shortcuts():
        plain = max_pool(norm(conv(x)))
    assert plain.stride(0) != 0
    assert torch.equal(out, plain)
    assert calls[0] == 0 < calls[1]


def test_running_statistics_of_a_static_image_are_those_of_every_step():
    once, every = BatchNorm2d(3).double(), BatchNorm2d(3).double()
    for seed in range(3):
        x = static(dtype=torch.float64, seed=seed).contiguous()
        a = once(static(dtype=torch.float64, seed=seed))
        with shortcuts.without_shortcuts():
            b = every(x)
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(once.running_var, every.running_var, rtol=1e-12, atol=0)
    torch.testing.assert_close(once.running_mean, every.running_mean, rtol=1e-12, atol=1e-15)
    assert once.num_batches_tracked == every.num_batches_tracked == 3


def test_gradients_of_a_static_image_are_those_of_every_step():
    model = build(SPEC, INPUTS).double()
    x, y = static(dtype=torch.float64)[0], torch.tensor([0, 1, 2])

    def gradients(**options):
        model.zero_grad()
        model.loss(x, y)[0].backward()
        return [p.grad.clone() for p in model.parameters()]

    fast = gradients()
    with shortcuts.without_shortcuts():
        plain = gradients()
    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("encoding", ["direct", "repeat"])
@pytest.mark.parametrize("stem", ["sps", "sps_cml", "spikingformer", "scs", "sdt"])
def test_the_whole_network_is_bit_equal_with_and_without_shortcuts(stem, encoding):
    torch.manual_seed(0)
    residual = "membrane" if stem in ("sdt", "spikingformer") else "add"
    model = build(SPEC.replace(stem=stem, encoding=encoding, residual=residual), INPUTS).eval()
    x = static()[0]
    with torch.no_grad():
        fast = model(x)
        with shortcuts.without_shortcuts():
            plain = model(x)
    assert torch.equal(fast, plain)


@pytest.mark.parametrize("bias", [False, True])
def test_fused_qkv_is_bit_equal(bias):
    torch.manual_seed(0)
    model = build(SPEC.replace(attention={"name": "ssa", "bias": bias}), INPUTS)
    x = static()[0]
    for training in (True, False):
        model.train(training)
        state = {key: value.clone() for key, value in model.state_dict().items()}
        with torch.no_grad(), shortcuts.fusing_qkv():
            fused = model(x)
        model.load_state_dict(state)
        with torch.no_grad():
            assert torch.equal(model(x), fused)


def test_a_layer_without_an_affine_batchnorm_matches_torch_on_the_folded_batch():
    norm, reference = BatchNorm2d(3), nn.BatchNorm2d(3)
    x = torch.randn(4, 2, 3, 5, 5)
    assert torch.equal(norm(x), reference(x.flatten(0, 1)).unflatten(0, (4, 2)))
    assert torch.equal(norm.running_var, reference.running_var)


def test_a_single_value_a_channel_takes_the_plain_path():
    norm = BatchNorm2d(3)
    x = torch.randn(1, 3, 1, 1).unsqueeze(0).expand(4, -1, -1, -1, -1)
    norm(x)
    assert torch.isfinite(norm.running_var).all()


def test_channels_stay_innermost_from_the_first_layer_to_the_last():
    model = build(SPEC, INPUTS)
    seen = {}
    for name, module in model.named_modules():
        if name.endswith(("neuron", "norm", "conv")):
            module.register_forward_hook(lambda _, __, y, name=name: seen.update({name: y}))
    model(static()[0])
    assert len(seen) > 15
    for name, y in seen.items():
        assert y.dim() < 3 or y.stride(2 if y.dim() in (4, 5) else 1) == 1, name
