"""Each operation on event frames against the plain one, sample by sample; and what all of them keep."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.training.augmentation import Augmentation
from spikebench.training.draws import Draws
from spikebench.training.event_augmentation import change_events
from spikebench.training.options import TrainingOptions

SIZE, B = 64, 40
OPERATIONS = ("identity", "flip", "roll", "translate_x", "translate_y", "rotate", "shear", "cutout")


def frames() -> Tensor:
    return torch.poisson(torch.full((3, B, 2, SIZE, SIZE), 0.5), generator=torch.Generator().manual_seed(0))


def changed(*operations: str, seed: int = 1) -> Tensor:
    return change_events(frames(), operations, Draws(torch.Generator().manual_seed(seed), B))


def strengths(seed: int = 1) -> tuple[Tensor, Tensor]:
    """As they are drawn: which operation, then two numbers in -1..1."""
    draws = Draws(torch.Generator().manual_seed(seed), B)
    draws.integers(0, 1)
    return draws.uniform(-1, 1), draws.uniform(-1, 1)


def test_identity_and_flip() -> None:
    assert torch.equal(changed("identity"), frames())
    assert torch.equal(changed("flip"), frames().flip(-1))


def test_a_roll_is_by_at_most_five_of_128_pixels_either_way_and_loses_nothing() -> None:
    out, before = changed("roll"), frames()
    seen = set()
    for index in range(B):
        fits = [
            (row, column)
            for row in range(-3, 4)
            for column in range(-3, 4)
            if torch.equal(out[:, index], before[:, index].roll((row, column), (-2, -1)))
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    assert {row for row, _ in seen} == {column for _, column in seen} == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize(("name", "axis"), [("translate_y", -2), ("translate_x", -1)])
def test_a_translation_brings_in_zeros(name: str, axis: int) -> None:
    out, before = changed(name), frames()
    moved = set()
    for index in range(B):
        for step in range(-2, 3):
            expected = before[:, index].roll(step, axis)
            edge = slice(0, step) if step > 0 else slice(SIZE + step, SIZE)
            if step:
                expected = expected.movedim(axis, 0).index_fill(0, torch.arange(SIZE)[edge], 0.0).movedim(0, axis)
            if torch.equal(out[:, index], expected):
                moved.add(step)
                break
        else:
            pytest.fail(f"sample {index} was not moved along {axis}")
    assert moved == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("name", ["rotate", "shear"])
def test_rotation_and_shear_are_torchvisions(name: str) -> None:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as F

    out, before = changed(name), frames()
    strength, _ = strengths()
    for index in range(8):
        part = float(strength[index])
        candidates = []
        for sign in (1, -1):
            angle, shear = (sign * part * 30.0, 0.0) if name == "rotate" else (0.0, sign * math.degrees(part * 0.3))
            nearest = {"translate": [0, 0], "scale": 1.0, "interpolation": InterpolationMode.NEAREST}
            candidates.append(F.affine(before[:, index], angle=angle, shear=[shear, 0.0], **nearest))
        # Ties between two pixels may go either way.
        assert min(float((out[:, index] != one).float().mean()) for one in candidates) < 0.005, (index, part)


def test_a_cut_out_is_one_square_of_zeros_in_all_frames() -> None:
    before = torch.ones(3, B, 2, SIZE, SIZE)
    out = change_events(before, ["cutout"], Draws(torch.Generator().manual_seed(3), B))
    areas = []
    for index in range(B):
        gone = (out[:, index] == 0).flatten(0, 1)
        assert (gone == gone[0]).all()
        rows, columns = gone[0].any(1).nonzero()[:, 0], gone[0].any(0).nonzero()[:, 0]
        assert len(rows) == len(columns)
        assert gone[0].sum() == len(rows) * len(columns)
        assert int(rows[-1] - rows[0]) == len(rows) - 1
        areas.append(float(gone[0].float().mean()))
    assert 0.0005 < min(areas) < 0.02
    assert 0.08 < max(areas) < 0.12


def test_each_sample_gets_one_of_those_listed_and_counts_stay_counts() -> None:
    out, before = changed("identity", "flip", "cutout", seed=5), frames()
    kinds = []
    for index in range(B):
        same, flipped = torch.equal(out[:, index], before[:, index]), torch.equal(out[:, index], before[:, index].flip(-1))
        kinds.append("identity" if same else "flip" if flipped else "cutout")
    assert min(kinds.count(kind) for kind in ("identity", "flip", "cutout")) > 5
    out = changed(*OPERATIONS, seed=7)
    assert torch.equal(out, out.round())
    assert out.min() >= 0
    assert torch.equal(out, changed(*OPERATIONS, seed=7))


def test_parts_of_a_batch_are_what_the_whole_would_have_been() -> None:
    whole = changed(*OPERATIONS)
    part = slice(10, 25)
    found = change_events(frames()[:, part], OPERATIONS, Draws(torch.Generator().manual_seed(1), B, part))
    assert torch.equal(found, whole[:, part])


def test_a_training_asks_for_them_by_name() -> None:
    options = Choice("train", {"event_ops": ["flip"]}).resolve("harnesses")
    x = frames()
    assert torch.equal(Augmentation(options)(x, Draws(torch.Generator(), B)), x.flip(-1))
    with pytest.raises(InputError, match="event_ops"):
        Choice("train", {"event_ops": ["flop"]}).resolve("harnesses")
    with pytest.raises(ValueError, match="event_ops must be different operations"):
        TrainingOptions(event_ops=("flip", "flip"))
    assert np.array_equal(frames(), x), "what was handed in is left as it was"
