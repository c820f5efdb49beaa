"""What autocast in bf16, fp16 or with TF32 does to a network, on any machine: operands rounded, sums in float64.

In which order a real kernel sums differs from CPU to CPU and GPU to GPU; that operands and results have so many digits does
not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spikebench.activity.eager_mode import EagerMode
from spikebench.activity.nested import named_parts

aten = torch.ops.aten
PRODUCTS = frozenset({aten.convolution, aten.addmm, aten.mm, aten.bmm, aten.baddbmm, aten.mv, aten.addmv, aten.dot})


def _tf32(x: Tensor) -> Tensor:
    """Ten bits of mantissa, to nearest even, in float32."""
    bits = x.float().view(torch.int32)
    even = (bits >> 13) & 1
    rounded = (bits + 0x0FFF + even) & ~0x1FFF
    return torch.where(x.float().isfinite(), rounded.view(torch.float32), x.float())


Round = Callable[[Tensor], Tensor]
PRECISIONS: Mapping[str, tuple[Round, Round]] = {
    "bf16": (lambda x: x.bfloat16(), lambda x: x.bfloat16()),
    "fp16": (lambda x: x.half(), lambda x: x.half()),
    "tf32": (_tf32, lambda x: x.float()),
}
"""Name -> what happens to operands, and to results."""


class LowPrecision(EagerMode):
    """Convolutions and matrix products in ``precision``: all of a call, or the first ``only``. ``scopes``: where each ran."""

    def __init__(self, precision: str, only: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operand, self._result = PRECISIONS[precision]
        self._only = only
        self.scopes: list[str] = []
        self._running: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "overloadpacket", None) not in PRODUCTS:
            return func(*args, **kwargs)
        self.scopes.append(self._running[-1] if self._running else "")
        if self._only is not None and len(self.scopes) > self._only:
            return func(*args, **kwargs)
        rounded = tuple(self._through(arg, self._operand) for arg in args)
        return self._through(func(*rounded, **kwargs), self._result)

    @staticmethod
    def _through(value: Any, rounding: Round) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            return rounding(value).to(value.dtype)
        return value

    @contextmanager
    def running(self, model: nn.Module) -> Iterator[None]:
        """The mode is on, and knows which module of ``model`` runs."""
        hooks = []
        for scope, module in named_parts(model):
            hooks.append(
                nn.Module.register_forward_pre_hook(module, lambda *_, scope=scope: self._running.append(scope) or None)  # type: ignore[func-returns-value]
            )
            hooks.append(nn.Module.register_forward_hook(module, lambda *_: self._leave(), always_call=True))
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _leave(self) -> None:
        self._running.pop()
