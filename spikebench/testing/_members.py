"""What every component owes, whatever its kind."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.own_references import localise_values
from spikebench.core.registry import REGISTRIES


class MemberContract:
    """What every member of a registry owes. ``registry`` and ``name`` say which one is tested, ``options`` with what.

    ``my_file.py:Name`` is a component of one's own, in a file of the folder that pytest is called in.
    """

    registry: ClassVar[str]
    name: str
    options: Mapping[str, Any] = {}

    @pytest.fixture(autouse=True)
    def _use_own_file(self) -> None:
        if hasattr(self, "name"):
            self.name = localise_values({"name": self.name}, Path.cwd())["name"]

    @property
    def choice(self) -> Choice:
        return Choice(self.name, self.options)

    def test_first_line_describes_it(self) -> None:
        line = REGISTRIES[self.registry].describe(self.name)
        assert line.endswith((".", ";", ")")) or len(line) > 20, (
            f"{self.name}: the module's docstring must begin with a description"
        )

    def test_has_what_its_registry_needs(self) -> None:
        REGISTRIES[self.registry].get(self.name)  # raises InputError with what is missing

    def test_options_are_a_frozen_dataclass(self) -> None:
        options = REGISTRIES[self.registry].options(self.name)
        assert dataclasses.is_dataclass(options)
        assert options.__dataclass_params__.frozen  # type: ignore[attr-defined]

    def test_an_unknown_option_is_refused_with_its_name(self) -> None:
        with pytest.raises(InputError, match="no_such_option"):
            Choice(self.name, {**self.options, "no_such_option": 1}).resolve(self.registry)


class TorchFreeContract(MemberContract):
    """Of a kind that suites, listings and reports look at: importing it must not import torch."""

    def test_is_found_and_imported_without_torch(self) -> None:
        code = (
            "import sys; from pathlib import Path; from spikebench.core.choice import Choice;"
            f"from spikebench.core.own_references import localise_values; localise_values({{'': {self.name!r}}}, Path.cwd());"
            f"Choice({self.name!r}, {dict(self.options)!r}).resolve({self.registry!r}); sys.exit('torch' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, (
            f"{self.name}: import torch where it is used"
        )
