"""Contract tests for everybody who writes a component: subclass, name your member, run pytest.

In a plugin's tests::

    from spikebench.testing import AttentionContract

    class TestMine(AttentionContract):
        name = "mine"

A contract tests what the rest of spikebench relies on, not what the member is for. Needs pytest.
"""

from spikebench.testing._components import (
    AttentionContract,
    ComponentContract,
    EncodingContract,
    FamilyContract,
    HeadContract,
    NeuronContract,
    PositionContract,
    ResidualContract,
    StemContract,
    SurrogateContract,
)
from spikebench.testing._datasets import DatasetContract
from spikebench.testing._harnesses import HarnessContract
from spikebench.testing._launchers import LauncherContract
from spikebench.testing._members import MemberContract, TorchFreeContract
from spikebench.testing._reports import FormatContract, SectionContract
from spikebench.testing._subjects import TINY, TINY_DATA, StubSubject, make_subject

__all__ = [
    "AttentionContract",
    "ComponentContract",
    "DatasetContract",
    "EncodingContract",
    "FamilyContract",
    "FormatContract",
    "HarnessContract",
    "HeadContract",
    "LauncherContract",
    "MemberContract",
    "NeuronContract",
    "PositionContract",
    "ResidualContract",
    "SectionContract",
    "StemContract",
    "StubSubject",
    "SurrogateContract",
    "TINY",
    "TINY_DATA",
    "TorchFreeContract",
    "make_subject",
]
