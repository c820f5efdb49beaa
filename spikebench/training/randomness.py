"""All randomness of one training, kept apart from everything else in the process and stored in its checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class Randomness:
    """A generator for order and augmentation, and torch's global state for networks that draw (dropout, rate coding).

    Made from the cell's seed: variants with the same seed see the same batches, so their differences are paired.
    """

    def __init__(self, seed: int, device: torch.device, rank: int = 0) -> None:
        """``rank``: of several devices that train one network, which draw the same order, but each its own dropout."""
        self.generator = torch.Generator().manual_seed(seed)
        self._cuda = device if device.type == "cuda" else None
        with torch.random.fork_rng(devices=[device] if self._cuda else []):
            seed_globally(seed + rank * 0x9E3779B1)
            self._global = self._read()
        self._is_active = False

    @contextmanager
    def active(self) -> Iterator[None]:
        """torch's global state is this training's inside the block, and what it was before after it."""
        with torch.random.fork_rng(devices=[self._cuda] if self._cuda else []):
            torch.set_rng_state(self._global["cpu"])
            if self._cuda:
                torch.cuda.set_rng_state(self._global["cuda"], self._cuda)
            self._is_active = True
            try:
                yield
            finally:
                self._is_active = False
                self._global = self._read()

    def state_dict(self) -> dict[str, Tensor]:
        """As it is now, inside of ``active`` too."""
        if self._is_active:
            self._global = self._read()
        return {"generator": self.generator.get_state(), **self._global}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.generator.set_state(state["generator"])
        self._global = {name: state[name] for name in self._global if name in state}

    def _read(self) -> dict[str, Tensor]:
        state = {"cpu": torch.get_rng_state()}
        if self._cuda:
            state["cuda"] = torch.cuda.get_rng_state(self._cuda)
        return state


def seed_globally(seed: int) -> None:
    """What ``torch.manual_seed`` seeds. Without a GPU that one keeps each seed, with all the stack that it was called from, for
    devices that may come: time, and memory for as long as the process lives."""
    if torch.cuda.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
