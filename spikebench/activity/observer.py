"""One observed pass: every ATen operation of a forward call is seen, whoever wrote the module."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._mode_utils import no_dispatch

from spikebench.activity.analysis import ActivityAnalysis
from spikebench.activity.definition import as_defined, recurrent_as_defined
from spikebench.activity.dispatch import Mode, ModeBesideCompiler
from spikebench.activity.frame import Frame
from spikebench.activity.layout import Layout
from spikebench.activity.nested import named_parts, tensors_within
from spikebench.activity.neurons import NeuronSums, emitted, known_neurons
from spikebench.activity.opaque import unusable
from spikebench.activity.provenance import MIXED
from spikebench.activity.recorder import Recorder
from spikebench.activity.repeating import Repeating, repeats
from spikebench.activity.state import BeforeWrite
from spikebench.activity.steps import by_interface, placed, stepped, steps_of
from spikebench.activity.sums import QUIET, to_host, unevenly_read
from spikebench.activity.told import Told
from spikebench.activity.tracking import WEIGHT, Origin
from spikebench.core.values import Values, listening
from spikebench.derived.sites import PRODUCTS, SYNAPTIC
from spikebench.kernels.lif import Counts, counting_spikes
from spikebench.networks.neurons._base import SpikingNeuron
from spikebench.networks.shortcuts import without_shortcuts


class ActivityObserver:
    """Counts what ``model`` does in every call made inside the ``with`` block; ``analysis`` adds up all of them.

    ``model``: any module. ``T``: its time steps, where neither ``model.T``, a sequence (T, B, C, H, W) nor its neurons' steps say
    so; ``samples``: images in a call, which say by their number which of the first two axes of the first input holds them, where
    neither ``batch_first``, ``step_mode`` nor an interface does (see ``layout``). ``neurons``: module classes that are neuron
    layers, besides spikebench's and SpikingJelly's and those that the model names in ``neuron_classes``; what happens inside one
    belongs to it. One that has a ``step_mode`` ("s" or "m") takes steps as SpikingJelly's do; of others the axes of their inputs
    tell, followed from the network's (``provenance``).

    What the calls do to the model (BatchNorm's statistics, membranes) stays done; ``count`` undoes it.

    The pass runs compiled blocks, fused attention and fused encoder layers as their definitions, since a fused kernel cannot be
    seen into. Declared values are checked: a wrong one raises WrongDeclarationError. No autograd graph is kept by the counting
    itself.
    """

    def __init__(
        self, model: nn.Module, *, T: int | None = None, samples: int | None = None, neurons: Sequence[type[nn.Module]] = ()
    ) -> None:
        self._parts = list(named_parts(model))
        unusable(self._parts)
        self.analysis = ActivityAnalysis()
        self._recorder = Recorder(self.analysis)
        self._model = model
        self._given_T = T
        self._given_samples = samples
        self._neurons = (*neurons, *getattr(model, "neuron_classes", ()))
        self._inside_neuron = 0
        self._called = False
        self._told = Told()
        self.before_write: BeforeWrite | None = None
        self._repeating: Repeating | None = None
        self._stack = ExitStack()
        mode = ModeBesideCompiler if "torch._dynamo" in sys.modules else Mode
        self._mode = mode(self, self._recorder)

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
        self._stack.enter_context(counting_spikes(self._counted))
        modules = [module for _, module in self._parts]
        if self.before_write is None and repeats(self._model, modules):
            self._repeating = self._model.__dict__["forward"] = Repeating(self._model, modules, self._recorder)
            self._stack.callback(self._model.__dict__.pop, "forward")
        neuron_classes = (*known_neurons(), *self._neurons)
        for name, module in self._parts:
            scope = ".".join(part for part in name.split(".") if part != "_orig_mod")
            neuron = isinstance(module, neuron_classes)
            # A scripted module has the hooks of any module, though it forbids asking for them by its own methods.
            hooks = (
                nn.Module.register_forward_pre_hook(module, self._before(scope, module, neuron), with_kwargs=True),
                nn.Module.register_forward_hook(module, self._after(scope), with_kwargs=True, always_call=True),
            )
            for hook in hooks:
                self._stack.callback(hook.remove)
        for weight in (*self._model.parameters(), *self._model.buffers()):
            self._recorder.tracker.keep(weight, WEIGHT)
        self._stack.enter_context(self._mode)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()
        if error is None and not self._called:
            self.analysis.uncounted("", "call", "the network was not called: only model(...) is seen, no other method of it")
        while self._recorder.frames:
            self._left(self._recorder.frames[-1].module)
        self._forget()

    def _begin(self, inputs: Sequence[Tensor]) -> None:
        self._called = True
        self._forget()
        unusable(*inputs)
        if not inputs:
            self.analysis.uncounted("", "call", "no tensor among its arguments: what depends on the input cannot be told")
        layout = self._recorder.layout = Layout(self._model, inputs, self._given_T, self._given_samples)
        for tensor in inputs:
            self._recorder.tracker.place_input(tensor, layout.places(tensor))

    def _finish(self, outputs: Sequence[Tensor]) -> None:
        sites, neurons, layout = self.analysis.site_sums.values(), self.analysis.neuron_sums.values(), self._recorder.layout
        track, samples = layout.track, layout.samples
        fixed = self._repeating.over() if self._repeating is not None else ()
        uneven = unevenly_read(sites, track, samples)
        tensors = [tensor for neuron in neurons for tensor in neuron.tensors()]
        for site in sites:
            tensors += site.tensors(None if site.group in uneven else track, samples, layout.steps)
        host = to_host(tensors)
        for site in sites:
            site.settle(host, samples, self.analysis.samples)
        stepped = {neuron.steps_in_pass() for neuron in neurons if neuron.pending}
        for neuron in neurons:
            neuron.settle(host, layout)
        self._recorder.membranes.used(outputs)
        layers = (site.scope for site in sites if site.operation in SYNAPTIC - PRODUCTS)
        for scope, (products, sentence) in self._recorder.membranes.notices(layers, bool(neurons)).items():
            self.analysis.uncounted(scope, "neuron", sentence, products)
        self.analysis.passed(samples, layout.steps or (stepped.pop() if len(stepped) == 1 else 1))
        if self._repeating is not None:
            self._repeating.keep(outputs, fixed)
        self._forget()

    def _forget(self) -> None:
        self._told.forget()
        self._recorder.forget()
        for site in self.analysis.site_sums.values():
            site.forget()
        for neuron in self.analysis.neuron_sums.values():
            neuron.forget()

    # modules

    def _before(self, scope: str, module: nn.Module, neuron: bool) -> Any:
        lays_out = hasattr(module, "batch_first")

        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            caller = sys._getframe(1)
            self._drop_left(caller)
            if not self._recorder.frames:
                if module is not self._model:
                    return
                self._begin(tensors_within(args, kwargs))
            if lays_out and args and isinstance(args[0], Tensor):
                self._recorder.layout.hears(module, args[0], self._recorder.tracker.places(args[0]))
            frame = Frame(scope, module, neuron, caller, sys.exception())
            if isinstance(module, nn.RNNBase):
                frame.block = ExitStack()
                frame.block.enter_context(recurrent_as_defined())
            self._recorder.frames.append(frame)
            self._inside_neuron += neuron

        return hook

    def _after(self, scope: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            """torch calls it after an exception too, so that a model may catch one and go on."""
            frame = self._left(module)
            if frame is None:
                return
            failed = sys.exception() is not frame.handled
            if not self._inside_neuron and not failed:
                inputs, outputs = tensors_within(args, kwargs), tensors_within(output)
                if not frame.neuron:
                    if self._recorder.frames or self._repeating is None or not self._repeating.again:
                        self._connected(inputs, outputs, frame)
                elif outputs:
                    with torch.no_grad(), no_dispatch():
                        self._fired(module, scope, inputs, outputs)
            if not self._recorder.frames:
                with torch.no_grad(), no_dispatch(), np.errstate(**QUIET):
                    self._broken_off() if failed else self._finish(tensors_within(output))

        return hook

    def _drop_left(self, running: FrameType | None) -> None:
        """Take off the modules that an exception has ended for which torch runs no hooks (KeyboardInterrupt)."""
        while self._recorder.frames:
            frame, above = self._recorder.frames[-1], running
            while above is not None and above is not frame.caller:
                above = above.f_back
            if above is not None:
                return
            self._left(frame.module)

    def _left(self, module: nn.Module) -> Frame | None:
        """The frame of ``module``, whose call is over; what is above it is over too."""
        frames = self._recorder.frames
        if not frames or (frames[-1].module is not module and all(frame.module is not module for frame in frames)):
            return None
        while True:
            frame = frames.pop()
            self._inside_neuron -= frame.neuron
            if frame.block is not None:
                frame.block.close()
            if frame.module is module:
                return frame

    def _broken_off(self) -> None:
        """A call of the network that an exception ended does not count."""
        self._forget()
        if self.analysis.samples:
            error = type(sys.exception()).__name__
            self.analysis.uncounted("", "call", f"{error} ended a call half-way; what it had done by then is in the sums")
        else:
            self.analysis.clear()
            if self._repeating is not None:
                self._repeating.forget()

    def _fired(self, module: nn.Module, scope: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        values, layout, tracker = emitted(module), self._recorder.layout, self._recorder.tracker
        places = placed(inputs, [tracker.places(tensor) for tensor in inputs], outputs[0])
        steps = steps_of(module, outputs[0], places, layout)
        if steps.declared:
            layout.reads(outputs[0], places, 1 if steps.multi else 0)
        places = by_interface(places, outputs[0], steps, layout)
        sums = self.analysis.neuron_sums.get(scope)
        if sums is None:
            sums = self.analysis.neuron_sums[scope] = NeuronSums(self.analysis.next_place(), scope, type(module).__name__)
        left, sums.before = stepped(places, steps.multi, sums.before), None if isinstance(module, SpikingNeuron) else places
        if getattr(module, "mixes_samples", False):
            left = MIXED
        read = sum(tensor.numel() * tensor.element_size() for tensor in inputs)
        told, track = self._told.of(outputs[0], values), layout.track
        apart, seen = (None, None) if told is None else sums.shape_of(outputs[0], values, steps, left, track, read)
        if told is not None and seen is not None and apart is outputs[0]:
            run = told.run
            fired = self._recorder.made_of(
                lambda by_run, by_neuron: sums.told(seen, Counts(by_run, by_neuron, run)),
                *(told.by_run, told.by_neuron),
                at_once=False,
            )
        else:
            fired = self._recorder.made_of(lambda spikes: sums.fired(spikes, values, steps, left, track, read), outputs[0])
        for output in outputs[1:]:  # a membrane, say
            tracker.set(output, Origin(True))
            tracker.put(output, left if output.shape == outputs[0].shape else MIXED, written=True)
        tracker.set(outputs[0], Origin(True, values, fired=fired))
        tracker.put(outputs[0], left, written=True)

    def _connected(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], frame: Frame) -> None:
        """Data that left PyTorch and came back (NumPy, a kernel of one's own) shows as an output that nothing seen has made."""
        if not any(self._recorder.tracker.is_activation(tensor) for tensor in inputs):
            return
        for output in outputs:
            origin = self._recorder.tracker.get(output)
            if origin is None or origin.outside or origin.unwritten:
                reason = "its output comes from outside PyTorch's operators"
                self.analysis.uncounted(frame.scope, "outside PyTorch", reason)
                self._recorder.lost(output)

    def _declared(self, tensor: Any, values: Values) -> None:
        if self._recorder.frames and not self._inside_neuron and isinstance(tensor, Tensor):
            self._recorder.tracker.declare(tensor, values)

    def _counted(self, spikes: Tensor, counts: Counts) -> None:
        if self._recorder.frames and self._inside_neuron:
            self._told.take(spikes, counts)

    @property
    def watching(self) -> bool:
        """Inside the model, outside its neurons."""
        return bool(self._recorder.frames) and not self._inside_neuron
