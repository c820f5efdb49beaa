"""What costs no arithmetic: copies, picks and writes of values that are there, constants, and what Python reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spikebench.activity.kinds import held, join, scaled, summed
from spikebench.activity.tracking import OUTSIDE, UNWRITTEN, WEIGHT, ZEROS
from spikebench.core.values import BINARY

if TYPE_CHECKING:
    from spikebench.activity.recorder import Recorder

aten = torch.ops.aten
Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]
Rule = Callable[["Recorder", Args, Kwargs, Any], None]


def tensors_in(args: Any) -> list[Tensor]:
    """Tensors among the arguments of an operation, those in lists included."""
    found: list[Tensor] = []
    for arg in args:
        if isinstance(arg, Tensor):
            found.append(arg)
        elif isinstance(arg, (list, tuple)):
            found += tensors_in(arg)
    return found


def move(*sources: int) -> Rule:
    """Copies, joins and picks values without arithmetic: the output holds what the arguments at ``sources`` hold.

    All others (indices, masks) choose values but are not among them. Zeros fit any kind of spikes. Positions where elements
    went (``topk``) come second and are no such values.
    """

    def rule(recorder: Recorder, args: Args, kwargs: Kwargs, out: Any) -> None:
        held = [args[index] for index in sources if index < len(args)]
        numbers = any(not isinstance(arg, (Tensor, list, tuple)) and arg != 0 for arg in held)
        known = join(recorder.tracker.values(tensor) for tensor in tensors_in(held) if not recorder.blank(tensor))
        recorder.made(out, tensors_in(args), None if numbers else known)

    return rule


def write(position: int, adds: Callable[[Args, Kwargs], bool | None]) -> Rule:
    """Writes the values at ``position`` into the first argument. ``adds``: whether it adds them up; None if it does another sum
    with them.
    """
    moved = move(0, position)

    def rule(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
        how = adds(args, kwargs)
        if how is False:
            moved(recorder, args, kwargs, out)
            return
        written = tensors_in((args[0], args[position]))
        recorder.other("sum", written[-1].numel(), tensors_in(args), out)
        both = join(recorder.tracker.values(tensor) for tensor in written if not recorder.blank(tensor))
        recorder.made(out, tensors_in(args), summed(both) if how and len(written) == 2 else None)

    return rule


def repeat_interleave(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Of one argument it makes indices."""
    recorder.made(out, tensors_in(args), recorder.tracker.values(args[0]) if len(args) > 1 else None)


def dropout(recorder: Recorder, args: Args, kwargs: Kwargs, out: tuple[Tensor, Tensor]) -> None:
    """(x, p, train): what is left is scaled; in evaluation nothing is changed."""
    x, p, train = args
    values = recorder.tracker.values(x)
    if train is not False:
        recorder.other("scale", x.numel(), (x,), out[0])
        values = scaled(values, 1 / (1 - p)) if p < 1 else None
    recorder.made(out[0], (x,), values)
    recorder.made(out[1], (x,), BINARY)


def duplicate(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """The same values in another place, order or number format: what is known of them stays known, where the format holds it."""
    origin = recorder.tracker.get(args[0])
    if origin is not None and out.dtype != args[0].dtype:
        values = held(origin.values, out.dtype)
        origin = replace(origin, values=values, fired=origin.fired if values == origin.values else None)
    recorder.tracker.set(out, WEIGHT if origin is None else origin)


def pad(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    fits = (args[2] if len(args) > 2 else 0) == 0
    recorder.made(out, args[:1], recorder.tracker.values(args[0]) if fits else None)


def masked_fill(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    fits = not isinstance(args[2], Tensor) and args[2] == 0
    recorder.made(out, args[:2], recorder.tracker.values(args[0]) if fits else None)


def copy_(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    source = recorder.tracker.get(args[1]) or WEIGHT
    recorder.tracker.write(args[0], replace(source, values=held(source.values, out.dtype), fired=None))


def unwritten(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    recorder.tracker.set(out, UNWRITTEN)


def fresh(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """New data from Python or NumPy. A single number is a constant; whether more is depends on where it came from."""
    recorder.tracker.set(out, WEIGHT if out.numel() == 1 else OUTSIDE)


def zeros(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    recorder.tracker.write(out, ZEROS)


def constant(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    for tensor in tensors_in((out,)):
        recorder.tracker.write(tensor, WEIGHT)


def drawn(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Random spikes: rate coding where their chances are a tensor, a constant where they are a number."""
    chances = args[1] if len(args) > 1 else None if recorder.in_place else args[0]
    if not isinstance(chances, Tensor):
        constant(recorder, args, kwargs, out)
        return
    recorder.other("elementwise", out.numel(), (chances,), out)
    recorder.made(out, (chances,), BINARY)


def noise(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Around a mean that may be a tensor; what it overwrites in place does not matter."""
    recorder.made(out, tensors_in(args)[1 if recorder.in_place else 0 :], None)


def positions(recorder: Recorder, args: Args, kwargs: Kwargs, out: Any) -> None:
    """Where something is: whole numbers that no neuron has fired."""
    recorder.made(out, tensors_in(args), None)


def reading(recorder: Recorder, args: Args, kwargs: Kwargs, out: Any) -> None:
    """A number or truth value for Python: what becomes of it there is not the network's arithmetic."""


_MOVES = (
    "index index_select gather repeat roll flip rot90 _reshape_copy tril triu pixel_shuffle pixel_unshuffle channel_shuffle "
    "im2col unfold_copy upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d "
    "_upsample_nearest_exact2d _upsample_nearest_exact3d reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d "
    "replication_pad2d replication_pad3d embedding masked_select take sort topk permute_copy view_copy expand_copy "
    "transpose_copy squeeze_copy unsqueeze_copy slice_copy select_copy split_copy split_with_sizes_copy t_copy alias_copy "
    "as_strided_copy diagonal_copy detach_copy unbind_copy max_unpool2d max_unpool3d cat stack block_diag diag_embed "
    "_pack_padded_sequence kthvalue mode"
)
_PUTS = "slice_scatter select_scatter diagonal_scatter as_strided_scatter"
_UNWRITTEN = "empty empty_like empty_strided new_empty new_empty_strided empty_permuted"
_ZEROS = "zeros zeros_like new_zeros zero"
_CONSTANTS = (
    "ones ones_like new_ones full full_like new_full arange linspace logspace eye scalar_tensor rand randn randint rand_like "
    "randn_like randint_like randperm tril_indices triu_indices uniform normal_functional log_normal exponential "
    "geometric cauchy random hann_window hamming_window blackman_window kaiser_window bartlett_window"
)
_POSITIONS = "nonzero argsort searchsorted bucketize multinomial"
_READ = "_local_scalar_dense equal is_nonzero item _assert_scalar"


def _sums(args: Args, kwargs: Kwargs) -> bool | None:
    return {None: False, "add": True}.get(kwargs.get("reduce"))


def _accumulates(args: Args, kwargs: Kwargs) -> bool | None:
    return bool(args[3]) if len(args) > 3 else False


def _alpha(args: Args, kwargs: Kwargs) -> bool | None:
    return True if kwargs.get("alpha", 1) in (1, -1) else None


def packets(names: str) -> Iterator[Any]:
    """The operations of these names; one in place writes what the other one returns."""
    for name in names.split():
        for found in (name, f"{name}_"):
            if hasattr(aten, found):
                yield getattr(aten, found)


RULES: Mapping[Any, Rule] = {
    packet: rule
    for names, rule in (
        (_MOVES, move(0)),
        (_PUTS, move(0, 1)),
        ("where", move(1, 2)),
        ("masked_scatter", move(0, 2)),
        ("index_copy index_fill", move(0, 3)),
        ("scatter", write(3, _sums)),
        ("index_put _index_put_impl _unsafe_index_put", write(2, _accumulates)),
        ("put", write(2, _accumulates)),
        ("scatter_add", write(3, lambda args, kwargs: True)),
        ("index_add", write(3, _alpha)),
        ("scatter_reduce index_reduce", write(3, lambda args, kwargs: None)),
        ("repeat_interleave", repeat_interleave),
        ("native_dropout", dropout),
        ("clone _to_copy contiguous", duplicate),
        ("constant_pad_nd", pad),
        ("masked_fill", masked_fill),
        ("copy_", copy_),
        ("bernoulli", drawn),
        ("normal", noise),
        (_POSITIONS, positions),
        (_READ, reading),
        (_UNWRITTEN, unwritten),
        (_ZEROS, zeros),
        (_CONSTANTS, constant),
        ("lift_fresh", fresh),
    )
    for packet in packets(names)
}
"""By ATen operation (all overloads)."""

_SILENT = (
    "detach alias is_same_size sym_size sym_stride sym_numel sym_storage_offset resize_ set_ _assert_async record_stream "
    "_has_compatible_shallow_copy_type is_pinned stride size unsafe_split unsafe_split_with_sizes unsafe_chunk _unsafe_view "
    "squeeze_ unsqueeze_ transpose_ t_ swapaxes_ swapdims_ as_strided_ detach_"
)
SILENT = frozenset(getattr(aten, name) for name in _SILENT.split() if hasattr(aten, name))
"""Operations without arithmetic that make no new values, views among them."""
