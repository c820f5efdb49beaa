"""What a report needs to know of the suite that was run. The suite was checked when it ran: here nothing is checked again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from spikebench.core.errors import InputError
from spikebench.reading.model.factors import spelled_component


@dataclasses.dataclass(frozen=True)
class SuiteFacts:
    """Name, question and the parts of a suite that say how to read its results."""

    name: str = ""
    question: str = ""
    energy: Sequence[str] = ()
    baseline: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    columns: Sequence[str] = ()
    formats: Sequence[str] = ("markdown", "csv")
    check: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    grid: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> SuiteFacts:
        """From a results folder's ``suite.yaml``; without one (None) there is only the default reading.

        Raises InputError if the text is not a suite at all.
        """
        if text is None:
            return cls(energy=DEFAULT_ENERGY)
        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"suite.yaml in the results folder is damaged: {str(error).splitlines()[0]}") from error
        if not isinstance(data, Mapping):
            raise InputError("suite.yaml in the results folder is damaged: it is not a mapping")
        report = data.get("report") or {}
        return cls(
            name=str(data.get("suite", "")),
            question=str(data.get("question") or ""),
            energy=tuple(data["energy"]) if "energy" in data else DEFAULT_ENERGY,
            baseline=report.get("baseline") or {},
            columns=tuple(report.get("columns") or ()),
            formats=tuple(report["formats"]) if "formats" in report else cls.formats,
            check=data.get("check") or {},
            grid=(data.get("variants") or {}).get("grid") or {},
        )

    def rank(self, factor: str, value: Any) -> int:
        """Where a factor's value stands in the suite's grid, so that tables keep the author's order; absent ones come last."""
        values = [spelled_component(factor, item) for item in self.grid.get(factor, ())]
        bare = value.partition("(")[0] if isinstance(value, str) else value
        return next((values.index(known) for known in (value, bare) if known in values), len(values))


DEFAULT_ENERGY = ("spikformer-paper",)
"""As in the suite file's own default."""
