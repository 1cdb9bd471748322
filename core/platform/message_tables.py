"""Messages in the cells of stored tables: one text a cell, and messages again when read."""

from __future__ import annotations

from typing import Any

import pandas as pd

from core.platform.messages import Message, dumps, loads

# the columns with messages, in the attributes of the stored table
_COLUMNS = "messages"


def to_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table for a file, with texts for the messages in it; see `to_messages`.

    Examples
    --------
    >>> stored = to_texts(pd.DataFrame({"text": [Message("{n} rows", n=2), ""]}))
    >>> stored["text"].tolist()
    ['{"msgid": "{n} rows", "params": {"n": 2}}', '']
    >>> [str(text) for text in to_messages(stored)["text"]]
    ['2 rows', '']
    """
    names = [
        name
        for name, kind in table.dtypes.items()
        if kind.kind == "O" and _has_messages(table[name])
    ]
    if not names:
        return table
    stored = table.assign(
        **{
            str(name): [dumps(cell) if isinstance(cell, Message) else cell for cell in table[name]]
            for name in names
        }
    )
    stored.attrs[_COLUMNS] = [str(name) for name in names]
    return stored


def _has_messages(values: pd.Series[Any]) -> bool:
    # of texts alone pandas knows it twenty times as fast
    return pd.api.types.infer_dtype(values) not in ("string", "empty") and any(
        isinstance(cell, Message) for cell in values
    )


def to_messages(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table that was read from a file, with its messages."""
    names = [name for name in table.attrs.pop(_COLUMNS, ()) if name in table]
    if not names:
        return table
    return table.assign(
        **{
            name: [loads(cell) if isinstance(cell, str) else cell for cell in table[name]]
            for name in names
        }
    )
