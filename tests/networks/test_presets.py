"""Presets have the published parameter counts, and the registry's folder is readable without torch."""

import subprocess
import sys

import pytest
import torch

from spikebench.core.errors import InputError
from spikebench.core.variant import InputSpec
from spikebench.networks import build
from spikebench.networks.presets import load

IMAGENET = InputSpec(3, 224, 1000)
CIFAR10 = InputSpec(3, 32, 10)

PARAMETERS = {
    # Spikformer, Table 2 of arXiv 2209.15425 prints 16.81, 23.37, 29.68, 36.01 and 66.34 million
    ("spikformer-8-384", IMAGENET): 16_816_024,
    ("spikformer-6-512", IMAGENET): 23_373_352,
    ("spikformer-8-512", IMAGENET): 29_689_384,
    ("spikformer-10-512", IMAGENET): 36_005_416,
    ("spikformer-8-768", IMAGENET): 66_338_632,
    ("spikformer-4-256", CIFAR10): 4_155_178,
    ("spikformer-2-384", CIFAR10): 5_765_050,
    ("spikformer-4-384", CIFAR10): 9_324_730,
    # Spikformer V2 prints 51.55 and 172 million
    ("spikformer-v2-8-384", IMAGENET): 29_114_872,
    ("spikformer-v2-8-512", IMAGENET): 51_549_864,
    ("spikformer-v2-16-768", IMAGENET): 172_285_960,
    # QKFormer prints 16.47, 29.08 and 64.96 million
    ("qkformer-10-384", IMAGENET): 16_473_688,
    ("qkformer-10-512", IMAGENET): 29_079_336,
    ("qkformer-10-768", IMAGENET): 64_962_760,
    # Spikingformer and SDT print 66.34 million; the ANN twin has its Spikformer's 29.68
    ("spikingformer-8-768", IMAGENET): 66_338_632,
    ("sdt-8-768", IMAGENET): 66_338_632,
    ("vit-8-512", IMAGENET): 29_689_384,
    # CIFAR10-DVS prints 2.57 million
    ("spikformer-dvs-2-256", InputSpec(2, 128, 10, events=True)): 2_566_666,
}


@pytest.mark.parametrize(("preset", "inputs"), PARAMETERS, ids=str)
def test_parameter_counts_are_the_published_ones(preset, inputs):
    with torch.device("meta"):
        model = build(load(preset), inputs)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[preset, inputs]


def test_loading_a_preset_imports_no_torch():
    code = "import sys; from spikebench.networks.presets import load; load('spikformer-4-384'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'spikformer-4-384'"):
        load("spikformer-4-348")
