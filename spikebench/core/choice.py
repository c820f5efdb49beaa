"""A component by name with its options, and how options are checked against the component's own dataclass."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.registry import REGISTRIES
from spikebench.core.text import shorten
from spikebench.core.wording import reword

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """``ssa``, or ``{name: ssa, order: kv_first}``: a member of a registry and the options that differ from its defaults.

    ``options`` holds plain data (numbers, strings, booleans, lists and mappings of them). Two choices are equal if name and
    options are.
    """

    name: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def parse(cls, value: Any) -> Choice:
        """From a suite's spelling: a name; a mapping with ``name``; or a mapping of one name to its options.

        ``{latency: {batch_sizes: [1]}}`` and ``{name: latency, batch_sizes: [1]}`` mean the same. Raises InputError.
        """
        if isinstance(value, Choice):
            return value
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            return cls(value["name"], {k: v for k, v in value.items() if k != "name"})
        if isinstance(value, Mapping) and len(value) == 1:
            name, options = next(iter(value.items()))
            if isinstance(name, str) and (options is None or isinstance(options, Mapping)):
                return cls(name, dict(options or {}))
        raise InputError(Problem(f"expected a name or a mapping with a name and options, got {shorten(value)}"))

    def resolve(self, registry: str) -> Any:
        """The component's frozen ``Options``, filled with defaults and checked.

        Raises InputError with a problem for every unknown option and every value of a wrong type; keys are option names.
        """
        return _built(REGISTRIES[registry].options(self.name), self.name, self._text)

    def canonical(self, registry: str) -> dict[str, Any]:
        """Name and the options that differ from the defaults, for hashing: a default may be written out or left out."""
        options_type = REGISTRIES[registry].options(self.name)
        return {"name": self.name, **json.loads(_canonical(options_type, self.name, self._text))}

    def essential(self, registry: str) -> Choice:
        """The same choice without the options that change no result: see ``_canonical``."""
        given = self.resolve(registry)
        same = _identical(given)
        idle = {field.name for field in dataclasses.fields(given) if getattr(same, field.name) != getattr(given, field.name)}
        return Choice(self.name, {name: value for name, value in self.options.items() if name not in idle}) if idle else self

    def to_plain(self) -> Any:
        """As short as a person would write it in a suite."""
        return {"name": self.name, **plain(self.options)} if self.options else self.name

    def __str__(self) -> str:
        if not self.options:
            return self.name
        return f"{self.name}({', '.join(f'{k}={_short(v)}' for k, v in sorted(self.options.items()))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and self.name == other.name and plain(self.options) == plain(other.options)

    def __hash__(self) -> int:
        return hash((self.name, self._text))

    @cached_property
    def _text(self) -> str:
        """The options as JSON: what they are kept by, since 1, 1.0 and True are equal but not the same."""
        return _spell(self.options)


def build_options(options_type: type, given: Mapping[str, Any], owner: str) -> Any:
    """Check ``given`` against a frozen dataclass and build it; types are strict.

    Raises InputError naming each unknown option (with the nearest known one) and each value of a wrong type. A ValueError
    from the dataclass's own ``__post_init__`` becomes a problem of the whole.
    """
    return _built(options_type, owner, _spell(given))


def _spell(options: Mapping[str, Any]) -> str:
    # YAML knows dates, JSON does not: as text they are refused like any other text.
    return json.dumps(plain(options), sort_keys=True, default=str)


def _built(options_type: type, owner: str, given: str) -> Any:
    built, problems = _checked(options_type, owner, given)
    if problems:
        raise InputError(problems)
    return built


@lru_cache(maxsize=65_536)  # a grid of ten thousand cells asks for the same few options again and again
def _checked(options_type: type, owner: str, given: str) -> tuple[Any, tuple[Problem, ...]]:
    """The options that are written in ``given`` (JSON), and what is wrong with them."""
    from pydantic import ValidationError

    options = json.loads(given)
    known = {field.name for field in dataclasses.fields(options_type)}
    problems = [*_unknown(options_type, options, owner), *_not_finite(options)]
    usable = json.dumps({key: value for key, value in options.items() if key in known})
    built = None
    try:
        # Through JSON, since strict mode takes a JSON list for a tuple but no text for a number: YAML reads 1e-3 as text.
        built = _adapter(options_type).validate_json(usable, strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
        places = {problem.key for problem in problems}
        problems += [p for detail in details for p in _problems(detail, options) if p.key not in places]
    return built, tuple(problems)


@lru_cache(maxsize=65_536)
def _canonical(options_type: type, owner: str, given: str) -> str:
    """The options that differ from their defaults, as JSON.

    What changes speed alone is left out: options with such fields have a method ``identity() -> Self``, the same options with
    all that changes no result at its default.
    """
    options = _identical(_built(options_type, owner, given))
    values = ((field, getattr(options, field.name)) for field in dataclasses.fields(options_type))
    return json.dumps({field.name: plain(value) for field, value in values if value != _default(field)})


def _identical(options: Any) -> Any:
    return options.identity() if hasattr(options, "identity") else options


@cache
def _adapter(options_type: type) -> TypeAdapter[Any]:
    """Making one takes a hundred times as long as using it."""
    from pydantic import TypeAdapter

    return TypeAdapter(options_type)


def _unknown(options_type: type, given: Mapping[str, Any], owner: str, around: str = "") -> Iterator[Problem]:
    """Keys that are no options, those of options that are dataclasses themselves too: pydantic would leave them out unsaid."""
    known = [field.name for field in dataclasses.fields(options_type)]
    for key, value in given.items():
        if key not in known:
            hint = nearest(key, known) if known else " (it has no options)"
            yield Problem(f"{owner} has no option {key!r}{hint}", key=f"{around}{key}")
        elif isinstance(value, Mapping):
            declared = get_type_hints(options_type)[key]
            for inner in (declared, *get_args(declared)):
                if isinstance(inner, type) and dataclasses.is_dataclass(inner):
                    yield from _unknown(inner, value, key, f"{around}{key}.")


def _not_finite(given: Mapping[str, Any], around: str = "") -> Iterator[Problem]:
    """Infinities and NaN, which only a program can hand in: no option takes them, and no identity can be made of them."""
    for key, value in given.items():
        if isinstance(value, Mapping):
            yield from _not_finite(value, f"{around}{key}.")
        elif any(isinstance(part, float) and not math.isfinite(part) for part in (value if isinstance(value, list) else [value])):
            yield Problem(f"expected a finite number, got {shorten(value)}", key=f"{around}{key}")


def _problems(detail: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Problem]:
    """What an option's own check says, a line a problem; one that begins with an option's name stands there, not at the whole."""
    if detail["type"] != "value_error":
        yield Problem(reword(detail), key=".".join(map(str, detail["loc"])))
        return
    for sentence in reword(detail).splitlines():
        name = sentence.split(" ")[0]
        yield Problem(sentence, key=".".join(map(str, (*detail["loc"], *([name] if name in given else [])))))


def plain(value: Any) -> Any:
    """Plain JSON data of choices, dataclasses, tuples and mappings."""
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, Choice):
        return value.to_plain()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


_PLAIN = frozenset({str, int, float, bool})


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return dataclasses.MISSING


def _short(value: Any) -> str:
    value = plain(value)
    return value if isinstance(value, str) else json.dumps(value)
