"""All reports: a check over time, the list, and two of them side by side."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from core.monitoring import monitoring_charts, report_tables
from core.monitoring.records import ReportRun
from core.platform import tracking
from core.platform.config import Settings
from core.platform.messages import Message, _, current, day, loads, n_, p_
from core.platform.own_columns import PROBABILITY
from core.stats.check import CONCLUSION_LABELS, VERDICT_LABELS
from pages.shared import elements, navigation, report_view, table_texts

MOST = 60
VIEWS = {"list": Message("All"), "two": Message("Compare"), "time": Message("Time")}
TIMES = {"made": Message("Time of the report"), "rows": Message("Time of the rows")}
SHOWN = ("made", "verdict", "window", "rows", "labels", "report")
COUNTS = dict.fromkeys(("rows", "labels"), ",.0f")
FIRST_CHECKS = ("skill", "log_loss", "roc_auc", "calibration", "psi." + PROBABILITY)


@st.cache_data(show_spinner=False, max_entries=8, ttl=60)
def reports(_settings: Settings, store: str, newest: str) -> list[tracking.RunInfo]:
    """Return the finished reports, newest first; `newest` is a cache key for new ones."""
    return tracking.runs(_settings, step="monitor", status="FINISHED", limit=MOST)


@st.cache_data(show_spinner=False, max_entries=8)
def checks_of(
    _settings: Settings, store: str, runs: tuple[tuple[str, float, str], ...]
) -> pd.DataFrame:
    """Return the checks of all these reports (run id, time, name), the oldest first."""
    dated_checks = []
    for run_id, at, name in runs:
        checks = report_view.checks_of(_settings, store, run_id)
        if checks is not None:
            dated_checks.append((run_id, at, name, checks))
    return report_tables.over_time(dated_checks)


@st.fragment
@elements.show_errors()
def show(settings: Settings, last: tracking.RunInfo | None) -> None:
    """Show all reports, two of them side by side, or a check across them."""
    if last is None:
        st.info(_("Nothing here yet."))
        navigation.go_to("monitor")
        return
    runs = reports(settings, settings.mlflow_uri, last.run_id)
    if len(runs) < 2:
        _list(runs)
        return
    view = elements.choose(_("History"), VIEWS, "history", default="list", is_bare=True)
    if view == "time":
        _over_time(settings, runs)
    elif view == "list":
        _list(runs)
    else:
        _two(settings, runs)


def name_of(run: tracking.RunInfo) -> str:
    """Return the name of a report in a list."""
    report = ReportRun.of(run)
    verdict = str(CONCLUSION_LABELS.get(report.verdict) or CONCLUSION_LABELS["unknown"])
    parts = [day(datetime.fromtimestamp(run.started, UTC)), verdict, _window_of(report)]
    return f"{', '.join(part for part in parts if part)} ({run.run_id[:8]})"


def _window_of(report: ReportRun) -> str:
    return str(report.window or report.source or "")


def _over_time(settings: Settings, listed: list[tracking.RunInfo]) -> None:
    has_times = [ReportRun.of(run).window_end for run in listed]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = st.container(width=420)
        kind = "made"
        if any(end is not None for end in has_times):
            kind = elements.choose(_("By"), TIMES, "history-by", default="made")
    runs = tuple(
        (run.run_id, run.started if kind == "made" else end, name_of(run))
        for run, end in zip(listed, has_times, strict=True)
        if kind == "made" or end is not None
    )
    table = checks_of(settings, settings.mlflow_uri, runs)
    titles = {
        code: str(loads(part.iloc[-1]))
        for code, part in table[table["value"].notna()].groupby("code", sort=False)["title"]
    }
    if not titles:
        st.caption(_("Nothing here yet."))
        return
    first = [code for code in FIRST_CHECKS if code in titles]
    order = [*first, *(code for code in titles if code not in first)]
    with place:
        code = st.selectbox(_("Check"), order, format_func=titles.__getitem__, key="history-check")
    drawn = table[table["code"] == code]
    report_view.draw(
        lambda: monitoring_charts.check_over_time(drawn, by=str(TIMES[kind])),
        "history",
        code,
        kind,
        current(),
        *(run_id for run_id, _unused, _unused in runs),
    )


def _list(runs: list[tracking.RunInfo]) -> None:
    def counted(run: tracking.RunInfo, name: str) -> float | None:
        return run.metrics.get(name)

    reports = [ReportRun.of(run) for run in runs]
    every = st.toggle(_("All columns"), key="all-columns")
    config = st.column_config
    table = pd.DataFrame(
        {
            "made": pd.to_datetime([run.started for run in runs], unit="s"),
            "verdict": [str(CONCLUSION_LABELS.get(report.verdict, "–")) for report in reports],
            "rows": [counted(run, "rows_current") for run in runs],
            "labels": [counted(run, "rows_labelled") for run in runs],
            "report": [f"/monitor?view=report&report={run.run_id}" for run in runs],
            "version": [report.version for report in reports],
            "data": [str(elements.data_word(run.is_sample)) for run in runs],
            "window": [_window_of(report) for report in reports],
        }
    )
    st.dataframe(
        table_texts.localized(table if every else table[list(SHOWN)], COUNTS),
        hide_index=True,
        width="stretch",
        column_config={
            "made": f"{_('When')} (UTC)",
            "verdict": _("Verdict"),
            "window": _("Window"),
            "version": _("Version"),
            "data": _("Data"),
            "rows": _("Rows"),
            "labels": _("Labels"),
            "report": config.LinkColumn(_("Report"), display_text=p_("link", "open")),
        },
    )
    if len(runs) == MOST:
        st.caption(_("The newest {count}; all are on the Runs page.", count=MOST))


def _two(settings: Settings, runs: list[tracking.RunInfo]) -> None:
    names = {run.run_id: name_of(run) for run in runs}
    order = list(names)
    with st.container(horizontal=True):
        before = st.selectbox(
            _("Before"), order, index=1, format_func=names.__getitem__, key="before", width=460
        )
        now = st.selectbox(
            _("After"), order, index=0, format_func=names.__getitem__, key="after", width=460
        )
    sides = [
        report_view.checks_of(settings, settings.mlflow_uri, run_id) for run_id in (before, now)
    ]
    if sides[0] is None or sides[1] is None:
        st.error(navigation.not_kept("monitor"))
        return
    table = report_tables.changes(sides[0], sides[1])
    changed = table[table["is_changed"]]
    if before != now:
        st.markdown(
            n_(
                "**{count} verdict changed** of {checks} checks; {worse} for the worse.",
                "**{count} verdicts changed** of {checks} checks; {worse} for the worse.",
                len(changed),
                checks=len(table),
                worse=int(changed["is_worse"].sum()),
            )
        )
    every = st.toggle(_("All checks"), key="every-check")
    shown = table if every else changed
    if len(shown):
        elements.fixed_table(
            {
                _("Check"): [elements.plain(str(loads(title))) for title in shown["title"]],
                _("Before"): shown["before"].map(report_view.number).to_list(),
                _("After"): shown["now"].map(report_view.number).to_list(),
                _("Difference"): [report_view.number(value, "+") for value in shown["difference"]],
                f"{_('Before')}: {_('Verdict')}": shown["verdict_before"].map(_badge).to_list(),
                f"{_('After')}: {_('Verdict')}": shown["verdict_now"].map(_badge).to_list(),
            }
        )


def _badge(verdict: str) -> str:
    return elements.verdict_badge(verdict) if verdict in VERDICT_LABELS else "–"
