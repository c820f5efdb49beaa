"""The harnesses `probe` and `knn`: classifiers on frozen features, against scikit-learn used by hand."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from spikebench.core.choice import Choice
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import VariantSpec
from spikebench.testing import make_subject

VARIANT = VariantSpec(depth=1, dim=64, num_heads=2, T=4).replace(stem="scs", neuron="if")


def records(tmp_path, name, **options):
    choice = Choice(name, options)
    subject = make_subject(tmp_path, choice, dataset=Choice("digits"), variant=VARIANT)
    subject.model.train()
    with torch.no_grad():
        for _ in range(30):  # statistics that fit, or a random network is silent
            subject.model(subject.dataset.split("train").tensors[0][:256])
    subject.model.eval()
    return subject, list(REGISTRIES["harnesses"].get(name)().run(subject, choice.resolve("harnesses")))


@torch.no_grad()
def tokens(subject, split):
    x, y = subject.dataset.split(split).tensors
    model = subject.model
    steps = model.stem(model.encoding(x, model.T)).flatten(3)
    return model.blocks(steps).mean((0, 3)).numpy(), y.numpy()


def test_the_probe_beats_chance_and_more_labels_help(tmp_path):
    _, (few, everything) = records(tmp_path, "probe", labels=[20, None])
    assert few.conditions == {"labels": 20, "split": "test"}
    assert everything.conditions == {"labels": "all", "split": "test"}
    assert 0.1 < few.value < everything.value
    assert everything.value > 0.3
    assert everything.value == pytest.approx(np.mean(everything.samples))


def test_nearest_neighbours_are_those_of_a_search_by_hand(tmp_path):
    subject, (found,) = records(tmp_path, "knn", k=1)
    (x, y), (test, expected) = (tokens(subject, name) for name in ("train", "test"))
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    x, test = (x - mean) / deviation, (test - mean) / deviation
    x, test = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (x, test))
    nearest = NearestNeighbors(n_neighbors=1).fit(x).kneighbors(test, return_distance=False)[:, 0]
    assert np.mean((y[nearest] == expected) == np.array(found.samples, dtype=bool)) > 0.98  # ties between equal tokens apart
    assert found.value > 0.15


@pytest.mark.parametrize("name", ["probe", "knn"])
def test_a_network_without_tokens_says_so(tmp_path, name):
    choice = Choice(name)
    variant = VariantSpec(depth=3, dim=16, num_heads=2, T=1).replace(family="qkformer")
    subject = make_subject(tmp_path, choice, dataset=Choice("digits"), variant=variant)
    (found,) = REGISTRIES["harnesses"].get(name)().run(subject, choice.resolve("harnesses"))
    assert found.value is None
    assert "no tokens" in found.reason
