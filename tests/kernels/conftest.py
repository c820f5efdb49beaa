"""Ahead-of-time compilation of Triton kernels: machine code for a GPU on a machine without one."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest


@dataclasses.dataclass(frozen=True)
class MachineCode:
    """What the compiler made: ``ptx``, and ``sass`` as a list of instructions without addresses and guards."""

    ptx: str
    sass: list[str]
    resources: str

    def positions(self, opcode: str) -> list[int]:
        """Where instructions stand whose opcode matches this expression from its beginning."""
        return [i for i, line in enumerate(self.sass) if re.match(opcode, line)]

    def count(self, opcode: str) -> int:
        return len(self.positions(opcode))

    @property
    def spilled_bytes(self) -> int:
        """Local memory: what did not fit the registers."""
        found = re.search(r"STACK:(\d+).*?LOCAL:(\d+)", self.resources)
        assert found, self.resources
        return int(found[1]) + int(found[2])

    def assert_streams(self, loads: int, stores: int, bits: int = 128) -> None:
        """Exactly so many global loads and stores, each ``bits`` wide, every load before the first store, nothing
        spilled.
        """
        width = r"[\w.]*\." + str(bits)
        assert self.count("LDG") == self.count("LDG" + width) == loads
        assert self.count("STG") == self.count("STG" + width) == stores
        assert max(self.positions("LDG")) < min(self.positions("STG"))
        assert self.count("LDL|STL") == 0
        assert self.spilled_bytes == 0


@pytest.fixture(scope="session")
def compile_for() -> Callable[..., MachineCode]:
    """``compile_for(kernel, capability, types, constants, aligned)``; ``aligned`` arguments are multiples of 16."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("under the interpreter nothing is compiled")
    return _compile


def _compile(
    kernel: Any, capability: int, types: Mapping[str, str], constants: Mapping[str, Any], aligned: Iterable[str]
) -> MachineCode:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from spikebench.kernels.lif.triton import LAUNCH

    source = ASTSource(
        fn=kernel,
        signature={name: types.get(name, "constexpr") for name in kernel.arg_names},
        constexprs=dict(constants),
        attrs={(kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=LAUNCH)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        sass = _cuobjdump("-sass", file.name)
        resources = _cuobjdump("-res-usage", file.name)
    instructions = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][^;]*);", sass)
    assert instructions, sass[:500]
    return MachineCode(compiled.asm["ptx"], instructions, resources)


def _cuobjdump(*arguments: str) -> str:
    return subprocess.run([_tool("cuobjdump"), *arguments], check=True, capture_output=True, text=True).stdout


@functools.cache
def _tool(name: str) -> str:
    import triton

    return str(Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name)
