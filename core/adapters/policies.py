"""The policy of retraining as a person set it, and the lock that lets one retraining run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from core.adapters import storage
from core.config import Settings, sentence
from core.errors import StoreError
from core.retraining import Policy

# how often a waiting retraining says that it waits, seconds
WAIT = 2.0


def path(settings: Settings) -> Path:
    """Return the file that holds the policy."""
    return settings.state_dir / "policy.json"


def load(settings: Settings) -> Policy:
    """Return the policy that was set, the default one before, which is none.

    Raises
    ------
    StoreError
        When the file holds no policy: nothing is retrained by a guess.

    Examples
    --------
    >>> load(Settings(home="/nowhere")).strategy
    'none'
    """
    try:
        found = storage.read_json(path(settings))
        return Policy(**(found or {}))
    except (ValidationError, TypeError) as error:
        reason = sentence(error) if isinstance(error, ValidationError) else "it is no mapping."
        raise StoreError(f"policy.json cannot be used: {reason} Save the policy again.") from error
    except StoreError as error:
        raise StoreError("policy.json is damaged. Save the policy again.") from error


def save(settings: Settings, policy: Policy) -> None:
    """Keep a policy, whole or not at all."""
    path(settings).parent.mkdir(parents=True, exist_ok=True)
    storage.write_json(path(settings), policy.model_dump(mode="json"))


@contextmanager
def turn(settings: Settings, on_wait: Callable[[], None]) -> Iterator[None]:
    """Wait until no other retraining of this home runs; the system frees it when one dies.

    Parameters
    ----------
    on_wait : function
        Called now and then while waiting.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.state_dir / "retrain.lock")
    while True:
        try:
            lock.acquire(timeout=WAIT)
            break
        except Timeout:
            on_wait()
    try:
        yield
    finally:
        lock.release()
