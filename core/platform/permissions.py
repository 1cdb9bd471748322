"""Who may do what: the role that each action needs, checked where the action is done.

Roles come from the log-in (`Settings.role_of`). The command line, the worker and an app without a
log-in act as admin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from core.platform.config import ROLES, Role
from core.platform.errors import RoleError
from core.platform.messages import Message

# an action -> the lowest role that may do it: each step, then what is changed outside of steps
ACTIONS: dict[str, Role] = {
    "acquire": "operator",
    "prepare": "operator",
    "train": "operator",
    "promote": "operator",
    "explain": "operator",
    "serve": "operator",
    "score": "operator",
    "label": "operator",
    "monitor": "operator",
    "retrain": "operator",
    "replay": "operator",
    "job": "operator",
    "schedule": "operator",
    "alert": "operator",
    "cluster": "operator",
    "mlflow": "operator",
    "api_key": "admin",
    "channel": "admin",
    "alert_rule": "admin",
    "policy": "admin",
    "project": "admin",
    "reset": "admin",
}

P = ParamSpec("P")
T = TypeVar("T")
_of_visit: list[Callable[[], Role]] = []
_given: ContextVar[Role | None] = ContextVar("role", default=None)


def ask(role_of_visit: Callable[[], Role]) -> None:
    """Ask this for the role from now on, outside of `acting`."""
    _of_visit[:] = [role_of_visit]


@contextmanager
def acting(role: Role) -> Iterator[None]:
    """Act in a role within the block, as for what the app itself does during a visit.

    Examples
    --------
    >>> with acting("viewer"):
    ...     may("train"), role()
    (False, 'viewer')
    """
    token = _given.set(role)
    try:
        yield
    finally:
        _given.reset(token)


def role() -> Role:
    """Return the role of whoever acts here."""
    return _given.get() or (_of_visit[-1]() if _of_visit else "admin")


def may(action: str) -> bool:
    """Return whether whoever acts here may do this."""
    return ROLES.index(role()) >= ROLES.index(ACTIONS[action])


def require(action: str) -> None:
    """Raise a RoleError unless whoever acts here may do this.

    Examples
    --------
    >>> with acting("operator"):
    ...     require("train")
    ...     require("policy")
    Traceback (most recent call last):
    core.platform.errors.RoleError: This needs the admin role; yours is operator.
    """
    if not may(action):
        raise RoleError(
            action,
            Message(
                "This needs the {needed} role; yours is {role}.",
                needed=ACTIONS[action],
                role=role(),
            ),
        )


def needs(action: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Check before each call of a function that whoever acts may do this."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            require(action)
            return function(*args, **kwargs)

        return checked

    return decorate
