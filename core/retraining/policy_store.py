"""The policy of retraining as a person set it, and the lock that lets one retraining run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from core.jobs import jobs
from core.platform import locks, state
from core.platform.config import Settings, sentence
from core.platform.errors import StoreError
from core.retraining.policy_settings import Policy

NAME = "policy"
# how often a waiting retraining says that it waits, seconds
WAIT = 2.0


def load(settings: Settings) -> Policy:
    """Return the policy that was set, the default one before, which is none.

    Raises
    ------
    StoreError
        When what is kept is no policy: nothing is retrained by a guess.

    Examples
    --------
    >>> load(Settings(home="/nowhere")).strategy
    'none'
    """
    kept = state.load(settings, NAME)
    try:
        return Policy(**(kept or {}))
    except (ValidationError, TypeError) as error:
        reason = sentence(error) if isinstance(error, ValidationError) else "it is no mapping."
        raise StoreError(f"The policy cannot be used: {reason} Save it again.") from error


def save(settings: Settings, policy: Policy) -> None:
    """Keep a policy, whole or not at all."""
    state.save(settings, NAME, policy.model_dump(mode="json"))


@contextmanager
def turn(settings: Settings, on_wait: Callable[[], None]) -> Iterator[None]:
    """Wait until no other retraining of this home runs; the system frees it when one dies.

    Parameters
    ----------
    on_wait : function
        Called now and then while waiting.
    """
    with locks.exclusive(settings.state_dir / "retrain.lock", on_wait, poll=WAIT):
        yield


def ask_about(settings: Settings, report: str) -> None:
    """Have it decided in the background whether a report asks for a retraining, if a policy is on.

    Raises
    ------
    StoreError
        When the policy or the table of jobs cannot be read.
    """
    if load(settings).is_on:
        jobs.submit(settings, "retrain", {"trigger": "report", "report": report})
