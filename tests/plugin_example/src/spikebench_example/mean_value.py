"""Every token gets the mean of all values (an example, 2026)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spikebench.networks.attentions._base import AttentionOptions, QKVAttention


@dataclass(frozen=True)
class Options(AttentionOptions):
    """``gain``: of the mean."""

    gain: float = 1.0


class Attention(QKVAttention):
    """No Q and no K."""

    Options = Options
    inputs = ("v",)

    def mix(self, v: Tensor) -> Tensor:
        return v.mean(3, keepdim=True).expand_as(v) * self.options.gain
