"""The verdict of a report, its one next action, and the state of each part in a row."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.monitoring.records import ReportRun
from core.platform import tracking
from core.platform.config import Settings
from core.platform.messages import Message, Words, _, number
from core.platform.project import ProjectSpec
from core.stats.check import CONCLUSION_LABELS, VERDICT_LABELS, trained_on
from pages.shared import elements, navigation, next_steps, report_view

GROUPS = {
    "performance": Message("Performance"),
    "input": Message("Inputs"),
    "output": Message("Predictions"),
    "support": Message("Support"),
}
MEANINGS = {
    "performance": Message("Are the predictions as good as on the test set? Needs labels."),
    "input": Message("Do the columns have the distributions that the model was tested on?"),
    "output": Message("Did the predicted probabilities change?"),
    "support": Message("Are the rows within the data the model was trained and tested on?"),
}
MARKS = {
    "alert": ":red[:material/error:]",
    "warning": ":orange[:material/warning:]",
    "ok": ":green[:material/check_circle:]",
    "not_applicable": ":gray[:material/do_not_disturb_on:]",
}


def show(
    settings: Settings,
    spec: ProjectSpec,
    run: tracking.RunInfo,
    checks: pd.DataFrame,
    *,
    is_late: bool = False,
) -> None:
    """Draw the card and the row of states; what to do about a late report is a new one."""
    report = ReportRun.of(run)
    draw, icon = report_view.LOOKS.get(report.verdict, report_view.LOOKS["unknown"])
    title = elements.words(report.verdict_title) or elements.capital(CONCLUSION_LABELS["unknown"])
    parts = [
        f"## {elements.plain(title)}",
        elements.fact(report_view.lead(report.verdict_text)),
        elements.fact(_trained_on(run, report)),
        f"**{todo}**" if (todo := elements.fact(report.verdict_todo)) else "",
    ]
    draw("\n\n".join(part for part in parts if part), icon=icon)
    with st.container(horizontal=True, vertical_alignment="center"):
        next_steps.show(spec, run, is_main=not is_late)
        with st.popover(_("Details"), icon=":material/info:", type="tertiary"):
            _details(settings, run, report)
    st.caption(_subject(run, report))
    with st.container(horizontal=True, gap="small", key="parts"):
        for group, name in GROUPS.items():
            _tile(str(name), *_state(group, checks[checks["group"] == group]), MEANINGS[group])
        _tile(_("Labels"), *_labels(run, _needed(settings, run)), _labels_text(settings, run))


def _trained_on(run: tracking.RunInfo, report: ReportRun) -> Words:
    """Return that the model knows these rows, where the verdict sounds good and does not say so."""
    rows, known = (run.metrics.get(f"rows_{name}", 0) for name in ("current", "trained_on"))
    trained = trained_on(known / rows) if rows else ""
    is_said = trained == report_view.lead(report.verdict_text)
    return trained if report.verdict in ("fits", "watch") and not is_said else ""


def _subject(run: tracking.RunInfo, report: ReportRun) -> str:
    parts = [
        _("{name}, version {version}", name=report.model, version=report.version),
        elements.words(report.window),
        elements.ago(run.started),
    ]
    return " · ".join(elements.plain(part) for part in parts if part)


def _details(settings: Settings, run: tracking.RunInfo, report: ReportRun) -> None:
    if more := report_view.after_lead(report.verdict_text):
        st.markdown(elements.fact(more))
    st.markdown(f":material/label: {_labels_text(settings, run)}")
    st.markdown(f":material/verified: {_promise(settings, run)}")
    navigation.run_link(run.run_id, "Monitoramento")
    if report.scoring_run:
        navigation.run_link(report.scoring_run, _("Scoring"))
    if report.model_run:
        navigation.run_link(report.model_run, _("Model"))


def _promise(settings: Settings, run: tracking.RunInfo) -> str:
    """Return the checks' false alarm rate in words."""
    measured = report_view.document(settings, settings.mlflow_uri, run.run_id).get("false_alarms")
    measured = measured or {}
    rate = measured.get("rate", run.metrics.get("false_alarms"))
    if rate is None:
        return navigation.not_kept("monitor")
    return _(
        "False alarms: without any change, at most **{rate:.2%}** of windows of this size "
        "raise an alert.",
        rate=rate,
    )


def _needed(settings: Settings, run: tracking.RunInfo) -> float | None:
    """Return how many labels detect a loss of all skill."""
    stored: Any = report_view.document(settings, settings.mlflow_uri, run.run_id)
    needed = stored.get("labels_needed")
    if needed is None:
        needed = run.metrics.get("labels_needed")
    return needed if isinstance(needed, int | float) and needed == needed else None


def _labels_text(settings: Settings, run: tracking.RunInfo) -> str:
    rows, known = run.metrics.get("rows_current", 0), run.metrics.get("rows_labelled", 0)
    known_of = _("{shown:,} of {rows:,} rows", shown=int(known), rows=int(rows))
    text = elements.named(_("Labels"), known_of)
    needed = _needed(settings, run)
    if needed is None:
        return text
    more = _("Detecting a loss of all skill takes about {needed:,.0f} labels.", needed=needed)
    return f"{text}  \n{more}"


def _labels(run: tracking.RunInfo, needed: float | None) -> tuple[str, str, str]:
    rows, known = run.metrics.get("rows_current", 0), run.metrics.get("rows_labelled", 0)
    note = _("{shown:,} of {rows:,} rows", shown=int(known), rows=int(rows))
    if known and needed is not None and known < needed:
        # the compared value, next to its limit
        note = _("{known:,} of about {needed:,} needed", known=int(known), needed=round(needed))
    state = "ok" if known and (needed is None or known >= needed) else "warning"
    return state, number(known / rows if rows else 0.0, ".0%"), note


def _state(group: str, checks: pd.DataFrame) -> tuple[str, str, str]:
    """Return a group's worst verdict, how many of its checks have it, and their total."""
    verdicts = checks["verdict"]
    if len(checks) and group in ("input", "output"):  # a column, or the probability, counts once
        parts = checks["code"].str.partition(".")
        names = parts[2].where(parts[2].ne(""), parts[0])
        worst = [
            next((v for v in ("alert", "warning", "ok") if v in set(own)), "not_applicable")
            for _name, own in verdicts.groupby(names, sort=False)
        ]
        verdicts = pd.Series(worst, dtype=object)
    judged = int(verdicts.ne("not_applicable").sum())
    bad, doubtful = int(verdicts.eq("alert").sum()), int(verdicts.eq("warning").sum())
    note = elements.named(_("Columns") if group == "input" else _("Checks"), number(judged))
    if bad:
        return "alert", _counted("alert", bad), note
    if doubtful:
        return "warning", _counted("warning", doubtful), note
    if judged:
        return "ok", _counted("ok", judged), note
    return "not_applicable", _("not evaluated"), ""


def _counted(verdict: str, count: int) -> str:
    return elements.named(elements.capital(VERDICT_LABELS[verdict]), number(count))


def _tile(name: str, state: str, figure: str, note: str, about: Words) -> None:
    with st.container(border=True, gap=None, height="stretch"):
        st.markdown(name, help=str(about))
        st.markdown(f"{MARKS[state]} **{figure}**{elements.small(note) if note else ''}")
