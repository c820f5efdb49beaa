"""A folder for the Hugging Face hub: safetensors, a config, and a card whose model-index holds the measured results."""

from __future__ import annotations

import json
from pathlib import Path

from spikebench.core.errors import storage_errors
from spikebench.running.exports import _card, safetensors
from spikebench.running.exports._source import Source


class Export:
    """What ``safetensors`` writes, ``config.json`` (the cell), and metadata in ``README.md``. Uploads nothing."""

    def write(self, source: Source, folder: Path) -> list[Path]:
        written = safetensors.Export().write(source, folder)
        config = folder / "config.json"
        with storage_errors(folder):
            config.write_text(json.dumps({"library_name": "spikebench", **source.cell.to_plain()}, indent=2), encoding="utf-8")
            (folder / "README.md").write_text(_card.with_metadata(source), encoding="utf-8")
        return [*written, config]
