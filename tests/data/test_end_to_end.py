"""Each format that data sets are published in, trained on from a suite: files on the disk to an accuracy."""

from collections.abc import Callable
from pathlib import Path

import pytest

import spikebench
from spikebench.core.suite_reader import load
from spikebench.reading.model import provenance
from spikebench.reading.model.frame import load_results
from spikebench.testing.files import write_cifar, write_cifar10_dvs, write_dvs128_gesture, write_images

SUITE = """\
suite: formats
dataset: {{{name}: {{root: files{options}}}}}
variants: {{base: {{preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: {T}}}}}
train: {{epochs: 1, batch_size: 16, warmup_epochs: 0, workers: {workers}}}
measure: [accuracy]
energy: []
"""
FORMATS: dict[str, tuple[str, str, int, Callable[[Path], object]]] = {
    "cifar pickles": ("cifar10", "", 1, write_cifar),
    "image folder": ("folder", ", size: 16", 1, lambda root: write_images(root, {"train": 6, "val": 2})),
    "imagenet": ("imagenet", ", size: 16", 1, lambda root: write_images(root / "imagenet", {"train": 6, "val": 2})),
    "events_np": ("cifar10-dvs", ", size: 16, T: 2", 2, write_cifar10_dvs),
    "aedat 2": ("cifar10-dvs", ", size: 16, T: 2", 2, lambda root: write_cifar10_dvs(root, form="aedat")),
    "aedat 3": ("dvs128-gesture", ", size: 16, T: 2", 2, lambda root: write_dvs128_gesture(root, form="aedat")),
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_suite_trains_on_it(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, options, T, write = FORMATS[form]
    write(tmp_path / "files")
    if form == "imagenet":
        # As if it did not fit into memory: read file by file, by a loader's process.
        monkeypatch.setattr("spikebench.data._folders.RESIDENT_BYTES", 0)
    if form.startswith("aedat"):
        # What is in the recordings is not known before they are converted, and these are not the published ones.
        dataset = spikebench.data.load({name: {"root": str(tmp_path / "files"), "size": 16, "T": 2}})
        with pytest.raises(spikebench.core.errors.InputError, match="not the published data set"):
            dataset.split("train")
    (tmp_path / "suite.yaml").write_text(SUITE.format(name=name, options=options, T=T, workers=int(form == "imagenet")))
    found = spikebench.run(tmp_path / "suite.yaml", results=tmp_path / "results").to_pandas()
    accuracy = found[(found.metric == "accuracy") & (found.status == "ok")]
    assert len(accuracy) == 1
    assert 0 <= accuracy.value.iloc[0] <= 1
    assert (found.status == "ok").all()
    data = spikebench.data.load(load(tmp_path / "suite.yaml").dataset)
    sizes = ", ".join(f"{len(data.split(split)):,} {split}" for split in provenance.SPLITS)
    what = "recordings" if data.inputs.events else "images"
    shape = f"{data.inputs.channels}x{data.inputs.size}x{data.inputs.size}, {data.inputs.classes} classes"
    (tmp_path / "files").rename(tmp_path / "elsewhere")
    (told,) = provenance.datasets(load_results(tmp_path / "results" / "formats"))
    assert told.endswith(f": {sizes} {what} of {shape}")
