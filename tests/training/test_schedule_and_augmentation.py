"""The learning rate against torch's own schedulers and closed forms; augmentation against a loop over images."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.training.augmentation import augment
from spikebench.training.draws import Draws
from spikebench.training.options import TrainingOptions
from spikebench.training.schedule import learning_rate


def curve(options: TrainingOptions, steps_per_epoch: int) -> list[float]:
    return [learning_rate(step, steps_per_epoch, options) for step in range(options.epochs * steps_per_epoch)]


def test_cosine_is_torchs_cosine() -> None:
    options = TrainingOptions(epochs=5, lr=0.3, min_lr=0.02, warmup_epochs=0)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5 * 7 - 1, eta_min=0.02)
    expected = []
    for _ in range(5 * 7):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(curve(options, 7), expected, rtol=1e-10)


@given(
    epochs=st.integers(1, 9),
    steps=st.integers(1, 9),
    warmup=st.floats(0, 10, allow_nan=False),
    schedule=st.sampled_from(["cosine", "constant"]),
)
def test_every_schedule_rises_to_lr_then_never_rises_and_stays_within_bounds(
    epochs: int, steps: int, warmup: float, schedule: str
) -> None:
    warmup = min(warmup, epochs)
    rates = curve(TrainingOptions(epochs=epochs, lr=1.0, min_lr=0.1, warmup_epochs=warmup, schedule=schedule), steps)
    rising = min(round(warmup * steps), len(rates))
    assert rates[:rising] == sorted(rates[:rising])
    assert rates[rising:] == sorted(rates[rising:], reverse=True)
    assert all(0 < rate <= 1.0 for rate in rates)
    if 0 < round(warmup * steps) <= len(rates):
        assert rates[rising - 1] == 1.0
    if schedule == "cosine" and rising < len(rates) and len(rates) > 1:
        assert rates[-1] == pytest.approx(0.1)
    if schedule == "constant":
        assert set(rates[rising:]) <= {1.0}


@pytest.mark.parametrize("warmup", [0, 3])
def test_one_rate_an_epoch_is_timms(warmup: int) -> None:
    from timm.scheduler import CosineLRScheduler

    options = TrainingOptions(
        epochs=12, cooldown_epochs=2, warmup_epochs=warmup, warmup_lr=1e-5, lr=5e-4, min_lr=1e-5, schedule="timm-cosine"
    )
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=5e-4)
    theirs = CosineLRScheduler(optimizer, t_initial=10, lr_min=1e-5, warmup_t=warmup, warmup_lr_init=1e-5)
    expected = []
    for epoch in range(12):
        expected += [optimizer.param_groups[0]["lr"]] * 4
        theirs.step(epoch + 1)
    np.testing.assert_allclose(curve(options, 4), expected, rtol=1e-12)


def test_warm_up_starts_where_it_is_told_and_the_cool_down_stays_low() -> None:
    rates = curve(TrainingOptions(epochs=6, warmup_epochs=2, cooldown_epochs=1, warmup_lr=0.1, lr=0.7, min_lr=0.05), 2)
    assert rates[:4] == pytest.approx([0.1, 0.3, 0.5, 0.7])
    assert rates[4] < 0.7
    assert rates[9:] == pytest.approx([0.05, 0.05, 0.05])


def test_options_name_every_wrong_value_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Choice("train", {"epochs": -1, "lr": 0.0, "label_smoothing": 1.0, "min_lr": -1.0}).resolve("harnesses")
    for name in ("epochs", "lr must", "label_smoothing", "min_lr"):
        assert name in str(caught.value)
    with pytest.raises(InputError, match=r"lr.*YAML reads it as text: write 0\.001"):
        Choice("train", {"lr": "1e-3"}).resolve("harnesses")


def shifted(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Slow and plain: ``image`` (C, H, W) looked at ``down`` rows lower and ``right`` columns further, zeros outside."""
    out = torch.zeros_like(image)
    _, H, W = image.shape
    for row in range(H):
        for column in range(W):
            if 0 <= row + down < H and 0 <= column + right < W:
                out[:, row, column] = image[:, row + down, column + right]
    return out


@pytest.mark.parametrize("how", ["light", "standard"])
@pytest.mark.parametrize("shape", [(24, 2, 16, 8), (3, 24, 2, 16, 8)])
def test_each_image_is_a_shift_of_itself_alike_in_all_steps(how: str, shape: tuple[int, ...]) -> None:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    found = augment(x, how, Draws(torch.Generator().manual_seed(1), x.shape[-4])).reshape(-1, *shape[-4:])
    seen = set()
    for index in range(24):
        image = x.reshape(-1, *shape[-4:])[:, index].flatten(0, 1)
        candidates = {
            (down, right, mirror): (moved.flip(-1) if mirror else moved)
            for down in range(-2, 3)
            for right in range(-1, 2)
            for moved in [shifted(image, down, right)]
            for mirror in ([False, True] if how == "standard" else [False])
        }
        seen.add(next(key for key, value in candidates.items() if torch.equal(value, found[:, index].flatten(0, 1))))
    assert len(seen) > 8
    assert {mirror for _, _, mirror in seen} == ({False, True} if how == "standard" else {False})


def test_none_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    x = torch.rand(2, 1, 8, 8)
    assert augment(x, "none", Draws(generator, x.shape[-4])) is x
    assert torch.equal(generator.get_state(), before)
