"""The tables of ``guide/suite.md``: every key of a suite with its default, from the code that checks it.

``python -m spikebench.running.verbs.suite_reference`` writes them anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from spikebench.core.choice import plain
from spikebench.core.registry import REGISTRIES
from spikebench.core.schema_words import spell, takes
from spikebench.core.suite_file import (
    Block,
    ParameterBlock,
    RecipeBlock,
    ReportBlock,
    SearchBlock,
    SuiteFile,
    VariantsBlock,
    WeightsBlock,
)
from spikebench.core.variant import COMPONENTS, VariantSpec
from spikebench.running.verbs.guide import FOLDER
from spikebench.running.verbs.list import option_docs, option_rows

BEGIN = "<!-- generated: python -m spikebench.running.verbs.suite_reference -->\n"
BLOCKS: Sequence[tuple[str, type[Block]]] = (
    ("The file", SuiteFile),
    ("`variants:`", VariantsBlock),
    ("`recipes:`, each", RecipeBlock),
    ("`weights:`", WeightsBlock),
    ("`report:`", ReportBlock),
    ("`search:`", SearchBlock),
    ("`search.space:`, each", ParameterBlock),
)
FIELDS = {
    "depth": "Encoder blocks",
    "dim": "Channels between blocks",
    "num_heads": "Heads of each attention",
    "mlp_ratio": "Width of an MLP's hidden layer over dim",
    "T": "Time steps",
}


def tables() -> str:
    """All tables, as Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    for title, model in BLOCKS:
        yield from ("", f"## {title}", "", _prose(model.__doc__ or ""), "")
        yield from _table(_keys(model))
    yield from ("", "## Fields of a variant", "", "For `variants.base` and `variants.grid`; a grid may also set one option", "")
    yield "of a component (`attention.order`)."
    yield ""
    yield from _table(_fields())
    for stage in ("train", "pretrain"):
        yield from ("", f"## `{stage}:`", "")
        yield from _table((name, default, kind, "") for name, kind, default in option_rows("harnesses", stage))
        yield ""
        yield from (f"{_prose(text)}" for text in option_docs(REGISTRIES["harnesses"].options(stage)))
    yield ""


def _keys(model: type[Block]) -> Iterator[Sequence[str]]:
    schemas = model.model_json_schema(by_alias=True)["properties"]
    for name, field in model.model_fields.items():
        key = field.alias or name
        default = "(must be given)" if field.is_required() else spell(_plain(field.get_default(call_default_factory=True)))
        yield key, default, takes(schemas[key]), field.description or ""


def _plain(value: Any) -> Any:
    """A block that may be left out is spelled ``{}``: each of its keys has a default of its own."""
    return {} if isinstance(value, Block) else plain(value)


def _fields() -> Iterator[Sequence[str]]:
    for name, field in VariantSpec.__dataclass_fields__.items():
        if name in COMPONENTS:
            yield name, str(field.default), f"name (`list {COMPONENTS[name]}`)", REGISTRIES[COMPONENTS[name]].what.capitalize()
        else:
            kind = "whole number, above 0" if isinstance(field.default, int) else "number, above 0"
            yield name, spell(field.default), kind, FIELDS[name]


def _table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| key | default | takes | meaning |"
    yield "|---|---|---|---|"
    for key, default, kind, meaning in rows:
        yield f"| `{key}` | `{default}` | {kind.replace('|', 'or')} | {meaning} |".replace("|  |", "| |")


def _prose(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.replace("``", "`").split("\n\n"))


def write() -> None:
    """Put the tables into the guide, behind what people wrote there."""
    path = FOLDER / "suite.md"
    path.write_text(path.read_text(encoding="utf-8").partition(BEGIN)[0] + BEGIN + tables(), encoding="utf-8")


if __name__ == "__main__":
    write()
