"""What the predictions log knows of rows by their natural key: for those who train on them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sql

from core.adapters import labels, log_store, predictions
from core.config import Settings

_requests, _rows = log_store.requests.c, log_store.predictions.c


def of_scored(settings: Settings) -> pd.Series[Any]:
    """Return the label, 0 or 1, of each row that was scored and has one, by its key as text.

    Of a row that was scored more than once the label of the newest scoring counts. Challengers in
    the shadow are left out, since the row itself was answered by another model.

    Raises
    ------
    StoreError
        When the log, or the file of a scoring, cannot be read.
    """
    found: dict[str, int] = {}
    if not log_store.is_there(settings):
        return pd.Series(found, dtype="float64")
    for scoring in reversed(predictions.scorings(settings, limit=10_000)):
        if scoring.path is not None:
            rows = predictions.read(settings, scoring.run_id)[["row_key", "label"]].dropna()
            found |= dict(zip(rows["row_key"].astype(str), rows["label"].astype(int), strict=True))
    query = (
        sql.select(_rows.row_key, _rows.label)
        .select_from(
            log_store.requests.join(log_store.predictions, _rows.request == _requests.number)
        )
        .where(
            _requests.project == settings.project,
            _requests.is_shadow.is_(False),
            _rows.row_key.isnot(None),
            _rows.label.isnot(None),
        )
        .order_by(_rows.request, _rows.position)
    )
    with log_store.reading(settings) as connection:
        found |= {row[0]: row[1] for row in connection.execute(query)}
    return pd.Series(found, dtype="float64")


def of_rows(
    settings: Settings, keys: pd.Series[Any], own: pd.Series[Any]
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Return the label of rows, and which of them were scored and have one.

    Parameters
    ----------
    keys : Series
        The natural key of each row.
    own : Series
        The label that the source has, missing where it has none; what came later counts before it.

    Returns
    -------
    tuple of Series
        Labels 0, 1 or NaN; and a mask.
    """
    texts = keys.map(log_store.key_text)
    nobody = pd.Series(None, index=keys.index, dtype="object")
    known = labels.resolved(settings, nobody, texts, own)
    scored = texts.map(of_scored(settings)).astype("float64")
    return scored.fillna(known), scored.notna()
