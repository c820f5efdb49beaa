"""Where the study of a search is kept that several drivers share: the URL of a database server."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from spikebench.core.errors import InputError


def check_storage(text: str | None, password: bool = False) -> str | None:
    """A URL as it may stand in a suite. Raises InputError for anything else, for SQLite, and for one with a password, which may
    stand on a command line alone (``password``)."""
    if text is None:
        return None
    scheme = _scheme(text)
    if scheme.partition("+")[0] == "sqlite":
        raise InputError("SQLite has one owner: without storage the study is a file of the results folder; give postgresql://...")
    if not password and urlsplit(text).password is not None:
        raise InputError("write no password here: the suite is copied into each results folder; PGPASSWORD or ~/.pgpass have it")
    return text


def spell_storage(url: str) -> str:
    """The URL without its password."""
    return re.sub(r"(://[^/@:]*):[^@/]*@", r"\1:***@", url)


def _scheme(text: str) -> str:
    match = re.match(r"([a-z][a-z0-9]*(?:\+[a-z0-9_]+)?)://\S+$", text)
    if match is None:
        raise InputError(f"expected the URL of a database, as postgresql://user@host/name, got {text!r}")
    return match[1]
