"""Scoring of rows in this process, by the served model's own code, and of a part of a large file.

A scorer can be sent to another process: what it answers is the same there, and what the server of
the version answers.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from core import schema
from core.adapters import batches, registry
from core.adapters.batches import Batch, Part, Source
from core.adapters.output_parts import Place
from core.adapters.tracking import ModelVersion
from core.config import Settings
from core.errors import InputError
from core.project import Column

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
# rejected rows that are listed; all are counted
LISTED = 10_000
# batches that wait to be written
AHEAD = 2


@dataclass(frozen=True)
class Answered:
    """What a model says of some rows, in their order.

    Parameters
    ----------
    probabilities : array of float
        Of label 1.
    labels : array of int
        0 or 1, at the model's threshold.
    latency_ms : float
        From the question to the whole answer.
    is_logged : bool
        Whether the predictions log has them by now, because a gateway has written them.
    """

    probabilities: Floats
    labels: Ints
    latency_ms: float
    is_logged: bool = False


class Answerer(Protocol):
    """What answers rows: a scorer, or a served model."""

    def __call__(self, rows: pd.DataFrame, keys: Any, request_id: str, /) -> Answered:
        """Return the answers for rows that have all that the model needs."""


@dataclass(frozen=True)
class Scorer:
    """A registered version that answers in this process, as its server would.

    Parameters
    ----------
    estimator : object
        Fitted classifier.
    config : dict
        What the served code works by: inputs, features, engineered, is_complete, threshold.
    """

    estimator: Any
    config: dict[str, Any]

    def score(self, frame: pd.DataFrame) -> Answered:
        """Score rows by the code that the server of the version runs.

        Raises
        ------
        InputError
            Where the server would refuse the rows.
        """
        from mlflow.exceptions import MlflowException

        begun = time.perf_counter()
        try:
            found = self._model().predict(None, frame)
        except MlflowException as error:
            raise InputError(str(error.message)) from error
        return Answered(
            found["probability"].to_numpy(),
            found["label"].to_numpy(),
            (time.perf_counter() - begun) * 1000,
        )

    def __call__(self, rows: pd.DataFrame, keys: Any, request_id: str) -> Answered:
        """Score rows; who asks does not matter here."""
        return self.score(rows)

    def _model(self) -> Any:
        from core.adapters import served_model

        model = served_model.ServedModel()
        model.config, model.estimator = self.config, self.estimator
        return model


def load(settings: Settings, version: ModelVersion) -> Scorer:
    """Return a registered version as a scorer; no code of its files is run.

    Raises
    ------
    StoreError
        When its files are not those that were registered, or hold what is not trusted.
    """
    found = registry.load(settings, version)
    config = {
        "inputs": dict(found.inputs),
        "engineered": {name: list(how) for name, how in found.engineered.items()},
        "features": list(found.feature_names),
        "is_complete": found.is_complete,
        "threshold": found.threshold,
    }
    return Scorer(found.estimator, config)


@dataclass(frozen=True)
class Work:
    """How the parts of a scoring are done; can be sent to another process.

    Parameters
    ----------
    scoring : str
        Its id, 32 hexadecimal digits; the ids of its requests come of it.
    source : Source or None
        What is read; None where the rows are given.
    columns : mapping of str to Column
        The model's inputs and, where there are labels, the target.
    names : mapping of str to str
        The source's name of each, and of the key.
    inputs : tuple of str
    target, key : str or None
        Where the rows have labels, and keys.
    features, formulas
        What the classifier sees, and how that is computed of the inputs.
    is_complete : bool
        Whether a row with a missing input is left out.
    place : Place
    keeps_inputs : bool
        Whether the result has the inputs too.
    batch_rows : int
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


@dataclass
class Done:
    """What came of a part; kept as JSON beside it.

    Parameters
    ----------
    rows, labelled, skipped, rejected : int
        Scored; of these with a label; left out for a missing value; left out for a wrong one.
    listed : list of [row, column, value, reason]
        The first of the rejected.
    probability : float
        Sum over the rows.
    positive : int
        Rows labelled 1.
    latencies : list of float
        Milliseconds of each request.
    logged : int
        Rows that a gateway says it has logged.
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
    logged: int = 0


def score_part(
    work: Work,
    part: Part,
    answer: Answerer,
    on_rows: Callable[[int], None] | None = None,
    given: Iterable[Batch] | None = None,
    in_flight: int = 1,
) -> Done:
    """Read a part, score its rows and write them; what is there at the end is the whole part.

    Rows that cannot be scored are listed and left out.

    Parameters
    ----------
    answer : callable
        What scores; `Scorer` or a served model.
    on_rows : callable, optional
        Told the number of rows after each batch; may raise to end it.
    given : iterable of Batch, optional
        The rows, where there is no source.
    in_flight : int
        Batches that are asked at the same time.

    Raises
    ------
    InputError, ServerError, StoreError
        When the part cannot be read, scored or written; nothing of it is left then.
    """
    done = Done(part.number)
    layout = _schema(work)

    def put(asked: _Asked, found: Answered | None) -> None:
        if found is not None:
            writer.write_table(_written(work, asked, found, layout, done))

    def ask(asked: _Asked) -> Answered | None:
        if asked.rows.empty:
            return None
        inputs = pd.DataFrame({name: asked.rows[name] for name in work.inputs}, copy=False)
        return answer(inputs, asked.keys, asked.request_id)

    with work.place.part(part.number, layout) as writer, ExitStack() as stack:
        # reading, scoring and writing go on side by side: Arrow does its part without Python
        reading, writing = (stack.enter_context(ThreadPoolExecutor(1)) for _ in range(2))
        found = iter(_batches(work, part) if given is None else given)
        batches_read = _ahead(reading, found)
        written: deque[Future[None]] = deque()

        def hand_on(asked: _Asked, answered: Answered | None) -> None:
            if len(written) == AHEAD:
                written.popleft().result()
            written.append(writing.submit(put, asked, answered))
            if on_rows is not None:
                on_rows(asked.rows_read)

        if in_flight == 1:
            for batch in batches_read:
                asked = _prepared(work, batch, done)
                hand_on(asked, ask(asked))
        else:
            pool = stack.enter_context(ThreadPoolExecutor(in_flight))
            waiting: deque[tuple[_Asked, Future[Answered | None]]] = deque()
            try:
                for batch in batches_read:
                    asked = _prepared(work, batch, done)
                    waiting.append((asked, pool.submit(ask, asked)))
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


def _ahead(pool: ThreadPoolExecutor, found: Iterator[Batch]) -> Iterator[Batch]:
    """Yield batches, the next of which is read meanwhile."""
    following = pool.submit(next, found, None)
    while (batch := following.result()) is not None:
        following = pool.submit(next, found, None)
        yield batch


@dataclass(frozen=True)
class _Asked:
    """Rows of a batch that can be scored, and where they stand in the source."""

    rows: pd.DataFrame
    keys: Any
    places: Ints
    request_id: str
    rows_read: int


def total(done: Iterable[Done]) -> Done:
    """Return what came of several parts together."""
    found = Done(-1)
    for one in sorted(done, key=lambda one: one.number):
        for name in (
            "rows",
            "labelled",
            "skipped",
            "rejected",
            "probability",
            "positive",
            "logged",
        ):
            setattr(found, name, getattr(found, name) + getattr(one, name))
        found.latencies += one.latencies
        found.listed = [*found.listed, *one.listed][:LISTED]
    return found


def request_id(scoring: str, first_row: int) -> str:
    """Return the id of the request that begins with a row: the same at every attempt.

    Examples
    --------
    >>> request_id("0" * 32, 0) == request_id("0" * 32, 0) != request_id("0" * 32, 1)
    True
    """
    return uuid.uuid5(uuid.UUID(hex=scoring), str(first_row)).hex


def _batches(work: Work, part: Part) -> Iterable[Batch]:
    assert work.source is not None  # or rows are given
    texts = [work.names[name] for name, one in work.columns.items() if one.type in ("text", "date")]
    found = batches.read(
        work.source, part, [work.names[name] for name in work.columns], texts=texts,
        key=work.names[work.key] if work.key else None, batch_rows=work.batch_rows,
    )  # fmt: skip
    for batch in found:
        frame = batch.frame
        frame.columns = list(work.columns)
        yield Batch(batch.first_row, frame, batch.keys)


def _prepared(work: Work, batch: Batch, done: Done) -> _Asked:
    """Leave out and list the rows of a batch that cannot be scored."""
    import pyarrow

    clean, refused = schema.usable(batch.frame, work.columns)
    keeps = np.ones(len(clean), dtype=bool)
    for one in refused:
        _list(done, batch, batch.frame[one.column], one.rows & keeps, one.reason)
        keeps &= ~one.rows
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
    name = request_id(work.scoring, batch.first_row)
    return _Asked(rows, keys, batch.first_row + np.flatnonzero(keeps), name, len(clean))


def _written(work: Work, asked: _Asked, found: Answered, layout: Any, done: Done) -> Any:
    """Return what the result has of scored rows, and count them."""
    import pyarrow

    rows, number = asked.rows, len(asked.rows)
    taken: dict[str, Any] = {
        "prediction_id": _ids(asked.request_id, number),
        "row": asked.places,
        "row_key": pyarrow.nulls(number, pyarrow.string()) if asked.keys is None else asked.keys,
        **({name: rows[name] for name in work.inputs} if work.keeps_inputs else {}),
        "probability": found.probabilities,
        "predicted": found.labels,
        "label": rows[work.target] if work.target else np.full(number, np.nan),
    }
    arrays = [
        taken[one.name]
        if isinstance(taken[one.name], pyarrow.Array)
        else pyarrow.array(taken[one.name], one.type, from_pandas=True)
        for one in layout
    ]
    done.rows += number
    done.labelled += number - arrays[-1].null_count
    done.probability += float(found.probabilities.sum())
    done.positive += int(found.labels.sum())
    done.latencies.append(found.latency_ms)
    done.logged += number if found.is_logged else 0
    return pyarrow.Table.from_arrays(arrays, schema=layout)


def _leave_out_gaps(
    work: Work, batch: Batch, clean: pd.DataFrame, keeps: npt.NDArray[np.bool_], done: Done
) -> None:
    """Leave out rows for which a computed feature has no value, as a division by zero has none."""
    from core.adapters import served_model

    computed = [name for name in work.features if name in work.formulas]
    inputs = served_model.checked(
        clean, {name: "text" if work.columns[name].is_text else "number" for name in work.inputs},
        is_complete=False,
    )  # fmt: skip
    features = served_model.with_features(inputs, computed, work.formulas)
    for name in computed:
        empty = _missing(features[name]) & keeps
        if empty.any():
            _list(done, batch, features[name], empty, "cannot be computed for this row")
            keeps &= ~empty


def _list(
    done: Done, batch: Batch, values: pd.Series[Any], wrong: npt.NDArray[np.bool_], reason: str
) -> None:
    places = np.flatnonzero(wrong)
    done.rejected += len(places)
    for place in places[: LISTED - len(done.listed)].tolist():
        value = values.iloc[place]
        shown = "" if pd.isna(value) else str(value)[:80]
        done.listed.append((batch.first_row + place, str(values.name), shown, reason))


def _missing(values: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    if isinstance(values.dtype, np.dtype) and values.dtype.kind == "f":
        return np.asarray(np.isnan(values.to_numpy()), dtype=bool)
    return np.asarray(values.isna(), dtype=bool)


def _schema(work: Work) -> Any:
    import pyarrow

    def kind(column: Column) -> Any:
        if column.is_text:
            return pyarrow.string()
        # a whole number that may be missing is a float in pandas
        whole = column.type == "integer" and work.is_complete
        return pyarrow.int64() if whole else pyarrow.float64()

    inputs = [(name, kind(work.columns[name])) for name in work.inputs]
    return pyarrow.schema(
        [
            ("prediction_id", pyarrow.string()),
            ("row", pyarrow.int64()),
            ("row_key", pyarrow.string()),
            *(inputs if work.keeps_inputs else []),
            ("probability", pyarrow.float64()),
            ("predicted", pyarrow.int64()),
            ("label", pyarrow.float64()),
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
