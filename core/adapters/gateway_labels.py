"""Labels that come to a gateway by POST /labels."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from core.adapters.log_store import key_text
from core.config import Settings
from core.errors import StoreError

MOST = 10_000
REFUSALS = 100


def take(settings: Settings, body: bytes, key: str | None) -> tuple[int, Any]:
    """Keep the labels of a request; return the code of the answer and what it says.

    The body is `{"labels": [{"prediction_id": "...", "label": 1, "labelled_at": "..."}, ...]}`, or
    names the row by the project's natural key, `{"shot_id": 17, "label": 0}`. The time is that of
    ISO 8601; one without a zone is UTC's.

    Returns
    -------
    int
        200, 400 when nothing can be read, 413 for too many, 503 when the log is down.
    dict or str
        The counts, with the labels that were refused; or a sentence.
    """
    from core.adapters import labels

    names = "prediction_id" if key is None else f"prediction_id or {key}"
    shape = f'{{"labels": [{{"prediction_id": "...", "label": 1}}]}}, each with its {names}'
    try:
        asked = json.loads(body)
        given = asked["labels"] if isinstance(asked, dict) else None
    except (ValueError, KeyError, RecursionError):
        given = None
    if not isinstance(given, list) or not given:
        return 400, f"Send JSON of the form {shape}."
    if len(given) > MOST:
        return 413, f"{len(given):,} labels are too many for one request. Send at most {MOST:,}."
    reports, places, refused = [], [], []
    for index, one in enumerate(given):
        try:
            reports.append(_report(labels.Report, one, key, names))
            places.append(index)
        except ValueError as error:
            refused.append({"index": index, "reason": str(error)})
    try:
        counts = labels.report(settings, reports, source="api")
    except StoreError as error:
        return 503, error.message
    refused += [{"index": places[one.index], "reason": one.reason} for one in counts.refusals]
    told = asdict(counts)
    del told["refusals"]
    told["rejected"] = len(refused)
    refused.sort(key=lambda one: int(str(one["index"])))
    return 200, {**told, "refused": refused[:REFUSALS]}


def _report(kind: Any, one: Any, key: str | None, names: str) -> Any:
    if not isinstance(one, dict):
        raise ValueError(f"is no object with {names} and label")
    known = {"prediction_id", "label", "labelled_at", key}
    if unknown := [name for name in one if name not in known]:
        told = ", ".join(map(str, unknown))
        raise ValueError(f"has {told}; known are {names}, label, labelled_at")
    label = one.get("label")
    if isinstance(label, bool) or label not in (0, 1):
        raise ValueError("the label is neither 0 nor 1")
    identity = one.get("prediction_id")
    if identity is not None and not isinstance(identity, str):
        raise ValueError("the prediction_id is no text")
    at = one.get("labelled_at")
    return kind(
        label=int(label),
        prediction_id=identity,
        key=key_text(one.get(key)) if key is not None else None,
        labelled_at=None if at is None else _seconds(at),
    )


def _seconds(at: Any) -> float:
    try:
        read = datetime.fromisoformat(at)
    except (TypeError, ValueError) as error:
        raise ValueError("labelled_at is no time of the form 2026-01-31T12:00:00Z") from error
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
