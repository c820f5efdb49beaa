"""Event data sets from files in the real formats, and frames against SpikingJelly's."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikebench import data
from spikebench.core import suite_reader
from spikebench.core.errors import InputError
from spikebench.data import _recordings
from spikebench.data._events import frames_of, read_events
from spikebench.data._frames import cached
from spikebench.data._listing import list_folder
from spikebench.testing.files import write_cifar10_dvs, write_dvs128_gesture

SMALL = {"T": 3, "size": 32}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cifar10_dvs(tmp_path_factory.mktemp("npz"))


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    _recordings._integrated.cache_clear()
    list_folder.cache_clear()


def opened(root: Path, name: str = "cifar10-dvs", **options: Any) -> Any:
    return data.load({name: {"root": str(root), **SMALL, **options}})


def events_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {key: file[key] for key in "txyp"}


@pytest.mark.parametrize("by", ["number", "time"])
@pytest.mark.parametrize("T", [1, 3, 16])
def test_frames_are_spikingjellys(recordings: Path, by: Any, T: int) -> None:
    from spikingjelly.datasets.utils import integrate_events_by_fixed_frames_number

    events = events_of(recordings / "events_np" / "cat" / "cifar10_cat_3.npz")
    expected = integrate_events_by_fixed_frames_number(events, by, T, 128, 128)
    found = frames_of(events, T, by, 128)
    np.testing.assert_array_equal(found, expected)
    halved = expected.reshape(T, 2, 32, 4, 32, 4).sum((3, 5))
    np.testing.assert_array_equal(frames_of(events, T, by, 32), halved)


def test_a_frame_may_be_empty_and_counts_stop_at_255() -> None:
    t = np.array([0, 1, 2, 1000])
    events = {"t": t, "x": t * 0, "y": t * 0, "p": t * 0}
    assert frames_of(events, 4, "time", 128).sum((1, 2, 3)).tolist() == [3, 0, 0, 1]
    assert frames_of(events, 8, "number", 128).sum((1, 2, 3)).tolist() == [0] * 7 + [4]
    many = {key: np.zeros(400, dtype=np.int64) for key in "txyp"}
    assert frames_of(many, 1, "number", 128).max() == 255


def test_a_whole_data_set_holds_each_recording_where_the_split_says(recordings: Path) -> None:
    dataset = opened(recordings)
    splits = {name: dataset.split(name) for name in data.SPLITS}
    assert {name: len(split) for name, split in splits.items()} == {"train": 80, "validation": 10, "test": 10}
    # By name: 0, 1, 2, ..., 9. The last is the test, and the last of the rest validation, as there is no tenth.
    for name, index in (("test", 9), ("validation", 8)):
        x, y = next(data.batches(splits[name], 10))
        assert y.tolist() == list(range(10))
        for label, kind in enumerate(sorted(path.name for path in (recordings / "events_np").iterdir())):
            events = events_of(recordings / "events_np" / kind / f"cifar10_{kind}_{index}.npz")
            assert torch.equal(x[:, label], torch.from_numpy(frames_of(events, 3, "number", 32)).float())
    full = opened(recordings, full_train=True)
    assert [len(full.split(name)) for name in data.SPLITS] == [90, 10, 10]
    assert torch.equal(full.split("train")[85][0], splits["validation"][5][0])


def test_a_hundred_of_a_class_are_split_81_9_10() -> None:
    from spikebench.data._listing import Listing

    files = tuple(f"a/{index:03}.npz" for index in range(100))
    found = data.load({"cifar10-dvs": {}}).cut([Listing(Path(), ("a",), files, (0,) * 100)])
    assert [index for _, index in found["validation"]] == list(range(9, 90, 10))
    assert [index for _, index in found["test"]] == list(range(90, 100))


@pytest.mark.parametrize("form", ["aedat", "zip"])
def test_the_cameras_files_and_their_archives_give_the_same_frames(form: Any, recordings: Path, tmp_path: Path) -> None:
    root = write_cifar10_dvs(tmp_path, form=form)
    assert opened(root).settle(root) == {"root": str(root)}
    found, expected = opened(root, content=opened(recordings).settle(recordings)["content"]), opened(recordings)
    for name in ("test", "train"):
        assert torch.equal(found.split(name).tensors[0], expected.split(name).tensors[0])
    assert sorted(path.name for path in (root / "events_np").iterdir()) == sorted(
        path.name for path in (recordings / "events_np").iterdir()
    )


@pytest.mark.parametrize("form", ["aedat", "tar"])
def test_gestures_are_split_by_people_whatever_form_they_are_in(form: Any, tmp_path: Path) -> None:
    expected = opened(write_dvs128_gesture(tmp_path / "npz"), "dvs128-gesture")
    content = expected.settle(tmp_path)["content"]
    found = opened(write_dvs128_gesture(tmp_path / form, form=form), "dvs128-gesture", content=content)
    for name, person in (("train", (1, 2)), ("validation", (3,)), ("test", (4,))):
        x, y = expected.split(name).tensors
        other, labels = found.split(name).tensors
        assert torch.equal(x, other)
        assert torch.equal(y, labels)
        assert len(y) == 11 * len(person)
        part = "test" if name == "test" else "train"
        events = events_of(tmp_path / "npz" / "events_np" / part / "0" / f"user{person[0]:02}_lab_0.npz")
        assert torch.equal(x[0], torch.from_numpy(frames_of(events, 3, "number", 32)))


def test_what_is_unpacked_but_not_the_published_set_is_named_at_the_next_run(tmp_path: Path) -> None:
    root = write_cifar10_dvs(tmp_path, form="aedat")
    with pytest.raises(InputError, match="is not the published data set") as caught:
        opened(root).split("test")
    content = opened(root).settle(root)["content"]
    assert content in str(caught.value)
    assert len(opened(root, content=content).split("test")) == 10


WRONG = {
    "back": ({"t": [1, 5, 3, 4], "x": [0] * 4, "y": [0] * 4, "p": [0] * 4}, "go back 1 times, from 5 to 3 us at event 2"),
    "empty": ({"t": [], "x": [], "y": [], "p": []}, "it has no events"),
    "outside": ({"t": [1], "x": [128], "y": [0], "p": [0]}, "x goes from 128 to 128, expected 0 to 127"),
    "polarity": ({"t": [1], "x": [1], "y": [0], "p": [2]}, "p goes from 2 to 2"),
    "lacks": ({"t": [1], "x": [1], "y": [0]}, "no array p"),
    "uneven": ({"t": [1, 2], "x": [1], "y": [0, 0], "p": [0, 1]}, "different shapes"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_recording_that_is_none_says_why(kind: str, tmp_path: Path) -> None:
    arrays, words = WRONG[kind]
    np.savez(tmp_path / "x.npz", **{key: np.array(values, dtype=np.int64) for key, values in arrays.items()})
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        read_events(tmp_path / "x.npz", "skip")


def test_what_goes_back_may_be_sorted(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", t=[1, 5, 3], x=[0, 1, 2], y=[0, 0, 0], p=[0, 1, 0])
    found = read_events(tmp_path / "x.npz", "sort")
    assert (found["t"].tolist(), found["x"].tolist(), found["p"].tolist()) == ([1, 3, 5], [0, 2, 1], [0, 0, 1])


def test_damaged_recordings_are_left_out_of_their_split_counted_and_named(recordings: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(recordings, tmp_path / "damaged", ignore=shutil.ignore_patterns("frames")))
    (root / "events_np" / "dog" / "cifar10_dog_9.npz").write_bytes(b"PK\x03\x04 not a zip")
    np.savez(root / "events_np" / "cat" / "cifar10_cat_2.npz", t=[], x=[], y=[], p=[])
    with pytest.raises(InputError, match=r"2 files cannot be read, more than 1\.00% of 100 \(option skip\)") as caught:
        opened(root).split("train")
    assert "cifar10_cat_2.npz: it has no events" in str(caught.value)
    dataset = opened(root, skip=0.05)
    assert {name: len(dataset.split(name)) for name in data.SPLITS} == {"train": 79, "validation": 10, "test": 9}
    assert [Path(file).name for file in dataset.split("train").unreadable] == ["cifar10_cat_2.npz"]
    assert [Path(file).name for file in dataset.split("test").unreadable] == ["cifar10_dog_9.npz"]
    assert 5 not in dataset.split("test").tensors[1].tolist()


def test_frames_are_made_once_and_by_other_options_anew(tmp_path: Path) -> None:
    asked = []

    def integrate(path: Path) -> np.ndarray:
        asked.append(path.name)
        return np.full((1, 2, 4, 4), len(asked), dtype=np.uint8)

    files = [Path(f"{index}.npz") for index in range(3)]
    one = cached(tmp_path / "frames.npy", files, (1, 2, 4, 4), integrate, skip=0.0)
    again = cached(tmp_path / "frames.npy", files, (1, 2, 4, 4), integrate, skip=0.0)
    assert len(asked) == 3
    assert np.array_equal(one.x, again.x)
    assert one.x[:, 0, 0, 0, 0].tolist() == [1, 2, 3]
    # A kill before the notes were written: the frames may be anything.
    (tmp_path / "frames.json").unlink()
    cached(tmp_path / "frames.npy", files, (1, 2, 4, 4), integrate, skip=0.0)
    assert len(asked) == 6
    assert json.loads((tmp_path / "frames.json").read_text()) == {"kept": [0, 1, 2], "unreadable": {}}


def test_counts_become_numbers_by_the_batch(recordings: Path) -> None:
    split = opened(recordings).split("train")
    x, _ = next(data.batches(split, 4, chosen=[torch.tensor([7, 3])]))
    assert (x.shape, x.dtype) == ((3, 2, 2, 32, 32), torch.float32)
    assert torch.equal(x[:, 0], split.tensors[0][7].float())


SUITE = "suite: events\ndataset: {{cifar10-dvs: {{root: {root}}}}}\nvariants: {{base: spikformer-dvs-2-256}}\n"


def test_a_wrong_root_is_told_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.format(root="."))
    with pytest.raises(
        InputError, match=r":2:25: dataset\.cifar10-dvs\.root: .* has neither events_np/CLASS/\*\.npz nor"
    ) as caught:
        suite_reader.load(path)
    assert "airplane.zip" in str(caught.value)
    (tmp_path / "events_np" / "cat").mkdir(parents=True)
    with pytest.raises(InputError, match="no files for the class cat"):
        suite_reader.load(path)


def test_a_half_downloaded_archive_is_told(tmp_path: Path) -> None:
    root = write_cifar10_dvs(tmp_path, form="zip", count=2)
    path = root / "frog.zip"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"frog\.zip: ends early or is damaged"):
        opened(root).split("test")
    assert not (root / "events_np").exists()


@pytest.mark.parametrize("name", ["cifar10-dvs", "dvs128-gesture"])
def test_and_before_anything_runs(name: str, tmp_path: Path) -> None:
    if name == "cifar10-dvs":
        path = write_cifar10_dvs(tmp_path, form="zip", count=2) / "truck.zip"
    else:
        path = write_dvs128_gesture(tmp_path, form="tar") / "DvsGesture.tar.gz"
    text = SUITE.format(root=".").replace("cifar10-dvs", name)
    (tmp_path / "suite.yaml").write_text(text)
    suite_reader.load(tmp_path / "suite.yaml")
    whole = path.read_bytes()
    for share in (0.3, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError, match=rf"root: {path}: ends early or is damaged .* remove it and download it again"):
            suite_reader.load(tmp_path / "suite.yaml")


def test_recordings_of_train_among_those_of_the_test_are_found(recordings: Path, tmp_path: Path) -> None:
    assert opened(recordings).shared("test") == []
    root = Path(shutil.copytree(recordings, tmp_path / "same", ignore=shutil.ignore_patterns("frames")))
    folder = root / "events_np" / "dog"
    shutil.copy(folder / "cifar10_dog_3.npz", folder / "cifar10_dog_9.npz")
    list_folder.cache_clear()
    assert opened(root).shared("test") == [str(folder / "cifar10_dog_9.npz")]
    assert opened(root).shared("train") is None


def test_time_steps_must_be_the_frames(recordings: Path, tmp_path: Path) -> None:
    from spikebench.running.jobs import rules

    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.format(root=recordings).replace(f"root: {recordings}", f"root: {recordings}, T: 10"))
    with pytest.raises(InputError, match="the data set comes in 10 frames: T must be 10, got 16"):
        suite_reader.load(path, rules)
