"""Stems that see a part of the image: sparse against whole images hidden again, and hidden pixels that change nothing."""

import pytest
import torch

from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.layers import BatchNorm2d, Conv2d, max_pool
from spikebench.networks.masked import Masking, build_masked
from spikebench.networks.masking import draw_mask
from spikebench.networks.visible import DenseView, SparseView, Tokens, seeing

INPUTS = InputSpec(2, 16, 3)
GRID = 4
STEMS = [
    (stem, residual)
    for stem in REGISTRIES["stems"]
    for residual in ("add", "membrane")
    if residual == "membrane" or not REGISTRIES["stems"].get(stem).emits_potentials
]


def masked(stem="scs", residual="add", sparse=True, T=2, **fields):
    """Every layer fires: BatchNorm lifts what it gives, and its running statistics fit the images."""
    spec = VariantSpec(depth=1, dim=16, num_heads=2, T=T).replace(
        stem={"name": stem, "patch_size": 4}, residual=residual, position="spikes", **fields
    )
    torch.manual_seed(0)
    model = build_masked(spec, INPUTS, Masking(sparse_stem=sparse))
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.constant_(module.weight, 2.0)
            torch.nn.init.constant_(module.bias, 0.7)
            module.momentum = 0.5
    model = model.double().train()
    for _ in range(3):  # running statistics that fit the images, or evaluation would be silent
        model.encode(images(), a_mask())
    return model


def images(batch=5, seed=0):
    return torch.rand(batch, 2, 16, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3


def a_mask(batch=5, ratio=0.6, seed=0):
    return draw_mask(batch, GRID, ratio, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize(("stem", "residual"), STEMS)
def test_sparse_stem_fires_learns_and_keeps_statistics_as_whole_images_hidden_again(stem, residual, T, training):
    sparse, dense = (masked(stem, residual, sparse, T).train(training) for sparse in (True, False))
    x, mask = images(), a_mask()
    tokens = [model.encode(x, mask) for model in (sparse, dense)]
    if residual == "add":
        assert torch.equal(*tokens)
        assert tokens[0].any()
    torch.testing.assert_close(*tokens, rtol=1e-12, atol=1e-12)
    for model in (sparse, dense):
        model(x, mask).loss.backward()
    for (name, p), q in zip(sparse.named_parameters(), dense.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-9, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")
    assert all(p.grad is None or p.grad.any() for name, p in sparse.named_parameters() if "stem" in name and p.dim() > 1)
    for (name, p), q in zip(sparse.named_buffers(), dense.buffers(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
@pytest.mark.parametrize(("stem", "residual"), STEMS)
def test_hidden_pixels_change_neither_tokens_nor_statistics_and_visible_ones_do(stem, residual, sparse, training):
    x, mask = images(), a_mask()
    hidden = Tokens(mask, GRID).pixels(16)
    found = []
    for image in (x, x.masked_fill(hidden, float("nan")), torch.where(hidden, x, x.flip(0))):
        model = masked(stem, residual, sparse).train(training)
        found.append((model.encode(image, mask), dict(model.named_buffers())))
    (tokens, buffers), (same, same_buffers), (other, _) = found
    assert torch.equal(tokens, same)
    assert all(torch.equal(buffers[name], same_buffers[name]) for name in buffers)
    assert not torch.equal(tokens, other)


@pytest.mark.parametrize("encoding", REGISTRIES["encodings"].names())
def test_hidden_pixels_do_not_reach_the_encoder_through_any_encoding(encoding):
    x, mask = images(), a_mask()
    hidden = Tokens(mask, GRID).pixels(16)
    model = masked(encoding=encoding).eval()
    assert torch.equal(model.encode(x, mask), model.encode(x.masked_fill(hidden, 1e9), mask))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, 1), (1, 1, 0), (5, 1, 2), (3, 2, 1), (2, 2, 0), (4, 4, 0), (7, 2, 3)]
)
@pytest.mark.parametrize("widths", [(3, 8), (8, 3)], ids=["widening", "narrowing"])
def test_any_convolution_of_visible_cells_is_that_of_hidden_zeros(kernel, stride, padding, widths):
    torch.manual_seed(0)
    layer = Conv2d(*widths, kernel, stride=stride, padding=padding).double()
    tokens = Tokens(a_mask(), GRID)
    x = torch.randn(3, 5, widths[0], 16, 16, dtype=torch.float64)
    found = []
    for view in (SparseView(tokens), DenseView(tokens)):
        given = view.take(x).detach().requires_grad_()
        with seeing(view):
            y = layer(given)
        if isinstance(view, DenseView):
            y = SparseView(tokens).take(y)
        layer.weight.grad = None
        y.square().sum().backward()
        grad = given.grad if isinstance(view, SparseView) else SparseView(tokens).take(given.grad)
        found.append((y.detach(), grad, layer.weight.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_gradients_of_the_gathered_convolution_are_those_of_finite_differences():
    torch.manual_seed(0)
    view = SparseView(Tokens(a_mask(2), GRID))
    for widths in ((1, 2), (2, 1)):
        layer = Conv2d(*widths, 3, padding=1).double()
        x = view.take(torch.randn(1, 2, widths[0], 8, 8, dtype=torch.float64)).detach().requires_grad_()

        def run(x, weight, layer=layer):
            with seeing(view):
                return torch.func.functional_call(layer, {"weight": weight}, (x,))

        assert torch.autograd.gradcheck(run, (x, layer.weight.detach().clone().requires_grad_()))


def test_pooling_ignores_hidden_cells_even_where_all_values_are_negative():
    tokens = Tokens(a_mask(), GRID)
    x = -torch.rand(2, 5, 3, 16, 16) - 1
    found = []
    for view in (SparseView(tokens), DenseView(tokens)):
        with seeing(view):
            y = max_pool(view.take(x))
        found.append(y if isinstance(view, SparseView) else SparseView(tokens).take(y))
    assert torch.equal(*found)
    assert (found[0] < 0).all()


def test_batchnorm_takes_mean_and_variance_of_visible_cells_alone():
    tokens = Tokens(a_mask(), GRID)
    x = torch.randn(3, 5, 4, 16, 16, dtype=torch.float64)
    rows = x.movedim(2, -1)[~tokens.pixels(16)[:, 0].expand(3, -1, -1, -1)]
    for view in (SparseView(tokens), DenseView(tokens)):
        norm = BatchNorm2d(4, momentum=1.0).double()
        with seeing(view):
            norm(view.take(x))
        torch.testing.assert_close(norm.running_mean, rows.mean(0))
        torch.testing.assert_close(norm.running_var, rows.var(0))


@pytest.mark.parametrize("view", [SparseView, DenseView])
def test_a_static_image_is_computed_once_to_the_same_end(view):
    from spikebench.networks.shortcuts import without_shortcuts

    x, mask, found = images(), a_mask(), []
    for shortcuts in (True, False):
        model = masked(T=4, sparse=view is SparseView).train()
        if shortcuts:
            found.append((model.encode(x, mask), model.state_dict()))
        else:
            with without_shortcuts():
                found.append((model.encode(x, mask), model.state_dict()))
    (tokens, state), (expected, expected_state) = found
    assert torch.equal(tokens, expected)
    for name in state:
        torch.testing.assert_close(state[name], expected_state[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (torch.zeros(2, 9, dtype=torch.bool), r"expected a mask \(B, 16\) of bool"),
        (torch.zeros(2, 16), r"got \(2, 16\) torch.float32"),
        (torch.ones(2, 16, dtype=torch.bool), "at least one; got \\[0\\]"),
        (torch.arange(32).view(2, 16) < 17, "same number of visible tokens"),
    ],
)
def test_masks_that_cannot_be_are_refused(mask, said):
    with pytest.raises(ValueError, match=said):
        masked().encode(images(2), mask)
