"""Oracles of the published networks, as fixtures: modules in ``oracles/`` that use nothing of spikebench."""

import importlib.util
from pathlib import Path

import pytest
import torch


def _load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "oracles" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def official():
    """Spikformer as released: ``official.Spikformer(layout, ...)``."""
    return _load("spikformer_official")


@pytest.fixture(scope="session")
def others():
    """Spikingformer, SDT and QKFormer as released."""
    return _load("others_official")


@pytest.fixture(scope="session")
def lively():
    """Gives a network weights and statistics under which every layer fires, by what it sees, and puts it in evaluation mode."""

    def prepare(model, seed=0):
        generator = torch.Generator().manual_seed(seed)

        def uniform(tensor, low, high):
            tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * (high - low) + low)

        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                    uniform(module.running_mean, *(-0.3, 0.3) if module.affine else (-1.0, 0.3))
                    uniform(module.running_var, 0.2, 0.6)
                    if module.affine:
                        uniform(module.weight, 1.0, 2.0)
                        uniform(module.bias, 0.2, 1.6)
                elif isinstance(getattr(module, "weight", None), torch.Tensor) and module.weight.dim() > 1:
                    bound = (3 / module.weight[0].numel()) ** 0.5
                    uniform(module.weight, -bound, bound)
        return model.eval()

    return prepare
