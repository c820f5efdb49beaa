"""Masked pre-training on the same loop as any training, and its weights where fine-tuning starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikebench.core.errors import StorageError
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.data import Dataset
from spikebench.networks.building import build
from spikebench.networks.decoder import DecoderOptions
from spikebench.networks.masked import MaskedNetwork, Masking, build_masked, make_mask
from spikebench.networks.neurons import SpikingNeuron
from spikebench.training import checkpoints
from spikebench.training.epochs import Progress
from spikebench.training.loop import Training
from spikebench.training.pretraining_options import PretrainingOptions
from spikebench.training.randomness import seed_globally

ENCODER = "network."
"""How the names of the encoder's weights begin in a pre-trained network; the decoder's stay behind."""


def masking_of(options: PretrainingOptions) -> Masking:
    """What ``networks.masked`` needs to know."""
    decoder = DecoderOptions(options.decoder_depth, options.decoder_width, options.decoder_heads)
    return Masking(options.mask_ratio, options.block, options.targets, options.sparse_stem, decoder)


def masked_model(spec: VariantSpec, inputs: InputSpec, options: PretrainingOptions, seed: int) -> MaskedNetwork:
    """The network before pre-training, from the seed. Raises InputError if it cannot be pre-trained."""
    with torch.random.fork_rng(devices=[]):
        seed_globally(seed)
        return build_masked(spec, inputs, masking_of(options))


class Pretraining(Training):
    """Sees the training split alone, and no label. An epoch's ``figures``: ``mean_line``, and the mean output of every neuron
    layer by name, on a fixed batch with fixed masks, in evaluation mode.
    """

    def __init__(
        self, model: MaskedNetwork, dataset: Dataset, options: PretrainingOptions, *, seed: int, device: torch.device
    ) -> None:
        super().__init__(model, dataset, options.training(), seed=seed, device=device, objective=self._reconstruct)

    def _reconstruct(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        found = model(x)
        if self.progress is not None:
            self.progress.add("mean_line", found.mean_line.detach() * len(y))
        loss: Tensor = found.loss
        return loss

    def example(self, images: int) -> tuple[Tensor, Tensor]:
        """Training images from all of the split, which may be sorted by class, on the device, with masks; always the same."""
        count = min(images, self.samples)
        samples = [self.train_split[index * self.samples // count][0] for index in range(count)]
        x = torch.stack(samples).to(self.device)
        return (x.transpose(0, 1) if x.dim() == 5 else x), make_mask(self.network, len(samples), seed=0).to(self.device)

    @property
    def network(self) -> MaskedNetwork:
        assert isinstance(self.model, MaskedNetwork)
        return self.model

    def _judge(self, now: Progress) -> dict[str, Any]:
        return {"figures": {"mean_line": float(now.sums["mean_line"]) / now.samples, **self._rates()}}

    @torch.no_grad()
    def _rates(self) -> dict[str, float]:
        rates: dict[str, float] = {}
        hooks = [
            module.register_forward_hook(lambda _, __, out, name=name: rates.__setitem__(name, float(out.mean())))
            for name, module in self.model.named_modules()
            if isinstance(module, SpikingNeuron)
        ]
        self.model.eval()
        try:
            x, mask = self.example(32)
            self.network.encode(x, mask)
        finally:
            self.model.train()
            for hook in hooks:
                hook.remove()
        return rates


def load_pretrained(model: nn.Module, folder: Path) -> None:
    """Put the encoder that ``folder`` holds pre-trained into ``model``, whose head stays as it is.

    Raises StorageError if there is none, or if it is of another stem, width or depth.
    """
    load_pretrained_file(model, folder / checkpoints.WEIGHTS)


def load_pretrained_file(model: nn.Module, path: Path) -> None:
    """As ``load_pretrained``, of any file that a pre-training has left."""
    state = checkpoints.read(path)
    if not isinstance(state, dict):
        raise StorageError(f"{path}: holds no pre-trained network")
    problem = start_from(model, state)
    if problem:
        raise StorageError(f"{path}: {problem}")


def start_from(model: nn.Module, state: dict[str, Tensor]) -> str:
    """Copy a pre-trained encoder's weights into ``model``; why that cannot be, in words, or "" when it is done."""
    encoder = {name.removeprefix(ENCODER): value for name, value in state.items() if name.startswith(ENCODER)}
    problem = mismatch({name: value for name, value in model.state_dict().items() if not name.startswith("head.")}, encoder)
    if not problem:
        model.load_state_dict(encoder, strict=False)
    return problem


def transfer_problem(before: VariantSpec, after: VariantSpec, inputs: InputSpec) -> str:
    """Why what is pre-trained with the T of ``before`` cannot be fine-tuned with that of ``after``, or ""."""
    if before.T == after.T:
        return ""
    state = {
        f"{ENCODER}{name}": value for name, value in build(before, inputs).state_dict().items() if not name.startswith("head.")
    }
    problem = start_from(build(after, inputs), state)
    return problem and f"weights that belong to single time steps cannot go from T = {before.T} to T = {after.T}: {problem}"


def mismatch(expected: dict[str, Tensor], found: dict[str, Tensor]) -> str:
    """Why weights are another network's: the first few differences, or ""."""
    if not found:
        return "holds no pre-trained encoder"
    wrong = [
        f"{name} is {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    parts = {"another shape": wrong, "missing": missing, "no place for": unknown}
    said = [f"{what}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}" for what, names in parts.items() if names]
    return f"pre-trained with another stem, width or depth ({'; '.join(said)})" if said else ""
