"""A gateway before a served model: MLflow's contract, with every answer kept.

`python -m core.adapters.gateway PORT FILE` runs one until it is ended, with the settings of its
environment. The file is that of a `core.adapters.server.Server` with a `backend`, a port of
127.0.0.1. When another file takes its place, new requests go to the new backend, and those under
way are still answered by the old one. The server behind it is kept up by `core.adapters.revival`.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
import re
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from core.adapters import api_keys, contract
from core.adapters import server as servers
from core.adapters.gateway_log import LogState, Recorder
from core.adapters.gateway_stats import Statistics
from core.adapters.server import Server
from core.config import Settings
from core.errors import StoreError

if TYPE_CHECKING:
    from aiohttp import ClientSession, web

HOST = "127.0.0.1"
STATUS_PATH = "/.gateway"
REQUEST_ID, PREDICTION_IDS, LOG = "X-Request-Id", "X-Prediction-Ids", "X-Prediction-Log"
TOKEN, SOURCE, RUN, SHADOW = (
    "X-Courtside-Token", "X-Courtside-Source", "X-Courtside-Run", "X-Courtside-Shadow",
)  # fmt: skip
SOURCES = ("page", "file", "production")
GUARDED = ("/invocations", "/labels", "/metrics")
# How long a request that was not sent yet waits for a backend, and how often it tries.
RETRY_SECONDS = 3.0
PAUSE_SECONDS = 0.05
CONNECT_SECONDS = 2.0
# MLflow gives up a request after 60 s by itself.
ANSWER_SECONDS = 600.0
# uvicorn closes a connection that was idle for 5 s: one that may be closing is not used again.
IDLE_SECONDS = 2.0
# A gateway whose file is gone for so long belongs to nobody.
ORPHAN_SECONDS = 10.0
# A body of more bytes is read in a thread, so that others are answered meanwhile.
LARGE_BODY = 100_000
# Copies for a challenger that are under way at most; more are dropped and counted.
SHADOWS = 32
SHADOW_SECONDS = 60.0
# Of one connection, not of the message (RFC 9110, section 7.6.1). To the request for a `100
# Continue` the gateway answers itself, as it takes the whole body first.
HOP_BY_HOP = frozenset(
    {
        "connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
# For the gateway and not for the model.
OURS = frozenset({"authorization", "x-api-key", *map(str.lower, (TOKEN, SOURCE, RUN, SHADOW))})
# What aiohttp would add to a request that comes without.
NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
BROKEN = (
    "The model broke off the connection before it had answered. Send the request again; if that "
    "does not help, start the model again."
)
KINDS = {
    400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 409: "RESOURCE_CONFLICT",
    413: "REQUEST_LIMIT_EXCEEDED", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


@dataclass(frozen=True)
class Shadow:
    """Copies of requests for a challenger: those sent, and what became of others."""

    port: int
    sent: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Status:
    """What a gateway does now.

    Parameters
    ----------
    backend : int or None
        The port that new requests go to; None while the file names none.
    in_flight : mapping of int to int
        Requests that were passed on and are not answered yet, for each backend that has any.
    uptime : float
        Seconds since the gateway was started.
    requests, errors, recent, recent_errors, per_minute, p50, p95, p99
        See `core.adapters.gateway_stats.Recent`.
    log : LogState
        How the predictions log does.
    shadow : Shadow or None
        Where copies go.
    keys : bool
        Whether an API key is needed.
    """

    backend: int | None
    in_flight: Mapping[int, int]
    uptime: float
    requests: int
    errors: Mapping[str, int]
    recent: int
    recent_errors: int
    per_minute: list[int]
    p50: float | None
    p95: float | None
    p99: float | None
    log: LogState
    shadow: Shadow | None
    keys: bool


def status(port: int, timeout: float = 2.0) -> Status | None:
    """Ask the gateway on this port of 127.0.0.1 what it does; None when none answers there.

    It has read its file for this answer, so what it gets from then on goes to that backend.
    """
    connection = HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", STATUS_PATH)
        told = json.loads(connection.getresponse().read())
        in_flight = {int(name): int(count) for name, count in told["in_flight"].items()}
        shadow = Shadow(**told["shadow"]) if told["shadow"] else None
        return Status(
            **{**told, "in_flight": in_flight, "log": LogState(**told["log"]), "shadow": shadow}
        )
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return None
    finally:
        connection.close()


class Gateway:
    """Passes requests on, refuses what would be scored to no purpose, and keeps the answers.

    Parameters
    ----------
    settings : Settings
        Where the predictions log, the keys and the token are.
    port : int
        Its own.
    file : Path
        Names the backend and describes its model; looked at for every request.
    """

    def __init__(self, settings: Settings, port: int, file: Path) -> None:
        self.settings = settings
        self.port = port
        self.file = file
        self.in_flight: Counter[int] = Counter()
        self.recorder = Recorder(settings, under_way=self.in_flight.total)
        self.statistics = Statistics()
        self._begun = time.monotonic()
        self._token = api_keys.internal_token(settings)
        self._stamp: tuple[int, int, int] | None = None
        self._server: Server | None = None
        self._session: ClientSession | None = None
        self._copies: set[asyncio.Task[None]] = set()
        self._shadowed: Counter[str] = Counter()
        self._add_gauges()

    def server(self) -> Server | None:
        """Return what the file says now, None when there is no file."""
        try:
            found = os.stat(self.file)
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp != self._stamp and (read := servers.find(self.settings, self.port)):
                self._server, self._stamp = read, stamp
        except FileNotFoundError:
            self._server, self._stamp = None, None
        except OSError:
            # a file that cannot be read at this moment: what it said last holds
            pass
        return self._server

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to any path, and count it."""
        begun = time.perf_counter()
        rows = [0]
        path = request.path
        try:
            answer = await self._routed(request, path, rows)
        except ConnectionResetError:
            self.statistics.answered(path, 499, time.perf_counter() - begun)
            raise
        self.statistics.answered(path, answer.status, time.perf_counter() - begun, rows[0])
        return answer

    async def _routed(self, request: web.Request, path: str, rows: list[int]) -> web.Response:
        from aiohttp import web

        if path in GUARDED and (refused := self._guard(request)):
            return refused
        if path == STATUS_PATH:
            return web.json_response(asdict(self.status()))
        if path == "/metrics" and request.method == "GET":
            return web.Response(
                body=self.statistics.page(),
                headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
            )
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            limit = self.settings.upload_limit_mb
            return _sentence(
                413, f"The request is larger than {limit} MB. Send fewer rows at a time."
            )
        if path == "/labels":
            return await self._labels(request, body)
        if path == "/invocations" and request.method == "POST":
            return await self._predict(request, body, rows)
        found = await self._asked(request, body, {})
        return found if isinstance(found, web.Response) else found[0]

    def _guard(self, request: web.Request) -> web.Response | None:
        """Return the refusal of a request that needs a key and has none that is accepted."""
        if api_keys.stamp(self.settings) is None or self._is_ours(request):
            return None
        given = request.headers.get("X-Api-Key", "")
        bearer = request.headers.get("Authorization", "")
        if bearer[:7].lower() == "bearer ":
            given = given or bearer[7:].strip()
        try:
            if given and api_keys.accepts(self.settings, given):
                return None
        except StoreError as error:
            return _sentence(503, error.message)
        what = "This API key is not accepted" if given else "This endpoint needs an API key"
        refused = _sentence(
            401,
            f"{what}. Send one that was made on the Serve page, as `Authorization: Bearer <key>` "
            "or `X-Api-Key: <key>`.",
        )
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused

    def _is_ours(self, request: web.Request) -> bool:
        given = request.headers.get(TOKEN)
        return given is not None and hmac.compare_digest(given.encode(), self._token.encode())

    async def _predict(self, request: web.Request, body: bytes, counted: list[int]) -> web.Response:
        from aiohttp import web

        begun = time.perf_counter()
        scored_at = time.time()
        given = request.headers.get(REQUEST_ID, "").lower()
        request_id = given if re.fullmatch("[0-9a-f]{32}", given) else uuid.uuid4().hex
        ids = {REQUEST_ID: request_id}
        content_type = request.headers.get("Content-Type")

        async def read(server: Server) -> contract.Rows | None:
            def settle() -> contract.Rows | None:
                return contract.read(
                    body, content_type, server.inputs,
                    is_complete=server.is_complete, key=server.key,
                )  # fmt: skip

            return await asyncio.to_thread(settle) if len(body) > LARGE_BODY else settle()

        server = self.server()
        try:
            rows = await read(server) if server is not None and server.inputs else None
            found = await self._asked(request, body, ids)
            if isinstance(found, web.Response):
                return found
            answer, by = found
            if answer.status != 200:
                return answer
            if server is None or by.inputs != server.inputs or by.key != server.key:
                # another version has taken the place meanwhile
                rows = await read(by)
        except contract.RefusedError as refusal:
            return _sentence(400, str(refusal), ids)
        said = answer.body if isinstance(answer.body, bytes) else b""
        try:
            large = len(said) > LARGE_BODY
            told = await asyncio.to_thread(_scores, said) if large else _scores(said)
        except (ValueError, KeyError, TypeError):
            # not a model of ours: its answer has no probability to keep
            return answer
        probabilities, predicted = told
        count = len(probabilities)
        is_ours = self._is_ours(request)
        source = request.headers.get(SOURCE, "") if is_ours else ""
        run = request.headers.get(RUN, "") if is_ours else ""
        is_shadow = is_ours and request.headers.get(SHADOW) == "1"
        from core.adapters.log_writer import Answer

        how = await self.recorder.keep(
            Answer(
                request_id=request_id, model=by.model, version=by.version, alias=by.alias,
                source=source if source in SOURCES else "api", scored_at=scored_at,
                latency_ms=(time.perf_counter() - begun) * 1000,
                features=rows.features if rows is not None else [{}] * count,
                probabilities=probabilities, predicted=predicted,
                row_keys=rows.keys if rows is not None else None,
                run_id=run if re.fullmatch("[0-9a-f]{32}", run) else None, is_shadow=is_shadow,
            )
        )  # fmt: skip
        if how == "conflict":
            return _sentence(
                409,
                f"The request id {request_id} was used before for other rows. Send each request "
                f"under an id of its own, or without the header {REQUEST_ID}.",
                ids,
            )
        counted[0] = count
        if by.shadow is not None and not is_shadow:
            self._copy(request, body, request_id, by.shadow, source, run)
        if count:
            last = f"/{request_id}-{count - 1}" if count > 1 else ""
            answer.headers[PREDICTION_IDS] = f"{request_id}-0{last}"
        if how == "delayed":
            answer.headers[LOG] = "delayed"
        return answer

    async def _asked(
        self, request: web.Request, body: bytes, added: Mapping[str, str]
    ) -> tuple[web.Response, Server] | web.Response:
        """Return the backend's answer and what it is; or a sentence when there is none."""
        from aiohttp import (
            ClientConnectorError,
            ClientError,
            ClientOSError,
            ConnectionTimeoutError,
            ServerDisconnectedError,
        )

        end = time.monotonic() + RETRY_SECONDS
        # scoring rows a second time changes nothing, and nothing of the first time was kept
        may_repeat = request.method == "POST" and request.path == "/invocations"
        while True:
            server = self.server()
            if server is not None and server.backend is not None:
                try:
                    return await self._ask(server.backend, request, body, added), server
                except (ClientConnectorError, ConnectionTimeoutError):
                    # nothing was sent: it may be tried again, with another backend by then
                    pass
                except (ClientOSError, ServerDisconnectedError):
                    # a server that was killed or stopped: once, for what if these rows did it
                    if not may_repeat:
                        return _sentence(502, BROKEN, added)
                    may_repeat = False
                except TimeoutError:
                    return _sentence(
                        504,
                        f"The model did not answer within {ANSWER_SECONDS:g} seconds. Send fewer "
                        "rows at a time.",
                        added,
                    )
                except ClientError:
                    return _sentence(502, BROKEN, added)
            if time.monotonic() >= end:
                return _sentence(
                    503,
                    "No model answers now: its server is starting or has ended. Try again in a "
                    "minute; if that does not help, start the model again.",
                    added,
                )
            await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(
        self, backend: int, request: web.Request, body: bytes, added: Mapping[str, str]
    ) -> web.Response:
        from aiohttp import web
        from yarl import URL

        assert self._session is not None  # made before the first request, see `connected`
        # counted in one go with the choice of the backend, so that no request is missed
        self.in_flight[backend] += 1
        try:
            async with self._session.request(
                request.method,
                URL(f"http://{HOST}:{backend}{request.rel_url.raw_path_qs}", encoded=True),
                headers=_end_to_end(request.raw_headers, OURS),
                data=body or None,
                skip_auto_headers=NOT_ADDED,
                allow_redirects=False,
            ) as answer:
                return web.Response(
                    status=answer.status,
                    reason=answer.reason,
                    headers=[*_end_to_end(answer.raw_headers), *added.items()],
                    body=await answer.read(),
                )
        finally:
            self.in_flight[backend] -= 1

    def _copy(
        self, request: web.Request, body: bytes, request_id: str, port: int, source: str, run: str
    ) -> None:
        """Send a copy to the challenger's gateway, if it is not behind; nobody waits for it."""
        if len(self._copies) >= SHADOWS:
            self._shadowed["dropped"] += 1
            return
        headers = {TOKEN: self._token, SHADOW: "1", REQUEST_ID: request_id}
        headers |= {name: value for name, value in ((SOURCE, source), (RUN, run)) if value}
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
        except (ClientError, TimeoutError, OSError):
            self._shadowed["failed"] += 1

    async def _labels(self, request: web.Request, body: bytes) -> web.Response:
        from aiohttp import web

        if request.method != "POST":
            told = _sentence(405, "Labels are sent by POST.")
            told.headers["Allow"] = "POST"
            return told
        from core.adapters import gateway_labels

        server = self.server()
        key = server.key if server is not None else None
        code, found = await asyncio.to_thread(gateway_labels.take, self.settings, body, key)
        return web.json_response(found, status=code) if code == 200 else _sentence(code, found)

    def status(self) -> Status:
        """Return what the gateway does now."""
        server = self.server()
        shadow = server.shadow if server is not None else None
        return Status(
            backend=server.backend if server is not None else None,
            in_flight={port: count for port, count in self.in_flight.items() if count},
            uptime=time.monotonic() - self._begun,
            **asdict(self.statistics.recent()),
            log=self.recorder.state(),
            shadow=Shadow(shadow, **self._shadowed) if shadow is not None else None,
            keys=api_keys.stamp(self.settings) is not None,
        )

    def _add_gauges(self) -> None:
        add, log = self.statistics.gauge, self.recorder.state
        add("in_flight", "Requests passed on and not answered", lambda: self.in_flight.total())
        add("log_up", "Whether the predictions log is written", lambda: log().ok)
        add("log_waiting_rows", "Rows not written yet", lambda: log().waiting)
        add("log_lost_rows", "Rows the log will never have", lambda: log().lost)
        add("log_written_rows", "Rows written", lambda: self.recorder.written)
        for name in ("sent", "failed", "dropped"):
            add(
                f"shadow_{name}", f"Copies for the challenger that were {name}",
                lambda name=name: self._shadowed[name],  # type: ignore[misc]
            )  # fmt: skip

    async def connected(self, app: web.Application) -> AsyncIterator[None]:
        """Keep connections, the log's writer and the watch while the gateway runs."""
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        from core.adapters import revival

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
                asyncio.create_task(self._end_without_file()),
                asyncio.create_task(revival.watch(self.settings, self.port)),
            ]
            yield
            for task in (*tasks, *self._copies):
                task.cancel()
        await asyncio.to_thread(self.recorder.close)

    async def _end_without_file(self) -> None:
        missed = 0
        while missed < ORPHAN_SECONDS:
            await asyncio.sleep(1.0)
            missed = 0 if self.file.exists() else missed + 1
        signal.raise_signal(signal.SIGTERM)


def application(settings: Settings, port: int, file: Path) -> web.Application:
    """Return a gateway as an application of aiohttp."""
    from aiohttp import web

    gateway = Gateway(settings, port, file)
    app = web.Application(client_max_size=settings.upload_limit_mb * 1_000_000)
    app.router.add_route("*", "/{path:.*}", gateway.answer)
    app.cleanup_ctx.append(gateway.connected)
    return app


def run(settings: Settings, port: int, file: Path) -> None:
    """Answer on this port of 127.0.0.1 until this process is asked to end.

    Requests under way are answered first, and what waits for the log is written.
    """
    from aiohttp import web

    # the thread that writes the log must not hold up the answers for longer
    sys.setswitchinterval(0.0005)
    web.run_app(
        application(settings, port, file),
        host=HOST,
        port=port,
        print=None,
        access_log=None,
        shutdown_timeout=4.0,
        # bodies pass as they are, compressed or not
        auto_decompress=False,
    )


def _scores(answer: bytes) -> tuple[list[float], list[int]]:
    """Return the probabilities and labels of an answer of MLflow."""
    rows = json.loads(answer)["predictions"]
    return [float(row["probability"]) for row in rows], [int(row["label"]) for row in rows]


def _end_to_end(
    headers: Iterable[tuple[bytes, bytes]], without: Iterable[str] = ()
) -> list[tuple[str, str]]:
    """Return the headers that belong to the message, their names as they were written."""
    read = [
        (name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
        for name, value in headers
    ]
    dropped = HOP_BY_HOP.union(without)
    for name, value in read:
        if name.lower() == "connection":
            dropped = dropped.union(token.strip().lower() for token in value.split(","))
    return [(name, value) for name, value in read if name.lower() not in dropped]


def _sentence(code: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a fault of the gateway's own, in the shape that MLflow gives to its faults."""
    from aiohttp import web

    told = {"error_code": KINDS.get(code, "TEMPORARILY_UNAVAILABLE"), "message": message}
    return web.json_response(told, status=code, headers=headers)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="gateway")
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    run(Settings.load(), given.port, given.file)


if __name__ == "__main__":
    _main()
