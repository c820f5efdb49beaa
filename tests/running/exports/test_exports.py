"""Exports are read back by somebody else's reader: safetensors, the hub's card reader, NIR, onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import spikebench
from spikebench.core.cells import Cell
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, StorageError
from spikebench.core.records import Record
from spikebench.core.registry import REGISTRIES
from spikebench.core.store import ResultsFolder
from spikebench.core.suite import inputs_of
from spikebench.core.suite_reader import load
from spikebench.reading.model.frame import Frame
from spikebench.running.exports._source import Source
from spikebench.running.jobs.subject import initial_model
from spikebench.running.verbs.export import export
from spikebench.training import checkpoints


def source(tmp: Path, **changes: object) -> Source:
    """A cell whose weights are there, as if trained: statistics by which its neurons fire, and an accuracy."""
    spec = spikebench.build("spikformer-2-64", "digits", **changes).spec
    cell = Cell(spec, Choice("digits"), Choice("train", {"epochs": 1}), 3)
    model = initial_model(cell)
    digits = REGISTRIES["datasets"].get("digits")(Choice("digits").resolve("datasets")).split("train")
    images = torch.stack([digits[i][0] for i in range(64)])
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            nn.init.constant_(module.bias, 0.4)
    with torch.no_grad():
        model.train()(images)
    folder = ResultsFolder(tmp / "results")
    checkpoints.write(folder.weights_folder(cell.cell_id) / checkpoints.WEIGHTS, model.state_dict())
    ids = {"cell_id": cell.cell_id, "job_id": "j", "machine_id": "m"}
    records = [
        Record("accuracy", 0.9375, "1", conditions={"split": "test"}, **ids),
        Record("energy", 1e-6, "J", "estimated", conditions={"profile": "spikformer-paper"}, **ids),
        Record("latency", None, "s", status="failed", reason="it broke", **ids),
    ]
    return Source(folder, Frame(records, {cell.cell_id: cell.to_plain()}), cell, "attention=ssa")


@pytest.fixture(scope="module")
def sps(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return source(tmp_path_factory.mktemp("sps"))


def written(given: Source, name: str, folder: Path) -> list[Path]:
    return list(REGISTRIES["exports"].get(name)().write(given, folder))


def test_weights_and_suite_make_the_same_network_again(sps: Source, tmp_path: Path) -> None:
    weights, suite, card = written(sps, "safetensors", tmp_path)
    (cell,) = load(suite).cells
    assert cell.cell_id == sps.cell.cell_id
    model = spikebench.build(cell.variant, inputs_of(cell.dataset))
    model.load_state_dict(load_file(weights))
    x = sps.images(8)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), sps.model(x))
    with safe_open(weights, "pt") as file:
        assert Cell.from_plain(json.loads(file.metadata()["cell"])) == sps.cell
    assert "| accuracy{split=test} | 0.9375 | 1 | measured |" in card.read_text()
    assert "latency" not in card.read_text(), "what could not be measured is no result"


def test_the_card_is_what_the_hub_reads(sps: Source, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    files = written(sps, "hf", tmp_path)
    assert [path.name for path in files] == ["model.safetensors", "suite.yaml", "README.md", "config.json"]
    card = hub.ModelCard.load(tmp_path / "README.md")
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_type) == ("accuracy", 0.9375, "digits")
    front = yaml.safe_load((tmp_path / "README.md").read_text().split("---")[1])
    assert [m["type"] for m in front["model-index"][0]["results"][0]["metrics"]] == ["accuracy"], "an estimate is no result"
    assert json.loads((tmp_path / "config.json").read_text())["cell_id"] == sps.cell.cell_id


def test_nir_of_the_stem_fires_spike_for_spike(sps: Source, tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    path, said = written(sps, "nir", tmp_path)
    assert "each of them" in said.read_text()
    assert "multiplies two activations" in said.read_text()
    graph = nir.read(str(path))
    kinds = sorted(type(node).__name__ for node in graph.nodes.values())
    assert kinds.count("LIF") == 5
    assert kinds.count("Conv2d") == 6  # five of the stem, and one that counts for the pool
    # By plain NumPy, one image, one step after the other: whatever ran the comparison is not asked.
    x = sps.images(4)[3]
    own: list[torch.Tensor] = []
    stem = sps.model.double().stem
    handle = stem.stages[0].neuron.register_forward_hook(lambda module, given, out: own.append(out[:, 0]))
    with torch.no_grad():
        stem(x.double().expand(4, 1, *x.shape))
    handle.remove()
    sps.model.float()
    conv, neuron = graph.nodes["stem_stages_0_conv"], graph.nodes["stem_stages_0_neuron"]
    image = np.pad(x.double().numpy(), ((0, 0), (1, 1), (1, 1)))
    weight = np.asarray(conv.weight, dtype=np.float64)
    current = np.array(
        [[[(image[:, r : r + 3, c : c + 3] * w).sum() for c in range(8)] for r in range(8)] for w in weight]
    ) + np.asarray(conv.bias, dtype=np.float64)[:, None, None]  # fmt: skip
    v = np.zeros_like(current)
    for t in range(4):
        v = v + (neuron.v_leak - v + neuron.r * current) / neuron.tau
        fired = v > neuron.v_threshold
        v = np.where(fired, neuron.v_reset, v)
        assert np.array_equal(fired, own[0][t].numpy() > 0)
    assert own[0].any()


def test_what_nir_has_no_words_for_is_refused_with_the_reason(tmp_path: Path) -> None:
    pytest.importorskip("nir")
    with pytest.raises(InputError, match="no plain LIF"):
        written(source(tmp_path / "a", neuron="plif"), "nir", tmp_path)
    with pytest.raises(InputError, match="resets softly"):
        written(source(tmp_path / "b", neuron={"name": "lif", "v_reset": None}), "nir", tmp_path)
    with pytest.raises(InputError, match="merges its position spikes by 'or'"):
        written(source(tmp_path / "c", residual="or"), "nir", tmp_path)


def test_one_wrong_spike_and_nothing_is_handed_out(sps: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spikebench.running.exports import nir as module

    pytest.importorskip("nir")
    right = module._nodes

    def wrong(layer, shape, after, nir):  # type: ignore[no-untyped-def]
        found = right(layer, shape, after, nir)
        for _, node in found:
            if type(node).__name__ == "LIF":
                node.v_threshold = node.v_threshold * 1.2
        return found

    monkeypatch.setattr(module, "_nodes", wrong)
    with pytest.raises(InputError, match="differ from the network's own"):
        written(sps, "nir", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changes", [{}, {"stem": "scs", "attention": "softmax", "depth": 1, "dim": 32}])
def test_onnx_gives_equal_logits(changes: dict[str, object], sps: Source, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    given = source(tmp_path, **changes) if changes else sps
    (path,) = written(given, "onnx", tmp_path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for image in given.images(5):
        x = image[None]
        (logits,) = session.run(None, {"images": x.numpy()})
        with torch.no_grad():
            own = given.model(x).numpy()
        # A spike at the very threshold may fall to either side when sums are taken in another order; these seeds have none.
        assert np.allclose(logits, own, rtol=1e-3, atol=1e-4)
        assert (logits.argmax(1) == own.argmax(1)).all()


def test_bad_input_is_one_clear_error(tmp_path: Path, sps: Source) -> None:
    with pytest.raises(InputError, match="did you mean 'safetensors'"):
        export(tmp_path, None, None, "safetensor", tmp_path)
    with pytest.raises(StorageError, match="no such folder"):
        export(tmp_path / "nowhere", None, None, "nir", tmp_path)
    empty = Source(ResultsFolder(tmp_path), sps.frame, sps.cell, "x")
    with pytest.raises(StorageError, match="no trained weights"):
        written(empty, "safetensors", tmp_path)


def test_sana_fe_reads_the_stem_and_fires_as_it_does(tmp_path: Path) -> None:
    sanafe = pytest.importorskip("sanafe")
    given = source(tmp_path, dim=16, num_heads=2, depth=1)
    path, _ = written(given, "sana_fe", tmp_path)
    architecture = sanafe.load_loihi()
    chip = sanafe.SpikingChip(architecture)
    chip.load(sanafe.load_net(str(path), architecture))
    found = chip.sim(4, timing_model="simple", processing_threads=1, perf_trace=True)
    stem = given.model.double().stem
    spikes: list[torch.Tensor] = []
    handle = stem.stages[0].neuron.register_forward_hook(lambda module, arguments, out: spikes.append(out))
    with torch.no_grad():
        stem(given.images(1).double().expand(4, 1, 1, 8, 8))
    handle.remove()
    # At the first step nothing but the first neurons can fire: they have the image as their bias.
    assert found["perf_trace"]["fired"][0] == int(spikes[0][0].sum())
    assert found["neurons_fired"] > found["perf_trace"]["fired"][0]
