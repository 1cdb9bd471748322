"""What can go wrong, in the person's words. A page catches `CourtsideError` and nothing wider."""

from __future__ import annotations


class CourtsideError(Exception):
    """The root of all errors that carry a sentence for the person.

    Parameters
    ----------
    message : str
        What happened and what to do next; shown as it stands.

    Examples
    --------
    >>> str(CourtsideError("The file is empty. Choose another one."))
    'The file is empty. Choose another one.'
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InputError(CourtsideError):
    """What was given (a file, a frame, a setting) cannot be used; nothing was changed."""


class NotReadyError(CourtsideError):
    """An earlier step has to run first."""


class ServerError(CourtsideError):
    """The served model is down, or answered with an error."""


class StoreError(CourtsideError):
    """The MLflow store or a database cannot be reached or used."""


class JobError(CourtsideError):
    """A background job cannot be started, or has ended in a way that it must tell."""
