"""Detection of hung processes, by a sign of life with a deadline.

A process without a sign of life is busy or hung. A busy one uses the CPU, and is given ten times as
long. Time counts only while the watcher runs, so neither a suspended nor an overloaded machine
makes a healthy process appear hung.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from core.platform import process

# a busy process may be silent this many times as long
BUSY_FACTOR = 10
# share of one CPU from which a silent process counts as busy
BUSY_SHARE = 0.01
# minimum number of checks without a sign of life, for any time elapsed
MISSES = 5
# shown as not answering after this many silent seconds
SHOWN_SECONDS = 5.0
_CONNECT_SECONDS = 0.2


@dataclass
class Pulse:
    """A watcher's record of one process.

    Parameters
    ----------
    patience : float
        Seconds without a sign of life or CPU use after which the process is hung.

    Examples
    --------
    >>> pulse = Pulse(patience=60)
    >>> looks = [pulse.is_hung("beat 1", cpu=3.0, now=float(at)) for at in range(0, 70, 10)]
    >>> looks
    [False, False, False, False, False, False, True]
    >>> pulse.is_hung("beat 2", cpu=3.0, now=70.0)
    False
    """

    patience: float
    sign: object = None
    since: float | None = None
    cpu: float = 0.0
    misses: int = 0
    last: float = 0.0

    def is_hung(self, sign: object, cpu: float, now: float | None = None) -> bool:
        """Return whether the process is hung, given its newest sign of life.

        Parameters
        ----------
        sign : object
            Any value that changes whenever the process shows that it works.
        cpu : float
            CPU seconds that the process has used so far.
        now : float, optional
            Monotonic time in seconds.
        """
        now = time.monotonic() if now is None else now
        if self.since is None or sign != self.sign:
            self.sign, self.since, self.cpu, self.misses = sign, now, cpu, 0
            self.last = now
            return False
        # a delayed watcher has observed nothing in between
        self.since += max(0.0, now - self.last - self.patience / MISSES)
        self.last = now
        self.misses += 1
        silent = now - self.since
        if self.misses < MISSES or silent < self.patience:
            return False
        return silent >= self.patience * BUSY_FACTOR or cpu - self.cpu < silent * BUSY_SHARE

    @property
    def silent_seconds(self) -> float:
        """Observed seconds without a sign of life; 0 for the first few checks."""
        if self.since is None or self.misses < MISSES - 2:
            return 0.0
        return self.last - self.since


class Question:
    """A non-blocking HTTP request to a port of this machine; the response is collected later.

    An unresponsive server blocks neither an event loop nor a polling loop. Only one request is open
    at a time, so a hung server is not flooded.
    """

    def __init__(self, port: int, path: str) -> None:
        self.port, self.path = port, path
        self.answers = 0
        self._socket: socket.socket | None = None
        self._sent = 0.0

    def count_answers(self, every: float) -> int:
        """Return the number of responses so far, and send a new request every `every` seconds.

        Error responses count too: the server is not hung.
        """
        if self._socket is not None:
            try:
                if self._socket.recv(4096):
                    self.answers += 1
                self.close()
            except BlockingIOError:
                pass
            except OSError:
                self.close()
        if self._socket is None and time.monotonic() - self._sent >= every:
            self._ask()
        return self.answers

    def close(self) -> None:
        """Abandon the open request."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self) -> None:
        self._sent = time.monotonic()
        with suppress(OSError):
            # the system accepts it, even for a stopped process, until its queue is full
            connection = socket.create_connection((process.HOST, self.port), _CONNECT_SECONDS)
            connection.sendall(
                b"GET %b HTTP/1.1\r\nHost: %b:%d\r\nConnection: close\r\n\r\n"
                % (self.path.encode(), process.HOST.encode(), self.port)
            )
            connection.setblocking(False)
            self._socket = connection
