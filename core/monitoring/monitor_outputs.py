"""Where a report goes: the folder of reports, the alerts, and the decision about retraining."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.monitoring import alerting, alerts, operation
from core.monitoring.alerting import Subject
from core.platform import clock, storage
from core.platform.config import Settings
from core.platform.errors import StoreError
from core.platform.hooks import hook
from core.platform.runs import ModelVersion
from core.stats.check import Check, Conclusion


@dataclass(frozen=True)
class Outlets:
    """Where the reports of a home are stored, in addition to their runs."""

    settings: Settings

    def save_report(self, run_id: str, document: dict[str, Any]) -> Path:
        """Write a report to the folder of reports."""
        return storage.save_report(self.settings, _name(run_id), document)

    def save_page(self, run_id: str, name: str, text: str) -> Path:
        """Write an HTML page of a report next to it."""
        return storage.save_page(self.settings, _name(run_id), name, text)

    def pass_on(
        self,
        run_id: str,
        judged: Sequence[Check],
        conclusion: Conclusion,
        version: ModelVersion,
        *,
        is_sample: bool,
    ) -> None:
        """Raise alerts, and request the decision about retraining; the report is always stored.

        Reports of a version that is not in operation raise no alerts.
        """
        settings = self.settings
        # a locked database shows where alerts are read
        with suppress(StoreError):
            standing = operation.versions(settings, version.name)
            alerts.close_left(settings, version.name, standing)
            if version.version not in standing:
                return
            alerts.report(
                settings,
                run_id,
                _with_whole({check.code: check.verdict for check in judged}, conclusion),
                {check.code: check.title for check in judged},
                {check.code: check.value for check in judged},
                subject=Subject(settings.project, version.name, version.version, is_sample),
                verdict_title=conclusion.title,
                now=clock.now(settings),
                groups={check.code: check.group for check in judged},
                limits={check.code: check.threshold for check in judged},
            )
        with suppress(StoreError):
            hook("report_made")(settings, run_id)


def _name(run_id: str) -> str:
    return f"monitoring_{run_id[:12]}"


def _with_whole(verdicts: dict[str, str], conclusion: Conclusion) -> dict[str, str]:
    """Return the verdicts of the checks, with a warning for the whole where no skill is shown."""
    whole = alerting.worst(verdicts)
    if conclusion.code == "no_skill" and whole != "alert":
        whole = "warning"
    return {**verdicts, alerting.VERDICT: whole}
