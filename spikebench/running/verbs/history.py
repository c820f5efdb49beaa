"""What the verb ``history`` does: results of many commits, from folders or from what git has kept of one, into series."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from spikebench.core.errors import InputError, StorageError
from spikebench.reading.gate.history import History, history
from spikebench.reading.gate.summaries import Summary
from spikebench.reading.model.frame import Frame, load_results
from spikebench.running.pairs.checkout import Repository

FORMATS = ("terminal", "html", "json")


def read(folders: Sequence[Path], git: bool, store: Path) -> tuple[History, Path]:
    """The history, and the folder of its suite where summaries and confirmations are kept.

    Raises InputError and StorageError: nothing given, no repository, results that cannot be read.
    """
    if not folders:
        raise InputError("a history of what? Give results folders, oldest first, or one folder with --git")
    summaries = list(_of_git(folders, store) if git else _of_folders(folders))
    if not summaries:
        raise InputError(f"{', '.join(map(str, folders))}: no commit of this repository has results there")
    folder = store / next((one.suite for one in summaries if one.suite), "results")
    for one in summaries:
        if one.origin and one.suite:
            one.write(folder)
    return history(summaries, folder), folder


def write(found: History, formats: Sequence[str], out: Path) -> list[Path]:
    """Print, and write files. Raises InputError for an unknown format."""
    from spikebench.core.console import standard_output
    from spikebench.core.errors import nearest
    from spikebench.reading.gate.history_document import document
    from spikebench.reading.reports.formats import html, terminal
    from spikebench.reading.reports.formats._files import write as put

    for name in formats:
        if name not in FORMATS:
            raise InputError(f"--format: a history cannot be written as {name!r}{nearest(name, FORMATS)}")
    paths = []
    if "terminal" in formats:
        terminal.show(document(found), standard_output())
    if "html" in formats:
        paths.append(put(out / "history.html", html.text(document(found, plots=True))))
    if "json" in formats:
        paths.append(
            put(out / "history.json", json.dumps(found.to_plain(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        )
    return paths


def _of_folders(folders: Sequence[Path]) -> Iterator[Summary]:
    """In the order given; results are known by the commit that measured them, or by their folder's name."""
    for folder in folders:
        if folder.is_file():
            yield Summary.read(folder)
        else:
            frame = load_results(folder)
            yield Summary.of(frame, _commit(frame) or folder.name)


def _commit(frame: Frame) -> str:
    """The one commit that measured, without local changes; "" otherwise."""
    commits = {str(source.get("commit") or "") for source in frame.sources.values()}
    dirty = any(source.get("dirty") for source in frame.sources.values())
    return "" if dirty or len(commits) != 1 else commits.pop()


def _of_git(folders: Sequence[Path], store: Path) -> Iterator[Summary]:
    """One folder at every commit that changed it, oldest first; a commit whose summary is kept is not read again."""
    if len(folders) != 1:
        raise InputError(f"--git follows one folder, got {len(folders)}")
    folder = folders[0].resolve()
    repository = Repository.around(folder, "--git")
    if not folder.is_relative_to(repository.root):
        raise InputError(f"--git: {folders[0]} lies outside of {repository.root}")
    below = folder.relative_to(repository.root).as_posix()
    kept = {one.commit: one for path in store.glob("*/*.json") if (one := Summary.read(path)).origin == below}
    for commit, when, subject in repository.log(below):
        if commit in kept:
            yield kept[commit]
            continue
        with tempfile.TemporaryDirectory(prefix="spikebench-history-") as scratch:
            files = repository.export(commit, Path(scratch) / "files", below)
            try:
                frame = load_results(files / below)
            except StorageError:
                continue  # the commit that took the results away, or whose results nobody can read any more
            yield Summary.of(frame, commit, when, subject, below)
