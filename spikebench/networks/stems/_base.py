"""What every stem is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from spikebench.core.errors import Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.stems._patch import PatchSize, halving_problems, width_problems


@dataclass(frozen=True)
class PatchOptions:
    """``patch_size``: pixels of a token's side; auto: 16 for images of 128 and more, 8 from 64, 4 from 16, 2 below."""

    patch_size: PatchSize = "auto"


class StemBase(nn.Module):
    """Steps (T, B, C, H, W) to (T, B, dim, H / patch_size, W / patch_size), made as ``Stem(options, context)``.

    ``emits_potentials``: the output is a membrane potential (real values) that only a residual with the neuron first takes up.
    """

    Options: ClassVar[type] = PatchOptions
    emits_potentials: ClassVar[bool] = False

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        """Why this stem cannot serve that network."""
        yield from halving_problems(options, spec, inputs)
        yield from width_problems(spec)

    @classmethod
    def subset_problem(cls, options: Any) -> str | None:
        """Why it cannot see a part of the tokens alone; stems of ``layers`` can (``networks.visible``)."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError
