"""Further processes of an endpoint, on the socket of its first one.

The first process starts them, replaces those that end or hang, has each version loaded in all of
them, and counts and reports for all. They exchange lines of JSON: a sibling reports four times a
second what it has answered, and reads which versions to load. It ends when the first process does.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.responses import Response

from core.platform import messages, process
from core.platform.errors import CourtsideError, ServerError, StoreError
from core.platform.liveness import Pulse
from core.serving import restarts
from core.serving import server as servers
from core.serving.http_request import Request
from core.serving.metrics import Statistics
from core.serving.prediction_log import LogState
from core.serving.server import Server

REPORT_SECONDS = 0.25
CHECK_SECONDS = 1.0
# Longer than any load: the caller gives up earlier.
LOAD_SECONDS = 600.0
# A line holds what was answered in between.
LINE_BYTES = 16_000_000

_log = logging.getLogger("endpoint")


@dataclass
class _Sibling:
    """A further process, as the first one knows it."""

    child: asyncio.subprocess.Process
    pulse: Pulse
    lines: int = 0
    report: Mapping[str, Any] = field(default_factory=dict)
    loads: dict[str, asyncio.Future[None]] = field(default_factory=dict)


class Siblings:
    """The further processes of an endpoint.

    Parameters
    ----------
    listening : socket
        On which they answer too.
    control : int
        The own port of the first process.
    statistics : Statistics
        Counts their answers.
    """

    def __init__(
        self,
        port: int,
        listening: socket.socket,
        control: int,
        statistics: Statistics,
        patience: float,
    ) -> None:
        self.port, self.listening, self.control = port, listening, control
        self.statistics, self.patience = statistics, patience
        self._running: list[_Sibling] = []
        self._keepers: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._keepers)

    def keep(self, count: int) -> None:
        """Keep this number of them running from now on."""
        while len(self._keepers) > count:
            self._keepers.pop().cancel()
        while len(self._keepers) < count:
            self._keepers.append(asyncio.create_task(self._keep_one()))

    def log(self) -> list[LogState]:
        """Return the state of the log in each of them."""
        reports = [sibling.report.get("log") for sibling in self._running]
        return [LogState(**messages.from_data(report)) for report in reports if report]

    def in_flight(self) -> Counter[str]:
        """Return their requests without a response yet, by version."""
        return self._summed("in_flight")

    def copies(self) -> Counter[str]:
        """Return what became of their copies for a challenger."""
        return self._summed("copies")

    def written(self) -> int:
        """Return how many rows they have written."""
        return sum(sibling.report.get("written", 0) for sibling in self._running)

    async def load(self, described: Server) -> None:
        """Load a version in each of them.

        Raises
        ------
        StoreError, ServerError
            When one cannot load it.
        """
        await asyncio.gather(
            *(self._load_in(sibling, described) for sibling in list(self._running))
        )

    def _summed(self, name: str) -> Counter[str]:
        counts: Counter[str] = Counter()
        for sibling in self._running:
            counts.update(sibling.report.get(name, {}))
        return counts

    async def _load_in(self, sibling: _Sibling, described: Server) -> None:
        name = json.dumps(described.identity)
        loaded = asyncio.get_running_loop().create_future()
        sibling.loads[name] = loaded
        assert sibling.child.stdin is not None
        with suppress(ConnectionError):
            sibling.child.stdin.write(servers.written(described).encode() + b"\n")
            await sibling.child.stdin.drain()
        await asyncio.wait_for(loaded, LOAD_SECONDS)

    async def _keep_one(self) -> None:
        """Keep a process running, until cancelled."""
        failures = 0
        while True:
            failures += 1
            await asyncio.sleep(restarts.wait_before(failures))
            begun = time.monotonic()
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "core.serving.worker",
                str(self.port),
                "--socket",
                str(self.listening.fileno()),
                "--first",
                str(self.control),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=[self.listening.fileno()],
                limit=LINE_BYTES,
            )
            sibling = _Sibling(child, Pulse(self.patience))
            self._running.append(sibling)
            checking = asyncio.create_task(self._check(sibling))
            try:
                await self._listen(sibling)
                await child.wait()
            finally:
                checking.cancel()
                self._running.remove(sibling)
                ended = ServerError(messages.Message("The model's server has stopped."))
                for loaded in sibling.loads.values():
                    if not loaded.done():
                        loaded.set_exception(ended)
                if child.returncode is None:
                    child.terminate()
            if time.monotonic() - begun > restarts.HEALTHY_SECONDS:
                failures = 0

    async def _listen(self, sibling: _Sibling) -> None:
        """Read what a process reports, until it ends."""
        assert sibling.child.stdout is not None
        while line := await sibling.child.stdout.readline():
            report = json.loads(line)
            sibling.lines += 1
            sibling.report = report
            for path, code, seconds, rows in report["answered"]:
                self.statistics.answered(path, code, seconds, rows)
            for name, outcome in report["loaded"]:
                loaded = sibling.loads.pop(name, None)
                if loaded is None or loaded.done():
                    continue
                if outcome is None:
                    loaded.set_result(None)
                else:
                    kind = StoreError if outcome["is_changed"] else ServerError
                    loaded.set_exception(kind(messages.from_data(outcome["problem"])))

    async def _check(self, sibling: _Sibling) -> None:
        """Kill a process that hangs."""
        known = process.known(sibling.child.pid)
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            cpu = await asyncio.to_thread(process.cpu_seconds, known)
            if sibling.pulse.is_hung(sibling.lines, cpu):
                _log.warning("process %d hung and is ended", known.pid)
                with suppress(ProcessLookupError):
                    os.kill(known.pid, signal.SIGKILL)


# --- in a sibling -------------------------------------------------------------------------------


class Tally(Statistics):
    """Counts what the first process has not been told of yet."""

    def __init__(self) -> None:
        super().__init__()
        self.untold: list[tuple[str, int, float, int]] = []

    def answered(self, path: str, code: int, seconds: float, rows: int = 0) -> None:
        """Note a response for the next report."""
        self.untold.append((path, code, seconds, rows))


def channel() -> tuple[int, int]:
    """Return file descriptors to read from and write to the first process.

    What is printed from now on goes to the log.
    """
    reading, writing = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    return reading, writing


async def report(app: Any, tally: Tally, reading: int, writing: int) -> None:
    """Report to the first process, and load what it asks for; end when it has ended."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=LINE_BYTES)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(reading, "rb", 0)
    )
    loaded: list[tuple[str, object]] = []

    async def load(line: bytes) -> None:
        described = servers.read(line.decode())
        assert described is not None
        loading = asyncio.ensure_future(app.load(described))
        await asyncio.wait({loading})
        error = loading.exception()
        outcome = None if error is None else failure(error)
        loaded.append((json.dumps(described.identity), outcome))

    async def obey() -> None:
        loads = set()
        while line := await lines.readline():
            loads.add(asyncio.create_task(load(line)))
        # the first process has ended
        signal.raise_signal(signal.SIGTERM)

    obeying = asyncio.create_task(obey())
    out = os.fdopen(writing, "wb", 0)
    try:
        while True:
            told, tally.untold = tally.untold, []
            outcomes, loaded[:] = list(loaded), []
            message = {
                "answered": told,
                "loaded": outcomes,
                "log": messages.to_data(asdict(app.recorder.state())),
                "written": app.recorder.written,
                "in_flight": app.versions.in_flight(),
                "copies": dict(app.copies.counts),
            }
            line = json.dumps(message).encode() + b"\n"
            with suppress(OSError):
                await asyncio.to_thread(out.write, line)
            await asyncio.sleep(REPORT_SECONDS)
    finally:
        obeying.cancel()


def failure(error: BaseException) -> dict[str, object]:
    """Return why a version was not loaded, as another process reads it."""
    words = (
        error.message
        if isinstance(error, CourtsideError)
        else f"{type(error).__name__}: {error}"[:500].rstrip(".")
    )
    return {"is_changed": isinstance(error, StoreError), "problem": messages.to_data(words)}


def forward_to_first(control: int, request: Request) -> Response:
    """Return what the first process answers for all of them."""
    connection = http.client.HTTPConnection(process.HOST, control, timeout=LOAD_SECONDS)
    try:
        headers = {
            name: value for name, value in request.headers if name not in ("content-length",)
        }
        connection.request(request.method, request.path, request.body, headers)
        answer = connection.getresponse()
        content = answer.read()
        kind = answer.getheader("content-type")
        return Response(content, answer.status, media_type=kind)
    finally:
        connection.close()
