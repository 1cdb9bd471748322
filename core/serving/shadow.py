"""Copies of requests for a challenger, and what our own processes say of their requests."""

from __future__ import annotations

import http.client
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from core.platform import process
from core.serving.http_request import Request
from core.serving.protocol import REQUEST_ID, RUN, SAMPLE, SHADOW, SOURCE, TOKEN

# Most concurrent copies; more are dropped and counted.
MOST, THREADS = 32, 4
SECONDS = 60.0


@dataclass(frozen=True)
class Caller:
    """What the headers of a request say of it.

    Parameters
    ----------
    source : str
        Origin of the rows; empty for `api`.
    run : str
        The scoring run, if any.
    is_shadow : bool
        Whether it is a copy of another endpoint's request.
    is_sample : bool
        Whether the rows, or the model that answers, are of the built-in sample.
    """

    source: str = ""
    run: str = ""
    is_shadow: bool = False
    is_sample: bool = False


class Copies:
    """Sends copies of requests in the background, unless the challenger lags behind.

    Parameters
    ----------
    token : str
        Of our own processes.
    """

    def __init__(self, token: str) -> None:
        self.counts: Counter[str] = Counter()
        self._token = token
        self._pool = ThreadPoolExecutor(THREADS, "shadow")
        self._open: set[Future[bool]] = set()

    def send(self, port: int, request: Request, request_id: str, caller: Caller) -> None:
        """Send a copy to the challenger's endpoint; call it in the event loop."""
        if len(self._open) >= MOST:
            self.counts["dropped"] += 1
            return
        passed_on = {
            SOURCE: caller.source,
            RUN: caller.run,
            SAMPLE: "1" if caller.is_sample else "",
            "Content-Type": request.content_type or "",
        }
        headers = {TOKEN: self._token, SHADOW: "1", REQUEST_ID: request_id}
        headers |= {name: value for name, value in passed_on.items() if value}
        copy = self._pool.submit(_post, port, request.body, headers)
        self._open.add(copy)
        copy.add_done_callback(self._count)

    def close(self) -> None:
        """Abandon the copies that are not sent yet."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _count(self, copy: Future[bool]) -> None:
        self._open.discard(copy)
        if not copy.cancelled():
            self.counts["sent" if copy.exception() is None and copy.result() else "failed"] += 1


def _post(port: int, body: bytes, headers: dict[str, str]) -> bool:
    connection = http.client.HTTPConnection(process.HOST, port, timeout=SECONDS)
    try:
        connection.request("POST", "/invocations", body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200
    finally:
        connection.close()
