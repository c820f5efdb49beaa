"""Three stages of growing width, QK token attention in the first two, SSA in the last (QKFormer, arXiv 2403.16552)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from spikebench.core.choice import Choice
from spikebench.core.errors import Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.checks import component_problems
from spikebench.networks.context import Context
from spikebench.networks.encoder import Block
from spikebench.networks.network import Network
from spikebench.networks.residuals.add import Residual as Add
from spikebench.networks.stems._stage import Stage, order_of


@dataclass(frozen=True)
class QKFormerOptions:
    """``blocks``: in the first two stages; the last has what is left of ``depth``. ``first_patch``: 1 for CIFAR, 4 for ImageNet.

    Every stage has ``num_heads`` heads: 8 in the released code, whatever it is asked for.
    """

    blocks: tuple[int, int] = (1, 1)
    first_patch: Literal[1, 4] = 1


class Family(Network):
    """Widths dim/4, dim/2 and dim; ``stages.0.embedding``, ``stages.0.blocks.0``, .. ``stages.2``, ``head``. Spikes are added."""

    Options = QKFormerOptions
    unused = ("stem", "attention", "residual", "position")

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        yield from component_problems(spec, inputs, ("neuron", "encoding", "head"))
        if spec.dim % (4 * spec.num_heads) or spec.dim % 8:
            yield Problem(
                f"the first stage is dim/4 wide: dim must be a multiple of 8 and of 4 x {spec.num_heads} heads, got {spec.dim}",
                key="dim",
            )
        if inputs.size % (4 * options.first_patch):
            yield Problem(
                f"an image of {inputs.size} x {inputs.size} cannot be divided by {4 * options.first_patch}",
                key="family.first_patch",
            )
        if min(options.blocks) < 0 or sum(options.blocks) >= spec.depth:
            yield Problem(f"{options.blocks} blocks leave none of depth {spec.depth} to the last stage", key="family.blocks")

    @classmethod
    def subset_problem(cls, options: Any) -> str:
        """See ``networks.masked``."""
        return "is hierarchical: between its stages convolutions divide the whole grid of tokens"

    def __init__(self, options: QKFormerOptions, spec: VariantSpec, inputs: InputSpec) -> None:
        super().__init__(spec, inputs)
        depths = (*options.blocks, spec.depth - sum(options.blocks))
        widths = (spec.dim // 4, spec.dim // 2, spec.dim)
        token, full = Choice("qk_token"), Choice("ssa", {"published_order": "kv_first"})
        contexts = [
            Context(dataclasses.replace(spec, dim=width, attention=attention), inputs)
            for width, attention in zip(widths, (token, token, full), strict=True)
        ]
        embeddings = [
            FirstEmbedding(contexts[0], inputs.channels, widths[0], options.first_patch == 4),
            Embedding(contexts[1], widths[0], widths[1]),
            Embedding(contexts[2], widths[1], widths[2]),
        ]
        self.encoding = Context(spec, inputs).make("encoding")
        self.stages = nn.Sequential(*map(HierarchicalStage, contexts, embeddings, depths))
        self.head = contexts[2].make("head")

    def steps(self, x: Tensor) -> Tensor:
        """(T, B, classes), or (1, B, classes) if the head averages over T: see ``Network``."""
        steps: Tensor = self.head(self.stages(self.encoding(x, self.T)).flatten(3))
        return steps

    def loss_of_steps(self, steps: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """The head's loss."""
        loss: Tensor = self.head.loss(steps, y, label_smoothing)  # type: ignore[operator]
        return loss


class HierarchicalStage(nn.Module):
    """An embedding that makes tokens of images, and encoder blocks: (T, B, C', H', W') from (T, B, C, H, W)."""

    def __init__(self, context: Context, embedding: nn.Module, depth: int) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.Sequential(*(Block(context) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """The grid of tokens is an image again."""
        x = self.embedding(x)
        out: Tensor = self.blocks(x.flatten(3)).view_as(x)
        return out


class FirstEmbedding(nn.Module):
    """a = LIF(BN(conv3 x)); LIF(BN(conv3 a)) + LIF(BN(conv1 a)).

    For ImageNet both 3x3 pool before their LIF, the 1x1 has stride 2, and a third 3x3 follows the second: inferred from the
    published parameter counts (16.47, 29.08 and 64.96 million), which it meets.
    """

    def __init__(self, context: Context, in_channels: int, channels: int, pool: bool) -> None:
        super().__init__()
        order = order_of("conv norm pool neuron", pool)
        self.pixels = Stage(context, in_channels, channels // 2, order)
        deep = [Stage(context, channels // 2, channels, order)]
        if pool:
            deep.append(Stage(context, channels, channels, order_of("conv norm neuron")))
        self.deep = nn.Sequential(*deep)
        self.shortcut = Stage(context, channels // 2, channels, order_of("conv norm neuron"), kernel=1, stride=2 if pool else 1)
        self.merge = Add(None, context)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, channels, H', W'); the side is kept, or a quarter."""
        a = self.pixels(x)
        merged: Tensor = self.merge(self.deep(a), self.shortcut(a))
        return merged


class Embedding(nn.Module):
    """LIF(pool(BN(conv3 LIF(BN(conv3 x))))) + LIF(BN(conv1 x)), the 1x1 with stride 2: half the side."""

    def __init__(self, context: Context, in_channels: int, channels: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(
            Stage(context, in_channels, channels, order_of("conv norm neuron")),
            Stage(context, channels, channels, order_of("conv norm pool neuron")),
        )
        self.shortcut = Stage(context, in_channels, channels, order_of("conv norm neuron"), kernel=1, stride=2)
        self.merge = Add(None, context)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, channels, H / 2, W / 2)."""
        merged: Tensor = self.merge(self.deep(x), self.shortcut(x))
        return merged
