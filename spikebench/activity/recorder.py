"""What one pass has seen so far; rules read and write it through these few methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from spikebench.activity import elementwise, following, moves, synaptic
from spikebench.activity.analysis import ActivityAnalysis
from spikebench.activity.frame import Frame
from spikebench.activity.kinds import held
from spikebench.activity.layout import Layout
from spikebench.activity.measure import Measure, Sums, of_counts, read
from spikebench.activity.membranes import Key, Membranes
from spikebench.activity.moves import tensors_in
from spikebench.activity.opaque import why_opaque
from spikebench.activity.provenance import MIXED, NOWHERE, Grid, Places
from spikebench.activity.replay import Build, Tape
from spikebench.activity.sums import QUIET, SiteSums
from spikebench.activity.tracking import WEIGHT, Fired, Origin, Tracker, merged
from spikebench.core.values import Values

Made = TypeVar("Made")
RULES: Mapping[Any, moves.Rule] = {**moves.RULES, **elementwise.RULES, **synaptic.RULES}
_NEW = (moves.unwritten, moves.zeros, moves.constant)
_PRODUCTS_IN_PLACE = (torch.ops.aten.mul, torch.ops.aten.mul_, torch.ops.aten.addcmul, torch.ops.aten.addcmul_)


class Recorder:
    """``frames``: the modules that are running, outermost first. ``layout``: of this call's input. ``places``: where the output
    of the operation at hand belongs. ``tape``: where the call is written down, if it may be done again.
    """

    def __init__(self, analysis: ActivityAnalysis) -> None:
        self.analysis = analysis
        self.tracker = Tracker()
        self.membranes = Membranes(self.tracker)
        self.frames: list[Frame] = []
        self.layout = Layout()
        self.places: Places = NOWHERE
        self._measures: dict[tuple[Any, ...], tuple[Measure, StorageWeakRef]] = {}
        self.in_place = False
        self.tape: Tape | None = None

    def forget(self) -> None:
        """The pass is over, or has failed: its tensors may go."""
        self.tracker.forget()
        self.membranes.clear()
        self._measures.clear()

    def saw(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], run: Any) -> Any:
        """One ATen operation: run it, then count it."""
        packet = func.overloadpacket
        self.in_place = in_place = func._schema.is_mutable
        rule = RULES.get(packet)
        before = args
        if in_place:
            self._measures.clear()
            if packet in _PRODUCTS_IN_PLACE:
                before = self._kept_apart(args, kwargs.get("out", args[0]))
        out = run()
        parents, outputs = tensors_in((*args, *kwargs.values())), tensors_in((out,))
        self._follow(func, args, kwargs, parents, outputs)
        opaque = why_opaque((*parents, *outputs))
        if rule is None:
            # What Python reads of a tensor is no arithmetic of the network's; an operator of one's own may do anything.
            if outputs or in_place or func.namespace != "aten":
                what = "" if opaque is None else f" on {opaque}"
                self._not_counted(str(packet), f"there is no rule for this operation{what}", parents, outputs or parents)
        elif opaque is not None:
            self._not_counted(str(packet), f"{opaque} cannot be seen into", parents, outputs)
        else:
            if not in_place and rule not in _NEW:
                self._check_written(packet, parents)
            rule(self, before, kwargs, out)
            self.membranes.saw(packet, parents, outputs)
        for tensor in outputs:
            known = tensor is outputs[0] or self.places == NOWHERE or tensor.shape == outputs[0].shape
            self.tracker.put(tensor, self.places if known and opaque is None else MIXED, written=in_place)
        self.tracker.at_hand.clear()
        return out

    def _follow(
        self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], parents: Sequence[Tensor], outputs: Sequence[Tensor]
    ) -> None:
        """Find ``places``, before the operation's inputs may be overwritten."""
        inputs = parents if "out" not in kwargs else [tensor for tensor in parents if tensor is not kwargs["out"]]
        seen = self.tracker.take_up(inputs)
        self.places = NOWHERE
        if seen.count(NOWHERE) == len(seen):
            return
        if func.overloadpacket in following.READ_BY_PYTHON:
            self.tracker.read_by_python = True
        if outputs:
            self.places = following.places_of(func, args, kwargs, inputs, outputs[0], seen)

    def _kept_apart(self, args: tuple[Any, ...], target: Tensor) -> tuple[Any, ...]:
        """``args`` with copies of what the operation is about to overwrite, and which is measured afterwards."""
        storage = target.untyped_storage()._cdata
        found = []
        for arg in args:
            if isinstance(arg, Tensor) and arg.untyped_storage()._cdata == storage:
                origin = self.tracker.get(arg) or WEIGHT
                places, arg = self.tracker.places(arg), arg.clone()
                self.tracker.set(arg, origin)
                self.tracker.put(arg, places)
            found.append(arg)
        return tuple(found)

    def _check_written(self, packet: Any, parents: Sequence[Tensor]) -> None:
        for tensor in parents:
            origin = self.tracker.get(tensor)
            if origin is not None and origin.unwritten:
                self.uncounted("kernel", f"memory that no PyTorch operator wrote is read by {packet}: a kernel of one's own")
                self.lost(tensor)

    def lost(self, tensor: Tensor) -> None:
        """An activation of which nothing is known."""
        self.tracker.set(tensor, Origin(True))
        self.tracker.put(tensor, MIXED, written=True)

    def _not_counted(self, operation: str, reason: str, parents: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Arithmetic on weights alone is not what an image costs, so only what depends on the input is missed."""
        fed = any(self.tracker.is_activation(parent) for parent in parents)
        if fed:
            self.uncounted(operation, reason)
        for tensor in outputs:
            self.tracker.set(tensor, Origin(fed or self.tracker.is_activation(tensor)))

    def unwrapped(self, tensor: Tensor, out: Any) -> None:
        """A view of a sparse tensor or a wrapper need not share its storage."""
        origin = self.tracker.get(tensor) or WEIGHT
        for part in tensors_in((out,)):
            self.tracker.set(part, Origin(origin.activation))

    def no_rule(self, operation: str, out: Tensor, why: str) -> None:
        """An operation that is known but used in a way that no rule covers."""
        self.uncounted(operation, f"{operation} {why} has no rule")
        self.tracker.set(out, Origin(True))

    def uncounted(self, operation: str, reason: str) -> None:
        """Something happened whose arithmetic cannot be counted."""
        self.analysis.uncounted(self.frames[-1].scope, operation, reason)

    def measure(self, x: Tensor, dim: int, values: Values | None) -> Measure:
        """``measure``, once for a tensor that several layers read (q, k and v)."""
        storage = x.untyped_storage()
        key = (storage._cdata, x.storage_offset(), x.shape, x.stride(), x.dtype, dim % x.dim(), values)
        if key not in self._measures:
            # What is gone is not asked for again, and its sums would break up the heap between larger tensors.
            self._measures = {key: found for key, found in self._measures.items() if not found[1].expired()}  # type: ignore[no-untyped-call]
            found = self._told(x, dim, values) or self._measured(x, dim, values)
            # A weak reference keeps the address from being given away, but not the memory.
            self._measures[key] = (found, StorageWeakRef(storage))  # type: ignore[no-untyped-call]
        return self._measures[key][0]

    def _measured(self, x: Tensor, dim: int, values: Values | None) -> Measure:
        sums = self.made_of(lambda x: read(x, dim, values), x)
        return sums if isinstance(sums, Measure) else self.made_of(Sums.measure, sums, at_once=False)

    def _told(self, x: Tensor, dim: int, values: Values | None) -> Measure | None:
        """``measure`` over channels that lie side by side, of spikes that their kernel has counted position by position."""
        known = self._whole(x, values)
        if known is None or values is None or known.counts is None or known.counts.run != x.shape[dim]:
            return None
        if not (x.stride(dim) == 1 and x.movedim(dim, -1).is_contiguous()):
            return None
        shape, scale = x.movedim(dim, -1).shape[:-1], values.scale
        found: Measure = self.made_of(lambda fired: fired.by_position(shape, scale), known, at_once=False)
        return found

    def fired(self, x: Tensor, values: Values | None) -> tuple[Measure, Grid] | None:
        """Spikes that their neuron has been looked at for, and that nothing has changed or cut since, by step and sample."""
        known = self._whole(x, values)
        if known is None or values is None:
            return None
        grid = Grid(known.grid.shape, MIXED) if self.tracker.read_by_python else known.grid
        scale = values.scale
        return self.made_of(lambda fired: of_counts(fired.by_row, scale, fired.wrong, fired.elements), known, at_once=False), grid

    def _whole(self, x: Tensor, values: Values | None) -> Fired | None:
        """What is known of spikes that nothing has changed or cut since their neuron was looked at."""
        origin = self.tracker.get(x)
        if values is None or values.kind != "binary" or origin is None or origin.fired is None:
            return None
        known = origin.fired
        return known if known.elements == x.numel() == x.untyped_storage().nbytes() // x.element_size() else None

    def grid(self, x: Tensor) -> Grid:
        """All axes of ``x``."""
        return Grid(tuple(x.shape), self.tracker.places(x))

    def measure_rows(self, x: Tensor, dim: int, values: Values | None) -> tuple[Measure, Grid]:
        """``measure``, and its axes, for layers that need no more than sums by sample: spikes were summed so when their neuron
        was seen.
        """
        return self.fired(x, values) or (self.measure(x, dim, values), self.grid(x).without(dim))

    def made_of(self, function: Callable[..., Made], *things: Any, at_once: bool = True) -> Made:
        """``function`` of tensors, or of what was made of them, which the tape keeps too."""
        found = function(*things)
        if self.tape is not None:
            self.tape.read(found, function, things, at_once)
        return found

    def made(self, out: Any, parents: Sequence[Tensor], values: Values | None, layer: bool = False) -> None:
        """``out`` was computed from ``parents`` and holds ``values``; of several outputs that are no list, the first one does.
        ``layer``: by a layer. What a membrane is followed by goes element by element: through no layer and no reduction.
        """
        activation = outside = False
        trace = None
        outputs = tensors_in((out,))
        elements = 0 if layer or not outputs else outputs[0].numel()
        for parent in parents:
            origin = self.tracker.get(parent)
            if origin is not None:
                activation |= origin.activation
                outside |= origin.outside
                if origin.trace is not None and parent.numel() <= elements:
                    trace = merged(trace, origin.trace)
        for index, tensor in enumerate(outputs):
            known = held(values, tensor.dtype) if not index or isinstance(out, list) else None
            origin = Origin(activation, known, outside=outside and not activation, trace=trace)
            if self.in_place:
                self.tracker.write(tensor, origin)
            else:
                self.tracker.set(tensor, origin)

    def blank(self, tensor: Tensor) -> bool:
        origin = self.tracker.get(tensor)
        return origin is not None and origin.blank

    def site(
        self,
        operation: str,
        build: Build,
        measures: Sequence[Measure],
        *,
        reads: Sequence[Tensor | None],
        writes: Tensor,
        **amounts: int,
    ) -> Key:
        """A call of a synaptic operation, whose counts are ``build`` of ``measures``; returns where it is counted."""
        found, key = self._place(operation)
        with np.errstate(**QUIET):
            found.pending.append(build(*measures))
        if self.tape is not None:
            self.tape.counted(found, build, measures)
        self._moved(found, reads, writes)
        found.add(**amounts)
        return key

    def other(self, operation: str, ops: int, reads: Sequence[Tensor], writes: Tensor) -> None:
        """A call of an operation that is not synaptic; arithmetic on weights alone is not what an image costs."""
        if not any(self.tracker.is_activation(tensor) for tensor in reads):
            return
        found, _ = self._place(operation)
        self._moved(found, reads, writes)
        found.add(other_ops=ops)

    def _place(self, operation: str) -> tuple[SiteSums, Key]:
        frame = self.frames[-1]
        ordinal = frame.ordinals.get(operation, 0)
        frame.ordinals[operation] = ordinal + 1
        key = (frame.scope, operation, ordinal)
        found = self.analysis.site_sums.get(key)
        if found is None:
            found = self.analysis.site_sums[key] = SiteSums(self.analysis.next_place(), frame.scope, operation)
        found.calls += 1
        return found, key

    def _moved(self, found: SiteSums, reads: Sequence[Tensor | None], writes: Tensor) -> None:
        """Each image by itself: weights are read again for each, whatever the batch."""
        inputs, weights, read, weight_bytes = 0, 0, 0, 0
        for tensor in reads:
            if tensor is None:
                continue
            elements, size = tensor.numel(), tensor.element_size()
            if self.tracker.is_activation(tensor):
                inputs += elements
                read += elements * size
            else:
                weights += elements
                weight_bytes += elements * size
        found.weight_bytes += weight_bytes
        found.add(
            bytes_read=read,
            bytes_written=writes.numel() * writes.element_size(),
            input_elements=inputs,
            output_elements=writes.numel(),
            weight_elements=weights,
        )
