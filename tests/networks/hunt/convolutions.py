"""Looks for convolutions that a library's kernel breaks: memory read or written outside of a tensor, wrong numbers, crashes.

    PYTHONPATH=. python tests/networks/hunt/convolutions.py --isa AVX2 --channels 1-32 --sides 8,64 --layer ours

Every kernel, stride and padding that our stems, families and attentions use is tried with all pairs of channels, in both memory
formats, forward and backward, each time in a process of its own. ``--isa`` is what oneDNN may use (SSE41, AVX, AVX2, DEFAULT);
``--layer torch`` tries ``nn.Conv2d``, so what is found there and not with ``ours`` is what we go round. Exit code 1: found some.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

Trial = dict[str, int | bool | str]
MEANING = {77: "reads outside of its memory", 78: "writes outside of its memory", 79: "writes outside of its memory"}
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05}


def shapes() -> list[tuple[int, int, int]]:
    """(kernel, stride, padding) of all square convolutions that any of our networks has."""
    from torch import nn

    from spikebench import InputSpec, build
    from spikebench.core.errors import InputError
    from spikebench.core.registry import REGISTRIES
    from spikebench.core.variant import VariantSpec

    base = VariantSpec(depth=3, dim=32, num_heads=2, T=1).replace(residual="membrane")
    specs = [base.replace(stem={"name": stem, "patch_size": patch}) for stem in REGISTRIES["stems"] for patch in (1, 2, 4, 8, 16)]
    specs += [base.replace(attention={"name": "dssa", "reduction": p}, residual="add") for p in (1, 2, 4)]
    specs += [VariantSpec(depth=3, dim=32, num_heads=2).replace(family={"name": "qkformer", "first_patch": p}) for p in (1, 4)]
    specs += [VariantSpec(depth=1, dim=32, num_heads=2).replace(family={"name": "sj", "patch_size": p}) for p in (4, 16)]
    found = set()
    for spec in specs:
        try:
            model = build(spec, InputSpec(3, 32, 10))
        except InputError:  # a stem that does not have this patch size
            continue
        convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
        found |= {(c.kernel_size[0], c.stride[0], int(c.padding[0])) for c in convolutions}
    return sorted(found)


def trials(channels: Sequence[int], sides: Sequence[int], dtype: str = "float32") -> Iterator[Trial]:
    for (kernel, stride, padding), i, o, side, last in itertools.product(shapes(), channels, channels, sides, (True, False)):
        if side >= kernel:
            yield {
                "kernel": kernel, "stride": stride, "padding": padding, "in": i, "out": o, "side": side,
                "channels_last": last, "dtype": dtype,
            }  # fmt: skip


def hunt(found: Sequence[Trial], isa: str, layer: str) -> list[tuple[Trial, str]]:
    """What goes wrong in which trial, with oneDNN held to ``isa``. A trial that ends badly ends alone."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "ONEDNN_MAX_CPU_ISA": isa,
            "OMP_NUM_THREADS": "1",
            "MALLOC_CHECK_": "3",
            **guard(Path(folder)),
        }
        command = [sys.executable, __file__, "--worker", "--layer", layer]
        text = "".join(json.dumps(trial) + "\n" for trial in found)
        done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the hunt itself failed: {done.stderr[-2000:]}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(found)
    return [(trial, outcome) for trial, outcome in zip(found, lines, strict=True) if outcome]


def guard(folder: Path) -> dict[str, str]:
    """The environment in which memory is watched: ``guard.c``; glibc's own checks, which see less, without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux" or os.uname().machine != "x86_64":
        return {"LD_PRELOAD": "libc_malloc_debug.so.0"}
    library = folder / "guard.so"
    source = Path(__file__).with_name("guard.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-fno-builtin", "-o", str(library), str(source)], check=True)
    return {"LD_PRELOAD": str(library), "SPIKEBENCH_GUARD": str(library)}


def work(layer: str) -> None:
    """Reads trials, a line each; prints what went wrong, "" for nothing. A fork makes one after another until it dies of one."""
    from spikebench.networks.layers import Conv2d  # noqa: F401 - before the forks

    left = [json.loads(line) for line in sys.stdin]
    while left:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            if "SPIKEBENCH_GUARD" in os.environ:
                ctypes.CDLL(os.environ["SPIKEBENCH_GUARD"]).guard_on()
            for trial in left:
                os.write(writing, b"." if attempt(trial, layer) < TOLERANCE[trial["dtype"]] else b"x")
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as stream:
            marks = stream.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        outcomes = ["wrong numbers" if mark == "x" else "" for mark in marks]
        if code:
            outcomes.append(MEANING.get(code, f"ends the process ({code})"))
        print(*map(json.dumps, outcomes), sep="\n", flush=True)
        left = left[len(outcomes) :]


def attempt(trial: Trial, layer: str) -> float:
    """The largest error of output and gradients, relative to the largest number, against float64 without the library."""
    import torch

    from spikebench.networks.layers import Conv2d

    if trial["kernel"] == 0:  # the planted fault: does the watch see anything at all?
        x = torch.zeros(trial["side"])
        ctypes.memset(x.data_ptr() + 4 * x.numel(), 0, 8)
        del x
        return 0.0
    torch.manual_seed(0)
    dtype = getattr(torch, str(trial["dtype"]))
    memory = torch.channels_last if trial["channels_last"] else torch.contiguous_format
    arguments = (trial["in"], trial["out"], trial["kernel"], trial["stride"], trial["padding"])
    convolution = torch.nn.Conv2d(*arguments).to(dtype)
    if layer == "ours":
        plain, convolution = convolution, Conv2d(*arguments).to(dtype)
        convolution.load_state_dict(plain.state_dict())
    images = torch.randn(3, trial["in"], trial["side"], trial["side"], dtype=dtype)

    def everything(module: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
        x.requires_grad_()
        y = module(x.unsqueeze(0))[0] if isinstance(module, Conv2d) else module(x)
        weights = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y).contiguous(memory_format=memory)
        y.backward(weights)
        return [y.detach(), x.grad, *(parameter.grad for parameter in module.parameters())]

    got = everything(convolution, images.clone(memory_format=memory))
    reference = torch.nn.Conv2d(*arguments).double()
    reference.load_state_dict(convolution.state_dict())
    with torch.backends.mkldnn.flags(enabled=False):
        want = everything(reference, images.double())
    return max(
        float(((a.double() - b).abs().max() / b.abs().max()).nan_to_num(torch.inf)) for a, b in zip(got, want, strict=True)
    )


def numbers(text: str) -> list[int]:
    """``1-4,8`` is 1, 2, 3, 4, 8."""
    ends = [part.split("-") for part in text.split(",")]
    return [number for first, *last in ends for number in range(int(first), int(last[0] if last else first) + 1)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", default="DEFAULT")
    parser.add_argument("--channels", type=numbers, default=numbers("1-32"))
    parser.add_argument("--sides", type=numbers, default=numbers("8,64"))
    parser.add_argument("--layer", choices=("ours", "torch"), default="ours")
    parser.add_argument("--dtype", choices=tuple(TOLERANCE), default="float32")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.layer)
        return 0
    tried = list(trials(options.channels, options.sides, options.dtype))
    found = hunt(tried, options.isa, options.layer)
    print(f"{options.isa}, {options.dtype}, {options.layer}: {len(found)} of {len(tried)} convolutions are broken")
    kinds = Counter(
        (t["kernel"], t["stride"], t["side"], "channels last" if t["channels_last"] else "channels first", outcome)
        for t, outcome in found
    )
    for (kernel, stride, side, memory, outcome), count in kinds.items():
        widths = sorted(
            {t["in"] for t, o in found if (t["kernel"], t["stride"], t["side"], o) == (kernel, stride, side, outcome)}
        )
        print(f"  {kernel}x{kernel}, stride {stride}, {side} pixels, {memory}: {outcome} {count} times, input channels {widths}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
