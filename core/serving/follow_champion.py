"""The live endpoint follows the champion: it switches before the alias moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from core.platform import model_store
from core.platform.config import Settings
from core.platform.errors import CourtsideError, NotReadyError
from core.platform.messages import Message, Words, sentences
from core.platform.run_record import Progress
from core.platform.runs import ModelVersion
from core.serving import endpoint


@contextmanager
def followed(settings: Settings, version: ModelVersion, progress: Progress) -> Iterator[Words]:
    """Switch this model's live endpoint, if any, to a version; switch back if the body fails.

    Yields
    ------
    Words
        A sentence about the switch, empty if there is no live endpoint.
    """
    before = endpoint.live(settings)
    if before is None or before.model != version.name:
        yield ""
        return
    # fetched now: if the aliases cannot be moved, the store may be unavailable
    old = model_store.find_version(settings, before.model, before.version)

    def follow(version: ModelVersion) -> None:
        def waited(seconds: float) -> None:
            progress.update(
                0.92,
                Message(
                    "Waiting for {name} to respond ({seconds:.0f} s)",
                    name=Message("version {version}", version=version.version),
                    seconds=seconds,
                ),
            )

        endpoint.follow(settings, version, waited, job_id=progress.job_id)

    try:
        follow(version)
    except CourtsideError as error:
        raise type(error)(sentences(Message("Nothing was changed."), error.message)) from error
    try:
        yield Message("The live endpoint serves version {version}.", version=version.version)
    except BaseException as error:
        try:
            if old is None:
                raise NotReadyError(
                    Message(
                        "'{name}' does not exist.",
                        name=Message("version {version}", version=before.version),
                    )
                )
            if old.version != version.version:
                follow(old)
            back = Message("The live endpoint serves version {version}.", version=old.version)
        except CourtsideError as again:
            back = sentences(
                Message(
                    "The live endpoint serves version {version}, which is not the champion. Let it "
                    "follow the champion on the Serve page.",
                    version=version.version,
                ),
                again.message,
            )
        if isinstance(error, CourtsideError):
            raise type(error)(sentences(error.message, back)) from error
        raise
