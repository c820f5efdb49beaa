"""Which code measured: spikebench's version, commit and the plugins beside it."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

from spikebench import __version__
from spikebench.core.cells import digest
from spikebench.core.registry import REGISTRIES


@cache
def source() -> dict[str, Any]:
    """``source_id`` and what it hashes. A checkout with changes that are not committed is ``dirty`` and hashes the changes too.

    Outside a git checkout (an installed wheel) commit is None and the version alone speaks.
    """
    root = Path(__file__).resolve().parents[2]
    package = Path(__file__).resolve().parents[1]
    commit = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    changes = _git(root, "status", "--porcelain", "--", str(package)) if commit else None
    difference = _git(root, "diff", "HEAD", "--", str(package)) if changes else None
    facts: dict[str, Any] = {
        "schema": 1,
        "spikebench": __version__,
        "commit": commit,
        "dirty": bool(changes),
        "changes": digest([changes, difference]) if changes else None,
        "python": ".".join(map(str, sys.version_info[:2])),
        "plugins": _plugins(),
    }
    return {"source_id": digest(facts), **facts}


def _plugins() -> dict[str, str]:
    found = {}
    for registry in REGISTRIES:
        for entry in entry_points(group=f"spikebench.{registry}"):
            if entry.dist is not None:
                found[entry.dist.name] = entry.dist.version
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
