"""Checks the ``space:`` of a search: shapes, names, conditions, and every value that a suite could not take itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from spikebench.core.choice import Choice, build_options
from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.grid import Located, preset
from spikebench.core.registry import REGISTRIES
from spikebench.core.search_space import Parameter, Space, is_training, label_of
from spikebench.core.variant import COMPONENTS, VariantSpec
from spikebench.core.yaml_nodes import KeyPath


def read_space(shapes: Mapping[str, Any], base: Mapping[str, Any], training: Choice | None) -> tuple[Space, list[Located]]:
    """``shapes``: name -> ``suite_file.ParameterBlock``. ``base``: the fields of the suite's base variant.

    Places of problems are relative to the ``search:`` block. What has problems is left out of the space.
    """
    reader = _SpaceReader(shapes, base, training)
    return Space(reader.parameters(), base), reader.problems


class _SpaceReader:
    def __init__(self, shapes: Mapping[str, Any], base: Mapping[str, Any], training: Choice | None) -> None:
        self.base = base
        self.training = training
        self.problems: list[Located] = []
        self.spelled: dict[str, str] = {}
        self.shapes = {name: shape for given, shape in shapes.items() if (name := self._name(given)) is not None}

    def parameters(self) -> tuple[Parameter, ...]:
        found = {name: self._parameter(name, shape) for name, shape in self.shapes.items()}
        known = {name: parameter for name, parameter in found.items() if parameter is not None}
        known = {name: self._with_condition(parameter, known) for name, parameter in known.items()}
        ordered = self._ordered(known)
        for parameter in ordered:
            if is_training(parameter.name):
                self._check_training(parameter, ordered)
            elif "." in parameter.name:
                self._check_option(parameter, known)
            else:
                self._check_field(parameter)
        return tuple(ordered)

    def _name(self, given: str) -> str | None:
        """A parameter's own name, of however it is spelled; None, with a problem, for one that stands here twice."""
        name = self._own(given)
        if name in self.spelled:
            self.problems.append((("space", given), Problem(f"is the same as {self.spelled[name]!r}")))
            return None
        self.spelled[name] = given
        return name

    def _own(self, given: str) -> str:
        name = given.removeprefix("train.")
        return name if name in self._training_fields() else given

    def _parameter(self, name: str, shape: Any) -> Parameter | None:
        if not self._known(name):
            return None
        given = {kind: value for kind, value in shape.domains().items() if value is not None}
        if len(given) != 1:
            self._add(
                ("space", name), f"needs one of int: [low, high], float: [low, high] and choice: [values], got {len(given)}"
            )
            return None
        kind, values = next(iter(given.items()))
        if kind == "choice":
            return self._choice(name, shape, values)
        low, high = values
        if not low < high:
            word = "inverted" if low > high else "empty"
            self._add(("space", name, kind), f"the range {low} to {high} is {word}: the first must be below the second")
            return None
        if shape.log and (low <= 0 or shape.step is not None):
            self._add(("space", name, "log"), "log needs a range above 0 and goes without step")
            return None
        if shape.step is not None and (shape.step <= 0 or (kind == "int" and shape.step != int(shape.step))):
            self._add(
                ("space", name, "step"), f"expected a {'whole number' if kind == 'int' else 'number'} above 0, got {shape.step}"
            )
            return None
        return Parameter(name, kind, low, high, shape.step, shape.log)

    def _choice(self, name: str, shape: Any, values: Sequence[Any]) -> Parameter | None:
        for word in ("step", "log"):
            if getattr(shape, word):
                self._add(("space", name, word), f"{word} belongs to int and float, not to choice")
        labels = [label_of(value) for value in values if value is not None]
        if len(labels) < len(values):
            self._add(("space", name, "choice", list(values).index(None)), "expected a value, got nothing")
            return None
        repeated = next((i for i, label in enumerate(labels) if repr(label) in map(repr, labels[:i])), None)
        if repeated is not None:
            self._add(("space", name, "choice", repeated), f"{labels[repeated]!r} stands twice")
            return None
        return Parameter(name, "choice", choices=tuple(values))

    def _known(self, name: str) -> bool:
        field, dot, _ = name.partition(".")
        fields = ["preset", *VariantSpec.__dataclass_fields__]
        training = [] if self.training is None else self._training_fields()
        if (field in fields and (not dot or field in COMPONENTS)) or name in training:
            return True
        if name in self._training_fields():
            self._add(("space", name), "is a field of train, and this suite trains nothing (train: none)")
            return False
        hint = nearest(name, [*fields, *training]).split(" (known")[0]
        self._add(
            ("space", name),
            f"unknown parameter {name!r}{hint or ';'} a parameter is a field of a variant, "
            "an option of one (attention.order), or a field of train",
        )
        return False

    def _training_fields(self) -> list[str]:
        return [field.name for field in dataclasses.fields(REGISTRIES["harnesses"].options("train"))]

    def _with_condition(self, parameter: Parameter, known: Mapping[str, Parameter]) -> Parameter:
        when = {}
        for given, allowed in (self.shapes[parameter.name].when or {}).items():
            place, name = ("space", parameter.name, "when", given), self._own(given)
            if name not in known:
                if name not in self.shapes:
                    self._add(place, f"{given!r} is not in the space{nearest(given, self.spelled.values())}")
                continue
            if known[name].kind != "choice":
                self._add(place, f"{given!r} is no choice: a condition names the chosen value")
                continue
            labels = tuple(label_of(value) for value in (allowed if isinstance(allowed, list) else [allowed]))
            for label in labels:
                if label not in known[name].labels:
                    self._add(place, f"{label!r} is none of its choices{nearest(label, map(str, known[name].labels))}")
            when[name] = labels
        return dataclasses.replace(parameter, when=when)

    def _ordered(self, known: Mapping[str, Parameter]) -> list[Parameter]:
        ordered: dict[str, Parameter] = {}
        waiting = dict(known)
        while waiting:
            ready = [name for name, parameter in waiting.items() if all(other in ordered for other in parameter.when)]
            if not ready:
                for name in waiting:
                    self._add(("space", name, "when"), "the conditions go round in a circle")
                return []
            ordered |= {name: waiting.pop(name) for name in ready}
        return list(ordered.values())

    # The values of a parameter are tried out: at both ends of a range, and one by one.

    def _check_field(self, parameter: Parameter) -> None:
        name = parameter.name
        if (name in COMPONENTS or name == "preset") and parameter.kind != "choice":
            self._add(("space", parameter.name), f"{name} is chosen by name: use choice: [...]")
        elif name not in (*COMPONENTS, "preset", "mlp_ratio") and parameter.kind == "float":
            self._add(("space", parameter.name, "float"), f"{name} is a whole number: use int")
        else:
            for place, value in self._probes(parameter):
                self._attempt(place, lambda value=value: self._field_value(name, value))  # type: ignore[misc]

    def _field_value(self, name: str, value: Any) -> None:
        if name == "preset":
            preset(value)
        elif name in COMPONENTS:
            Choice.parse(value).resolve(COMPONENTS[name])
        else:
            VariantSpec.from_mapping({name: value})

    def _check_option(self, parameter: Parameter, known: Mapping[str, Parameter]) -> None:
        field, _, option = parameter.name.partition(".")
        if "preset" in known and field not in known:
            return  # which component it is depends on the preset that a trial draws; the trial refuses what cannot be
        registry = COMPONENTS[field]
        hosts = self._hosts(field, parameter, known)
        fitting = [
            host for host in hosts if option in {f.name for f in dataclasses.fields(REGISTRIES[registry].options(host.name))}
        ]
        for host in hosts:
            if host not in fitting:
                options = [f.name for f in dataclasses.fields(REGISTRIES[registry].options(host.name))]
                message = f"{host.name} has no option {option!r}{nearest(option, options) if options else ' (it has no options)'}"
                if fitting:
                    message += f"; say when it exists: when: {{{field}: {', '.join(f.name for f in fitting)}}}"
                self._add(("space", parameter.name), message)
        for host in fitting:
            for place, value in self._probes(parameter):
                given = {**host.options, option: value}
                self._attempt(
                    place,
                    lambda host=host, given=given: build_options(REGISTRIES[registry].options(host.name), given, owner=host.name),  # type: ignore[misc]
                )

    def _hosts(self, field: str, parameter: Parameter, known: Mapping[str, Parameter]) -> list[Choice]:
        """The components that may be there where the option is drawn; of those that are unknown, another error tells."""
        if field in known:
            allowed = parameter.when.get(field, known[field].labels)
            values = [value for value in known[field].choices if label_of(value) in allowed]
        else:
            values = [self.base.get(field, VariantSpec.__dataclass_fields__[field].default)]
        return [
            choice
            for choice in map(_choice_or_none, values)
            if choice is not None and choice.name in REGISTRIES[COMPONENTS[field]]
        ]

    def _check_training(self, parameter: Parameter, all_: Sequence[Parameter]) -> None:
        assert self.training is not None
        searched = {other.name for other in all_}
        fixed = {name: value for name, value in self.training.options.items() if name not in searched}
        kept = {name: value for name, value in fixed.items() if _accepts({name: value})}
        for place, value in self._probes(parameter):
            given = {**kept, parameter.name: value}
            self._attempt(place, lambda given=given: build_options(REGISTRIES["harnesses"].options("train"), given, "train"))  # type: ignore[misc]

    def _probes(self, parameter: Parameter) -> Iterator[tuple[KeyPath, Any]]:
        path = ("space", parameter.name, parameter.kind)
        if parameter.kind == "choice":
            yield from (((*path, index), value) for index, value in enumerate(parameter.choices))
        else:
            whole = parameter.kind == "int"
            for index, value in enumerate((parameter.low, parameter.high)):
                yield (*path, index), int(value) if whole else float(value)

    def _attempt(self, path: KeyPath, action: Callable[[], Any]) -> None:
        try:
            action()
        except InputError as error:
            for problem in error.problems:
                self._add(path, problem.message)

    def _add(self, path: KeyPath, message: str) -> None:
        """``path``: with the parameter's own name; the file has it as it is spelled there."""
        room, name, *rest = path
        self.problems.append(((room, self.spelled.get(str(name), name), *rest), Problem(message)))


def _choice_or_none(value: Any) -> Choice | None:
    try:
        return Choice.parse(value)
    except InputError:
        return None


def _accepts(given: Mapping[str, Any]) -> bool:
    try:
        build_options(REGISTRIES["harnesses"].options("train"), given, "train")
    except InputError:
        return False
    return True
