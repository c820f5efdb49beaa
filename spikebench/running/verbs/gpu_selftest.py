"""Every path that needs CUDA, run once, small, and held against the CPU: what ``doctor --gpu-selftest`` prints."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

from spikebench.core.console import standard_output
from spikebench.core.reasons import explain

Path = Callable[[Any], str]
"""Runs on a device and returns what it found; raises where that is wrong."""
PATHS: dict[str, Path] = {}
CUDA_ONLY: set[str] = set()
"""Those that no CPU can stand in for."""


def examine() -> bool:
    """Print a line for each path; returns whether one is broken. Without a GPU they are listed, not run."""
    import torch

    console = standard_output()
    there = torch.cuda.is_available()
    broken = False
    for name, verdict, detail in report(torch.device("cuda")) if there else ((name, "not run", "") for name in PATHS):
        broken |= verdict == "broken"
        console.print(f"{verdict:8} {name}{f': {detail}' if detail else ''}", markup=False, highlight=False)
    if not there:
        console.print("no CUDA device: these are the paths that have to be run on one", markup=False)
    return broken


def report(device: Any) -> Iterator[tuple[str, str, str]]:
    """(path, ``runs`` | ``absent`` | ``broken``, what was found or the reason), each as it comes. Never raises."""
    from spikebench.harnesses._timing.outcome import UnavailableError

    for name, path in PATHS.items():
        try:
            yield name, "runs", path(device)
        except (UnavailableError, LookupError) as error:
            yield name, "absent", explain(error)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            yield name, "broken", f"{explain(error)} ({place.filename.rpartition('/')[2]}:{place.lineno})"


def path(name: str, cuda_only: bool = False) -> Callable[[Path], Path]:
    """Add a function to ``PATHS``."""

    def add(function: Path) -> Path:
        PATHS[name] = function
        if cuda_only:
            CUDA_ONLY.add(name)
        return function

    return add


def _near(found: Any, expected: Any, tolerance: float, what: str) -> str:
    error = float((found.double().cpu() - expected.double()).abs().max() / expected.double().abs().max().clamp(min=1e-12))
    if not error <= tolerance:
        raise ArithmeticError(f"{what} is off by {error:.1e} of its largest number")
    return f"{what} within {error:.0e}"


def _lif(device: Any, dtype: str, **neuron: Any) -> str:
    import torch

    from spikebench.kernels.lif import lif, which_backend

    x = torch.randn(4, 3, 64, 37, generator=torch.Generator().manual_seed(0)).add_(0.5).to(getattr(torch, dtype))
    here, there = (x.to(place).requires_grad_() for place in (device, "cpu"))
    got, expected = lif(here, **neuron), lif(there, backend="reference", **neuron)
    if not torch.equal(got.detach().cpu(), expected.detach()):
        raise ArithmeticError(f"{int((got.detach().cpu() != expected).sum())} of {got.numel()} spikes differ from the CPU's")
    torch.autograd.backward([got.sum(), expected.sum()])
    assert here.grad is not None
    assert there.grad is not None
    return f"{which_backend(here)}; " + _near(here.grad, there.grad, 2e-2 if dtype != "float32" else 1e-5, "gradient")


for _dtype in ("float32", "bfloat16", "float16"):
    path(f"LIF, {_dtype}")(lambda device, dtype=_dtype: _lif(device, dtype))  # type: ignore[misc]
path("LIF, soft reset, tau 3, atan")(
    lambda device: _lif(device, "float32", tau=3.0, v_reset=None, detach_reset=False, surrogate="atan")
)


@path("LIF, learned tau")
def _plif(device: Any) -> str:
    import torch

    from spikebench.kernels.lif import lif

    x = torch.randn(4, 3, 64, generator=torch.Generator().manual_seed(0)).add_(0.5)
    taus = [torch.tensor(2.5, device=place, requires_grad=True) for place in (device, "cpu")]
    for tau in taus:
        lif(x.to(tau.device), tau).sum().backward()  # type: ignore[no-untyped-call]
    return _near(taus[0].grad, taus[1].grad, 1e-4, "dL/dtau")


@path("LIF, counted for observers")
def _counted(device: Any) -> str:
    import torch

    from spikebench.kernels.lif import Counts, counting_spikes, lif

    told: list[Counts] = []
    x = torch.randn(4, 3, 8, 5, generator=torch.Generator().manual_seed(0)).add_(0.5).to(device)
    with counting_spikes(lambda spikes, counts: told.append(counts)):
        spikes = lif(x)
    if not torch.equal(told[0].by_neuron, spikes.sum((0, 1)).flatten()):
        raise ArithmeticError("counts are not those of the spikes")
    return f"{int(spikes.sum())} spikes"


@path("BatchNorm and LIF in one, training")
def _bn_lif(device: Any) -> str:
    import torch

    from spikebench.kernels.bn_lif import bn_lif, can_fuse

    x = torch.randn(4, 3, 5, 7, 64, generator=torch.Generator().manual_seed(0)).add_(0.5).movedim(-1, 2)
    found = []
    for place, backend in ((device, "auto"), ("cpu", "reference")):
        leaf, weight = x.to(place).requires_grad_(), torch.ones(64, device=place, requires_grad=True)
        torch.autograd.backward(bn_lif(leaf, None, None, weight, None, True, backend=backend).sum())
        found.append((leaf.grad, weight.grad))
    (dx, dweight), (exact_dx, exact_dweight) = found
    said = f"{_near(dx, exact_dx, 1e-3, 'dx')}, {_near(dweight, exact_dweight, 1e-3, 'dweight')}"
    return f"{'fused' if can_fuse(x.to(device)) else 'unfused'}; {said}"


def _network(device: Any) -> tuple[Any, Any, Any]:
    import torch

    from spikebench.api import build
    from spikebench.core.variant import InputSpec
    from spikebench.harnesses._ways.contender import settle

    torch.manual_seed(0)
    x, y = torch.rand(4, 3, 32, 32), torch.arange(4)
    model = settle(build("spikformer-2-64", InputSpec(3, 32, 10)), x)
    return model.to(device), x.to(device), y.to(device)


def _contend(device: Any, **way: Any) -> str:
    from spikebench.harnesses._ways.contender import Contender
    from spikebench.harnesses._ways.ways import Way

    contender = Contender(*_way_first(device, Way(**way)))
    for _ in range(3):
        contender()
    contender.synchronize()
    return f"LIF by {contender.implementation()}"


def _way_first(device: Any, way: Any) -> tuple[Any, Any, Any, Any]:
    model, x, y = _network(device)
    return model, way, x, y


for _phase in ("inference", "training"):
    for _mode in ("eager", "cudagraph", "compile"):
        path(f"network, {_phase}, {_mode}", cuda_only=_mode != "eager")(
            lambda device, phase=_phase, mode=_mode: _contend(device, phase=phase, mode=mode, dtype="bf16")  # type: ignore[misc]
        )
    path(f"network, {_phase}, BatchNorm and LIF fused")(
        lambda device, phase=_phase: _contend(device, phase=phase, fused=True)  # type: ignore[misc]
    )
path("network, inference, TF32", cuda_only=True)(lambda device: _contend(device, dtype="tf32"))
path("network, inference, fp16")(lambda device: _contend(device, dtype="fp16"))
path("network, inference, BatchNorm folded")(lambda device: _contend(device, fold=True))
path("network with SpikingJelly's LIF")(lambda device: _contend(device, backend="spikingjelly"))


@path("network, logits against the CPU's")
def _logits(device: Any) -> str:
    import torch

    model, x, _ = _network(device)
    with torch.no_grad():
        return _near(model(x), model.cpu()(x.cpu()), 0.1, "logits")


@path("counting a network")
def _count(device: Any) -> str:
    from spikebench.activity import count

    model, x, _ = _network(device)
    here = count(model, x).total("events")
    there = count(model.cpu(), x.cpu()).total("events")
    if not abs(here - there) <= 0.02 * there:
        raise ArithmeticError(f"{here} events, {there} on the CPU")
    return f"{here} events, {there} on the CPU"


@path("peak memory of a step", cuda_only=True)
def _peak(device: Any) -> str:
    from spikebench.harnesses._memory.allocations import peak

    model, x, y = _network(device)
    found = peak(lambda: model.loss(x, y)[0].backward(), device, 0)
    if found.allocated <= 0:
        raise ArithmeticError("nothing was allocated")
    return f"{found.allocated / 2**20:.0f} MiB"


@path("NVML: clock, temperature, power", cuda_only=True)
def _nvml(device: Any) -> str:
    from spikebench.harnesses._timing.observe import Gpu

    return str(Gpu(device.index or 0).state())
