"""Writing of predictions and gaps, for endpoints; without pandas."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, overload

import orjson
import sqlalchemy as sql

from core.platform import databases
from core.platform.config import Settings
from core.platform.errors import InputError
from core.platform.messages import Message, Words, dumps, loads
from core.predictions_log import gap_journal, label_matching, log_store

REQUEST_ID = re.compile(r"[0-9a-f]{32}")

_requests, _rows = log_store.requests.c, log_store.predictions.c
_joined = log_store.requests.join(log_store.predictions, _rows.request == _requests.number)


class ConflictError(InputError):
    """A request id was already used for other rows; all other answers of the call were written.

    Parameters
    ----------
    request_ids : tuple of str
        The refused ones.
    kept : list of int
        New rows of each answer of the call; 0 for the refused ones.
    """

    def __init__(self, request_ids: tuple[str, ...], kept: list[int]) -> None:
        self.request_ids = request_ids
        self.kept = kept
        some = ", ".join(request_ids[:3])
        super().__init__(
            Message(
                "The request id {ids} was used for other rows. Send these with a new id.", ids=some
            )
        )


@dataclass(frozen=True)
class Columns(Sequence[Mapping[str, Any]]):
    """Rows held as columns: many are written much faster.

    Parameters
    ----------
    names : tuple of str
        Of the columns.
    values : tuple of sequence
        The cells of each column, all of one length: numbers, texts or None.

    Examples
    --------
    >>> Columns(("a", "b"), ([1.0, 2.0], ["x", None]))[1]
    {'a': 2.0, 'b': None}
    """

    names: tuple[str, ...]
    values: tuple[Sequence[Any], ...]

    def __len__(self) -> int:
        return len(self.values[0]) if self.values else 0

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, place: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        return {name: values[place] for name, values in zip(self.names, self.values, strict=True)}

    def as_text(self) -> list[str]:
        """Return the cells of each row as JSON."""
        rows = list(zip(*self.values, strict=True))
        if any(str in set(map(type, cells)) for cells in self.values):
            return [orjson.dumps(row, default=_plain).decode() for row in rows]
        # no text can hold what separates two rows
        together = orjson.dumps(rows, default=_plain).decode()[2:-2]
        return [f"[{row}]" for row in together.split("],[")]


@dataclass(frozen=True)
class Answer:
    """A model's response to one request.

    Parameters
    ----------
    request_id : str
        32 hex digits; a repeated request is written once.
    alias : str or None
        Champion or challenger at that time.
    source : str
        Origin: page, file, production, api.
    scored_at : float
        Seconds since 1970.
    latency_ms : float
        The model's time for the request, milliseconds.
    features : sequence of mapping
        The inputs of each row, by column.
    probabilities, predicted : sequence
        Of the positive class, 0 to 1; and the label at the model's threshold.
    row_keys : sequence of (str or None), optional
        The natural key of each row.
    run_id : str or None
        The scoring run, if any.
    is_shadow : bool
        Whether the prediction was only recorded and not returned, as a challenger's is.
    is_sample : bool
        Whether the rows, or the model that answered, are of the built-in sample.
    """

    request_id: str
    model: str
    version: str
    alias: str | None
    source: str
    scored_at: float
    latency_ms: float
    features: Sequence[Mapping[str, float | str | None]]
    probabilities: Sequence[float]
    predicted: Sequence[int]
    row_keys: Sequence[str | None] | None = None
    run_id: str | None = None
    is_shadow: bool = False
    is_sample: bool = False


@dataclass(frozen=True)
class Gap:
    """A period in which predictions could not be written.

    Parameters
    ----------
    begun, ended : float
        Seconds since 1970.
    rows : int
        Predictions that are lost for good.
    """

    begun: float
    ended: float
    rows: int
    reason: Words


def write(
    settings: Settings, answers: Sequence[Answer], *, wait_seconds: float | None = None
) -> list[int]:
    """Write answers: all of them or, on any error, none.

    Parameters
    ----------
    wait_seconds : float, optional
        Longest wait for another writer; default 30 s.

    Returns
    -------
    list of int
        New rows of each answer; 0 if it was already there.

    Raises
    ------
    InputError
        For an invalid answer: a probability outside 0 to 1, unequal numbers of rows.
    ConflictError
        If a request id was already used for other rows; the other answers are written.
    """
    if not answers:
        return []
    ready = [_Ready(answer, settings.project) for answer in answers]
    with log_store.writing(settings, wait_seconds=wait_seconds) as connection:
        kept, refused = _keep(connection, ready)
    if refused:
        raise ConflictError(refused, kept)
    return kept


class _UndoError(Exception):
    """Rolls back a trial insert."""


def takes_rows(settings: Settings, *, wait_seconds: float | None = None) -> bool:
    """Return whether the log can be written now, by a trial insert.

    Parameters
    ----------
    wait_seconds : float, optional
        Longest wait for another writer; default 30 s.
    """
    name, now = uuid.uuid4().hex, time.time()
    tried = Answer(name, "none", "0", None, "api", now, 0.0, [{"none": 0.0}], [0.5], [0])
    try:
        with log_store.writing(settings, wait_seconds=wait_seconds) as connection:
            _keep(connection, [_Ready(tried, settings.project)])
            raise _UndoError
    except _UndoError:
        return True
    except Exception:  # noqa: BLE001  no error is caused by the row
        return False


class _Ready:
    """An answer as rows of the log."""

    def __init__(self, answer: Answer, project: str) -> None:
        count = len(answer.features)
        if not REQUEST_ID.fullmatch(answer.request_id):
            raise InputError(
                Message(
                    "'{name}' is not an id: 32 hexadecimal digits, lower case.",
                    name=answer.request_id,
                )
            )
        keys = [None] * count if answer.row_keys is None else answer.row_keys
        probabilities = [float(value) for value in answer.probabilities]
        if not count == len(probabilities) == len(answer.predicted) == len(keys):
            raise InputError(
                Message(
                    "The request {request} needs a probability from 0 to 1 for each row.",
                    request=answer.request_id,
                )
            )
        if not all(0.0 <= value <= 1.0 for value in probabilities):
            raise InputError(
                Message(
                    "The request {request} needs a probability from 0 to 1 for each row.",
                    request=answer.request_id,
                )
            )
        columns, features = _as_text(answer.features)
        self.answer = answer
        self.keys = keys if answer.row_keys is None else [log_store.key_text(key) for key in keys]
        self.features, self.probabilities = features, probabilities
        asked = "\n".join([columns, *features, json.dumps(self.keys)])
        self.digest = hashlib.sha256(asked.encode()).hexdigest()[:32]
        self.name = (answer.request_id, answer.is_shadow)
        self.scope = log_store.scope_of(project, is_sample=answer.is_sample)
        self.request: dict[str, Any] = {
            "request_id": answer.request_id,
            "is_shadow": answer.is_shadow,
            "digest": self.digest,
            "scope": self.scope,
            "run_id": answer.run_id,
            "scored_at": float(answer.scored_at),
            "source": answer.source,
            "model": answer.model,
            "version": answer.version,
            "alias": answer.alias,
            "latency_ms": float(answer.latency_ms),
            "columns": columns,
            "rows": count,
        }

    def rows(self, number: int) -> list[tuple[Any, ...]]:
        places = range(len(self.features))
        predicted = [int(value) for value in self.answer.predicted]
        parts = (places, self.keys, self.probabilities, predicted, self.features)
        return [(number, *row) for row in zip(*parts, strict=True)]


def _as_text(features: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """Return the columns, and each row's values in their order, as JSON."""
    if isinstance(features, Columns) and features.values:
        return json.dumps(features.names), features.as_text()
    columns = list(features[0]) if features else []
    if any(row.keys() != features[0].keys() for row in features):
        columns = list(dict.fromkeys(name for row in features for name in row))
    encode = json.JSONEncoder(default=_plain).encode
    return encode(columns), [encode([row.get(name) for name in columns]) for row in features]


def _plain(value: Any) -> Any:
    # a NumPy number
    return value.item() if hasattr(value, "item") else str(value)


# Statements built once: at every single row, that would take as long as all else.
_ANY_LABEL = sql.select(log_store.labels.c.label).limit(1)


@cache
def _insert_requests(dialect: str) -> Any:
    into = databases.insert_of(dialect, log_store.requests)
    return into.on_conflict_do_nothing(index_elements=["request_id", "is_shadow"]).returning(
        _requests.number, _requests.request_id, _requests.is_shadow
    )


@cache
def _add_to_tally(dialect: str) -> Any:
    table = log_store.tallies
    into = databases.insert_of(dialect, table)
    given = into.excluded
    update = {
        "rows": table.c.rows + given.rows,
        "labels": table.c.labels + given.labels,
        "first_at": sql.case(
            (given.first_at < table.c.first_at, given.first_at), else_=table.c.first_at
        ),
        "last_at": sql.case(
            (given.last_at > table.c.last_at, given.last_at), else_=table.c.last_at
        ),
    }
    return into.on_conflict_do_update(index_elements=list(table.primary_key), set_=update)


_NEW_ROWS = ("request", "position", "row_key", "probability", "predicted", "features")


def _keep(connection: sql.Connection, ready: list[_Ready]) -> tuple[list[int], tuple[str, ...]]:
    """Return the number of new rows of each answer, and the ids already used for other rows."""
    first = {entry.name: entry for entry in reversed(ready)}
    # in the given order, which becomes the log's
    ordered = [entry for entry in ready if first[entry.name] is entry]
    insert = _insert_requests(connection.dialect.name)
    inserted = connection.execute(insert, [entry.request for entry in ordered])
    numbers = {(row.request_id, bool(row.is_shadow)): row.number for row in inserted}
    new = [entry for entry in ordered if entry.name in numbers]
    rows = [row for entry in new for row in entry.rows(numbers[entry.name])]
    log_store.fill(connection, "predictions", _NEW_ROWS, rows)
    labelled = _label(connection, sorted(numbers.values())) if new else Counter()
    _count(connection, new, {entry.name: labelled[numbers[entry.name]] for entry in new})
    digests = _digests(connection, [entry for entry in ordered if entry.name not in numbers])
    digests |= {entry.name: entry.digest for entry in new}
    kept = [
        len(entry.features) if entry.name in numbers and first[entry.name] is entry else 0
        for entry in ready
    ]
    refused = [entry.answer.request_id for entry in ready if digests[entry.name] != entry.digest]
    return kept, tuple(dict.fromkeys(refused))


def _digests(connection: sql.Connection, known: list[_Ready]) -> dict[tuple[str, bool], str]:
    digests: dict[tuple[str, bool], str] = {}
    for start in range(0, len(known), label_matching.CHUNK):
        names = [entry.answer.request_id for entry in known[start : start + label_matching.CHUNK]]
        query = sql.select(_requests.request_id, _requests.is_shadow, _requests.digest)
        for row in connection.execute(query.where(_requests.request_id.in_(names))):
            digests[row.request_id, bool(row.is_shadow)] = row.digest
    return digests


def _label(connection: sql.Connection, numbers: list[int]) -> Counter[int]:
    """Set earlier labels on new rows; return how many of each request have one."""
    if connection.execute(_ANY_LABEL).first() is None:
        return Counter()
    by_id, by_key = log_store.labels.alias(), log_store.labels.alias()
    label = sql.func.coalesce(by_id.c.label, by_key.c.label)
    query = (
        sql.select(_rows.request, _rows.position, label.label("value"))
        .select_from(
            _joined.outerjoin(by_id, label_matching.names_the_row(by_id)).outerjoin(
                by_key, label_matching.names_its_key(by_key)
            )
        )
        # rows of another writer in between have theirs already
        .where(_requests.number.between(numbers[0], numbers[-1]), _rows.label.is_(None))
        .where(label.isnot(None))
    )
    rows = [tuple(row) for row in connection.execute(query)]
    label_matching.set_rows(connection, rows)
    return Counter(request for request, _, _ in rows)


def _count(
    connection: sql.Connection, new: list[_Ready], labelled: Mapping[tuple[str, bool], int]
) -> None:
    groups: dict[tuple[str, str, str, str, bool], list[_Ready]] = {}
    runs: dict[str, list[_Ready]] = {}
    for entry in new:
        of = entry.answer
        key = (entry.scope, of.source, of.model, of.version, of.is_shadow)
        groups.setdefault(key, []).append(entry)
        if of.run_id is not None and not of.is_shadow:
            runs.setdefault(of.run_id, []).append(entry)
    # in a fixed order, so that writers cannot deadlock
    for key, members in sorted(groups.items()):
        scope, source, model, version, is_shadow = key
        times = [member.answer.scored_at for member in members]
        tally = {
            "scope": scope,
            "source": source,
            "model": model,
            "version": version,
            "is_shadow": is_shadow,
            "rows": sum(len(member.features) for member in members),
            "labels": sum(labelled[member.name] for member in members),
            "first_at": min(times),
            "last_at": max(times),
        }
        connection.execute(_add_to_tally(connection.dialect.name), tally)
    scorings_ = log_store.scorings
    for run_id, members in sorted(runs.items()):
        # a row that arrives after its run has ended: the log was down
        connection.execute(
            sql.update(scorings_)
            .where(scorings_.c.run_id == run_id, scorings_.c.path.is_(None))
            .values(
                rows=scorings_.c.rows + sum(len(member.features) for member in members),
                labels=scorings_.c.labels + sum(labelled[member.name] for member in members),
            )
        )


def gaps(settings: Settings, limit: int = 100) -> list[Gap]:
    """Return the periods with missing predictions, newest first.

    Gaps in the journals of ended endpoints, not yet in the log, come first.
    """
    unwritten = [_gap(left) for left in reversed(gap_journal.left(settings))]
    if not log_store.is_there(settings):
        return unwritten
    table = log_store.gaps.c
    query = sql.select(table.begun, table.ended, table.rows, table.reason)
    query = query.order_by(table.number.desc()).limit(limit)
    with log_store.reading(settings) as connection:
        rows = connection.execute(query).all()
        gaps_written = [Gap(row.begun, row.ended, row.rows, loads(row.reason)) for row in rows]
        return [*unwritten, *gaps_written]


def note_gap(
    settings: Settings,
    begun: float,
    ended: float,
    rows: int,
    reason: Words,
    *,
    wait_seconds: float | None = None,
) -> None:
    """Record a gap; recording it again changes nothing.

    Parameters
    ----------
    wait_seconds : float, optional
        Longest wait for another writer; default 30 s.
    """
    table = log_store.gaps
    text = dumps(reason[:500] if isinstance(reason, str) else reason)
    text = text.encode("utf-8", "replace").decode()
    values = {"begun": begun, "ended": ended, "rows": rows, "reason": text}
    with log_store.writing(settings, wait_seconds=wait_seconds) as connection:
        same = sql.and_(*(table.c[name] == value for name, value in values.items()))
        if connection.execute(sql.select(table.c.number).where(same)).first() is None:
            connection.execute(sql.insert(table), values)


def note_gaps_left(settings: Settings, *, wait_seconds: float | None = None) -> None:
    """Record the journals of ended endpoints as gaps.

    Raises
    ------
    StoreError
        If the log cannot be written; the remaining journals are kept.
    """
    for left in gap_journal.left(settings):
        gap = _gap(left)
        note_gap(settings, gap.begun, gap.ended, gap.rows, gap.reason, wait_seconds=wait_seconds)
        left.path.unlink(missing_ok=True)


def _gap(left: gap_journal.Left) -> Gap:
    return Gap(left.begun, left.ended, left.rows, gap_journal.ENDED)
