"""Data sets, one file each, and how their samples become batches. torch is imported when samples are asked for, not before.

Every data set has the splits ``train``, ``validation`` and ``test``: fixed, disjoint, and the same for every seed of a cell.
Training and searching see the first two; ``test`` is read once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.own_references import localise_values
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

    One whose files are the user's has ``settle(folder)``: options that say where the files lie, seen from the suite's folder, and
    ``content``, what they hold. A suite asks for it before anything runs; it raises InputError, whose keys are options, for files
    that are not as they must be. Where files lie is no part of what they are: such ``Options`` have ``identity()``, the same
    without it (``core.choice``).

    One that reads images from files may have ``files(name)``: the split with ``cropped(scale, ratio, seed)``, which cuts random
    parts out of the original images; sample number i of it is sample i modulo its length (``_images``).
    """

    Options: ClassVar[type]
    version: ClassVar[int]

    def __init__(self, options: Any) -> None: ...

    @property
    def inputs(self) -> InputSpec:
        """Shape and number of classes; cheap: no file is read, no torch imported."""

    def split(self, name: SplitName) -> Split:
        """Samples (x, y): x float32 (channels, size, size), or (T, channels, size, size) where ``inputs.events``; y int64, 0-d.

        A ``TensorDataset`` if the split fits into memory: training then indexes it instead of starting loader processes. Its
        subclass ``_pixels.Pixels`` keeps bytes, which become numbers on the device. Any other split is read sample by sample
        (``_streams``). Raises
        InputError for another name (``check_split`` does), and for files that are missing, saying where they were looked for.
        ``Split`` is there for type checkers alone, like torch: ``TensorDataset`` does as well, imported under TYPE_CHECKING.
        """


def load(choice: Choice | Mapping[str, Any] | str) -> Dataset:
    """The data set that a suite's ``dataset`` names; ``my_file.py:Class`` is seen from the working folder. Nothing is read yet.

    Raises InputError for a wrong name or option.
    """
    choice = Choice.parse(choice)
    choice = Choice.parse(localise_values({"dataset": choice.to_plain()}, Path.cwd())["dataset"])
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
        return _like(split, *(part.to(device) for part in split.tensors))
    return split


def subset(split: Split, chosen: Sequence[int] | Tensor) -> Split:
    """The samples of ``split`` with these indices, in this order; in memory if the split is."""
    from torch.utils.data import TensorDataset

    from spikebench.data._streams import Part

    if isinstance(split, TensorDataset):
        return _like(split, *(part[chosen] for part in split.tensors))
    return Part(split, [int(index) for index in chosen])


def spread(split: Split, samples: int) -> Split:
    """``samples`` of the split, evenly spaced, since its order may be by class; all of it for 0, or where there are not more."""
    size = len(split)  # type: ignore[arg-type]
    if samples == 0 or samples >= size:
        return split
    return subset(split, [index * size // samples for index in range(samples)])


def batches(
    split: Split,
    batch_size: int,
    device: torch.device | str = "cpu",
    chosen: Sequence[Tensor] | None = None,
    workers: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches (x, y) on ``device``; x is (B, C, H, W), or (T, B, C, H, W) for event frames; the last batch may be smaller.

    Samples come in order, unless ``chosen`` has the numbers of those of each batch (int64, on the CPU); ``batch_size`` is then of
    no account. A TensorDataset is indexed; anything else is read by ``workers`` processes, and what cannot be read makes a batch
    smaller (``_streams``). Nobody's random state is touched.
    """
    from torch.utils.data import TensorDataset

    size = len(split)  # type: ignore[arg-type]
    if not isinstance(split, TensorDataset):
        from spikebench.data._streams import stream

        lists = (
            [list(range(first, min(first + batch_size, size))) for first in range(0, size, batch_size)]
            if chosen is None
            else [numbers.tolist() for numbers in chosen]
        )
        for x, y in stream(split, lists, workers, pinned=str(device).startswith("cuda")):
            yield _placed(x, y, device)
        return
    floats = getattr(split, "floats", None)
    x, y = split.tensors
    parts: Iterable[Any] = (
        (slice(first, first + batch_size) for first in range(0, size, batch_size))
        if chosen is None
        else (numbers.to(x.device) for numbers in chosen)
    )
    for part in parts:
        images, labels = _placed(x[part], y[part], device)
        yield (images if floats is None else floats(images)), labels


def _placed(x: Tensor, y: Tensor, device: torch.device | str) -> tuple[Tensor, Tensor]:
    x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
    return (x.transpose(0, 1).contiguous() if x.dim() == 5 else x), y


def _like(split: Any, *tensors: Tensor) -> Split:
    from torch.utils.data import TensorDataset

    made: Split = split.of(*tensors) if hasattr(split, "of") else TensorDataset(*tensors)
    return made
