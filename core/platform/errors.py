"""The errors that carry a sentence for the person: `CourtsideError` and its subclasses.

Pages catch `CourtsideError` and nothing wider.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date
from numbers import Real
from typing import Any

from core.platform.messages import Message, Words

SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "COURTSIDE_WEBHOOK_SECRET",
    "COURTSIDE_SMTP_PASSWORD",
)


def without_secrets(text: str) -> str:
    """Return the text with passwords in URLs and MLflow's secrets masked.

    Examples
    --------
    >>> without_secrets("No answer from postgresql://ann:s3cret@db/runs")
    'No answer from postgresql://ann:***@db/runs'
    """
    text = re.sub(r"(://[^/\s:@]*:)[^/\s@]+@", r"\1***@", text)
    for name in SECRET_VARIABLES:
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    return text


def words_of(error: BaseException) -> Words:
    """Return what an error says: its message, or the text of an error that is not ours.

    Examples
    --------
    >>> words_of(ValueError("no day")), words_of(ValueError(Message("no day"))).msgid
    ('no day', 'no day')
    """
    own = len(error.args) == 1 and isinstance(error.args[0], Message)
    return error.args[0] if own else str(error)


def masked(words: Words) -> Words:
    """Return words that can be stored, with secrets masked in their parameters.

    Examples
    --------
    >>> str(masked(Message("No answer: {error}.", error=OSError("postgresql://ann:s3cret@db"))))
    'No answer: postgresql://ann:***@db.'
    """
    cleared: Words = _masked(words)
    return cleared


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Message):
        params = {name: _masked(part) for name, part in value.params.items()}
        return Message(value.msgid, plural=value.plural, context=value.context, **params)
    if isinstance(value, list | tuple):
        return [_masked(part) for part in value]
    if isinstance(value, Mapping):
        return {name: _masked(part) for name, part in value.items()}
    if isinstance(value, BaseException):
        return _masked(words_of(value))
    if value is None or isinstance(value, Real | date):
        return value
    return without_secrets(str(value))


class CourtsideError(Exception):
    """The base of all errors that carry a sentence for the person.

    Parameters
    ----------
    message : Message
        What happened and what to do next, with secrets masked in its parameters. `str(error)` puts
        it into words of the current language.

    Examples
    --------
    >>> str(CourtsideError(Message("The file is empty. Choose another one.")))
    'The file is empty. Choose another one.'
    """

    def __init__(self, message: Words) -> None:
        self.message: Words = masked(message)
        super().__init__(self.message)

    def __str__(self) -> str:
        return str(self.message)


class InputError(CourtsideError):
    """The input (a file, a frame, a setting) cannot be used; nothing was changed."""


class DownloadError(CourtsideError):
    """A file cannot be downloaded; nothing was changed."""


class NotReadyError(CourtsideError):
    """An earlier step has to run first."""


class ServerError(CourtsideError):
    """The served model is down, or answered with an error."""


class StoreError(CourtsideError):
    """The MLflow store or a database cannot be reached or used."""


class RoleError(CourtsideError):
    """The role of whoever acts does not allow this; nothing was changed.

    Parameters
    ----------
    action : str
        What was tried, a key of `core.platform.permissions.ACTIONS`.
    """

    def __init__(self, action: str, message: Words) -> None:
        self.action = action
        super().__init__(message)


class JobError(CourtsideError):
    """A background job cannot be started, or ended in a way that must be reported."""
