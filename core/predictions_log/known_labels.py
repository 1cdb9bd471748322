"""What the predictions log knows of rows by their natural key: for those who train on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sql

from core.platform.config import Settings
from core.platform.own_columns import LABEL, ROW_KEY
from core.predictions_log import labels, log_store, predictions

_requests, _rows = log_store.requests.c, log_store.predictions.c


@dataclass(frozen=True)
class KnownLabels:
    """The labels of rows, as the predictions log of a home has them."""

    settings: Settings

    def of_rows(
        self, keys: pd.Series[Any], own: pd.Series[Any], *, is_sample: bool
    ) -> tuple[pd.Series[Any], pd.Series[Any]]:
        """Return labels and a mask, as the function `of_rows` does."""
        return of_rows(self.settings, keys, own, is_sample=is_sample)


def of_scored(settings: Settings, *, is_sample: bool) -> pd.Series[Any]:
    """Return the label, 0 or 1, of each row that was scored and has one, by its key as text.

    Only of the sample's rows, or only of real ones: the keys of one say nothing of the other.

    Of a row that was scored more than once the label of the newest scoring counts. Challengers in
    the shadow are left out, since the row itself was answered by another model.

    Raises
    ------
    StoreError
        When the log cannot be read. A scoring whose file cannot be read is set aside.
    """
    known: dict[str, int] = {}
    if not log_store.is_there(settings):
        return pd.Series(known, dtype="float64")
    for scoring in reversed(predictions.scorings(settings, limit=10_000)):
        if scoring.path is not None and scoring.is_sample == is_sample:
            with predictions.file_guarded(settings, scoring.run_id, scoring.path):
                rows = predictions.read_file(settings, scoring.path, is_sample=is_sample)
                rows = rows[[ROW_KEY, LABEL]].dropna()
                keys, values = rows[ROW_KEY].astype(str), rows[LABEL].astype(int)
                known |= dict(zip(keys, values, strict=True))
    query = (
        sql.select(_rows.row_key, _rows.label)
        .select_from(
            log_store.requests.join(log_store.predictions, _rows.request == _requests.number)
        )
        .where(
            _requests.scope == log_store.scope_of(settings.project, is_sample=is_sample),
            _requests.is_shadow.is_(False),
            _rows.row_key.isnot(None),
            _rows.label.isnot(None),
        )
        .order_by(_rows.request, _rows.position)
    )
    with log_store.reading(settings) as connection:
        known |= {row[0]: row[1] for row in connection.execute(query)}
    return pd.Series(known, dtype="float64")


def of_rows(
    settings: Settings, keys: pd.Series[Any], own: pd.Series[Any], *, is_sample: bool
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Return the label of rows, and which of them were scored and have one.

    Parameters
    ----------
    keys : Series
        The natural key of each row.
    own : Series
        The label that the source has, missing where it has none; what came later counts before it.
    is_sample : bool
        Whether the rows are of the built-in sample.

    Returns
    -------
    tuple of Series
        Labels 0, 1 or NaN; and a mask.
    """
    texts = keys.map(log_store.key_text)
    nobody = pd.Series(None, index=keys.index, dtype="object")
    known = labels.resolved(settings, nobody, texts, own, is_sample=is_sample)
    scored = texts.map(of_scored(settings, is_sample=is_sample)).astype("float64")
    return scored.fillna(known), scored.notna()
