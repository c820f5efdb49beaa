"""What this machine can do, and why not more."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from spikebench.core import allocator, instructions
from spikebench.core.choice import Choice
from spikebench.core.console import standard_output
from spikebench.core.errors import InputError
from spikebench.core.machine import machine
from spikebench.core.registry import REGISTRIES
from spikebench.core.source import package_version, source

Finding = tuple[str, str, str]
"""(what, "yes" | "no" | a value, why or detail)"""


def examine() -> None:
    """Print the findings as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True)
    table.add_column()
    colours = {"yes": "green", "no": "yellow"}
    for what, verdict, detail in findings():
        table.add_row(what, Text(verdict, style=colours.get(verdict, "")), Text(detail))
    standard_output().print(table)


def findings() -> Iterator[Finding]:
    """Everything that decides what can be measured here."""
    yield from _software()
    yield from _hardware()
    yield from _backends()
    yield from _power()
    yield from _extras()
    yield from _data()


def _software() -> Iterator[Finding]:
    facts = source()
    commit = (
        f"commit {facts['commit'][:12]}{', with changes' if facts['dirty'] else ''}" if facts["commit"] else "installed package"
    )
    yield "spikebench", facts["spikebench"], commit
    yield "Python", platform.python_version(), ""
    for name in ("torch", "triton", "spikingjelly", "numba"):
        yield name, package_version(name) or "no", "" if package_version(name) else "not installed"


def _hardware() -> Iterator[Finding]:
    import torch

    facts = machine(torch.get_num_threads())
    yield "machine", facts["machine_id"], "times are compared between runs on this machine only"
    yield "CPU", str(facts["cores"]), f"cores; {facts['cpu']}; torch uses {facts['threads']} threads"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            capability = f"{properties.major}.{properties.minor}"
            yield "GPU", "yes", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, compute capability {capability}"
    else:
        built = torch.version.cuda
        yield "GPU", "no", f"torch {'was built for CUDA ' + built if built else 'is a CPU build'} and sees no CUDA device"
    yield _memory()
    yield _bf16()
    yield _convolutions()
    yield _patches()


def _memory() -> Finding:
    if allocator.setting() == "kept":
        how = f"until a job ends, by mallopt; {allocator.VARIABLE}=system leaves it to the system. Times say which (malloc=kept)"
        return "freed memory is kept", "yes", f"{allocator.library()}: {how}"
    asked = os.environ.get(allocator.VARIABLE)
    why = f"{allocator.VARIABLE}={asked}" if asked else "only glibc's malloc can be told to"
    return "freed memory is kept", "no", f"{allocator.library()}: {why}; large tensors may cost page faults (malloc=system)"


def _bf16() -> Finding:
    if not instructions.cpu_info("flags"):
        return "bf16 on the CPU", "unknown", "/proc/cpuinfo cannot be read"
    native = sorted(instructions.usable() & {"amx_bf16", "avx512_bf16"})
    if native:
        return "bf16 on the CPU", "yes", f"{', '.join(native)}; `train: {{amp: bf16}}` uses it"
    masks = [name for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA") if os.environ.get(name)]
    why = f" ({', '.join(f'{name}={os.environ[name]}' for name in masks)})" if masks else ""
    return "bf16 on the CPU", "no", f"neither amx_bf16 nor avx512_bf16{why}: bf16 would be emulated"


STRIDED = """
import resource, torch
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
for side in (8, 64, 128) * 4:
    x = torch.ones(4, 4, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    layer = torch.nn.Conv2d(4, 8, 1, stride=2, bias=False)
    layer(x).sum().backward()
    assert (layer.weight.grad == side * side).all()
"""
"""Plain torch at what ``networks.onednn`` goes round; a process of its own, since it may not survive."""


def _convolutions() -> Finding:
    what = "strided 1x1 convolutions"
    watched = {**os.environ, "MALLOC_CHECK_": "3"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", STRIDED], env=watched, capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return what, "unknown", f"could not be tried: {error}"
    if done.returncode == 0:
        return what, "yes", "torch's own gradients of few channels are right here"
    why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    fault = f"the gradient of torch.nn.Conv2d(4, 8, 1, stride=2) in channels-last memory is broken here ({why})"
    advice = "spikebench's own layers go round it, a network of your own is safe with ONEDNN_MAX_CPU_ISA=AVX"
    return what, "no", f"{fault}: uxlfoundation/oneDNN#6035; {advice}"


def _patches() -> Finding:
    import torch
    from torch.nn.functional import conv2d

    what = "bf16 patches"
    draws = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 16, 16, 16, generator=draws), torch.randn(8, 16, 4, 4, generator=draws)
    exact = conv2d(x, weight, stride=4)
    error = float((conv2d(x.bfloat16(), weight.bfloat16(), stride=4).float() - exact).abs().max() / exact.abs().max())
    if error < 0.05:
        return what, "yes", "torch's own convolutions of patches are right in bf16 here"
    fault = f"torch.nn.Conv2d(16, 8, 4, stride=4) in bf16 is off by {error:.0%} of its largest output here"
    advice = "spikebench's own layers go round it, a network of your own needs fp32"
    return what, "no", f"{fault} (see pytorch/pytorch#169688); {advice}"


def _backends() -> Iterator[Finding]:
    import torch

    from spikebench.kernels.lif import explain

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        for name, reason in explain(torch.zeros(4, 8, device=device)).items():
            yield f"LIF on {device}: {name}", "no" if reason else "yes", reason or REGISTRIES["backends"].describe(name)


def _power() -> Iterator[Finding]:
    counters = list(Path("/sys/class/powercap").glob("*/energy_uj")) if Path("/sys/class/powercap").is_dir() else []
    readable = [path for path in counters if _can_read(path)]
    if readable:
        yield "CPU energy", "yes", f"RAPL, {len(readable)} counters"
    else:
        why = "the RAPL counters can be read by root alone" if counters else "no RAPL counter in /sys/class/powercap"
        yield "CPU energy", "no", why
    version = package_version("nvidia-ml-py")
    how = f"NVML {version}" if version else "needs the extra `gpu` (pip install spikebench[gpu])"
    yield "GPU energy", "yes" if version else "no", how


def _can_read(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except OSError:
        return False
    return True


def _extras() -> Iterator[Finding]:
    needs = {
        "dashboard": ("optuna-dashboard", "look at a search in the browser"),
    }
    for extra, (package, what) in needs.items():
        version = package_version(package)
        yield f"extra {extra}", "yes" if version else "no", f"{what}{'' if version else f' (pip install spikebench[{extra}])'}"


def _data() -> Iterator[Finding]:
    for name in REGISTRIES["datasets"]:
        missing = _missing_files(name)
        yield f"data {name}", "no" if missing else "yes", missing or REGISTRIES["datasets"].describe(name)


def _missing_files(name: str) -> str:
    """Why a data set of the user's files is not found without a ``root``, or ""."""
    member = REGISTRIES["datasets"].get(name)
    if hasattr(member, "settle"):
        try:
            member(Choice(name).resolve("datasets")).settle(Path())
        except InputError as error:
            return str(error.problems[0].message)
    return ""
