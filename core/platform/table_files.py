"""Export of tables as CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import pandas as pd

from core.platform.rows import SPREADSHEET


def csv(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV in UTF-8; texts that a spreadsheet would execute get a leading quote.

    Examples
    --------
    >>> print(csv(pd.DataFrame({"name": ["=1+1", "-5", "LAL @ UTA"], "x": [-1, 2, 3]})).decode())
    name,x
    '=1+1,-1
    -5,2
    LAL @ UTA,3
    <BLANKLINE>
    """
    safe = frame.copy()
    for name in safe.columns[safe.dtypes == "object"]:
        safe[name] = safe[name].map(_quoted)
    safe.columns = [_quoted(name) for name in safe.columns]
    return safe.to_csv(index=False).encode()


def _quoted(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and SPREADSHEET.match(value) else value
