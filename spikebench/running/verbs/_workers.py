"""Who did what where, by a results folder's log and its unfinished files: while a driver works there, and after it died."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spikebench.core import json_text
from spikebench.core.records import Record
from spikebench.running.run.standing import SHOWN

BEGINS = ("run", "search")
"""Events of the log with which a driver begins."""
LINES = 3
"""Epochs of a running training that are shown."""


@dataclasses.dataclass(frozen=True)
class Begun:
    """``node`` and ``worker``: as the launcher told them apart. ``at``: when the job began, seconds since the epoch."""

    job_id: str
    node: str
    worker: str
    at: float

    @property
    def where(self) -> str:
        return f"{self.node}/{self.worker}"


def begun_by_last_driver(folder: Path) -> list[Begun]:
    """The last job of each worker that the folder's last driver had, by worker; empty where its launcher has none, or no log."""
    last: dict[tuple[str, str], Begun] = {}
    try:
        lines = (folder / "log.jsonl").read_bytes().split(b"\n")
    except OSError:
        return []
    for line in lines:
        try:
            data = json_text.parse_object(line.decode())
            if data["event"] in BEGINS:
                last.clear()
            elif data["event"] == "started":
                at = datetime.datetime.strptime(data["time"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
                node, worker = str(data["node"]), str(data["worker"])
                last[node, worker] = Begun(str(data["job_id"]), node, worker, at)
        except (ValueError, KeyError, TypeError):  # torn, or somebody else's
            continue
    return [last[key] for key in sorted(last, key=_natural)]


def _natural(key: tuple[str, str]) -> tuple[str, int, str]:
    node, worker = key
    return node, int(worker) if worker.isdecimal() else 0, worker


def told(records: Sequence[Record]) -> list[str]:
    """What a job has said of its last epochs, a line each."""
    epochs: dict[int, list[str]] = {}
    for record in records:
        epoch = record.conditions.get("epoch")
        if record.metric in SHOWN and isinstance(epoch, int) and record.value is not None:
            epochs.setdefault(epoch, []).append(SHOWN[record.metric](record.value))
    return [f"epoch {epoch}: {', '.join(epochs[epoch])}" for epoch in sorted(epochs)[-LINES:]]


def network(folder: Path, cell_id: str) -> str:
    """A cell in a few words, ``sps/ssa 2-64 T=4 seed=0``; "" where the folder does not say."""
    try:
        facts = json_text.parse((folder / "cells" / f"{cell_id}.json").read_text(encoding="utf-8"))
        variant = facts["variant"]
        what = str(variant["family"])
        if "stem" in variant:
            what = f"{_name(variant['stem'])}/{_name(variant['attention'])} {variant['depth']}-{variant['dim']}"
        return f"{what} T={variant['T']} seed={facts['seed']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _name(component: str | Mapping[str, Any]) -> str:
    return component if isinstance(component, str) else str(component["name"])
