"""What a gateway does now, as it says it of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from core.serving.gateway_log import LogState
from core.serving.gateway_stats import Recent

HOST = "127.0.0.1"
STATUS_PATH = "/.gateway"


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
    counts : Recent
        What it has answered.
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
    counts: Recent
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
        content = json.loads(connection.getresponse().read())
        content["in_flight"] = {
            int(name): int(count) for name, count in content["in_flight"].items()
        }
        content["counts"], content["log"] = Recent(**content["counts"]), LogState(**content["log"])
        content["shadow"] = Shadow(**content["shadow"]) if content["shadow"] else None
        return Status(**content)
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return None
    finally:
        connection.close()
