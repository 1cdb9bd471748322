"""The gateway in front of a served model: MLflow's contract, with every prediction logged.

`python -m core.serving.gateway PORT` runs one, with the settings of its environment. Its record is
a `core.serving.server.Server` under that port with a `backend`, a port of 127.0.0.1. When the
record changes, new requests go to the new backend, and those in flight are still answered by the
old one. `core.serving.restarts` keeps the server behind it running.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import re
import signal
import sys
import time
import traceback
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from core.platform import bounds, privacy, row_faults, same_site, set_aside
from core.platform.config import Settings
from core.platform.errors import StoreError, without_secrets
from core.platform.messages import Message
from core.platform.rows import Fault
from core.serving import api_keys, contract, gateway_answers, request_bounds
from core.serving import server as servers
from core.serving.gateway_answers import BROKEN, NO_MODEL
from core.serving.gateway_log import Recorder
from core.serving.gateway_stats import Statistics
from core.serving.gateway_status import HOST
from core.serving.gateway_status import STATUS_PATH as STATUS_PATH
from core.serving.gateway_status import Shadow as Shadow
from core.serving.gateway_status import Status as Status
from core.serving.gateway_status import status as status
from core.serving.server import Server

if TYPE_CHECKING:
    from aiohttp import ClientSession, web

JSON = contract.JSON
REQUEST_ID, PREDICTION_IDS, LOG = "X-Request-Id", "X-Prediction-Ids", "X-Prediction-Log"
TOKEN, SOURCE, RUN, SHADOW, SAMPLE = (
    "X-Courtside-Token",
    "X-Courtside-Source",
    "X-Courtside-Run",
    "X-Courtside-Shadow",
    "X-Courtside-Sample",
)
SOURCES = ("page", "file", "production")
# Health checks need no key. All else does, including MLflow's own pages.
OPEN = ("/ping", "/health", STATUS_PATH)
# A connection is closed if the head or the body of a request takes longer.
HEAD_SECONDS = 60.0
BODY_SECONDS = 60.0
# How long an unsent request waits for a backend, and the interval between tries.
RETRY_SECONDS = 3.0
PAUSE_SECONDS = 0.05
CONNECT_SECONDS = 2.0
# MLflow itself gives up a request after 60 s.
ANSWER_SECONDS = 600.0
# uvicorn closes connections idle for 5 s: one that may be closing is not reused.
IDLE_SECONDS = 2.0
# A gateway without a record for this long is an orphan and ends.
ORPHAN_SECONDS = 10.0
# A larger body is parsed in a thread, so that other requests are not blocked.
LARGE_BODY = 100_000
# Most concurrent copies for a challenger; more are dropped and counted.
SHADOWS = 32
SHADOW_SECONDS = 60.0
# Headers for the gateway, not for the model.
OURS = frozenset(
    {"authorization", "x-api-key", *map(str.lower, (TOKEN, SOURCE, RUN, SHADOW, SAMPLE))}
)
# Headers that describe the body.
OF_BODY = ("content-type", "content-length", "content-encoding")
# Headers that aiohttp would add to a request without them.
NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
CUT_OFF = Message("The request was not complete. Send it again.")
UNREAD = row_faults.message(Fault("shape"))
REPLACED = CUT_OFF


class Gateway:
    """Forwards requests, refuses those that break the row contract, and logs the predictions.

    Parameters
    ----------
    settings : Settings
        Where the predictions log, the keys and the token are.
    port : int
        Its own; the record of the port names the backend and describes its model.
    """

    def __init__(self, settings: Settings, port: int) -> None:
        self.settings = settings
        self.port = port
        self.in_flight: Counter[int] = Counter()
        self.recorder = Recorder(settings, under_way=self.in_flight.total)
        self.statistics = Statistics()
        self._begun = time.monotonic()
        self._token = api_keys.internal_token(settings)
        self._server: Server | None = None
        self._was_named = False
        self._session: ClientSession | None = None
        self._copies: set[asyncio.Task[None]] = set()
        self._shadowed: Counter[str] = Counter()
        self._add_gauges()

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

        A gateway that hung and was replaced must not answer, nor write, beside its successor.
        """
        server = self.server()
        is_named = server is not None and server.pid == os.getpid()
        self._was_named = self._was_named or is_named
        return self._was_named and server is not None and not is_named

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to any path, and count it."""
        started = time.perf_counter()
        rows = [0]
        path = request.path
        try:
            answer = await self._routed(request, path, rows)
        except ConnectionResetError:
            # the caller has gone
            self.statistics.answered(path, 499, time.perf_counter() - started)
            return gateway_answers.error(400, CUT_OFF)
        except Exception as error:  # noqa: BLE001  any error is answered and logged
            answer = await self._fault(request, error)
        self.statistics.answered(path, answer.status, time.perf_counter() - started, rows[0])
        return answer

    async def expected(self, request: web.Request) -> web.Response | None:
        """Send `100 Continue` to a caller that expects it; refuse other expectations."""
        from aiohttp import hdrs

        if request.version < (1, 1):
            return None
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # not part of the response's size
            request.writer.output_size = 0
            return None
        self.statistics.answered(request.path, 417, 0.0)
        return gateway_answers.error(
            417, Message("The request cannot be read: {reason}.", reason="Expect ≠ 100-continue")
        )

    async def _fault(self, request: web.Request, error: Exception) -> web.Response:
        """Return a response for an unexpected error, and record it where the operator looks."""
        from aiohttp import web

        if isinstance(error, web.HTTPException | web.RequestPayloadError):
            # the body does not match its headers
            code = error.status if isinstance(error, web.HTTPException) else 400
            return gateway_answers.error(
                code, Message("The request cannot be read: {reason}.", reason=str(error))
            )
        name = _request_id(request)
        trace = without_secrets("".join(traceback.format_exception(error)))
        print(f"{name}\n{trace}", file=sys.stderr)  # noqa: T201
        await asyncio.to_thread(
            set_aside.put, self.settings, "endpoint", name, "unexpected", error=error
        )
        failed = Message(
            "The endpoint failed. Send the request again; its log names the cause by the "
            "request id {request}.",
            request=name,
        )
        return gateway_answers.error(500, failed, {REQUEST_ID: name})

    async def _routed(self, request: web.Request, path: str, rows: list[int]) -> web.Response:
        from aiohttp import web

        if refused := self._foreign(request):
            return refused
        if path not in OPEN and (refused := self._guard(request)):
            return refused
        if self.is_replaced():
            return gateway_answers.error(503, REPLACED)
        if path == STATUS_PATH:
            return web.json_response(asdict(self.status()))
        if path == "/metrics" and request.method == "GET":
            return web.Response(
                body=self.statistics.page(),
                headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
            )
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        if path == "/labels":
            return await self._labels(request, body)
        if path == "/invocations" and request.method == "POST":
            return await self._predict(request, body, rows)
        reply = await self._asked(request, body, {})
        return reply if isinstance(reply, web.Response) else reply[0]

    def _foreign(self, request: web.Request) -> web.Response | None:
        """Return the refusal of a request with a foreign host name, or from a foreign page."""
        hosts = request.headers.getall("Host", [])
        host, origin = hosts[0] if len(hosts) == 1 else None, request.headers.get("Origin")
        code = same_site.refusal(host, origin, self.settings.hosts)
        return gateway_answers.error(403, same_site.sentence(code, host, origin)) if code else None

    async def _body(self, request: web.Request) -> bytes | web.Response:
        """Return the body of a request, or its refusal if it is too slow or too large."""
        from aiohttp import web

        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.read()
            if len(body) > LARGE_BODY or body.startswith(contract.PARQUET_MARK):
                await asyncio.to_thread(request_bounds.check, body)
        except web.HTTPRequestEntityTooLarge:
            limit = request_limit(self.settings) // 1_000_000
            return gateway_answers.error(
                413,
                Message(
                    "The request is larger than {limit} MB. Send fewer rows at a time.", limit=limit
                ),
            )
        except bounds.FileError as error:
            return gateway_answers.error(413, error.message)
        except TimeoutError:
            late = gateway_answers.error(
                408, Message("The request was not complete. Send it again.")
            )
            late.force_close()
            return late
        return body

    def _guard(self, request: web.Request) -> web.Response | None:
        """Return the refusal of a request without an accepted key, where keys are needed."""
        if self._is_ours(request):
            return None
        key = request.headers.get("X-Api-Key", "")
        bearer = request.headers.get("Authorization", "")
        if bearer[:7].lower() == "bearer ":
            key = key or bearer[7:].strip()
        try:
            if not api_keys.are_needed(self.settings):
                return None
            if key and api_keys.accepts(self.settings, key):
                return None
        except StoreError as error:
            return gateway_answers.error(503, error.message)
        refused = gateway_answers.error(
            401,
            Message(
                "A valid API key is needed. Send one created on the Serve page, as `Authorization: "
                "Bearer <key>` or `X-Api-Key: <key>`."
            ),
        )
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused

    def _is_ours(self, request: web.Request) -> bool:
        token = request.headers.get(TOKEN)
        # bytes that are not UTF-8 arrive as surrogates
        return token is not None and hmac.compare_digest(
            token.encode("utf-8", "surrogateescape"), self._token.encode()
        )

    async def _predict(self, request: web.Request, body: bytes, counted: list[int]) -> web.Response:
        from aiohttp import web

        started = time.perf_counter()
        scored_at = time.time()
        request_id = _request_id(request)
        ids = {REQUEST_ID: request_id}
        content_type = request.headers.get("Content-Type")

        async def read(server: Server) -> contract.Rows | None:
            def settle() -> contract.Rows | None:
                return contract.read(
                    body,
                    content_type,
                    server.inputs,
                    server.contract,
                    is_complete=server.is_complete,
                    key=server.key,
                )

            return await asyncio.to_thread(settle) if len(body) > LARGE_BODY else settle()

        try:
            while True:
                server = self.server()
                rows = await read(server) if server is not None and server.inputs else None
                rewritten = rows.asked if rows is not None else None
                reply = await self._asked(request, body, ids, rewritten)
                if isinstance(reply, web.Response):
                    return reply
                answer, by = reply
                if answer.status >= 500 and rows is None and by.inputs:
                    # MLflow's error for a body that it could not parse either
                    return gateway_answers.error(400, UNREAD, ids)
                if answer.status != 200:
                    return answer
                if server is not None and (by.contract, by.key) == (server.contract, server.key):
                    break
                # another version has taken over meanwhile: parse by its own contract
            if rows is None and by.inputs:
                # the model has scored rows that nobody has validated
                raise contract.RefusedError(Fault("shape"))
        except contract.RefusedError as refusal:
            return gateway_answers.error(400, str(refusal), ids)
        content = answer.body if isinstance(answer.body, bytes) else b""
        try:
            large = len(content) > LARGE_BODY
            scores = (
                await asyncio.to_thread(gateway_answers.scores, content)
                if large
                else gateway_answers.scores(content)
            )
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            # if nothing is known of the model, its response may have no probabilities to log
            if by.inputs:
                await asyncio.to_thread(
                    set_aside.put,
                    self.settings,
                    "predictions",
                    request_id,
                    "answer_unreadable",
                    rows=len(rows.features) if rows is not None else 1,
                    error=error,
                )
                answer.headers[LOG] = "set-aside"
            return answer
        if self.is_replaced():
            return gateway_answers.error(503, REPLACED, ids)
        probabilities, predicted = scores
        count = len(probabilities)
        if rows is not None and len(rows.features) != count:
            return gateway_answers.error(
                400, gateway_answers.unequal(len(rows.features), count), ids
            )
        is_ours = self._is_ours(request)
        source = request.headers.get(SOURCE, "") if is_ours else ""
        run = request.headers.get(RUN, "") if is_ours else ""
        is_shadow = is_ours and request.headers.get(SHADOW) == "1"
        # a copy has the data source of the original request
        is_sample = is_ours and request.headers.get(SAMPLE) == "1"
        is_sample = is_sample or (by.sample and not is_shadow)
        from core.predictions_log.log_writer import Answer

        outcome = await self.recorder.keep(
            Answer(
                request_id=request_id,
                model=by.model,
                version=by.version,
                alias=by.alias,
                source=source if source in SOURCES else "api",
                scored_at=scored_at,
                latency_ms=(time.perf_counter() - started) * 1000,
                features=rows.features if rows is not None else [{}] * count,
                probabilities=probabilities,
                predicted=predicted,
                row_keys=rows.keys if rows is not None else None,
                run_id=run if re.fullmatch("[0-9a-f]{32}", run) else None,
                is_shadow=is_shadow,
                is_sample=is_sample,
            )
        )
        if outcome == "conflict":
            return gateway_answers.error(
                409,
                f"The request id {request_id} was used before for other rows. Send each request "
                f"under an id of its own, or without the header {REQUEST_ID}.",
                ids,
            )
        counted[0] = count
        if by.shadow is not None and not is_shadow:
            origin = {SOURCE: source, RUN: run, SAMPLE: "1" if is_sample else ""}
            self._copy(request, body, request_id, by.shadow, origin)
        if outcome == "set_aside":
            answer.headers[LOG] = "set-aside"
            return answer
        if count:
            last = f"/{request_id}-{count - 1}" if count > 1 else ""
            answer.headers[PREDICTION_IDS] = f"{request_id}-0{last}"
        if outcome == "delayed":
            answer.headers[LOG] = "delayed"
        return answer

    async def _asked(
        self,
        request: web.Request,
        body: bytes,
        added: Mapping[str, str],
        instead: tuple[bytes, str] | None = None,
    ) -> tuple[web.Response, Server] | web.Response:
        """Return the backend's response and the backend, or an error response if there is none.

        `instead` is another body, with its content type, for the backend.
        """
        from aiohttp import (
            ClientConnectorError,
            ClientError,
            ClientOSError,
            ConnectionTimeoutError,
            ServerDisconnectedError,
        )

        end = time.monotonic() + RETRY_SECONDS
        # scoring rows twice changes nothing, and nothing was logged the first time
        may_repeat = request.method == "POST" and request.path == "/invocations"
        while True:
            server = self.server()
            if server is not None and server.backend is not None:
                try:
                    return await self._ask(server.backend, request, body, added, instead), server
                except (ClientConnectorError, ConnectionTimeoutError):
                    # nothing was sent: retry, perhaps with another backend by then
                    pass
                except (ClientOSError, ServerDisconnectedError):
                    # the server was killed or stopped: retry once, as these rows may be the cause
                    if not may_repeat:
                        return gateway_answers.error(502, BROKEN, added)
                    may_repeat = False
                except TimeoutError:
                    return gateway_answers.error(
                        504,
                        Message(
                            "The model did not answer within {seconds:g} seconds. Send fewer rows "
                            "at a time.",
                            seconds=ANSWER_SECONDS,
                        ),
                        added,
                    )
                except ClientError:
                    return gateway_answers.error(502, BROKEN, added)
            if time.monotonic() >= end:
                return gateway_answers.error(503, NO_MODEL, added)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(
        self,
        backend: int,
        request: web.Request,
        body: bytes,
        added: Mapping[str, str],
        instead: tuple[bytes, str] | None = None,
    ) -> web.Response:
        from aiohttp import web
        from yarl import URL

        assert self._session is not None  # created before the first request, see `connected`
        headers = gateway_answers.end_to_end(request.raw_headers, OURS)
        if instead is not None:
            body, kind = instead
            headers = gateway_answers.end_to_end(request.raw_headers, OURS.union(OF_BODY))
            headers.append(("Content-Type", kind))
        # counted in one step with the choice of the backend, so that no request is missed
        self.in_flight[backend] += 1
        try:
            async with self._session.request(
                request.method,
                URL(f"http://{HOST}:{backend}{request.rel_url.raw_path_qs}", encoded=True),
                headers=headers,
                data=body or None,
                skip_auto_headers=NOT_ADDED,
                allow_redirects=False,
            ) as answer:
                return web.Response(
                    status=answer.status,
                    reason=answer.reason,
                    headers=[*gateway_answers.end_to_end(answer.raw_headers), *added.items()],
                    body=await answer.read(),
                )
        finally:
            self.in_flight[backend] -= 1

    def _copy(
        self,
        request: web.Request,
        body: bytes,
        request_id: str,
        port: int,
        passed_on: Mapping[str, str],
    ) -> None:
        """Send a copy to the challenger's gateway in the background, unless it lags behind."""
        if len(self._copies) >= SHADOWS:
            self._shadowed["dropped"] += 1
            return
        headers = {TOKEN: self._token, SHADOW: "1", REQUEST_ID: request_id}
        headers |= {name: value for name, value in passed_on.items() if value}
        headers["Content-Type"] = request.headers.get("Content-Type", "")
        task = asyncio.create_task(self._send_copy(port, body, headers))
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    async def _send_copy(self, port: int, body: bytes, headers: Mapping[str, str]) -> None:
        from aiohttp import ClientError, ClientTimeout

        assert self._session is not None
        try:
            async with self._session.post(
                f"http://{HOST}:{port}/invocations",
                data=body,
                headers=headers,
                timeout=ClientTimeout(total=SHADOW_SECONDS),
            ) as answer:
                await answer.read()
                self._shadowed["sent" if answer.status == 200 else "failed"] += 1
        except (ClientError, TimeoutError, OSError, ValueError):
            self._shadowed["failed"] += 1

    async def _labels(self, request: web.Request, body: bytes) -> web.Response:
        from aiohttp import web

        from core.serving import gateway_labels

        if request.method != "POST":
            refusal = gateway_answers.error(405, gateway_labels.wanted())
            refusal.headers["Allow"] = "POST"
            return refusal
        if request.content_type != JSON:
            # a page of another site may send any other content type without a preflight request
            return gateway_answers.error(415, gateway_labels.wanted())
        server = self.server()
        key = server.key if server is not None else None
        is_sample = server is not None and server.sample
        code, outcome = await asyncio.to_thread(
            gateway_labels.take, self.settings, body, key, is_sample=is_sample
        )
        return (
            web.json_response(outcome, status=code)
            if code == 200
            else gateway_answers.error(code, outcome)
        )

    def status(self) -> Status:
        """Return the gateway's current status."""
        server = self.server()
        shadow = server.shadow if server is not None else None
        return Status(
            backend=server.backend if server is not None else None,
            in_flight={port: count for port, count in self.in_flight.items() if count},
            uptime=time.monotonic() - self._begun,
            counts=self.statistics.recent(),
            log=self.recorder.state(),
            shadow=Shadow(shadow, **self._shadowed) if shadow is not None else None,
            keys=self._needs_key(),
        )

    def _needs_key(self) -> bool:
        try:
            return api_keys.are_needed(self.settings)
        except StoreError:
            return True

    def _add_gauges(self) -> None:
        add, log = self.statistics.gauge, self.recorder.state
        add("in_flight", "Requests passed on and not answered", lambda: self.in_flight.total())
        add("log_up", "Whether the predictions log is written", lambda: log().ok)
        add("log_waiting_rows", "Rows not written yet", lambda: log().waiting)
        add("log_lost_rows", "Rows the log will never have", lambda: log().lost)
        add("log_set_aside_rows", "Rows the log did not take", lambda: log().set_aside)
        add("log_written_rows", "Rows written", lambda: self.recorder.written)
        for name in ("sent", "failed", "dropped"):
            add(
                f"shadow_{name}",
                f"Copies for the challenger that were {name}",
                lambda name=name: self._shadowed[name],  # type: ignore[misc]
            )

    async def connected(self, app: web.Application) -> AsyncIterator[None]:
        """Hold connections, the log's writer and the watch open while the gateway runs."""
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        from core.serving import restarts

        self.recorder.start()
        self._session = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
            timeout=ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS
            ),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
        )
        async with self._session:
            tasks = [
                asyncio.create_task(self._end_unkept()),
                asyncio.create_task(restarts.watch(self.settings, self.port)),
            ]
            yield
            for task in (*tasks, *self._copies):
                task.cancel()
        await asyncio.to_thread(self.recorder.close)

    async def _end_unkept(self) -> None:
        missed = 0
        while missed < ORPHAN_SECONDS:
            await asyncio.sleep(1.0)
            if self.is_replaced():
                break
            with suppress(StoreError):
                # unreadable at this moment proves nothing
                missed = 0 if servers.is_kept(self.settings, self.port) else missed + 1
        signal.raise_signal(signal.SIGTERM)


def application(settings: Settings, port: int) -> web.Application:
    """Return a gateway as an aiohttp application."""
    from aiohttp import web

    gateway = Gateway(settings, port)
    app = web.Application(client_max_size=request_limit(settings))
    app.router.add_route("*", "/{path:.*}", gateway.answer, expect_handler=gateway.expected)
    app.cleanup_ctx.append(gateway.connected)
    return app


def request_limit(settings: Settings) -> int:
    """Return the largest size of a request in bytes."""
    return min(settings.upload_limit_mb * 1_000_000, bounds.MAX_REQUEST_BYTES)


def run(settings: Settings, port: int) -> None:
    """Serve this port of 127.0.0.1 until this process is asked to end.

    Requests in flight are answered first, and pending rows are written to the log.
    """
    from aiohttp import web

    # keeps the thread that writes the log from delaying responses
    sys.setswitchinterval(0.0005)
    web.run_app(
        application(settings, port),
        host=HOST,
        port=port,
        print=None,
        access_log=None,
        shutdown_timeout=4.0,
        # from the connection, or the previous response, to the end of the next head
        keepalive_timeout=HEAD_SECONDS,
        # bodies pass unchanged, compressed or not
        auto_decompress=False,
    )


def _request_id(request: web.Request) -> str:
    """Return the id that a caller gave its request, or a new one."""
    own = request.headers.get(REQUEST_ID, "").lower()
    return own if re.fullmatch("[0-9a-f]{32}", own) else uuid.uuid4().hex


def _main() -> None:
    parser = argparse.ArgumentParser(prog="gateway")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    privacy.set_umask()
    run(Settings.load(), arguments.port)


if __name__ == "__main__":
    _main()
