"""SpikingJelly's own Spikformer: pools before the LIF, no biases, fused QKV; not the network of arXiv 2209.15425."""

from __future__ import annotations

from collections.abc import Iterator

from spikingjelly.activation_based import functional
from spikingjelly.activation_based.model.spikformer import Spikformer
from torch import Tensor

from spikebench.core.errors import Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.checks import heads_problems
from spikebench.networks.network import Network
from spikebench.networks.stems._base import PatchOptions
from spikebench.networks.stems._patch import resolve_patch, width_problems


class Family(Network):
    """``model``: SpikingJelly's module, with its neurons; each step is computed. Logits are the mean of its logits over T."""

    Options = PatchOptions
    unused = ("stem", "attention", "residual", "neuron", "surrogate", "encoding", "position", "head")

    @classmethod
    def check(cls, options: PatchOptions, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        patch = resolve_patch(options.patch_size, inputs.size)
        if patch not in (4, 16):
            yield Problem(f"SpikingJelly's Spikformer has patches of 4 or 16, got {patch}", key="family.patch_size")
        elif inputs.size % patch:
            yield Problem(
                f"an image of {inputs.size} x {inputs.size} cannot be divided into patches of {patch}", key="family.patch_size"
            )
        yield from width_problems(spec)
        yield from heads_problems(spec)

    @classmethod
    def subset_problem(cls, options: PatchOptions) -> str:
        """See ``networks.masked``."""
        return "is SpikingJelly's own module, which takes whole images"

    def __init__(self, options: PatchOptions, spec: VariantSpec, inputs: InputSpec) -> None:
        super().__init__(spec, inputs)
        self.model = Spikformer(
            T=spec.T,
            in_channels=inputs.channels,
            img_size_h=inputs.size,
            img_size_w=inputs.size,
            patch_size=resolve_patch(options.patch_size, inputs.size),
            num_classes=inputs.classes,
            embed_dims=spec.dim,
            num_heads=spec.num_heads,
            mlp_ratio=spec.mlp_ratio,
            depths=spec.depth,
        )

    def steps(self, x: Tensor) -> Tensor:
        """(T, B, classes)."""
        if x.dim() == 4:
            x = x.unsqueeze(0).repeat(self.T, 1, 1, 1, 1)
        functional.reset_net(self.model)
        steps: Tensor = self.model(x)
        functional.reset_net(self.model)  # or this call's graph would live on in the neurons' state
        return steps
