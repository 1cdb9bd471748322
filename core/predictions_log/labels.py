"""Labels of predictions, which may arrive late, early, repeatedly or contradict each other.

A label is stored under what it names, a prediction's id or the project's natural key, whether or
not the prediction exists yet; the id takes precedence over the key. The label with the newest time
counts; of two with the same time, 1.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sql

from core.platform import permissions, set_aside
from core.platform.config import Settings
from core.platform.errors import StoreError
from core.platform.messages import Message, Words
from core.predictions_log import label_matching, log_store, log_writer
from core.predictions_log.log_store import BY_ID, key_text

if TYPE_CHECKING:
    import pandas as pd

# A label from a clock further ahead than this would never be outdated.
AHEAD_SECONDS = 300.0
# After this many failed transactions in one call, the labels are not the cause.
FAILURES = 500
OUTCOMES = ("new", "repeated", "changed", "outdated", "rejected")
# pattern of a prediction's id
PREDICTION_ID = re.compile(r"([0-9a-f]{32})-(0|[1-9][0-9]{0,8})")

_labels, _history = log_store.labels.c, log_store.label_history.c


@dataclass(frozen=True)
class Report:
    """A label for a prediction's id or a natural key.

    Parameters
    ----------
    label : int
        0 or 1.
    prediction_id, key : str, optional
        Exactly one of them.
    labelled_at : float, optional
        When it was determined, seconds since 1970; default: on arrival.
    """

    label: float
    prediction_id: str | None = None
    key: str | None = None
    labelled_at: float | None = None


@dataclass(frozen=True)
class Refusal:
    """A rejected report.

    Parameters
    ----------
    index : int
        Its position in the call, from 0.
    """

    index: int
    reason: Words


@dataclass(frozen=True)
class Counts:
    """Outcome of the reports of one call.

    Parameters
    ----------
    new : int
        Names that had no label before.
    repeated : int
        Equal to the current label.
    changed : int
        Replaced an older label.
    outdated : int
        Contradicted a newer label, which stays.
    unmatched : int
        Accepted reports without a prediction in the log yet.
    rejected : int
        See `refusals`.
    """

    new: int = 0
    repeated: int = 0
    changed: int = 0
    outdated: int = 0
    unmatched: int = 0
    rejected: int = 0
    refusals: tuple[Refusal, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Change:
    """One entry in the history of a label.

    Parameters
    ----------
    outcome : {"new", "repeated", "changed", "outdated"}
        Its effect on the current label; "repeated" if only the time is newer.
    labelled_at, received_at : float
        Seconds since 1970.
    name : str
        The prediction's id, or the key.
    """

    label: int
    outcome: str
    labelled_at: float
    received_at: float
    source: str
    name: str


@dataclass(frozen=True)
class _Named:
    """A valid report, with the name under which it is stored."""

    scope: str
    name: str
    label: int
    labelled_at: float
    has_time: bool


@dataclass
class _Word:
    """The current label of one name while reports are processed."""

    label: int
    labelled_at: float
    is_changed: bool = False


@permissions.needs("label")
def report(
    settings: Settings,
    reports: Sequence[Report],
    *,
    source: str,
    is_sample: bool = False,
    arrived: float | None = None,
) -> Counts:
    """Store all valid labels; if the log fails, none of the current transaction.

    A label that the log refuses while accepting others is set aside and rejected. Repeating a call
    changes nothing.

    Parameters
    ----------
    source : str
        The reporter: api, file, or the source of a scoring.
    is_sample : bool
        Whether keys refer to rows of the built-in sample or to real rows. Ignored for labels with a
        prediction's id.
    arrived : float, optional
        Time of reports without one, seconds since 1970; default now.
    """
    now = time.time()
    keys_scope = log_store.scope_of(settings.project, is_sample=is_sample)
    usable: list[tuple[int, _Named]] = []
    refusals = []
    for index, reported in enumerate(reports):
        reason = _fault(reported, now)
        if reason:
            refusals.append(Refusal(index, reason))
            continue
        at = (arrived or now) if reported.labelled_at is None else float(reported.labelled_at)
        name = key_text(reported.key) if reported.prediction_id is None else reported.prediction_id
        scope = keys_scope if reported.prediction_id is None else BY_ID
        claim = _Named(scope, str(name), int(reported.label), at, reported.labelled_at is not None)
        usable.append((index, claim))
    outcomes: Counter[str] = Counter()
    unmatched = 0

    def take(part: Sequence[tuple[int, _Named]]) -> None:
        nonlocal unmatched
        named = [claim for _, claim in part]
        counted: Counter[str] = Counter()
        with log_store.writing(settings, of_labels=True) as connection:
            words = _known(connection, [(claim.scope, claim.name) for claim in named])
            times = _times_said(connection, words)
            entries = []
            for claim in named:
                outcome, is_news = _take(words, times, claim)
                counted[outcome] += 1
                if is_news:
                    said_of = (claim.scope, claim.name, claim.label, claim.labelled_at)
                    entries.append((*said_of, now, source, outcome))
            _write(connection, words, entries)
            current = {place: None if word is None else word.label for place, word in words.items()}
            matched = label_matching.apply(connection, current)
        outcomes.update(counted)
        unmatched += sum((claim.scope, claim.name) not in matched for claim in named)

    failures = 0

    def is_of_the_label(error: Exception) -> bool:
        nonlocal failures
        failures += 1
        if isinstance(error, StoreError) and log_store.is_down(error):
            return False
        return failures <= FAILURES and log_writer.takes_rows(settings)

    bad = set_aside.sift(usable, take, is_of_the_label) if usable else []
    for (index, claim), error in bad:
        set_aside.put(settings, "labels", claim.name, "unwritable", rows=1, error=error)
        refusals.append(Refusal(index, Message("the predictions log rejects this label")))
    return Counts(
        new=outcomes["new"],
        repeated=outcomes["repeated"],
        changed=outcomes["changed"],
        outdated=outcomes["outdated"],
        unmatched=unmatched,
        rejected=len(refusals),
        refusals=tuple(refusals),
    )


def history(
    settings: Settings, *, prediction_id: str, key: str | None = None, is_sample: bool = False
) -> list[Change]:
    """Return the history of a prediction's label, newest arrival first.

    Parameters
    ----------
    key : str, optional
        The prediction's natural key; used if there are no labels for the id.
    is_sample : bool
        Whether the row is of the built-in sample.
    """
    if not log_store.is_there(settings):
        return []
    mine = sql.and_(_history.scope == BY_ID, _history.name == prediction_id)
    if key is not None:
        scope = log_store.scope_of(settings.project, is_sample=is_sample)
        mine |= sql.and_(_history.scope == scope, _history.name == key_text(key))
    query = sql.select(
        _history.label,
        _history.outcome,
        _history.labelled_at,
        _history.received_at,
        _history.source,
        _history.name,
    )
    with log_store.reading(settings) as connection:
        rows = connection.execute(query.where(mine).order_by(_history.number.desc()))
        return [Change(*row) for row in rows]


def resolved(
    settings: Settings,
    ids: pd.Series[Any],
    keys: pd.Series[Any],
    own: pd.Series[Any],
    *,
    is_sample: bool,
) -> pd.Series[Any]:
    """Return the label of each row of a file: by id, else by key, else the file's own.

    Parameters
    ----------
    is_sample : bool
        Whether the rows are of the built-in sample, whose keys are separate.
    """
    if not log_store.is_there(settings):
        return own.astype("float64")
    query = sql.select(_labels.name, _labels.label)
    with log_store.reading(settings) as connection:
        by_id, by_key = (
            {row[0]: row[1] for row in connection.execute(query.where(_labels.scope == scope))}
            for scope in (BY_ID, log_store.scope_of(settings.project, is_sample=is_sample))
        )
    labels = ids.map(by_id).astype("float64")
    labels = labels.fillna(keys.map(by_key).astype("float64"))
    return labels.fillna(own.astype("float64"))


def _fault(reported: Report, now: float) -> Message | None:
    """Return why a report is invalid."""
    if (reported.prediction_id is None) == (reported.key is None):
        return Message("needs either a prediction id or a key")
    if reported.label != 0 and reported.label != 1:
        return Message("the label is neither 0 nor 1")
    if reported.prediction_id is not None:
        if not PREDICTION_ID.fullmatch(reported.prediction_id):
            return Message("the id must be a request id, a dash and the row's number")
    elif key_text(reported.key) is None:
        return Message("needs either a prediction id or a key")
    at = reported.labelled_at
    if at is not None and not (math.isfinite(at) and 0 <= at <= now + AHEAD_SECONDS):
        return wrong_time("labelled_at")
    return None


def wrong_time(column: str) -> Message:
    """Return that the time of a label cannot be used."""
    return Message(
        "{column} is not a time like 2026-01-31T12:00:00Z, or is in the future", column=column
    )


def _known(
    connection: sql.Connection, wanted: list[tuple[str, str]]
) -> dict[tuple[str, str], _Word | None]:
    """Return the current label of each of these names, or None."""
    words: dict[tuple[str, str], _Word | None] = dict.fromkeys(wanted)
    for scope, names in label_matching.by_scope(words):
        query = sql.select(_labels.name, _labels.label, _labels.labelled_at)
        where = sql.and_(_labels.scope == scope, _labels.name.in_(names))
        for name, label, at in connection.execute(query.where(where)):
            words[scope, name] = _Word(label, at)
    return words


def _times_said(
    connection: sql.Connection, words: dict[tuple[str, str], _Word | None]
) -> dict[tuple[str, str, int], float]:
    """Return the newest time of each label ever reported for these names."""
    known = {name: word for name, word in words.items() if word is not None}
    times = {}
    for scope, names in label_matching.by_scope(known):
        newest = sql.func.max(_history.labelled_at)
        query = sql.select(_history.name, _history.label, newest)
        query = query.where(_history.scope == scope, _history.name.in_(names))
        for name, label, at in connection.execute(query.group_by(_history.name, _history.label)):
            times[scope, name, label] = at
    return times


def _take(
    words: dict[tuple[str, str], _Word | None],
    times: dict[tuple[str, str, int], float],
    claim: _Named,
) -> tuple[str, bool]:
    """Apply one report; return its outcome, and whether it belongs in the history.

    Every report with a time is in the history or superseded there by a later one, so repeats are
    recognized in any order.
    """
    place = (claim.scope, claim.name)
    word, newest = words[place], times.get((*place, claim.label), -math.inf)
    if word is not None and (claim.labelled_at <= newest or claim.label == word.label):
        # an untimed confirmation is not recorded: a file sent daily would fill the history
        is_later = claim.labelled_at > newest and claim.has_time
        if is_later:
            times[*place, claim.label] = claim.labelled_at
            word.labelled_at, word.is_changed = claim.labelled_at, True
        return "repeated", is_later
    times[*place, claim.label] = claim.labelled_at
    if word is not None and (claim.labelled_at, claim.label) < (word.labelled_at, word.label):
        return "outdated", True
    words[place] = _Word(claim.label, claim.labelled_at, is_changed=True)
    return ("new" if word is None else "changed"), True


_ENTRY = ("scope", "name", "label", "labelled_at", "received_at", "source", "outcome")


def _write(
    connection: sql.Connection,
    words: dict[tuple[str, str], _Word | None],
    entries: list[tuple[Any, ...]],
) -> None:
    changed = [
        {"scope": scope, "name": name, "label": word.label, "labelled_at": word.labelled_at}
        for (scope, name), word in words.items()
        if word is not None and word.is_changed
    ]
    if changed:
        into = log_store.insert(connection, log_store.labels)
        update = {name: into.excluded[name] for name in ("label", "labelled_at")}
        query = into.on_conflict_do_update(index_elements=["scope", "name"], set_=update)
        connection.execute(query, changed)
    log_store.fill(connection, "label_history", _ENTRY, entries)
