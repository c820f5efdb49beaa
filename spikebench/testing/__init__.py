"""Contract tests for everybody who writes a component: subclass, name your member, run pytest.

In a plugin's tests::

    from spikebench.testing import AttentionContract

    class TestMine(AttentionContract):
        name = "mine"

A contract tests what the rest of spikebench relies on, not what the member is for. Needs pytest. Each is
imported when it is asked for: a worker that runs a launcher's contract waits for no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "AttentionContract": "_components",
    "ComponentContract": "_components",
    "DatasetContract": "_datasets",
    "EncodingContract": "_components",
    "FamilyContract": "_components",
    "FormatContract": "_reports",
    "HarnessContract": "_harnesses",
    "HeadContract": "_components",
    "LauncherContract": "_launchers",
    "MemberContract": "_members",
    "NeuronContract": "_components",
    "PositionContract": "_components",
    "ResidualContract": "_components",
    "SectionContract": "_reports",
    "StemContract": "_components",
    "StubSubject": "_subjects",
    "SurrogateContract": "_components",
    "TINY": "_subjects",
    "TINY_DATA": "_subjects",
    "TorchFreeContract": "_members",
    "make_subject": "_subjects",
}
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

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spikebench.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"spikebench.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
