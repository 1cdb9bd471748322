"""The end of the app: its workers may end too, and remaining processes are logged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.platform.config import Settings


@asynccontextmanager
async def around(_app: object) -> AsyncIterator[None]:
    """Surround the time from the start of the app's server to its end."""
    yield
    # imported here, so that the server responds before it has loaded what pages need
    from core.runtime import project_homes

    project_homes.leave(Settings.load())
