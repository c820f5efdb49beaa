"""Options from a signature: what ``make(inputs, dim=64)`` takes by keyword is what a suite may set, and is checked."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection
from typing import Any, get_type_hints

from spikebench.core.errors import InputError


def options_of(function: Callable[..., Any], name: str, without: Collection[str]) -> type:
    """A frozen dataclass of the parameters of ``function`` but those in ``without``; ``**options`` says nothing of its own.

    A parameter has the type of its annotation; without one, of its default; without either, any. Raises InputError for a
    parameter that cannot be given by keyword.
    """
    fields: list[Any] = []
    hints = _hints(function)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in without or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise InputError(f"{name}: {parameter.name} cannot be given by keyword, as options are: move it before the slash")
        kind = _usable(hints.get(parameter.name, _kind_of(parameter.default)))
        fields.append((parameter.name, kind, *_default(parameter)))
    # What must be given first: a dataclass wants them in this order, and keywords have none.
    fields.sort(key=len)
    return dataclasses.make_dataclass("Options", fields, frozen=True)


class Factory:
    """A network family from ``make(inputs, **options) -> nn.Module``; ``T`` among its parameters is the variant's.

    ``takes``: the fields of a variant that mean something to it.
    """

    def __init__(self, make: Callable[..., Any], name: str) -> None:
        parameters = [*inspect.signature(make).parameters]
        if not parameters:
            raise InputError(f"{name} must take the inputs (an InputSpec: channels, size, classes) first: {name}(inputs, ...)")
        self.make, self.name = make, name
        self.takes = frozenset({"T"}.intersection(parameters))
        self.version = getattr(make, "version", 1)
        self.Options = options_of(make, name, {parameters[0], "T"})

    def __call__(self, options: Any, spec: Any, inputs: Any) -> Any:
        given = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
        module = self.make(inputs, **given, **{field: getattr(spec, field) for field in self.takes})
        if not self.takes and getattr(module, "T", 1) != 1:
            raise InputError(
                f"{self.name} makes a network of T = {module.T} time steps: give it a parameter T, for suites to set"
            )
        return module


def as_family(member: Any, name: str) -> Any:
    """``member`` where it is a family as ours are, ``(options, spec, inputs)``; a Factory of it else."""
    if hasattr(member, "Options") or [*inspect.signature(member).parameters][:3] == ["options", "spec", "inputs"]:
        return member
    return Factory(member, name)


def as_dataset(member: Any, name: str) -> Any:
    """``member`` where it takes ``options`` as ours do; else a class beside it that takes them and hands them on by keyword."""
    if hasattr(member, "Options") or not isinstance(member, type):
        return member

    start: Callable[..., None] = getattr(member, "__init__")  # noqa: B009 - of a class that is only known when it is read

    def begin(self: Any, options: Any) -> None:
        start(self, **{field.name: getattr(options, field.name) for field in dataclasses.fields(options)})
        self.options = options

    options = options_of(member, name, ())
    return type(member.__name__, (member,), {"Options": options, "__init__": begin, "__module__": member.__module__})


ADAPTED = {"families": as_family, "datasets": as_dataset}
"""Registry -> what makes a member of something simpler."""


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(getattr(function, "__init__") if isinstance(function, type) else function)  # noqa: B009
    except Exception:  # an annotation that is only there for type checkers
        return {}


def _kind_of(default: Any) -> Any:
    return Any if default is inspect.Parameter.empty or default is None else type(default)


def _usable(kind: Any) -> Any:
    """``kind``; any where it is none of what a suite can spell (a torch.dtype, a function)."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

    try:
        TypeAdapter(kind)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return Any
    return kind


def _default(parameter: inspect.Parameter) -> tuple[Any, ...]:
    value = parameter.default
    if value is parameter.empty:
        return ()
    return (dataclasses.field(default_factory=lambda: value) if isinstance(value, (list, dict, set)) else value,)
