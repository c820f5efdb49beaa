"""YAML with the place of every key and value, so that an error can point at its line and column."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from spikebench.core.errors import InputError, Problem
from spikebench.core.text import unseen
from spikebench.core.yaml_scalars import scalar

KeyPath = tuple[str | int, ...]
DEEPEST = 100
MOST_VALUES = 100_000
"""With every alias written out. The largest suites have some thousands."""


@dataclasses.dataclass
class Document:
    """Plain data of a YAML file, and where in the file each part stands.

    ``problems``: what is wrong with single keys and values; ``broken``: the paths of those values, of which nothing more need be
    said.
    """

    file: str
    data: Any
    places: dict[KeyPath, tuple[int, int]]
    problems: list[Problem]
    broken: set[KeyPath] = dataclasses.field(default_factory=set)

    def problem(self, path: Sequence[str | int], message: str, key: str | None = None) -> Problem:
        """A problem at ``path``; where that path is not in the file (a missing key), at the nearest part around it."""
        at = tuple(path)
        while at and at not in self.places:
            at = at[:-1]
        line, column = self.places.get(at, (1, 1))
        return Problem(message, key if key is not None else spell_path(path), self.file, line, column)

    def is_broken(self, path: Sequence[str | int]) -> bool:
        """Whether a value at ``path``, or around it, has a problem of its own already."""
        return any(tuple(path[:length]) in self.broken for length in range(len(path) + 1))


def spell_path(path: Sequence[str | int]) -> str:
    """``variants.grid.stem[1]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def read(path: str | Path) -> Document:
    """Read a YAML file. Problems of single values (duplicate keys too) are collected in ``problems``.

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
    """As ``read``, of a text that is already there.

    Merge keys (``<<: *other``) and aliases are followed. A file that is nested deeper than DEEPEST, or of more than MOST_VALUES
    values, raises InputError before it costs time or memory.
    """
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        message = f"not valid YAML: the control character U+{ord(text[error.position]):04X}"
        raise InputError(Problem(message, "", file, line, column)) from None
    try:
        node = loader.get_single_node()
        walker = _Walker(loader, Document(file, None, {}, []))
        if node is not None:
            _measure(node, {}, set())
            walker.document.data = walker.convert(node, ())
        return walker.document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise InputError(Problem(f"not valid YAML: {_reworded(error)}", "", file, *place)) from None
    except yaml.YAMLError as error:
        raise InputError(Problem(f"not valid YAML: {str(error).splitlines()[0]}", file=file)) from None
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Stops at DEEPEST, since composing calls itself for every level."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {DEEPEST} levels", problem_mark=mark)
        found: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return found


def _measure(node: yaml.Node, known: dict[int, int], open_: set[int]) -> int:
    """How many values ``node`` has with its aliases written out; each node is looked at once, whatever it grows to."""
    if id(node) in open_:
        raise yaml.MarkedYAMLError(problem="an anchor contains itself", problem_mark=node.start_mark)
    if id(node) not in known:
        open_.add(id(node))
        known[id(node)] = 1 + sum(_measure(child, known, open_) for child in _children(node))
        open_.discard(id(node))
    if known[id(node)] > MOST_VALUES:
        problem = f"more than {MOST_VALUES:,} values, with its aliases written out"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    return known[id(node)]


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


class _Walker:
    """Builds plain data from nodes and notes where each came from."""

    def __init__(self, loader: yaml.SafeLoader, document: Document) -> None:
        self.loader = loader
        self.document = document
        self._told: set[int] = set()
        """Keys that stand twice, by node: a mapping that is merged in many places is wrong in one."""

    def convert(self, node: yaml.Node, path: KeyPath) -> Any:
        self.document.places.setdefault(path, _place(node))
        if isinstance(node, yaml.ScalarNode):
            value, problem = scalar(self.loader, node)
            if problem is not None:
                self._note(path, problem)
            return value
        if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self._note(path, f"{node.tag!r} is no kind of value here: write a plain list or mapping")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return [self.convert(child, (*path, index)) for index, child in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, (key_node, value_node) in self._pairs(node, path).items():
            self.document.places[(*path, key)] = _place(key_node)
            out[key] = self.convert(value_node, (*path, key))
        return out

    def _pairs(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Key -> its nodes: what is merged first, then the mapping's own, which wins, as does the first of several merged."""
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                for source in self._merged(value_node):
                    merged = {**self._pairs(source, path), **merged}
                continue
            key = self._key(key_node, path)
            if key in own:
                message = f"the key stands twice, first on line {_place(own[key][0])[0]}"
                if id(key_node) not in self._told:
                    self._told.add(id(key_node))
                    self.document.problems.append(
                        Problem(message, spell_path((*path, key)), self.document.file, *_place(key_node))
                    )
            own[key] = (key_node, value_node)
        return {**merged, **own}

    def _merged(self, node: yaml.Node) -> list[yaml.MappingNode]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                problem = "<<: merges a mapping, or a list of mappings"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=source.start_mark)
        return list(sources)

    def _key(self, node: yaml.Node, path: KeyPath) -> str:
        if isinstance(node, yaml.ScalarNode) and (bad := unseen(node.value)) is None:
            # 1: and yes: are a number and a truth value in YAML 1.1; the text that stands there is what the writer meant.
            return str(node.value)
        what = f"holds the control character {bad}" if isinstance(node, yaml.ScalarNode) else "is not a word"
        problem = f"a key in {spell_path(path) or 'the file'} {what}"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)

    def _note(self, path: KeyPath, message: str) -> None:
        self.document.problems.append(self.document.problem(path, message))
        self.document.broken.add(path)


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


_WORDS = {
    "mapping values are not allowed here": "a colon stands where no key can be: check the indentation, or put quotes around",
    "found character '\\t' that cannot start any token": "a tab: indent with spaces",
    "could not find expected ':'": "expected ':' after a key",
    "expected a single document in the stream": "a second document (---) in one file",
    "but found another document": "",
    "<stream end>": "the end of the file",
    "<block end>": "the end of a block",
    "<block mapping start>": "an indented mapping",
    "<block sequence start>": "an indented list",
    "<document start>": "---",
    "<scalar>": "a value",
}
"""PyYAML's words and ours."""


def _reworded(error: yaml.MarkedYAMLError) -> str:
    """The useful half first, then what was being read."""
    parts = [error.problem, error.context] if error.problem != "but found another document" else [error.context]
    text = ", ".join(str(part) for part in parts if part)
    for theirs, ours in _WORDS.items():
        text = text.replace(theirs, ours)
    return text
