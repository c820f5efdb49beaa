"""The base of modes that watch or change the operations of eager passes."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class EagerMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that torch does not hide from its compiler: that imports the compiler, which takes seconds, and costs 10 us
    a call.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
