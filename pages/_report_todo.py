"""What to do about a report: links that begin it, and the report as a file."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from core.adapters import evidently_report, tracking
from core.config import Settings
from core.errors import NotReadyError
from core.logic import report_html, report_tables
from pages import _parts, _report
from pages._bilingual import st

HALF = 640
FIGURES = ("probability", "psi", "reliability", "slices")
SLICE_COLUMNS = ("column", "value", "rows", "base_rate", "mean_probability", "gap", "low", "high")
LINKS = {
    "labels": ("pages/predictions.py", "Bring labels", ":material/label:"),
    "score": ("pages/score.py", "Score more rows", ":material/target:"),
    "retrain": ("pages/retrain.py", "Go to Retrain", ":material/autorenew:"),
    "prepare": ("pages/prepare.py", "Choose other rows", ":material/filter_alt:"),
    "acquire": ("pages/acquire.py", "Look at the raw data", ":material/download:"),
    "registry": ("pages/registry.py", "Choose a threshold", ":material/inventory_2:"),
}


def show(settings: Settings, run: tracking.RunInfo) -> None:
    """Say what to do next, with links that begin it."""
    st.subheader("What to do", anchor=False)
    st.markdown(f"**{_parts.plain(run.tags.get('courtside.verdict_todo', ''))}**")
    for name, why in _reasons(settings, run):
        page, label, icon = LINKS[name]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link(page, label=label, icon=icon, width=200)
            st.markdown(why, width=HALF)


def _reasons(settings: Settings, run: tracking.RunInfo) -> list[tuple[str, str]]:
    """Return what helps with this verdict, the first thing first, and why."""
    code = run.tags.get("courtside.verdict", "unknown")
    missing = run.metrics.get("rows_current", 0) - run.metrics.get("rows_labelled", 0)
    labels = (
        "labels",
        f"{missing:,.0f} of these rows have no label; only labels say whether the model is right.",
    )
    found: list[tuple[str, str]] = []
    if code == "does_not_fit":
        found = [
            ("retrain", "Start a challenger on newer labelled rows; it waits for your promotion."),
            ("prepare", "Take rows such as these into the training set, then train again."),
        ]
        if _is_beyond(settings, run, "f1"):
            found.append(
                ("registry", "Its labels fail at the threshold; the probabilities may not.")
            )
    elif code == "investigate":
        found = [("acquire", "See in the raw data what came in differently, and since when.")]
        found += [labels] if missing else []
    elif code == "watch":
        found = [("score", "More rows make the intervals narrower; then press Monitor again.")]
        found += [labels] if missing else []
    elif code == "unknown":
        found = [labels]
    else:
        found = [("score", "Press Monitor again when new rows were scored.")]
    return found


def _is_beyond(settings: Settings, run: tracking.RunInfo, code: str) -> bool:
    found = _report.checks_of(settings, settings.mlflow_uri, run.run_id)
    if found is None:
        return False
    mine = found[found["code"] == code]
    return bool(mine["verdict"].isin(("warning", "alert")).any())


def files(settings: Settings, run: tracking.RunInfo) -> None:
    """Offer the report as a page that stands alone, as JSON, and evidently's beside it."""
    name = f"monitoring_{run.run_id[:12]}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Report (HTML)", lambda: as_html(settings, run), file_name=f"{name}.html",
            mime="text/html", icon=":material/download:", on_click="ignore", key="html",
        )  # fmt: skip
        st.download_button(
            "Report (JSON)", lambda: as_json(settings, run), file_name=f"{name}.json",
            mime="application/json", icon=":material/download:", on_click="ignore", key="json",
        )  # fmt: skip
        beside = _evidently(settings, settings.mlflow_uri, run.run_id)
        if beside:
            st.download_button(
                "Evidently's report (HTML)", Path(beside).read_bytes,
                file_name=f"evidently_{run.run_id[:12]}.html", mime="text/html",
                icon=":material/download:", on_click="ignore", key="evidently",
            )  # fmt: skip
    if not beside:
        told = (
            "Evidently is installed; the next report keeps its own beside it."
            if evidently_report.available()
            else f"For evidently's report beside ours, run `{evidently_report.INSTALL}`, start the "
            "app anew and press Monitor."
        )
        st.caption(told)


def as_json(settings: Settings, run: tracking.RunInfo) -> bytes:
    """Return the report as the step wrote it, or what the run holds of one."""
    found = _report.document(settings, settings.mlflow_uri, run.run_id) or _told(settings, run)
    return json.dumps(found, indent=2, default=str).encode()


def as_html(settings: Settings, run: tracking.RunInfo) -> bytes:
    """Return the report as one HTML document that stands alone."""
    store = settings.mlflow_uri
    checks = _report.checks_of(settings, store, run.run_id)
    figures = {}
    for name in FIGURES:
        with suppress(NotReadyError):  # of an older app
            path = tracking.artifact(settings, run.run_id, f"figures/{name}.svg")
            figures[name] = path.read_text(encoding="utf-8")
    tables = {}
    if checks is not None:
        moved = report_tables.by_column(checks)
        tables["The columns, the worst first"] = moved.drop(columns=["text", "todo"])
    slices = _report.kept(settings, store, run.run_id, "slices")
    if slices is not None and len(slices):
        worst = _report.of_current(slices).reindex(columns=list(SLICE_COLUMNS))
        tables["The worst slices of the current rows"] = worst.head(_report.WORST_SLICES)
    confusion = _report.kept(settings, store, run.run_id, "confusion")
    if confusion is not None and len(confusion):
        tables["Labels at the threshold, current rows"] = _report.of_current(confusion)
    report = _told(settings, run) | _report.document(settings, store, run.run_id)
    return report_html.render(
        report, checks if checks is not None else pd.DataFrame(), figures, tables
    ).encode()


def _told(settings: Settings, run: tracking.RunInfo) -> dict[str, Any]:
    """Return what a run's tags and metrics hold of a report."""
    tags, of = run.tags, run.metrics
    return {
        "run_id": run.run_id,
        "scoring_run": tags.get("courtside.scoring_run", ""),
        "window": tags.get("courtside.window", ""),
        "source": tags.get("courtside.source", ""),
        "created": run.started,
        "sample": run.is_sample,
        "model": {
            "name": tags.get("courtside.model") or run.params.get("model", ""),
            "version": tags.get("courtside.version") or run.params.get("version", ""),
            "run_id": tags.get("courtside.model_run", ""),
        },
        "rows": {
            name: of[f"rows_{name}"]
            for name in ("reference", "current", "labelled")
            if f"rows_{name}" in of
        },
        "conclusion": {
            "code": tags.get("courtside.verdict", "unknown"),
            "title": tags.get("courtside.verdict_title", ""),
            "text": tags.get("courtside.verdict_text", ""),
            "todo": tags.get("courtside.verdict_todo", ""),
        },
    }


@st.cache_data(show_spinner=False, max_entries=64)
def _evidently(_settings: Settings, store: str, run_id: str) -> str | None:
    """Return where evidently's report of the same rows lies, None where there is none."""
    try:
        return str(tracking.artifact(_settings, run_id, "files/evidently.html"))
    except NotReadyError:
        return None
