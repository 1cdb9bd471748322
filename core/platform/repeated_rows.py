"""Rows that repeat another row, in bounded memory. Computes only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd


def mask(frame: pd.DataFrame, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return where a row has the values of an earlier one in these columns.

    As `DataFrame.duplicated`, which holds the codes of all columns at once: here a column at a
    time goes into a hash of each row, and only rows of equal hashes are compared.

    Parameters
    ----------
    frame : DataFrame
        Numbers, texts and missing values.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": [0.0, -0.0, 1.0, None, None], "t": ["a", "a", "a", None, None]})
    >>> mask(frame, ["x", "t"]).tolist()
    [False, True, False, False, True]
    """
    hashes = np.zeros(len(frame), dtype=np.uint64)
    for name in columns:
        values = frame[name]
        plain = values.to_numpy()
        if plain.dtype.kind == "f":
            # the other zero is equal
            plain = plain + 0.0
            plain[np.isnan(plain)] = np.nan
        hashes = hashes * np.uint64(1_000_003) + pd.util.hash_array(plain)
    repeated = np.zeros(len(frame), dtype=bool)
    # a hash that occurs once is of a row that occurs once
    suspected = np.flatnonzero(pd.Series(hashes).duplicated(keep=False))
    if len(suspected):
        some = pd.DataFrame({name: frame[name].iloc[suspected] for name in columns})
        repeated[suspected] = some.duplicated().to_numpy()
    return repeated
