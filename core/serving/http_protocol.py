"""uvicorn's HTTP protocol, with a deadline for the head of a request."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# A connection is closed if it is idle, or the head of a request takes, longer.
HEAD_SECONDS = 60.0


class Protocol(H11Protocol):
    """Closes a connection whose next request does not begin in time, byte by byte or at all."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Await the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Await nothing more."""
        self._unset_deadline()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Note when a head is complete."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._unset_deadline()

    def on_response_complete(self) -> None:
        """Await the next head."""
        # first: a pipelined request may be complete already
        self._await_head()
        super().on_response_complete()

    def _await_head(self) -> None:
        self._unset_deadline()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._close_late)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
