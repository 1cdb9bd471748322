"""Labels of scored rows by natural key, for training on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sql

from core.platform.config import Settings
from core.platform.own_columns import LABEL, ROW_KEY
from core.platform.rows import key_texts
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
    """Return the labels, 0 or 1, of scored rows, by key as text.

    Only of the sample's rows, or only of real ones, as their keys are unrelated.

    For a row scored more than once, the newest scoring counts. Shadow predictions of a challenger
    are left out, since another model answered the request.

    Raises
    ------
    StoreError
        If the log cannot be read. A scoring with an unreadable file is set aside.
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
    """Return the labels of rows, and a mask of those scored and labelled.

    Parameters
    ----------
    keys : Series
        The natural key of each row.
    own : Series
        The source's labels, possibly missing; later labels take precedence.
    is_sample : bool
        Whether the rows are of the built-in sample.
    """
    texts = pd.Series(key_texts(keys), index=keys.index, dtype="object")
    nobody = pd.Series(None, index=keys.index, dtype="object")
    known = labels.resolved(settings, nobody, texts, own, is_sample=is_sample)
    scored = texts.map(of_scored(settings, is_sample=is_sample)).astype("float64")
    return scored.fillna(known), scored.notna()
