"""A relay: passes each request on a live port to the server of a model that a file names.

`python -m core.adapters.relay PORT FILE` runs one until it is ended. The file is JSON with the
`backend`, a port of 127.0.0.1. When another file takes its place, new requests go to the new
backend, and those under way are still answered by the old one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import ClientSession, web

HOST = "127.0.0.1"
# The one path that is not passed on.
STATUS_PATH = "/.relay"
LIMIT_MB = 200
# How long a request that was not sent yet waits for a backend, and how often it tries.
RETRY_SECONDS = 3.0
PAUSE_SECONDS = 0.05
CONNECT_SECONDS = 2.0
# MLflow gives up a request after 60 s by itself.
ANSWER_SECONDS = 600.0
# uvicorn closes a connection that was idle for 5 s: one that may be closing is not used again.
IDLE_SECONDS = 2.0
# A relay whose file is gone for so long belongs to nobody.
ORPHAN_SECONDS = 10.0
# Of one connection, not of the message (RFC 9110, section 7.6.1). To the request for a `100
# Continue` the relay answers itself, as it takes the whole body first.
HOP_BY_HOP = frozenset(
    {
        "connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
# What aiohttp would add to a request that comes without.
NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True)
class Status:
    """What a relay does now.

    Parameters
    ----------
    backend : int or None
        The port that new requests go to; None while the file names none.
    in_flight : mapping of int to int
        Requests that were passed on and are not answered yet, for each backend that has any.
    """

    backend: int | None
    in_flight: Mapping[int, int]


def status(port: int, timeout: float = 2.0) -> Status | None:
    """Ask the relay on this port of 127.0.0.1 what it does; None when no relay answers there.

    It has read its file for this answer, so what it gets from then on goes to that backend.
    """
    connection = HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", STATUS_PATH)
        told = json.loads(connection.getresponse().read())
        in_flight = {int(name): int(count) for name, count in told["in_flight"].items()}
        return Status(told["backend"], in_flight)
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return None
    finally:
        connection.close()


class Relay:
    """Passes requests on and counts those under way.

    Parameters
    ----------
    file : Path
        Names the backend; looked at for every request.
    limit_mb : int
        Largest body of a request in megabytes.
    """

    def __init__(self, file: Path, limit_mb: int) -> None:
        self.file = file
        self.limit_mb = limit_mb
        self.in_flight: Counter[int] = Counter()
        self._stamp: tuple[int, int, int] | None = None
        self._backend: int | None = None
        self._session: ClientSession | None = None

    def backend(self) -> int | None:
        """Return the port that the file names now, None when there is no file."""
        try:
            found = os.stat(self.file)
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp != self._stamp:
                named = json.loads(self.file.read_text(encoding="utf-8"))["backend"]
                self._backend, self._stamp = int(named), stamp
        except FileNotFoundError:
            self._backend, self._stamp = None, None
        except (OSError, ValueError, KeyError, TypeError):
            # a file that cannot be read at this moment: what it said last holds
            pass
        return self._backend

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as the backend does, or with a sentence (413, 502, 503, 504) when it does not."""
        from aiohttp import ClientConnectorError, ClientError, ConnectionTimeoutError, web

        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _sentence(
                413, f"The request is larger than {self.limit_mb} MB. Send fewer rows at a time."
            )
        clock = asyncio.get_running_loop().time
        end = clock() + RETRY_SECONDS
        while True:
            backend = self.backend()
            if backend is not None:
                try:
                    return await self._ask(backend, request, body)
                except (ClientConnectorError, ConnectionTimeoutError):
                    # nothing was sent: it may be tried again, with another backend by then
                    pass
                except TimeoutError:
                    return _sentence(
                        504,
                        f"The model did not answer within {ANSWER_SECONDS:g} seconds. Send fewer "
                        "rows at a time.",
                    )
                except ClientError:
                    return _sentence(
                        502,
                        "The model broke off the connection before it had answered. Send the "
                        "request again; if that does not help, start the model again.",
                    )
            if clock() >= end:
                return _sentence(
                    503,
                    "No model answers now: its server is starting or has ended. Try again in a "
                    "minute; if that does not help, start the model again.",
                )
            await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, backend: int, request: web.Request, body: bytes) -> web.Response:
        from aiohttp import web
        from yarl import URL

        assert self._session is not None  # made before the first request, see `connected`
        # counted in one go with the choice of the backend, so that no request is missed
        self.in_flight[backend] += 1
        try:
            async with self._session.request(
                request.method,
                URL(f"http://{HOST}:{backend}{request.rel_url.raw_path_qs}", encoded=True),
                headers=_end_to_end(request.raw_headers),
                data=body or None,
                skip_auto_headers=NOT_ADDED,
                allow_redirects=False,
            ) as answer:
                return web.Response(
                    status=answer.status,
                    reason=answer.reason,
                    headers=_end_to_end(answer.raw_headers),
                    body=await answer.read(),
                )
        finally:
            self.in_flight[backend] -= 1

    async def tell(self, request: web.Request) -> web.Response:
        """Answer with the `Status`."""
        from aiohttp import web

        under_way = {port: count for port, count in self.in_flight.items() if count}
        return web.json_response({"backend": self.backend(), "in_flight": under_way})

    async def connected(self, app: web.Application) -> AsyncIterator[None]:
        """Keep connections to the backend, and an eye on the file, while the relay runs."""
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        self._session = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
            timeout=ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS
            ),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
        )
        async with self._session:
            watching = asyncio.create_task(self._end_without_file())
            yield
            watching.cancel()

    async def _end_without_file(self) -> None:
        missed = 0
        while missed < ORPHAN_SECONDS:
            await asyncio.sleep(1.0)
            missed = 0 if self.file.exists() else missed + 1
        signal.raise_signal(signal.SIGTERM)


def application(file: Path, limit_mb: int = LIMIT_MB) -> web.Application:
    """Return a relay as an application of aiohttp, to which more paths may be added."""
    from aiohttp import web

    relay = Relay(file, limit_mb)
    app = web.Application(client_max_size=limit_mb * 1_000_000)
    app.router.add_get(STATUS_PATH, relay.tell)
    app.router.add_route("*", "/{path:.*}", relay.answer)
    app.cleanup_ctx.append(relay.connected)
    return app


def run(port: int, file: Path, limit_mb: int = LIMIT_MB) -> None:
    """Relay what comes to this port of 127.0.0.1, until this process is asked to end.

    Requests under way are answered first.
    """
    from aiohttp import web

    web.run_app(
        application(file, limit_mb),
        host=HOST,
        port=port,
        print=None,
        access_log=None,
        shutdown_timeout=4.0,
        # bodies pass as they are, compressed or not
        auto_decompress=False,
    )


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return the headers that belong to the message, their names as they were written."""
    read = [
        (name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
        for name, value in headers
    ]
    dropped = set(HOP_BY_HOP)
    for name, value in read:
        if name.lower() == "connection":
            dropped.update(token.strip().lower() for token in value.split(","))
    return [(name, value) for name, value in read if name.lower() not in dropped]


def _sentence(code: int, message: str) -> web.Response:
    """Return a fault of the relay's own, in the shape that MLflow gives to its faults."""
    from aiohttp import web

    kinds = {413: "REQUEST_LIMIT_EXCEEDED", 504: "DEADLINE_EXCEEDED"}
    told: dict[str, Any] = {
        "error_code": kinds.get(code, "TEMPORARILY_UNAVAILABLE"),
        "message": message,
    }
    return web.json_response(told, status=code)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="relay")
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--limit-mb", type=int, default=LIMIT_MB)
    given = parser.parse_args()
    run(given.port, given.file, given.limit_mb)


if __name__ == "__main__":
    _main()
