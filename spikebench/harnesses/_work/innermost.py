"""One pass cut where the innermost running module changes, for counters that know no modules."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def cut(model: nn.Module, run: Callable[[], object], begin: Callable[[], None], end: Callable[[str], None]) -> None:
    """``run``, in pieces: ``begin()`` before each, ``end(path)`` after it, with the innermost module whose forward pass ran; ""
    is the rest, the backward pass with it.
    """
    running = [""]

    def turn(after: Callable[[], object]) -> None:
        end(running[-1])
        after()
        begin()

    hooks = []
    for name, module in model.named_modules():
        if name:
            hooks.append(module.register_forward_pre_hook(lambda *_, name=name: turn(lambda: running.append(name))))
            hooks.append(module.register_forward_hook(lambda *_: turn(running.pop), always_call=True))
    try:
        begin()
        run()
        end(running[-1])
    finally:
        for hook in hooks:
            hook.remove()
