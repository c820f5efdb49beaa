"""The JSON Schema of a suite file, for editors: every component's name and options are in it."""

from __future__ import annotations

from typing import Any

from spikebench.core.registry import REGISTRIES, NoOptions
from spikebench.core.variant import COMPONENTS, VariantSpec


def suite_schema() -> dict[str, Any]:
    """JSON Schema (2020-12). Imports every component, since options live in their files."""
    from spikebench.core.suite_file import REGISTRY, SuiteFile

    schema = _refer(SuiteFile.model_json_schema(ref_template="#/$defs/{model}"), REGISTRY)
    definitions = schema.setdefault("$defs", {})
    for name in ("datasets", "harnesses", "launchers", *COMPONENTS.values()):
        definitions[name] = choice_schema(name)
    definitions["variant"] = variant_schema()
    block = definitions["VariantsBlock"]["properties"]
    block["base"] = {"anyOf": [{"enum": REGISTRIES["presets"].names()}, {"$ref": "#/$defs/variant"}]}
    train = options_schema("harnesses", "train")
    train["properties"]["recipe"] = {"enum": REGISTRIES["recipes"].names(), "description": "The rest as this recipe has it"}
    schema["properties"]["train"] = {"anyOf": [{"const": "none"}, train]}
    for key, registry in (("energy", "profiles"), ("chips", "chips")):
        schema["properties"][key]["items"] = {"anyOf": [{"enum": REGISTRIES[registry].names()}, {"pattern": r"\.toml$"}]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "spikebench suite", **schema}


def _refer(schema: Any, marker: str) -> Any:
    """Replace every ``{marker: registry}`` by a reference to that registry's definition."""
    if isinstance(schema, dict):
        rest = {key: _refer(value, marker) for key, value in schema.items() if key != marker}
        return {"$ref": f"#/$defs/{schema[marker]}", **rest} if marker in schema else rest
    return [_refer(item, marker) for item in schema] if isinstance(schema, list) else schema


def choice_schema(registry: str) -> dict[str, Any]:
    """A component by name, as a mapping with ``name``, or as a mapping of one name to its options."""
    members = REGISTRIES[registry].names()
    described = [{"const": name, "description": REGISTRIES[registry].describe(name)} for name in members]
    spelled: list[dict[str, Any]] = []
    for name in members:
        options = options_schema(registry, name)
        named = {"name": {"const": name}, **options["properties"]}
        spelled.append({"type": "object", "properties": named, "required": ["name"], "additionalProperties": False})
        short = {"type": "object", "properties": {name: options}, "required": [name], "additionalProperties": False}
        spelled.append(short)
    return {"anyOf": [*described, *spelled, *OWN]}


OWN_NAME = r"\.py:[A-Za-z_]\w*$"
OWN: tuple[dict[str, Any], ...] = (
    {"type": "string", "pattern": OWN_NAME},
    {"type": "object", "properties": {"name": {"type": "string", "pattern": OWN_NAME}}, "required": ["name"]},
    {
        "type": "object",
        "patternProperties": {OWN_NAME: {"type": ["object", "null"]}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    },
)
"""``my_file.py:Name`` in each of its spellings; its options are known when the file is read."""


def options_schema(registry: str, name: str) -> dict[str, Any]:
    """The options of one member."""
    from pydantic import TypeAdapter

    options = REGISTRIES[registry].options(name)
    if options is NoOptions:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    schema = TypeAdapter(options).json_schema()
    return {"type": "object", "properties": schema.get("properties", {}), "additionalProperties": False}


def variant_schema() -> dict[str, Any]:
    """The fields of a VariantSpec."""
    properties: dict[str, Any] = {"preset": {"enum": REGISTRIES["presets"].names()}}
    for field, parameter in VariantSpec.__dataclass_fields__.items():
        if field in COMPONENTS:
            properties[field] = {"$ref": f"#/$defs/{COMPONENTS[field]}"}
        else:
            whole = isinstance(parameter.default, int)
            properties[field] = {"type": "integer" if whole else "number", "exclusiveMinimum": 0, "default": parameter.default}
    return {"type": "object", "properties": properties, "additionalProperties": False}
