"""Members of the wrong kind are refused when they are asked for, with what they lack."""

from importlib.metadata import EntryPoint

import pytest

from spikebench.core import registry
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES, is_stage


class Half:
    """Called a harness, and is none."""

    version = 1

    def run(self) -> None: ...


def offer(monkeypatch: pytest.MonkeyPatch, kind: str, value: str) -> None:
    entry = EntryPoint("odd", value, f"spikebench.{kind}")
    monkeypatch.setattr(registry, "_plugins", lambda group: {"odd": entry} if group == f"spikebench.{kind}" else {})


def test_what_a_plugins_member_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "harnesses", "tests.core.test_registry:Half")
    with pytest.raises(InputError, match=r"harness 'odd' .* it lacks metrics, needs_weights, exclusive, resumes"):
        REGISTRIES["harnesses"].get("odd")


def test_something_that_cannot_be_called_is_no_member(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "families", "tests.core.test_registry:__doc__")
    with pytest.raises(InputError, match="it cannot be called"):
        REGISTRIES["families"].get("odd")


@pytest.mark.parametrize("kind", [name for name, found in REGISTRIES.items() if found.attribute is not None])
def test_every_member_of_ours_has_what_its_kind_needs(kind: str) -> None:
    for name in REGISTRIES[kind].names():
        assert callable(REGISTRIES[kind].get(name))


def test_stages_are_known_by_what_they_say() -> None:
    assert is_stage("train")
    assert not is_stage("accuracy")
