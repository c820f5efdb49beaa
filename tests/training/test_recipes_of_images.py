"""RandAugment against PIL through timm, erasing, crops, mixing, averages and losses against loops, torch and timm."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment, mixup
from torch import nn
from torch.nn import functional as F

from spikebench import data
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.training import rand_augment
from spikebench.training.augmentation import Augmentation, crop, erase
from spikebench.training.averaging import Average
from spikebench.training.draws import Draws
from spikebench.training.loop import Training
from spikebench.training.mixing import mix
from spikebench.training.objective import binary_cross_entropy
from spikebench.training.options import TrainingOptions
from spikebench.training.rand_augment import GEOMETRIC, OPERATIONS, RandAugment

THEIRS = {
    "auto_contrast": "AutoContrast", "equalize": "Equalize", "invert": "Invert", "solarize_add": "SolarizeAdd",
    "posterize": "Posterize", "solarize": "Solarize", "color": "Color", "contrast": "Contrast", "brightness": "Brightness",
    "sharpness": "Sharpness", "rotate": "Rotate", "shear_x": "ShearX", "shear_y": "ShearY", "translate_x": "TranslateXRel",
    "translate_y": "TranslateYRel",
}  # fmt: skip
INCREASING = {"posterize", "solarize", "color", "contrast", "brightness", "sharpness"}


def draws(seed: int, total: int, share: slice = slice(None)) -> Draws:
    return Draws(torch.Generator().manual_seed(seed), total, share)


def smooth_images(count: int = 5, size: int = 24) -> torch.Tensor:
    """Whole numbers 0..255 with soft edges, as photographs have them."""
    noise = torch.rand(count, 3, size // 4, size // 4, generator=torch.Generator().manual_seed(0))
    return (F.interpolate(noise, size=(size, size), mode="bilinear") * 255).round()


@pytest.mark.parametrize("increasing", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_does_what_pil_does_at_timms_strength(
    name: str, increasing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(THEIRS) == set(OPERATIONS)
    x, level = smooth_images(), 7.3
    for sign in (1.0, -1.0):
        monkeypatch.setattr(auto_augment.random, "random", lambda sign=sign: 0.9 if sign < 0 else 0.1)
        key = THEIRS[name] + ("Increasing" if increasing and name in INCREASING else "")
        operation = auto_augment.AugmentOp(key, prob=1.0, magnitude=level, hparams={"interpolation": Image.BILINEAR})
        expected = []
        for image in x:
            done = operation(Image.fromarray(image.permute(1, 2, 0).byte().numpy()))
            expected.append(torch.from_numpy(np.array(done)).permute(2, 0, 1).float())
        strengths = torch.full((len(x),), level / 10), torch.full((len(x),), sign)
        number = torch.full((len(x),), OPERATIONS.index(name))
        found = RandAugment(level, increasing=increasing)._apply(x, number, *strengths)
        difference = (found - torch.stack(expected)).abs()
        # Whole numbers after PIL's fixed-point resampling; at an edge of the image, one of the two may call a pixel outside.
        close = (difference <= (3 if name in GEOMETRIC else 1)).float().mean()
        assert close > (0.97 if name in GEOMETRIC else 0.9999), (sign, float(close))
        # What is equal whatever happens would say nothing; of one kind half the strengths leave an image alone.
        assert name in {"auto_contrast", "equalize"} or float((found - x).abs().mean()) > 1


def test_rand_augment_draws_every_operation_equally_and_carries_out_half() -> None:
    seen: list[int] = []
    one = RandAugment.parse("rand-m9-n2-mstd0.5-inc1")
    assert one == RandAugment(9.0, 2, 0.5, True)
    kept = RandAugment._apply
    levels: list[torch.Tensor] = []

    class Spy(RandAugment):
        def _apply(self, x, which, level, sign):
            seen.extend(which.tolist())
            levels.append(level)
            return kept(self, x, which, level, sign) if len(x) < 10 else x

    Spy(9.0, 2, 0.5, True)(torch.rand(20_000, 1, 2, 2), draws(0, 20_000))
    counts = np.bincount(np.array(seen) + 1, minlength=16)
    assert abs(counts[0] / len(seen) - 0.5) < 0.01
    assert (abs(counts[1:] / len(seen) - 0.5 / 15) < 0.005).all()
    level = torch.cat(levels)
    assert level.max() == 1.0  # timm cuts off above 10
    assert float(level.median()) == pytest.approx(0.9, abs=0.002)


def test_what_is_normalised_is_augmented_as_it_was_before() -> None:
    x = smooth_images(8) / 255
    mean, std = torch.tensor([0.5, 0.4, 0.3])[:, None, None], torch.tensor([0.2, 0.3, 0.25])[:, None, None]
    options = TrainingOptions(rand_augment="m9-n1-mstd0.4-inc1")
    plain = Augmentation(options)(x, draws(3, 8))
    normal = Augmentation(options, (mean, std))((x - mean) / std, draws(3, 8))
    torch.testing.assert_close(normal, (plain - mean) / std, rtol=0, atol=1e-5)


@pytest.mark.parametrize("text", ["m11", "n2", "m9-x3", "augmix", "m9-n0"])
def test_what_rand_augment_cannot_be(text: str) -> None:
    with pytest.raises(InputError, match="rand_augment must"):
        Choice("train", {"rand_augment": text}).resolve("harnesses")


def test_rand_augment_is_for_images() -> None:
    with pytest.raises(InputError, match="rand_augment: RandAugment changes images; event frames have event_ops"):
        Augmentation(TrainingOptions(rand_augment="m9"))(torch.rand(2, 6, 3, 8, 8), draws(0, 6))


@pytest.mark.parametrize("shape", [(6, 3, 8, 12), (2, 6, 3, 8, 12)])
def test_part_of_a_batch_is_changed_as_it_is_in_the_whole(shape: tuple[int, ...]) -> None:
    """What several devices do each with its share is what one does with all: augmented, and mixed in pairs."""
    x = torch.rand(shape)
    y = torch.arange(6) % 4
    options = TrainingOptions(
        augment="standard", crop_scale=(0.4, 0.9), hflip=0.5, erase=0.7, mixup=0.8, cutmix=1.0,
        rand_augment="m9" if len(shape) == 4 else None,
    )  # fmt: skip

    def changed(share: slice) -> tuple[torch.Tensor, torch.Tensor]:
        part = draws(5, 6, share)
        images = Augmentation(options)(x[..., share, :, :, :], part)
        return mix(images, y[share], 4, options, part)

    whole, first, rest = changed(slice(None)), changed(slice(0, 4)), changed(slice(4, 6))
    torch.testing.assert_close(torch.cat([first[0], rest[0]], dim=len(shape) - 4), whole[0])
    torch.testing.assert_close(torch.cat([first[1], rest[1]]), whole[1])
    assert not torch.equal(whole[0], x)


def test_a_crop_is_a_part_of_the_image_enlarged() -> None:
    """On a ramp, a linear sample of a box is the box's own ramp: its corners say which box it was."""
    H, W, B = 16, 24, 400
    rows, columns = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    x = torch.stack((rows, columns)).repeat(B, 1, 1, 1)
    found = crop(x, (0.2, 0.6), draws(0, B))
    heights = (found[:, 0, 8, 0] - found[:, 0, 7, 0]) * H
    widths = (found[:, 1, 0, 12] - found[:, 1, 0, 11]) * W
    area, ratio = heights * widths / (H * W), widths / heights
    whole = (heights < H - 0.1) & (widths < W - 0.1)
    assert whole.float().mean() > 0.8
    assert 0.199 < area[whole].min() < 0.25 < 0.5 < area[whole].max() < 0.601
    assert 0.749 < ratio[whole].min() < 0.8 < 1.2 < ratio[whole].max() < 1.334
    assert found[:, 0].min() >= 0.49
    assert found[:, 0].max() <= H - 0.49


def test_erasing_takes_as_many_images_and_as_much_of_them_as_timm_says() -> None:
    x = torch.full((4000, 2, 20, 20), 9.0)
    found = erase(x, 0.25, draws(0, 4000))
    gone = (found != 9.0).all(1)
    erased = gone.flatten(1).any(1)
    assert float(erased.float().mean()) == pytest.approx(0.25, abs=0.03)
    for image in gone[erased][:200]:
        rows, columns = image.any(1).nonzero()[:, 0], image.any(0).nonzero()[:, 0]
        assert image.sum() == len(rows) * len(columns)
        assert len(rows) == rows[-1] - rows[0] + 1
        assert 0.015 < len(rows) * len(columns) / 400 < 0.36
    assert 0.13 < float(gone[erased].float().mean()) < 0.2
    assert torch.equal(found[~erased], x[~erased])


@pytest.mark.parametrize(("alphas", "kind"), [({"mixup": 0.5}, "mixup"), ({"cutmix": 1.0}, "cutmix")])
def test_mixing_is_timms_with_another_partner(alphas: dict[str, float], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.rand(6, 3, 10, 14), torch.tensor([0, 1, 2, 3, 0, 2])
    options = TrainingOptions(**alphas)
    found, targets = mix(x, y, 4, options, draws(2, 6))
    random = draws(2, 6).one()
    share = random.beta(*[next(iter(alphas.values()))] * 2)
    centre = [random.randint(10), random.randint(14)]
    theirs = mixup.Mixup(
        mixup_alpha=alphas.get("mixup", 0.0), cutmix_alpha=alphas.get("cutmix", 0.0), label_smoothing=0.0, num_classes=4
    )
    monkeypatch.setattr(mixup.np.random, "beta", lambda *_: share)
    monkeypatch.setattr(mixup.np.random, "randint", lambda low, high, size=None: centre[0] if high == 10 else centre[1])
    for pair in (slice(0, 2), slice(2, 4), slice(4, 6)):  # timm's partner is the mirrored place: in a pair, the other one
        expected, wanted = theirs(x[pair].clone(), y[pair])
        torch.testing.assert_close(found[pair], expected)
        torch.testing.assert_close(targets[pair], wanted.float())
    assert not torch.equal(found, x), kind
    alone = mix(x[:5], y[:5], 4, options, draws(2, 5))[0][4]
    torch.testing.assert_close(alone, x[4], msg="the odd one out has no partner")


def test_mixing_ends_after_its_last_epoch_and_is_as_frequent_as_asked() -> None:
    mixed = [mix(torch.rand(4, 1, 2, 2), torch.arange(4), 4, TrainingOptions(mixup=1.0, mixup_prob=0.3), draws(n, 4))[1]
             for n in range(600)]  # fmt: skip
    assert np.mean([bool((targets.amax(1) < 1).any()) for targets in mixed]) == pytest.approx(0.3, abs=0.06)
    options = TrainingOptions(epochs=3, batch_size=8, mixup=0.5, mixup_off_epoch=2, warmup_epochs=0)
    kinds = []
    training = training_of(options)
    training.objective = lambda model, x, y: (kinds.append(y.is_floating_point()), model(x).sum())[1]
    for _ in range(3):
        training.epoch()
    assert kinds == [True] * 6 + [False] * 3


def training_of(options: TrainingOptions, model: nn.Module | None = None) -> Training:
    dataset = data.load({"random": {"channels": 1, "size": 8, "classes": 4, "samples": 24}})
    torch.manual_seed(0)
    model = model or nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    return Training(model, dataset, options, seed=3, device=torch.device("cpu"))


def test_soft_labels_smoothed_are_timms() -> None:
    from timm.loss import BinaryCrossEntropy

    logits, y = torch.randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
    soft = F.one_hot(y, 4).float() * 0.7 + 0.3 / 4
    torch.testing.assert_close(binary_cross_entropy(logits, y, 0.1), BinaryCrossEntropy(smoothing=0.1)(logits, y))
    torch.testing.assert_close(binary_cross_entropy(logits, soft), BinaryCrossEntropy(smoothing=0.0)(logits, soft))


def test_the_average_is_timms_and_is_what_is_validated_and_kept() -> None:
    from timm.utils import ModelEmaV2

    options = TrainingOptions(epochs=1, batch_size=8, ema=0.9, lr=0.1, warmup_epochs=0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4))
    training = training_of(options, model)
    theirs = ModelEmaV2(model, decay=0.9)
    update = Average.update
    training.average.update = lambda model: (theirs.update(model), update(training.average, model))
    training.epoch()
    for name, value in theirs.module.state_dict().items():
        own = training.kept.state_dict()[name]
        if value.is_floating_point():
            torch.testing.assert_close(own, value, rtol=1e-5, atol=1e-6)
        else:  # theirs cuts the mean of two whole numbers off
            assert own == model.state_dict()[name]
    assert not torch.equal(training.kept[1].weight, model[1].weight)


@pytest.mark.parametrize("accumulate", [2, 3, 8])
def test_a_step_in_several_passes_is_the_step_in_one(accumulate: int) -> None:
    """Without BatchNorm, whose statistics are of one pass: equal up to rounding, uneven passes among them."""
    models = []
    for passes in (1, accumulate):
        training = training_of(TrainingOptions(epochs=2, batch_size=10, accumulate=passes, optimizer="sgd", lr=0.1))
        losses = [training.epoch().training_loss for _ in range(2)]
        models.append((losses, training.model.state_dict()))
    assert models[0][0] == pytest.approx(models[1][0], rel=1e-6)
    for name, value in models[0][1].items():
        torch.testing.assert_close(models[1][1][name], value, rtol=1e-5, atol=1e-6)


def test_each_image_repeats_beside_itself_and_an_epoch_is_as_long_as_before() -> None:
    training = training_of(TrainingOptions(batch_size=6, repeats=3))
    seen = [row.sum().item() for batch in training._batches(training._begin()) for row in batch.x]
    assert len(seen) == 24
    assert len(set(seen)) == 8
    assert all(seen[index] == seen[index + 1] == seen[index + 2] for index in range(0, 24, 3))


def test_half_precision_scales_the_loss_and_lamb_learns() -> None:
    plain = TrainingOptions(epochs=4, batch_size=8, lr=0.05)
    for options in (replace(plain, amp="fp16"), replace(plain, optimizer="lamb")):
        training = training_of(options)
        losses = [training.epoch().training_loss for _ in range(4)]
        assert losses[-1] < losses[0] - 0.05
        assert training.scaler.is_enabled() == (options.amp == "fp16")
        assert math.isfinite(losses[-1])
    assert rand_augment.LEVELS == auto_augment._LEVEL_DENOM
