"""Every registered part of a network, ours or an installed plugin's, keeps the contract of its kind."""

from collections.abc import Mapping
from typing import Any

import pytest

from spikebench.core.registry import REGISTRIES
from spikebench.testing import (
    AttentionContract,
    EncodingContract,
    FamilyContract,
    HeadContract,
    NeuronContract,
    PositionContract,
    ResidualContract,
    StemContract,
    SurrogateContract,
)

NEEDS: Mapping[tuple[str, str], Mapping[str, Any]] = {  # what a component cannot be without
    ("stems", "spikingformer"): {"residual": "membrane"},
    ("stems", "sdt"): {"residual": "membrane"},
    ("families", "vit"): {"attention": "vanilla", "T": 1},
    ("families", "qkformer"): {"depth": 3},
}
OPTIONS: Mapping[tuple[str, str], Mapping[str, Any]] = {("families", "sj"): {"patch_size": 4}}


class Member:
    """Tests one member a time: the one that the class is parametrised with."""

    registry: str

    @pytest.fixture(autouse=True)
    def _chosen(self, member: str) -> None:
        key = (self.registry, member)
        self.name, self.options, self.needs = member, OPTIONS.get(key, {}), NEEDS.get(key, {})


@pytest.mark.parametrize("member", REGISTRIES["stems"].names())
class TestStems(Member, StemContract): ...


@pytest.mark.parametrize("member", REGISTRIES["attentions"].names())
class TestAttentions(Member, AttentionContract): ...


@pytest.mark.parametrize("member", REGISTRIES["residuals"].names())
class TestResiduals(Member, ResidualContract): ...


@pytest.mark.parametrize("member", REGISTRIES["neurons"].names())
class TestNeurons(Member, NeuronContract): ...


@pytest.mark.parametrize("member", REGISTRIES["surrogates"].names())
class TestSurrogates(Member, SurrogateContract): ...


@pytest.mark.parametrize("member", REGISTRIES["encodings"].names())
class TestEncodings(Member, EncodingContract): ...


@pytest.mark.parametrize("member", REGISTRIES["positions"].names())
class TestPositions(Member, PositionContract): ...


@pytest.mark.parametrize("member", REGISTRIES["heads"].names())
class TestHeads(Member, HeadContract): ...


@pytest.mark.parametrize("member", REGISTRIES["families"].names())
class TestFamilies(Member, FamilyContract): ...
