"""A copy of a folder, kept by pieces: it is what the folder is, however the folder changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spikebench.core.errors import DiskError
from spikebench.running.launchers import _mirror
from spikebench.running.launchers._mirror import Copy, Mirror, Piece, luggage


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_copy_follows_new_grown_replaced_renamed_and_removed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mirror, "PIECE", 7)
    here, there = tmp_path / "here", tmp_path / "there"
    weights, begun = here / "weights/c", here / "jobs/unfinished"
    weights.mkdir(parents=True), begun.mkdir(parents=True)
    mirror, copy = Mirror(here, frozenset({"stop"})), Copy(there)

    def sync() -> list[Piece]:
        sent = list(mirror.changes())
        for piece in sent:
            copy.take(piece)
        assert not list(mirror.changes())
        assert files(there) == {name: data for name, data in files(here).items() if not name.startswith("stop/")}
        return sent

    (weights / "checkpoint.pt").write_bytes(b"0123456789" * 3)
    (weights / "empty.pt").touch()
    partial = begun / "job.partial"
    partial.write_bytes(b'{"header"}\n')
    sync()
    with partial.open("ab") as stream:
        stream.write(b'{"record": 1}\n')
    assert b"".join(piece.data for piece in sync()) == b'{"record": 1}\n'  # what is there already is not sent again
    (weights / "new").write_bytes(b"another")
    os.replace(weights / "new", weights / "checkpoint.pt")
    (here / "stop").mkdir()
    (here / "stop/c").touch()
    sync()
    os.replace(partial, here / "jobs/job.jsonl")
    (weights / "checkpoint.pt").unlink()
    assert not next(piece.gone for piece in sync())  # the new name comes first


def test_what_is_half_written_is_not_sent_and_what_is_half_sent_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_mirror, "PIECE", 4)
    source = tmp_path / "here"
    source.mkdir()
    (source / "weights.partial").write_bytes(b"half")
    assert not list(Mirror(source).changes())
    (source / "weights.pt").write_bytes(b"whole file")
    target = tmp_path / "there"
    target.mkdir()
    (target / "weights.pt").write_bytes(b"before")
    *first, last = Mirror(source).changes()
    assert first
    for piece in first:
        Copy(target).take(piece)
    assert (target / "weights.pt").read_bytes() == b"before"
    Copy(target).take(last)
    assert files(target) == {"weights.pt": b"whole file"}


def test_luggage_goes_under_its_own_names(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"a")
    for piece in luggage({"weights/c/a.pt": tmp_path / "a.pt", "gone.pt": tmp_path / "gone.pt"}):
        Copy(tmp_path / "there").take(piece)
    assert files(tmp_path / "there") == {"weights/c/a.pt": b"a"}


@pytest.mark.parametrize("path", ["../up", "/etc/x", "a/../../b"])
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="not below a results folder"):
        Copy(tmp_path).take(Piece(path, b"x"))


def test_a_full_disk_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.partial").symlink_to("/dev/full")
    with pytest.raises(DiskError, match="the disk is full"):
        Copy(tmp_path).take(Piece("x.partial", b"x", grown=True))
