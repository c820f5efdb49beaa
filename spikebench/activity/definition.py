"""Fused kernels cannot be seen into, so an observed pass runs what they are defined to compute."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def recurrent_as_defined() -> Iterator[None]:
    """Inside the block recurrent layers run their steps one by one. Convolutions would run slowly there."""
    with torch.backends.mkldnn.flags(enabled=False), torch.backends.cudnn.flags(enabled=False):
        yield


@contextmanager
def as_defined() -> Iterator[None]:
    """Inside the block attention is its formula, encoder layers are their parts, and compiled blocks run eagerly."""
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        if "torch._dynamo" in sys.modules:  # else nothing can be compiled, and the import takes a second
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield
