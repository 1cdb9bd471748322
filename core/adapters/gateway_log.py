"""The gateway's way into the predictions log: many requests in one transaction, none held up.

A thread writes all that waits at once. When the log is down, answers go out without it; their rows
wait in memory, as many as fit, and what does not fit is counted and noted as a gap.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.config import Settings
from core.errors import CourtsideError

if TYPE_CHECKING:
    from core.adapters.log_writer import Answer

Kept = Literal["kept", "delayed", "conflict"]
WAITING_ROWS = 100_000
# How long an answer waits for the log, and how long the log for another writer, before both go on.
ANSWER_SECONDS = 0.5
LOCK_SECONDS = 0.4
# Between tries while the log is down.
PAUSE_SECONDS = 0.5
# Of one transaction: a large one would hold up what comes meanwhile.
ROWS_AT_ONCE = 20_000
FLUSH_SECONDS = 4.0
# A transaction waits so long for each answer that is on its way, and so long at most: the model
# takes longer for those, and a transaction costs as much as a quarter of the model's work for one.
GATHER_SECONDS, GATHERED_SECONDS = 0.002, 0.012


@dataclass(frozen=True)
class LogState:
    """How the log does, as the gateway sees it.

    Parameters
    ----------
    ok : bool
        Whether the last write succeeded.
    since : float or None
        Seconds since 1970 since when it is down.
    waiting : int
        Rows in memory that are not written yet.
    lost : int
        Rows that did not fit since the gateway was started.
    reason : str or None
        Why it is down, as a sentence.
    """

    ok: bool = True
    since: float | None = None
    waiting: int = 0
    lost: int = 0
    reason: str | None = None


class Recorder:
    """Writes answers to the predictions log.

    Parameters
    ----------
    settings : Settings
        Say where the log is.
    limit : int
        Rows that may wait in memory.
    under_way : callable, optional
        Tells how many more answers are to come soon.
    """

    def __init__(
        self,
        settings: Settings,
        limit: int = WAITING_ROWS,
        under_way: Callable[[], int] = lambda: 0,
    ) -> None:
        self.settings = settings
        self.under_way = under_way
        self.limit = limit
        self.written = 0
        self._waiting: deque[tuple[Answer, asyncio.Future[Kept] | None]] = deque()
        self._rows = 0
        self._lost = 0
        # rows of the gap that is open now
        self._missing = 0
        self._since: float | None = None
        self._reason: str | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="predictions-log")

    def start(self) -> None:
        """Begin to write; called in the event loop that will await `keep`."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def keep(self, answer: Answer) -> Kept:
        """Return once the answer is in the log, or cannot be soon.

        Returns
        -------
        str
            `kept`; `delayed` when it waits in memory or is lost; `conflict` when its request id
            was used for other rows.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Kept] = loop.create_future()
        rows = len(answer.probabilities)
        with self._changed:
            is_down = self._since is not None
            if is_down and self._rows + rows > self.limit:
                self._lost += rows
                self._missing += rows
                return "delayed"
            self._waiting.append((answer, None if is_down else done))
            self._rows += rows
            self._changed.notify()
        if is_down:
            return "delayed"
        finished, _ = await asyncio.wait({done}, timeout=ANSWER_SECONDS)
        return done.result() if finished else "delayed"

    def state(self) -> LogState:
        """Return how the log does now."""
        with self._changed:
            return LogState(self._since is None, self._since, self._rows, self._lost, self._reason)

    def close(self) -> None:
        """Write what waits, for a few seconds at most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(FLUSH_SECONDS)

    def _work(self) -> None:
        # here, while the gateway starts, and not with the first answer
        from core.adapters import log_writer

        with suppress(CourtsideError):
            # makes the log where there is none
            log_writer.gaps(self.settings, limit=1)
        while True:
            with self._changed:
                while not self._waiting and not self._closing and not self._missing:
                    self._changed.wait()
                if self._closing and not self._waiting:
                    return
            if coming := self.under_way():
                time.sleep(min(GATHERED_SECONDS, GATHER_SECONDS * coming))
            with self._changed:
                batch = self._next()
            try:
                kept = self._write([answer for answer, _ in batch])
            except Exception as error:  # noqa: BLE001  nothing may end this thread
                self._fail(error)
                with self._changed:
                    if self._closing:
                        return
                    self._changed.wait_for(lambda: self._closing, PAUSE_SECONDS)
                continue
            self._done(batch, kept)

    def _next(self) -> list[tuple[Answer, asyncio.Future[Kept] | None]]:
        batch: list[tuple[Answer, asyncio.Future[Kept] | None]] = []
        rows = 0
        for item in self._waiting:
            rows += len(item[0].probabilities)
            if batch and rows > ROWS_AT_ONCE:
                break
            batch.append(item)
        return batch

    def _write(self, answers: list[Answer]) -> list[Kept]:
        from core.adapters.log_writer import ConflictError, note_gap, write

        refused: tuple[str, ...] = ()
        if answers:
            try:
                write(self.settings, answers, wait_seconds=LOCK_SECONDS)
            except ConflictError as error:
                refused = error.request_ids
        with self._changed:
            missing, since, reason = self._missing, self._since, self._reason
        if missing:
            begun = time.time() if since is None else since
            note_gap(self.settings, begun, time.time(), missing, reason or "The log was down.")
            with self._changed:
                self._missing -= missing
        return ["conflict" if one.request_id in refused else "kept" for one in answers]

    def _done(
        self, batch: list[tuple[Answer, asyncio.Future[Kept] | None]], kept: list[Kept]
    ) -> None:
        with self._changed:
            for answer, _ in batch:
                self._waiting.popleft()
                self._rows -= len(answer.probabilities)
                self.written += len(answer.probabilities)
            self._since, self._reason = None, None
        told = [(done, how) for (_, done), how in zip(batch, kept, strict=True) if done is not None]
        if told and self._loop is not None:
            # the loop may be closed when the last of all is written
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_tell, told)

    def _fail(self, error: Exception) -> None:
        told = error.message if isinstance(error, CourtsideError) else type(error).__name__
        with self._changed:
            self._since = self._since or time.time()
            self._reason = told
            # their answers go out now
            freed: list[tuple[asyncio.Future[Kept], Kept]] = [
                (done, "delayed") for _, done in self._waiting if done is not None
            ]
            self._waiting = deque((answer, None) for answer, _ in self._waiting)
        if freed and self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_tell, freed)


def _tell(told: list[tuple[asyncio.Future[Kept], Kept]]) -> None:
    for done, how in told:
        if not done.done():
            done.set_result(how)
