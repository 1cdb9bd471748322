"""replay: not there yet."""

from __future__ import annotations

from dataclasses import dataclass

from core import config
from core.config import Settings
from core.errors import NotReadyError
from core.record import SILENT, Progress


class Options(config.Options):
    """None yet."""


@dataclass(frozen=True)
class Result:
    """Nothing yet."""


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Refuse: it is not there yet."""
    raise NotReadyError("This step is not there yet.")
