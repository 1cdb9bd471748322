"""Run tags of monitor."""

from __future__ import annotations

from typing import Self

from core.platform.run_tags import AsMessage, Listed, RunTags
from core.platform.runs import RunInfo


class ReportRun(RunTags):
    """The verdict of a report, and its subject.

    `verdict_action` is the code of what `verdict_todo` says, `alerts` and `warnings` are codes of
    checks, `labels` counts the labelled rows, and `window` describes the rows; its first and last
    moment are seconds since 1970. `weights` says what is by sampling weight, for a project with
    weights.
    """

    verdict: str = ""
    verdict_title: AsMessage = ""
    verdict_text: AsMessage = ""
    verdict_todo: AsMessage = ""
    verdict_action: str = ""
    source: str = ""
    scoring_run: str = ""
    model_run: str = ""
    model: str = ""
    version: str = ""
    window: AsMessage = ""
    window_begin: float | None = None
    window_end: float | None = None
    alerts: Listed = ()
    warnings: Listed = ()
    labels: int | None = None
    scheduled: str = ""
    weights: AsMessage = ""

    @classmethod
    def of(cls, run: RunInfo) -> Self:
        """Return the tags of a report; the first ones had model and version as parameters."""
        older = cls(model=run.params.get("model", ""), version=run.params.get("version", ""))
        return cls.read({**older.write(), **run.tags})
