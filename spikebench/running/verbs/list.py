"""What ``spikebench list`` prints: all that a suite can name, or one of it with its options; torch is needed for these alone."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikebench.core.console import standard_output
from spikebench.core.errors import InputError, nearest
from spikebench.core.metrics import Metric, catalogue
from spikebench.core.registry import REGISTRIES, NoOptions, Registry
from spikebench.core.schema import options_schema
from spikebench.core.schema_words import spell, takes
from spikebench.core.variant import COMPONENTS

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 160
"""Of a listing that is piped into a file."""

SELECTORS = (
    ("events", "of the whole network"),
    ("accuracy{T=2}", "under a condition; a record has a selector's conditions, and may have more"),
    ("latency{batch_size=32, backend=triton}", "under several"),
    ("events@blocks.*", "of layers, by a pattern of their names; `spikebench show PRESET` lists them"),
    ("energy{profile=spikformer-paper}", "an estimate by one of the suite's energy profiles"),
)
"""Each with what it selects. Where they stand is told beside them."""


def print_lists(kind: str | None, member: str | None) -> None:
    """Everything in a line each; one kind in full; or one member with its options, defaults and source. Raises InputError."""
    screen = standard_output(width=WIDTH)
    if kind is None:
        for name in KINDS:
            _table(screen, name, whole=False)
        print("spikebench list KIND: in full; spikebench list KIND NAME: options, defaults and source")
        return
    if kind not in KINDS:
        raise InputError(f"unknown registry {kind!r}{nearest(kind, KINDS)}")
    if member is None:
        _table(screen, kind, whole=True)
        return
    if kind in REGISTRIES:
        lines = [*_member(REGISTRIES[kind], member)]
    else:
        rows = dict(KINDS[kind].rows(True))
        if member not in rows:
            raise InputError(f"unknown {kind.removesuffix('s')} {member!r}{nearest(member, rows)}")
        lines = [member, rows[member], *(_layer_names(member) if kind == "layouts" else ())]
    for line in lines:
        screen.print(line, soft_wrap=True)


@dataclasses.dataclass(frozen=True)
class Kind:
    """``rows``: name and description of each, asked whether all of it is wanted."""

    what: str
    rows: Callable[[bool], Iterable[tuple[str, str]]]


def _table(screen: Console, kind: str, whole: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    rows = list(KINDS[kind].rows(whole))
    if not rows and not whole:
        return
    title = f"{kind}: {KINDS[kind].what}"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=not whole, overflow="ellipsis")
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    screen.print(table)
    screen.print()


def _described(registry: Registry, whole: bool) -> Iterator[tuple[str, str]]:
    for name in registry.names():
        origin = registry.origin(name)
        text = registry.describe(name) + ("" if origin == "spikebench" else f" [from {origin}]")
        if whole and registry.name in TORCH_FREE:
            options = ", ".join(f"{option}={default}" for option, _, default in option_rows(registry.name, name))
            text += f"\noptions: {options or 'none'}"
        yield name, text


def _layouts(whole: bool) -> Iterator[tuple[str, str]]:
    from spikebench.networks.layouts import LAYOUTS

    for name, layout in LAYOUTS.items():
        spec = {
            field: value for field, value in layout.fields.items() if field in ("family", "stem", "attention", "residual", "head")
        }
        parts = ", ".join(f"{field} {value if isinstance(value, str) else value['name']}" for field, value in spec.items())
        heads = layout.num_heads
        known = f"{heads}" if isinstance(heads, int) else ", ".join(f"{n} for width {width}" for width, n in heads.items())
        frames = "event frames" if layout.events else "images"
        first = f"; its file has {layout.first}.weight" if whole else ""
        quirks = f"; quirks: {', '.join(layout.quirks)}" if layout.quirks else ""
        yield name, f"{layout.size}x{layout.size} {frames}; {parts}; heads: {known}{quirks}{first}"
    yield "masked", "a pre-trained encoder of spikebench's own, weights/<cell>/weights.pt"


def _layer_names(name: str) -> Iterator[str]:
    """Which layer of a layout's file is which of ours; nothing of what has no layout."""
    from spikebench.networks.layouts import LAYOUTS

    if name not in LAYOUTS:
        return
    layout = LAYOUTS[name]
    rows = list(layout.layers)
    for stack in layout.stacks:
        rows += [(f"{stack.theirs}.N.{theirs}", f"{stack.ours}.N.{ours}") for theirs, ours in stack.layers]
    width = max(len(theirs) for theirs, _ in rows)
    yield ""
    yield "layers of its file, and of ours; N: number of the block; tensors (weight, bias, running_mean, ...) keep their names:"
    yield from (f"  {theirs.ljust(width)}  {ours}" for theirs, ours in rows)


def _metrics(whole: bool) -> Iterator[tuple[str, str]]:
    owners: dict[str, str] = {}
    for kind in ("harnesses", "derivations"):
        for owner in REGISTRIES[kind]:
            owners |= dict.fromkeys((metric.name for metric in REGISTRIES[kind].get(owner).metrics), owner)
    for name, metric in sorted(catalogue().items(), key=lambda item: (owners.get(item[0], ""), item[0])):
        yield name, f"{describe_metric(metric)} [{owners.get(name, 'own file')}]"


def describe_metric(metric: Metric) -> str:
    """Title, unit as stored, which way is better, what it is, and its note."""
    unit = "a count or fraction" if metric.unit == "1" else metric.unit
    better = f"{metric.direction} is better" if metric.direction else ""
    return f"{metric.title}: " + ", ".join(filter(None, [unit, metric.kind, better, metric.note]))


def _selectors(whole: bool) -> Iterator[tuple[str, str]]:
    yield from SELECTORS
    yield "used in", "report.columns, check, search.objectives, search.constraints, explain --metric"


def _member(registry: Registry, name: str) -> Iterator[str]:
    path, origin = registry.path(name), registry.origin(name)
    yield f"{name}: {registry.what} of {origin}{f', {path}' if path else ''}"
    yield ""
    if registry.attribute is None:
        yield "" if path is None else path.read_text(encoding="utf-8").rstrip()
        return
    yield from _documentation(registry, name, path)
    rows = option_rows(registry.name, name)
    yield "options: none" if not rows else "options:"
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    for option, kind, default in rows:
        yield f"  {option.ljust(widths[0])}  {default.ljust(widths[2])}  {kind}"
    yield from ("", *option_docs(registry.options(name))) if rows else ()
    if rows:
        yield ""
        yield f"in a suite: {_example(registry.name, name, rows[-1])}"
    version = registry.version(name)
    if version != 1:
        yield f"version {version}: its meaning was changed; cells of earlier ones are others"
    if registry.name == "harnesses":
        yield ""
        yield "metrics:"
        for metric in registry.get(name).metrics:
            yield f"  {metric.name}: {describe_metric(metric)}"


def option_rows(registry: str, name: str) -> list[tuple[str, str, str]]:
    """Name, what it takes, and default of each option of a member."""
    properties: Mapping[str, Any] = options_schema(registry, name)["properties"]
    return [(option, takes(schema), _default(schema)) for option, schema in properties.items()]


def _default(schema: Mapping[str, Any]) -> str:
    return spell(schema["default"]) if "default" in schema else "(must be given)"


def _example(registry: str, name: str, option: tuple[str, str, str]) -> str:
    """How a suite would name it with an option."""
    key = next((field for field, other in COMPONENTS.items() if other == registry), "")
    key = key or {"datasets": "dataset", "harnesses": "measure", "launchers": "launcher"}.get(registry, registry)
    value = option[2] if option[2] != "(must be given)" else "..."
    if registry == "harnesses":
        stage = getattr(REGISTRIES[registry].get(name), "stage", False)
        return f"{name}: {{{option[0]}: {value}}}" if stage else f"measure: [{{{name}: {{{option[0]}: {value}}}}}]"
    return f"{key}: {{name: {name}, {option[0]}: {value}}}"


def _documentation(registry: Registry, name: str, path: Path | None) -> Iterator[str]:
    """What its file and its class say, as prose."""
    module = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path and registry.is_ours(name) else None
    for text in (module or registry.describe(name), inspect.getdoc(registry.get(name))):
        if text:
            yield from (_prose(text), "")


def option_docs(options: type) -> Iterator[str]:
    """What the options' class, and those that it adds to, say of them."""
    for owner in options.__mro__:
        if dataclasses.is_dataclass(owner) and owner is not NoOptions and "__doc__" in vars(owner):
            text = inspect.getdoc(owner) or ""
            if not text.startswith(f"{owner.__name__}("):  # what dataclass writes where nobody did
                yield _prose(text)


def _prose(text: str) -> str:
    """A docstring without the marks of code and without its line breaks."""
    return "\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.replace("``", "")))


TORCH_FREE = frozenset({"datasets", "harnesses", "launchers"})
"""Registries whose members are imported without torch, so that their options can be listed with them."""
KINDS: Mapping[str, Kind] = {
    **{name: Kind(found.what, lambda whole, found=found: _described(found, whole)) for name, found in REGISTRIES.items()},  # type: ignore[misc]
    "layouts": Kind("whose checkpoint: tensor names that weights.layout and eval --layout know", _layouts),
    "metrics": Kind("what harnesses measure and derivations make of it", _metrics),
    "selectors": Kind("metric{condition=value}@scope: which number a column, a gate or an objective means", _selectors),
}
