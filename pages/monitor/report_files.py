"""A report as files: a self-contained page, JSON, and evidently's report."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.monitoring import evidently_report, report_html, report_tables
from core.monitoring.records import ReportRun
from core.platform import messages, pictures, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import _
from pages.shared import elements, report_view

FIGURES = ("probability", "psi", "reliability", "slices")
SLICE_COLUMNS = ("column", "value", "rows", "base_rate", "mean_probability", "gap", "low", "high")
WORST_SLICES = 12


def draw(settings: Settings, run: tracking.RunInfo) -> None:
    """Offer the report as a self-contained page and as JSON, and evidently's report."""
    name = f"monitoring_{run.run_id[:12]}"
    # a file is built after this visit's script has ended
    language = messages.current()

    def in_this_language() -> bytes:
        with messages.speaking(language):
            return as_html(settings, run)

    elements.download(
        f"{_('Report')} (HTML)", in_this_language, f"{name}.html", mime="text/html", key="html"
    )
    elements.download(
        f"{_('Report')} (JSON)",
        lambda: as_json(settings, run),
        f"{name}.json",
        mime="application/json",
        key="json",
    )
    beside = _evidently(settings, settings.mlflow_uri, run.run_id)
    if beside:
        elements.download(
            "Evidently (HTML)",
            Path(beside).read_bytes,
            f"evidently_{run.run_id[:12]}.html",
            mime="text/html",
            key="evidently",
        )
    elif not evidently_report.available():
        st.caption(
            _(
                "To add Evidently's report, run `{command}` and restart the app.",
                command=evidently_report.INSTALL,
            )
        )


def as_json(settings: Settings, run: tracking.RunInfo) -> bytes:
    """Return the report as the step wrote it, or what the run's tags and metrics contain."""
    report = report_view.document(settings, settings.mlflow_uri, run.run_id) or _report_of(
        settings, run
    )
    return json.dumps(messages.to_data(report), indent=2, default=str).encode()


def as_html(settings: Settings, run: tracking.RunInfo) -> bytes:
    """Return the report as one self-contained HTML document."""
    store = settings.mlflow_uri
    checks = report_view.checks_of(settings, store, run.run_id)
    figures = {}
    for name in FIGURES:
        with suppress(NotReadyError):  # figures of labels, where there are none
            path = tracking.artifact(settings, run.run_id, f"figures/{name}.json")
            figures[name] = pictures.svg(json.loads(path.read_text(encoding="utf-8")))
    tables = {}
    if checks is not None:
        moved = report_tables.by_column(checks)
        tables[_("Columns")] = moved.drop(columns=["text", "todo"])
    slices = report_view.stored_table(settings, store, run.run_id, "slices")
    if slices is not None and len(slices):
        worst = report_view.of_current(slices).reindex(columns=list(SLICE_COLUMNS))
        worst = worst.head(WORST_SLICES)
        tables[_("Slices")] = worst
    confusion = report_view.stored_table(settings, store, run.run_id, "confusion")
    if confusion is not None and len(confusion):
        of_current = report_view.of_current(confusion)
        tables[_("Is the predicted class right?")] = of_current
    stored = messages.from_data(report_view.document(settings, store, run.run_id))
    report = _report_of(settings, run) | stored
    return report_html.render(
        report, checks if checks is not None else pd.DataFrame(), figures, tables
    ).encode()


def _report_of(settings: Settings, run: tracking.RunInfo) -> dict[str, Any]:
    """Return the parts of a report in a run's tags and metrics."""
    report, of = ReportRun.of(run), run.metrics
    return {
        "run_id": run.run_id,
        "scoring_run": report.scoring_run,
        "window": report.window,
        "source": report.source,
        "created": run.started,
        "sample": run.is_sample,
        "model": {"name": report.model, "version": report.version, "run_id": report.model_run},
        "rows": {
            name: of[f"rows_{name}"]
            for name in ("reference", "current", "labelled")
            if f"rows_{name}" in of
        },
        "conclusion": {
            "code": report.verdict or "unknown",
            "title": report.verdict_title,
            "text": report.verdict_text,
            "todo": report.verdict_todo,
        },
    }


@st.cache_data(show_spinner=False, max_entries=64)
def _evidently(_settings: Settings, store: str, run_id: str) -> str | None:
    """Return the path of evidently's report on the same rows, None without one."""
    try:
        return str(tracking.artifact(_settings, run_id, "files/evidently.html"))
    except NotReadyError:
        return None
