"""What a gateway needs of the predictions log: to write answers, and gaps. Without pandas."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from core.platform.config import Settings
from core.platform.errors import InputError
from core.predictions_log import gap_journal, log_store
from core.predictions_log import labels as late_labels

REQUEST_ID = re.compile(r"[0-9a-f]{32}")

_requests, _rows = log_store.requests.c, log_store.predictions.c
_joined = log_store.requests.join(log_store.predictions, _rows.request == _requests.number)


class ConflictError(InputError):
    """A request id was used before, for other rows. All other answers of the call were kept.

    Parameters
    ----------
    request_ids : tuple of str
        Those that were refused.
    kept : list of int
        Rows newly kept of each answer of the call, 0 for the refused ones.
    """

    def __init__(self, request_ids: tuple[str, ...], kept: list[int]) -> None:
        self.request_ids = request_ids
        self.kept = kept
        some = ", ".join(request_ids[:3])
        super().__init__(
            f"The request id {some} was used before, for other rows. Send these with a new id."
        )


@dataclass(frozen=True)
class Answer:
    """What a model answered to one request.

    Parameters
    ----------
    request_id : str
        32 hex digits; a request that comes again under its id is kept once.
    alias : str or None
        Champion or challenger, when it was so at that time.
    source : str
        Who asked: page, file, production, api.
    scored_at : float
        Seconds since 1970.
    latency_ms : float
        How long the model took for the request, milliseconds.
    features : sequence of mapping
        What was asked, a value per column, for each row.
    probabilities, predicted : sequence
        Of the positive class, 0 to 1; and the label at the model's threshold.
    row_keys : sequence of (str or None), optional
        The project's natural key of each row.
    run_id : str or None
        The scoring run that asked.
    is_shadow : bool
        Whether the answer was only recorded, as that of a challenger beside the champion.
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
    """A time in which predictions were made and could not be kept.

    Parameters
    ----------
    begun, ended : float
        Seconds since 1970.
    rows : int
        Predictions that the log misses for ever.
    reason : str
    """

    begun: float
    ended: float
    rows: int
    reason: str


def write(
    settings: Settings, answers: Sequence[Answer], *, wait_seconds: float | None = None
) -> list[int]:
    """Keep answers: all of them or, when something fails, none.

    Parameters
    ----------
    wait_seconds : float, optional
        Longest wait for another writer; 30 s without.

    Returns
    -------
    list of int
        Rows newly kept of each answer; 0 for one that was there already.

    Raises
    ------
    InputError
        When an answer is no answer: a probability beyond 0 and 1, unequal numbers of rows.
    ConflictError
        When a request id was used before for other rows; the other answers are kept.
    StoreError
        When the log cannot be written.
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
    """Takes back a row that was only tried."""


def takes_rows(settings: Settings, *, wait_seconds: float | None = None) -> bool:
    """Tell whether the log would take a row now; keeps none.

    Parameters
    ----------
    wait_seconds : float, optional
        Longest wait for another writer; 30 s without.
    """
    name, now = uuid.uuid4().hex, time.time()
    tried = Answer(name, "none", "0", None, "api", now, 0.0, [{"none": 0.0}], [0.5], [0])
    try:
        with log_store.writing(settings, wait_seconds=wait_seconds) as connection:
            _keep(connection, [_Ready(tried, settings.project)])
            raise _UndoError
    except _UndoError:
        return True
    except Exception:  # noqa: BLE001  whatever it is, it is not because of the row
        return False


class _Ready:
    """An answer as the log's rows."""

    def __init__(self, answer: Answer, project: str) -> None:
        count = len(answer.features)
        if not REQUEST_ID.fullmatch(answer.request_id):
            raise InputError("A request id is 32 hexadecimal digits, in small letters.")
        keys = [None] * count if answer.row_keys is None else answer.row_keys
        probabilities = [float(value) for value in answer.probabilities]
        if not count == len(probabilities) == len(answer.predicted) == len(keys):
            raise InputError(
                f"The request {answer.request_id} has {count:,} rows and {len(probabilities):,} "
                "answers. Each row has one."
            )
        if not all(0.0 <= value <= 1.0 for value in probabilities):
            raise InputError(
                f"An answer to the request {answer.request_id} is not a probability from 0 to 1."
            )
        columns, features = _as_text(answer.features)
        self.answer = answer
        self.keys = [log_store.key_text(key) for key in keys]
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
    columns = list(features[0]) if features else []
    if any(row.keys() != features[0].keys() for row in features):
        columns = list(dict.fromkeys(name for row in features for name in row))
    encode = json.JSONEncoder(default=_plain).encode
    return encode(columns), [encode([row.get(name) for name in columns]) for row in features]


def _plain(value: Any) -> Any:
    # a number of numpy
    return value.item() if hasattr(value, "item") else str(value)


_NEW_ROWS = ("request", "position", "row_key", "probability", "predicted", "features")


def _keep(connection: sql.Connection, ready: list[_Ready]) -> tuple[list[int], tuple[str, ...]]:
    """Return how many rows are new of each, and the ids that were used for other rows."""
    first = {entry.name: entry for entry in reversed(ready)}
    # in the order in which they were given: it is that of the log
    ordered = [entry for entry in ready if first[entry.name] is entry]
    into = log_store.insert(connection, log_store.requests)
    query = into.on_conflict_do_nothing(index_elements=["request_id", "is_shadow"]).returning(
        _requests.number, _requests.request_id, _requests.is_shadow
    )
    inserted = connection.execute(query, [entry.request for entry in ordered])
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
    for start in range(0, len(known), late_labels.CHUNK):
        names = [entry.answer.request_id for entry in known[start : start + late_labels.CHUNK]]
        query = sql.select(_requests.request_id, _requests.is_shadow, _requests.digest)
        for row in connection.execute(query.where(_requests.request_id.in_(names))):
            digests[row.request_id, bool(row.is_shadow)] = row.digest
    return digests


def _label(connection: sql.Connection, numbers: list[int]) -> Counter[int]:
    """Give new rows the labels that came before them; returns how many of each request have one."""
    if connection.execute(sql.select(log_store.labels.c.label).limit(1)).first() is None:
        return Counter()
    by_id, by_key = log_store.labels.alias(), log_store.labels.alias()
    label = sql.func.coalesce(by_id.c.label, by_key.c.label)
    query = (
        sql.select(_rows.request, _rows.position, label.label("value"))
        .select_from(
            _joined.outerjoin(by_id, late_labels.names_the_row(by_id)).outerjoin(
                by_key, late_labels.names_its_key(by_key)
            )
        )
        # rows of another writer that lie between these have theirs already
        .where(_requests.number.between(numbers[0], numbers[-1]), _rows.label.is_(None))
        .where(label.isnot(None))
    )
    rows = [tuple(row) for row in connection.execute(query)]
    late_labels.set_rows(connection, rows)
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
    table = log_store.tallies
    # in one order: two writers never wait for each other
    for key, members in sorted(groups.items()):
        scope, source, model, version, is_shadow = key
        times = [member.answer.scored_at for member in members]
        into = log_store.insert(connection, table).values(
            scope=scope,
            source=source,
            model=model,
            version=version,
            is_shadow=is_shadow,
            rows=sum(len(member.features) for member in members),
            labels=sum(labelled[member.name] for member in members),
            first_at=min(times),
            last_at=max(times),
        )
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
        connection.execute(
            into.on_conflict_do_update(index_elements=list(table.primary_key), set_=update)
        )
    scorings_ = log_store.scorings
    for run_id, members in sorted(runs.items()):
        # a row that comes after its run has ended: the log was away
        connection.execute(
            sql.update(scorings_)
            .where(scorings_.c.run_id == run_id, scorings_.c.path.is_(None))
            .values(
                rows=scorings_.c.rows + sum(len(member.features) for member in members),
                labels=scorings_.c.labels + sum(labelled[member.name] for member in members),
            )
        )


def gaps(settings: Settings, limit: int = 100) -> list[Gap]:
    """Return the times from which predictions are missing, newest first.

    Those that a gateway left which has ended, and nobody has noted in the log yet, come first.

    Raises
    ------
    StoreError
        When the log cannot be read.
    """
    unwritten = [_gap(left) for left in reversed(gap_journal.left(settings))]
    if not log_store.is_there(settings):
        return unwritten
    table = log_store.gaps.c
    query = sql.select(table.begun, table.ended, table.rows, table.reason)
    query = query.order_by(table.number.desc()).limit(limit)
    with log_store.reading(settings) as connection:
        return [*unwritten, *(Gap(*row) for row in connection.execute(query))]


def note_gap(
    settings: Settings,
    begun: float,
    ended: float,
    rows: int,
    reason: str,
    *,
    wait_seconds: float | None = None,
) -> None:
    """Keep that predictions are missing: since when, until when, how many, and why.

    The same again changes nothing.

    Parameters
    ----------
    wait_seconds : float, optional
        Longest wait for another writer; 30 s without.

    Raises
    ------
    StoreError
        When the log cannot be written.
    """
    table = log_store.gaps
    reason = reason[:500].encode("utf-8", "replace").decode()
    values = {"begun": begun, "ended": ended, "rows": rows, "reason": reason}
    with log_store.writing(settings, wait_seconds=wait_seconds) as connection:
        same = sql.and_(*(table.c[name] == value for name, value in values.items()))
        if connection.execute(sql.select(table.c.number).where(same)).first() is None:
            connection.execute(sql.insert(table), values)


def note_gaps_left(settings: Settings, *, wait_seconds: float | None = None) -> None:
    """Note the rows that gateways which have ended had not written, as gaps.

    Raises
    ------
    StoreError
        When the log cannot be written; what is not noted yet is kept.
    """
    for left in gap_journal.left(settings):
        gap = _gap(left)
        note_gap(settings, gap.begun, gap.ended, gap.rows, gap.reason, wait_seconds=wait_seconds)
        left.path.unlink(missing_ok=True)


def _gap(left: gap_journal.Left) -> Gap:
    return Gap(left.begun, left.ended, left.rows, gap_journal.ENDED)
