"""Whether a process that lives also answers: a sign of life is asked for, with a deadline.

A process that does not answer is busy or hung. A busy one uses a processor, and is given ten times
as long. Time is that of the watcher, and only while it watches: neither a machine that slept nor
one so loaded that the watcher itself comes late makes a healthy process look hung.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from core.platform import process

# a busy process may be silent for this many times as long
BUSY_FACTOR = 10
# share of one processor from which a silent process counts as busy
BUSY_SHARE = 0.01
# at least so many looks without a sign of life, whatever the clock says
MISSES = 5
# silent for so many seconds, it is shown as not answering
SHOWN_SECONDS = 5.0
_CONNECT_SECONDS = 0.2


@dataclass
class Pulse:
    """What a watcher remembers of one process that it watches.

    Parameters
    ----------
    patience : float
        Seconds without a sign of life and without work after which the process is hung.

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
        """Tell whether the process is hung, from its newest sign of life.

        Parameters
        ----------
        sign : object
            Anything that changes whenever the process shows that it works.
        cpu : float
            Seconds of a processor that the process has used so far.
        now : float, optional
            Seconds of a monotonic clock.
        """
        now = time.monotonic() if now is None else now
        if self.since is None or sign != self.sign:
            self.sign, self.since, self.cpu, self.misses = sign, now, cpu, 0
            self.last = now
            return False
        # a watcher that was held up itself has seen nothing in between
        self.since += max(0.0, now - self.last - self.patience / MISSES)
        self.last = now
        self.misses += 1
        silent = now - self.since
        if self.misses < MISSES or silent < self.patience:
            return False
        return silent >= self.patience * BUSY_FACTOR or cpu - self.cpu < silent * BUSY_SHARE

    @property
    def silent_seconds(self) -> float:
        """Seconds without a sign of life, as the watcher saw them; 0 for the first few looks."""
        if self.since is None or self.misses < MISSES - 2:
            return 0.0
        return self.last - self.since


class Question:
    """A request to a port of this machine whose answer is fetched at a later look.

    So neither an event loop nor a loop that sees to other things is held up by who does not answer.
    One question is open at a time: a hung server is not flooded.

    Parameters
    ----------
    port : int
        On 127.0.0.1.
    path : str
        What is asked for by GET.
    """

    def __init__(self, port: int, path: str) -> None:
        self.port, self.path = port, path
        self.answers = 0
        self._socket: socket.socket | None = None
        self._sent = 0.0

    def count_answers(self, every: float) -> int:
        """Return how many answers have come so far, and ask again after `every` seconds.

        Any answer counts, an error too: whoever says no is not hung.
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
        """Give up the open question."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self) -> None:
        self._sent = time.monotonic()
        with suppress(OSError):
            # the system accepts it, even for a process that is stopped, until its queue is full
            made = socket.create_connection((process.HOST, self.port), _CONNECT_SECONDS)
            made.sendall(
                b"GET %b HTTP/1.1\r\nHost: %b:%d\r\nConnection: close\r\n\r\n"
                % (self.path.encode(), process.HOST.encode(), self.port)
            )
            made.setblocking(False)
            self._socket = made
