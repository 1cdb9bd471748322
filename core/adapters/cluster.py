"""The only import of Dask: candidates fitted, and parts scored, side by side on a cluster.

What a worker sends back is unpickled here, and what is sent there is run there: an address of a
cluster is a matter of trust, as a database's is.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import platform
import queue
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from core import schema
from core.adapters import automl, batches, output_parts, scorer
from core.adapters.batches import Part
from core.errors import CourtsideError, InputError, JobError

SETTING = "COURTSIDE_DASK"
# for an address, and for a first worker
ANSWER_SECONDS = 5.0
# a worker that dies may be started again by its nanny
LONELY_SECONDS = 10.0
# for what a worker has made to arrive here
FETCH_SECONDS = 120.0
LOOK_SECONDS = 0.5
# what the figures of a candidate depend on, and what its model file is read with
PACKAGES = (
    "distributed", "cloudpickle", "pycaret", "scikit-learn", "lightgbm", "numpy", "pandas", "scipy",
)  # fmt: skip
_INSTEAD = f"or take {SETTING} away: then the candidates are fitted one by one, here."
_SCORE_INSTEAD = "or score in process."
# one training at a time in a worker's process: PyCaret sets the seeds of the whole process
_ALONE = threading.Lock()
_TRAINERS: WeakKeyDictionary[Callable[..., automl.Trainer], automl.Trainer] = WeakKeyDictionary()

Outcome = tuple[str, Callable[[], automl.Fitted]]


def fit_all(
    address: str,
    make: Callable[..., automl.Trainer],
    candidates: Mapping[str, Mapping[str, Any]],
    *,
    deadline: float | None = None,
    on_wait: Callable[[int], None] | None = None,
) -> Generator[Outcome, None, None]:
    """Fit candidates as one Dask task each; yield them as they are done.

    What is not done when the iteration is closed, or at the deadline, is cancelled: a worker ends
    it with the fold that it is at. A task whose worker dies is begun anew by another one.

    Parameters
    ----------
    address : str
        Of the scheduler, e.g. `tcp://127.0.0.1:8786`; for `tls://` Dask's own configuration names
        the certificates.
    make : callable
        Returns a Trainer, given `on_fold`. It is sent to every worker once, with the training set
        in it, so it must be a `functools.partial` or the like that can be pickled.
    candidates : mapping of str to mapping
        PyCaret's id of a model, and its parameters.
    deadline : float, optional
        Moment of `time.monotonic`.
    on_wait : callable, optional
        Called about twice a second with the number of workers.

    Yields
    ------
    tuple of str and callable
        The candidate, and what returns it or raises InputError or OutOfTime, as `Trainer.fit`.

    Raises
    ------
    InputError
        When no cluster answers at the address, or its workers are not fit for this work.
    JobError
        When the cluster is lost before all is done.
    """
    with _lost_is_told(address), _connected(address) as client:
        _check(client, address)
        sent = _sent(client, make)
        tasks = _Tasks(client, sent, candidates)
        waiting = dict.fromkeys(candidates)
        alone_since = None
        tasks.fill(len(client.nthreads()))
        try:
            while waiting:
                left = LOOK_SECONDS if deadline is None else deadline - time.monotonic()
                with suppress(queue.Empty):
                    name, future = tasks.ended.get(timeout=min(max(left, 0), LOOK_SECONDS))
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
                    raise JobError(
                        f"No worker is left on the Dask cluster at {address}, and {len(waiting)} "
                        f"of {len(candidates)} candidates are not fitted. What is done is kept in "
                        "its runs. Start a worker (its log may say why the last one ended) and "
                        f"train again, {_INSTEAD}"
                    )
                tasks.fill(workers)
                if on_wait is not None:
                    on_wait(workers)
        finally:
            tasks.cancel()


def score_all(
    address: str,
    work: scorer.Work,
    parts: Sequence[Part],
    which: scorer.Scorer,
    on_rows: Callable[[int], None],
) -> list[scorer.Done]:
    """Score parts as one Dask task each; the workers read and write them.

    What is not done when this ends early is cancelled; a task whose worker dies is begun anew by
    another one.

    Parameters
    ----------
    on_rows : callable
        Told the number of rows of each part that is done.

    Raises
    ------
    InputError
        When no cluster answers at the address, or its workers are not fit for this work.
    JobError
        When the cluster is lost before all is done.
    """
    import distributed

    done = []
    with _lost_is_told(address, _SCORE_INSTEAD), _connected(address, _SCORE_INSTEAD) as client:
        _check(client, address, _SCORE_INSTEAD)
        sent = _sent(client, (work, which))
        rows = {part.number: part.rows for part in parts}
        futures = [client.submit(_score, sent, part, pure=False) for part in parts]
        try:
            for future in distributed.as_completed(futures, loop=client.loop):
                error = future.exception(timeout=FETCH_SECONDS)
                if isinstance(error, CourtsideError):
                    raise error
                if error is not None:
                    reason = " ".join(str(error).split())[:300]
                    raise JobError(
                        f"A part cannot be scored on a Dask worker: {reason} Finished parts are "
                        "kept. Set that right, and go on with this scoring."
                    ) from error
                done.append(future.result(timeout=FETCH_SECONDS))
                on_rows(rows[done[-1].number])
        finally:
            with suppress(Exception):
                client.cancel(futures)
    return done


def _sent(client: Any, value: object) -> Any:
    """Return what stands for a value on the cluster, whichever of its workers end.

    What is scattered to all workers does not outlive them: Dask soon keeps one copy alone, and
    gives up all that needs it when that worker ends. The result of a task is made again.
    """
    with warnings.catch_warnings():
        # that it is large, and to scatter it instead
        warnings.simplefilter("ignore")
        return client.submit(_itself, value, pure=False)


def _itself(value: object) -> object:
    return value


def _score(sent: tuple[scorer.Work, scorer.Scorer], part: Part) -> scorer.Done:
    work, which = sent
    return scorer.score_part(work, part, which)


class _Tasks:
    """A task for each candidate, at most as many at a time as there are workers.

    Dask itself would share them all out at once, and leave some behind a long one.
    """

    def __init__(self, client: Any, sent: Any, candidates: Mapping[str, Mapping[str, Any]]) -> None:
        self.ended: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._client, self._sent = client, sent
        self._todo = [(name, dict(params)) for name, params in candidates.items()]
        self._running: dict[Any, str] = {}
        self._most = 0
        # Dask calls back in a thread of its own
        self._lock = threading.Lock()

    def fill(self, workers: int) -> None:
        """Begin what there are workers for."""
        with self._lock:
            self._most = workers
            self._begin()

    def cancel(self) -> None:
        """Begin nothing more, and cancel what is not done."""
        with self._lock:
            self._todo.clear()
            # the cluster may be gone
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
            # at a fault here `fill` tries again where it is seen
            with suppress(Exception):
                self._begin()
        self.ended.put((name, future))


def _out_of_time() -> automl.Fitted:
    raise automl.OutOfTime


def _outcome(name: str, future: Any) -> Callable[[], automl.Fitted]:
    """Return what gives a finished task's candidate, or raises why there is none.

    Raises
    ------
    CancelledError
        When the cluster has given the task up.
    """
    import distributed

    error: Exception | None = None
    if future.status == "error":
        error = future.exception(timeout=FETCH_SECONDS)
        if isinstance(error, distributed.KilledWorker):
            error = InputError(
                f"'{name}' was given to {error.allowed_failures + 1} Dask workers, and each of "
                "them ended: out of memory, perhaps. Give them more, or leave it out."
            )
    else:
        found = future.result(timeout=FETCH_SECONDS)
        if isinstance(found, automl.Fitted):
            return lambda: found
        error = InputError(found)

    def tell() -> automl.Fitted:
        if isinstance(error, CourtsideError):
            raise error
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"'{name}' cannot be fitted on a Dask worker: {reason}") from error

    return tell


def _fit(
    make: Callable[..., automl.Trainer], name: str, params: Mapping[str, Any]
) -> automl.Fitted | str:
    """Fit a candidate, in a worker; return it, or why it cannot be."""
    with _ALONE:
        try:
            _end_if_unwanted()
            trainer = _TRAINERS.get(make)
            if trainer is None:
                # kept as long as the worker holds the rows: PyCaret's set-up is slow
                trainer = _TRAINERS[make] = make(on_fold=_end_if_unwanted)
            return trainer.fit(name, params)
        except InputError as error:
            return error.message
        except automl.OutOfTime:
            return f"'{name}' was cancelled."


def _end_if_unwanted() -> None:
    """Raise OutOfTime when the task was cancelled or nobody waits for it: Dask ends no thread."""
    from distributed import get_worker

    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    if task is None or task.state == "cancelled":
        raise automl.OutOfTime


async def _kind_of(address: str) -> str:
    """Return what answers at an address: `Scheduler`, `Worker` or `Nanny`."""
    import distributed
    from distributed.comm import connect

    keys = distributed.Security().get_connection_args("client")
    comm = await connect(address, timeout=ANSWER_SECONDS, **keys)
    try:
        await comm.write({"op": "identity", "reply": True})
        return str((await comm.read())["type"])
    finally:
        comm.abort()


@contextmanager
def _connected(address: str, instead: str = _INSTEAD) -> Iterator[Any]:
    import distributed

    try:
        # a Client waits for ever for a program that listens and says nothing
        kind = asyncio.run(asyncio.wait_for(_kind_of(address), ANSWER_SECONDS))
        if kind != "Scheduler":
            raise ConnectionError(f"a Dask {kind.lower()}")
        with warnings.catch_warnings():
            # versions that differ are told by `_check`
            warnings.simplefilter("ignore")
            client = distributed.Client(
                address, timeout=ANSWER_SECONDS, set_as_default=False, name="courtside"
            )
    except Exception as error:
        raise InputError(
            f"No Dask scheduler answers at {address} ({SETTING}). Start it, {instead}"
        ) from error
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=2)


@contextmanager
def _lost_is_told(address: str, instead: str = _INSTEAD) -> Iterator[None]:
    again = "score" if instead == _SCORE_INSTEAD else "train"
    try:
        yield
    except (OSError, CancelledError) as error:
        raise JobError(
            f"The Dask cluster at {address} was lost, or all workers that held what it works on "
            f"ended ({type(error).__name__}). What is done is kept in its runs. See whether it "
            f"runs, and in the workers' logs why one ended (memory, perhaps); {again} again, "
            f"{instead}"
        ) from error


def _check(client: Any, address: str, instead: str = _INSTEAD) -> None:
    """Refuse a cluster that would not fit what is fitted here.

    Raises
    ------
    InputError
        When there is no worker, or one, or the scheduler, lacks this code or has other packages.
    """
    import distributed

    try:
        client.wait_for_workers(1, timeout=ANSWER_SECONDS)
    except distributed.TimeoutError as error:
        raise InputError(
            f"The Dask scheduler at {address} has no workers. Start some in the app's folder, as "
            f"the README tells at {SETTING}, {instead}"
        ) from error
    here = _about()
    # the scheduler reads the tasks too
    there = {f"scheduler at {address}": _told_by_scheduler(client)}
    there |= {
        f"worker at {worker}": told
        for worker, told in client.run(_about, on_error="return").items()
    }
    for which, found in there.items():
        if isinstance(found, Exception):
            reason = " ".join(str(found).split())[:200]
            raise InputError(
                f"The Dask {which} does not find this app's code, or what it needs "
                f"({reason}). Start it in the app's folder, with `PYTHONPATH=.` and the packages "
                f"of requirements.txt, {instead}"
            )
        if others := [
            f"{name} {found.get(name)} instead of {version}"
            for name, version in here.items()
            if found.get(name) != version
        ]:
            raise InputError(
                f"The Dask {which} has {', '.join(others)}; its figures could differ. "
                "Give it the app's code and the packages of requirements.txt, start it again, "
                f"{instead}"
            )


def _told_by_scheduler(client: Any) -> Any:
    try:
        return client.run_on_scheduler(_about)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, `_check` tells it
        return error


@lru_cache
def _about() -> dict[str, str]:
    """Return the versions of all that decides what a fit comes to; of this code, its digest."""
    versions = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "none"
    text = "".join(
        Path(str(module.__file__)).read_text(encoding="utf-8")
        for module in (sys.modules[__name__], automl, scorer, batches, output_parts, schema)
    )
    return {**versions, "code": hashlib.sha256(text.encode()).hexdigest()[:8]}
