"""Writes an endpoint's predictions to the log: many requests per transaction, none delayed.

A thread writes everything pending at once. Predictions that the log rejects while it accepts others
are set aside. When the log is down, responses go out without it; their rows wait in memory up to
a limit, and any beyond it are counted and recorded as a gap. Meanwhile the number of missing
rows is journalled on disk, so that an endpoint that is killed leaves a gap too.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.platform import set_aside
from core.platform.config import Settings
from core.platform.errors import CourtsideError, InputError, StoreError
from core.platform.messages import Message, Words
from core.predictions_log.gap_journal import Journal

if TYPE_CHECKING:
    from core.predictions_log.log_writer import Answer

Kept = Literal["kept", "delayed", "conflict", "set_aside"]
WAITING_ROWS = 100_000
# How long a response waits for the log, and the log for another writer, before both go on.
ANSWER_SECONDS = 0.5
LOCK_SECONDS = 0.4
# Between tries while the log is down.
PAUSE_SECONDS = 0.5
# Per transaction: a large one would delay the next requests.
ROWS_AT_ONCE = 20_000
FLUSH_SECONDS = 4.0
# A transaction waits this long for each prediction in progress, and this long at most: the model
# takes longer for those, and a transaction costs as much as a quarter of the model's work for one.
GATHER_SECONDS, GATHERED_SECONDS = 0.002, 0.012


@dataclass(frozen=True)
class LogState:
    """State of the log, as the endpoint sees it.

    Parameters
    ----------
    ok : bool
        Whether the last write succeeded.
    since : float or None
        When it went down, in seconds since 1970.
    waiting : int
        Rows in memory that are not written yet.
    lost : int
        Rows dropped for lack of memory since the endpoint was started.
    reason : Words or None
        Why it is down, as a sentence.
    set_aside : int
        Rows that the log rejected, since the endpoint was started.
    """

    ok: bool = True
    since: float | None = None
    waiting: int = 0
    lost: int = 0
    reason: Words | None = None
    set_aside: int = 0


@dataclass(eq=False)
class _Item:
    """A prediction waiting for the log, and the future that its request awaits.

    Parameters
    ----------
    is_out : bool
        Whether the caller has the response already: if this process ends now, its rows are missing.
    """

    answer: Answer
    done: asyncio.Future[Kept] | None
    is_out: bool = False
    is_waiting: bool = True

    @property
    def rows(self) -> int:
        return len(self.answer.probabilities)


class Recorder:
    """Writes predictions to the log.

    Parameters
    ----------
    limit : int
        Most rows waiting in memory.
    under_way : callable, optional
        Returns the number of predictions in progress.
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
        self._waiting: deque[_Item] = deque()
        self._rows = 0
        # waiting rows whose responses have gone out
        self._out = 0
        self._lost = 0
        # rows of the open gap
        self._missing = 0
        self._since: float | None = None
        self._reason: Words | None = None
        # start and reason of the open gap
        self._gap: tuple[float, Words] | None = None
        self._set_aside = 0
        self._is_closed = False
        self._journal = Journal(settings)
        self._journalling = threading.Lock()
        self._is_noting = self._is_note_due = False
        self._next_note: asyncio.Task[None] | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="predictions-log")

    def start(self) -> None:
        """Start the writer; call it in the event loop that will await `keep`."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def keep(self, answer: Answer) -> Kept:
        """Return once the prediction is in the log, or cannot be soon.

        Returns
        -------
        str
            `kept`; `delayed` when it waits in memory or is lost; `conflict` when its request id was
            used for other rows; `set_aside` when the log rejects it.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Kept] = loop.create_future()
        rows = len(answer.probabilities)
        with self._changed:
            is_down = self._since is not None
            if is_down and self._rows + rows > self.limit:
                self._lost += rows
                self._missing += rows
            else:
                item = _Item(answer, None if is_down else done, is_out=is_down)
                self._waiting.append(item)
                self._rows += rows
                self._out += rows * is_down
                self._changed.notify()
        if not is_down:
            finished, _ = await asyncio.wait({done}, timeout=ANSWER_SECONDS)
            if finished:
                return done.result()
            with self._changed:
                if item.is_waiting and not item.is_out:
                    item.is_out = True
                    self._out += rows
        await self._note_soon()
        return "delayed"

    def state(self) -> LogState:
        """Return the current state of the log."""
        with self._changed:
            return LogState(
                self._since is None,
                self._since,
                self._rows,
                self._lost,
                self._reason,
                self._set_aside,
            )

    def close(self) -> None:
        """Write what is pending, for a few seconds at most; record the rest as a gap."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(FLUSH_SECONDS)
        self._is_closed = True
        self._note_now()

    def _work(self) -> None:
        # imported while the endpoint starts, not with the first prediction
        from core.predictions_log import log_writer

        with suppress(CourtsideError):
            # creates the log if there is none
            log_writer.gaps(self.settings, limit=1)
        gaps_left = True
        while True:
            with self._changed:
                while not (self._waiting or self._missing or self._closing or gaps_left):
                    self._changed.wait()
                if self._closing and not self._waiting and not self._missing:
                    return
            if coming := self.under_way():
                time.sleep(min(GATHERED_SECONDS, GATHER_SECONDS * coming))
            with self._changed:
                batch = self._next()
            try:
                self._done(batch, self._write([item.answer for item in batch]))
                self._note_gaps(gaps_left=gaps_left)
                gaps_left = False
            except Exception as error:  # noqa: BLE001  nothing may end this thread
                self._fail(error)
                self._note_now()
                with self._changed:
                    if self._closing:
                        return
                    self._changed.wait_for(lambda: self._closing, PAUSE_SECONDS)

    def _next(self) -> list[_Item]:
        batch: list[_Item] = []
        rows = 0
        for item in self._waiting:
            rows += item.rows
            if batch and rows > ROWS_AT_ONCE:
                break
            batch.append(item)
        return batch

    def _write(self, answers: list[Answer]) -> list[Kept]:
        from core.predictions_log import log_writer

        refused: set[str] = set()

        def write(part: Sequence[Answer]) -> None:
            try:
                log_writer.write(self.settings, part, wait_seconds=LOCK_SECONDS)
            except log_writer.ConflictError as error:
                refused.update(error.request_ids)

        if not answers:
            return []
        rejected = set_aside.sift(answers, write, self._is_of_the_answer)
        for answer, error in rejected:
            self._put_aside(answer, error)
        names = {id(answer) for answer, _ in rejected}
        return [
            "set_aside"
            if id(answer) in names
            else "conflict"
            if answer.request_id in refused
            else "kept"
            for answer in answers
        ]

    def _is_of_the_answer(self, error: Exception) -> bool:
        """Return whether a write failed because of its content: the log accepts other rows."""
        from core.predictions_log import log_store, log_writer

        if isinstance(error, InputError):
            return True
        if isinstance(error, StoreError) and log_store.is_down(error):
            return False
        return log_writer.takes_rows(self.settings, wait_seconds=LOCK_SECONDS)

    def _put_aside(self, answer: Answer, error: Exception) -> None:
        rows = len(answer.probabilities)
        code: set_aside.Code = "not_an_answer" if isinstance(error, InputError) else "unwritable"
        is_noted = set_aside.put(
            self.settings, "predictions", answer.request_id, code, rows=rows, error=error
        )
        with self._changed:
            if is_noted:
                self._set_aside += rows
            else:
                self._lost += rows
                self._missing += rows

    def _note_gaps(self, *, gaps_left: bool) -> None:
        from core.predictions_log.log_writer import note_gap, note_gaps_left

        if gaps_left:
            note_gaps_left(self.settings, wait_seconds=LOCK_SECONDS)
        with self._changed:
            missing, gap = self._missing, self._gap
        if missing:
            start, reason = gap or (time.time(), Message("The log was down."))
            note_gap(self.settings, start, time.time(), missing, reason, wait_seconds=LOCK_SECONDS)
        with self._changed:
            self._missing -= missing
            self._gap = None
        self._note_now()

    async def _note_soon(self) -> None:
        """Journal missing rows to disk; of many concurrent callers, one does the work."""
        if self._is_noting:
            self._is_note_due = True
            return
        self._is_noting, self._is_note_due = True, False
        try:
            await asyncio.to_thread(self._note_now)
        finally:
            self._is_noting = False
        if self._is_note_due:
            # for those who called meanwhile; this caller has waited long enough
            self._next_note = asyncio.create_task(self._note_soon())

    def _note_now(self) -> None:
        """Journal to disk how many rows are missing from the log."""
        # a disk that cannot be written records no gap either; the endpoint's status shows it
        with self._journalling, suppress(OSError):
            with self._changed:
                rows = (self._rows if self._is_closed else self._out) + self._missing
                start = self._since or time.time()
            if rows:
                self._journal.note(start, rows, is_closed=self._is_closed)
            else:
                self._journal.clear()

    def _done(self, batch: list[_Item], outcomes: list[Kept]) -> None:
        with self._changed:
            for item, outcome in zip(batch, outcomes, strict=True):
                self._waiting.popleft()
                item.is_waiting = False
                self._rows -= item.rows
                self._out -= item.rows * item.is_out
                self.written += item.rows * (outcome != "set_aside")
            if self._since is not None and self._gap is None:
                self._gap = (self._since, self._reason or Message("The log was down."))
            self._since, self._reason = None, None
        waiting = [
            (item.done, outcome)
            for item, outcome in zip(batch, outcomes, strict=True)
            if item.done is not None
        ]
        if waiting and self._loop is not None:
            # the event loop may be closed when the last batch is written
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_set_results, waiting)

    def _fail(self, error: Exception) -> None:
        reason: Words = error.message if isinstance(error, CourtsideError) else type(error).__name__
        with self._changed:
            self._since = self._since or time.time()
            self._reason = reason
            # their responses go out now
            freed: list[tuple[asyncio.Future[Kept], Kept]] = []
            for item in self._waiting:
                if item.done is not None:
                    freed.append((item.done, "delayed"))
                item.done, item.is_out = None, True
            self._out = self._rows
        if freed and self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_set_results, freed)


def _set_results(waiting: list[tuple[asyncio.Future[Kept], Kept]]) -> None:
    for done, outcome in waiting:
        if not done.done():
            done.set_result(outcome)
