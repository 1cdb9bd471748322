"""Scoring in this process with the served model's own code, and of a part of a large file.

A scorer can be sent to another process: its predictions are the same there, and the same as those
of the version's server.
"""

from __future__ import annotations

import itertools
import math
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from core.platform import model_files, own_columns, row_faults, schema
from core.platform.classifier import Classifier
from core.platform.config import Settings
from core.platform.messages import Message, dumps
from core.platform.project import Column
from core.platform.rows import Rule, rule_of
from core.platform.runs import ModelVersion
from core.registry import version_files
from core.scoring import batches, new_levels, output_parts
from core.scoring.batches import Batch, Part, Source
from core.scoring.output_parts import Place

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
# most rejected rows to list; all are counted
LISTED = 10_000
# batches waiting to be written
AHEAD = 2
# a request id in bytes
_REQUEST = np.dtype("V32")
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
    is_given_valid : bool
        Whether all rows given were read by the model's rules before, so that they are not read
        again; see `without_checks`.
    """

    estimator: Classifier
    config: dict[str, Any]
    is_given_valid: bool = False

    def without_checks(self, columns: Mapping[str, Column]) -> Scorer:
        """Return a scorer of rows from `schema.usable` without faults or required gaps.

        It reads no value again if these columns have the model's own rules, since a value that
        was read is read unchanged. Otherwise it is this scorer.
        """
        rules = {
            name: about if isinstance(about, Rule) else rule_of(about)
            for name, about in self.config["rules"].items()
        }
        given = {name: columns[name].rule for name in rules if name in columns}
        return replace(self, is_given_valid=rules == given)

    def score(self, frame: pd.DataFrame) -> Answered:
        """Score rows with the code of the version's server.

        Raises
        ------
        InputError
            If the server would refuse the rows.
        """
        started = time.perf_counter()
        model, features = self._model(), self.config["features"]
        with model_files.wrap_refusals():
            if not self.is_given_valid:
                answer = model.predict(None, frame)
            elif any(name in self.config["engineered"] for name in features):
                answer = model.answer(_as_checked(frame, list(frame.columns)))
            else:
                answer = model.of_features(_as_checked(frame, features))
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


def _as_checked(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return columns of valid values as `served_model.checked` does, numbers in one block."""
    columns = {name: frame[name] for name in names}
    if all(_is_number(values) for values in columns.values()):
        block = np.empty((len(names), len(frame)))
        for place, values in enumerate(columns.values()):
            block[place] = values.to_numpy()
        return pd.DataFrame(block.T, columns=list(names), copy=False)
    settled = {
        name: values.astype("float64", copy=False)
        if _is_number(values)
        # a missing text is NaN, as encoders expect
        else values.where(values.notna(), np.nan)
        for name, values in columns.items()
    }
    return pd.DataFrame(settled, index=frame.index, copy=False)


def _is_number(values: pd.Series[Any]) -> bool:
    return isinstance(values.dtype, np.dtype) and values.dtype.kind in "if"


def _one_blas_thread(scorer: Scorer) -> AbstractContextManager[object]:
    """Keep BLAS from using more threads for a linear model.

    They gain nothing there, and after each batch they spin on the processor that writing needs.
    """
    last = getattr(scorer.estimator, "steps", [("", scorer.estimator)])[-1][1]
    if not hasattr(last, "coef_"):
        return nullcontext()
    limited: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limited


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
    """Score one part, see `score_parts`."""
    return score_parts(work, [part], answer, on_rows, given, in_flight)[0]


def score_parts(
    work: Work,
    parts: Sequence[Part],
    answer: Answerer,
    on_rows: Callable[[int], None] | None = None,
    given: Iterable[Batch] | None = None,
    in_flight: int = 1,
    on_scored: Callable[[Ints, Floats, Floats], None] | None = None,
) -> list[Done]:
    """Read parts, score their rows and write each part atomically.

    Rows that cannot be scored are listed and left out.

    Parameters
    ----------
    answer : callable
        Scores rows; a `Scorer` or a served model.
    on_rows : callable, optional
        Called with the number of rows after each batch; may raise to stop.
    given : iterable of Batch, optional
        The rows of a single part, if there is no source.
    in_flight : int
        Batches scored concurrently.
    on_scored : callable, optional
        Called with the positions, labels (NaN if unknown) and probabilities of the scored rows of
        each batch, in their order.

    Raises
    ------
    InputError, ServerError, StoreError
        When a part cannot be read, scored or written. Nothing of it is left then; parts before it
        are finished.
    """

    def ask(request: _Request) -> Answered | None:
        if request.rows.empty:
            return None
        inputs = pd.DataFrame({name: request.rows[name] for name in work.inputs}, copy=False)
        return answer(inputs, request.keys, request.request_id)

    blas: AbstractContextManager[object] = nullcontext()
    if isinstance(answer, Scorer):
        answer = answer.without_checks(work.columns)
        blas = _one_blas_thread(answer)
    # reading, scoring and writing run in parallel: Arrow does its part without the GIL
    with (
        output_parts.wrap_write_errors(work.place.address),
        blas,
        ThreadPoolExecutor(1) as reading,
        ThreadPoolExecutor(in_flight) as asking,
        _Writer(work) as writer,
    ):
        waiting: deque[tuple[Done, _Request, Future[Answered | None] | None]] = deque()

        def hand_on(least: int) -> None:
            while len(waiting) > least:
                done, request, future = waiting.popleft()
                answered = ask(request) if future is None else future.result()
                if answered is not None:
                    writer.put(done, request, answered)
                    if on_scored is not None:
                        on_scored(request.places, request.labels, answered.probabilities)
                if on_rows is not None:
                    on_rows(request.rows_read)

        try:
            for done, request in _ahead(reading, _read(work, parts, given)):
                if request is None:
                    hand_on(0)
                    writer.end(done)
                    continue
                future = asking.submit(ask, request) if in_flight > 1 else None
                waiting.append((done, request, future))
                hand_on(in_flight - 1)
        finally:
            for _, _, future in waiting:
                if future is not None:
                    future.cancel()
    return writer.finished


class _Writer:
    """Writes the parts of a scoring in order, in a thread of its own; nothing after a failure."""

    def __init__(self, work: Work) -> None:
        self.finished: list[Done] = []
        self._work, self._layout = work, _schema(work)
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        # the part that is being written
        self._part, self._file = ExitStack(), None
        self._has_failed = False

    def put(self, done: Done, request: _Request, answered: Answered) -> None:
        """Write the rows of a batch soon."""
        self._submit(self._put, done, request, answered)

    def end(self, done: Done) -> None:
        """Finish a part soon."""
        self._submit(self._end, done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.shutdown()
        with self._part:
            if error is not None:
                raise error
            while self._waiting:
                self._waiting.popleft().result()

    def _submit(self, act: Callable[..., None], *of: Any) -> None:
        if len(self._waiting) == AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._unless_failed, act, *of))

    def _unless_failed(self, act: Callable[..., None], *of: Any) -> None:
        if self._has_failed:
            return
        try:
            act(*of)
        except BaseException:
            self._has_failed = True
            raise

    def _put(self, done: Done, request: _Request, answered: Answered) -> None:
        table = _written(self._work, request, answered, self._layout, done)
        self._opened(done).write_table(table)

    def _end(self, done: Done) -> None:
        self._opened(done)
        self._part.close()
        self._file = None
        self._work.place.note(done.number, asdict(done))
        self.finished.append(done)

    def _opened(self, done: Done) -> Any:
        if self._file is None:
            self._file = self._part.enter_context(self._work.place.part(done.number, self._layout))
        return self._file


def _read(
    work: Work, parts: Sequence[Part], given: Iterable[Batch] | None
) -> Iterator[tuple[Done, _Request | None]]:
    """Yield the scorable rows of each batch of each part, and None after a part."""
    for part in parts:
        done = Done(part.number)
        for batch in _batches(work, part) if given is None else given:
            yield done, _prepared(work, batch, done)
        yield done, None


def _ahead(
    pool: ThreadPoolExecutor, unread: Iterator[tuple[Done, _Request | None]]
) -> Iterator[tuple[Done, _Request | None]]:
    """Yield items while the next one is read."""
    following = pool.submit(next, unread, None)
    while (item := following.result()) is not None:
        following = pool.submit(next, unread, None)
        yield item


@dataclass(frozen=True)
class _Request:
    """The scorable rows of a batch, their positions in the source, and their labels or NaN."""

    rows: pd.DataFrame
    keys: Any
    places: Ints
    labels: Floats
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
            if not (empty := _missing(clean[name])).any():
                continue
            empty &= keeps
            done.skipped += int(empty.sum())
            keeps &= ~empty
        if work.formulas:
            _leave_out_gaps(work, batch, clean, keeps, done)
    rows, keys = clean, batch.keys
    places = np.arange(batch.first_row, batch.first_row + len(clean))
    if not keeps.all():
        rows, places = clean[keeps], places[keeps]
        keys = None if keys is None else keys.filter(pyarrow.array(keeps))
    if work.levels:
        new_rows, counts = new_levels.count(rows, work.levels)
        done.new_rows += new_rows
        done.new_levels = new_levels.added(done.new_levels, counts)
    name = request_id(work.scoring, batch.first_row)
    labels = rows[work.target].to_numpy(np.float64) if work.target else np.full(len(rows), np.nan)
    return _Request(rows, keys, places, labels, name, len(clean))


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
        own_columns.LABEL: request.labels,
    }
    sum_of_all = float(answered.probabilities.sum())
    complete = () if math.isnan(sum_of_all) else (own_columns.PROBABILITY,)
    arrays = [
        values[column.name]
        if isinstance(values[column.name], pyarrow.Array)
        else pyarrow.array(
            values[column.name], column.type, from_pandas=column.name not in complete
        )
        for column in layout
    ]
    done.rows += number
    done.labelled += number - arrays[-1].null_count
    done.probability += sum_of_all
    done.positive += int(answered.labels.sum())
    done.latencies.append(answered.latency_ms)
    return pyarrow.Table.from_arrays(arrays, schema=layout)


def _leave_out_gaps(
    work: Work, batch: Batch, clean: pd.DataFrame, keeps: npt.NDArray[np.bool_], done: Done
) -> None:
    """Exclude rows for which an engineered feature has no value, as after a division by zero."""
    from core.platform import served_model

    computed = [name for name in work.features if name in work.formulas]
    # rows with a fault are left out already
    inputs, _ = served_model.settled(
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
    """Return the ids of a request's rows as an Arrow column: `<request>-0`, `<request>-1`, ...

    Examples
    --------
    >>> _ids("ab" * 16, 11).to_pylist()[::10] == ["ab" * 16 + "-0", "ab" * 16 + "-10"]
    True
    """
    import pyarrow

    offsets, texts, runs = _id_texts(max(rows, 65_536))
    texts = texts[: int(offsets[rows])].copy()
    written = np.frombuffer(request.encode(), dtype=_REQUEST)[0]
    for first, count, width in runs:
        if first < rows:
            # one strided assignment for all ids of the same length
            np.ndarray(min(count, rows - first), _REQUEST, texts, int(offsets[first]), (width,))[
                :
            ] = written
    buffers = [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(texts)]
    return pyarrow.StringArray.from_buffers(rows, buffers[1], buffers[2])


@lru_cache(maxsize=4)
def _id_texts(rows: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8], Any]:
    """Return the ids of a request without its own part: offsets, characters, and runs.

    A run is the first row, number and length of consecutive ids of the same length.
    """
    empty = " " * _REQUEST.itemsize
    texts = np.frombuffer("".join(f"{empty}-{row}" for row in range(rows)).encode(), np.uint8)
    starts = [0, *(10**digits for digits in range(1, len(str(rows - 1)))), rows]
    runs = [
        (first, end - first, _REQUEST.itemsize + 1 + len(str(first)))
        for first, end in itertools.pairwise(starts)
    ]
    lengths = np.concatenate([np.full(count, width) for _, count, width in runs])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return offsets, texts, runs
