"""The start and the end of the app's server: imports for the first visit; the workers leave."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.platform.config import Settings

# what the first page imports: a second or more, while the person's browser opens
FIRST = ("pages.shared.visit", "pages.overview.verdict_card", "pages.overview.tiles")


@asynccontextmanager
async def around(_app: object) -> AsyncIterator[None]:
    """Surround the time from the start of the app's server to its end."""
    # in a thread, so that the server responds before it has loaded what pages need
    threading.Thread(target=_import_first, daemon=True).start()
    yield
    from core.runtime import project_homes

    project_homes.leave(Settings.load())


def _import_first() -> None:
    """Import what the first visit needs; without collecting garbage, a quarter of the time."""
    gc.disable()
    try:
        for name in FIRST:
            importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()
