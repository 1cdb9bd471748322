"""The status that an endpoint reports of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from core.platform.messages import from_data
from core.serving.metrics import Recent
from core.serving.prediction_log import LogState
from core.serving.protocol import STATUS_PATH

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Shadow:
    """Copies of requests for a challenger: sent, failed and dropped."""

    port: int
    sent: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Status:
    """An endpoint's current status.

    Parameters
    ----------
    version : str or None
        The version that answers new requests; None while none is loaded.
    in_flight : mapping of str to int
        Requests without a response yet, by version.
    uptime : float
        Seconds since its process was started.
    workers : int
        Processes that answer.
    shadow : Shadow or None
        Where copies go.
    keys : bool
        Whether an API key is needed.
    """

    version: str | None
    in_flight: Mapping[str, int]
    uptime: float
    workers: int
    counts: Recent
    log: LogState
    shadow: Shadow | None
    keys: bool


def status(port: int, timeout: float = 2.0) -> Status | None:
    """Return the status of the endpoint on this port of 127.0.0.1; None when none answers there.

    It rereads its record for this response, so that version answers later requests.
    """
    connection = HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", STATUS_PATH)
        content = json.loads(connection.getresponse().read())
        content["counts"] = Recent(**content["counts"])
        content["log"] = LogState(**from_data(content["log"]))
        content["shadow"] = Shadow(**content["shadow"]) if content["shadow"] else None
        return Status(**content)
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return None
    finally:
        connection.close()
