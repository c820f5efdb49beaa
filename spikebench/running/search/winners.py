"""The winners of a search as suites that run them again with more seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from spikebench.core.cells import Cell
from spikebench.core.choice import plain
from spikebench.core.errors import storage_errors
from spikebench.core.store import ResultsFolder
from spikebench.core.suite import Suite
from spikebench.core.variant import VariantSpec
from spikebench.reading.model.trials import Trial

SEEDS = 5
"""As many as a t interval needs to mean something (references.md 9)."""


def write_winners(suite: Suite, store: ResultsFolder, cells: Sequence[Cell], winners: Sequence[Trial]) -> list[Path]:
    """``winners/trial-<number>.yaml`` for each; those of an earlier front are removed. Raises StorageError."""
    folder = store.path / "winners"
    paths = []
    with storage_errors(folder):
        folder.mkdir(exist_ok=True)
        for trial, cell in zip(winners, cells, strict=True):
            path = folder / f"trial-{trial.number}.yaml"
            path.write_text(winner_suite(suite, cell, trial), encoding="utf-8")
            paths.append(path)
        for old in set(folder.glob("trial-*.yaml")) - set(paths):
            old.unlink()
    return paths


def winner_suite(suite: Suite, cell: Cell, trial: Trial) -> str:
    """A suite file with this one cell, more seeds, and the suite's own measurements."""
    data: dict[str, Any] = {
        "suite": f"{suite.name}-trial-{trial.number}",
        "question": f"Does trial {trial.number} of the search {suite.name} keep what it promised on one seed?",
        "dataset": plain(suite.dataset),
        "variants": {"base": _base(cell.variant)},
        "seeds": list(dict.fromkeys([cell.seed, *range(SEEDS)])),
    }
    if cell.pretraining is not None:
        data["pretrain"] = plain(cell.pretraining.options)
    data["train"] = "none" if cell.training is None else plain(cell.training.options)
    if cell.weights is not None:
        # As the suite has it, num_heads too, which no cell keeps; a relative path would begin elsewhere.
        data["weights"] = {**suite.data["weights"], "path": cell.weights.path}
    if suite.own.paths:
        data["plugins"] = [str(path) for path in suite.own.paths]
    data["measure"] = plain(suite.measure)
    here = Path(suite.document.file).parent
    for key, names in (("energy", suite.energy), ("chips", suite.chips)):
        if names or key == "energy":
            data[key] = [str((here / name).resolve()) if name.endswith(".toml") else name for name in names]
    data["launcher"] = plain(suite.launcher)
    data |= {key: limit for key in ("job_timeout", "stall") if (limit := suite.data.get(key)) is not None}
    data["device"] = suite.device
    objectives = ", ".join(str(objective) for objective in suite.search.objectives) if suite.search else ""
    head = f"# Found by `spikebench search` for {objectives}; its trial used the seed {cell.seed}.\n"
    return head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None)


def _base(variant: VariantSpec) -> dict[str, Any]:
    """The fields that differ from a VariantSpec's defaults; the size is always said."""
    default = VariantSpec().to_plain()
    size = ("depth", "dim", "num_heads", "T")
    return {name: value for name, value in variant.meant().items() if value != default[name] or name in size}
