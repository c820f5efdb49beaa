"""Somebody else's checkpoint: measured without training, started from in a suite, refused if it is another's."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from spikebench.core import yaml_nodes
from spikebench.core.errors import InputError
from spikebench.core.suite_reader import from_document
from spikebench.running.jobs import rules
from spikebench.running.jobs.subject import initial_model
from spikebench.running.verbs.eval import evaluate
from tests.cli.conftest import Command

D, HEADS = 32, 2
WIDTHS = (1, D // 8, D // 4, D // 2, D)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A network of one block in the tensor names of the authors' CIFAR code (references.md 1.11), for digits."""
    generator = torch.Generator().manual_seed(1)
    state: dict[str, torch.Tensor] = {}

    def norm(name: str, channels: int) -> None:
        state[f"{name}.weight"] = torch.ones(channels)
        state[f"{name}.bias"] = torch.zeros(channels)
        state[f"{name}.running_mean"] = torch.zeros(channels)
        state[f"{name}.running_var"] = torch.ones(channels) * 0.1

    for stage, suffix in enumerate(("", "1", "2", "3")):
        shape = (WIDTHS[stage + 1], WIDTHS[stage], 3, 3)
        state[f"patch_embed.proj_conv{suffix}.weight"] = torch.randn(shape, generator=generator)
        norm(f"patch_embed.proj_bn{suffix}", WIDTHS[stage + 1])
    state["patch_embed.rpe_conv.weight"] = torch.randn((D, D, 3, 3), generator=generator)
    norm("patch_embed.rpe_bn", D)
    layers = {f"attn.{name}": (D, D) for name in "qkv"} | {"attn.proj": (D, D), "mlp.fc1": (4 * D, D), "mlp.fc2": (D, 4 * D)}
    for name, shape in layers.items():
        state[f"block.0.{name}_linear.weight"] = torch.randn(shape, generator=generator)
        state[f"block.0.{name}_linear.bias"] = torch.zeros(shape[0])
        norm(f"block.0.{name}_bn", shape[0])
    state["head.weight"] = torch.randn((10, D), generator=generator)
    state["head.bias"] = torch.zeros(10)
    path = tmp_path / "model.pth.tar"
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    return path


def test_eval_measures_without_training(command: Command, checkpoint: Path, tmp_path: Path) -> None:
    done = command("eval", checkpoint, "--layout", "spikformer-cifar", "--dataset", "digits", "--num-heads", HEADS)
    assert done.returncode == 0, done.stderr
    assert "SOPs" in done.stdout
    assert not list(tmp_path.glob("results/*/weights/*/weights.pt"))


def test_a_suite_starts_from_it_and_ablates_one_word(command: Command, checkpoint: Path, tmp_path: Path) -> None:
    suite = tmp_path / "ablate.yaml"
    suite.write_text(
        f"""
suite: ablate
dataset: digits
weights: {{path: {checkpoint.name}, layout: spikformer-cifar, num_heads: {HEADS}}}
variants: {{grid: {{attention: [ssa, softmax]}}}}
train: {{epochs: 1, batch_size: 256}}
measure: [accuracy]
"""
    )
    done = command("run", suite)
    assert done.returncode == 0, done.stderr
    assert "softmax" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layout", "spikformer-cifar"], "how many heads"),
        (["--layout", "spikformer-imagenet"], "spikformer-cifar"),
        (["--layout", "spikformer-cifr"], "did you mean 'spikformer-cifar'"),
        (["--layout", "spikformer-cifar", "--num-heads", "2", "--set", "attention=sssa"], "unknown attention"),
        (["--layout", "spikformer-cifar", "--num-heads", "3"], "3 heads"),
    ],
)
def test_what_does_not_fit_is_one_error(command: Command, checkpoint: Path, arguments: list[str], words: str) -> None:
    done = command("eval", checkpoint, "--dataset", "digits", *arguments)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_file_is_refused(command: Command, checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    done = command("eval", checkpoint, "--layout", "spikformer-cifar", "--dataset", "digits")
    assert done.returncode == 2
    assert "damaged" in done.stderr


def test_a_data_set_of_other_classes_than_the_checkpoints_is_one_error_unless_it_is_trained_on(checkpoint: Path) -> None:
    """Its head would be a random one. In a suite the line of the key that can change it, in `eval` the same words."""
    text = f"""suite: other
dataset: {{random: {{channels: 1, size: 8, classes: 7}}}}
weights: {{path: {checkpoint.name}, layout: spikformer-cifar, num_heads: {HEADS}}}
train: none
"""
    path = checkpoint.parent / "suite.yaml"
    with pytest.raises(InputError) as caught:
        from_document(yaml_nodes.parse(text, str(path)), rules)
    (problem,) = caught.value.problems
    told = "random(channels=1, classes=7, size=8) has 7 classes, the checkpoint 10: a new head needs training"
    assert str(problem) == f"{path}:4:1: train: {told}"
    with pytest.raises(InputError, match=r"has 7 classes, the checkpoint 10") as caught:
        evaluate(
            checkpoint, {"layout": "spikformer-cifar", "num_heads": HEADS}, "{random: {channels: 1, size: 8, classes: 7}}",
            [], ["accuracy"], checkpoint.parent, False,
        )  # fmt: skip
    assert len(caught.value.problems) == 1
    trained = from_document(yaml_nodes.parse(text.replace("train: none", "train: {epochs: 1}"), str(path)), rules)
    network = initial_model(trained.cells[0])
    assert network.head.linear.weight.shape == (7, D)
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert torch.equal(network.stem.stages[0].conv.weight, state["module.patch_embed.proj_conv.weight"])


@pytest.fixture(scope="module")
def qkformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released QKFormer, small, for digits, with weights under which it fires."""
    path = Path(__file__).parents[1] / "networks" / "oracles" / "others_official.py"
    spec = importlib.util.spec_from_file_location("others_official", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    model = module.QKFormer(channels=1, dim=64, depth=3)
    state = model.state_dict()
    for name, tensor in state.items():
        if name.endswith("running_var"):
            tensor.fill_(0.05)
        elif "_bn.bias" in name:
            tensor.fill_(0.8)
    checkpoint = tmp_path_factory.mktemp("qkformer") / "qk.pth"
    torch.save(state, checkpoint)
    return checkpoint


def test_a_layout_with_quirks_is_measured_without_them_and_with_them(command: Command, qkformer: Path, tmp_path: Path) -> None:
    arguments = ("eval", qkformer, "--layout", "qkformer-cifar", "--dataset", "digits", "--measure", "{activity: {samples: 8}}")
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert "quirk carried_state" in done.stdout
    events = next(
        line for line in done.stdout.splitlines() if line.startswith("events{") and line.count("M") + line.count("k") >= 3
    )
    assert events.split()[-2] not in ("0", "+0"), "the fault changes what is counted"
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"eval-qk", "eval-qk-released"}
    report = (tmp_path / "results" / "eval-qk-released" / "report" / "report.md").read_text()
    assert r"qkformer-cifar: carried\_state" in report


def test_a_quirk_that_is_none_is_refused(command: Command, qkformer: Path) -> None:
    done = command("eval", qkformer, "--layout", "qkformer-cifar", "--dataset", "digits", "--quirks", "carried")
    assert done.returncode == 2
    assert "did you mean 'carried_state'" in done.stderr
