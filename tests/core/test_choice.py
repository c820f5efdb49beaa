"""Options that are checked once and kept: what comes back is what a check from scratch would give."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from spikebench.core.choice import Choice, build_options
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES


@dataclasses.dataclass(frozen=True)
class Options:
    whole: int = 1
    real: float = 1.0
    flag: bool = True
    sizes: tuple[int, ...] = (1,)
    order: Literal["qk", "kv"] | None = None


SCALARS = st.sampled_from([0, 1, 2, 0.0, 1.0, True, False, "1", "qk", None])
GIVEN = st.dictionaries(
    st.sampled_from(["whole", "real", "flag", "sizes", "order", "wole"]), SCALARS | st.lists(SCALARS, max_size=3), max_size=5
)


@given(GIVEN)
def test_options_are_those_of_a_check_from_scratch(given_: dict[str, Any]) -> None:
    # 1, 1.0 and True are equal in Python and three different values in a suite: none may be answered with another's options.
    known = {name: value for name, value in given_.items() if name != "wole"}
    try:
        expected = TypeAdapter(Options).validate_json(json.dumps(known), strict=True)
    except ValidationError as error:
        expected = None
        wrong = error.error_count()
    if expected is not None and "wole" not in given_:
        assert repr(build_options(Options, given_, "it")) == repr(expected)
        return
    with pytest.raises(InputError) as caught:
        build_options(Options, given_, "it")
    assert len(caught.value.problems) == ("wole" in given_) + (wrong if expected is None else 0)


def test_an_error_names_the_component_that_was_asked_each_time() -> None:
    for owner in ("ssa", "sdsa"):
        with pytest.raises(InputError, match=f"{owner} has no option 'wole'"):
            build_options(Options, {"wole": 1}, owner)


def test_option_types_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand cells ask for some ten types; building one takes a millisecond."""
    built: list[type] = []
    original = TypeAdapter.__init__

    def counting(self: Any, kind: type, *rest: Any, **more: Any) -> None:
        built.append(kind)
        original(self, kind, *rest, **more)

    monkeypatch.setattr(TypeAdapter, "__init__", counting)
    for samples in range(1, 50):
        assert Choice("activity", {"samples": samples}).resolve("harnesses").samples == samples
    assert built.count(REGISTRIES["harnesses"].options("activity")) <= 1


def test_what_changes_speed_alone_is_no_part_of_an_identity() -> None:
    slow, fast = Choice("train", {"epochs": 3}), Choice("train", {"epochs": 3, "workers": 4, "checkpoint_minutes": 1.0})
    assert fast.canonical("harnesses") == slow.canonical("harnesses") == {"name": "train", "epochs": 3}
    assert fast.essential("harnesses") == slow == slow.essential("harnesses")
    assert fast.resolve("harnesses").workers == 4
