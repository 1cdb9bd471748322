"""Stores of replays: a separate predictions log for each, apart from the user's own.

A store is the folder state/replays/<run id>. It is removed when its replay fails or its process
dies, when newer ones replace it, or on request; the run in MLflow stays.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from core.jobs import jobs
from core.platform import permissions, set_aside, steps, storage, store_faults
from core.platform.config import Settings
from core.platform.errors import InputError, StoreError
from core.platform.messages import Message
from core.platform.own_columns import LABEL, PROBABILITY
from core.platform.process import Process, is_alive
from core.predictions_log import labels as late_labels
from core.predictions_log import predictions

# Only the newest stores stay, each with at most this many predictions.
KEPT = 3
MOST_PREDICTIONS = 2_000_000
# Labels per transaction.
BLOCK = 20_000
SOURCE = "replay"
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_OWNER, _LIVE = "owner.json", "live.json"


@dataclass(frozen=True)
class Store:
    """A replay's store on disk.

    Parameters
    ----------
    bytes : int
        Size on disk.
    is_open : bool
        Whether its replay is still running.
    """

    run_id: str
    made_at: float
    bytes: int
    is_open: bool


@contextmanager
def opened(settings: Settings, run_id: str) -> Iterator[Settings]:
    """Create the store of a replay; it is removed again if the body fails.

    Yields
    ------
    Settings
        With a home in the store, so that the predictions log is the replay's own.

    Raises
    ------
    StoreError
        When the folder cannot be created.
    """
    sweep(settings)
    place = _folder(settings, run_id)
    try:
        place.mkdir(parents=True, exist_ok=True)
        owner = {"pid": os.getpid(), "created": psutil.Process().create_time()}
        storage.write_json(place / _OWNER, owner)
    except OSError as error:
        raise StoreError(
            Message("{path} cannot be written: {reason}.", path=place, reason=error)
        ) from error
    try:
        # wherever the user's log is, the replay's is a separate file
        yield settings.model_copy(update={"home": place, "predictions_url": None})
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    (place / _OWNER).unlink(missing_ok=True)
    for old in stores(settings)[KEPT:]:
        if not old.is_open:
            remove(settings, old.run_id)


def check_size(rows: int, policies: int) -> None:
    """Refuse a replay whose store could exceed its limit.

    Raises
    ------
    InputError
        With what to do.
    """
    if rows * policies > MOST_PREDICTIONS:
        raise InputError(
            Message(
                "{rows:,} rows under {policies} policies may make {predictions:,} predictions; a "
                "replay keeps at most {most:,}. Compare fewer policies, or fewer rows.",
                rows=rows,
                policies=policies,
                predictions=rows * policies,
                most=MOST_PREDICTIONS,
            )
        )


def predict(
    store: Settings,
    *,
    model: str,
    version: int,
    window: int,
    at: float,
    latency_ms: float,
    keys: Sequence[str],
    features: pd.DataFrame,
    probabilities: Sequence[float],
    predicted: Sequence[int],
) -> None:
    """Store a version's predictions for a window; repeating it changes nothing."""
    name = _request(version, window)
    records = features.astype("object").where(features.notna(), None).to_dict("records")
    rows = [{str(key): value for key, value in row.items()} for row in records]
    predictions.write(
        store,
        [
            predictions.Answer(
                name,
                model,
                str(version),
                "champion",
                SOURCE,
                at,
                latency_ms,
                rows,
                probabilities,
                predicted,
                row_keys=keys,
                run_id=name,
            )
        ],
    )


def label(store: Settings, keys: Sequence[str], labels: Sequence[int], at: Sequence[float]) -> None:
    """Store labels by the rows' keys, with the times at which they became known."""
    # the log accepts no label from the future, and a replay may contain planned rows
    now = time.time()
    reports = [
        late_labels.Report(int(value), key=key, labelled_at=min(moment, now))
        for key, value, moment in zip(keys, labels, at, strict=True)
    ]
    for start in range(0, len(reports), BLOCK):
        late_labels.report(store, reports[start : start + BLOCK], source=SOURCE)


def read(store: Settings, *, version: int, window: int) -> pd.DataFrame:
    """Return probability and label (NaN if not known yet) of a window's rows, in their order."""
    predicted = predictions.read(store, _request(version, window))
    return predicted[[PROBABILITY, LABEL]]


def tell(settings: Settings, run_id: str, windows: Sequence[dict[str, Any]]) -> None:
    """Store the progress of a replay, for a page that follows it."""
    storage.write_json(_folder(settings, run_id) / _LIVE, list(windows))


def progress_of(settings: Settings, run_id: str) -> pd.DataFrame:
    """Return the progress of a running replay; empty before the first, or once it is deleted."""
    try:
        return pd.DataFrame(storage.read_json(_folder(settings, run_id) / _LIVE, list) or [])
    except (StoreError, InputError):
        return pd.DataFrame()


def stores(settings: Settings) -> list[Store]:
    """Return all stores, newest first."""
    listed = []
    for place in _home(settings).glob("*"):
        if not _RUN_ID.fullmatch(place.name):
            continue
        with suppress(FileNotFoundError):
            size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
            listed.append(Store(place.name, place.stat().st_mtime, size, _may_be_open(place)))
    return sorted(listed, key=lambda store: -store.made_at)


@permissions.needs("replay")
def remove(settings: Settings, run_id: str) -> None:
    """Remove a replay's store; its run stays.

    Raises
    ------
    InputError
        When the replay is still running.
    """
    place = _folder(settings, run_id)
    is_open = False
    with suppress(StoreError):
        # an unreadable store may be removed on a person's request
        is_open = _is_open(place)
    if is_open:
        raise InputError(jobs.still_running(steps.named("replay").title))
    shutil.rmtree(place, ignore_errors=True)


def sweep(settings: Settings) -> None:
    """Remove the stores of replays whose process died before they were complete."""
    for place in _home(settings).glob("*"):
        if _RUN_ID.fullmatch(place.name) and (place / _OWNER).exists():
            # an unreadable store stays: a process may be using it
            with set_aside.guarded(settings, "sweep", place.name, passing=(), code="unreadable"):
                if not _is_open(place):
                    shutil.rmtree(place, ignore_errors=True)


def _is_open(place: Path) -> bool:
    owner = storage.read_json(place / _OWNER)
    if not owner:
        return False
    try:
        return is_alive(Process(int(owner["pid"]), float(owner["created"])))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(store_faults.damage(place / _OWNER)) from error


def _may_be_open(place: Path) -> bool:
    try:
        return _is_open(place)
    except StoreError:
        return True


def _home(settings: Settings) -> Path:
    return settings.state_dir / "replays"


def _folder(settings: Settings, run_id: str) -> Path:
    if not _RUN_ID.fullmatch(run_id):
        raise InputError(
            Message("'{name}' is not an id: 32 hexadecimal digits, lower case.", name=run_id)
        )
    return _home(settings) / run_id


def _request(version: int, window: int) -> str:
    return hashlib.sha256(f"{version} {window}".encode()).hexdigest()[:32]
