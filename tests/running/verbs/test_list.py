"""``spikebench list``: everything by name, each option with the default that it has, written so that a suite can hold it."""

from __future__ import annotations

import dataclasses

import pytest

from spikebench.core import yaml_nodes
from spikebench.core.choice import plain
from spikebench.core.errors import InputError
from spikebench.core.metrics import catalogue
from spikebench.core.registry import REGISTRIES
from spikebench.core.schema_words import takes
from spikebench.networks.layouts import LAYOUTS
from spikebench.running.verbs.list import KINDS, option_rows, print_lists

WITH_OPTIONS = [name for name, registry in REGISTRIES.items() if registry.attribute is not None]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | None) -> str:
    print_lists(*(*arguments, None, None)[:2])
    return capsys.readouterr().out


@pytest.mark.parametrize("registry", WITH_OPTIONS)
def test_every_option_is_there_with_its_default_as_yaml_reads_it(registry: str) -> None:
    for name in REGISTRIES[registry]:
        rows = {option: default for option, _, default in option_rows(registry, name)}
        fields = {field.name: field for field in dataclasses.fields(REGISTRIES[registry].options(name))}
        assert list(rows) == list(fields)
        for option, text in rows.items():
            known = fields[option]
            default = known.default if known.default_factory is dataclasses.MISSING else known.default_factory()
            if default is dataclasses.MISSING:
                assert text == "(must be given)"
                continue
            document = yaml_nodes.parse(f"{option}: {text}\n")
            assert not document.problems
            assert document.data[option] == plain(default) or (default == "" and document.data[option] == ""), (
                name,
                option,
                text,
            )


def test_a_member_is_told_with_options_defaults_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "stems", "scs")
    assert "Spikformer V2, arXiv 2401.02020" in text
    assert "networks/stems/scs.py" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["expansion", "4", "whole", "number"] in lines
    assert ["patch_size", "auto"] in [line[:2] for line in lines]
    assert "pixels of a token's side" in text  # what the class that it adds to says
    (example,) = [line for line in text.splitlines() if line.startswith("in a suite: ")]
    assert yaml_nodes.parse(example.removeprefix("in a suite: ")).data == {"stem": {"name": "scs", "residual": False}}


def test_kinds_that_are_no_folders_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    layouts = printed(capsys, "layouts")
    assert all(name in layouts for name in LAYOUTS)
    metrics = [line.split()[0] for line in printed(capsys, "metrics").splitlines() if line.strip()]
    assert set(catalogue()) <= set(metrics)
    harnesses = printed(capsys, "harnesses")
    assert "samples=256, batch_size=64, split=test" in harnesses


def test_a_layout_says_which_layer_of_its_file_is_which_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    print_lists("layouts", "spikformer-cifar")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    # As the authors' model.py names them (ZK-Zhou/spikformer, cifar10).
    assert "block.N.attn.q_linear blocks.N.attention.q.linear" in lines
    assert "patch_embed.proj_conv stem.stages.0.conv" in lines
    assert {line.split()[0] for line in lines if line.startswith(("block.N.mlp", "head"))} >= {
        *("block.N.mlp.fc1_linear", "block.N.mlp.fc1_bn", "block.N.mlp.fc2_linear", "block.N.mlp.fc2_bn", "head")
    }
    print_lists("layouts", "masked")


def test_everything_is_in_the_list_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys)
    for kind in KINDS:
        assert f"\n{kind}: " in f"\n{text}" or (kind in REGISTRIES and not REGISTRIES[kind].names())
    for registry in REGISTRIES.values():
        assert all(name in text for name in registry)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown registry 'layout'; did you mean 'layouts'"):
        print_lists("layout", None)
    with pytest.raises(InputError, match="unknown stem 'scss'; did you mean 'scs'"):
        print_lists("stems", "scss")
    with pytest.raises(InputError, match="unknown layout 'spikformer'; did you mean 'spikformer-"):
        print_lists("layouts", "spikformer")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1}, "whole number, at least 1"),
        ({"enum": ["auto", "off"]}, 'auto or "off"'),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        ({"type": "array", "items": {"type": "integer"}}, "list of whole numbers"),
        ({"anyOf": [{"const": "auto"}, {"type": "integer", "exclusiveMinimum": 0}]}, "auto or whole number, above 0"),
        ({"x-registry": "stems"}, "name (`list stems`)"),
        ({"$ref": "#/$defs/WeightsBlock"}, "mapping"),
        ({"type": "array", "items": {"x-registry": "stems"}}, "list of names (`list stems`)"),
        ({}, "any"),
    ],
)
def test_what_a_key_takes_in_words(schema: dict[str, object], words: str) -> None:
    assert takes(schema) == words
