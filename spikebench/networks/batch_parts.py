"""A batch that is computed in parts, on several devices: BatchNorm's statistics are those of all parts together.

While ``together`` is active, every BatchNorm in training mode adds its sums up over the parts, whoever's module it is; gradients
go through the sums. Plain torch operations on any device (torch's own SyncBatchNorm knows GPUs alone).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Sum = Callable[[Tensor], Tensor]
"""The sum of a tensor over all parts, through which gradients go."""

NAMES = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
"""Of ``torch.nn.functional.batch_norm``'s arguments."""
_active: list[Sum] = []


def adding() -> Sum | None:
    """What adds up over the parts of a batch now, if it is computed in parts."""
    return _active[-1] if _active else None


def whole(count: int) -> int:
    """How many numbers a statistic of ``count`` of them here stands on, in all parts."""
    return int(_active[-1](torch.tensor(float(count), dtype=torch.float64))) if _active else count


def active() -> bool:
    """Whether the batch is computed in parts now."""
    return bool(_active)


@contextmanager
def together(add: Sum) -> Iterator[None]:
    """See the module's first lines."""
    _active.append(add)
    try:
        with _Together():
            yield
    finally:
        _active.pop()


class _Together(TorchFunctionMode):
    def __torch_function__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is F.batch_norm:
            bound = dict(zip(NAMES, args, strict=False))
            bound |= kwargs
            if bound.get("training"):
                return _batch_norm(**bound)
        return function(*args, **kwargs)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm`` of a batch of which ``input`` is a part; in two passes, as one would on one device."""
    add = _active[-1]
    x = input if input.dtype == torch.float64 else input.float()
    shape = (1, -1, *(1,) * (x.dim() - 2))
    over = [axis for axis in range(x.dim()) if axis != 1]
    count = whole(x.numel() // x.shape[1])
    mean = add(x.sum(over)) / count
    centred = x - mean.view(shape)
    variance = add(centred.square().sum(over)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * (count / max(count - 1, 1))).to(running_var.dtype), momentum)
    y = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        y = y * weight.view(shape)
    return (y if bias is None else y + bias.view(shape)).to(input.dtype)
