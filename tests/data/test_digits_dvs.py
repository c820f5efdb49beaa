"""The simulated event camera, against a plain simulation pixel by pixel, and frozen."""

import hashlib
import math

import numpy as np
import pytest
import torch

from spikebench import data
from spikebench.core.errors import InputError
from spikebench.data.digits_dvs import DARK, FINE, path, simulate


def plain(image: np.ndarray, T: int, threshold: float) -> np.ndarray:
    """One image in floating point, as a camera would be described: bilinear brightness, log, a reference for each pixel."""

    def brightness(row: float, column: float) -> float:
        top, left = math.floor(row), math.floor(column)
        total = 0.0
        for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            if 0 <= r < 8 and 0 <= c < 8:
                total += image[r, c] / 16 * (1 - abs(row - r)) * (1 - abs(column - c))
        return total

    def seen(place: tuple[int, int]) -> np.ndarray:
        # Pixel p of the camera has its centre at p + 0.5 of 16; the image is 12 wide and stands in the middle, shifted.
        rows, columns = ([((p + 0.5 - 8 - shift / FINE) / 1.5) + 3.5 for p in range(16)] for shift in place)
        return np.array([[math.log(DARK + brightness(r, c)) for c in columns] for r in rows])

    frames = np.zeros((T, 2, 16, 16), dtype=int)
    places = path()
    reference = seen(places[0])
    for moment, place in enumerate(places[1:]):
        now = seen(place)
        for r in range(16):
            for c in range(16):
                while abs(now[r, c] - reference[r, c]) >= threshold - 1e-9:
                    up = now[r, c] > reference[r, c]
                    frames[moment * T // (len(places) - 1), 0 if up else 1, r, c] += 1
                    reference[r, c] += threshold if up else -threshold
    return frames


def test_frames_are_those_of_a_plain_simulation() -> None:
    from sklearn.datasets import load_digits

    images = load_digits().images[[3, 700]]
    found = simulate(images.astype(np.int64), T=6, threshold=0.29)
    for image, frames in zip(images, found, strict=True):
        expected = plain(image, 6, 0.29)
        assert expected.sum() > 300
        # Whole numbers against floating point: an event at the edge of a frame may fall into the next.
        assert np.abs(frames.astype(int) - expected).sum() <= 0.005 * expected.sum()


def test_it_is_frozen() -> None:
    split = data.load("digits-dvs").split("test")
    x, y = split.tensors
    assert x.shape == (359, 8, 2, 16, 16)
    assert torch.equal(x, x.round())
    assert hashlib.sha256(x.numpy().tobytes() + y.numpy().tobytes()).hexdigest()[:16] == "346c3fb43e8404af"


def test_labels_and_splits_are_those_of_the_digits() -> None:
    for name in data.SPLITS:
        assert torch.equal(data.load("digits-dvs").split(name).tensors[1], data.load("digits").split(name).tensors[1])


def test_fewer_frames_hold_the_same_events() -> None:
    eight, two = (data.load({"digits-dvs": {"T": T}}).split("validation").tensors[0] for T in (8, 2))
    assert torch.equal(eight.unflatten(1, (2, 4)).sum(2), two)


@pytest.mark.parametrize(
    ("options", "words"), [({"T": 0}, "T must be between 1 and 48"), ({"threshold": 0.0}, "threshold must be")]
)
def test_options_that_make_no_camera_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        data.load({"digits-dvs": options})
