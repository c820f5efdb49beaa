"""Components in files of one's own: ``my_file.py:Name`` where a suite names a component, or a file in its ``plugins``.

A component is known by the name of its file, wherever that lies, so that ids are the same on every machine. A file that is listed
offers what a file of that name would in our folders: ``mine.py`` with a class ``Attention`` is the attention ``mine``.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

from spikebench.core.errors import InputError, nearest

Stamp = tuple[int, int]
"""When a file was last written, and its size: what was made of it is made again when these change."""
Stamps = tuple[Stamp, ...]
State = tuple[tuple[Path, Stamps], ...]
REFERENCE = re.compile(r"(?P<file>[^:]*[^:/\\]\.py):(?P<name>[A-Za-z_]\w*)")
"""``path/to/my_file.py:Name``; no drive letters, which hold a colon."""


@dataclasses.dataclass(frozen=True)
class OwnFiles:
    """``listed``: whose classes are components by the file's name. ``named``: of which single names are used."""

    listed: tuple[Path, ...] = ()
    named: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((*self.listed, *self.named)))

    def __add__(self, others: OwnFiles) -> OwnFiles:
        """Both; of two files of one name, the other one's."""
        taken = {path.name for path in others.paths}
        kept = [tuple(path for path in paths if path.name not in taken) for paths in (self.listed, self.named)]
        return OwnFiles(kept[0] + others.listed, kept[1] + others.named)


_used = OwnFiles()


def use(files: OwnFiles) -> None:
    """From now on these, and no others, are where this process finds components of one's own."""
    global _used
    for folder in _folders_of(_used):
        if folder in sys.path:
            sys.path.remove(folder)
    # At the end: for what is imported late, inside functions. It must not hide installed packages.
    sys.path.extend(folder for folder in _folders_of(files) if folder not in sys.path)
    _used = files


def _folders_of(files: OwnFiles) -> list[str]:
    return list(dict.fromkeys(str(path.parent) for path in files.paths))


def in_use() -> OwnFiles:
    return _used


def state() -> State:
    """The files in use as they are now: what was made of them holds as long as this is the same."""
    return tuple((path, _stamps(path)) for path in _used.paths)


def find(reference: str) -> tuple[Path, str] | None:
    """File and name that ``my_file.py:Name`` means; None if it is no reference to a file in use.

    Raises InputError where the file has no such name.
    """
    match = REFERENCE.fullmatch(reference)
    path = next((path for path in _used.paths if match and path.name == match["file"]), None)
    if match is None or path is None:
        return None
    found = definitions(path)
    if "*" not in found and match["name"] not in found:
        raise InputError(f"{path} has no {match['name']!r}{nearest(match['name'], found)}")
    return path, match["name"]


def definitions(path: Path) -> frozenset[str]:
    """The names that a file gives to anything at its top level, read without running it; ``*`` if it imports all of another's.

    Raises InputError for a file that cannot be read or is not Python.
    """
    return _definitions(path, _stamp(path))


def description(path: Path, name: str) -> str:
    """The first line of what a file says of ``name``; of the file itself where it says nothing."""
    tree = _tree(path, _stamp(path))
    own = [node for node in tree.body if getattr(node, "name", None) == name]
    docs = [ast.get_docstring(node) for node in (*own, tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.Module))]
    return next((doc for doc in docs if doc), "").strip().split("\n", 1)[0]


def emitters(path: Path) -> Iterator[str]:
    """Classes of the file that declare ``metrics``: harnesses of one's own. Nothing is run."""
    for node in _tree(path, _stamp(path)).body:
        if isinstance(node, ast.ClassDef) and "metrics" in {name for part in node.body for name in _bound(part)}:
            yield node.name


def load(path: Path) -> ModuleType:
    """The file as a module, run once as long as it is not edited. Modules beside it can be imported, as in a script.

    Raises InputError for whatever the file raises, with the line.
    """
    return _load(path, _stamps(path))


@cache
def _load(path: Path, stamps: Stamps) -> ModuleType:
    name = f"spikebench_own_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for the names in annotations
    folder = str(path.parent)
    _forget_beside(path)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # somebody else's code: whatever it raises is bad input to us
        del sys.modules[name]
        why = str(error) if isinstance(error, InputError) else f"cannot be imported: {error!r}"
        raise InputError(f"{path}{_line(error, path)}: {why}") from error
    finally:
        sys.path.remove(folder)
    return module


_folders: set[Path] = set()
"""Where files of one's own were loaded from."""


def _forget_beside(path: Path) -> None:
    """Modules beside the file are run again with it, since they may have been edited, or be another folder's of the same name."""
    _folders.add(path.parent)
    for name, _ in code_files(path):
        top = name.partition("/")[0].removesuffix(".py")
        for module in [known for known in sys.modules if known.partition(".")[0] == top]:
            origin = getattr(sys.modules[module], "__file__", None)
            if origin is not None and not _folders.isdisjoint(Path(origin).parents):
                del sys.modules[module]


def _line(error: BaseException, path: Path) -> str:
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f":{lines[-1]}" if lines else ""


def code_files(path: Path) -> Iterator[tuple[str, Path]]:
    """The file, and the modules beside it that it imports, and those that they do: what it computes depends on all of them."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in seen or (file != path and not file.is_file()):
            continue
        seen.add(file)
        yield file.relative_to(path.parent).as_posix(), file
        try:
            waiting += _beside(file, _stamp(file), path.parent)
        except InputError:  # it is not what is named; who imports it will say
            continue


def _stamps(path: Path) -> Stamps:
    return tuple(_stamp(file) for _, file in code_files(path))


@cache
def _beside(file: Path, stamp: Stamp, folder: Path) -> tuple[Path, ...]:
    return tuple(_imported(_tree(file, stamp), folder))


def _imported(tree: ast.Module, folder: Path) -> Iterator[Path]:
    """Files below ``folder`` that ``import`` finds there."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for top in {name.partition(".")[0] for name in names}:
            if (folder / f"{top}.py").is_file():
                yield folder / f"{top}.py"
            elif (folder / top).is_dir():
                yield from sorted((folder / top).rglob("*.py"))


def _stamp(path: Path) -> Stamp:
    try:
        facts = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return facts.st_mtime_ns, facts.st_size


@cache
def _definitions(path: Path, stamp: Stamp) -> frozenset[str]:
    return frozenset(_names(_tree(path, stamp).body))


@cache
def _tree(path: Path, stamp: Stamp) -> ast.Module:
    try:
        return ast.parse(path.read_bytes().decode("utf-8-sig"), str(path))
    except SyntaxError as error:
        raise InputError(f"{path}:{error.lineno}: is not Python: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except ValueError as error:
        raise InputError(f"{path}: is not Python: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _names(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        yield from _bound(node)
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            handlers = [handler.body for handler in getattr(node, "handlers", [])]
            for part in (node.body, getattr(node, "orelse", []), getattr(node, "finalbody", []), *handlers):
                yield from _names(part)


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))
