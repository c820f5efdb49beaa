"""Every operator that torch dispatches in a pass, backward included, by the innermost module that asked for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.module_tracker import ModuleTracker

from spikebench.activity.eager_mode import EagerMode

GLOBAL = "Global"
"""What ModuleTracker calls that which no module asked for."""
UNTOUCHED = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"})


@dataclass
class Calls:
    """Module path -> how many, in the order of their first call; "" is what no submodule asked for."""

    calls: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)


def calls_of(run: Callable[[], object]) -> Calls:
    """What ``run`` dispatches. The backward pass of a module is the module's."""
    found = Calls()
    with ModuleTracker() as tracker, _Listener(tracker, found):
        run()
    return found


class _Listener(EagerMode):
    def __init__(self, tracker: ModuleTracker, found: Calls) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tracker, self.found = tracker, found

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        name = max(self.tracker.parents, key=len, default=GLOBAL)
        path = "" if self.tracker.parents <= {GLOBAL} else name.partition(".")[2]
        self.found.calls[path] += 1
        self.found.bytes[path] += moved(function, [*tree_leaves(args), *tree_leaves(kwargs)], tree_leaves(output))
        return output


def moved(function: Any, inputs: list[Any], outputs: list[Any]) -> int:
    """Bytes that an operator reads and writes, each tensor once; 0 for a view, and for one that fills nothing."""
    given, made = list(_tensors(inputs)), list(_tensors(outputs))
    if function._schema.name.partition("::")[2] in UNTOUCHED:
        return 0
    storages = {_storage(tensor) for tensor in given}
    if made and not function._schema.is_mutable and all(_storage(tensor) in storages for tensor in made):
        return 0
    return sum(_size(tensor) for tensor in (*given, *made))


def _tensors(values: list[Any]) -> Iterator[Tensor]:
    return (value for value in values if isinstance(value, Tensor))


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _size(tensor: Tensor) -> int:
    """Of an expanded tensor what there is to read."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
