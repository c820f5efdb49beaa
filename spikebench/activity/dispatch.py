"""The dispatch mode of a counting pass: which operations the recorder gets to see, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spikebench.activity.eager_mode import EagerMode
from spikebench.activity.moves import SILENT
from spikebench.activity.nested import tensors_within
from spikebench.activity.opaque import has_memory
from spikebench.activity.recorder import RULES, Recorder

if TYPE_CHECKING:
    from spikebench.activity.observer import ActivityObserver


class Mode(EagerMode):
    """Hands every ATen operation to the recorder."""

    supports_higher_order_operators = True

    def __init__(self, observer: ActivityObserver, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._observer = observer
        self._recorder = recorder

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        tape = self._recorder.tape

        def run() -> Any:
            out = func(*args, **kwargs)
            if tape is not None:
                tape.ran(func, args, kwargs, out)
            return out

        known = isinstance(func, torch._ops.OpOverload)
        if known and self._observer.before_write is not None:
            self._observer.before_write(func, args, kwargs)
        if not self._observer.watching:
            return run()
        if not known:
            # Flexible attention, control flow: an operator that takes functions, run by a kernel of its own.
            self._recorder.uncounted(str(func), "an operator that takes functions cannot be seen into")
            out = run()
            for tensor in tensors_within(out):
                self._recorder.lost(tensor)
            return out
        if torch.is_inference_mode_enabled() and func.overloadpacket not in RULES:
            # In inference mode linear, matmul, flatten and the like arrive whole: take them apart as autograd would have done.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        # ``contiguous`` may alias its input, so torch calls it a view; it has a rule because it may copy.
        if (func.is_view and func.overloadpacket not in RULES) or func.overloadpacket in SILENT:
            out = run()
            first = args[0] if args else None
            if isinstance(first, Tensor) and not (has_memory(first) and (not isinstance(out, Tensor) or has_memory(out))):
                self._recorder.unwrapped(first, out)
            return out
        return self._recorder.saw(func, args, kwargs, run)


class ModeBesideCompiler(Mode):  # type: ignore[no-untyped-call]
    """Where the compiler is loaded, flexible attention calls it even now."""

    __torch_dispatch__ = torch._disable_dynamo(Mode.__torch_dispatch__, recursive=True)
