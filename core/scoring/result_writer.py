"""Writing scored rows as the parts of a result: columns, ids, and the thread that writes."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from core.platform import own_columns
from core.platform.project import Column
from core.scoring.part_records import Done, Request, Work
from core.scoring.scorer import Answered

# batches waiting to be written
AHEAD = 2
# a request id in bytes
_REQUEST = np.dtype("V32")


class Writer:
    """Writes the parts of a scoring in order, in a thread of its own; nothing after a failure."""

    def __init__(self, work: Work) -> None:
        self.finished: list[Done] = []
        self._work, self._layout = work, _schema(work)
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        # the part that is being written
        self._part, self._file = ExitStack(), None
        self._has_failed = False

    def put(self, done: Done, request: Request, answered: Answered) -> None:
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

    def _put(self, done: Done, request: Request, answered: Answered) -> None:
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


def _written(work: Work, request: Request, answered: Answered, layout: Any, done: Done) -> Any:
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
