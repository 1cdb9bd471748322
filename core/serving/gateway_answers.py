"""What the gateway answers by itself, and what of a model's answer it passes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from core.platform.messages import Message, Words

if TYPE_CHECKING:
    from aiohttp import web

# A column's name, which a message may repeat, can be as long as a request.
SENTENCE_CHARACTERS = 2000
# Headers of a connection, not of the message (RFC 9110, section 7.6.1). The gateway answers
# `100 Continue` itself, as it reads the complete body first.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
KINDS = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    408: "DEADLINE_EXCEEDED",
    409: "RESOURCE_CONFLICT",
    413: "REQUEST_LIMIT_EXCEEDED",
    415: "BAD_REQUEST",
    500: "INTERNAL_ERROR",
    504: "DEADLINE_EXCEEDED",
}


BROKEN = Message("The model closed the connection. Send the request again, or restart the model.")
NO_MODEL = Message("No model answers now. Try again in a minute, or start the model again.")


def unequal(asked: int, count: int) -> Message:
    """Return that a model reads another number of rows than a request has."""
    return Message(
        "The model reads {read:,} rows in this request, which has {rows:,}. Send each row once in "
        "`data`, without `index`.",
        read=count,
        rows=asked,
    )


def scores(answer: bytes) -> tuple[list[float], list[int]]:
    """Return the probabilities and labels of MLflow's response."""
    rows = json.loads(answer)["predictions"]
    return [float(row["probability"]) for row in rows], [int(row["label"]) for row in rows]


def end_to_end(
    headers: Iterable[tuple[bytes, bytes]], without: Iterable[str] = ()
) -> list[tuple[str, str]]:
    """Return the end-to-end headers of a message, with the original case of their names."""
    read = [
        (name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
        for name, value in headers
    ]
    dropped = HOP_BY_HOP.union(without)
    for name, value in read:
        if name.lower() == "connection":
            dropped = dropped.union(token.strip().lower() for token in value.split(","))
    return [(name, value) for name, value in read if name.lower() not in dropped]


def error(code: int, message: Words, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error response of the gateway itself, in the shape of MLflow's errors."""
    from aiohttp import web

    content = {
        "error_code": KINDS.get(code, "TEMPORARILY_UNAVAILABLE"),
        "message": str(message)[:SENTENCE_CHARACTERS],
    }
    return web.json_response(content, status=code, headers=headers)
