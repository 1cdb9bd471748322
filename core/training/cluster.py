"""Parallel fitting of candidates on a Dask cluster."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from core.jobs import cluster, jobs
from core.platform.errors import CourtsideError, InputError, JobError
from core.platform.messages import Message, Words
from core.training import automl

# their code must be the same on the workers
MODULES = (
    "core.training.cluster",
    "core.training.automl",
    "core.training.sample_weights",
    "core.stats.weighted_figures",
    "core.platform.schema",
    "core.platform.own_columns",
)
# a worker that dies may be restarted by its nanny
LONELY_SECONDS = 10.0
POLL_SECONDS = 0.5
# one training at a time per worker process: PyCaret sets the seeds of the whole process
_ALONE = threading.Lock()
_TRAINERS: WeakKeyDictionary[Callable[..., automl.Trainer], automl.Trainer] = WeakKeyDictionary()

Outcome = tuple[str, Callable[[], automl.Fitted]]


def fit_all(
    address: str,
    new_trainer: Callable[..., automl.Trainer],
    candidates: Mapping[str, Mapping[str, Any]],
    *,
    deadline: float | None = None,
    on_wait: Callable[[int], None] | None = None,
) -> Generator[Outcome, None, None]:
    """Fit candidates as one Dask task each; yield them as they finish.

    Unfinished tasks are cancelled when the iteration is closed, or at the deadline: a worker stops
    at the end of the current fold. A task whose worker dies is restarted by another worker.

    Parameters
    ----------
    address : str
        Of the scheduler, e.g. `tcp://127.0.0.1:8786`; for `tls://` Dask's own configuration names
        the certificates.
    new_trainer : callable
        Returns a Trainer, given `on_fold`. It is sent to every worker once, including the training
        set, so it must be picklable, e.g. a `functools.partial`.
    candidates : mapping of str to mapping
        PyCaret's id of a model, and its parameters.
    deadline : float, optional
        Value of `time.monotonic`.
    on_wait : callable, optional
        Called about twice a second with the number of workers.

    Yields
    ------
    tuple of str and callable
        The candidate's id, and a function that returns it or raises InputError or OutOfTime, as
        `Trainer.fit` does.

    Raises
    ------
    InputError
        When no cluster answers at the address, or its workers are unsuitable.
    JobError
        When the cluster is lost before all candidates are done.
    """
    with cluster.loss_reported(address), cluster.connected(address) as client:
        cluster.check(client, address, MODULES)
        sent = cluster.sent(client, new_trainer)
        tasks = _Tasks(client, sent, candidates)
        waiting = dict.fromkeys(candidates)
        alone_since = None
        tasks.fill(len(client.nthreads()))
        try:
            while waiting:
                left = POLL_SECONDS if deadline is None else deadline - time.monotonic()
                with suppress(queue.Empty):
                    name, future = tasks.ended.get(timeout=min(max(left, 0), POLL_SECONDS))
                    del waiting[name]
                    yield name, _outcome(name, future)
                    continue
                if left <= 0:
                    tasks.cancel()
                    yield from ((name, _out_of_time) for name in waiting)
                    return
                workers = len(client.nthreads())
                alone_since = None if workers else alone_since or time.monotonic()
                if alone_since and time.monotonic() - alone_since > LONELY_SECONDS:
                    raise JobError(cluster.no_workers(address))
                tasks.fill(workers)
                if on_wait is not None:
                    on_wait(workers)
        finally:
            tasks.cancel()


class _Tasks:
    """One task per candidate, at most as many at a time as there are workers.

    Dask itself would assign them all at once, and some would wait behind a long one.
    """

    def __init__(self, client: Any, sent: Any, candidates: Mapping[str, Mapping[str, Any]]) -> None:
        self.ended: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._client, self._sent = client, sent
        self._todo = [(name, dict(params)) for name, params in candidates.items()]
        self._running: dict[Any, str] = {}
        self._most = 0
        # Dask runs callbacks in a separate thread
        self._lock = threading.Lock()

    def fill(self, workers: int) -> None:
        """Start as many tasks as there are workers."""
        with self._lock:
            self._most = workers
            self._begin()

    def cancel(self) -> None:
        """Start nothing more, and cancel unfinished tasks."""
        with self._lock:
            self._todo.clear()
            # the cluster may be lost
            with suppress(Exception):
                self._client.cancel(list(self._running))

    def _begin(self) -> None:
        while self._todo and len(self._running) < self._most:
            name, params = self._todo[0]
            key = f"courtside-{name}-{uuid.uuid4().hex}"
            future = self._client.submit(_fit, self._sent, name, params, pure=False, key=key)
            del self._todo[0]
            self._running[future] = name
            future.add_done_callback(self._end)

    def _end(self, future: Any) -> None:
        with self._lock:
            name = self._running.pop(future)
            # after an error here, `fill` tries again where the error is visible
            with suppress(Exception):
                self._begin()
        self.ended.put((name, future))


def _out_of_time() -> automl.Fitted:
    raise automl.OutOfTime


def _outcome(name: str, future: Any) -> Callable[[], automl.Fitted]:
    """Return a function that returns a finished task's candidate, or raises the task's error.

    Raises
    ------
    CancelledError
        When the cluster has given up the task.
    """
    import distributed

    error: Exception | None = None
    if future.status == "error":
        error = future.exception(timeout=cluster.FETCH_SECONDS)
        if isinstance(error, distributed.KilledWorker):
            error = InputError(
                Message(
                    "'{name}' crashed {workers} Dask workers, probably by running out of "
                    "memory. Give them more memory, or exclude it.",
                    name=name,
                    workers=error.allowed_failures + 1,
                )
            )
    else:
        outcome = future.result(timeout=cluster.FETCH_SECONDS)
        if isinstance(outcome, automl.Fitted):
            return lambda: outcome
        error = InputError(outcome)

    def result() -> automl.Fitted:
        if isinstance(error, CourtsideError):
            raise error
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            Message("'{name}' cannot be fitted: {reason}", name=name, reason=reason)
        ) from error

    return result


def _fit(
    new_trainer: Callable[..., automl.Trainer], name: str, params: Mapping[str, Any]
) -> automl.Fitted | Words:
    """Fit a candidate in a worker; return it, or the reason why it cannot be fitted."""
    with _ALONE:
        try:
            _end_if_unwanted()
            trainer = _TRAINERS.get(new_trainer)
            if trainer is None:
                # cached while the worker has the rows: PyCaret's set-up is slow
                trainer = _TRAINERS[new_trainer] = new_trainer(on_fold=_end_if_unwanted)
            return trainer.fit(name, params)
        except InputError as error:
            return error.message
        except automl.OutOfTime:
            return jobs.WAS_CANCELLED


def _end_if_unwanted() -> None:
    """Raise OutOfTime if the task was cancelled or is not awaited: Dask stops no thread."""
    from distributed import get_worker

    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    if task is None or task.state == "cancelled":
        raise automl.OutOfTime
