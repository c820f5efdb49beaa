"""What a suite expands into: cells (networks with their training) and jobs (what is done to each), and their ids."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from spikebench.core.choice import Choice, plain
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import VariantSpec


def digest(data: Any) -> str:
    """16 hexadecimal digits that change if and only if the plain data does (key order apart)."""
    text = json.dumps(plain(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Weights:
    """Given weights: somebody else's checkpoint. ``sha256`` of the file is the identity, the path only how to find it.

    ``quirks``: the faults of the released code that are reproduced, by name, with commas; ``none``; "" where it has none known.
    """

    path: str
    layout: str
    sha256: str
    ema: bool = False
    quirks: str = ""

    def identity(self) -> dict[str, Any]:
        quirks = {"quirks": self.quirks} if self.quirks not in ("", "none") else {}
        return {"layout": self.layout, "sha256": self.sha256, **({"ema": True} if self.ema else {}), **quirks}

    def to_plain(self) -> dict[str, Any]:
        """As ``cells/<cell_id>.json`` stores it."""
        found = dataclasses.asdict(self)
        return found if self.quirks else {key: value for key, value in found.items() if key != "quirks"}


@dataclasses.dataclass(frozen=True)
class Cell:
    """Variant + data set + training (or given weights) + seed: which trained network this is.

    ``training``: options of the harness ``train``; None if the weights stay as they are initialised (or as given).
    ``pretraining``: options of the harness ``pretrain``.
    """

    variant: VariantSpec
    dataset: Choice
    training: Choice | None
    seed: int
    pretraining: Choice | None = None
    weights: Weights | None = None

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """What ids hash, the seed apart."""
        identity: dict[str, Any] = {
            "variant": self.variant.canonical(),
            "dataset": {
                **self.dataset.canonical("datasets"),
                "version": getattr(REGISTRIES["datasets"].get(self.dataset.name), "version", 1),
            },
        }
        for stage in (self.pretraining, self.training):
            if stage is not None:
                version = REGISTRIES["harnesses"].get(stage.name).version
                identity[stage.name] = {**stage.canonical("harnesses"), "version": version}
        if self.weights is not None:
            identity["weights"] = self.weights.identity()
        return identity

    @cached_property
    def pretraining_cell(self) -> Cell | None:
        """The cell whose job the pre-training is: itself pre-trained and nothing else, so that all cells which differ in what
        comes afterwards (training, head, T) share it. None without a pre-training.
        """
        if self.pretraining is None:
            return None
        T = self.pretraining.resolve("harnesses").T or self.variant.T
        variant = dataclasses.replace(self.variant, head=VariantSpec().head, T=T)
        options = {name: value for name, value in self.pretraining.options.items() if name != "T"}
        return Cell(variant, self.dataset, None, self.seed, Choice(self.pretraining.name, options))

    @cached_property
    def group_id(self) -> str:
        """The cell without its seed: one row of a table."""
        return digest(self._identity)

    @cached_property
    def cell_id(self) -> str:
        """The key of the cell's weights: hashes the variant, data, training with its code version, and the seed."""
        return digest({**self._identity, "seed": self.seed})

    @cached_property
    def _versions(self) -> dict[str, int]:
        return self.variant.versions()

    @cached_property
    def meant(self) -> dict[str, Any]:
        """``variant.meant()``, which imports the family, kept."""
        return self.variant.meant()

    @property
    def is_own(self) -> bool:
        """Whether the network is somebody's own, which has no stem, width and depth that we know of."""
        return "stem" not in self.meant

    def known(self) -> Cell:
        """The same cell, with all kept that its components must be imported for; sent to another process, it goes along."""
        for cell in filter(None, (self, self.pretraining_cell)):
            _ = cell.group_id, cell.cell_id, cell._versions, cell.meant
        return self

    def with_seed(self, seed: int) -> Cell:
        """The same with another seed; what a seed changes nothing of is worked out once for both."""
        other = dataclasses.replace(self, seed=seed)
        same = {name: getattr(self, name) for name in ("_identity", "_versions", "meant", "group_id")}
        before = self.pretraining_cell
        if before is not None and before != self:  # a pre-training's own is itself
            same["pretraining_cell"] = before.with_seed(seed)
        other.__dict__.update(same)
        return other

    def to_plain(self) -> dict[str, Any]:
        """All of it, ids and defaults included, as ``cells/<cell_id>.json`` stores it."""
        return {"schema": 1, "cell_id": self.cell_id, "group_id": self.group_id, **self.facts()}

    def facts(self) -> dict[str, Any]:
        """What it is, without the ids, which take a hash."""
        return {
            "variant": self.meant,
            **({"versions": self._versions} if self._versions else {}),
            "dataset": self.dataset.essential("datasets").to_plain(),
            "training": None if self.training is None else self.training.essential("harnesses").to_plain(),
            "pretraining": None if self.pretraining is None else self.pretraining.essential("harnesses").to_plain(),
            "weights": None if self.weights is None else self.weights.to_plain(),
            "seed": self.seed,
        }

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Cell:
        def choice(key: str) -> Choice | None:
            return None if data.get(key) is None else Choice.parse(data[key])

        return cls(
            variant=VariantSpec.from_mapping(data["variant"]),
            dataset=Choice.parse(data["dataset"]),
            training=choice("training"),
            pretraining=choice("pretraining"),
            weights=None if data.get("weights") is None else Weights(**data["weights"]),
            seed=data["seed"],
        )


@dataclasses.dataclass(frozen=True)
class Job:
    """A cell, one harness with its options, and the kind of device (``cpu``, ``cuda``) that it runs on."""

    cell: Cell
    harness: Choice
    device: str = "cpu"

    @cached_property
    def job_id(self) -> str:
        """Hashes cell, harness, harness version, options and device kind; adding another harness changes no other job."""
        version = REGISTRIES["harnesses"].get(self.harness.name).version
        harness = {**self.harness.canonical("harnesses"), "version": version}
        return digest({"cell": self.cell.cell_id, "harness": harness, "device": self.device})

    def header(self) -> dict[str, Any]:
        """The first line of the job's file, without schema, machine and source."""
        return {
            "job_id": self.job_id,
            "cell_id": self.cell.cell_id,
            "harness": self.harness.name,
            "harness_version": REGISTRIES["harnesses"].get(self.harness.name).version,
            "options": plain(self.harness.resolve("harnesses")),
            "device": self.device,
        }
