"""The harness `pretraining_cost`: the same network supervised and masked, its MACs by hand."""

from pathlib import Path

import pytest

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.variant import VariantSpec
from spikebench.harnesses.pretraining_cost import Harness
from spikebench.testing import make_subject

OPTIONS = {"mask_ratios": [0.5, 0.75], "batch_size": 4, "steps": 3}
VARIANT = VariantSpec(depth=2, dim=16, num_heads=2, T=2).replace(stem={"name": "scs", "patch_size": 2})
DATA = Choice("random", {"channels": 1, "size": 16, "classes": 4, "samples": 24})


def run(folder: Path, variant: VariantSpec = VARIANT, **options: object) -> list:
    choice = Choice("pretraining_cost", {**OPTIONS, **options})
    return list(Harness().run(make_subject(folder, choice, variant=variant, dataset=DATA), choice.resolve("harnesses")))


def test_every_kind_has_its_three_figures_and_as_many_samples_as_asked(tmp_path: Path) -> None:
    records = run(tmp_path)
    assert len(records) == 3 * (1 + 2 * 2)
    for record in records:
        if record.metric == "step_seconds":
            assert len(record.samples) == 3
            assert min(record.samples) <= record.value <= max(record.samples)
    assert len(run(tmp_path, dense_stem=False)) == 3 * (1 + 2)


def test_macs_of_the_encoder_are_those_of_the_visible_share(tmp_path: Path) -> None:
    """All of the encoder but attention is linear in the tokens: without decoder blocks the rest is known by hand."""
    variant = VARIANT.replace(attention="qk_token")  # no product of tokens with tokens
    records = run(tmp_path, variant, decoder_depth=0, dense_stem=False, mask_ratios=[0.5, 0.75])
    macs = {r.conditions.get("mask_ratio", 0): r.value for r in records if r.metric == "step_macs"}
    N, dim, width, patch = 64, 16, 64, 4
    head = dim * 4

    def decoder(visible: int) -> int:
        return visible * dim * width + N * width * patch

    encoder = macs[0] - head
    for ratio in (0.5, 0.75):
        visible = round(N * (1 - ratio))
        found = macs[ratio] - decoder(visible)
        assert found == pytest.approx(encoder * visible / N, rel=1e-9)


def test_a_network_that_cannot_be_pre_trained_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="hierarchical"):
        run(tmp_path, VariantSpec(depth=3, dim=16, num_heads=2, T=1).replace(family="qkformer"))


@pytest.mark.parametrize("options", [{"mask_ratios": []}, {"mask_ratios": [1.0]}, {"batch_size": 0}, {"steps": 0}])
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(InputError):
        Choice("pretraining_cost", options).resolve("harnesses")
