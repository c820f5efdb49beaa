"""The shape of a suite file with every error in it: what has a wrong shape is set aside, and the rest is read on."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from spikebench.core.errors import nearest
from spikebench.core.suite_file import SuiteFile
from spikebench.core.wording import either, reword
from spikebench.core.yaml_nodes import KeyPath

STAND_INS = {"suite": "unnamed", "dataset": "digits"}
"""For the keys without which there is no suite, where they are missing or wrong."""


@dataclasses.dataclass
class Shape:
    """``file``: what can be read. ``problems``: what cannot, and where. ``gone``: the paths that were set aside."""

    file: SuiteFile
    problems: list[tuple[KeyPath, str]]
    gone: set[KeyPath]
    kept: dict[KeyPath, list[int]]
    """List -> the numbers, in the file, of its items that are left."""

    def place(self, path: Sequence[str | int]) -> KeyPath:
        """Where in the file a part of ``file`` stands: items that were set aside are counted there."""
        found: KeyPath = ()
        for part in path:
            kept = self.kept.get(found)
            found = (*found, kept[part] if kept is not None and isinstance(part, int) and part < len(kept) else part)
        return found

    def lacks(self, *path: str) -> bool:
        """Whether anything at, around or below ``path`` was set aside."""
        return any(gone[: len(path)] == path or path[: len(gone)] == gone for gone in self.gone)


def read_shape(data: Mapping[str, Any], broken: Iterable[KeyPath] = ()) -> Shape:
    """Check ``data`` against ``SuiteFile`` until what is left fits. ``broken``: values of which an error tells already."""
    reader = _Shaper(data)
    for path in sorted(broken, key=_last_first, reverse=True):
        reader.set_aside(path)
    while True:
        try:
            file = SuiteFile.model_validate(reader.left)
        except ValidationError as error:
            reader.note(error)
        else:
            return Shape(file, reader.problems, reader.gone, reader.kept)


class _Shaper:
    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.left: Any = copy.deepcopy(dict(data))
        self.problems: list[tuple[KeyPath, str]] = []
        self.gone: set[KeyPath] = set()
        self.kept: dict[KeyPath, list[int]] = {}

    def note(self, error: ValidationError) -> None:
        """Tell what is wrong, once for each place, and set it aside."""
        found: dict[KeyPath, list[str]] = {}
        for detail in error.errors(include_url=False):
            path, message = self._explain(detail)
            found.setdefault(path, []).append(message)
        for path, messages in found.items():
            if not any(path[:length] in self.gone for length in range(1, len(path) + 1)):
                self.problems.append((path, either(messages)))
        before = copy.deepcopy(self.left)
        for path in sorted(found, key=_last_first, reverse=True):
            self.set_aside(path)
        if self.left == before:  # a whole block that does not fit, with no part of it to blame
            for path in found:
                self.set_aside(path[:1])

    def set_aside(self, path: KeyPath) -> None:
        """Take ``path`` out of what is left. What cannot be without it goes too: a list by its last item, a block by a key."""
        self.gone.add(path)
        if len(path) <= 1:
            name = path[0] if path else ""
            if name in STAND_INS:
                self.left[name] = STAND_INS[str(name)]
            elif name not in self.left:
                raise AssertionError(f"{path} cannot be set aside")
            else:
                del self.left[name]
            return
        parent, last = self._find(path[:-1]), path[-1]
        if isinstance(parent, list) and isinstance(last, int) and len(parent) > 1:
            numbers = self.kept.setdefault(path[:-1], list(range(len(parent))))
            if last in numbers:
                del parent[numbers.index(last)]
                numbers.remove(last)
        elif isinstance(parent, dict) and last in parent and len(parent) > 1:
            del parent[last]
        elif parent is not None:
            self.set_aside(path[:-1])

    def _find(self, path: KeyPath) -> Any:
        found = self.left
        for length, part in enumerate(path):
            if isinstance(found, list) and isinstance(part, int):
                numbers = self.kept.get(path[:length], range(len(found)))
                if part not in numbers:
                    return None
                part = list(numbers).index(part)
            elif not isinstance(found, dict) or part not in found:
                return None
            found = found[part]
        return found

    def _explain(self, detail: Mapping[str, Any]) -> tuple[KeyPath, str]:
        path = self._path(detail)
        if detail["type"] == "extra_forbidden":
            return path, f"unknown key {str(path[-1])!r}{nearest(path[-1], _fields(SuiteFile, path[:-1]))}"
        return path, reword(detail)

    def _path(self, detail: Mapping[str, Any]) -> KeyPath:
        """Where in the file: pydantic also names the alternatives that it tried, which are no keys."""
        path: KeyPath = ()
        here: Any = self.data
        for part in detail["loc"]:
            number = self.kept[path][part] if isinstance(part, int) and path in self.kept else part
            known = range(len(here)) if isinstance(here, list) else here if isinstance(here, Mapping) else ()
            if number in known:
                here = here[number]
            elif detail["type"] != "missing" or part != detail["loc"][-1]:
                continue
            path = (*path, number)
        return path


def _last_first(path: KeyPath) -> list[tuple[bool, int, str]]:
    """Sorts items of one list by their number."""
    return [(isinstance(part, int), part if isinstance(part, int) else 0, str(part)) for part in path]


def _fields(model: Any, path: Sequence[str | int]) -> list[str]:
    """The keys of the block at ``path``; none where anything goes."""
    for part in path:
        if get_origin(model) is dict:
            model = get_args(model)[-1]
        else:
            model = getattr(model.model_fields.get(part), "annotation", None)
            if get_origin(model) is not dict:  # a block that may be left out is `Block | None`
                model = next((inner for inner in get_args(model) if hasattr(inner, "model_fields")), model)
        if not hasattr(model, "model_fields") and get_origin(model) is not dict:
            return []
    return [field.alias or name for name, field in model.model_fields.items()] if hasattr(model, "model_fields") else []
