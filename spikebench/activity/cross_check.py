"""Dense MACs of a network by tools of others, to hold against ours."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from spikebench.networks.shortcuts import without_shortcuts

SAME = ("conv", "linear", "matmul")
"""fvcore's operators that count what ``dense_macs`` does; it adds BatchNorm and others, which ours puts into ``other_ops``."""


def dense_macs_elsewhere(model: nn.Module, x: Tensor) -> dict[str, int]:
    """Tool -> multiply-accumulates of one forward pass of ``x``, products of activations elementwise left out.

    fvcore: convolution + linear + matmul. torch: half of ``FlopCounterMode``, which counts an addition and a multiplication each.
    """
    from fvcore.nn import FlopCountAnalysis
    from torch.utils.flop_counter import FlopCounterMode

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with torch.no_grad(), without_shortcuts():
        analysis = FlopCountAnalysis(model, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_operator = analysis.by_operator()
        with FlopCounterMode(display=False) as flops:
            model(x)
    return {"fvcore": int(sum(by_operator[name] for name in SAME)), "torch": flops.get_total_flops() // 2}
