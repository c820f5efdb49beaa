"""The room's map names files that are there."""

import re
from pathlib import Path

from spikebench import reading

ROOM = Path(str(reading.__file__)).parent


def test_every_file_on_the_map_is_in_the_room():
    files = {path.name for path in ROOM.rglob("*") if path.is_file()}
    named = set(re.findall(r"`(?:[a-z]+/)*(\w+\.(?:py|jinja|js|html\.jinja))`", (ROOM / "README.md").read_text(encoding="utf-8")))
    assert len(named) > 40
    assert named - files - {"crossed.py"} == set()  # of derived
