"""One way to run a network: a LIF backend, a mode, a number format and a phase, made ready to be called again and again."""

from __future__ import annotations

import copy
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from spikebench.activity.eager_mode import EagerMode
from spikebench.core.errors import InputError
from spikebench.core.protocols import Subject
from spikebench.harnesses._timing.outcome import UnavailableError
from spikebench.harnesses._ways import spikingjelly
from spikebench.harnesses._ways.compiler import compiled
from spikebench.harnesses._ways.ways import COMPILED, OURS, SPIKINGJELLY, SPIKINGJELLYS, Way
from spikebench.kernels.lif import use_backend
from spikebench.networks import folding, shortcuts
from spikebench.training.objective import Classification
from spikebench.training.options import Checkpointing, TrainingOptions
from spikebench.training.recomputing import recomputing

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Contender:
    """``way`` applied to a copy of ``model``: calling it runs one batch. The model itself is never changed.

    Training is a forward pass, the loss and a backward pass, without the optimizer, which is the same for all. Half precision is
    autocast. ``checkpointing``: what the cell's training recomputes (``training.recomputing``), a training step here does too.
    Raises UnavailableError where this machine, or this network, cannot be run that way.
    """

    def __init__(self, model: nn.Module, way: Way, x: Tensor, y: Tensor, checkpointing: Checkpointing = "off") -> None:
        self.way = way
        self.checkpointing: Checkpointing = checkpointing if way.phase == "training" else "off"
        self.device = x.device
        self._check(model)
        if way.fold:
            self.model, self.folded = folding.fold(model)
            if not self.folded:
                raise UnavailableError("no BatchNorm of this network directly follows a layer that it can be folded into")
        else:
            self.model = copy.deepcopy(model).train(way.phase == "training")
        if way.backend in SPIKINGJELLYS:
            spikingjelly.swap(self.model, compiled=way.backend == COMPILED)
        self.x, self.y = x, y
        self._pass: Callable[[], Tensor] = self._training if way.phase == "training" else self._inference
        self._compiled = compiled(self._forward) if way.mode == "compile" else self._forward
        self._graph: Any = None

    def __call__(self) -> None:
        """Run once; on a GPU it returns when the work is queued."""
        with self._context():
            if self.way.mode == "cudagraph":
                self._replay()
            else:
                self._pass()

    def forward(self) -> Tensor:
        """Logits, or the loss in training, of one eager forward pass, with its graph."""
        with self._context():
            return self._forward(self.x, self.y)

    def synchronize(self) -> None:
        """Wait for what is queued."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def implementation(self) -> str:
        """Which LIF really ran: our backends' names as seen in one more eager call, or SpikingJelly's own statement."""
        if self.way.backend == SPIKINGJELLY:
            return spikingjelly.implementation(self.device)
        if self.way.backend == COMPILED:
            return "torch.compile"
        with self._context(), _LifCalls() as seen, torch.no_grad(), self._autocast():
            self.model(self.x)
        return ", ".join(sorted(seen.backends)) or "no LIF"

    def flips(self, model: nn.Module) -> tuple[int, int]:
        """Outputs of neurons that differ from those of ``model``, evaluated on the same batch, and how many there are."""
        with self._context(), torch.no_grad(), self._autocast():
            return folding.flips(copy.deepcopy(model).eval(), self.model, self.x)

    def _check(self, model: nn.Module) -> None:
        way, cuda = self.way, self.device.type == "cuda"
        if (way.fused or way.fold) and way.backend in SPIKINGJELLYS:
            raise UnavailableError("fused and folded are ways of ours")
        if way.fold and way.phase == "training":
            raise UnavailableError("BatchNorm is folded for evaluation alone: a training step needs its statistics")
        if way.mode == "cudagraph" and not cuda:
            raise UnavailableError("CUDA graphs need a CUDA device")
        if way.backend in SPIKINGJELLYS and (reason := spikingjelly.why_not(model)):
            raise UnavailableError(reason)
        if way.backend == COMPILED and way.mode == "compile":
            raise UnavailableError(
                "spikingjelly-compiled is compiled already: spikingjelly in mode compile compiles the whole network"
            )
        if (way.mode == "compile" or way.backend == COMPILED) and (reason := no_compiler(cuda)):
            raise UnavailableError(reason)
        if way.dtype == "tf32" and not cuda:
            raise UnavailableError("TF32 is a way of GPUs to multiply fp32")
        if way.dtype == "bf16" and cuda and torch.cuda.get_device_capability(self.device) < (8, 0):
            raise UnavailableError(f"{torch.cuda.get_device_name(self.device)} has no bfloat16")

    @contextmanager
    def _context(self) -> Iterator[None]:
        ours = self.way.backend not in SPIKINGJELLYS
        backend = use_backend("auto" if self.way.backend == OURS else self.way.backend) if ours else nullcontext()
        fusing = shortcuts.fusing_bn_lif() if self.way.fused else nullcontext()
        # Past its limit the compiler falls back to eager in silence; a network has more LIF shapes than the default allows.
        limits = (
            torch._dynamo.config.patch(recompile_limit=256, fail_on_recompile_limit_hit=True) if self._compiles else nullcontext()
        )
        try:
            with backend, limits, fusing, _tf32(self.way.dtype == "tf32"), recomputing(self.model, self.checkpointing):
                yield
        except InputError as error:
            raise UnavailableError(str(error)) from error

    @property
    def _compiles(self) -> bool:
        return self.way.mode == "compile" or self.way.backend == COMPILED

    def _autocast(self) -> AbstractContextManager[Any]:
        return (
            nullcontext()
            if self.way.dtype in ("fp32", "tf32")
            else torch.autocast(self.device.type, dtype=DTYPES[self.way.dtype])
        )

    def _forward(self, x: Tensor, y: Tensor) -> Tensor:
        with self._autocast():
            if self.way.phase == "inference":
                logits: Tensor = self.model(x)
                return logits
            return _OBJECTIVE(self.model, x, y)

    def _inference(self) -> Tensor:
        with torch.inference_mode():
            return self._compiled(self.x, self.y)

    def _training(self) -> Tensor:
        for parameter in self.model.parameters():
            parameter.grad = None
        loss = self._compiled(self.x, self.y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def _replay(self) -> None:
        if self._graph is None:
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(3):  # lazy initialisation must not be captured
                    self._pass()
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._pass()
            self._graph = graph
        self._graph.replay()


@contextmanager
def _tf32(wanted: bool) -> Iterator[None]:
    """Products and convolutions of a GPU in TF32, or in neither: torch's default is the one for convolutions alone."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = wanted
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


_OBJECTIVE = Classification(TrainingOptions())


def checkpointing_of(subject: Subject) -> Checkpointing:
    """Of the cell's training."""
    training = subject.job.cell.training
    found: Checkpointing = "off" if training is None else training.resolve("harnesses").activation_checkpointing
    return found


class _LifCalls(EagerMode):
    """Listens to ``spikebench::lif`` and ``spikebench::bn_lif``, whose third and seventh argument name the backend."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.backends: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(function).startswith("spikebench.lif."):
            self.backends.add(args[2])
        if str(function).startswith("spikebench.bn_lif."):
            self.backends.add(f"{args[6]} with BatchNorm")
        return function(*args, **(kwargs or {}))


def no_compiler(cuda: bool) -> str | None:
    if cuda:
        return None if importlib.util.find_spec("triton") else "torch.compile on a GPU needs triton"
    found = any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++", "c++") if name)
    return None if found else "torch.compile on a CPU needs a C++ compiler, and none is on the path"


def settle(model: nn.Module, x: Tensor) -> nn.Module:
    """A copy whose BatchNorm statistics are those of the batch ``x``, in evaluation mode.

    With the statistics that a network is born with, almost no neuron fires: one would time, and weigh, a network of zeros.
    """
    settled = copy.deepcopy(model).train()
    norms = [module for module in settled.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # the last batch is all that counts
    with torch.no_grad():
        settled(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return settled.eval()


def first_batch(dataset: Any, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """``size`` test samples on ``device`` in order, repeated where there are fewer; x as ``data.batches`` makes it."""
    from spikebench.data import batches, subset

    split = dataset.split("test")
    chosen = subset(split, [index % len(split) for index in range(size)])
    return next(iter(batches(chosen, size, device)))
