"""Scoring backends: a served model that may go down, and the log for unserved ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message
from core.predictions_log import predictions
from core.scoring.scorer import Answered, Answerer
from core.serving import api_keys, client, endpoint, endpoint_status, protocol, server
from core.serving.server import Server

# how long to wait for a server that is down
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.2
# how long to wait for a lagging log, before rows are left to the endpoint's memory
LOG_SECONDS = 10.0


def chosen(settings: Settings, port: int | None, *, needs_one: bool) -> Server | None:
    """Return the server on a port, or else the live one or the newest; None if there need be none.

    Raises
    ------
    NotReadyError
        When there is none.
    """
    # a server that does not answer now is about to be replaced: its requests wait
    states = ("ready", "silent", "restarting")
    ready = [serving for serving in server.servers(settings) if serving.state in states]
    if port is not None:
        ready = [serving for serving in ready if serving.port == port]
    if ready:
        # public endpoints first
        return max(ready, key=lambda serving: (serving.is_live, serving.started))
    if port is not None:
        raise NotReadyError(server.not_there(port))
    if needs_one:
        raise NotReadyError(Message("No model is served. Start one on the Serve page first."))
    return None


@dataclass(frozen=True)
class Endpoint:
    """A served model, called with the same request ids at each attempt.

    Parameters
    ----------
    source, run_id : str
        Caller, as recorded in the log.
    key : str or None
        The natural key's column, sent beside the inputs.
    is_sample : bool
        Whether the rows are of the built-in sample.
    on_wait : callable
        Called when the server is down, before it is restarted.
    """

    settings: Settings
    serving: Server
    source: str
    run_id: str
    kinds: Mapping[str, str]
    is_complete: bool
    key: str | None
    is_sample: bool
    on_wait: Callable[[], None]
    _revive_lock: threading.Lock = field(default_factory=threading.Lock)
    # waiting for the log timed out: rows do not wait until it has caught up
    _log_is_down: threading.Event = field(default_factory=threading.Event)

    def __call__(self, rows: pd.DataFrame, keys: Any, request_id: str) -> Answered:
        """Score rows, with retries while the server is down; return once the log has them, once.

        Raises
        ------
        ServerError
            When it refuses the rows, or nothing answers and none of our servers is there.
        """
        headers = {
            protocol.TOKEN: api_keys.internal_token(self.settings),
            protocol.SOURCE: self.source,
            protocol.RUN: self.run_id,
            protocol.SAMPLE: "1" if self.is_sample else "0",
        }
        column = None
        if keys is not None and self.key is not None:
            column = pd.Series(keys.to_pylist(), name=self.key, dtype="object")
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            sent_at = time.monotonic()
            try:
                scored = client.score(
                    self.serving.url,
                    rows,
                    self.kinds,
                    is_complete=self.is_complete,
                    batch_rows=len(rows),
                    headers=headers,
                    request_id=request_id,
                    keys=column,
                    rules=self.serving.contract,
                )
            except client.UnreachableError:
                port = self.serving.port
                if server.find(self.settings, port) is None or time.monotonic() > until:
                    raise
                with self._revive_lock:
                    self.on_wait()
                    endpoint.revive(self.settings, port)
                time.sleep(PAUSE_SECONDS)
                continue
            is_late = time.monotonic() > until
            if scored.is_delayed and not is_late and not self._are_written(sent_at):
                continue
            return Answered(
                scored.probabilities, scored.labels, float(scored.latencies[0]), scored.is_logged
            )

    def _are_written(self, sent_at: float) -> bool:
        """Wait until the log has the rows sent at this moment of the monotonic clock.

        False when the endpoint has ended or restarted since: its memory, with the rows, is gone. If
        the log stays down, they are left in that memory.
        """
        until = time.monotonic() + (0.0 if self._log_is_down.is_set() else LOG_SECONDS)
        while True:
            now = endpoint_status.status(self.serving.port)
            if now is None or now.uptime < time.monotonic() - sent_at:
                return False
            if not now.log.waiting:
                self._log_is_down.clear()
                return True
            if time.monotonic() >= until:
                self._log_is_down.set()
                return True
            time.sleep(PAUSE_SECONDS)


@dataclass(frozen=True)
class Logged:
    """Writes to the predictions log what no endpoint has logged.

    Parameters
    ----------
    by : callable
        Computes the predictions.
    """

    settings: Settings
    by: Answerer
    model: str
    version: str
    alias: str | None
    source: str
    run_id: str
    is_sample: bool

    def __call__(self, rows: pd.DataFrame, keys: Any, request_id: str) -> Answered:
        """Score and log; the same request is logged once.

        Raises
        ------
        StoreError
            When the log cannot be written.
        """
        answered = self.by(rows, keys, request_id)
        if not answered.is_logged:
            plain: Any = rows.astype("object").where(rows.notna(), None).to_dict("records")
            entry = predictions.Answer(
                request_id=request_id,
                model=self.model,
                version=self.version,
                alias=self.alias,
                source=self.source,
                scored_at=time.time(),
                latency_ms=answered.latency_ms,
                features=plain,
                probabilities=answered.probabilities.tolist(),
                predicted=answered.labels.tolist(),
                row_keys=None if keys is None else keys.to_pylist(),
                run_id=self.run_id,
                is_sample=self.is_sample,
            )
            predictions.write(self.settings, [entry])
        return answered
