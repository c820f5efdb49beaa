"""One observed pass: every ATen operation of a forward call is seen, whoever wrote the module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from spikebench.activity import elementwise, synaptic
from spikebench.activity.analysis import ActivityAnalysis
from spikebench.activity.definition import as_defined
from spikebench.activity.elementwise import tensors_in
from spikebench.activity.measure import Measure, measure, of_counts
from spikebench.activity.neurons import NeuronSums, emitted, is_multi_step, is_neuron
from spikebench.activity.sums import Call, SiteSums, to_host
from spikebench.activity.tracking import WEIGHT, Origin, Tracker
from spikebench.core.values import Values, listening
from spikebench.networks.shortcuts import without_shortcuts

RULES: Mapping[Any, synaptic.Rule] = {**elementwise.RULES, **synaptic.RULES}
_MEASURES_KEPT = 4


@dataclass
class _Frame:
    """A module's call: its path, and how often each operation has run in it so far."""

    scope: str
    ordinals: dict[str, int] = field(default_factory=dict)


class ActivityObserver:
    """Counts what ``model`` does in every call made inside the ``with`` block; ``analysis`` adds up all of them.

    ``model``: any module. ``T``: its time steps, where neither ``model.T``, a five-dimensional input (T, B, C, H, W) nor a
    multi-step neuron says so; ``samples``: images in a call, where it is not the batch axis of the first input. Both matter for
    spreads over samples and for rates by time step alone. ``neurons``: module classes that are neuron layers, besides
    spikebench's and SpikingJelly's; what happens inside one belongs to it.

    The pass runs compiled blocks, fused attention and fused encoder layers as their definitions, since a fused kernel cannot be
    seen into. Declared values are checked: a wrong one raises WrongDeclarationError. No autograd graph is kept by the counting
    itself.
    """

    def __init__(
        self, model: nn.Module, *, T: int | None = None, samples: int | None = None, neurons: Sequence[type[nn.Module]] = ()
    ) -> None:
        self.analysis = ActivityAnalysis()
        self.tracker = Tracker()
        self._model = model
        self._given_T = T
        self._given_samples = samples
        self._neurons = tuple(neurons)
        self._frames: list[_Frame] = []
        self._inside_neuron = 0
        self._steps = 1
        self._samples = 0
        self._measures: list[tuple[tuple[Any, ...], Tensor, Measure]] = []
        self._in_place = False
        self._stack = ExitStack()
        self._mode = _Mode(self)

    # the pass

    def __enter__(self) -> ActivityObserver:
        try:
            self._enter()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _enter(self) -> None:
        self._stack.enter_context(without_shortcuts())
        self._stack.enter_context(as_defined())
        self._stack.enter_context(listening(self._declared))
        for name, module in self._model.named_modules():
            scope = ".".join(part for part in name.split(".") if part != "_orig_mod")
            neuron = is_neuron(module, self._neurons)
            hooks = (
                module.register_forward_pre_hook(self._before(scope, neuron), with_kwargs=True),
                module.register_forward_hook(self._after(scope, neuron), with_kwargs=True),
            )
            for hook in hooks:
                self._stack.callback(hook.remove)
        for weight in (*self._model.parameters(), *self._model.buffers()):
            self.tracker.keep(weight, WEIGHT)
        self._stack.enter_context(self._mode)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()
        self._frames.clear()
        self._forget()

    def _begin(self, inputs: Sequence[Tensor]) -> None:
        self._forget()
        for tensor in inputs:
            self.tracker.set(tensor, Origin(activation=True))
        first = inputs[0] if inputs else None
        sequence = first is not None and first.dim() == 5
        own = getattr(self._model, "T", None)
        known = self._given_T or (first.shape[0] if sequence and first is not None else own)
        self._steps_known = isinstance(known, int)
        self._steps = known if isinstance(known, int) else 1
        self._samples = self._given_samples or (0 if first is None or not first.dim() else first.shape[1 if sequence else 0])

    def _finish(self) -> None:
        sites, neurons = self.analysis.site_sums.values(), self.analysis.neuron_sums.values()
        tensors = [tensor for site in sites for tensor in site.tensors(self._steps, self._samples)]
        tensors += [tensor for neuron in neurons for tensor in neuron.tensors()]
        host = to_host(tensors)
        for site in sites:
            site.settle(host, self._samples, self.analysis.samples)
        for neuron in neurons:
            neuron.settle(host, self._samples)
        self.analysis.passed(self._samples, self._steps)
        self._forget()

    def _forget(self) -> None:
        self.tracker.forget()
        self._measures.clear()
        for site in self.analysis.site_sums.values():
            site.pending.clear()
        for neuron in self.analysis.neuron_sums.values():
            neuron.pending.clear()

    # modules

    def _before(self, scope: str, neuron: bool) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if module is self._model and not self._frames:
                self._begin(tensors_in((*args, *kwargs.values())))
            elif not self._frames:
                return
            self._frames.append(_Frame(scope))
            if neuron:
                self._inside_neuron += 1

        return hook

    def _after(self, scope: str, neuron: bool) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if not self._frames:
                return
            inputs = tensors_in((*args, *kwargs.values()))
            outputs = tensors_in(output.values() if isinstance(output, Mapping) else (output,))
            if neuron:
                if self._inside_neuron == 1 and outputs:
                    with torch.no_grad(), no_dispatch():
                        self._fired(module, scope, inputs, outputs[0])
                self._inside_neuron -= 1
            elif not self._inside_neuron:
                self._connected(inputs, outputs)
            self._frames.pop()
            if not self._frames:
                with torch.no_grad(), no_dispatch():
                    self._finish()

        return hook

    def _fired(self, module: nn.Module, scope: str, inputs: Sequence[Tensor], spikes: Tensor) -> None:
        values = emitted(module)
        multi_step = is_multi_step(module, spikes, self._steps if self._steps_known else None, self._samples)
        if multi_step and not self._steps_known:
            self._steps, self._steps_known = spikes.shape[0], True
        sums = self.analysis.neuron_sums.get(scope)
        if sums is None:
            sums = self.analysis.neuron_sums[scope] = NeuronSums(self.analysis.next_place(), scope, type(module).__name__)
        fired = sums.fired(inputs, spikes, values, multi_step)
        self.tracker.set(spikes, Origin(True, values, fired=fired))

    def _connected(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Data that left PyTorch and came back (NumPy, a kernel of one's own) shows as an output that nothing seen has made."""
        if not any(self.tracker.is_activation(tensor) for tensor in inputs):
            return
        for output in outputs:
            origin = self.tracker.get(output)
            if origin is None or origin.outside or origin.unwritten:
                self._uncounted("outside PyTorch", "its output comes from outside PyTorch's operators, which cannot be seen into")
                self.tracker.set(output, Origin(True))

    # operations

    def saw(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], run: Any) -> Any:
        """One ATen operation: run it, then count it."""
        packet = func.overloadpacket
        in_place = func._schema.is_mutable
        rule = RULES.get(packet)
        if in_place:
            self._measures.clear()
        before = (args[0].clone(), *args[1:]) if packet is torch.ops.aten.mul_ and isinstance(args[0], Tensor) else args
        if before is not args:
            self.tracker.set(before[0], self.tracker.get(args[0]) or WEIGHT)
        out = run()
        if rule is None:
            self._no_rule_for(func, args, out)
            return out
        if not in_place and rule not in (elementwise.unwritten, elementwise.zeros, elementwise.constant):
            self._check_written(func, args)
        self._in_place = in_place
        rule(self, before, kwargs, out)
        return out

    def _check_written(self, func: Any, args: tuple[Any, ...]) -> None:
        for tensor in tensors_in(args):
            origin = self.tracker.get(tensor)
            if origin is not None and origin.unwritten:
                self._uncounted(
                    "kernel", f"memory that no PyTorch operator wrote is read by {func.overloadpacket}: a kernel of one's own"
                )
                self.tracker.set(tensor, Origin(True))

    def _no_rule_for(self, func: Any, args: tuple[Any, ...], out: Any) -> None:
        name = str(func.overloadpacket)
        outputs = tensors_in((out,))
        if any(tensor.is_floating_point() or tensor.is_complex() for tensor in outputs):
            self._uncounted(name, "there is no rule for this operation")
        for tensor in outputs:
            self.tracker.set(tensor, Origin(any(self.tracker.is_activation(parent) for parent in tensors_in(args))))

    def no_rule(self, operation: str, out: Tensor, why: str) -> None:
        """An operation that is known but used in a way that no rule covers."""
        self._uncounted(operation, f"{operation} {why} has no rule")
        self.tracker.set(out, Origin(True))

    def _uncounted(self, operation: str, reason: str) -> None:
        self.analysis.uncounted(self._frames[-1].scope, operation, reason)

    # what rules call

    def measure(self, x: Tensor, dim: int, values: Values | None) -> Measure:
        """``measure``, once for a tensor that several layers read (q, k and v)."""
        key = (x.data_ptr(), x.shape, x.stride(), x.dtype, dim % x.dim(), values)
        for known, _, found in self._measures:
            if known == key:
                return found
        found = measure(x, dim, values)
        self._measures = [*self._measures[1 - _MEASURES_KEPT :], (key, x, found)]
        return found

    def fired(self, x: Tensor, values: Values | None) -> Measure | None:
        """Spikes that their neuron has been looked at for, and that nothing has changed or cut since, by step and sample."""
        origin = self.tracker.get(x)
        if values is None or values.kind != "binary" or origin is None or origin.fired is None:
            return None
        known = origin.fired
        if not known.elements == x.numel() == x.untyped_storage().nbytes() // x.element_size():
            return None
        return of_counts(known.by_row, values.scale, known.wrong, known.elements)

    def measure_rows(self, x: Tensor, dim: int, values: Values | None) -> Measure:
        """``measure`` for layers that need no more than sums over leading axes: spikes were summed so when their neuron was seen."""
        return self.fired(x, values) or self.measure(x, dim, values)

    def made(self, out: Any, parents: Sequence[Tensor], values: Values | None) -> None:
        """``out`` was computed from ``parents`` and holds ``values``."""
        activation = outside = False
        for parent in parents:
            origin = self.tracker.get(parent)
            if origin is not None:
                activation |= origin.activation
                outside |= origin.outside
        for tensor in tensors_in((out,)):
            if self._in_place:
                self.tracker.write(tensor, activation, values)
            else:
                self.tracker.set(tensor, Origin(activation, values, outside=outside and not activation))

    def blank(self, tensor: Tensor) -> bool:
        origin = self.tracker.get(tensor)
        return origin is not None and origin.blank

    def site(
        self, operation: str, call: Call, *, reads: Sequence[Tensor | None], writes: Tensor, weights: int, **amounts: int
    ) -> None:
        """A call of a synaptic operation."""
        found = self._place(operation)
        found.pending.append(call)
        self._moved(found, reads, writes, weights)
        found.add(**amounts)

    def other(self, operation: str, ops: int, reads: Sequence[Tensor], writes: Tensor) -> None:
        """A call of an operation that is not synaptic; arithmetic on weights alone is not what an image costs."""
        if not any(self.tracker.is_activation(tensor) for tensor in reads):
            return
        found = self._place(operation)
        self._moved(found, reads, writes, 0)
        found.add(other_ops=ops)

    def _place(self, operation: str) -> SiteSums:
        frame = self._frames[-1]
        ordinal = frame.ordinals.get(operation, 0)
        frame.ordinals[operation] = ordinal + 1
        key = (frame.scope, operation, ordinal)
        found = self.analysis.site_sums.get(key)
        if found is None:
            found = self.analysis.site_sums[key] = SiteSums(self.analysis.next_place(), frame.scope, operation)
        found.calls += 1
        return found

    @staticmethod
    def _moved(found: SiteSums, reads: Sequence[Tensor | None], writes: Tensor, weights: int) -> None:
        read = [tensor for tensor in reads if tensor is not None]
        found.add(
            bytes_read=sum(tensor.numel() * tensor.element_size() for tensor in read),
            bytes_written=writes.numel() * writes.element_size(),
            input_elements=sum(tensor.numel() for tensor in read) - weights,
            output_elements=writes.numel(),
            weight_elements=weights,
        )

    def _declared(self, tensor: Any, values: Values) -> None:
        if self._frames and not self._inside_neuron and isinstance(tensor, Tensor):
            self.tracker.declare(tensor, values)

    @property
    def watching(self) -> bool:
        """Inside the model, outside its neurons."""
        return bool(self._frames) and not self._inside_neuron


class _Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hands every ATen operation to the observer."""

    def __init__(self, observer: ActivityObserver) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._observer = observer

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """torch would wrap ``__torch_dispatch__``, which costs 10 us a call and the import of its compiler; nothing is compiled here."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if not self._observer.watching:
            return func(*args, **kwargs)
        if torch.is_inference_mode_enabled() and func.overloadpacket not in RULES:
            # In inference mode linear, matmul, flatten and the like arrive whole: take them apart as autograd would have done.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        if func.is_view or func.overloadpacket in elementwise.SILENT:
            return func(*args, **kwargs)
        return self._observer.saw(func, args, kwargs, lambda: func(*args, **kwargs))
