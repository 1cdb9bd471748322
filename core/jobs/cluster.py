"""The connection to a Dask cluster, and the check that its workers are suitable.

Results from a worker are unpickled here, and code sent there is run: like a database's, a cluster's
address must be trusted.
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
from core.platform.messages import Message

SETTING = "COURTSIDE_DASK"
# to connect, and for a first worker
ANSWER_SECONDS = 5.0
# for a worker's result to arrive
FETCH_SECONDS = 120.0
# what a candidate's metrics depend on, and what its model file is read with
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
    """Return the kind of server at an address: `Scheduler`, `Worker` or `Nanny`."""
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
def connected(address: str) -> Iterator[Any]:
    """Yield a client of the scheduler at an address.

    Raises
    ------
    InputError
        If no scheduler answers there.
    """
    import distributed

    try:
        # a Client waits forever for a program that listens and never answers
        kind = asyncio.run(asyncio.wait_for(_kind_of(address), ANSWER_SECONDS))
        if kind != "Scheduler":
            raise ConnectionError(f"a Dask {kind.lower()}")
        with warnings.catch_warnings():
            # `check` reports different versions
            warnings.simplefilter("ignore")
            client = distributed.Client(
                address, timeout=ANSWER_SECONDS, set_as_default=False, name="courtside"
            )
    except Exception as error:
        raise InputError(no_workers(address)) from error
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=2)


@contextmanager
def loss_reported(address: str) -> Iterator[None]:
    """Raise JobError if the cluster is lost inside."""
    try:
        yield
    except (OSError, CancelledError) as error:
        raise JobError(
            Message(
                "The Dask cluster at {address} was lost ({error_type}). Finished work is "
                "kept in its runs. See its logs (often it ran out of memory) and start it "
                "again, or go without Dask.",
                address=address,
                error_type=type(error).__name__,
            )
        ) from error


def check(client: Any, address: str, modules: tuple[str, ...]) -> None:
    """Refuse a cluster that would run other code or packages.

    Parameters
    ----------
    modules : tuple of str
        Full names of modules whose code must be identical there.

    Raises
    ------
    InputError
        If there is no worker, or a worker or the scheduler lacks this code or has other packages.
    """
    import distributed

    try:
        client.wait_for_workers(1, timeout=ANSWER_SECONDS)
    except distributed.TimeoutError as error:
        raise InputError(no_workers(address)) from error
    here = _about(modules)
    # the scheduler reads the tasks too
    answers = [(address, _scheduler_versions(client, modules))]
    answers += [
        (worker, reply) for worker, reply in client.run(_about, modules, on_error="return").items()
    ]
    for which, answer in answers:
        if isinstance(answer, Exception):
            reason = " ".join(str(answer).split())[:200]
            raise InputError(_other_code(which, reason))
        if others := [
            f"{name} {answer.get(name)} ≠ {version}"
            for name, version in here.items()
            if answer.get(name) != version
        ]:
            raise InputError(_other_code(which, others))


def no_workers(address: str) -> Message:
    """Return that no cluster with workers is at an address."""
    return Message(
        "No Dask scheduler with workers answers at {address} ({setting}). Start it as the README "
        "says, or go without Dask.",
        address=address,
        setting=SETTING,
    )


def _other_code(address: str, reason: object) -> Message:
    return Message(
        "The Dask process at {address} lacks this app's code or packages ({reason}). Start it in "
        "the app's folder, with `PYTHONPATH=.` and the packages of requirements.txt, or go without "
        "Dask.",
        address=address,
        reason=reason,
    )


def _scheduler_versions(client: Any, modules: tuple[str, ...]) -> Any:
    try:
        return client.run_on_scheduler(_about, modules)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  `check` reports it
        return error


@lru_cache
def _about(modules: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of everything that a fit depends on; of code, the digest."""
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
    """Return a future of a value that survives the loss of workers.

    Scattered data does not: Dask soon keeps a single copy, and fails everything that depends on it
    when that worker ends. The result of a task is recomputed.
    """
    with warnings.catch_warnings():
        # warns that it is large and should be scattered
        warnings.simplefilter("ignore")
        return client.submit(_itself, value, pure=False)


def _itself(value: object) -> object:
    return value
