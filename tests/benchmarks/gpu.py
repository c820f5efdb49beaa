"""Everything that needs a GPU, in one call under eight minutes: are the kernels right there, and how fast are they?

    python tests/benchmarks/gpu.py [--out results/reference/gpu] [--parts selftest check lif bn_lif networks] [--minutes 8]

OUT/networks is a results folder with the records of whole networks; beside it is one JSON object a line in OUT/<part>.jsonl:
every sample, the card, the versions. When the minutes are over it stops, and the same command goes on with the networks where it
was. No speed is printed for a kernel that failed its check; ``selftest`` is ``spikebench doctor --gpu-selftest``.

Without a GPU it runs the CPU's backends on small tensors, so that the
script itself can be tested.

SpikingJelly chooses its implementation when it is imported; ``--spikingjelly`` says which one is compared with.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spikebench.kernels.bn_lif import bn_lif
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import explain, lif, which_backend
from spikebench.kernels.lif.reference import gradients

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# (T, B, C, H, W): stem and encoder of spikformer-8-512 at 224x224, far over the L2 cache; then what fits into it.
SHAPES = [(4, 64, 64, 112, 112), (4, 128, 512, 14, 14), (4, 128, 2048, 14, 14), (4, 8, 512, 14, 14)]
SHAPES = SHAPES if CUDA else [(4, 2, 64, 8, 8)]
CALLS = 50 if CUDA else 5

Row = dict[str, Any]


def innermost(x: Tensor) -> Tensor:
    """The same tensor with its channels (axis 2) innermost in memory, as our networks keep them."""
    return x.movedim(2, -1).contiguous().movedim(-1, 2)


class Stopwatch:
    """Seconds of calls that take turns, each with a cold L2 cache; CUDA events on a GPU."""

    def __init__(self) -> None:
        size = 2 * torch.cuda.get_device_properties(DEVICE).L2_cache_size if CUDA else 1
        self.flush = torch.empty(size, dtype=torch.int8, device=DEVICE)

    def race(self, functions: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
        """Samples by name; one that fails has none."""
        runnable: dict[str, Callable[[], Any]] = {}
        for name, function in functions.items():
            try:
                for _ in range(10 if CUDA else 1):
                    function()
                if CUDA:
                    torch.cuda.synchronize()
                runnable[name] = function
            except Exception as error:  # out of memory, or a baseline that cannot: said in the table, the rest goes on
                print(f"  {name} cannot run: {type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
        samples: dict[str, list[float]] = {name: [] for name in functions}
        for _ in range(CALLS):
            for name, function in runnable.items():
                samples[name].append(self._once(function))
        return samples

    def _once(self, function: Callable[[], Any]) -> float:
        self.flush.zero_()
        if not CUDA:
            start = time.perf_counter()
            function()
            return time.perf_counter() - start
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        function()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last)) / 1e3


def check() -> Iterator[Row]:
    """Spikes to the bit and gradients by the ratio rule, before anything is timed. Stops the script where one is
    wrong.
    """
    for name, reason in explain(torch.zeros(1, 1, device=DEVICE)).items():
        print(f"  {name}: {reason or 'runs here'}")
    for name, dtype in DTYPES.items():
        for T, tau, v_reset, detach in ((4, 2.0, 0.0, True), (4, 3.0, None, False), (16, 2.0, 0.0, True), (40, 1.7, -0.2, False)):
            x, grad = (torch.randn(T, 3, 64, 9, 7, device=DEVICE).add_(0.5).to(dtype) for _ in range(2))
            for layout in (torch.Tensor.contiguous, innermost):
                leaf = layout(x).detach().requires_grad_()
                spikes = lif(leaf, tau, v_reset=v_reset, detach_reset=detach)
                same = torch.equal(spikes, lif(x, tau, v_reset=v_reset, detach_reset=detach, backend="reference"))
                spikes.backward(grad)
                assert leaf.grad is not None
                dynamics = Dynamics(tau, 1.0, v_reset, True, detach)
                exact = gradients(x.double(), grad.double(), dynamics, tau)[0]
                plain = gradients(x, grad, dynamics, tau)[0].to(dtype)
                error, allowed = ((g - exact).abs().max().item() for g in (leaf.grad, plain))
                floor = 4 * torch.finfo(torch.float32).eps * exact.abs().max().item()
                row = {"dtype": name, "T": T, "tau": tau, "backend": which_backend(leaf), "equal": same}
                yield row | {"error": error, "plain_error": allowed}
                if not same or error > 2 * allowed + floor:
                    raise SystemExit(f"the kernel is wrong: {row}, gradient error {error:.2e}, plain torch's {allowed:.2e}")


def lif_table() -> Iterator[Row]:
    """Forward and backward against SpikingJelly's functional form and against a device copy of as many bytes."""
    from spikingjelly.activation_based import functional

    watch = Stopwatch()
    for shape in SHAPES:
        for name, dtype in DTYPES.items():
            x, grad = (torch.randn(shape, device=DEVICE).to(dtype) for _ in range(2))
            leaf, rest = x.detach().requires_grad_(), torch.zeros(shape[1:], device=DEVICE)

            def theirs(x: Tensor, rest: Tensor = rest) -> Tensor:
                spikes: Tensor = functional.lif_multi_step(x, rest, detach_reset=True)[0]
                return spikes

            graphs = {"ours": lif(leaf), "spikingjelly": theirs(leaf)}
            for phase, bytes_moved in (("forward", 2 * x.nbytes), ("backward", 3 * x.nbytes)):
                if phase == "forward":
                    calls = {"ours": lambda x=x: lif(x), "spikingjelly": lambda x=x: theirs(x)}
                else:
                    calls = {
                        side: lambda out=out, leaf=leaf, grad=grad: torch.autograd.grad(out, leaf, grad, retain_graph=True)
                        for side, out in graphs.items()
                    }
                twin = torch.empty_like(x)
                samples = watch.race({**calls, "copy": lambda x=x, twin=twin: twin.copy_(x)})
                row = {"shape": shape, "dtype": name, "phase": phase, "backend": which_backend(x), "bytes": bytes_moved}
                yield row | ratios(samples, bytes_moved, 2 * x.nbytes)


def bn_lif_table() -> Iterator[Row]:
    """A training step of BatchNorm and LIF, fused, against torch's BatchNorm and SpikingJelly's LIF; and what each
    saves.
    """
    from spikingjelly.activation_based import functional

    watch = Stopwatch()
    for shape in SHAPES[:3]:
        for name, dtype in DTYPES.items():
            x, grad = (innermost(torch.randn(shape, device=DEVICE).to(dtype)) for _ in range(2))
            weight, bias = (torch.ones(shape[2], device=DEVICE, requires_grad=True) for _ in range(2))
            rest = torch.zeros(shape[1:], device=DEVICE)

            def ours(x: Tensor, weight: Tensor = weight, bias: Tensor = bias) -> Tensor:
                return bn_lif(x, None, None, weight, bias, True)

            def theirs(x: Tensor, weight: Tensor = weight, bias: Tensor = bias, rest: Tensor = rest) -> Tensor:
                y = F.batch_norm(x.flatten(0, 1), None, None, weight, bias, True).view_as(x)
                spikes: Tensor = functional.lif_multi_step(y, rest, detach_reset=True)[0]
                return spikes

            leaf = x.detach().requires_grad_()
            sides = {"ours": ours, "spikingjelly": theirs}
            steps = {
                side: lambda function=function, leaf=leaf, grad=grad: torch.autograd.grad(function(leaf), leaf, grad)
                for side, function in sides.items()
            }
            row = {"shape": shape, "dtype": name, "phase": "training step"}
            row |= {f"{side}_saved_bytes": saved_bytes(function, leaf) for side, function in sides.items()}
            yield row | ratios(watch.race(steps), 8 * x.nbytes, 2 * x.nbytes)


def saved_bytes(function: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Bytes that autograd keeps for the backward pass; a storage that is saved twice counts once."""
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function(x)
    return sum(storages.values())


def ratios(samples: dict[str, list[float]], bytes_moved: int, copied: int) -> Row:
    """Medians as ratios and bandwidths; null where a side could not run."""
    middle = {name: statistics.median(values) if values else None for name, values in samples.items()}
    ours, theirs, copy = (middle.get(name) for name in ("ours", "spikingjelly", "copy"))
    row: Row = {"ours_s": ours, "ours_bytes_per_s": bytes_moved / ours if ours else None}
    row["ratio"] = theirs / ours if ours and theirs else None
    row["share_of_copy"] = (bytes_moved / ours) / (copied / copy) if ours and copy else None
    return row | {"samples": samples}


def networks(out: Path) -> Iterator[Row]:
    """Latency, power, memory and a training step of whole networks: suites/gpu.yaml, whose results folder is OUT/networks."""
    import yaml

    from spikebench.core.suite_reader import from_document
    from spikebench.core.yaml_nodes import parse
    from spikebench.running.jobs import rules
    from spikebench.running.jobs.events import Measured
    from spikebench.running.run.runner import bind

    data = yaml.safe_load((Path(__file__).parents[2] / "suites" / "gpu.yaml").read_text())
    if not CUDA:
        data |= SMALL_SUITE
    for event in bind(from_document(parse(yaml.safe_dump(data)), rules), out / "networks").events():
        if isinstance(event, Measured):
            record = event.record
            yield {"metric": record.metric, "value": record.value, "cell": record.cell_id, **record.conditions} | (
                {"reason": record.reason} if record.value is None else {}
            )


SMALL_SUITE: Row = {
    "dataset": "digits",
    "variants": {"base": "spikformer-2-64"},
    "measure": [
        {"latency": {"batch_sizes": [2], "backends": ["spikebench", "spikingjelly"], "seconds": 0.2}},
        {"memory": {"batch_sizes": [2]}},
        {"power": {"batch_sizes": [2], "seconds": 0.2, "windows": 1}},
    ],
}


def selftest() -> Iterator[Row]:
    """Every path that needs CUDA, once."""
    from spikebench.running.verbs import gpu_selftest

    for name in [] if CUDA else gpu_selftest.CUDA_ONLY:
        del gpu_selftest.PATHS[name]
    for name, verdict, detail in gpu_selftest.report(DEVICE):
        yield {"path": name, "verdict": verdict, "detail": detail}


PARTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "selftest": lambda out: selftest(),
    "check": lambda out: check(),
    "lif": lambda out: lif_table(),
    "bn_lif": lambda out: bn_lif_table(),
    "networks": networks,
}


def machine() -> Row:
    import triton

    name = torch.cuda.get_device_name(DEVICE) if CUDA else None
    return {"card": name, "torch": torch.__version__, "cuda": torch.version.cuda, "triton": triton.__version__}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("results/reference/gpu"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--spikingjelly", choices=("auto", "cuda", "triton", "torch"), default="triton")
    arguments = parser.parse_args()
    if CUDA:
        os.environ.setdefault("SJ_LIF_CUDA_IMPLEMENTATION", arguments.spikingjelly)
    about = machine() | {"spikingjelly": arguments.spikingjelly if CUDA else "torch"}
    print(json.dumps(about))
    arguments.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * arguments.minutes
    for part in arguments.parts:
        start = time.perf_counter()
        print(f"{part}:")
        with (arguments.out / f"{part}.jsonl").open("w") as file:
            for row in PARTS[part](arguments.out):
                file.write(json.dumps(about | row) + "\n")
                file.flush()
                shown = {key: value for key, value in row.items() if key != "samples"}
                if time.monotonic() > end:
                    raise SystemExit(f"{arguments.minutes:g} minutes are over in part {part}; the rest is for another call")
                print("  " + "  ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in shown.items()))
        print(f"  {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
