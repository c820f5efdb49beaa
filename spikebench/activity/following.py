"""Where the output of each ATen operation belongs: the table of ``passing``'s rules. An operation without one mixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from spikebench.activity import passing
from spikebench.activity.passing import Call, Rule
from spikebench.activity.provenance import TRACKS, Place, Places, combine, shifted

aten = torch.ops.aten


def places_of(
    func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], inputs: Sequence[Tensor], out: Tensor, seen: Sequence[Places]
) -> Places:
    """Of an operation's (first) output, from those of its ``inputs``."""
    rule = RULES.get(func.overloadpacket)
    if rule is passing.elementwise:
        return _all_aligned(tuple(seen), tuple([x.dim() for x in inputs]), out.dim())
    call = Call(func, args, kwargs, inputs, out)
    found: list[Place] = []
    for track in range(TRACKS):
        on_track = [places[track] for places in seen]
        if all(place == "all" for place in on_track):
            found.append("all")
        elif rule is None or ("mixed" in on_track and rule not in _OVERWRITING):
            found.append("mixed")
        else:
            call.places = dict(zip(map(id, inputs), on_track, strict=True))
            found.append(rule(call))
    return tuple(found)


@lru_cache(maxsize=8192)
def _all_aligned(seen: tuple[Places, ...], dims: tuple[int, ...], out_dim: int) -> Places:
    """``passing.elementwise`` on every track, which most operations ask for."""
    return tuple(
        combine([shifted(places[track], out_dim - dim) for places, dim in zip(seen, dims, strict=True)])
        for track in range(TRACKS)
    )


_OVERWRITING = (passing.created, passing.copied, passing.filled)
"""Rules that do not read their first input."""
_CREATED = (
    "empty empty_like empty_strided empty_permuted new_empty new_empty_strided zeros zeros_like new_zeros ones ones_like "
    "new_ones full full_like new_full arange linspace logspace eye scalar_tensor rand randn randint rand_like randn_like "
    "randint_like randperm tril_indices triu_indices uniform normal_functional log_normal exponential geometric cauchy random "
    "hann_window hamming_window blackman_window kaiser_window bartlett_window lift_fresh"
)
_ELEMENTWISE = (
    "neg sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan tanh sigmoid erf erfc reciprocal pow square round floor ceil "
    "trunc frac gelu silu mish elu celu selu softplus hardtanh hardswish hardsigmoid leaky_relu clamp clamp_min clamp_max rsub "
    "lerp threshold heaviside atan remainder fmod bitwise_and bitwise_or bitwise_xor bitwise_not floor_divide prelu "
    "_prelu_kernel log_sigmoid_forward softshrink hardshrink nan_to_num polygamma __rshift__ __lshift__ __and__ __or__ __xor__ "
    "bitwise_right_shift "
    "bitwise_left_shift isposinf isneginf poisson eq ne gt ge lt le logical_and logical_or logical_not logical_xor isnan isinf "
    "isfinite relu sign sgn maximum minimum relu6 abs add sub mul div clone _to_copy contiguous masked_fill where native_dropout "
    "bernoulli addcmul addcdiv detach_copy alias_copy"
)
_REDUCED = (
    "sum mean var std var_mean std_mean amax amin aminmax argmax argmin prod logsumexp norm linalg_vector_norm max min any all "
    "aminmax nanmean nansum median nanmedian count_nonzero"
)
_ALONG = (
    "_softmax _log_softmax _safe_softmax cumsum cumprod logcumsumexp cummax cummin sort topk argsort kthvalue index_select glu"
)
_PLACES_LOST = (
    "masked_select repeat_interleave one_hot nonzero take put scatter scatter_add scatter_reduce slice_scatter select_scatter "
    "diagonal_scatter as_strided_scatter masked_scatter index_put _index_put_impl _unsafe_index_put index_copy index_fill "
    "index_add index_reduce max_unpool2d max_unpool3d rot90 mode block_diag diag_embed searchsorted bucketize multinomial "
    "binomial isin bincount histc histogram _unique2 unique_consecutive unique_dim _masked_softmax channel_shuffle normal "
    "equal _local_scalar_dense is_nonzero item _assert_scalar permute_copy expand_copy transpose_copy squeeze_copy "
    "unsqueeze_copy slice_copy select_copy split_copy split_with_sizes_copy t_copy as_strided_copy diagonal_copy unbind_copy "
    "unfold_copy _embedding_bag _embedding_bag_forward_only _pack_padded_sequence mse_loss smooth_l1_loss huber_loss "
    "soft_margin_loss binary_cross_entropy binary_cross_entropy_with_logits nll_loss_forward nll_loss2d_forward "
    "multi_margin_loss multilabel_margin_loss_forward"
)
"""Known, and mixing: where elements go depends on values, or nobody writes them so."""


def _table() -> dict[Any, Rule]:
    table: dict[Any, Rule] = {}

    def put(names: str, rule: Rule) -> None:
        for name in names.split():
            for known in (name, f"{name}_"):
                if hasattr(aten, known):
                    table[getattr(aten, known)] = rule

    put(_ELEMENTWISE, passing.elementwise)
    put(_CREATED, passing.created)
    put("fill zero", passing.filled)
    put("copy_", passing.copied)
    put(_REDUCED, passing.reduced)
    put(_ALONG, passing.along("dim"))
    put("roll flip", passing.along("dims"))
    put("cat stack", passing.joined)
    put("constant_pad_nd", passing.padded)
    put("reflection_pad1d replication_pad1d avg_pool1d upsample_nearest1d _upsample_nearest_exact1d", passing.leading(1))
    put("upsample_linear1d", passing.leading(1))
    put("reflection_pad2d replication_pad2d avg_pool2d upsample_nearest2d _upsample_nearest_exact2d", passing.leading(2))
    put("max_pool2d_with_indices max_pool2d _adaptive_avg_pool2d adaptive_max_pool2d upsample_bilinear2d", passing.leading(2))
    put("upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa fractional_max_pool2d", passing.leading(2))
    put("avg_pool3d max_pool3d_with_indices _adaptive_avg_pool3d adaptive_max_pool3d upsample_trilinear3d", passing.leading(3))
    put(
        "fractional_max_pool3d reflection_pad3d replication_pad3d upsample_nearest3d _upsample_nearest_exact3d",
        passing.leading(3),
    )
    put("pixel_shuffle pixel_unshuffle", passing.leading(3))
    put("im2col", passing.first(4))
    put("col2im", passing.first(3))
    put("native_layer_norm _fused_rms_norm", passing.layer_norm)
    put("native_group_norm", passing.group_norm)
    put(
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_with_update",
        passing.batch_norm,
    )
    put("_batch_norm_no_update cudnn_batch_norm miopen_batch_norm", passing.batch_norm)
    put("convolution", passing.convolution)
    put("mm bmm mv dot vdot _int_mm", passing.product(0, 1))
    put("addmm baddbmm addmv", passing.product(1, 2, 0))
    put("tril triu", passing.leading(2))
    put("repeat", passing.repeated)
    put("index", passing.indexed)
    put("gather take_along_dim", passing.gathered)
    put("embedding", passing.looked_up)
    put("grid_sampler_2d grid_sampler_3d", passing.sampled)
    put("_reshape_copy view_copy", passing.reshaped)
    return table


RULES: Mapping[Any, Rule] = _table()
MIXING = frozenset(getattr(aten, known) for name in _PLACES_LOST.split() for known in (name, f"{name}_") if hasattr(aten, known))
READ_BY_PYTHON = frozenset({aten._local_scalar_dense, aten.equal, aten.is_nonzero, aten.item})
"""They hand a value to Python, where nobody can follow what is made of it."""
