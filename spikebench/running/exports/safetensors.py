"""Weights as safetensors, with the suite that makes the network and a card of what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from spikebench.core.errors import storage_errors
from spikebench.running.exports import _card
from spikebench.running.exports._source import Source


class Export:
    """``model.safetensors`` (our tensor names; the cell is in its metadata), ``suite.yaml``, ``README.md``."""

    def write(self, source: Source, folder: Path) -> list[Path]:
        from safetensors.torch import save_file

        weights, suite, card = (folder / name for name in ("model.safetensors", "suite.yaml", "README.md"))
        state = {name: tensor.detach().contiguous().clone() for name, tensor in source.model.state_dict().items()}
        with storage_errors(folder):
            save_file(state, weights, metadata={"format": "pt", "cell": json.dumps(source.cell.to_plain())})
            suite.write_text(yaml.safe_dump(source.suite(), sort_keys=False, default_flow_style=None), encoding="utf-8")
            card.write_text(_card.text(source), encoding="utf-8")
        return [weights, suite, card]
