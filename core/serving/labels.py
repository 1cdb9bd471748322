"""Labels that an endpoint receives by POST /labels."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from core.platform import bounds, project
from core.platform.config import Settings
from core.platform.errors import StoreError, words_of
from core.platform.messages import Message
from core.platform.own_columns import LABEL_FIELDS
from core.platform.rows import key_text, label_of

MOST = 10_000
REFUSALS = 100


def take(
    settings: Settings, body: bytes, key: str | None, *, is_sample: bool = False
) -> tuple[int, Any]:
    """Store the labels of a request; return the status code and the content of the response.

    The body is `{"labels": [{"prediction_id": "...", "label": 1, "labelled_at": "..."}, ...]}`, or
    identifies rows by the project's natural key, `{"shot_id": 17, "label": 0}`. The time is ISO
    8601, UTC without a zone.

    Parameters
    ----------
    is_sample : bool
        Whether the served version was trained on the built-in sample: keys then refer to rows of
        the sample, otherwise to real rows.

    Returns
    -------
    int
        200, 400 when nothing can be parsed, 413 for too many, 503 when the log is down.
    dict or str
        The counts, with the refused labels; or a sentence.
    """
    from core.predictions_log import labels

    names = "prediction_id" if key is None else f"prediction_id / {key}"
    try:
        content = json.loads(body)
        given = content["labels"] if isinstance(content, dict) else None
    except (ValueError, KeyError, RecursionError):
        given = None
    if not isinstance(given, list) or not given:
        return 400, wanted(names)
    if len(given) > MOST:
        return 413, Message(
            "{name}: {cells:,} values; the limit is {most:,}. Use fewer rows or columns.",
            name=bounds.REQUEST,
            cells=len(given),
            most=MOST,
        )
    columns = project.of(settings).columns
    key_type = columns[key].type if key in columns else "text"
    reports, places, refused = [], [], []
    for index, entry in enumerate(given):
        try:
            reports.append(_report(labels.Report, entry, key, names, key_type))
            places.append(index)
        except (ValueError, RecursionError) as error:
            reason = words_of(error) if isinstance(error, ValueError) else _NO_OBJECT
            refused.append({"index": index, "reason": str(reason)[:300]})
    try:
        counts = labels.report(settings, reports, source="api", is_sample=is_sample)
    except StoreError as error:
        return 503, error.message
    refused += [
        {"index": places[refusal.index], "reason": str(refusal.reason)}
        for refusal in counts.refusals
    ]
    answer = asdict(counts)
    del answer["refusals"]
    answer["rejected"] = len(refused)
    refused.sort(key=lambda refusal: int(str(refusal["index"])))
    return 200, {**answer, "refused": refused[:REFUSALS]}


def wanted(names: str = "prediction_id") -> Message:
    """Return how labels are sent."""
    return Message(
        "Send labels by POST, as JSON (`Content-Type: application/json`) of the form {form}; each "
        "needs its {names}.",
        form='{"labels": [{"prediction_id": "...", "label": 1}]}',
        names=names,
    )


_NO_OBJECT = Message("needs either a prediction id or a key")


def _report(kind: Any, entry: Any, key: str | None, names: str, key_type: str) -> Any:
    if not isinstance(entry, dict):
        raise ValueError(_NO_OBJECT)
    known = {*LABEL_FIELDS, key}
    if unknown := [name for name in entry if name not in known]:
        extra = ", ".join(map(str, unknown))
        raise ValueError(
            Message("not in {table}: {names}", table=f"{names}, label, labelled_at", names=extra)
        )
    label = label_of(entry.get("label"))
    if label is None:
        raise ValueError(Message("the label is neither 0 nor 1"))
    identity = entry.get("prediction_id")
    if identity is not None and not isinstance(identity, str):
        raise ValueError(Message("the id must be a request id, a dash and the row's number"))
    at = entry.get("labelled_at")
    return kind(
        label=label,
        prediction_id=identity,
        key=key_text(entry.get(key), key_type) if key is not None else None,
        labelled_at=None if at is None else _seconds(at),
    )


def _seconds(at: Any) -> float:
    try:
        read = datetime.fromisoformat(at)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            Message(
                "{column} is not a time like 2026-01-31T12:00:00Z, or is in the future",
                column="labelled_at",
            )
        ) from error
