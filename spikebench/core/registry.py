"""The folder is the registry: a component's file name is its name, the first line of its docstring its description.

Listing reads files with ``ast`` and imports nothing of them, so that ``--help`` and ``list`` need no torch. A member is imported
when it is asked for. Packages of others add members through the entry-point group ``spikebench.<registry>``, a suite through
files of its own (``core.own_files``).
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from spikebench.core import own_files
from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.signatures import ADAPTED

_ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """The options of a component that has none."""


class Registry:
    """One kind of component.

    ``package``: dotted package below ``spikebench`` whose files are the members. ``attribute``: the name that every member's
    module gives to the component (``class Attention``); None where members are data files that are read, not imported.
    ``needs``: what a member's class must have, in words between blanks; ``spikebench.testing`` has a contract for the rest.
    ``suffix``: the members' file ending. ``dashes``: names have dashes where files have underscores (``cifar10-dvs``).
    """

    def __init__(
        self,
        name: str,
        package: str,
        attribute: str | None,
        what: str,
        needs: str = "",
        suffix: str = ".py",
        dashes: bool = False,
    ) -> None:
        self.name = name
        self.dashes = dashes
        self.needs = needs.split()
        self.package = package
        self.attribute = attribute
        self.what = what
        self.suffix = suffix
        self._modules: dict[str, ModuleType] = {}
        self._own_members: dict[str, tuple[ModuleType, Any]] = {}

    @cached_property
    def folder(self) -> Path:
        return _ROOT.joinpath(*self.package.split("."))

    def names(self) -> list[str]:
        """All members, our own, those of installed packages and those that a suite's own files offer, sorted."""
        return sorted({*self._files(), *self._plugins(), *self._offered()})

    def is_ours(self, name: str) -> bool:
        """Whether a member of this name is there whatever suite is read."""
        return name in self._files() or name in self._plugins()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (self.is_ours(name) or self._own(name) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def origin(self, name: str) -> str:
        """``spikebench``, or the name of the installed package, or of the file, that brings the member."""
        self._require(name)
        if name in self._files():
            return "spikebench"
        plugin = self._plugins().get(name)
        if plugin is None:
            return self._of_own_file(name)[0].name
        return plugin.dist.name if plugin.dist else plugin.value

    def describe(self, name: str) -> str:
        """The first line of the member's documentation, read without importing it (its parent package apart)."""
        path = self.path(name)
        if path is None:
            return ""
        if not self.is_ours(name):
            return own_files.description(*self._of_own_file(name))
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            doc = ast.get_docstring(ast.parse(text)) or ""
        else:
            comments = (line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
            doc = next(comments, "")
        return doc.strip().split("\n", 1)[0]

    def path(self, name: str) -> Path | None:
        """The file of a member; None where a plugin's source cannot be found."""
        self._require(name)
        if name in self._files():
            return self._files()[name]
        if name not in self._plugins():
            return self._of_own_file(name)[0]
        spec = importlib.util.find_spec(self._plugins()[name].module)
        return Path(spec.origin) if spec and spec.origin and Path(spec.origin).exists() else None

    def get(self, name: str) -> Any:
        """Import a member.

        Raises InputError for an unknown name, naming the nearest one, and for a plugin or file that cannot be imported.
        """
        if self.attribute is not None and name in self._modules:  # ten thousand cells ask for the same few
            return getattr(self._modules[name], self.attribute)
        self._require(name)
        if name in self._files():
            if self.attribute is None:
                return self._files()[name]
            module = importlib.import_module(f"spikebench.{self.package}.{_module_name(name)}")
            if not hasattr(module, self.attribute):
                raise InputError(f"{self.what} {name!r} cannot be used: its file has no {self.attribute}")
            self._fit(name, getattr(module, self.attribute))
            self._modules[name] = module
            return getattr(module, self.attribute)
        if name not in self._plugins():
            return self._own_member(name, *self._of_own_file(name))
        try:
            member = self._plugins()[name].load()
        except Exception as error:  # a plugin is somebody else's code: whatever it raises is bad input to us
            raise InputError(f"{self.what} {name!r} of {self.origin(name)} cannot be loaded: {error!r}") from error
        return self._adapted(name, member)

    def _own_member(self, name: str, path: Path, attribute: str) -> Any:
        module = own_files.load(path)
        if not hasattr(module, attribute):
            raise InputError(f"{path} has no {attribute!r}{nearest(attribute, vars(module))}")
        # Options are told apart by the class that they are of: one module has one.
        if self._own_members.get(name, (None,))[0] is not module:
            self._own_members[name] = (module, self._adapted(name, getattr(module, attribute)))
        return self._own_members[name][1]

    def _adapted(self, name: str, member: Any) -> Any:
        if self.name in ADAPTED and callable(member):
            member = ADAPTED[self.name](member, name)
        return self._fit(name, member)

    def _fit(self, name: str, member: Any) -> Any:
        """The member, if it has what its kind needs. Raises InputError that names what is missing."""
        missing = [need for need in self.needs if not hasattr(member, need)]
        if missing or not callable(member):
            lacks = f"it lacks {', '.join(missing)}" if missing else "it cannot be called"
            raise InputError(f"{self.what} {name!r} of {self.origin(name)} cannot be used: {lacks}")
        return member

    def version(self, name: str) -> int:
        """What a member says that it means by now; 1 if it says nothing. Raises InputError for anything but a whole number."""
        version = getattr(self.get(name), "version", 1)
        if type(version) is not int:
            raise InputError(
                f"{self.what} {name!r} of {self.origin(name)} cannot be used: its version is {version!r}, no integer"
            )
        return version

    def options(self, name: str) -> type:
        """The frozen dataclass of a member's options."""
        return getattr(self.get(name), "Options", NoOptions)

    def _offered(self) -> Mapping[str, Path]:
        """What the files that a suite lists offer, by their names."""
        listed = own_files.in_use().listed if self.attribute else ()
        return {path.stem: path for path in listed if self.attribute in own_files.definitions(path)}

    def _own(self, name: str) -> tuple[Path, str] | None:
        if self.attribute is None:
            return None
        path = self._offered().get(name)
        return own_files.find(name) if path is None else (path, self.attribute)

    def _of_own_file(self, name: str) -> tuple[Path, str]:
        found = self._own(name)
        assert found is not None, "required before"
        return found

    def _require(self, name: str) -> None:
        if name not in self:
            raise InputError(Problem(f"unknown {self.what} {name!r}{nearest(name, self.names())}"))

    def _files(self) -> Mapping[str, Path]:
        return _files(self.folder, self.suffix, self.dashes)

    def _plugins(self) -> Mapping[str, EntryPoint]:
        return _plugins(f"spikebench.{self.name}")


def _module_name(name: str) -> str:
    """Python's own words cannot be file names that are imported by statement; ``if`` lives in ``if_.py``."""
    import keyword

    return (f"{name}_" if keyword.iskeyword(name) else name).replace("-", "_")


@cache
def _files(folder: Path, suffix: str, dashes: bool = False) -> Mapping[str, Path]:
    if not folder.is_dir():
        return {}
    found = (path for path in folder.iterdir() if path.suffix == suffix and not path.name.startswith("_"))
    if suffix == ".py":
        # A trailing underscore keeps a Python keyword importable (`if_.py` is the neuron `if`).
        names = ((path.stem.removesuffix("_"), path) for path in found)
        return {name.replace("_", "-") if dashes else name: path for name, path in names}
    return {path.stem: path for path in found}


@cache
def _plugins(group: str) -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in installed().select(group=group)}


@cache
def installed() -> Any:
    """What ``entry_points()`` gives, for ``select``: one look at the disk, which takes as long as one for a single group."""
    return entry_points()


def is_stage(harness: str) -> bool:
    """Whether this harness makes weights: training and pre-training have keys of their own in a suite and run first."""
    return bool(getattr(REGISTRIES["harnesses"].get(harness), "stage", False))


def _table(*registries: Registry) -> dict[str, Registry]:
    return {registry.name: registry for registry in registries}


REGISTRIES: Mapping[str, Registry] = _table(
    Registry("families", "networks.families", "Family", "network family"),
    Registry("stems", "networks.stems", "Stem", "stem", "forward emits_potentials"),
    Registry("attentions", "networks.attentions", "Attention", "attention", "forward"),
    Registry("residuals", "networks.residuals", "Residual", "residual", "forward neuron_first binary_only"),
    Registry("neurons", "networks.neurons", "Neuron", "neuron", "forward emits"),
    Registry("surrogates", "kernels.surrogates", "Surrogate", "surrogate gradient", "gradient primitive"),
    Registry("encodings", "networks.encodings", "Encoding", "encoding", "forward"),
    Registry("positions", "networks.positions", "Position", "position embedding"),
    Registry("heads", "networks.heads", "Head", "classification head", "forward loss"),
    Registry("recipes", "training.recipes", None, "recipe", suffix=".yaml"),
    Registry("presets", "networks.presets", None, "preset", suffix=".yaml"),
    Registry("datasets", "data", "Dataset", "data set", "split", dashes=True),
    Registry("harnesses", "harnesses", "Harness", "harness", "run metrics version needs_weights exclusive resumes"),
    Registry("backends", "kernels.lif", "Backend", "LIF backend", "forward why_not"),
    Registry("launchers", "running.launchers", "Launcher", "launcher", "run alone"),
    Registry("checks", "auditing.checks", "Check", "audit check", "order title"),
    Registry("exports", "running.exports", "Export", "export format", "write"),
    Registry("profiles", "derived.profiles", None, "energy profile", suffix=".toml"),
    Registry("chips", "derived.chips", None, "chip", suffix=".toml"),
    Registry("derivations", "derived.derivations", "Derivation", "derivation", "metrics"),
    Registry("published", "reading.published", None, "published results table", suffix=".csv"),
    Registry("sections", "reading.reports.sections", "Section", "report section", "order title"),
    Registry("formats", "reading.reports.formats", "Format", "report format", "write"),
)
