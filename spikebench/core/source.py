"""Which code measured: spikebench and the plugins beside it, by version and by what their files hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, version
from pathlib import Path
from typing import Any

from spikebench import __version__
from spikebench.core import own_files
from spikebench.core.cells import digest
from spikebench.core.contents import digest_of, package_files, plugin_files
from spikebench.core.own_files import State
from spikebench.core.registry import REGISTRIES, installed


def source() -> dict[str, Any]:
    """``source_id`` and what it hashes. ``contents``: of spikebench's own files, of each plugin's and of a suite's own, whether
    they are committed, installed, or neither. Outside a git checkout (an installed wheel) ``commit`` is None.
    """
    return _source(own_files.state(), _sent)


OWN = "own file"
"""Stands for the version of what has none."""
Checkout = tuple[str | None, bool]
"""The commit, and whether files differ from it."""
_sent: Checkout | None = None


def sent_from(checkout: Checkout) -> None:
    """From now on the files that this process runs are those of a checkout on the machine that sent them here."""
    global _sent
    _sent = checkout


def checkout() -> Checkout:
    """What this process's files were taken from."""
    facts = source()
    return facts["commit"], facts["dirty"]


@cache
def _source(own: State, sent: Checkout | None) -> dict[str, Any]:
    package = Path(__file__).resolve().parents[1]
    root = package.parent
    if sent is None:
        commit = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
        dirty = bool(_git(root, "status", "--porcelain", "--", str(package)) if commit else None)
    else:
        commit, dirty = sent
    beside = plugins()
    facts: dict[str, Any] = {
        "schema": 1,
        "spikebench": __version__,
        "commit": commit,
        "dirty": dirty,
        "contents": {
            "spikebench": digest_of(package_files(package)),
            **{name: digest_of(file for entry in entries for file in plugin_files(entry)) for name, entries in beside.items()},
            **{path.name: digest_of(own_files.code_files(path)) for path, _ in own},
        },
        "python": ".".join(map(str, sys.version_info[:2])),
        "plugins": {
            **{name: entries[0].dist.version if entries[0].dist else "" for name, entries in beside.items()},
            **{path.name: OWN for path, _ in own},
        },
    }
    return {"source_id": digest(facts), **facts}


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The parts in which two sources differ, each with what it was and is. Another commit of the same files is no difference.

    Facts from before there were ``contents`` are told apart by what they have: version, commit and local changes.
    """
    before, after = (dict(facts.get("contents") or {}) for facts in (old, new))
    plugins = [dict(facts.get("plugins") or {}) for facts in (old, new)]
    found = []
    if before.get("spikebench") != after.get("spikebench") and (before or _commit(old) != _commit(new)):
        found.append(f"spikebench ({_commit(old)} -> {_commit(new)})")
    for name in sorted({*plugins[0], *plugins[1]}):
        versions = [str(side.get(name, "none")) for side in plugins]
        if versions[0] != versions[1]:
            found.append(f"{name} ({versions[0]} -> {versions[1]})")
        elif before and before.get(name) != after.get(name):
            found.append(f"{name} (edited)" if versions[1] == OWN else f"{name} ({versions[1]}, its files were edited)")
    if old.get("python") != new.get("python"):
        found.append(f"Python ({old.get('python')} -> {new.get('python')})")
    return found


def _commit(facts: Mapping[str, Any]) -> str:
    words = [str(facts.get("spikebench", "unknown")), str(facts.get("commit") or "")[:8]]
    return " ".join(filter(None, [*words, "with local changes" if facts.get("dirty") else ""]))


def plugins() -> dict[str, list[EntryPoint]]:
    """Distribution (or module, where there is none) -> its entry points among the registries."""
    found: dict[str, list[EntryPoint]] = {}
    for registry in REGISTRIES:
        for entry in installed().select(group=f"spikebench.{registry}"):
            found.setdefault(entry.dist.name if entry.dist else entry.module, []).append(entry)
    return dict(sorted(found.items()))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def package_version(name: str) -> str | None:
    """Installed version of a distribution without importing it; None if it is not installed."""
    from importlib.metadata import PackageNotFoundError

    try:
        return version(name)
    except PackageNotFoundError:
        return None
