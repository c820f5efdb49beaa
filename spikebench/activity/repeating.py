"""When a call of a network may be done again rather than watched: see ``replay``.

Only a network of ours, which does nothing that depends on values, with an input of the same kind, while its modules are what they
were. Whatever else is watched, call by call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._mode_utils import no_dispatch

from spikebench.activity.recorder import Recorder
from spikebench.activity.replay import Fixed, Program, Tape
from spikebench.activity.sums import SiteSums
from spikebench.networks import rates, visible
from spikebench.networks.network import ForeignNetwork, Network

_OURS = ("spikebench.networks.", "torch.nn.modules.")


class Standing:
    """What a network's modules are: their attributes, weights, parts and hooks, which must be the same objects later."""

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        kept = ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks")
        self._kept = [own for module in parts for own in (vars(module), *map(vars(module).__getitem__, kept))]
        self._before = self._now()

    def _now(self) -> list[Any]:
        return list(chain.from_iterable(map(dict.values, self._kept)))

    def holds(self) -> bool:
        """Whether nothing was set, added or taken away since."""
        now = self._now()
        return len(now) == len(self._before) and all(map(is_, now, self._before))


def repeats(model: nn.Module, parts: Sequence[nn.Module]) -> bool:
    """Whether each call does the same: a network made of our parts and torch's layers alone, which nobody listens to."""
    return (
        isinstance(model, Network)
        and not isinstance(model, ForeignNetwork)
        and all(type(module).__module__.startswith(_OURS) for module in parts)
        and not any("forward" in vars(module) for module in parts)
        and not any(module._forward_hooks or module._forward_pre_hooks for module in parts)
        and not nn.modules.module._global_forward_hooks
        and not nn.modules.module._global_forward_pre_hooks
    )


def kind_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """What a call's operations depend on besides the modules; None for one that is always watched: in training, with gradients,
    in inference mode or autocast, where other listeners or modes look on, or with anything but one plain tensor.
    """
    x = args[0] if len(args) == 1 and not kwargs else None
    if type(x) is not Tensor or x.layout != torch.strided or torch.is_grad_enabled() or torch.is_inference_mode_enabled():
        return None
    if torch.is_autocast_enabled(x.device.type) or visible.active() is not None or rates.collecting():
        return None
    if torch._C._len_torch_dispatch_stack() != 1 or torch._C._len_torch_function_stack() or torch.jit.is_tracing():  # type: ignore[no-untyped-call]
        return None
    return x.shape, x.stride(), x.dtype, x.device, torch.get_default_dtype()


class Snapshot:
    """Of sites before a call: what it adds to them is known when it is over."""

    def __init__(self, sites: Iterable[SiteSums]) -> None:
        self._before = {id(site): (site.calls, dict(site.fixed)) for site in sites}

    def added(self, sites: Iterable[SiteSums]) -> list[Fixed]:
        """Before ``SiteSums.settle``, which adds the weights' bytes."""
        found = []
        for site in sites:
            calls, fixed = self._before.get(id(site), (0, {}))
            if site.calls > calls:
                amounts = {name: amount - fixed.get(name, 0) for name, amount in site.fixed.items()}
                found.append(Fixed(site, site.calls - calls, amounts, site.weight_bytes))
        return found


class Repeating:
    """Stands in for a network's ``forward`` while it is observed. ``again``: whether the call at hand is not watched."""

    def __init__(self, model: nn.Module, parts: Sequence[nn.Module], recorder: Recorder) -> None:
        self._model, self._parts, self._recorder = model, parts, recorder
        self._forward = model.forward
        self._programs: dict[tuple[Any, ...], tuple[Program, Standing]] = {}
        self._kind: tuple[Any, ...] | None = None
        self._before: Snapshot | None = None
        self._uncounted: Mapping[Any, int] = {}
        self.again = False

    def forget(self) -> None:
        """The sites that programs count at are gone."""
        self._programs.clear()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``forward``, or what it did last time."""
        self.again, self._recorder.tape = False, None
        self._kind = kind = kind_of(args, kwargs) if len(self._recorder.frames) == 1 else None
        if kind is None:
            return self._forward(*args, **kwargs)
        program, standing = self._programs.pop(kind, (None, None))
        if program is not None and standing is not None and standing.holds():
            self._programs[kind] = program, standing
            self.again, self._recorder.layout = True, program.layout
            with no_dispatch():
                return program.run(args[0])
        analysis = self._recorder.analysis
        self._before, self._uncounted = Snapshot(analysis.site_sums.values()), analysis.not_counted_so_far()
        self._recorder.tape = Tape(self._model, args[0])
        return self._forward(*args, **kwargs)

    def over(self) -> list[Fixed]:
        """The call has ended; what it has added to sites whatever the values are."""
        tape = self._recorder.tape
        if tape is None or self._before is None:
            return []
        return self._before.added(self._recorder.analysis.site_sums.values())

    def keep(self, outputs: Sequence[Tensor], fixed: Sequence[Fixed]) -> None:
        """The call is counted, with everything in it."""
        tape, self._recorder.tape = self._recorder.tape, None
        if tape is None or self._kind is None or self._recorder.analysis.not_counted_so_far() != self._uncounted:
            return
        program = tape.program(outputs[0] if len(outputs) == 1 else None, self._recorder.layout, fixed)
        if program is not None:
            self._programs[self._kind] = program, Standing(self._parts)
