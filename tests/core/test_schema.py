"""The JSON Schema accepts our own suites and names every component."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from spikebench.core.registry import REGISTRIES
from spikebench.core.schema import suite_schema

SUITES = sorted((Path(__file__).parents[2] / "suites").glob("*.yaml"))


def test_every_reference_has_a_definition_and_every_component_is_named() -> None:
    schema = suite_schema()
    text = json.dumps(schema)
    assert set(re.findall(r"#/\$defs/([\w-]+)", text)) <= set(schema["$defs"])
    for registry in ("stems", "attentions", "neurons", "harnesses", "datasets", "launchers"):
        names = {entry.get("const") for entry in schema["$defs"][registry]["anyOf"]}
        assert set(REGISTRIES[registry].names()) <= names


def test_our_own_suites_use_only_keys_of_the_schema() -> None:
    properties = set(suite_schema()["properties"])
    assert SUITES
    for path in SUITES:
        assert set(yaml.safe_load(path.read_text())) <= properties, path


def test_names_in_files_of_ones_own_are_accepted_and_others_are_not() -> None:
    (text, named, single) = suite_schema()["$defs"]["attentions"]["anyOf"][-3:]
    (key,) = single["patternProperties"]
    for pattern in (text["pattern"], named["properties"]["name"]["pattern"], key):
        assert re.search(pattern, "nets/my_file.py:Attention")
        assert not re.search(pattern, "sotfmax")
        assert not re.search(pattern, "my_file.py")
