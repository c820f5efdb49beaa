"""What fine-tuning adds to a training: fewer labels, learning rates that decay by layer, dropped paths."""

import pytest
import torch

from spikebench import data
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks import build
from spikebench.training.drop_path import add_drop_path, blocks_of
from spikebench.training.group import Batch, parts_of
from spikebench.training.labels import labelled
from spikebench.training.layers import depth_of
from spikebench.training.loop import Training
from spikebench.training.optimizers import make_optimizer
from spikebench.training.options import TrainingOptions

INPUTS = InputSpec(1, 8, 10)
SPEC = VariantSpec(depth=3, dim=16, num_heads=2, T=1)
CPU = torch.device("cpu")


def network(**changes):
    torch.manual_seed(0)
    return build(SPEC.replace(**changes), INPUTS)


@pytest.mark.parametrize("labels", [10, 13, 126, 500])
def test_fewer_labels_are_spread_over_the_classes_and_drawn_by_the_seed(labels):
    split = data.load("digits").split("train")
    one, same, other = (labelled(split, labels, seed) for seed in (0, 0, 1))
    counts = torch.bincount(one.tensors[1], minlength=10)
    assert counts.sum() == labels
    assert counts.max() - counts.min() <= 1
    assert torch.equal(one.tensors[0], same.tensors[0])
    assert not torch.equal(one.tensors[0], other.tensors[0])
    rows = {image.numpy().tobytes() for image in split.tensors[0]}
    assert all(image.numpy().tobytes() in rows for image in one.tensors[0])


def test_all_labels_are_the_split_itself_and_impossible_numbers_are_refused():
    split = data.load("digits").split("train")
    assert labelled(split, None, 0) is split
    for number in (9, len(split) + 1):
        with pytest.raises(InputError, match=f"must be 10 .one a class. to {len(split)} .all., got {number}"):
            labelled(split, number, 0)


def test_a_training_with_fewer_labels_takes_fewer_steps():
    training = Training(network(), data.load("digits"), TrainingOptions(labels=100, batch_size=25), seed=0, device=CPU)
    assert training.samples == 100
    assert training.steps_per_epoch == 4


def test_each_layer_learns_slower_than_the_one_above():
    """Against the formula: the head's rate times decay to the number of layers above."""
    model, options = (
        network(),
        TrainingOptions(layer_decay=0.5, optimizer="sgd", lr=1.0, weight_decay=0.0, clip_norm=None, amp="off"),
    )
    training = Training(model, data.load("digits"), options, seed=0, device=CPU)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    x, y = (part[:8] for part in training.train_split.tensors)
    model.train()
    numbers, parts = parts_of(8, 1)
    training._step(Batch(x, y, 8, numbers, parts), 0.1)
    moved = set()
    for name, value in model.named_parameters():
        layer = 4 if name.startswith("head") else int(name.split(".")[1]) + 1 if name.startswith("blocks") else 0
        assert depth_of(name, 3) == layer
        torch.testing.assert_close(before[name] - value.detach(), 0.1 * 0.5 ** (4 - layer) * value.grad, rtol=1e-3, atol=5e-7)
        if value.grad.any():
            moved.add(layer)
    assert moved == {0, 1, 2, 3, 4}


def test_without_decay_the_optimizer_is_what_it_was():
    assert len(make_optimizer(network(), TrainingOptions()).param_groups) == 2


@pytest.mark.parametrize("options", [TrainingOptions(layer_decay=0.5), TrainingOptions(drop_path=0.5)])
def test_networks_without_blocks_are_refused(options):
    with pytest.raises(InputError, match="no blocks"):
        Training(torch.nn.Linear(3, 4), data.load("digits"), options, seed=0, device=CPU)


@pytest.mark.parametrize("residual", ["add", "membrane"])
def test_dropped_paths_leave_images_out_for_all_steps_and_the_last_block_most(residual):
    model = network(residual=residual, T=3).train()
    add_drop_path(model, 0.5)
    x = torch.ones(3, 4000, 16, 1)
    shares = []
    for block in model.blocks:
        hooks = block.mlp._forward_hooks.values()
        z = x
        for hook in hooks:
            z = hook(block.mlp, (x,), z)
        assert torch.equal(z[0], z[1])
        values = set(z.unique().tolist())
        share = float((z[0, :, 0, 0] == 0).float().mean())
        shares.append(share)
        kept = 1 / (1 - share) if residual == "membrane" else 1.0
        # spikes stay spikes; real streams keep their mean
        assert all(value == 0 or value == pytest.approx(kept, rel=0.05) for value in values)
    assert shares == pytest.approx([0, 0.25, 0.5], abs=5 * 0.5 / 4000**0.5)


def test_dropped_paths_change_nothing_in_evaluation_and_nothing_in_the_weights_names():
    model, x = network().eval(), torch.rand(5, 1, 8, 8)
    before, names = model(x), set(model.state_dict())
    add_drop_path(model, 0.9)
    assert torch.equal(model(x), before)
    assert set(model.state_dict()) == names


@pytest.mark.parametrize(("field", "value"), [("labels", 0), ("layer_decay", 0.0), ("layer_decay", 1.1), ("drop_path", 1.0)])
def test_impossible_options_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        TrainingOptions(**{field: value})


def test_paths_are_dropped_in_the_blocks_of_all_stages() -> None:
    """QKFormer has its blocks in three stages; the last block of the last one drops most."""
    spec = VariantSpec(family=Choice("qkformer", {"blocks": [1, 1]}), depth=4, dim=32, num_heads=2, T=2)
    model = build(spec, InputSpec(3, 16, 10))
    blocks = blocks_of(model)
    assert blocks == [block for stage in model.stages for block in stage.blocks]
    add_drop_path(model, 0.3)
    assert [len(block.mlp._forward_hooks) for block in blocks] == [0, 1, 1, 1]
