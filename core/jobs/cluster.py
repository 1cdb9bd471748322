"""The connection to a Dask cluster, and whether its workers are fit for the work.

What a worker sends back is unpickled here, and what is sent there is run there: an address of a
cluster is a matter of trust, as a database's is.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.metadata
import platform
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.platform.errors import InputError, JobError

SETTING = "COURTSIDE_DASK"
# for an address, and for a first worker
ANSWER_SECONDS = 5.0
# for what a worker has made to arrive here
FETCH_SECONDS = 120.0
# what the figures of a candidate depend on, and what its model file is read with
PACKAGES = (
    "distributed",
    "cloudpickle",
    "pycaret",
    "scikit-learn",
    "lightgbm",
    "numpy",
    "pandas",
    "scipy",
)


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
def connected(address: str, instead: str) -> Iterator[Any]:
    """Give a client of the scheduler at an address.

    Parameters
    ----------
    instead : str
        What a person can do without a cluster, the end of a sentence.

    Raises
    ------
    InputError
        When no scheduler answers there.
    """
    import distributed

    try:
        # a Client waits for ever for a program that listens and says nothing
        kind = asyncio.run(asyncio.wait_for(_kind_of(address), ANSWER_SECONDS))
        if kind != "Scheduler":
            raise ConnectionError(f"a Dask {kind.lower()}")
        with warnings.catch_warnings():
            # versions that differ are told by `check`
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
def loss_reported(address: str, again: str, instead: str) -> Iterator[None]:
    """Raise JobError when the cluster is lost meanwhile; `again` is the verb of what to do then."""
    try:
        yield
    except (OSError, CancelledError) as error:
        raise JobError(
            f"The Dask cluster at {address} was lost, or all workers that held what it works on "
            f"ended ({type(error).__name__}). What is done is kept in its runs. See whether it "
            f"runs, and in the workers' logs why one ended (memory, perhaps); {again} again, "
            f"{instead}"
        ) from error


def check(client: Any, address: str, instead: str, modules: tuple[str, ...]) -> None:
    """Refuse a cluster on which other code or packages would run.

    Parameters
    ----------
    modules : tuple of str
        Full names of modules whose code must be the same there.

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
    here = _about(modules)
    # the scheduler reads the tasks too
    answers = {f"scheduler at {address}": _asked_of_scheduler(client, modules)}
    answers |= {
        f"worker at {worker}": reply
        for worker, reply in client.run(_about, modules, on_error="return").items()
    }
    for which, answer in answers.items():
        if isinstance(answer, Exception):
            reason = " ".join(str(answer).split())[:200]
            raise InputError(
                f"The Dask {which} does not find this app's code, or what it needs "
                f"({reason}). Start it in the app's folder, with `PYTHONPATH=.` and the packages "
                f"of requirements.txt, {instead}"
            )
        if others := [
            f"{name} {answer.get(name)} instead of {version}"
            for name, version in here.items()
            if answer.get(name) != version
        ]:
            raise InputError(
                f"The Dask {which} has {', '.join(others)}; its figures could differ. "
                "Give it the app's code and the packages of requirements.txt, start it again, "
                f"{instead}"
            )


def _asked_of_scheduler(client: Any, modules: tuple[str, ...]) -> Any:
    try:
        return client.run_on_scheduler(_about, modules)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, `check` tells it
        return error


@lru_cache
def _about(modules: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of all that decides what a fit comes to; of the code, its digest."""
    versions = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "none"
    files = [Path(str(importlib.import_module(name).__file__)) for name in (__name__, *modules)]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    return {**versions, "code": hashlib.sha256(text.encode()).hexdigest()[:8]}


def sent(client: Any, value: object) -> Any:
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
