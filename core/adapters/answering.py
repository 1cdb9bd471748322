"""What answers the rows of a scoring: a served model that may fall, and the log beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from core.adapters import api_keys, client, endpoint, predictions, server
from core.adapters.scorer import Answered, Answerer
from core.adapters.server import Server
from core.config import Settings

# how long a server that has fallen is waited for
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Endpoint:
    """A served model, asked under the same request ids at each attempt.

    Parameters
    ----------
    source, run_id : str
        What the log is told of who asks.
    kinds : mapping of str to {"number", "text"}
        Columns that the model takes.
    key : str or None
        The natural key's column, sent beside the inputs.
    on_wait : callable
        Called when the server is away, before it is put up again.
    """

    settings: Settings
    serving: Server
    source: str
    run_id: str
    kinds: Mapping[str, str]
    is_complete: bool
    key: str | None
    on_wait: Callable[[], None]
    _one: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, rows: pd.DataFrame, keys: Any, request_id: str) -> Answered:
        """Ask, and ask again once a fallen server is up; the log has the rows once.

        Raises
        ------
        ServerError
            When it refuses the rows, or nothing answers and nothing of ours is there.
        """
        headers = {
            "X-Courtside-Token": api_keys.internal_token(self.settings),
            "X-Courtside-Source": self.source,
            "X-Courtside-Run": self.run_id,
        }
        column = None
        if keys is not None and self.key is not None:
            column = pd.Series(keys.to_pylist(), name=self.key, dtype="object")
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                found = client.score(
                    self.serving.url, rows, self.kinds, is_complete=self.is_complete,
                    batch_rows=len(rows), headers=headers, request_id=request_id, keys=column,
                )  # fmt: skip
            except client.UnreachableError:
                port = self.serving.port
                if server.find(self.settings, port) is None or time.monotonic() > until:
                    raise
                with self._one:
                    self.on_wait()
                    endpoint.revive(self.settings, port)
                time.sleep(PAUSE_SECONDS)
                continue
            return Answered(
                found.probabilities, found.labels, float(found.latencies[0]), found.is_logged
            )


@dataclass(frozen=True)
class Logged:
    """Writes into the predictions log what no gateway has written there.

    Parameters
    ----------
    by : callable
        What answers.
    """

    settings: Settings
    by: Answerer
    model: str
    version: str
    alias: str | None
    source: str
    run_id: str

    def __call__(self, rows: pd.DataFrame, keys: Any, request_id: str) -> Answered:
        """Answer and log; the same request is logged once.

        Raises
        ------
        StoreError
            When the log cannot be written.
        """
        found = self.by(rows, keys, request_id)
        if not found.is_logged:
            plain: Any = rows.astype("object").where(rows.notna(), None).to_dict("records")
            one = predictions.Answer(
                request_id=request_id, model=self.model, version=self.version, alias=self.alias,
                source=self.source, scored_at=time.time(), latency_ms=found.latency_ms,
                features=plain, probabilities=found.probabilities.tolist(),
                predicted=found.labels.tolist(),
                row_keys=None if keys is None else keys.to_pylist(), run_id=self.run_id,
            )  # fmt: skip
            predictions.write(self.settings, [one])
        return found
