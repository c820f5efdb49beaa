"""What every energy profile must tell."""

from __future__ import annotations

import pytest

from spikebench.core.registry import REGISTRIES
from spikebench.derived.conventions import CONVENTIONS
from spikebench.derived.profile import load_profile


@pytest.mark.parametrize("name", REGISTRIES["profiles"].names())
def test_profile(name: str) -> None:
    profile = load_profile(name)
    description = REGISTRIES["profiles"].describe(name)
    assert 20 < len(description) <= 130
    assert profile.name == name
    assert profile.convention in CONVENTIONS
    assert profile.source
    assert profile.technology
    assert profile.leaves_out, "every model leaves something out, and has to say what"
    # Between a femtojoule and a nanojoule: a profile in picojoules would be wrong by 10**12.
    assert 1e-15 < profile.ac <= profile.mac < 1e-9
    if profile.range is not None:
        assert profile.range[0] <= profile.ac <= profile.range[1]


@pytest.mark.parametrize("name", [name for name in REGISTRIES["profiles"] if name.startswith("chip-")])
def test_chips_publish_one_number(name: str) -> None:
    profile = load_profile(name)
    assert profile.ac == profile.mac
    assert f"{profile.ac * 1e12:g} pJ" in REGISTRIES["profiles"].describe(name)
