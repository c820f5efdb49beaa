"""A shared study, copied into the results folder of each of its drivers: reports read that, wherever the server is."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from spikebench.core.errors import StorageError, storage_errors

if TYPE_CHECKING:
    from optuna import Study

COPIED = "copied_from"


def require_copy(path: Path, storage: str) -> None:
    """Raises StorageError if the folder has a study that is not a copy of a shared one: a new copy would take its place."""
    if not path.is_file():
        return
    query = "SELECT count(*) FROM study_user_attributes WHERE key = ?"
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            copied = connection.execute(query, (COPIED,)).fetchone()[0]
    except sqlite3.Error as error:
        raise StorageError(f"{path}: not a study that can be read ({error})") from error
    if not copied:
        raise StorageError(
            f"{path}: a study of this folder alone, whose place a copy of {storage} would take; give another --results"
        )


def write(study: Study, path: Path, storage: str) -> None:
    """Put a copy of all trials in the place of an earlier one. Raises StorageError if the disk is full."""
    import optuna
    from optuna.storages import RDBStorage
    from sqlalchemy import event

    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    target = RDBStorage(f"sqlite:///{temporary}")
    event.listen(target.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    target.engine.dispose()
    try:
        optuna.copy_study(from_study_name=study.study_name, from_storage=study._storage, to_storage=target)
        optuna.load_study(study_name=study.study_name, storage=target).set_user_attr(COPIED, storage)
    finally:
        target.remove_session()
        target.engine.dispose()
    with storage_errors(path):
        os.replace(temporary, path)
