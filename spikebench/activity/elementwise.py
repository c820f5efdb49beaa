"""What is not synaptic: copies that cost no arithmetic, and additions, norms, pooling and activations, counted as ``other_ops``.

Together with ``synaptic`` this is a closed world: an operation that no table names is listed as not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spikebench.activity.synaptic import Rule, hadamard
from spikebench.activity.tracking import OUTSIDE, UNWRITTEN, WEIGHT, ZEROS, added, join, multiplied, scaled, summed
from spikebench.core.values import BINARY

if TYPE_CHECKING:
    from spikebench.activity.recorder import Recorder

aten = torch.ops.aten
Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]


def tensors_in(args: Any) -> list[Tensor]:
    """Tensors among arguments, lists of them included."""
    found: list[Tensor] = []
    for arg in args:
        if isinstance(arg, Tensor):
            found.append(arg)
        elif isinstance(arg, (list, tuple)):
            found += tensors_in(arg)
    return found


def move(recorder: Recorder, args: Args, kwargs: Kwargs, out: Any) -> None:
    """Copies, joins and picks values without arithmetic: the output holds what the inputs hold."""
    parents = tensors_in(args)
    # Indices and masks choose values but are not among them; zeros and constants 0 fit any kind of spikes.
    sources = [tensor for tensor in parents if tensor.is_floating_point() or len(parents) == 1]
    recorder.made(out, parents, join(recorder.tracker.values(tensor) for tensor in sources if not recorder.blank(tensor)))


def duplicate(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """The same values in another place, order or number format: what is known of them stays known."""
    origin = recorder.tracker.get(args[0])
    recorder.tracker.set(out, WEIGHT if origin is None else origin)


def pad(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    fits = (args[2] if len(args) > 2 else 0) == 0
    recorder.made(out, args[:1], recorder.tracker.values(args[0]) if fits else None)


def masked_fill(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    fits = not isinstance(args[2], Tensor) and args[2] == 0
    recorder.made(out, args[:2], recorder.tracker.values(args[0]) if fits else None)


def copy_(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    target, source = args[0], args[1]
    recorder.tracker.write(target, recorder.tracker.is_activation(source), recorder.tracker.values(source))


def unwritten(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    recorder.tracker.set(out, UNWRITTEN)


def zeros(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    recorder.tracker.set(out, ZEROS)


def constant(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    recorder.tracker.set(out, WEIGHT)


def fresh(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """New data from Python or NumPy. A single number is a constant; whether more is depends on where it came from."""
    recorder.tracker.set(out, WEIGHT if out.numel() == 1 else OUTSIDE)


def zero_(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    recorder.tracker.set(args[0], ZEROS)


def add(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    a, b = args[0], args[1]
    if not isinstance(b, Tensor) or not isinstance(a, Tensor):
        recorder.other("elementwise", out.numel(), tensors_in(args), out)
        recorder.made(out, tensors_in(args), None)
        return
    both = recorder.tracker.is_activation(a) and recorder.tracker.is_activation(b)
    recorder.other("residual" if both else "bias", out.numel(), (a, b), out)
    factor = kwargs.get("alpha", 1)
    recorder.made(out, (a, b), added(recorder.tracker.values(a), recorder.tracker.values(b)) if factor in (1, -1) else None)


def multiply(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    a, b = args[0], args[1]
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if recorder.tracker.is_activation(a) and recorder.tracker.is_activation(b):
            hadamard(recorder, a, b, out)
            return
        recorder.other("scale", out.numel(), (a, b), out)
        both = multiplied(recorder.tracker.values(a), recorder.tracker.values(b))
        recorder.made(out, (a, b), both)
        return
    x, factor = (a, b) if isinstance(a, Tensor) else (b, a)
    recorder.other("scale", out.numel(), (x,), out)
    recorder.made(out, (x,), scaled(recorder.tracker.values(x), float(factor)))


def divide(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    a, b = args[0], args[1]
    constant_divisor = isinstance(a, Tensor) and not isinstance(b, Tensor) and b != 0 and kwargs.get("rounding_mode") is None
    recorder.other("scale" if constant_divisor else "elementwise", out.numel(), tensors_in(args), out)
    recorder.made(out, tensors_in(args), scaled(recorder.tracker.values(a), 1.0 / float(b)) if constant_divisor else None)


def total(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    recorder.other("sum", args[0].numel(), args[:1], out)
    recorder.made(out, args[:1], summed(recorder.tracker.values(args[0])))


def compare(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    recorder.other("comparison", out.numel(), tensors_in(args), out)
    recorder.made(out, tensors_in(args), BINARY)


def keep(kind: str, window: bool = False) -> Rule:
    """Operations that only choose among values: ReLU of spikes is the spikes, their maximum over a window too."""

    def rule(recorder: Recorder, args: Args, kwargs: Kwargs, out: Any) -> None:
        first = out[0] if isinstance(out, (tuple, list)) else out
        recorder.other(kind, _window(args, first) if window else args[0].numel(), args[:1], first)
        recorder.made(out, tensors_in(args), join(recorder.tracker.values(tensor) for tensor in tensors_in(args)))

    return rule


def magnitude(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    values = recorder.tracker.values(args[0])
    recorder.other("elementwise", out.numel(), args[:1], out)
    recorder.made(
        out, args[:1], None if values is None else replace(values, kind="integer" if values.kind == "binary" else values.kind)
    )


def arithmetic(kind: str, per_element: int = 1, reads: bool = False, window: bool = False) -> Rule:
    """Whatever comes out is not spikes any more. ``reads``: counted by element read, ``window``: by element of each window."""

    def rule(recorder: Recorder, args: Args, kwargs: Kwargs, out: Any) -> None:
        first = out[0] if isinstance(out, (tuple, list)) else out
        inputs = tensors_in(args)
        elements = _window(args, first) if window else (inputs[0] if reads and inputs else first).numel()
        recorder.other(kind, elements * per_element, inputs, first)
        recorder.made(out, inputs, None)

    return rule


def _window(args: Sequence[Any], out: Tensor) -> int:
    kernel = args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else ()
    return out.numel() * prod(kernel)


_MOVES = (
    "cat stack index index_select gather take_along_dim repeat roll flip "
    "_reshape_copy where slice_scatter select_scatter scatter index_put tril triu pixel_shuffle pixel_unshuffle "
    "channel_shuffle im2col unfold_copy upsample_nearest1d upsample_nearest2d _upsample_nearest_exact2d reflection_pad1d "
    "reflection_pad2d replication_pad1d replication_pad2d embedding masked_select repeat_interleave sort topk "
    "native_dropout permute_copy view_copy expand_copy transpose_copy squeeze_copy unsqueeze_copy slice_copy select_copy "
    "split_copy t_copy alias_copy as_strided_copy one_hot nonzero argsort unbind_copy max_unpool2d"
)
_UNWRITTEN = "empty empty_like empty_strided new_empty new_empty_strided empty_permuted"
_ZEROS = "zeros zeros_like new_zeros"
_CONSTANTS = (
    "ones ones_like new_ones full full_like new_full arange linspace eye scalar_tensor rand randn randint rand_like randn_like "
    "randperm bernoulli normal tril_indices triu_indices _local_scalar_dense"
)
_COMPARISONS = "eq ne gt ge lt le logical_and logical_or logical_not logical_xor isnan isinf isfinite any all equal"
_ELEMENTWISE = (
    "abs_ neg sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan tanh sigmoid erf erfc reciprocal pow square round "
    "floor ceil trunc frac gelu silu mish elu celu selu softplus hardtanh hardswish hardsigmoid leaky_relu clamp clamp_min "
    "clamp_max rsub lerp threshold heaviside atan remainder fmod bitwise_and bitwise_or bitwise_xor bitwise_not "
    "floor_divide prelu _prelu_kernel log_sigmoid_forward softshrink hardshrink glu nan_to_num polygamma fill"
)
_REDUCTIONS = (
    "mean var std var_mean std_mean amax amin aminmax argmax argmin cumsum cumprod prod logsumexp norm linalg_vector_norm max min"
)
_NORMS = (
    "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_with_update "
    "_batch_norm_no_update cudnn_batch_norm miopen_batch_norm native_layer_norm native_group_norm _fused_rms_norm"
)
_AVERAGES = "avg_pool1d avg_pool2d avg_pool3d"
_ADAPTIVE = "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d"
_INTERPOLATION = (
    "upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa grid_sampler_2d"
)


def _table() -> dict[Any, Rule]:
    table: dict[Any, Rule] = {}

    def put(names: str, rule: Rule) -> None:
        for name in names.split():
            if hasattr(aten, name):
                table[getattr(aten, name)] = rule
            # An operation in place writes what the other one returns.
            if hasattr(aten, f"{name}_"):
                table[getattr(aten, f"{name}_")] = rule

    put(_ELEMENTWISE, arithmetic("elementwise"))
    put(_REDUCTIONS, arithmetic("reduction", reads=True))
    put(_NORMS, arithmetic("norm", per_element=2))
    put(
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training", arithmetic("batch_norm", per_element=2)
    )
    put(
        "_batch_norm_with_update _batch_norm_no_update cudnn_batch_norm miopen_batch_norm",
        arithmetic("batch_norm", per_element=2),
    )
    put("_softmax _log_softmax _safe_softmax _masked_softmax", arithmetic("softmax"))
    put(_AVERAGES, arithmetic("pooling", window=True))
    put(_ADAPTIVE, arithmetic("pooling", reads=True))
    put(_INTERPOLATION, arithmetic("interpolation"))
    put("max_pool2d_with_indices max_pool3d_with_indices max_pool2d", keep("pooling", window=True))
    put("relu sign sgn maximum minimum relu6", keep("elementwise"))
    put("abs neg", magnitude)
    put("add sub", add)
    put("mul", multiply)
    put("div", divide)
    put("sum", total)
    put(_COMPARISONS, compare)
    put(_MOVES, move)
    put("clone _to_copy contiguous", duplicate)
    put("constant_pad_nd", pad)
    put("masked_fill", masked_fill)
    put(_UNWRITTEN, unwritten)
    put(_ZEROS, zeros)
    put(_CONSTANTS, constant)
    table[aten.lift_fresh] = fresh
    table[aten.copy_] = copy_
    table[aten.zero_] = zero_
    return table


RULES: Mapping[Any, Rule] = _table()
"""By ATen operation (all overloads)."""

_SILENT = (
    "detach alias is_same_size sym_size sym_stride sym_numel sym_storage_offset resize_ set_ _assert_async record_stream "
    "_has_compatible_shallow_copy_type is_pinned stride size unsafe_split unsafe_split_with_sizes unsafe_chunk _unsafe_view"
)
SILENT = frozenset(getattr(aten, name) for name in _SILENT.split() if hasattr(aten, name))
"""Operations without arithmetic that make no new values, views among them."""
