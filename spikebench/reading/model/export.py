"""All records as one table in a file, for other programs. An export, never the truth: that is in ``jobs/``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spikebench.core.errors import InputError, Problem, storage_errors
from spikebench.core.text import defused, printable
from spikebench.reading.model.frame import Frame

if TYPE_CHECKING:
    import pandas as pd

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
            _defused(table).to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
    return path


def _defused(table: pd.DataFrame) -> pd.DataFrame:
    """For spreadsheets: no text of others is taken for a formula."""
    from pandas.api.types import is_string_dtype

    def safe(word: object) -> object:
        return defused(printable(word)) if isinstance(word, str) else word

    words = {name: table[name].map(safe) for name in table.columns if is_string_dtype(table[name])}
    return table.assign(**words).rename(columns=defused)
