"""Components together: all pairs train or say why not, presets resolve, descriptions name their source."""

import itertools
import re

import pytest

from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import COMPONENTS, InputSpec
from spikebench.networks import check
from spikebench.networks.presets import load
from spikebench.testing._components import INPUTS, SMALL, unreached

KEYS = re.compile(
    r"(family|stem|attention|residual|neuron|surrogate|encoding|position|head|depth|dim|num_heads|mlp_ratio|T)(\.\w+)*"
)


PAIRS = list(itertools.product(REGISTRIES["stems"], REGISTRIES["attentions"], REGISTRIES["residuals"]))


@pytest.mark.parametrize(("stem", "attention", "residual"), PAIRS, ids=lambda part: part)
def test_all_stems_attentions_and_residuals_train_together_or_say_why_not(stem, attention, residual):
    spec = SMALL.replace(stem=stem, attention=attention, residual=residual)
    problems = check(spec, INPUTS)
    if problems:
        assert REGISTRIES["stems"].get(stem).emits_potentials
        assert not REGISTRIES["residuals"].get(residual).neuron_first
        assert all(KEYS.fullmatch(problem.key) for problem in problems)
    else:
        assert unreached(spec) == []


@pytest.mark.parametrize("name", REGISTRIES["presets"].names())
def test_each_preset_resolves_and_serves_an_image_it_was_made_for(name):
    spec = load(name)
    inputs = InputSpec(3, 224, 1000) if spec.depth >= 6 else InputSpec(3, 32, 10)
    assert check(spec, inputs) == []


@pytest.mark.parametrize("field", COMPONENTS)
def test_each_member_says_what_it_is_and_where_it_was_published(field):
    registry = REGISTRIES[COMPONENTS[field]]
    for name in registry:
        if registry.origin(name) == "spikebench":
            line = registry.describe(name)
            assert 20 < len(line) <= 130, f"{name}: its docstring's first line has {len(line)} characters: {line!r}"
            published = re.search(r"arXiv|SpikingJelly|XOR-Spikformer|\(.* \d{4}\)", line)
            assert field == "surrogate" or published, f"{name}: no paper, as (arXiv 2209.15425) or (Author 2024), in {line!r}"


@pytest.mark.parametrize("name", REGISTRIES["presets"].names())
def test_each_preset_names_its_paper(name):
    assert "arXiv" in REGISTRIES["presets"].describe(name)
