"""The status that a gateway reports of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from core.platform.messages import from_data
from core.serving.gateway_log import LogState
from core.serving.gateway_stats import Recent

HOST = "127.0.0.1"
STATUS_PATH = "/.gateway"


@dataclass(frozen=True)
class Shadow:
    """Copies of requests for a challenger: sent, failed and dropped."""

    port: int
    sent: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Status:
    """A gateway's current status.

    Parameters
    ----------
    backend : int or None
        The port that new requests go to; None while the record names none.
    in_flight : mapping of int to int
        Forwarded requests without a response yet, by backend.
    uptime : float
        Seconds since the gateway was started.
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
    """Return the status of the gateway on this port of 127.0.0.1; None when none answers there.

    It rereads its record for this response, so later requests go to that backend.
    """
    connection = HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", STATUS_PATH)
        content = json.loads(connection.getresponse().read())
        content["in_flight"] = {
            int(name): int(count) for name, count in content["in_flight"].items()
        }
        content["counts"] = Recent(**content["counts"])
        content["log"] = LogState(**from_data(content["log"]))
        content["shadow"] = Shadow(**content["shadow"]) if content["shadow"] else None
        return Status(**content)
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return None
    finally:
        connection.close()
