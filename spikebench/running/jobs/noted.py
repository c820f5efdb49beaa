"""How large the splits of a data set are, kept by whoever reads them: a report is made where the files may not be."""

from __future__ import annotations

import functools
from typing import Any

from spikebench.core.cells import digest
from spikebench.core.choice import Choice
from spikebench.core.store import ResultsFolder
from spikebench.core.variant import InputSpec


class Noted:
    """The data set itself. A split that is read (``split``, ``files``) leaves its size, shape and classes in ``results``.

    Raises, besides what the data set does, StorageError where that cannot be written.
    """

    def __init__(self, dataset: Any, choice: Choice, results: ResultsFolder) -> None:
        self._dataset, self._results = dataset, results
        self._name = choice.essential("datasets").to_plain()

    def __getattr__(self, name: str) -> Any:
        found = getattr(object.__getattribute__(self, "_dataset"), name)
        return functools.partial(self._noted, found) if name == "files" else found

    def split(self, name: str) -> Any:
        return self._noted(self._dataset.split, name)

    def _noted(self, read: Any, name: str) -> Any:
        found, inputs = read(name), self._dataset.inputs
        facts = {"dataset": self._name, "split": name, "samples": len(found), "inputs": _shape(inputs)}
        # A class of one's own may have been changed since: what counts is what was read last.
        self._results.put_facts("datasets", f"{digest(self._name)}-{name}", facts, anew=True)
        return found


def _shape(inputs: InputSpec) -> dict[str, Any]:
    shape = {"channels": inputs.channels, "size": inputs.size, "classes": inputs.classes}
    return {**shape, "events": True} if inputs.events else shape
