"""A data set that is not ours: its first sample is looked at before a network is, so that what is wrong is told of the data."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikebench.core.errors import InputError
from spikebench.data import SplitName

if TYPE_CHECKING:
    from spikebench.core.variant import InputSpec
    from spikebench.data import Split


class Checked:
    """The data set itself, but for ``split``, which raises InputError where samples are not as ``inputs`` says.

    ``name``: as the suite has it (``my_file.py:Class``). One sample is read, and all labels where the split is in memory.
    """

    def __init__(self, dataset: Any, name: str) -> None:
        self._dataset, self._name = dataset, name

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_dataset"), name)

    def split(self, name: SplitName) -> Split:
        from spikebench.data._streams import Unreadable

        where = f"{self._name}: split({name!r})"
        try:
            split: Any = self._dataset.split(name)
        except InputError:
            raise
        except Exception as error:  # somebody else's code
            raise InputError(f"{where} raised {_told(error)}") from error
        if not hasattr(split, "__getitem__") or not hasattr(split, "__len__"):
            raise InputError(f"{where}: expected a torch Dataset with a length, got {type(split).__name__}")
        if len(split) == 0:
            raise InputError(f"{where} has no samples")
        try:
            sample = split[0]
        except (InputError, Unreadable):  # what cannot be read is left out and counted, or told by whoever knows it
            return split  # type: ignore[no-any-return]
        except Exception as error:
            raise InputError(f"{where}: reading its first sample raised {_told(error)}") from error
        if wrong := wrong_with(sample, self._dataset.inputs) or _wrong_labels(split, self._dataset.inputs.classes):
            raise InputError(f"{where}: {wrong}")
        kept: Split = split
        return kept


def wrong_with(sample: Any, inputs: InputSpec) -> str:
    """What (x, y) of one sample is, where that is not what ``inputs`` says, with what was expected; "" if it is.

    x: float32, (channels, size, size), or (T, channels, size, size) of events. y: a class number, int64 or a plain int.
    """
    import torch

    if not isinstance(sample, tuple | list) or len(sample) != 2:
        what = f"{len(sample)} things" if isinstance(sample, tuple | list) else f"a {type(sample).__name__}"
        return f"a sample is {what}; expected a pair (x, y)"
    x, y = (torch.as_tensor(part) if hasattr(part, "__array__") or isinstance(part, int) else part for part in sample)
    image = (inputs.channels, inputs.size, inputs.size)
    wanted = "x float32 " + (f"(T, {', '.join(map(str, image))})" if inputs.events else str(image))
    if not isinstance(x, torch.Tensor) or type(sample[0]).__module__.startswith("PIL"):
        return f"x is of the type {type(sample[0]).__name__}; expected a tensor, {wanted}"
    shape = tuple(x.shape)
    if x.dim() != 3 + inputs.events or shape[-3:] != image or (inputs.T and inputs.events and shape[0] != inputs.T):
        turned = (*shape[:-3], shape[-1], *shape[-3:-1]) if x.dim() >= 3 else ()
        hint = "; channels come first" if turned[-3:] == image and x.dim() == 3 + inputs.events else ""
        return f"x has the shape {shape}; expected {wanted}{hint}, as `inputs` says"
    if x.dtype != torch.float32:
        hint = " (divide by 255)" if x.dtype == torch.uint8 else ""
        return f"x is {_dtype(x)}; expected float32, in 0..1 or of mean 0 and deviation 1{hint}"
    if not x.isfinite().all():
        return "x of the first sample holds NaN or infinite numbers"
    if not isinstance(y, torch.Tensor) or y.dim() or y.dtype != torch.int64:
        got = f"{_dtype(y)} of shape {tuple(y.shape)}" if isinstance(y, torch.Tensor) else f"{y!r}"
        hint = " (one-hot: argmax)" if isinstance(y, torch.Tensor) and tuple(y.shape) == (inputs.classes,) else ""
        return f"y is {got}; expected the number of a class, int64 without dimensions{hint}"
    return _outside(int(y), int(y), inputs.classes)


def _wrong_labels(split: Any, classes: int) -> str:
    from torch.utils.data import TensorDataset

    if not isinstance(split, TensorDataset):
        return ""
    labels = split.tensors[1]
    return _outside(int(labels.min()), int(labels.max()), classes)


def _outside(low: int, high: int, classes: int) -> str:
    if low >= 0 and high < classes:
        return ""
    found = high if high >= classes else low
    return f"y is {found}; expected class numbers from 0 to {classes - 1}, as `inputs` has {classes} classes"


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _told(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
