"""Checkpoints of the released code give the logits and the spikes of the released code."""

import argparse
import collections
import datetime
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spikebench.core.errors import InputError
from spikebench.core.variant import InputSpec
from spikebench.networks import SpikingNeuron, build
from spikebench.networks.foreign import LAYOUTS, load_foreign, load_into, read
from spikebench.networks.foreign._reading import read_state

SMALL = {"dim": 64, "depth": 2}


def oracle(layout, official, others, **changes):
    """The released network of a layout, small, and what load_foreign must be told of it."""
    spikformer = {"spikformer-cifar": "cifar", "spikformer-imagenet": "imagenet", "spikformer-dvs": "dvs"}
    if layout in spikformer:
        channels = 2 if layout == "spikformer-dvs" else 3
        model = official.Spikformer(spikformer[layout], channels=channels, heads=4, **{**SMALL, **changes})
        return model, {"num_heads": 4}
    if layout == "spikingformer-cifar":
        return others.Spikingformer(n=4, **{**SMALL, **changes}), {"num_heads": 4}
    if layout == "sdt-cifar":
        return others.SDT(n=4, **{**SMALL, **changes}), {}
    return others.QKFormer(**{**SMALL, "depth": 4, **changes}), {}


def image(layout, batch=2):
    generator = torch.Generator().manual_seed(7)
    if layout == "spikformer-dvs":
        return torch.rand(3, batch, 2, 32, 32, generator=generator, dtype=torch.float64).round()
    return torch.randn(batch, 3, 32, 32, generator=generator, dtype=torch.float64)


def spikes_of_ours(model, x):
    kept = []
    hooks = [m.register_forward_hook(lambda _, __, y: kept.append(y)) for m in model.modules() if isinstance(m, SpikingNeuron)]
    with torch.no_grad():
        logits = model(x)
    for hook in hooks:
        hook.remove()
    return logits, kept


PARITY = ["spikformer-cifar", "spikformer-imagenet", "spikformer-dvs", "spikingformer-cifar", "sdt-cifar", "qkformer-cifar"]


@pytest.mark.parametrize("layout", PARITY)
def test_logits_and_every_spike_equal_the_released_code_in_float64(layout, official, others, lively, monkeypatch):
    torch.manual_seed(0)
    theirs, told = oracle(layout, official, others)
    lively(theirs).double()  # after the float32 numbers are made, which a checkpoint holds
    ours = load_foreign(theirs.state_dict(), layout, **told).double()
    assert not ours.training
    from spikingjelly.activation_based import neuron

    seen = []
    fired = neuron.LIFNode.forward
    monkeypatch.setattr(neuron.LIFNode, "forward", lambda self, x: seen.append(fired(self, x)) or seen[-1])
    with torch.no_grad():
        expected = theirs(image(layout))
    got, spikes = spikes_of_ours(ours, image(layout))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-9)
    assert len(spikes) == len(seen)
    totals = sorted(float(s.sum()) for s in spikes)
    assert totals == sorted(float(s.sum()) for s in seen)
    rates = [float(s.mean()) for s in spikes]
    assert sum(0.01 < rate < 0.99 for rate in rates) > 0.8 * len(rates), "an oracle that hardly fires proves nothing"
    assert expected.std() > 1e-3


@pytest.mark.parametrize("layout", PARITY)
def test_logits_agree_in_float32(layout, official, others, lively):
    torch.manual_seed(1)
    theirs, told = oracle(layout, official, others)
    lively(theirs, seed=1)
    with torch.no_grad():
        expected = theirs(image(layout).float())
        got = load_foreign(theirs.state_dict(), layout, **told)(image(layout).float())
    # Sums in another order move a potential by 1e-7; one that lies that near its threshold would flip a spike and show here.
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)


def test_what_the_tensors_tell_is_read_from_them(official, others):
    theirs, _ = oracle("spikformer-cifar", official, others, dim=32, depth=3, classes=7)
    found = read(theirs.state_dict(), "spikformer-cifar", num_heads=2)
    assert (found.spec.dim, found.spec.depth, found.spec.num_heads, found.spec.mlp_ratio) == (32, 3, 2, 4.0)
    assert found.spec.attention.options["bias"] is True
    assert found.inputs == InputSpec(3, 32, 7)
    theirs, _ = oracle("spikformer-dvs", official, others)
    assert read(theirs.state_dict(), "spikformer-dvs", num_heads=4).inputs == InputSpec(2, 128, 10, events=True)


def test_heads_are_asked_for_where_no_published_network_tells(official, others):
    theirs, _ = oracle("spikformer-cifar", official, others, dim=32)
    with pytest.raises(InputError, match="num_heads"):
        load_foreign(theirs.state_dict(), "spikformer-cifar")
    assert LAYOUTS["spikformer-cifar"].num_heads[384] == 12


@pytest.mark.parametrize("ending", ["pth", "pth.tar", "safetensors"])
def test_files_containers_and_prefixes(ending, official, others, tmp_path, lively):
    theirs, told = oracle("spikformer-cifar", official, others)
    lively(theirs)
    state = {f"module.{key}": value.contiguous() for key, value in theirs.state_dict().items()}
    path = tmp_path / f"checkpoint.{ending}"
    if ending == "safetensors":
        save_file(state, path)
    else:
        averaged = {key: value * 0 for key, value in state.items()}
        kept = {"epoch": 3, "args": argparse.Namespace(lr=1.0), "state_dict": state, "state_dict_ema": averaged}
        torch.save(kept, path)
        ema = load_foreign(path, "spikformer-cifar", ema=True, **told)
        assert not ema.head.linear.weight.any()
    x = image("spikformer-cifar").float()
    with torch.no_grad():
        torch.testing.assert_close(load_foreign(str(path), "spikformer-cifar", **told)(x), theirs(x), rtol=0, atol=1e-4)


class Bomb:
    def __reduce__(self):
        return (print, ("ran",))


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path, capsys):
    path = tmp_path / "bomb.pth"
    torch.save({"state_dict": Bomb()}, path)
    with pytest.raises(InputError, match=r"holds .*print, which is not plain data: the file would run code") as error:
        load_foreign(path, "spikformer-cifar")
    assert "weights_only" not in str(error.value)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError):
        load_foreign(path, "spikformer-cifar")
    assert capsys.readouterr().out == ""


TENSORS = {"a.weight": torch.ones(2, 2), "a.bias": torch.ones(2)}
WRAPPED = {f"module.{name}": tensor for name, tensor in TENSORS.items()}


@pytest.mark.parametrize(
    ("holds", "ema"),
    [
        ({"state_dict": TENSORS, "metric": np.float64(0.9), "curve": np.arange(3), "best": np.int64(2)}, False),
        ({"state_dict": TENSORS, "log": collections.defaultdict(list), "args": argparse.Namespace(out=Path("x"))}, False),
        ({"state_dict": TENSORS, "when": datetime.datetime(2024, 1, 1), "tags": {"a"}}, False),
        ({"n_averaged": torch.tensor(3), **WRAPPED}, False),
        ({"state_dict": {**WRAPPED, "criterion.weight": torch.ones(3)}}, False),
        ({f"_orig_mod.{name}": tensor for name, tensor in WRAPPED.items()}, False),
        ({**TENSORS, "total_ops": torch.zeros(1), "a.total_params": torch.zeros(1)}, False),
        ({"module": TENSORS, "global_steps": 1}, False),
        ({"student": TENSORS, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}}, False),
        ({"checkpoint": {"model": {"module": TENSORS}}}, False),
        ({"model": {"a.weight": torch.zeros(2, 2)}, "model_ema": {"module": TENSORS}}, True),
        ({"states": {"model": {"a.weight": torch.zeros(2, 2)}, "ema": TENSORS}}, True),
    ],
)
def test_plain_data_and_wrappers_around_the_tensors_do_not_matter(holds, ema, tmp_path):
    torch.save(holds, tmp_path / "a.pth")
    for source in (holds, tmp_path / "a.pth"):
        found = read_state(source, ema)
        assert found.keys() == TENSORS.keys()
        assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def test_several_sets_of_tensors_are_a_question():
    with pytest.raises(InputError, match=r"several sets of tensors \(student, teacher\)"):
        read_state({"student": TENSORS, "teacher": TENSORS})


@pytest.mark.parametrize("junk", [b"", b"abc", b"\x80\x02garbage", pickle.dumps({"a": 1}, protocol=5), b"PK\x03\x04"])
def test_what_is_no_checkpoint_is_one_error_in_our_words(junk, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(junk)
    with pytest.raises(InputError, match="is truncated or damaged, or no checkpoint at all") as error:
        read_state(path)
    assert "weights_only" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_file_is_one_message(ending, keep, official, others, tmp_path):
    theirs, _ = oracle("spikformer-cifar", official, others)
    path = tmp_path / f"cut.{ending}"
    save_file(theirs.state_dict(), path) if ending == "safetensors" else torch.save(theirs.state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep if keep >= 1 else keep * len(whole))])
    with pytest.raises(InputError, match="damaged") as error:
        load_foreign(path, "spikformer-cifar")
    assert len(error.value.problems) == 1


def test_a_missing_file_and_an_unknown_layout_say_so(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_foreign(tmp_path / "none.pth", "spikformer-cifar")
    with pytest.raises(InputError, match="did you mean 'spikformer-cifar'"):
        load_foreign({}, "spikformer-cifr")
    with pytest.raises(InputError, match="no tensors"):
        load_foreign({"epoch": 3}, "spikformer-cifar")


@pytest.mark.parametrize("wrong", PARITY)
@pytest.mark.parametrize("right", PARITY)
def test_another_layout_is_refused_and_the_best_one_named(right, wrong, official, others):
    theirs, told = oracle(right, official, others)
    if right == wrong:
        assert load_foreign(theirs.state_dict(), right, **told)
        return
    with pytest.raises(InputError, match=f"layout {right} fits best"):
        load_foreign(theirs.state_dict(), wrong, **told)


def test_missing_extra_and_misshapen_tensors_are_named(official, others):
    theirs, told = oracle("spikformer-cifar", official, others)
    state = theirs.state_dict()
    del state["block.1.attn.q_bn.running_var"]
    with pytest.raises(InputError, match=r"missing: block\.1\.attn\.q_bn\.running_var"):
        load_foreign(state, "spikformer-cifar", **told)
    with pytest.raises(InputError, match=r"(?s)unknown block\.0\.attn\.extra\.weight.*spikebench list layouts spikformer-cifar"):
        load_foreign({**theirs.state_dict(), "block.0.attn.extra.weight": torch.zeros(1)}, "spikformer-cifar", **told)
    with pytest.raises(InputError, match=r"wrong shape: block\.0\.attn\.k_linear\.weight is \(3, 3\), expected \(64, 64\)"):
        load_foreign({**theirs.state_dict(), "block.0.attn.k_linear.weight": torch.zeros(3, 3)}, "spikformer-cifar", **told)


def test_event_sequences_with_the_batch_first(official, others, lively):
    theirs, told = oracle("spikformer-dvs", official, others)
    lively(theirs)
    x = image("spikformer-dvs", batch=2).float()
    ours = load_foreign(theirs.state_dict(), "spikformer-dvs", batch_first=True, **told)
    with torch.no_grad():
        torch.testing.assert_close(ours(x.transpose(0, 1)), theirs(x), rtol=0, atol=1e-4)


def test_another_resolution_and_another_number_of_steps(official, others, lively):
    theirs, told = oracle("spikformer-cifar", official, others)
    lively(theirs)
    theirs.T = 6
    x = torch.rand(2, 3, 48, 48)
    ours = load_foreign(theirs.state_dict(), "spikformer-cifar", size=48, T=6, **told)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-4)


def test_fine_tuning_to_other_classes_keeps_all_but_the_head(official, others):
    theirs, told = oracle("spikformer-cifar", official, others)
    ours = load_foreign(theirs.state_dict(), "spikformer-cifar", classes=100, **told)
    assert ours.head.linear.weight.shape == (100, 64)
    assert torch.equal(ours.blocks[0].mlp.fc1.linear.weight, theirs.block[0].mlp.fc1_linear.weight)


def test_ablating_one_word_keeps_the_other_weights(official, others):
    theirs, told = oracle("spikformer-cifar", official, others)
    ours = load_foreign(theirs.state_dict(), "spikformer-cifar", attention={"name": "qk_token", "bias": True}, **told)
    assert torch.equal(ours.blocks[1].attention.q.linear.weight, theirs.block[1].attn.q_linear.weight)
    found = read(theirs.state_dict(), "spikformer-cifar", **told)
    model = build(found.spec.replace(stem="conv1"), found.inputs)
    transfer = load_into(model, theirs.state_dict(), "spikformer-cifar")
    assert torch.equal(model.head.linear.weight, theirs.head.weight)
    assert {name.partition(".")[0] for name in transfer.untouched} == {"stem"}
    assert {name.partition(".")[0] for name in transfer.unused} == {"stem"}
    with pytest.raises(InputError, match="wrong shape"):
        load_into(build(found.spec.replace(dim=32), found.inputs), theirs.state_dict(), "spikformer-cifar")


def test_the_imagenet_twins_have_the_presets_parameters(official):
    with torch.device("meta"):
        theirs = official.Spikformer("imagenet", dim=384, depth=8, heads=8, classes=1000)
    state = {key: torch.zeros(()).expand(value.shape) for key, value in theirs.state_dict().items()}
    ours = load_foreign(state, "spikformer-imagenet")
    assert sum(p.numel() for p in ours.parameters()) == 16_816_024
    assert ours.spec.num_heads == 8


def test_an_error_of_a_file_names_the_file(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"a.weight": torch.ones(2, 2)}, path)
    with pytest.raises(InputError) as error:
        load_foreign(path, "spikformer-cifar")
    assert all(str(problem).startswith(f"{path}: ") for problem in error.value.problems)
