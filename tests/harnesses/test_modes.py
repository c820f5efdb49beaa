"""Modes that watch eager passes leave torch's compiler alone."""

import importlib
import pkgutil

from torch.utils._python_dispatch import TorchDispatchMode

import spikebench
from spikebench.activity.dispatch import ModeBesideCompiler
from spikebench.activity.eager_mode import EagerMode


def test_no_mode_of_ours_imports_the_compiler() -> None:
    """torch hides ``__torch_dispatch__`` of every mode from its compiler, importing it at the first call, unless the class says
    that it need not; that takes seconds in each process."""
    rooms = ("activity", "auditing", "harnesses")
    for module in pkgutil.walk_packages(spikebench.__path__, "spikebench."):
        if module.name.split(".")[1] in rooms:
            importlib.import_module(module.name)
    found = {cls for cls in _below(TorchDispatchMode) if cls.__module__.startswith("spikebench.")}
    ours = found - {EagerMode, ModeBesideCompiler}
    assert len(ours) >= 5
    assert [cls for cls in ours if cls._should_skip_dynamo()] == []  # type: ignore[no-untyped-call]


def _below(cls: type) -> set[type]:
    return {found for child in cls.__subclasses__() for found in (child, *_below(child))}
