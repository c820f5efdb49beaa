"""YAML with the place of every key and value, so that an error can point at its line and column."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from spikebench.core.errors import InputError, Problem

KeyPath = tuple[str | int, ...]


@dataclasses.dataclass
class Document:
    """Plain data of a YAML file, and where in the file each part stands."""

    file: str
    data: Any
    places: dict[KeyPath, tuple[int, int]]
    problems: list[Problem]

    def problem(self, path: Sequence[str | int], message: str, key: str | None = None) -> Problem:
        """A problem at ``path``; where that path is not in the file (a missing key), at the nearest part around it."""
        at = tuple(path)
        while at and at not in self.places:
            at = at[:-1]
        line, column = self.places.get(at, (1, 1))
        return Problem(message, key if key is not None else spell_path(path), self.file, line, column)


def spell_path(path: Sequence[str | int]) -> str:
    """``variants.grid.stem[1]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def read(path: str | Path) -> Document:
    """Read a YAML file. Duplicate keys are collected in ``problems``.

    Raises InputError if the file cannot be read, is not UTF-8, or is not YAML.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(Problem("no such file", file=str(path))) from None
    except IsADirectoryError:
        raise InputError(Problem("is a folder; expected a YAML file", file=str(path))) from None
    except OSError as error:
        raise InputError(Problem(f"cannot be read: {error.strerror}", file=str(path))) from None
    except UnicodeDecodeError as error:
        raise InputError(Problem(f"is not UTF-8 text (byte {error.start})", file=str(path))) from None
    return parse(text, str(path))


def parse(text: str, file: str = "<text>") -> Document:
    """As ``read``, of a text that is already there."""
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        raise InputError(Problem(f"not valid YAML: {error.reason} (character {error.position})", file=file)) from None
    try:
        node = loader.get_single_node()
        walker = _Walker(loader, Document(file, None, {}, []))
        if node is not None:
            walker.document.data = walker.convert(node, ())
        return walker.document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (None, None)
        text = " ".join(filter(None, (error.context, error.problem)))
        raise InputError(Problem(f"not valid YAML: {text}", "", file, *place)) from None
    except yaml.YAMLError as error:
        raise InputError(Problem(f"not valid YAML: {str(error).splitlines()[0]}", file=file)) from None
    finally:
        loader.dispose()


class _Walker:
    """Builds plain data from nodes and notes where each came from."""

    def __init__(self, loader: yaml.SafeLoader, document: Document) -> None:
        self.loader = loader
        self.document = document
        self._open: set[int] = set()

    def convert(self, node: yaml.Node, path: KeyPath) -> Any:
        self.document.places.setdefault(path, _place(node))
        if id(node) in self._open:
            raise yaml.MarkedYAMLError(problem="an anchor contains itself", problem_mark=node.start_mark)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.convert(child, (*path, index)) for index, child in enumerate(node.value)]
            return self.loader.construct_object(node)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self._refuse_duplicates(node, path)
        self.loader.flatten_mapping(node)
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key in out and key_node.start_mark.line < self.document.places.get((*path, key), (0, 0))[0]:
                continue
            self.document.places[(*path, key)] = _place(key_node)
            out[key] = self.convert(value_node, (*path, key))
        return out

    def _refuse_duplicates(self, node: yaml.MappingNode, path: KeyPath) -> None:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            key = self._key(key_node, path)
            if key in seen and key != "<<":
                where = _place(key_node)
                message = f"the key stands twice, first on line {seen[key]}"
                self.document.problems.append(Problem(message, spell_path((*path, key)), self.document.file, *where))
            seen.setdefault(key, _place(key_node)[0])

    def _key(self, node: yaml.Node, path: KeyPath) -> str:
        key = self.loader.construct_object(node) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(key, str):
            return key
        if isinstance(node, yaml.ScalarNode):
            # 1: and yes: are a number and a truth value in YAML 1.1; the text that stands there is what the writer meant.
            return str(node.value)
        raise yaml.MarkedYAMLError(
            problem=f"a key in {spell_path(path) or 'the file'} is not a word", problem_mark=node.start_mark
        )


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
