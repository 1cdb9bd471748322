"""Request statistics of an endpoint, for the Serve page and for Prometheus."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Total

MINUTES = 10
# Latencies are counted in bins 5% wide, so percentiles are accurate to 5%.
STEP = 1.05
SHORTEST_MS = 0.05
# Status codes from here on are server errors.
SERVER_FAULTS = 500
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Values of Prometheus's path label: an arbitrary path of a client must not become one.
PATHS = ("/invocations", "/labels", "/ping", "/health", "/version", "/metrics", "/.gateway")


@dataclass
class _Minute:
    number: int
    requests: int = 0
    faults: int = 0
    times: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class Recent:
    """Requests to /invocations.

    Parameters
    ----------
    requests : int
        Since the endpoint was started.
    errors : mapping of str to int
        Responses other than 200, by status code.
    refused, faults : int
        Since the start: errors of the caller (4xx) and of the server (5xx).
    recent, recent_errors : int
        Requests of the last ten minutes; and server errors among them.
    per_minute : list of int
        Requests of each of the last ten minutes, the current one last.
    p50, p95, p99 : float or None
        Percentiles of the latency in the last ten minutes, in milliseconds, to 5%: of requests
        answered by 200, since a refusal takes no model.
    """

    requests: int
    errors: Mapping[str, int]
    refused: int
    faults: int
    recent: int
    recent_errors: int
    per_minute: list[int]
    p50: float | None
    p95: float | None
    p99: float | None


class Statistics:
    """Counts the responses of an endpoint.

    Parameters
    ----------
    clock : callable
        Returns seconds; replaced in tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._requests = 0
        self._errors: Counter[str] = Counter()
        self._minutes: list[_Minute] = []
        self.registry = CollectorRegistry()
        self._total = Total(
            "courtside_requests", "Requests answered", ["path", "code"], registry=self.registry
        )
        self._seconds = Histogram(
            "courtside_request_seconds",
            "Time to the answer of /invocations",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._rows = Total("courtside_rows", "Rows scored", registry=self.registry)

    def gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read whenever Prometheus scrapes."""
        Gauge(f"courtside_{name}", about, registry=self.registry).set_function(value)

    def answered(self, path: str, code: int, seconds: float, rows: int = 0) -> None:
        """Count a response."""
        self._total.labels(path if path in PATHS else "other", str(code)).inc()
        if path != "/invocations":
            return
        self._requests += 1
        self._seconds.observe(seconds)
        self._rows.inc(rows)
        minute = self._minute()
        minute.requests += 1
        if code == 200:
            minute.times[_class_of(seconds * 1000)] += 1
        else:
            minute.faults += code >= SERVER_FAULTS
            self._errors[str(code)] += 1

    def recent(self) -> Recent:
        """Return the counts, and the percentiles of the last ten minutes."""
        now = int(self._clock() // 60)
        minutes = {
            minute.number: minute for minute in self._minutes if minute.number > now - MINUTES
        }
        times: Counter[int] = Counter()
        for minute in minutes.values():
            times += minute.times
        per_minute = [
            minutes[number].requests if number in minutes else 0
            for number in range(now - MINUTES + 1, now + 1)
        ]
        return Recent(
            requests=self._requests,
            errors=dict(self._errors),
            refused=sum(n for code, n in self._errors.items() if int(code) < SERVER_FAULTS),
            faults=sum(n for code, n in self._errors.items() if int(code) >= SERVER_FAULTS),
            recent=sum(per_minute),
            recent_errors=sum(minute.faults for minute in minutes.values()),
            per_minute=per_minute,
            p50=percentile(times, 0.5),
            p95=percentile(times, 0.95),
            p99=percentile(times, 0.99),
        )

    def page(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def _minute(self) -> _Minute:
        now = int(self._clock() // 60)
        if not self._minutes or self._minutes[-1].number != now:
            self._minutes = [*self._minutes[-MINUTES:], _Minute(now)]
        return self._minutes[-1]


def percentile(times: Mapping[int, int], share: float) -> float | None:
    """Return a percentile of the latency in milliseconds, to 5%.

    Examples
    --------
    >>> times = Counter(_class_of(ms) for ms in range(1, 101))
    >>> [round(percentile(times, share)) for share in (0.5, 0.95, 0.99)]
    [50, 94, 99]
    >>> percentile({}, 0.5) is None
    True
    """
    wanted = share * sum(times.values())
    passed = 0
    for place in sorted(times):
        passed += times[place]
        if passed >= wanted:
            return float(SHORTEST_MS * STEP ** (place + 0.5))
    return None


def _class_of(milliseconds: float) -> int:
    return max(0, int(math.log(max(milliseconds, SHORTEST_MS) / SHORTEST_MS) / math.log(STEP)))
