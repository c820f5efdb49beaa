"""Small data sets in the formats in which the published ones lie on disks, for tests of what reads them."""

from __future__ import annotations

import io
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np


def write_cifar(root: Path, classes: int = 10, count: int = 40) -> Path:
    """``cifar-10-batches-py`` or ``cifar-100-python``: random images, ``count`` a file, with a colour for each class.

    Pickled as published: Python 2's protocol, bytes channel by channel, lists of labels. Returns the folder.
    """
    random = np.random.default_rng(classes)
    if classes == 10:
        folder, names, label = root / "cifar-10-batches-py", [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"], "labels"
    else:
        folder, names, label = root / "cifar-100-python", ["train", "test"], "fine_labels"
    folder.mkdir(parents=True)
    for name in names:
        labels = [index % classes for index in range(count)]
        data = random.integers(0, 256, (count, 3072), dtype=np.uint8)
        data.reshape(count, 3, 1024)[np.arange(count), np.array(labels) % 3] //= 4
        (folder / name).write_bytes(pickle.dumps({"data": data, label: labels}, protocol=2))
    return folder


def write_images(
    root: Path, counts: Mapping[str, int], size: tuple[int, int] = (24, 20), classes: int = 3, seed: int = 0
) -> Path:
    """``root/SPLIT/CLASS/*.jpg`` of ``size`` (width, height), ``counts`` images for each class of each split.

    A class is where its bright square is, so that there is something to learn; no two images are equal. Returns ``root``.
    """
    from PIL import Image

    random = np.random.default_rng(0)
    width, height = size
    for split, count in counts.items():
        for label in range(classes):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                pixels = random.integers(0, 100, (height, width, 3), dtype=np.uint8)
                left = label * width // classes
                pixels[height // 4 : -height // 4, left : left + width // classes] += 120
                Image.fromarray(pixels).save(folder / f"{split}{index}.jpg", quality=95)
    return root


def write_imagenet_archives(unpacked: Path, root: Path) -> Path:
    """``unpacked/train|val/CLASS/*.JPEG`` in the three archives of ILSVRC 2012: of archives, of files, and the development kit.

    The kit's table has a class more, of which the others are kinds, as the published one has. Returns ``root``.
    """
    from scipy.io import savemat

    from spikebench.data._imagenet import DEVKIT, TRAIN, VAL

    root.mkdir(parents=True)
    classes = sorted(path.name for path in (unpacked / "train").iterdir())
    with tarfile.open(root / TRAIN, "w") as outer:
        for name in classes:
            content = io.BytesIO()
            with tarfile.open(fileobj=content, mode="w") as inner:
                for file in sorted((unpacked / "train" / name).iterdir()):
                    inner.add(file, file.name)
            _add(outer, f"{name}.tar", content.getvalue())
    images = {file.name: (number, file) for number, name in enumerate(classes) for file in (unpacked / "val" / name).iterdir()}
    with tarfile.open(root / VAL, "w") as outer:
        for name, (_, file) in sorted(images.items()):
            outer.add(file, name)
    kinds = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("num_children", "f8")]
    table = np.zeros((len(classes) + 1, 1), dtype=kinds)
    # Numbers of the kit are not in the order of the names.
    for row, (number, name, children) in enumerate(
        [*((len(classes) - index, name, 0) for index, name in enumerate(classes)), (len(classes) + 1, "n99999999", len(classes))]
    ):
        table[row, 0] = (number, name, children)
    meta: Any = io.BytesIO()
    savemat(meta, {"synsets": table})
    truth = "".join(f"{len(classes) - number}\n" for _, (number, _) in sorted(images.items()))
    with tarfile.open(root / DEVKIT, "w:gz") as kit:
        _add(kit, "ILSVRC2012_devkit_t12/data/meta.mat", meta.getvalue())
        _add(kit, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", truth.encode())
    return root


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _events(label: int, seed: int, count: int = 300) -> dict[str, Any]:
    """t, x, y, p of a spot that crosses the sensor at a height of its class."""
    random = np.random.default_rng([label, seed])
    t = np.sort(random.integers(0, 1_000_000, count)) + 1000
    x = (t * 127 // 1_001_000 + random.integers(-2, 3, count)).clip(0, 127)
    y = (10 * label + random.integers(0, 8, count)).clip(0, 127)
    return {"t": t, "x": x, "y": y, "p": random.integers(0, 2, count)}


def write_cifar10_dvs(root: Path, count: int = 10, form: Literal["npz", "aedat", "zip"] = "npz") -> Path:
    """``events_np/CLASS/*.npz``, the camera's files in ``extract/CLASS/*.aedat``, or these in ``CLASS.zip``."""
    from spikebench.data.cifar10_dvs import CLASSES

    for label, name in enumerate(CLASSES):
        folder = root / ("events_np" if form == "npz" else "extract") / name
        folder.mkdir(parents=True)
        for index in range(count):
            events = _events(label, index)
            path = folder / f"cifar10_{name}_{index}"
            if form == "npz":
                np.savez(path.with_suffix(".npz"), **events)
                continue
            # The camera's own corner and polarity are others than those of the images: see SpikingJelly's reader.
            address = ((127 - events["y"]) << 1) | ((127 - events["x"]) << 8) | (1 - events["p"])
            words = np.stack([address, events["t"]], 1).astype(">u4")
            path.with_suffix(".aedat").write_bytes(b"#!AER-DAT2.0\r\n# made for a test\r\n" + words.tobytes())
        if form == "zip":
            with zipfile.ZipFile(root / f"{name}.zip", "w") as archive:
                for file in sorted(folder.iterdir()):
                    archive.write(file, f"{name}/{file.name}")
                    file.unlink()
            folder.rmdir()
    if form == "zip":
        (root / "extract").rmdir()
    return root


def write_dvs128_gesture(root: Path, people: int = 4, form: Literal["npz", "aedat", "tar"] = "npz") -> Path:
    """``events_np/train|test/CLASS/*.npz``, or the camera's recordings in ``extract/DvsGesture``, or these in their archive.

    The last of ``people`` is the test split; each makes every gesture once in one recording.
    """
    folder = root / "extract" / "DvsGesture"
    if form != "npz":
        folder.mkdir(parents=True)
    trials: dict[str, list[str]] = {"train": [], "test": []}
    for person in range(1, people + 1):
        part, name = "test" if person == people else "train", f"user{person:02}_lab"
        trials[part].append(f"{name}.aedat")
        packets, rows = b"", "class,startTime_usec,endTime_usec\n"
        for label in range(11):
            events = _events(label, person)
            if form == "npz":
                target = root / "events_np" / part / str(label)
                target.mkdir(parents=True, exist_ok=True)
                np.savez(target / f"{name}_0.npz", **events)
                continue
            t = events["t"] + label * 2_000_000
            rows += f"{label + 1},{t[0]},{t[-1] + 1}\n"
            head = struct.pack("<HHIIIIII", 1, 0, 8, 4, 0, len(t), len(t), len(t))
            data = (events["x"] << 17) | (events["y"] << 2) | (events["p"] << 1) | 1
            packets += head + np.stack([data, t], 1).astype("<u4").tobytes()
        if form != "npz":
            (folder / f"{name}.aedat").write_bytes(b"#!AER-DAT3.1\r\n#!END-HEADER\r\n" + packets)
            (folder / f"{name}_labels.csv").write_text(rows)
    if form != "npz":
        for part, names in trials.items():
            (folder / f"trials_to_{part}.txt").write_text("\n".join(names) + "\n")
    if form == "tar":
        with tarfile.open(root / "DvsGesture.tar.gz", "w:gz") as archive:
            archive.add(folder, "DvsGesture")
        shutil.rmtree(root / "extract")
    return root
