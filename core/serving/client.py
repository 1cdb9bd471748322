"""Client of a served model."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
import requests
from urllib3.exceptions import NewConnectionError

from core.platform import permissions, row_faults, rows
from core.platform.errors import InputError, ServerError
from core.platform.messages import Message, Words
from core.platform.rows import Fault, Rule, rule_of
from core.serving.protocol import BROKEN, NO_MODEL

CONNECT_SECONDS = 3.0
TRIES = 3
FIRST_WAIT_SECONDS = 0.2
REASON_LENGTH = 300
# the fastest, see docs/decisions/0021
BATCH_ROWS, IN_FLIGHT = 20_000, 2
# status codes of an endpoint without a model
AWAY = (502, 503)

Form = Literal["json", "csv", "parquet"]
T = TypeVar("T")
R = TypeVar("R")


class UnreachableError(ServerError):
    """Nothing answers at the address now; it may after a start."""


@dataclass(frozen=True)
class Scored:
    """The predictions of the served model, in the order of the rows.

    Parameters
    ----------
    probabilities : ndarray of float64
        Probability of label 1.
    labels : ndarray of int64
        0 or 1, at the model's own threshold.
    latencies : ndarray of float64
        Milliseconds from sending each batch to its complete response, retries included.
    sizes : ndarray of int64
        Rows of each batch.
    is_logged : bool
        Whether an endpoint answered, which logs its predictions.
    is_delayed : bool
        Whether rows of a batch are still in the endpoint's memory, and would be lost if it ended.
    """

    probabilities: np.ndarray[Any, np.dtype[np.float64]]
    labels: np.ndarray[Any, np.dtype[np.int64]]
    latencies: np.ndarray[Any, np.dtype[np.float64]]
    sizes: np.ndarray[Any, np.dtype[np.int64]]
    is_logged: bool = False
    is_delayed: bool = False

    @property
    def batches(self) -> int:
        """Number of answered requests."""
        return len(self.sizes)


def ping(url: str, path: str = "/ping", timeout: float = 1.0) -> bool:
    """Return whether a server answers at a path: a model's, or any other with a health check."""
    try:
        with _session() as session:
            return bool(session.get(f"{url}{path}", timeout=timeout).status_code == 200)
    except requests.RequestException:
        return False


@permissions.needs("score")
def score(
    url: str,
    frame: pd.DataFrame,
    inputs: Mapping[str, str],
    *,
    is_complete: bool = True,
    batch_rows: int = BATCH_ROWS,
    timeout: float = 60.0,
    on_batch: Callable[[int, int], None] | None = None,
    form: Form = "parquet",
    in_flight: int = IN_FLIGHT,
    headers: Mapping[str, str] | None = None,
    request_id: str | None = None,
    keys: pd.Series[Any] | None = None,
    rules: Mapping[str, Rule] | None = None,
) -> Scored:
    """Score every row with the served model.

    A lost connection is retried, as scoring a row twice changes nothing; a refusal is not.

    Parameters
    ----------
    url : str
        Base address, e.g. `http://127.0.0.1:5001`.
    frame : DataFrame
        Rows; columns other than the inputs are not sent.
    inputs : mapping of str to {"number", "text"}
        Input columns of the model, in order.
    is_complete : bool
        Whether the model refuses missing values.
    batch_rows : int
        Rows per request, 1 or more.
    timeout : float
        Seconds per request.
    on_batch : callable, optional
        Called after each batch with the rows done and the total.
    form : {"json", "csv", "parquet"}
        Format of the requests; the predictions are the same.
    in_flight : int
        Concurrent requests, each on a connection of its own.
    request_id : str, optional
        32 hexadecimal digits; for rows that are sent as a single batch.
    keys : Series, optional
        The natural key, sent beside the inputs under the name of the series.
    rules : mapping of str to Rule, optional
        Permitted values of inputs, where more is known than their type.

    Raises
    ------
    InputError
        When an input is missing or has invalid values; nothing was sent.
    UnreachableError
        When no model answers.
    ServerError
        When the response is an error or has no valid predictions.
    """
    contract = {name: rule_of(kind) for name, kind in inputs.items()} | dict(rules or {})
    inputs_frame = _checked(frame, {name: contract[name] for name in inputs}, is_complete)
    if keys is not None:
        inputs_frame = inputs_frame.assign(**{str(keys.name): keys.to_numpy()})
    batches = [
        inputs_frame[first : first + batch_rows]
        for first in range(0, len(inputs_frame), batch_rows)
    ]
    sent_headers = {**(headers or {}), **({"X-Request-Id": request_id} if request_id else {})}
    probabilities, labels, latencies = [], [], []
    is_logged = is_delayed = False
    done = 0
    with ExitStack() as stack:
        sessions = _Sessions(stack)

        def ask(batch: pd.DataFrame) -> tuple[requests.Response, float]:
            body, kind = _encoded(batch, form)
            started = time.perf_counter()
            answer = _post(
                sessions.mine(), url, body, {"Content-Type": kind, **sent_headers}, timeout
            )
            return answer, (time.perf_counter() - started) * 1000

        several = min(in_flight, len(batches)) > 1
        pool = stack.enter_context(ThreadPoolExecutor(in_flight)) if several else None
        answers = _in_order(pool, ask, batches, in_flight) if pool else map(ask, batches)
        for batch, (answer, milliseconds) in zip(batches, answers, strict=True):
            probability, label = _read(answer, url, len(batch))
            is_logged = "X-Request-Id" in answer.headers
            is_delayed |= answer.headers.get("X-Prediction-Log") == "delayed"
            latencies.append(milliseconds)
            probabilities.append(probability)
            labels.append(label)
            done += len(batch)
            if on_batch is not None:
                on_batch(done, len(inputs_frame))
    return Scored(
        np.concatenate([np.empty(0, "float64"), *probabilities]),
        np.concatenate([np.empty(0, "int64"), *labels]),
        np.array(latencies, "float64"),
        np.array([len(batch) for batch in batches], "int64"),
        is_logged,
        is_delayed,
    )


class _Sessions:
    """A session per thread, all closed by the stack."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._own, self._lock = stack, threading.local(), threading.Lock()

    def mine(self) -> requests.Session:
        if not hasattr(self._own, "session"):
            with self._lock:
                self._own.session = self._stack.enter_context(_session())
        session: requests.Session = self._own.session
        return session


def _in_order(
    pool: ThreadPoolExecutor, ask: Callable[[T], R], items: Sequence[T], at_once: int
) -> Iterator[R]:
    """Yield the responses in the order of the requests, a few of which run concurrently."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            if len(waiting) == at_once:
                yield waiting.popleft().result()
            waiting.append(pool.submit(ask, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        # a failed batch ends the others
        for future in waiting:
            future.cancel()


@contextmanager
def _session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        # no proxy from the environment for connections to this machine
        session.trust_env = False
        yield session


def _encoded(rows: pd.DataFrame, form: Form) -> tuple[bytes, str]:
    """Return rows as the body of a request, and its content type."""
    if form == "parquet":
        import pyarrow
        import pyarrow.parquet

        sink = pyarrow.BufferOutputStream()
        table = pyarrow.Table.from_pandas(rows, preserve_index=False)
        # it never leaves this machine
        pyarrow.parquet.write_table(
            table, sink, compression="none", use_dictionary=False, write_statistics=False
        )
        return sink.getvalue().to_pybytes(), "application/vnd.apache.parquet"
    if form == "csv":
        return rows.to_csv(index=False).encode(), "text/csv"
    empty = rows.isna()
    cells = rows.astype("object").mask(empty, None) if empty.any(axis=None) else rows
    data = [list(row) for row in zip(*(cells[name].tolist() for name in cells), strict=True)]
    question = {"columns": list(rows), "data": data}
    return json.dumps({"dataframe_split": question}, allow_nan=False).encode(), "application/json"


def _checked(frame: pd.DataFrame, contract: Mapping[str, Rule], is_complete: bool) -> pd.DataFrame:
    """Return the inputs, numbers as floats; refuse what the endpoint would refuse."""
    if absent := [name for name in contract if name not in frame.columns]:
        names = {"absent": absent, "wanted": list(contract)}
        raise InputError(row_faults.message(Fault("absent_columns", params=names)))
    checked: dict[str, pd.Series[Any]] = {}
    faults: list[Fault] = []
    for name, rule in contract.items():
        values, column_faults = rows.read(frame[name], rule)
        empty = rows.missing(values, column_faults, name) if is_complete else None
        faults += [*column_faults, *([empty] if empty else [])]
        checked[name] = values if rule.is_text else values.astype("float64", copy=False)
    if faults:
        raise InputError(row_faults.all_of(faults))
    return pd.DataFrame(checked, index=frame.index, copy=False)


def _post(
    session: requests.Session, url: str, body: bytes, headers: Mapping[str, str], timeout: float
) -> requests.Response:
    for attempt in range(1, TRIES + 1):
        try:
            answer = session.post(
                f"{url}/invocations",
                data=body,
                headers=headers,
                timeout=(CONNECT_SECONDS, timeout),
                allow_redirects=False,
            )
            if answer.status_code in AWAY:
                raise UnreachableError(NO_MODEL)
            return answer
        except requests.ReadTimeout as error:
            raise ServerError(
                Message(
                    "The model did not answer within {seconds:g} seconds. Send fewer rows at a "
                    "time.",
                    seconds=timeout,
                )
            ) from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            if attempt == TRIES:
                raise UnreachableError(_lost(url, error)) from error
            time.sleep(FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def _lost(url: str, error: requests.RequestException) -> Message:
    cause = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.ConnectTimeout) or isinstance(cause, NewConnectionError):
        return _no_model(url)
    return BROKEN


def _read(
    answer: requests.Response, url: str, rows: int
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.int64]]]:
    if 400 <= answer.status_code < 500:
        raise ServerError(
            Message(
                "The model at {url} refused the rows: {reason}", url=url, reason=_reason(answer)
            )
        )
    if answer.status_code != 200:
        raise ServerError(_failed(url, answer))
    try:
        predictions = answer.json()["predictions"]
        probability = np.array([row["probability"] for row in predictions], dtype="float64")
        label = np.array([row["label"] for row in predictions], dtype="int64")
    except (ValueError, KeyError, TypeError) as error:
        raise ServerError(_no_model(url)) from error
    is_valid = ((probability >= 0) & (probability <= 1)).all() and np.isin(label, (0, 1)).all()
    if len(probability) != rows or not is_valid:
        raise ServerError(_no_model(url))
    return probability, label


def _no_model(url: str) -> Message:
    return Message(
        "No model answers at {url} with probabilities and labels. Start one on the Serve page.",
        url=url,
    )


def _failed(url: str, answer: requests.Response) -> Message:
    return Message(
        "The model at {url} failed with {status}: {reason} See its log on the Serve page.",
        url=url,
        status=answer.status_code,
        reason=_reason(answer),
    )


def _reason(answer: requests.Response) -> Words:
    """Return the server's own reason as one sentence, without its traceback and data."""
    try:
        text = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        text = answer.text
    # MLflow puts the rows and the schema before the reason
    text = " ".join(text.split()).rpartition("'. Error: ")[2]
    if not text:
        return "–"
    if len(text) > REASON_LENGTH:
        text = text[: REASON_LENGTH - 1] + "…"
    return text if text[-1] in ".!?…" else text + "."
