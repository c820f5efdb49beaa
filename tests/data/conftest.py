"""Data sets that are written once."""

from pathlib import Path

import pytest

from spikebench.testing.files import write_cifar


@pytest.fixture(scope="session")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root that holds both CIFARs."""
    root = tmp_path_factory.mktemp("cifar")
    write_cifar(root, 10)
    write_cifar(root, 100, count=400)
    return root
