"""The guesses about a table as plain values, as the command `new` prints them."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.guess import Guesses
from core.data.guess_roles import Cut, Guess
from core.platform.messages import current, in_words


def of(guesses: Guesses) -> dict[str, Any]:
    """Return all guesses, with reasons in words of the current language."""
    language = current()

    def line(guess: Guess) -> dict[str, Any]:
        return {
            "value": _plain(guess.value),
            "reason": in_words(guess.reason, language),
            "alternatives": [_plain(value) for value in guess.alternatives],
        }

    lines = ["target", "positive", "id", "time", "group", "weights", "current"]
    lines += ["threshold_by", "metric", "balanced", "place"]
    return {
        "table": {"file": guesses.file, "rows": guesses.rows, "rows_read": guesses.sampled},
        **{name: line(getattr(guesses, name)) for name in lines},
        "labels": {
            "labelled": guesses.labelled,
            "unlabelled": guesses.sampled - guesses.labelled if guesses.target.value else 0,
            "positive": guesses.positives,
            "share": None if np.isnan(guesses.share) else round(guesses.share, 4),
        },
        "columns": [
            {
                "column": column.name,
                "kind": column.kind,
                **line(guesses.types[column.name]),
                "missing": column.missing,
                "distinct": column.distinct,
                "auc_alone": round(guesses.alone[column.name], 4)
                if column.name in guesses.alone
                else None,
            }
            for column in guesses.columns
        ],
        "left_out": [
            {
                "column": out.column,
                "code": out.code,
                "reason": in_words(out.reason, language),
                **out.numbers,
            }
            for out in guesses.left_out.values()
        ],
        "allowed": list(guesses.allowed),
        "features": list(guesses.features),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Cut):
        return value.keys
    return list(value) if isinstance(value, tuple) else value
