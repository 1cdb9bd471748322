"""Storage of the user's retraining policy, and the lock that serializes retrainings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from pydantic import ValidationError

from core.jobs import jobs
from core.platform import locks, permissions, state, store_faults
from core.platform.config import Settings, sentence
from core.platform.errors import StoreError
from core.platform.messages import sentences
from core.retraining.policy_settings import Policy

NAME = "policy"
# interval of progress messages while waiting, seconds
WAIT = 2.0


def load(settings: Settings) -> Policy:
    """Return the saved policy, by default one without retraining.

    Raises
    ------
    StoreError
        When the saved policy is invalid: nothing is retrained on a guess.

    Examples
    --------
    >>> load(Settings(home="/nowhere")).strategy
    'none'
    """
    kept = state.load(settings, NAME)
    try:
        return Policy(**(kept or {}))
    except (ValidationError, TypeError) as error:
        reason = sentence(error) if isinstance(error, ValidationError) else ""
        raise StoreError(sentences(store_faults.damaged_document(NAME), reason)) from error


@permissions.needs("policy")
def save(settings: Settings, policy: Policy) -> None:
    """Save a policy atomically."""
    state.save(settings, NAME, policy.model_dump(mode="json"))


def turn(settings: Settings, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
    """Wait until no other retraining of this home runs; the system releases the lock of a dead one.

    Parameters
    ----------
    on_wait : function
        Called now and then while waiting.
    """
    return locks.exclusive(settings.state_dir / "retrain.lock", on_wait, poll=WAIT)


def ask_about(settings: Settings, report: str) -> None:
    """Queue a job that decides whether a report triggers a retraining, if a policy is on."""
    if load(settings).is_on:
        jobs.submit(settings, "retrain", {"trigger": "report", "report": report})
