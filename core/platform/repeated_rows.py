"""Rows that repeat another row, in bounded memory. Computes only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd


def mask(frame: pd.DataFrame, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return where a row has the values of an earlier one in these columns.

    As `DataFrame.duplicated`, which holds the codes of all columns at once: here a column at a
    time goes into a hash of each row, and only rows of equal hashes are compared. After 1, 2, 4 and
    so on columns the rows that equal no other row so far are left out.

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
    suspected = np.arange(len(frame))
    hashes = np.zeros(len(frame), dtype=np.uint64)
    for count, name in enumerate(columns, 1):
        plain = frame[name].to_numpy()
        if len(suspected) < len(plain):
            plain = plain[suspected]
        if plain.dtype.kind == "f":
            # the other zero is equal
            plain = plain + 0.0
            plain[np.isnan(plain)] = np.nan
        hashes = hashes * np.uint64(1_000_003) + pd.util.hash_array(plain)
        if count & (count - 1) == 0 or count == len(columns):
            # a hash that occurs once is of a row that occurs once: its other values do not matter
            is_repeated = pd.Series(hashes).duplicated(keep=False).to_numpy()
            suspected, hashes = suspected[is_repeated], hashes[is_repeated]
        if not len(suspected):
            break
    repeated = np.zeros(len(frame), dtype=bool)
    if len(suspected):
        some = pd.DataFrame({name: frame[name].iloc[suspected] for name in columns})
        repeated[suspected] = some.duplicated().to_numpy()
    return repeated
