"""A request to an endpoint: its headers, and its body within bounds of size and time."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import Response

from core.platform import bounds
from core.platform.config import Settings
from core.platform.messages import Message
from core.serving import answers, contract, request_bounds
from core.serving.protocol import REQUEST_ID

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# A connection is closed if the body of a request takes longer.
BODY_SECONDS = 60.0
# A larger body is parsed in a thread, so that other requests are not blocked.
LARGE_BODY = 100_000
CUT_OFF = Message("The request was not complete. Send it again.")
CLOSE = {"Connection": "close"}
# headers that describe the body
OF_BODY = (b"content-type", b"content-length", b"transfer-encoding")


class GoneError(Exception):
    """The caller has closed the connection."""


class RefusedError(Exception):
    """A request that is not read; carries the response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class Request:
    """A request, and its body once it was read."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope, self.receive = scope, receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        # bytes that are not UTF-8 become surrogates
        self.headers = [
            (name.decode("ascii"), value.decode("utf-8", "surrogateescape"))
            for name, value in scope["headers"]
        ]
        self.body = b""

    def header(self, name: str) -> str | None:
        """Return the first header of a name, None if there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)

    @property
    def id(self) -> str:
        """The id that the caller gave the request, or a new one."""
        own = (self.header(REQUEST_ID) or "").lower()
        return own if re.fullmatch("[0-9a-f]{32}", own) else uuid.uuid4().hex

    @property
    def content_type(self) -> str | None:
        """The header as it is, None without one."""
        return self.header("Content-Type")

    @property
    def kind(self) -> str:
        """The content type without its parameters."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    async def read(self, settings: Settings) -> None:
        """Read the body.

        Raises
        ------
        RefusedError
            When it is too large or too slow, or would exceed the limits once parsed.
        GoneError
            When the caller has closed the connection.
        """
        limit = request_limit(settings)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                self.body = await self._received(limit)
        except TimeoutError as error:
            raise RefusedError(answers.error(408, CUT_OFF, CLOSE)) from error
        if len(self.body) <= LARGE_BODY and not self.body.startswith(contract.PARQUET_MARK):
            return
        try:
            await asyncio.to_thread(request_bounds.check, self.body)
        except bounds.FileError as error:
            raise RefusedError(answers.error(413, error.message)) from error

    async def _received(self, limit: int) -> bytes:
        """Return the body; of a larger one the rest is read too, but not kept."""
        parts: list[bytes] = []
        size, is_complete = 0, False
        while not is_complete:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise GoneError
            part = message.get("body", b"")
            is_complete = not message.get("more_body", False)
            size += len(part)
            if size > limit:
                parts.clear()
            else:
                parts.append(part)
        if size > limit:
            raise RefusedError(
                answers.error(
                    413,
                    Message(
                        "The request is larger than {limit} MB. Send fewer rows at a time.",
                        limit=limit // 1_000_000,
                    ),
                )
            )
        return b"".join(parts)


def request_limit(settings: Settings) -> int:
    """Return the largest size of a request in bytes."""
    return min(settings.upload_limit_mb * 1_000_000, bounds.MAX_REQUEST_BYTES)


async def forward(app: Any, request: Request, body: bytes, content_type: str | None) -> Response:
    """Return the response of another ASGI application to a request with this body."""
    head: dict[str, Any] = {}
    content: list[bytes] = []
    headers = [(name, value) for name, value in request.scope["headers"] if name not in OF_BODY]
    if content_type is not None:
        headers.append((b"content-type", content_type.encode("utf-8", "surrogateescape")))
    headers.append((b"content-length", str(len(body)).encode()))

    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        if not parts:
            # the caller does not go away while this is waited for
            await asyncio.Event().wait()
        return parts.pop()

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            head.update(message)
        else:
            content.append(message.get("body", b""))

    answering = asyncio.ensure_future(app({**request.scope, "headers": headers}, receive, send))
    await asyncio.wait({answering})
    if (error := answering.exception()) is not None and not head:
        raise error
    # an application may raise what it has answered by 500
    response = Response(b"".join(content), head["status"])
    response.raw_headers = list(head["headers"])
    return response
