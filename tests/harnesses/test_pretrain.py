"""The harness `pretrain`: its records, its weights, and that it sees training images only."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, StorageError
from spikebench.core.records import Record, Selector, label
from spikebench.core.variant import VariantSpec
from spikebench.harnesses.pretrain import Harness
from spikebench.networks import build
from spikebench.testing import make_subject
from spikebench.training.pretraining import load_pretrained

CHOICE = Choice("pretrain", {"epochs": 3, "batch_size": 8, "lr": 0.004})
VARIANT = VariantSpec(depth=1, dim=16, num_heads=2, T=2).replace(stem={"name": "scs", "patch_size": 4}, position="spikes")
TIMES = {"pretraining_seconds", "pretraining_throughput", "pretraining_peak_memory"}


def run(folder: Path, choice: Choice = CHOICE, stop_after: int | None = None, **subject: object) -> list[Record]:
    running = Harness().run(make_subject(folder, choice, **{"variant": VARIANT, **subject}), choice.resolve("harnesses"))
    records = []
    for record in running:
        records.append(record)
        if len(records) == stop_after:
            running.close()
    return records


def untimed(records: list[Record]) -> dict[str, float | None]:
    return {label(record): record.value for record in records if record.metric not in TIMES}


def test_records_of_every_epoch_and_of_the_whole(tmp_path: Path) -> None:
    records = run(tmp_path)
    assert {record.metric for record in records} == {metric.name for metric in Harness.metrics}
    for name in ("reconstruction_loss", "reconstruction_mean_line", "pretraining_seconds", "pretraining_throughput"):
        assert [record.conditions["epoch"] for record in records if record.metric == name] == [1, 2, 3]
    n = 1 * 4 * 4
    assert Selector.parse("reconstruction_mean_line{epoch=2}").one(records).value == pytest.approx((n - 1) / n, rel=1e-3)
    layers = {record.scope for record in records if record.metric == "pretraining_firing_rate"} - {""}
    assert {"network.stem.stages.0.down.neuron", "network.position.neuron", "network.blocks.0.mlp.fc1.neuron"} <= layers
    assert not any(scope.startswith("decoder") for scope in layers)
    parts = [record for record in records if record.metric == "reconstruction_example"]
    assert len(parts) == 18
    assert all(len(record.samples) == 64 for record in parts)
    x = make_subject(tmp_path, CHOICE, variant=VARIANT).dataset.split("train").tensors[0]
    shown = torch.tensor([record.samples for record in parts if record.conditions["part"] == "input"])
    spread = x[[index * len(x) // 6 for index in range(6)]].flatten(1)  # a split may be sorted by class
    torch.testing.assert_close(shown, spread, rtol=0, atol=1e-4)  # kept to four digits


def test_fewer_visible_tokens_cost_fewer_operations(tmp_path: Path) -> None:
    found = []
    for ratio in (0.25, 0.75):
        records = run(tmp_path / str(ratio), Choice("pretrain", {"epochs": 1, "batch_size": 24, "mask_ratio": ratio}))
        found.append([Selector.parse(name).one(records).value for name in ("pretraining_macs", "pretraining_events")])
    assert found[0][0] > found[1][0] > 0
    assert found[0][1] > found[1][1] > 0


@pytest.mark.parametrize("stop_after", [1, 20, 40, 60])
def test_stopped_anywhere_it_yields_the_same_record_set(tmp_path: Path, stop_after: int) -> None:
    undisturbed = run(tmp_path / "undisturbed")
    assert len(undisturbed) > 60
    assert len(run(tmp_path / "stopped", stop_after=stop_after)) == stop_after
    assert untimed(run(tmp_path / "stopped")) == untimed(undisturbed)
    weights = [torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("undisturbed", "stopped")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_stopped_after_its_last_epoch_it_trains_no_epoch_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = run(tmp_path / "undisturbed")
    last = next(index for index, record in enumerate(records) if record.metric == "pretraining_macs")
    run(tmp_path / "stopped", stop_after=last + 1)

    def never(self: object) -> None:
        raise AssertionError("an epoch that was finished is trained again")

    monkeypatch.setattr("spikebench.training.loop.Training.epoch", never)
    assert untimed(run(tmp_path / "stopped")) == untimed(records)


def test_it_sees_training_images_only(tmp_path: Path) -> None:
    subject = make_subject(tmp_path, CHOICE, variant=VARIANT)
    asked = []
    split = subject.dataset.split
    subject.dataset.split = lambda name: (asked.append(name), split(name))[1]
    list(Harness().run(subject, CHOICE.resolve("harnesses")))
    assert set(asked) == {"train"}


def test_labels_change_nothing(tmp_path: Path) -> None:
    found = []
    for shift in (0, 1):
        subject = make_subject(tmp_path / str(shift), CHOICE, variant=VARIANT)
        x, y = subject.dataset.split("train").tensors
        subject.dataset.split = lambda name, data=(x, (y + shift) % 4): TensorDataset(*data)
        found.append(untimed(list(Harness().run(subject, CHOICE.resolve("harnesses")))))
    assert found[0] == found[1]


def test_its_weights_are_where_fine_tuning_starts_but_for_the_head(tmp_path: Path) -> None:
    run(tmp_path)
    subject = make_subject(tmp_path, CHOICE, variant=VARIANT)
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    load_pretrained(subject.model, tmp_path)
    stored = torch.load(tmp_path / "weights.pt", weights_only=True)
    for name, value in subject.model.state_dict().items():
        assert torch.equal(value, before[name] if name.startswith("head.") else stored[f"network.{name}"])
    assert any(not torch.equal(value, before[name]) for name, value in subject.model.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stem": {"name": "sps", "patch_size": 4}}, "missing: stem.stages.0.conv.weight"),
        ({"dim": 32}, r"stem.stages.0.down.conv.weight is \(8, 1, 2, 2\), expected \(16, 1, 2, 2\)"),
        ({"depth": 2}, "missing: blocks.1.attention"),
        ({"position": "none"}, "no place for: position.currents"),
    ],
)
def test_weights_of_another_network_are_refused_with_the_difference(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    run(tmp_path)
    subject = make_subject(tmp_path, CHOICE)
    other = build(VARIANT.replace(**changes), subject.dataset.inputs)
    with pytest.raises(StorageError, match=said):
        load_pretrained(other, tmp_path)


def test_it_learns(tmp_path: Path) -> None:
    """Below the line that knows each hidden patch's mean: the visible ones tell something of what is hidden."""
    choice = Choice("pretrain", {"epochs": 8, "batch_size": 32, "lr": 0.01, "mask_ratio": 0.25, "targets": "normalised"})
    records = run(tmp_path, choice, dataset=Choice("digits"), variant=VARIANT.replace(dim=32, T=1, neuron="if"))
    loss, line = (
        Selector.parse(f"{name}{{epoch=8}}").one(records).value for name in ("reconstruction_loss", "reconstruction_mean_line")
    )
    assert loss < 0.9 * line


def test_a_network_that_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    variant = VariantSpec(depth=3, dim=16, num_heads=2, T=2).replace(family="qkformer")
    with pytest.raises(InputError, match="hierarchical"):
        run(tmp_path, variant=variant)


def test_the_ann_twin_says_that_it_has_no_firing_rates(tmp_path: Path) -> None:
    records = run(tmp_path, variant=VARIANT.replace(family="vit", attention="vanilla", T=1))
    rates = [record for record in records if record.metric == "pretraining_firing_rate"]
    assert {record.reason for record in rates} == {"this network has no spiking neurons"}
