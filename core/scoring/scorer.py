"""Scoring in this process with the served model's own code, and of a part of a large file.

A scorer can be sent to another process: its predictions are the same there, and the same as those
of the version's server.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform import model_files, own_columns, row_faults, schema
from core.platform.classifier import Classifier
from core.platform.config import Settings
from core.platform.messages import Message, dumps
from core.platform.project import Column
from core.platform.rows import Rule
from core.platform.runs import ModelVersion
from core.registry import version_files
from core.scoring import batches, new_levels
from core.scoring.batches import Batch, Part, Source
from core.scoring.output_parts import Place

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
# most rejected rows to list; all are counted
LISTED = 10_000
# batches waiting to be written
AHEAD = 2
# fields of `Done` that are added up
SUMS = ("rows", "labelled", "skipped", "rejected", "probability", "positive", "new_rows")


@dataclass(frozen=True)
class Answered:
    """A model's predictions for some rows, in their order.

    Parameters
    ----------
    probabilities : array of float
        Of label 1.
    labels : array of int
        0 or 1, at the model's threshold.
    latency_ms : float
        From the request to the complete response.
    is_logged : bool
        Whether an endpoint has already written them to the predictions log.
    """

    probabilities: Floats
    labels: Ints
    latency_ms: float
    is_logged: bool = False


class Answerer(Protocol):
    """What scores rows: a scorer, or a served model."""

    def __call__(self, rows: pd.DataFrame, keys: Any, request_id: str, /) -> Answered:
        """Return the predictions for rows with all required values."""


@dataclass(frozen=True)
class Scorer:
    """A registered version that predicts in this process, as its server would.

    Parameters
    ----------
    config : dict
        Configuration of the served code: inputs, features, engineered, is_complete, threshold.
    """

    estimator: Classifier
    config: dict[str, Any]

    def score(self, frame: pd.DataFrame) -> Answered:
        """Score rows with the code of the version's server.

        Raises
        ------
        InputError
            If the server would refuse the rows.
        """
        started = time.perf_counter()
        with model_files.wrap_refusals():
            answer = self._model().predict(None, frame)
        return Answered(
            answer["probability"].to_numpy(),
            answer["label"].to_numpy(),
            (time.perf_counter() - started) * 1000,
        )

    def __call__(self, rows: pd.DataFrame, keys: Any, request_id: str) -> Answered:
        """Score rows; keys and request id do not matter here."""
        return self.score(rows)

    def _model(self) -> Any:
        from core.platform import served_model

        model = served_model.ServedModel()
        model.config, model.estimator = self.config, self.estimator
        return model


def load(settings: Settings, version: ModelVersion) -> Scorer:
    """Return a registered version as a scorer; runs no code of its files.

    Raises
    ------
    StoreError
        When its files are not the registered ones, or contain untrusted types.
    """
    loaded = version_files.load(settings, version)
    config = {
        "inputs": dict(loaded.inputs),
        "rules": dict(loaded.rules),
        "engineered": {name: list(how) for name, how in loaded.engineered.items()},
        "features": list(loaded.feature_names),
        "is_complete": loaded.is_complete,
        "threshold": loaded.threshold,
    }
    return Scorer(loaded.estimator, config)


@dataclass(frozen=True)
class Work:
    """How the parts of a scoring are processed; can be sent to another process.

    Parameters
    ----------
    scoring : str
        Its id, 32 hexadecimal digits; the ids of its requests derive from it.
    source : Source or None
        The files to read; None if the rows are in memory.
    columns : mapping of str to Column
        The model's inputs and, with labels, the target.
    names : mapping of str to str
        Source name of each column, and of the key.
    target, key : str or None
        None for rows without labels, or keys.
    features, formulas
        Inputs of the classifier, and formulas of the engineered ones.
    is_complete : bool
        Whether a row with a missing input is left out.
    keeps_inputs : bool
        Whether the result includes the inputs.
    key_rule : Rule, optional
        Permitted keys.
    levels : mapping of str to frozenset of str
        Values of text columns that the training rows had, to count new ones.
    """

    scoring: str
    source: Source | None
    columns: Mapping[str, Column]
    names: Mapping[str, str]
    inputs: tuple[str, ...]
    target: str | None
    key: str | None
    features: tuple[str, ...]
    formulas: Mapping[str, tuple[str, str]]
    is_complete: bool
    place: Place
    keeps_inputs: bool
    batch_rows: int
    key_rule: Rule | None = None
    levels: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass
class Done:
    """The result of a part; stored as JSON next to it.

    Parameters
    ----------
    rows, labelled, skipped, rejected : int
        Scored; of these with a label; left out for a missing value; left out for an invalid one.
    listed : list of [row, column, value, reason], the reason for `messages.loads`
        The first of the rejected.
    probability : float
        Sum over the rows.
    latencies : list of float
        Milliseconds of each request.
    new_rows : int
        Scored rows with a value of a text column that the training rows did not have.
    new_levels : dict of str to (int, str)
        These rows by column, and such a value.
    """

    number: int
    rows: int = 0
    labelled: int = 0
    skipped: int = 0
    rejected: int = 0
    listed: list[tuple[int, str, str, str]] = field(default_factory=list)
    probability: float = 0.0
    positive: int = 0
    latencies: list[float] = field(default_factory=list)
    new_rows: int = 0
    new_levels: dict[str, tuple[int, str]] = field(default_factory=dict)


def score_part(
    work: Work,
    part: Part,
    answer: Answerer,
    on_rows: Callable[[int], None] | None = None,
    given: Iterable[Batch] | None = None,
    in_flight: int = 1,
) -> Done:
    """Read a part, score its rows and write them atomically.

    Rows that cannot be scored are listed and left out.

    Parameters
    ----------
    answer : callable
        Scores rows; a `Scorer` or a served model.
    on_rows : callable, optional
        Called with the number of rows after each batch; may raise to stop.
    given : iterable of Batch, optional
        The rows, if there is no source.
    in_flight : int
        Batches scored concurrently.

    Raises
    ------
    InputError, ServerError, StoreError
        When the part cannot be read, scored or written; nothing of it is left then.
    """
    done = Done(part.number)
    layout = _schema(work)

    def put(request: _Request, answered: Answered | None) -> None:
        if answered is not None:
            writer.write_table(_written(work, request, answered, layout, done))

    def ask(request: _Request) -> Answered | None:
        if request.rows.empty:
            return None
        inputs = pd.DataFrame({name: request.rows[name] for name in work.inputs}, copy=False)
        return answer(inputs, request.keys, request.request_id)

    with work.place.part(part.number, layout) as writer, ExitStack() as stack:
        # reading, scoring and writing run in parallel: Arrow does its part without the GIL
        reading, writing = (stack.enter_context(ThreadPoolExecutor(1)) for _ in range(2))
        unread = iter(_batches(work, part) if given is None else given)
        batches_read = _ahead(reading, unread)
        written: deque[Future[None]] = deque()

        def hand_on(request: _Request, answered: Answered | None) -> None:
            if len(written) == AHEAD:
                written.popleft().result()
            written.append(writing.submit(put, request, answered))
            if on_rows is not None:
                on_rows(request.rows_read)

        if in_flight == 1:
            for batch in batches_read:
                request = _prepared(work, batch, done)
                hand_on(request, ask(request))
        else:
            pool = stack.enter_context(ThreadPoolExecutor(in_flight))
            waiting: deque[tuple[_Request, Future[Answered | None]]] = deque()
            try:
                for batch in batches_read:
                    request = _prepared(work, batch, done)
                    waiting.append((request, pool.submit(ask, request)))
                    if len(waiting) >= in_flight:
                        first, future = waiting.popleft()
                        hand_on(first, future.result())
                while waiting:
                    first, future = waiting.popleft()
                    hand_on(first, future.result())
            finally:
                for _, future in waiting:
                    future.cancel()
        while written:
            written.popleft().result()
    work.place.note(part.number, asdict(done))
    return done


def _ahead(pool: ThreadPoolExecutor, unread: Iterator[Batch]) -> Iterator[Batch]:
    """Yield batches while the next one is read."""
    following = pool.submit(next, unread, None)
    while (batch := following.result()) is not None:
        following = pool.submit(next, unread, None)
        yield batch


@dataclass(frozen=True)
class _Request:
    """The scorable rows of a batch, and their positions in the source."""

    rows: pd.DataFrame
    keys: Any
    places: Ints
    request_id: str
    rows_read: int


def total(done: Iterable[Done]) -> Done:
    """Return the combined result of several parts."""
    combined = Done(-1)
    for part in sorted(done, key=lambda part: part.number):
        for name in SUMS:
            setattr(combined, name, getattr(combined, name) + getattr(part, name))
        combined.new_levels = new_levels.added(combined.new_levels, part.new_levels)
        combined.latencies += part.latencies
        combined.listed = [*combined.listed, *part.listed][:LISTED]
    return combined


def request_id(scoring: str, first_row: int) -> str:
    """Return the id of the request that starts with a row: the same at every attempt.

    Examples
    --------
    >>> request_id("0" * 32, 0) == request_id("0" * 32, 0) != request_id("0" * 32, 1)
    True
    """
    return uuid.uuid5(uuid.UUID(hex=scoring), str(first_row)).hex


def _batches(work: Work, part: Part) -> Iterable[Batch]:
    assert work.source is not None  # otherwise the rows are given
    texts = [
        work.names[name] for name, column in work.columns.items() if column.type in ("text", "date")
    ]
    batches_read = batches.read(
        work.source,
        part,
        [work.names[name] for name in work.columns],
        texts=texts,
        key=work.names[work.key] if work.key else None,
        key_rule=work.key_rule,
        batch_rows=work.batch_rows,
    )
    for batch in batches_read:
        frame = batch.frame
        frame.columns = list(work.columns)
        yield replace(batch, frame=frame)


def _prepared(work: Work, batch: Batch, done: Done) -> _Request:
    """Exclude and list the rows of a batch that cannot be scored."""
    import pyarrow

    clean, refused = schema.usable(batch.frame, work.columns)
    keeps = np.ones(len(clean), dtype=bool)
    for refusal in refused:
        _list(done, batch, batch.frame[refusal.column], refusal.rows & keeps, refusal.reason)
        keeps &= ~refusal.rows
    if batch.key_fault is not None:
        fault = batch.key_fault
        wrong = np.zeros(len(clean), dtype=bool)
        wrong[fault.rows] = True
        given = pd.Series(batch.keys.to_pylist(), name=fault.column, dtype="object")
        _list(done, batch, given, wrong & keeps, row_faults.reason(fault))
        keeps &= ~wrong
    if work.is_complete:
        for name in work.inputs:
            empty = _missing(clean[name]) & keeps
            if empty.any():
                done.skipped += int(empty.sum())
                keeps &= ~empty
        if work.formulas:
            _leave_out_gaps(work, batch, clean, keeps, done)
    rows, keys = clean, batch.keys
    if not keeps.all():
        rows = clean[keeps]
        keys = None if keys is None else keys.filter(pyarrow.array(keeps))
    if work.levels:
        new_rows, counts = new_levels.count(rows, work.levels)
        done.new_rows += new_rows
        done.new_levels = new_levels.added(done.new_levels, counts)
    name = request_id(work.scoring, batch.first_row)
    return _Request(rows, keys, batch.first_row + np.flatnonzero(keeps), name, len(clean))


def _written(work: Work, request: _Request, answered: Answered, layout: Any, done: Done) -> Any:
    """Return scored rows as the result stores them, and count them."""
    import pyarrow

    rows, number = request.rows, len(request.rows)
    values: dict[str, Any] = {
        own_columns.PREDICTION_ID: _ids(request.request_id, number),
        own_columns.ROW: request.places,
        own_columns.ROW_KEY: (
            pyarrow.nulls(number, pyarrow.string()) if request.keys is None else request.keys
        ),
        **({name: rows[name] for name in work.inputs} if work.keeps_inputs else {}),
        own_columns.PROBABILITY: answered.probabilities,
        own_columns.PREDICTED: answered.labels,
        own_columns.LABEL: rows[work.target] if work.target else np.full(number, np.nan),
    }
    arrays = [
        values[column.name]
        if isinstance(values[column.name], pyarrow.Array)
        else pyarrow.array(values[column.name], column.type, from_pandas=True)
        for column in layout
    ]
    done.rows += number
    done.labelled += number - arrays[-1].null_count
    done.probability += float(answered.probabilities.sum())
    done.positive += int(answered.labels.sum())
    done.latencies.append(answered.latency_ms)
    return pyarrow.Table.from_arrays(arrays, schema=layout)


def _leave_out_gaps(
    work: Work, batch: Batch, clean: pd.DataFrame, keeps: npt.NDArray[np.bool_], done: Done
) -> None:
    """Exclude rows for which an engineered feature has no value, as after a division by zero."""
    from core.platform import served_model

    computed = [name for name in work.features if name in work.formulas]
    inputs = served_model.checked(
        clean,
        {name: "text" if work.columns[name].is_text else "number" for name in work.inputs},
        is_complete=False,
    )
    features = served_model.with_features(inputs, computed, work.formulas)
    for name in computed:
        empty = _missing(features[name]) & keeps
        if empty.any():
            _list(done, batch, features[name], empty, Message("must not be missing"))
            keeps &= ~empty


def _list(
    done: Done, batch: Batch, values: pd.Series[Any], wrong: npt.NDArray[np.bool_], reason: Message
) -> None:
    places, stored = np.flatnonzero(wrong), dumps(reason)
    done.rejected += len(places)
    for place in places[: LISTED - len(done.listed)].tolist():
        value = values.iloc[place]
        shown = "" if pd.isna(value) else str(value)[:80]
        done.listed.append((batch.first_row + place, str(values.name), shown, stored))


def _missing(values: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    if isinstance(values.dtype, np.dtype) and values.dtype.kind == "f":
        return np.asarray(np.isnan(values.to_numpy()), dtype=bool)
    return np.asarray(values.isna(), dtype=bool)


def _schema(work: Work) -> Any:
    import pyarrow

    def kind(column: Column) -> Any:
        if column.is_text:
            return pyarrow.string()
        # an integer that may be missing is a float in pandas
        whole = column.type == "integer" and work.is_complete
        return pyarrow.int64() if whole else pyarrow.float64()

    inputs = [(name, kind(work.columns[name])) for name in work.inputs]
    return pyarrow.schema(
        [
            (own_columns.PREDICTION_ID, pyarrow.string()),
            (own_columns.ROW, pyarrow.int64()),
            (own_columns.ROW_KEY, pyarrow.string()),
            *(inputs if work.keeps_inputs else []),
            (own_columns.PROBABILITY, pyarrow.float64()),
            (own_columns.PREDICTED, pyarrow.int64()),
            (own_columns.LABEL, pyarrow.float64()),
        ]
    )


def _ids(request: str, rows: int) -> Any:
    import pyarrow
    import pyarrow.compute as compute

    return compute.binary_join_element_wise(
        pyarrow.scalar(request), _numbers(max(rows, 65_536)).slice(0, rows), "-"
    )


@lru_cache(maxsize=4)
def _numbers(rows: int) -> Any:
    import pyarrow
    import pyarrow.compute as compute

    return compute.cast(pyarrow.array(np.arange(rows)), pyarrow.string())
