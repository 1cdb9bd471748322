"""The live endpoint follows the champion: it switches before the alias moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from core.platform import model_store
from core.platform.config import Settings
from core.platform.errors import CourtsideError, NotReadyError
from core.platform.run_record import Progress
from core.platform.runs import ModelVersion
from core.serving import endpoint


@contextmanager
def followed(settings: Settings, version: ModelVersion, progress: Progress) -> Iterator[str]:
    """Switch this model's live endpoint, if any, to a version; switch back if the body fails.

    Yields
    ------
    str
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
                f"Waiting for version {version.version} on the live endpoint ({seconds:.0f} s)",
            )

        endpoint.follow(settings, version, waited, job_id=progress.job_id)

    try:
        follow(version)
    except CourtsideError as error:
        raise type(error)(f"Nothing was moved. {error.message}") from error
    try:
        yield f" The live endpoint on port {before.port} answers by version {version.version}."
    except BaseException as error:
        back = "The live endpoint"
        try:
            if old is None:
                raise NotReadyError(f"there is no version {before.version} any more")
            if old.version != version.version:
                follow(old)
            back += f" answers by version {old.version}, as before."
        except CourtsideError as again:
            back += (
                f" still answers by version {version.version}, which is not the champion, since it "
                f"could not go back: {again.message} Let it follow the champion on the page Serve."
            )
        if isinstance(error, CourtsideError):
            raise type(error)(f"{error.message} {back}") from error
        raise
