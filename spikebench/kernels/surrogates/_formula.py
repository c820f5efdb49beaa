"""What every surrogate is, and how its one equation becomes code for torch, numba or Triton."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, ClassVar

from spikebench.core.choice import Choice, build_options
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES, NoOptions

Scalar = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Slope:
    """What most surrogates have to choose: ``alpha`` > 0. A subclass gives the default and says what it is of the curve."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"alpha must be above 0, got {self.alpha}")


class Formula:
    """A surrogate with its options: ``gradient(z, *arguments)`` stands for dS/dH at z = H - v_threshold.

    A subclass names its frozen ``Options`` (numbers only) and two static methods that take z and then the options in
    their order: ``gradient``, and ``primitive``, the smooth step whose derivative it is. Both may use operators,
    float literals (an integer literal would make numba leave float32) and what is imported by name from
    ``surrogates._math``; nothing else.
    """

    Options: ClassVar[type] = NoOptions
    gradient: ClassVar[Scalar]
    primitive: ClassVar[Scalar]

    def __init__(self, options: Any = None, /, **given: float) -> None:
        """``options``: an instance of ``Options``; or give its fields by name. Raises InputError for a wrong one."""
        self.options = options if options is not None else build_options(self.Options, given, owner=self.name)
        self.key = json.dumps({"name": self.name, **dataclasses.asdict(self.options)})

    @property
    def name(self) -> str:
        """The name in the registry."""
        return type(self).__module__.rpartition(".")[2].removesuffix("_")

    @property
    def arguments(self) -> tuple[float, ...]:
        """The options' values in order, as ``gradient`` takes them after z."""
        return tuple(float(getattr(self.options, field.name)) for field in dataclasses.fields(self.options))

    def bind(self, equation: str, functions: Mapping[str, Any]) -> FunctionType:
        """``gradient`` or ``primitive`` as a function of z and the options, with ``functions`` in place of
        ``surrogates._math``.
        """
        scalar = getattr(type(self), equation)
        return FunctionType(scalar.__code__, {**scalar.__globals__, **functions}, scalar.__name__)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.options == getattr(other, "options", None)

    def __hash__(self) -> int:
        return hash((type(self), self.options))

    def __repr__(self) -> str:
        return str(Choice(self.name, dataclasses.asdict(self.options)))


def resolve(surrogate: str | Mapping[str, Any] | Choice | Formula) -> Formula:
    """A surrogate from its name, a suite's spelling with options, a Choice, its ``key``, or itself. Raises
    InputError.
    """
    if isinstance(surrogate, Formula):
        return surrogate
    if isinstance(surrogate, str) and surrogate.startswith("{"):
        surrogate = json.loads(surrogate)  # a ``key``
    choice = Choice.parse(surrogate)
    made = REGISTRIES["surrogates"].get(choice.name)(choice.resolve("surrogates"))
    if not isinstance(made, Formula):
        raise InputError(f"surrogate {choice.name!r} is no spikebench.kernels.surrogates.Formula")
    return made
