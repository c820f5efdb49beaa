"""Data sets, one file each, and how their samples become batches. torch is imported when samples are asked for, not before.

Every data set has the splits ``train``, ``validation`` and ``test``: fixed, disjoint, and the same for every seed of a cell.
Training and searching see the first two; ``test`` is read once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import InputSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.utils.data import Dataset as TorchDataset

    Split: TypeAlias = TorchDataset[tuple[Tensor, ...]]

SplitName: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

RESIDENT_BYTES = 2**30
"""A split held in tensors up to this size is moved to the device whole, once, instead of batch by batch."""


@runtime_checkable
class Dataset(Protocol):
    """A member of the registry ``datasets``: the class ``Dataset`` of ``data/<name>.py``.

    ``Options``: frozen dataclass. ``version``: raised when the same options give other samples; trained weights depend on it.
    It may have ``sizes``, split -> number of samples, as cheap as ``inputs``: a suite's batch is then held against it.
    """

    Options: ClassVar[type]
    version: ClassVar[int]

    def __init__(self, options: Any) -> None: ...

    @property
    def inputs(self) -> InputSpec:
        """Shape and number of classes; cheap: no file is read, no torch imported."""

    def split(self, name: SplitName) -> Split:
        """Samples (x, y): x float32 (channels, size, size), or (T, channels, size, size) where ``inputs.events``; y int64, 0-d.

        A ``TensorDataset`` if the split fits into memory: training then indexes it instead of starting loader processes. Raises
        InputError for another name (``check_split`` does), and for files that are missing, saying where they were looked for.
        ``Split`` is there for type checkers alone, like torch: ``TensorDataset`` does as well, imported under TYPE_CHECKING.
        """


def load(choice: Choice | Mapping[str, Any] | str) -> Dataset:
    """The data set that a suite's ``dataset`` names. Nothing is read yet. Raises InputError for a wrong name or option."""
    choice = Choice.parse(choice)
    member: type[Dataset] = REGISTRIES["datasets"].get(choice.name)
    return member(choice.resolve("datasets"))


def check_split(name: str) -> None:
    """Raises InputError unless ``name`` is one of the three splits."""
    if name not in SPLITS:
        raise InputError(Problem(f"unknown split {name!r}{nearest(name, SPLITS)}", key="split"))


def resident(split: Split, device: torch.device | str = "cpu") -> Split:
    """The split with its tensors on ``device``, if it is a TensorDataset of at most RESIDENT_BYTES; else the split as it is."""
    from torch.utils.data import TensorDataset

    if isinstance(split, TensorDataset) and sum(part.nbytes for part in split.tensors) <= RESIDENT_BYTES:
        return TensorDataset(*(part.to(device) for part in split.tensors))
    return split


def batches(
    split: Split,
    batch_size: int,
    device: torch.device | str = "cpu",
    chosen: Sequence[Tensor] | None = None,
    workers: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches (x, y) on ``device``; x is (B, C, H, W), or (T, B, C, H, W) for event frames; the last batch may be smaller.

    Samples come in order, unless ``chosen`` has the numbers of those of each batch (int64, on the CPU); ``batch_size`` is then of
    no account. A TensorDataset is indexed; anything else goes through a DataLoader with ``workers`` processes.
    """
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    def placed(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
        return (x.transpose(0, 1).contiguous() if x.dim() == 5 else x), y

    if not isinstance(split, TensorDataset):
        pinned = torch.device(device).type == "cuda"
        # The generator seeds the loader's processes: without one of its own it would draw from the training's.
        rest: Any = {"num_workers": workers, "pin_memory": pinned, "generator": torch.Generator().manual_seed(0)}
        if chosen is None:
            rest["batch_size"] = batch_size
        else:
            rest["batch_sampler"] = [numbers.tolist() for numbers in chosen]
        for x, y in DataLoader(split, **rest):
            yield placed(x, y)
        return
    x, y = split.tensors
    if chosen is None:
        for start in range(0, len(y), batch_size):
            yield placed(x[start : start + batch_size], y[start : start + batch_size])
        return
    for numbers in chosen:
        here = numbers.to(x.device)
        yield placed(x[here], y[here])
