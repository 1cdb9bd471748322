"""The progress of a command, on standard error."""

from __future__ import annotations

import sys

from core.platform.messages import Words
from core.platform.run_record import Progress


class PrintedProgress(Progress):
    """Writes a step's progress to standard error, and remembers its run."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.run_id: str | None = None
        self._last: Words = ""

    def update(self, fraction: float, text: Words) -> None:
        """Print the progress."""
        if not self.quiet and text != self._last:
            self._last = text
            print(f"{fraction:4.0%} {text}", file=sys.stderr, flush=True)  # noqa: T201

    def run_started(self, run_id: str) -> None:
        """Remember the first run; later ones are nested in it."""
        self.run_id = self.run_id or run_id
