"""All records as one table in a file, for other programs. An export, never the truth: that is in ``jobs/``."""

from __future__ import annotations

from pathlib import Path

from spikebench.core.errors import InputError, Problem, storage_errors
from spikebench.reading.model.frame import Frame

ENDINGS = (".parquet", ".csv")


def export(frame: Frame, path: str | Path) -> Path:
    """Write ``Frame.to_pandas()`` to ``path``, a .parquet or .csv file; SI units, full precision.

    A column that holds words and numbers (an option that some variants lack) becomes text. Raises InputError for another ending
    and StorageError if the file cannot be written.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise InputError(Problem(f"expected a file that ends in {' or '.join(ENDINGS)}, got {path.name!r}", key="--export"))
    table = frame.to_pandas()
    mixed = [name for name in table.columns if table[name].dtype == object]
    table = table.astype(dict.fromkeys(mixed, "string"))
    with storage_errors(path):
        if path.suffix == ".csv":
            table.to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
    return path
