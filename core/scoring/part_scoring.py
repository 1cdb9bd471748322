"""Scoring the parts of a large file: rows are read, checked, scored and handed to the writer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform import row_faults, schema
from core.platform.messages import Message, dumps
from core.scoring import batches, new_levels, output_parts
from core.scoring.batches import Batch, Part
from core.scoring.part_records import LISTED, Done, Request, Work, request_id
from core.scoring.result_writer import Writer
from core.scoring.scorer import Answered, Answerer, Floats, Ints, Scorer, one_blas_thread


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

    def ask(request: Request) -> Answered | None:
        if request.rows.empty:
            return None
        inputs = pd.DataFrame({name: request.rows[name] for name in work.inputs}, copy=False)
        return answer(inputs, request.keys, request.request_id)

    blas: AbstractContextManager[object] = nullcontext()
    if isinstance(answer, Scorer):
        answer = answer.without_checks(work.columns)
        blas = one_blas_thread(answer)
    # reading, scoring and writing run in parallel: Arrow does its part without the GIL
    with (
        output_parts.wrap_write_errors(work.place.address),
        blas,
        ThreadPoolExecutor(1) as reading,
        ThreadPoolExecutor(in_flight) as asking,
        Writer(work) as writer,
    ):
        waiting: deque[tuple[Done, Request, Future[Answered | None] | None]] = deque()

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


def _read(
    work: Work, parts: Sequence[Part], given: Iterable[Batch] | None
) -> Iterator[tuple[Done, Request | None]]:
    """Yield the scorable rows of each batch of each part, and None after a part."""
    for part in parts:
        done = Done(part.number)
        for batch in _batches(work, part) if given is None else given:
            yield done, _prepared(work, batch, done)
        yield done, None


def _ahead(
    pool: ThreadPoolExecutor, unread: Iterator[tuple[Done, Request | None]]
) -> Iterator[tuple[Done, Request | None]]:
    """Yield items while the next one is read."""
    following = pool.submit(next, unread, None)
    while (item := following.result()) is not None:
        following = pool.submit(next, unread, None)
        yield item


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


def _prepared(work: Work, batch: Batch, done: Done) -> Request:
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
    return Request(rows, keys, places, labels, name, len(clean))


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
