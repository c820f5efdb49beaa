"""From the paths in a suite to components by the name of their file: what the rest of the suite's check sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spikebench.core import own_files
from spikebench.core.errors import InputError
from spikebench.core.own_files import REFERENCE, OwnFiles
from spikebench.core.registry import REGISTRIES
from spikebench.core.text import shorten
from spikebench.core.yaml_nodes import Document, KeyPath

PLACES = ("dataset", "variants", "measure", "launcher", "search", "report")
"""Keys of a suite below which components are named."""


def localise(document: Document) -> tuple[Document, OwnFiles]:
    """The suite with every ``path/my_file.py:Name`` spelled ``my_file.py:Name``, and the files that it means, which are in use
    from now on.

    Paths are relative to the suite's file; one without a folder is that of a file in ``plugins``, if one is called so. What is
    wrong with a path or a file is among the document's problems, and its value is broken.
    """
    if not isinstance(document.data, dict):
        return document, OwnFiles()
    reader = _Reader(document)
    listed = reader.listed()
    data = {key: reader.convert(value, (key,), (key,)) if key in PLACES else value for key, value in document.data.items()}
    files = OwnFiles(listed, tuple(reader.named.values()))
    own_files.use(files)
    reader.judge(files)
    if files.paths:
        # The resolved suite is kept in the results folder, from where a relative path would lead elsewhere.
        data["plugins"] = [str(path) for path in files.paths]
    return dataclasses.replace(document, data=data, places={**document.places, **reader.places}), files


def localise_values(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """As ``localise``, of plain data that is in no file, as ``{"dataset": "my_file.py:Class"}``; the files are used beside those
    that are. Raises InputError."""
    reader = _Reader(Document(str(folder / "-"), values, {}, []))
    found = {key: reader.convert(value, (key,), (key,)) for key, value in values.items()}
    if reader.document.problems:
        raise InputError(
            [dataclasses.replace(problem, file=None, line=None, column=None) for problem in reader.document.problems]
        )
    if reader.named:
        own_files.use(own_files.in_use() + OwnFiles(named=tuple(reader.named.values())))
    return found


class _Reader:
    """``places``: of what is spelled in another way than the file has it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.folder = Path(document.file).parent
        self.places: dict[KeyPath, tuple[int, int]] = {}
        self.plugins: dict[str, Path] = {}
        self.lines: dict[str, KeyPath] = {}
        self.named: dict[str, Path] = {}

    def listed(self) -> tuple[Path, ...]:
        """The files in ``plugins``; what is no list of texts is for the check of the shape to say."""
        given = self.document.data.get("plugins")
        for index, name in enumerate(given if isinstance(given, list) else []):
            if isinstance(name, str):
                self._take(name, ("plugins", index), self.plugins)
                self.lines.setdefault(Path(name).name, ("plugins", index))
        return tuple(self.plugins.values())

    def convert(self, value: Any, at: KeyPath, to: KeyPath) -> Any:
        """``value`` with its references spelled short. ``at``: its path in the file; ``to``: what that becomes."""
        if at != to and at in self.document.places:
            self.places[to] = self.document.places[at]
        if isinstance(value, str):
            return self._spell(value, at)
        if isinstance(value, list):
            return [self.convert(item, (*at, index), (*to, index)) for index, item in enumerate(value)]
        if isinstance(value, dict):
            spelled = {key: self._spell(key, at) for key in value}
            return {new: self.convert(value[old], (*at, old), (*to, new)) for old, new in spelled.items()}
        return value

    def _spell(self, text: str, at: KeyPath) -> str:
        match = REFERENCE.fullmatch(text)
        if match is None:
            return text
        name = Path(match["file"]).name
        if match["file"] not in self.plugins:
            self._take(match["file"], at, self.named)
        return f"{name}:{match['name']}"

    def _take(self, given: str, at: KeyPath, into: dict[str, Path]) -> None:
        path = (self.folder / Path(given).expanduser()).resolve()
        other = {**self.plugins, **self.named}.get(path.name, path)
        problem = ""
        if path.suffix != ".py":
            problem = f"expected a Python file (*.py), got {shorten(given)}"
        elif not path.is_file():
            problem = f"no such file: {path}"
        elif other != path:
            problem = f"{other} has the same name, and a component is known by the name of its file: rename one"
        else:
            try:
                own_files.definitions(path)
            except InputError as error:
                problem = str(error)
        if problem:
            self._note(at, problem)
        else:
            into[path.name] = path

    def judge(self, files: OwnFiles) -> None:
        """What is listed must offer something, under a name that is free."""
        for path in files.listed:
            at = self.lines[path.name]
            if self._is_named(path.name):
                continue
            names = own_files.definitions(path)
            kinds = [registry for registry in REGISTRIES.values() if registry.attribute in names]
            if not kinds:
                known = ", ".join(sorted({str(registry.attribute) for registry in REGISTRIES.values() if registry.attribute}))
                self._note(
                    at, f"{path.name} offers no component: expected a class called one of {known}, or {path.name}:NAME in use"
                )
            for registry in kinds:
                if registry.is_ours(path.stem):
                    word = f"{path.name}:{registry.attribute}"
                    taken = f"the {registry.what} {path.stem!r} is there already"
                    self._note(at, f"{taken}: rename the file, or write {word} where it is used")

    def _is_named(self, file: str) -> bool:
        return any(Path(match["file"]).name == file for match in map(REFERENCE.fullmatch, _texts(self.document.data)) if match)

    def _note(self, at: KeyPath, problem: str) -> None:
        self.document.problems.append(self.document.problem(at, problem))
        # Of a component whose name means nothing, its options mean nothing either.
        self.document.broken.add(at[:-1] if at[-1] == "name" else at)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *_texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
