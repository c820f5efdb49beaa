"""Masked pre-training: visible tokens alone, each in its place, against what is computed token by token."""

import math

import pytest
import torch
from torch import nn

import spikebench
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks import build
from spikebench.networks.attentions._base import merge_heads
from spikebench.networks.decoder import Decoder, DecoderOptions
from spikebench.networks.masked import Masking, build_masked, masked_problems, with_position
from spikebench.networks.masking import draw_mask, hidden_tokens
from spikebench.networks.positions._waves import waves
from spikebench.networks.visible import Tokens

INPUTS = InputSpec(2, 16, 3)
GRID, N = 4, 16
TINY = VariantSpec(depth=2, dim=16, num_heads=2, T=2).replace(stem={"name": "scs", "patch_size": 4}, position="spikes")


def make(spec=TINY, inputs=INPUTS, **masking):
    torch.manual_seed(0)
    model = build_masked(spec, inputs, Masking(**masking))
    for module in model.network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
            nn.init.constant_(module.weight, 2.0)
            nn.init.constant_(module.bias, 0.7)
            module.momentum = 0.5
    return model


def images(batch=5, inputs=INPUTS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, inputs.channels, inputs.size, inputs.size, generator=generator) * 3


def a_mask(batch=5, ratio=0.75, seed=0):
    return draw_mask(batch, GRID, ratio, generator=torch.Generator().manual_seed(seed))


# the encoder sees what is visible


def test_encode_returns_visible_tokens_only_and_forward_what_it_says():
    model, mask = make(), a_mask()
    assert model.encode(images(), mask).shape == (2, 5, 16, 4)
    found = model(images())
    assert found.loss.shape == ()
    assert found.reconstruction.shape == (5, 2, 16, 16)
    assert found.mask.shape == (5, N)
    assert found.mask.dtype == torch.bool
    assert (found.mask.sum(1) == 12).all()
    assert tuple(found) == (found.loss, found.reconstruction, found.mask, found.mean_line)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("stem", ["scs", "sps"])
def test_nothing_hidden_gives_the_supervised_networks_tokens_exactly(stem, training):
    spec = TINY.replace(stem={"name": stem, "patch_size": 4})
    torch.manual_seed(0)
    network = build(spec, INPUTS)
    torch.manual_seed(0)
    model = build_masked(spec, INPUTS, Masking(mask_ratio=0))
    network.train(training), model.train(training)
    mask = torch.zeros(5, N, dtype=torch.bool)
    assert torch.equal(model.encode(images(), mask), network.tokens(images()))
    with pytest.raises(InputError, match="nothing is hidden"):
        model(images())


@pytest.mark.parametrize("name", ["ssa", "softmax", "sdsa", "qk_token", "qk_channel", "statten", "dssa", "identity"])
def test_blocks_over_visible_tokens_are_the_full_computation_restricted_to_them(name):
    """Image by image: a network of one image's visible tokens alone, which no mask has ever touched."""
    model = make(TINY.replace(attention=name)).double().train()
    tokens, mask = torch.randint(0, 2, (2, 5, 16, N)).double(), a_mask()
    for _ in range(3):
        model.network.blocks(Tokens(mask, GRID).take(tokens))
    model.eval()
    together = model.network.blocks(Tokens(mask, GRID).take(tokens))
    assert together.any()
    for image in range(5):
        alone = model.network.blocks(tokens[:, image : image + 1][..., ~mask[image]])
        torch.testing.assert_close(together[:, image : image + 1], alone, rtol=1e-12, atol=1e-12)


def test_attention_over_visible_tokens_is_the_full_map_without_hidden_columns():
    """SSA written out with all N tokens: hidden keys and values count nothing, visible rows are kept."""
    model = make().double().train()
    tokens, mask = torch.randint(0, 2, (2, 5, 16, N)).double(), a_mask()
    attention = model.network.blocks[0].attention
    attention.neuron.v_threshold = 0.1  # 16 channels have few coincidences
    for _ in range(9):
        attention(tokens)
    attention.eval()
    q, k, v = (attention.split_heads(layer(tokens)) for layer in (attention.q, attention.k, attention.v))
    shown = (~mask).double()[None, :, None, None, :]
    full = ((q @ k.transpose(-2, -1)) * shown) @ v * 0.125
    assert attention.neuron(merge_heads(full)).any()
    expected = Tokens(mask, GRID).take(attention.proj(attention.neuron(merge_heads(full))))
    assert torch.equal(attention(Tokens(mask, GRID).take(tokens)), expected)


def test_batchnorm_of_the_blocks_takes_statistics_of_visible_tokens_alone():
    model = make(TINY).double().train()
    fc1 = model.network.blocks[0].mlp.fc1
    fc1.norm.momentum = 1.0
    tokens, mask = torch.rand(2, 5, 16, N, dtype=torch.float64), a_mask()
    fc1(Tokens(mask, GRID).take(tokens))
    rows = fc1.linear(tokens.transpose(2, 3))[(~mask).expand(2, -1, -1)]
    torch.testing.assert_close(fc1.norm.running_mean, rows.mean(0))
    torch.testing.assert_close(fc1.norm.running_var, rows.var(0))


def test_visible_tokens_keep_their_own_positions():
    model, mask = make().eval(), a_mask()
    x = torch.zeros(2, 5, 16, N)
    everywhere = model.network.position(x)
    assert everywhere.any()
    tokens = Tokens(mask, GRID)
    assert torch.equal(model.network.position(tokens.take(x), tokens), tokens.take(everywhere))


def test_waves_are_orthogonal_enough_to_tell_positions_apart():
    found = waves(64, 8)
    assert found.shape == (64, 64)
    assert len({tuple(column.tolist()) for column in found.t()}) == 64
    row, column = 3, 5
    frequencies = [10_000 ** -(i / 16) for i in range(16)]
    expected = [f(place * w) for place in (row, column) for f in (math.sin, math.cos) for w in frequencies]
    torch.testing.assert_close(found[:, row * 8 + column], torch.tensor(expected))


# the decoder puts tokens where they belong


def identity_decoder(width=6):
    """Copies: no layer changes anything, mask tokens are -1, positions add nothing."""
    decoder = Decoder(DecoderOptions(depth=0, width=width, num_heads=1), width, GRID, width)
    decoder.enter, decoder.leave = nn.Identity(), nn.Identity()
    nn.init.zeros_(decoder.position)
    nn.init.constant_(decoder.mask_token, -1.0)
    return decoder


def misplaced(place):
    """Over 100 random masks: how many tokens of a decoder that copies are not where the image has them."""
    wrong = 0
    for seed in range(100):
        mask = a_mask(3, seed=seed)
        image = torch.rand(3, N, 6, generator=torch.Generator().manual_seed(seed))
        visible = image[~mask].view(3, -1, 6).transpose(1, 2)[None]
        expected = torch.where(mask.unsqueeze(-1), -1.0, image)
        wrong += int((place(visible, mask, image) != expected).any(-1).sum())
    return wrong


def test_a_decoder_that_copies_returns_every_visible_token_at_its_own_place_and_mask_tokens_elsewhere():
    decoder = identity_decoder()
    assert misplaced(lambda visible, mask, image: decoder(visible, Tokens(mask, GRID))) == 0


def test_the_released_relatives_scheme_fails_that_test():
    """SpikMAE keeps all tokens in raster order and gathers by ``ids_restore`` all the same (SDT v3, arXiv 2411.16061)."""

    def scheme(visible, mask, image):
        raster = torch.where(mask.unsqueeze(-1), -1.0, image)
        shuffle = torch.stack([torch.cat(((~row).nonzero()[:, 0], row.nonzero()[:, 0])) for row in mask])
        restore = shuffle.argsort(1)
        return raster.gather(1, restore.unsqueeze(-1).expand(-1, -1, 6))

    assert misplaced(scheme) > 1000


def test_patches_come_back_from_where_they_were_cut():
    model, x = make(), images()
    patches = model.patch(x)
    assert torch.equal(model.unpatch(patches), x)
    row, column = 2, 1
    assert torch.equal(patches[0, row * GRID + column], x[0, :, 8:12, 4:8].flatten())


# the loss


def test_the_loss_is_that_of_hidden_patches_alone_in_either_unit():
    for targets in ("raw", "normalised"):
        model, x, mask = make(targets=targets).eval(), images(), a_mask()
        found = model(x, mask)
        total = wrong = 0.0
        for image in range(5):
            for token in range(N):
                r, c = divmod(token, GRID)
                square = (image, slice(None), slice(4 * r, 4 * r + 4), slice(4 * c, 4 * c + 4))
                true = x[square]
                if targets == "normalised":
                    true = (true - true.mean()) / (true.var() + 1e-6).sqrt()
                if mask[image, token]:
                    total += float((found.reconstruction[square] - true).detach().square().mean())
                    wrong += 1
        torch.testing.assert_close(found.loss.item(), total / wrong, rtol=1e-5, atol=0)
        shown = model.pixels(x, found.reconstruction)
        assert torch.allclose(shown, found.reconstruction) == (targets == "raw")


def test_the_mean_line_is_the_variance_for_raw_targets_and_its_closed_form_for_normalised_ones():
    x, mask = images(), a_mask()
    patches = make().patch(x)
    raw = make(targets="raw")(x, mask).mean_line
    torch.testing.assert_close(raw, patches[mask].var(1, correction=0).mean())
    n = patches.shape[2]
    torch.testing.assert_close(make(targets="normalised")(x, mask).mean_line, torch.tensor((n - 1) / n), rtol=1e-4, atol=0)


def test_a_blank_patch_costs_nothing_under_normalised_targets():
    found = make(targets="normalised")(torch.zeros(5, 2, 16, 16), a_mask())
    assert found.mean_line == 0
    assert torch.isfinite(found.loss)


def test_event_frames_are_pre_trained_on_their_mean_over_time():
    inputs = InputSpec(2, 16, 3, events=True)
    model = make(inputs=inputs, targets="raw")
    frames = torch.rand(3, 5, 2, 16, 16)
    assert torch.equal(model.targets(frames), model.patch(frames.mean(0)))
    model(frames).loss.backward()


# masks


@pytest.mark.parametrize(("ratio", "grid", "hidden"), [(0.75, 8, 48), (0.5, 4, 8), (0.6, 14, 118), (0.0, 4, 0)])
def test_every_image_hides_as_many_tokens_and_each_is_as_likely(ratio, grid, hidden):
    mask = draw_mask(2000, grid, ratio)
    assert hidden_tokens(ratio, grid * grid) == hidden
    assert (mask.sum(1) == hidden).all()
    share = hidden / grid**2
    # six standard deviations of a frequency in 2,000 draws
    assert (mask.double().mean(0) - share).abs().max() <= 6 * (share * (1 - share) / 2000) ** 0.5


def test_blocks_are_hidden_together():
    mask = draw_mask(500, 8, 0.5, block=2).view(-1, 4, 2, 4, 2).transpose(2, 3).flatten(3)
    assert (mask.sum((1, 2, 3)) == 32).all()
    assert (mask.all(3) == mask.any(3)).all()
    part = draw_mask(500, 7, 0.5, block=3)
    assert (part.sum(1) == hidden_tokens(0.5, 49)).all()


def test_masks_come_from_the_global_generator_and_repeat_with_it():
    torch.manual_seed(7)
    one = draw_mask(4, 8, 0.75)
    torch.manual_seed(7)
    assert torch.equal(one, draw_mask(4, 8, 0.75))
    assert not torch.equal(one, draw_mask(4, 8, 0.75))


# who can, and who cannot


def test_every_component_can_be_pre_trained_or_is_refused_with_its_reason():
    refused = {}
    for field, registry in (("family", "families"), ("stem", "stems"), ("attention", "attentions"), ("neuron", "neurons")):
        for name in REGISTRIES[registry]:
            fields = {"vit": {"attention": "vanilla", "T": 1}, "qkformer": {"depth": 3, "stem": "sps", "position": "none"}}
            fields |= {"sj": {"stem": "sps", "position": "none", "family": {"name": "sj", "patch_size": 4}}}
            emits = field == "stem" and REGISTRIES["stems"].get(name).emits_potentials
            extra = {"residual": "membrane"} if emits else fields.get(name, {})
            value = {"name": name, "patch_size": 4} if field == "stem" else name
            spec = TINY.replace(**{field: value, **extra})
            problems = list(masked_problems(spec, INPUTS, Masking()))
            if problems:
                refused[name] = problems[0].message
                with pytest.raises(InputError):
                    build_masked(spec, INPUTS)
                continue
            model = make(spec).train()
            model(images()).loss.backward()
            grads = [p.grad for name, p in model.named_parameters() if p.requires_grad and p.dim() > 1]
            assert all(grad is not None and torch.isfinite(grad).all() for grad in grads)
    assert set(refused) == {"qkformer", "sj"}
    assert "hierarchical" in refused["qkformer"]
    assert "whole images" in refused["sj"]


def test_an_attention_that_reduces_the_grid_is_refused():
    (problem,) = masked_problems(TINY.replace(attention={"name": "dssa", "reduction": 2}), INPUTS, Masking())
    assert problem.key == "attention"
    assert "reduces the whole grid" in problem.message


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 1.5, "much"])
def test_ratios_that_are_none_are_refused(ratio):
    with pytest.raises(InputError, match="mask_ratio"):
        spikebench.build_masked(TINY, INPUTS, ratio)


def test_at_least_one_token_stays_visible():
    with pytest.raises(InputError, match="hides all 16 tokens"):
        spikebench.build_masked(TINY, INPUTS, 0.99)


def test_an_image_that_the_patch_does_not_divide_is_refused():
    with pytest.raises(InputError, match=r"18 x 18 cannot be divided into patches of 4"):
        spikebench.build_masked(TINY, InputSpec(2, 18, 3))


def test_the_public_function_takes_presets_and_overrides_and_turns_positions_on():
    model = spikebench.build_masked(
        "spikformer-2-64", "digits", 0.5, stem="scs", T=1, targets="raw", decoder={"depth": 2, "width": 32}
    )
    assert model.spec.position.name == "spikes"
    assert model.T == 1
    assert len(model.decoder.blocks) == 2
    assert spikebench.build_masked("spikformer-2-64", "digits", position="none").spec.position.name == "none"
    assert with_position(TINY.replace(position="none")).position.name == "spikes"
    with pytest.raises(InputError, match="unknown field 'target'"):
        spikebench.build_masked("spikformer-2-64", "digits", target="raw")


# learning


@pytest.mark.parametrize("targets", ["raw", "normalised"])
def test_sixteen_images_are_learned_by_heart(targets):
    """The reconstruction falls to a tenth of what answering with means would cost: nothing on the way is cut."""
    from spikebench.data import load

    x = load("digits").split("train").tensors[0][:16]
    spec = VariantSpec(depth=1, dim=64, num_heads=4, T=1).replace(stem={"name": "scs", "patch_size": 4}, position="spikes")
    torch.manual_seed(0)
    model = build_masked(spec, InputSpec(1, 8, 10), Masking(0.25, targets=targets, decoder=DecoderOptions(width=128)))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.0)
    mask = draw_mask(16, 2, 0.25)
    for _ in range(400):
        found = model(x, mask)
        if found.loss < 0.1 * found.mean_line:
            break
        optimizer.zero_grad()
        found.loss.backward()
        optimizer.step()
    assert found.loss < 0.1 * found.mean_line
