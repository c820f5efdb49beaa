"""What torch.compile keeps on disk is of one instruction set."""

from __future__ import annotations

import os

import pytest
import torch

from spikebench.harnesses._ways.compiler import compiled


def test_each_instruction_set_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for capability in ("AVX2", "AVX512", "NO AVX"):
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        compiled(torch.sin)
        folders.append(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    assert len({*folders}) == 3
    assert all(folder.isprintable() and " " not in folder for folder in folders)


def test_a_folder_that_the_user_names_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/own")
    compiled(torch.sin)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/own"
