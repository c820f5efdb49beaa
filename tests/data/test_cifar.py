"""CIFAR from files in the real format: what comes out is what was written, and what is wrong with files is told."""

import http.server
import os
import pickle
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikebench import data
from spikebench.core import suite_reader, yaml_nodes
from spikebench.core.errors import InputError
from spikebench.data import _cifar, cifar10
from spikebench.data._download import Archive, fetch
from spikebench.data._files import md5_of
from spikebench.testing.files import write_cifar


def archived(root: Path, folder: Path) -> Path:
    path = root / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


def raw(folder: Path, name: str) -> tuple[np.ndarray, list[int]]:
    content = pickle.loads((folder / name).read_bytes())
    return content["data"].reshape(-1, 3, 32, 32), content["labels"]


def test_samples_are_the_files_normalised_by_channel(cifar: Path) -> None:
    dataset = data.load({"cifar10": {"root": str(cifar)}})
    images, labels = raw(cifar / "cifar-10-batches-py", "test_batch")
    x, y = next(data.batches(dataset.split("test"), 100))
    mean, std = (np.array(part)[:, None, None] for part in cifar10.NORMAL)
    np.testing.assert_allclose(x.numpy(), (images / 255 - mean) / std, rtol=1e-5, atol=1e-6)
    assert y.tolist() == labels
    plain, _ = next(data.batches(data.load({"cifar10": {"root": str(cifar), "normalise": "none"}}).split("test"), 100))
    assert torch.equal((plain * 255).round().byte(), torch.from_numpy(images))


def test_train_and_validation_are_all_published_training_images_a_tenth_of_each_class_apart(cifar: Path) -> None:
    dataset = data.load({"cifar10": {"root": str(cifar)}})
    published = np.concatenate([raw(cifar / "cifar-10-batches-py", f"data_batch_{n}")[0] for n in range(1, 6)])
    train, validation = (dataset.split(name) for name in ("train", "validation"))
    assert torch.bincount(validation.tensors[1]).tolist() == [2] * 10
    together = [*map(bytes, train.tensors[0].numpy()), *map(bytes, validation.tensors[0].numpy())]
    assert sorted(together) == sorted(map(bytes, published))
    whole = data.load({"cifar10": {"root": str(cifar), "full_train": True}})
    assert list(map(bytes, whole.split("train").tensors[0].numpy())) == list(map(bytes, published))
    assert torch.equal(whole.split("validation").tensors[0], validation.tensors[0])


def test_the_archive_is_read_without_unpacking_it(cifar: Path, tmp_path: Path) -> None:
    archived(tmp_path, cifar / "cifar-10-batches-py")
    for name in data.SPLITS:
        one, other = (data.load({"cifar10": {"root": str(root)}}).split(name) for root in (tmp_path, cifar))
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(one.tensors, other.tensors, strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-python.tar.gz"]


def test_the_hundred_have_fine_labels_and_may_be_normalised_as_published_code_does(cifar: Path) -> None:
    own = data.load({"cifar100": {"root": str(cifar)}}).split("test")
    theirs = data.load({"cifar100": {"root": str(cifar), "normalise": "cifar10"}}).split("test")
    assert own.tensors[1].tolist() == [index % 100 for index in range(400)]
    assert torch.equal(own.tensors[0], theirs.tensors[0])
    mean, std = (torch.tensor(part)[:, None, None] for part in cifar10.NORMAL)
    torch.testing.assert_close(theirs[3][0], (own.tensors[0][3] / 255 - mean) / std)
    assert not torch.allclose(own[3][0], theirs[3][0])


def test_root_is_the_environments_where_none_is_given(cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEBENCH_DATA", str(cifar))
    assert len(data.load("cifar10").split("test")) == 40
    monkeypatch.setenv("SPIKEBENCH_DATA", str(cifar / "cifar-10-batches-py"))
    assert len(data.load("cifar10").split("test")) == 40


SUITE = """\
suite: real
dataset:
  cifar10:
    root: {root}
variants: {{base: spikformer-2-64}}
"""


def problems(text: str, folder: Path) -> list[str]:
    path = folder / "suite.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        suite_reader.load(path)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("root", "words"),
    [("nowhere", "no such folder"), ("suite.yaml", "is a file, not a folder"), (".", "neither cifar-10-batches-py/ nor")],
)
def test_a_wrong_root_is_refused_before_anything_runs_with_line_and_column(root: str, words: str, tmp_path: Path) -> None:
    (found,) = problems(SUITE.format(root=root), tmp_path)
    assert found.startswith(f"{tmp_path / 'suite.yaml'}:4:5: dataset.cifar10.root: ")
    assert words in found
    assert str(tmp_path) in found.split(words)[1]


def test_without_root_and_environment_the_suite_says_what_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPIKEBENCH_DATA", raising=False)
    (found,) = problems("suite: real\ndataset: cifar10\nvariants: {base: spikformer-2-64}\n", tmp_path)
    assert ":2:1: dataset.root: where are the files? Write root: FOLDER, or set the environment variable SPIKEBENCH_DATA" in found


def test_what_a_cell_is_does_not_depend_on_where_its_data_lie(cifar: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    os.symlink(cifar / "cifar-10-batches-py", moved / "cifar-10-batches-py")
    ids, stored = set(), []
    for root in (cifar, moved):
        suite = suite_reader.from_document(yaml_nodes.parse(SUITE.format(root=root), str(tmp_path / "suite.yaml")))
        ids.add(suite.cells[0].cell_id)
        stored.append(suite.cells[0].facts()["dataset"])
        assert suite.data["dataset"]["root"] == str(root)
    assert len(ids) == 1
    assert stored[0] == stored[1]
    assert "root" not in stored[0]


def test_other_files_under_the_same_names_are_another_data_set(cifar: Path, tmp_path: Path) -> None:
    other = write_cifar(tmp_path / "other", 10, count=20).parent
    cells = []
    for root in (cifar, other):
        suite = suite_reader.from_document(yaml_nodes.parse(SUITE.format(root=root), str(tmp_path / "suite.yaml")))
        cells.append(suite.cells[0])
    assert cells[0].cell_id != cells[1].cell_id
    written_for = f"{cells[0].dataset.options['content']}"
    (found,) = problems(
        SUITE.format(root=other).replace(f"root: {other}", f"root: {other}\n    content: {written_for}"), tmp_path
    )
    assert "dataset.cifar10.content: the files in" in found


def test_a_cut_off_archive_is_refused_with_its_size(cifar: Path, tmp_path: Path) -> None:
    path = archived(tmp_path, cifar / "cifar-10-batches-py")
    path.write_bytes(path.read_bytes()[:-20_000])
    (found,) = problems(SUITE.format(root=tmp_path), tmp_path)
    assert f"{path}: ends early or is damaged" in found
    assert f"{path.stat().st_size:,} bytes" in found


class Runs:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps(Runs()), "posix.system, which is no array"),
        (pickle.dumps({"data": np.zeros((2, 3071), np.uint8), "labels": [0, 1]}), r"found uint8 (2, 3071)"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}), "expected 2 labels, found 1"),
        (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}), "labels outside of 0 to 9"),
        (pickle.dumps({"fine_labels": [0]}), "found none"),
        (pickle.dumps(np.zeros(3))[:-40], "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_a_file_that_is_no_batch_is_refused_and_nothing_of_it_is_run(content: bytes, words: str, tmp_path: Path) -> None:
    folder = write_cifar(tmp_path, count=10)
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(InputError) as caught:
        data.load({"cifar10": {"root": str(tmp_path)}}).split("test")
    assert words in str(caught.value)
    assert "test_batch" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (write_cifar(tmp_path, count=10) / "data_batch_3").unlink()
    (found,) = problems(SUITE.format(root=tmp_path), tmp_path)
    assert f"no such file: {tmp_path / 'cifar-10-batches-py' / 'data_batch_3'}" in found


@pytest.fixture
def served(cifar: Path, tmp_path: Path) -> Iterator[tuple[Archive, list[str]]]:
    """The archive on a server of ours, with its checksum, and the list of requests."""
    folder = tmp_path / "server"
    folder.mkdir()
    path = archived(folder, cifar / "cifar-10-batches-py")
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, directory=str(folder), **more)

        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with path.open("rb") as stream:
        yield Archive(path.name, f"http://127.0.0.1:{server.server_port}/{path.name}", md5_of(stream)), asked
    server.shutdown()
    thread.join()


def test_what_is_asked_for_is_downloaded_once_and_kept(
    served: tuple[Archive, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, asked = served
    monkeypatch.setattr(cifar10.Dataset, "published", replace(cifar10.Dataset.published, archive=archive))
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(InputError, match="download: true fetches it"):
        data.load({"cifar10": {"root": str(root)}}).split("test")
    assert not asked
    wanted = data.load({"cifar10": {"root": str(root), "download": True}})
    assert wanted.settle(root) == {"root": str(root)}
    found = []
    threads = [threading.Thread(target=lambda: found.append(wanted.split("test"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(split) for split in found] == [40] * 3
    assert len(asked) == 1
    assert sorted(path.name for path in root.iterdir()) == [".cifar-10-python.tar.gz.lock", archive.name]


def test_a_download_with_another_checksum_is_not_kept(served: tuple[Archive, list[str]], tmp_path: Path) -> None:
    archive = replace(served[0], md5="0" * 32)
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(InputError, match=f"checksum {served[0].md5}, expected {'0' * 32}"):
        fetch(archive, root)
    assert [path.name for path in root.iterdir() if not path.name.startswith(".")] == []


def test_a_download_that_cannot_be_had_says_from_where(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9/.* cannot be downloaded"):
        fetch(Archive("x.tar.gz", "http://127.0.0.1:9/x.tar.gz", ""), tmp_path)


def test_bytes_stay_bytes_until_their_batch_and_parts_of_them_too(cifar: Path) -> None:
    split = data.load({"cifar10": {"root": str(cifar)}}).split("train")
    assert split.tensors[0].dtype == torch.uint8
    part = data.subset(data.resident(split), [5, 3])
    assert torch.equal(part[0][0], split[5][0])
    (x, y), *_ = data.batches(split, 7, chosen=[torch.tensor([3, 5])])
    assert torch.equal(x, torch.stack([split[3][0], split[5][0]]))
    assert y.tolist() == [int(split[3][1]), int(split[5][1])]


def test_it_is_read_once_for_all_jobs_of_a_process(cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = {"cifar10": {"root": str(cifar)}}
    data.load(choice).split("train")
    monkeypatch.setattr(_cifar, "unpickle", lambda *_: pytest.fail("read again"))
    data.load(choice).split("train")
