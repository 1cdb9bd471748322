"""The errors that carry a sentence for the person: `CourtsideError` and its subclasses.

Pages catch `CourtsideError` and nothing wider.
"""

from __future__ import annotations

import os
import re

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


class CourtsideError(Exception):
    """The base of all errors that carry a sentence for the person.

    Parameters
    ----------
    message : str
        What happened and what to do next; shown as it is, with secrets masked.

    Examples
    --------
    >>> str(CourtsideError("The file is empty. Choose another one."))
    'The file is empty. Choose another one.'
    """

    def __init__(self, message: str) -> None:
        self.message = without_secrets(message)
        super().__init__(self.message)


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


class JobError(CourtsideError):
    """A background job cannot be started, or ended in a way that must be reported."""
