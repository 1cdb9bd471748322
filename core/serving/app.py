"""The application of an endpoint: MLflow's contract, with every prediction logged.

It wraps MLflow's own scoring application in one process, with keys, row contract, predictions log,
labels, shadow copies and metrics. The record of the port names the version that answers
(`core.serving.server`), once that version is loaded (`core.serving.versions`).
`core.serving.worker` runs it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass

from starlette.responses import Response

from core.platform import messages, row_faults, set_aside
from core.platform.config import Settings
from core.platform.errors import StoreError, without_secrets
from core.platform.messages import Message
from core.platform.rows import Fault
from core.predictions_log.log_writer import Answer
from core.serving import answers, api_keys, contract, labels
from core.serving import server as servers
from core.serving.doors import Doors
from core.serving.endpoint_status import Shadow, Status
from core.serving.http_request import (
    CUT_OFF,
    GoneError,
    Receive,
    RefusedError,
    Request,
    Scope,
    Send,
    forward,
)
from core.serving.metrics import Statistics
from core.serving.prediction_log import LogState, Recorder
from core.serving.protocol import (
    LOAD_PATH,
    LOG,
    NO_MODEL,
    PREDICTION_IDS,
    REQUEST_ID,
    RUN,
    SAMPLE,
    SHADOW,
    SOURCE,
    STATUS_PATH,
    UNLOGGED,
)
from core.serving.server import Server
from core.serving.shadow import Caller, Copies
from core.serving.siblings import Siblings, failure, forward_to_first
from core.serving.versions import Answered, Version, Versions

SOURCES = ("page", "file", "production")
# How long a request waits for a version that is being loaded, and the interval between checks.
WAIT_SECONDS = 3.0
PAUSE_SECONDS = 0.05
# Of predictions at once: more would only contend for the interpreter.
THREADS = max(2, min(4, os.cpu_count() or 2))
# as MLflow's application answers a request that takes too long
LATE = "Request processing time exceeded limit"
UNREAD = row_faults.message(Fault("shape"))
REPLACED = CUT_OFF

_log = logging.getLogger("endpoint")


@dataclass(frozen=True)
class _Current:
    """The record at the time of a request, and the version that it names."""

    server: Server
    version: Version


@dataclass(frozen=True)
class _Scored:
    """A response of the model, the rows as they were read, and what the log has of it."""

    response: Response
    rows: contract.Rows | None
    answered: Answered | None


class App:
    """Answers requests to an endpoint, as an ASGI application.

    Parameters
    ----------
    settings : Settings
        Where the predictions log, the keys and the token are.
    port : int
        Its own; the record of the port describes the model.
    leader : int, optional
        Process id of the endpoint's first process; by default this one.
    versions : Versions, optional
        What loads and holds the versions.
    statistics : Statistics, optional
        What counts the responses.
    """

    def __init__(
        self,
        settings: Settings,
        port: int,
        leader: int | None = None,
        versions: Versions | None = None,
        statistics: Statistics | None = None,
    ) -> None:
        self.settings = settings
        self.port = port
        self.leader = leader or os.getpid()
        self.versions = versions or Versions()
        self.predicting = 0
        self.recorder = Recorder(settings, under_way=lambda: self.predicting)
        self.statistics = statistics or Statistics()
        # of an endpoint with several processes: the others, or the port of the first one
        self.siblings: Siblings | None = None
        self.first: int | None = None
        self._begun = time.monotonic()
        token = api_keys.internal_token(settings)
        self.doors = Doors(settings, token)
        self.copies = Copies(token)
        self._server: Server | None = None
        self._was_named = False
        self._pool = ThreadPoolExecutor(THREADS, "predict")
        self._loading: asyncio.Future[None] | None = None
        self._add_gauges()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to any path, and count it."""
        started = time.perf_counter()
        request = Request(scope, receive)
        rows = [0]
        try:
            response = await self._routed(request, rows)
        except GoneError:
            self.statistics.answered(request.path, 499, time.perf_counter() - started)
            return
        except RefusedError as refusal:
            response = refusal.response
        except Exception as error:  # noqa: BLE001  any error is answered and logged
            response = await self._fault(request, error)
        if not self._is_unlogged(request):
            seconds = time.perf_counter() - started
            self.statistics.answered(request.path, response.status_code, seconds, rows[0])
        await response(scope, receive, send)

    def server(self) -> Server | None:
        """Return the current record of the port, None without one."""
        # if it cannot be read right now, the last record holds
        with suppress(StoreError):
            read = servers.find(self.settings, self.port)
            if read is not None or not servers.is_kept(self.settings, self.port):
                self._server = read
        return self._server

    def is_replaced(self) -> bool:
        """Return whether the port's record was of this process before and is of another one now.

        An endpoint that hung and was replaced must not answer, nor write, beside its successor.
        """
        server = self.server()
        is_named = server is not None and server.pid == self.leader
        self._was_named = self._was_named or is_named
        return self._was_named and server is not None and not is_named

    async def load(self, described: Server) -> None:
        """Load a version beside the live one, in all processes."""
        loading = [asyncio.to_thread(self.versions.load, described)]
        if self.siblings is not None:
            loading.append(self.siblings.load(described))
        for outcome in await asyncio.gather(*loading, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _fault(self, request: Request, error: Exception) -> Response:
        """Return a response for an unexpected error, and record it where the operator looks."""
        name = request.id
        trace = without_secrets("".join(traceback.format_exception(error)))
        _log.error("%s\n%s", name, trace)
        await asyncio.to_thread(
            set_aside.put, self.settings, "endpoint", name, "unexpected", error=error
        )
        failed = Message(
            "The endpoint failed. Send the request again; its log names the cause by the "
            "request id {request}.",
            request=name,
        )
        return answers.error(500, failed, {REQUEST_ID: name})

    async def _routed(self, request: Request, rows: list[int]) -> Response:
        path, method = request.path, request.method
        if refused := self.doors.refusal(request):
            return refused
        if self.is_replaced():
            return answers.error(503, REPLACED)
        if self.first is not None and path in (STATUS_PATH, LOAD_PATH, "/metrics"):
            await request.read(self.settings)
            return await asyncio.to_thread(forward_to_first, self.first, request)
        if path == STATUS_PATH:
            return answers.content(200, messages.to_data(asdict(self.status())))
        if path == "/metrics" and method == "GET":
            kind = "text/plain; version=0.0.4; charset=utf-8"
            return Response(self.statistics.page(), media_type=kind)
        await request.read(self.settings)
        if path == LOAD_PATH and method == "POST" and self.doors.is_ours(request):
            return await self._load(request)
        if path == "/labels":
            return await self._labels(request)
        current = await self._current()
        if current is None:
            ids = {REQUEST_ID: request.id} if path == "/invocations" else {}
            return answers.error(503, NO_MODEL, ids)
        if path == "/invocations" and method == "POST":
            return await self._predict(request, current, rows)
        with current.version.busy():
            return await forward(current.version.app, request, request.body, request.content_type)

    async def _current(self) -> _Current | None:
        """Return the record and its version; wait a little while that version is being loaded."""
        end = time.monotonic() + WAIT_SECONDS
        while True:
            server = self.server()
            if server is not None:
                if (version := self.versions.get(server)) is not None:
                    return _Current(server, version)
                self._load_soon(server)
            if time.monotonic() >= end:
                return None
            await asyncio.sleep(PAUSE_SECONDS)

    def _load_soon(self, server: Server) -> None:
        """Load the version on record in the background, one attempt at a time."""
        if self._loading is not None and not self._loading.done():
            return

        def finished(loading: asyncio.Future[None]) -> None:
            if not loading.cancelled() and (error := loading.exception()) is not None:
                _log.error("%s", failure(error)["problem"])

        self._loading = asyncio.get_running_loop().run_in_executor(None, self.versions.load, server)
        self._loading.add_done_callback(finished)

    async def _load(self, request: Request) -> Response:
        """Load the version that the body describes, for a switch to it."""
        described = servers.read(request.body.decode("utf-8", "replace"))
        if described is None:
            return answers.error(400, UNREAD)
        loading = asyncio.ensure_future(self.load(described))
        # a version's code may raise anything
        await asyncio.wait({loading})
        if (error := loading.exception()) is None:
            return answers.content(200, {})
        _log.error("a version was not loaded", exc_info=error)
        return answers.content(409, failure(error))

    async def _predict(self, request: Request, current: _Current, counted: list[int]) -> Response:
        started, scored_at = time.perf_counter(), time.time()
        request_id = request.id
        ids = {REQUEST_ID: request_id}
        server = current.server
        self.predicting += 1
        try:
            with current.version.busy():
                scored = await self._score(request, current, request_id)
        except contract.RefusedError as refusal:
            return answers.error(400, str(refusal), ids)
        finally:
            self.predicting -= 1
        response, rows = scored.response, scored.rows
        answers.add(response, ids)
        if scored.answered is None:
            return response
        count = len(scored.answered.probabilities)
        if rows is not None and len(rows.features) != count:
            return answers.error(400, answers.unequal(len(rows.features), count), ids)
        if self.is_replaced():
            return answers.error(503, REPLACED, ids)
        if self._is_unlogged(request):
            return response
        caller = self._caller(request, server)
        latency_ms = (time.perf_counter() - started) * 1000
        outcome = await self.recorder.keep(
            Answer(
                request_id=request_id,
                model=server.model,
                version=server.version,
                alias=server.alias,
                source=caller.source if caller.source in SOURCES else "api",
                scored_at=scored_at,
                latency_ms=latency_ms,
                features=rows.features if rows is not None else [{}] * count,
                probabilities=scored.answered.probabilities,
                predicted=scored.answered.labels,
                row_keys=rows.keys if rows is not None else None,
                run_id=caller.run if re.fullmatch("[0-9a-f]{32}", caller.run) else None,
                is_shadow=caller.is_shadow,
                is_sample=caller.is_sample,
            )
        )
        if outcome == "conflict":
            return answers.error(
                409,
                f"The request id {request_id} was used before for other rows. Send each request "
                f"under an id of its own, or without the header {REQUEST_ID}.",
                ids,
            )
        counted[0] = count
        if server.shadow is not None and not caller.is_shadow:
            self.copies.send(server.shadow, request, request_id, caller)
        if outcome == "set_aside":
            return answers.add(response, {LOG: "set-aside"})
        if count:
            last = f"/{request_id}-{count - 1}" if count > 1 else ""
            answers.add(response, {PREDICTION_IDS: f"{request_id}-0{last}"})
        if outcome == "delayed":
            answers.add(response, {LOG: "delayed"})
        return response

    async def _score(self, request: Request, current: _Current, request_id: str) -> _Scored:
        """Return the response of the model, and the rows as they were read.

        Raises
        ------
        contract.RefusedError
            When the rows break the contract.
        """
        server, version = current.server, current.version
        read: list[contract.Rows | None] = []

        def score() -> Answered | None:
            rows = (
                contract.read(
                    request.body,
                    request.content_type,
                    server.inputs,
                    server.contract,
                    is_complete=server.is_complete,
                    key=server.key,
                )
                if server.inputs
                else None
            )
            read.append(rows)
            return None if rows is None else version.predict(rows)

        scoring = asyncio.get_running_loop().run_in_executor(self._pool, score)
        await asyncio.wait({scoring}, timeout=version.timeout)
        if not scoring.done():
            return _Scored(Response(LATE, 504, media_type="application/json"), None, None)
        if isinstance(error := scoring.exception(), contract.RefusedError):
            raise error
        if not read and error is not None:
            raise error
        rows = read[0]
        if error is None and (answered := scoring.result()) is not None:
            return _Scored(
                Response(answered.content, media_type="application/json"), rows, answered
            )
        # unread, or failed: MLflow's application says why
        body, kind = (rows.rewritten() if rows is not None else None) or (
            request.body,
            request.content_type,
        )
        response = await forward(version.app, request, body, kind)
        if response.status_code >= 500 and rows is None and server.inputs:
            # MLflow's error for a body that it could not parse either
            response = answers.error(400, UNREAD)
        if response.status_code != 200:
            return _Scored(response, rows, None)
        if rows is None and server.inputs:
            # the model has scored rows that nobody has validated
            raise contract.RefusedError(Fault("shape"))
        content = bytes(response.body)
        try:
            scores = await asyncio.to_thread(answers.scores, content)
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            # if nothing is known of the model, its response may have no probabilities to log
            if server.inputs:
                await asyncio.to_thread(
                    set_aside.put,
                    self.settings,
                    "predictions",
                    request_id,
                    "answer_unreadable",
                    rows=len(rows.features) if rows is not None else 1,
                    error=error,
                )
                answers.add(response, {LOG: "set-aside"})
            return _Scored(response, rows, None)
        return _Scored(response, rows, Answered(content, *scores))

    def _caller(self, request: Request, server: Server) -> Caller:
        """Return what one of our own processes says of its request; of others, nothing counts."""
        if not self.doors.is_ours(request):
            return Caller(is_sample=server.sample)
        is_shadow = request.header(SHADOW) == "1"
        # a copy has the data source of the original request
        is_sample = request.header(SAMPLE) == "1" or (server.sample and not is_shadow)
        return Caller(request.header(SOURCE) or "", request.header(RUN) or "", is_shadow, is_sample)

    def _is_unlogged(self, request: Request) -> bool:
        """Return whether the answer is only shown by the app: neither logged nor counted."""
        return request.header(UNLOGGED) == "1" and self.doors.is_ours(request)

    async def _labels(self, request: Request) -> Response:
        if request.method != "POST":
            return answers.error(405, labels.wanted(), {"Allow": "POST"})
        if request.kind != contract.JSON:
            # a page of another site may send any other content type without a preflight request
            return answers.error(415, labels.wanted())
        server = self.server()
        key = server.key if server is not None else None
        is_sample = server is not None and server.sample
        code, outcome = await asyncio.to_thread(
            labels.take, self.settings, request.body, key, is_sample=is_sample
        )
        return answers.content(code, outcome) if code == 200 else answers.error(code, outcome)

    def status(self) -> Status:
        """Return the endpoint's current status."""
        server = self.server()
        shadow = server.shadow if server is not None else None
        version = self.versions.get(server) if server is not None else None
        return Status(
            version=version.name if version is not None else None,
            in_flight=self._in_flight(),
            uptime=time.monotonic() - self._begun,
            workers=1 if self.siblings is None else 1 + len(self.siblings),
            counts=self.statistics.recent(),
            log=self._log(),
            shadow=Shadow(shadow, **self._copied()) if shadow is not None else None,
            keys=self.doors.needs_key(),
        )

    def _in_flight(self) -> dict[str, int]:
        own = Counter(self.versions.in_flight())
        return dict(own if self.siblings is None else own + self.siblings.in_flight())

    def _copied(self) -> Counter[str]:
        own = self.copies.counts
        return own if self.siblings is None else own + self.siblings.copies()

    def _written(self) -> int:
        others = 0 if self.siblings is None else self.siblings.written()
        return self.recorder.written + others

    def _log(self) -> LogState:
        """Return the state of the log, in all processes."""
        own = self.recorder.state()
        every = [own] if self.siblings is None else [own, *self.siblings.log()]
        down = [state for state in every if not state.ok]
        return LogState(
            ok=not down,
            since=min((state.since for state in down if state.since), default=None),
            waiting=sum(state.waiting for state in every),
            lost=sum(state.lost for state in every),
            reason=down[0].reason if down else None,
            set_aside=sum(state.set_aside for state in every),
        )

    def _add_gauges(self) -> None:
        add, log = self.statistics.gauge, self._log
        add("in_flight", "Requests not answered yet", lambda: sum(self._in_flight().values()))
        add("log_up", "Whether the predictions log is written", lambda: log().ok)
        add("log_waiting_rows", "Rows not written yet", lambda: log().waiting)
        add("log_lost_rows", "Rows the log will never have", lambda: log().lost)
        add("log_set_aside_rows", "Rows the log did not take", lambda: log().set_aside)
        add("log_written_rows", "Rows written", self._written)
        for name in ("sent", "failed", "dropped"):
            add(
                f"shadow_{name}",
                f"Copies for the challenger that were {name}",
                lambda name=name: self._copied()[name],  # type: ignore[misc]
            )
