"""All reports: a check over time, the list, and two of them side by side."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd

from core.monitoring import monitoring_charts, report_tables
from core.monitoring.records import ReportRun
from core.platform import tracking
from core.platform.config import Settings
from core.platform.own_columns import PROBABILITY
from pages.shared import elements, report_view
from pages.shared.bilingual import st

MOST = 60
VIEWS = ("Over time", "List", "Two side by side")
WORDS = {
    "fits": "fits",
    "watch": "watch",
    "investigate": "investigate the input",
    "does_not_fit": "does not fit",
    "no_skill": "no skill shown",
    "cannot_tell": "cannot tell",
    "unknown": "not known",
}
TIMES = {"made": "When the report was made", "rows": "When the rows came"}
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
def show(settings: Settings, last: tracking.RunInfo) -> None:
    """Show earlier reports."""
    st.subheader("All reports", anchor=False)
    runs = reports(settings, settings.mlflow_uri, last.run_id)
    if len(runs) < 2:
        st.caption("Every report is kept. From the second on, they can be compared here.")
        _list(runs)
        return
    view = st.segmented_control(
        "History",
        VIEWS,
        default=VIEWS[0],
        required=True,
        key="history",
        label_visibility="collapsed",
    )
    if view == VIEWS[0]:
        _over_time(settings, runs)
    elif view == VIEWS[1]:
        _list(runs)
    else:
        _two(settings, runs)


def name_of(run: tracking.RunInfo) -> str:
    """Return the name of a report in a list."""
    made = datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%d %H:%M")
    report = ReportRun.of(run)
    verdict = WORDS.get(report.verdict, "no verdict")
    window = report.window or report.source
    return f"{made}, {verdict}{f', {window}' if window else ''} ({run.run_id[:8]})"


def _over_time(settings: Settings, listed: list[tracking.RunInfo]) -> None:
    has_times = [ReportRun.of(run).window_end for run in listed]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = st.container(width=420)
        kind = "made"
        if any(end is not None for end in has_times):
            kind = st.segmented_control(
                "By",
                list(TIMES),
                default="made",
                required=True,
                key="history-by",
                format_func=TIMES.__getitem__,
            )
    runs = tuple(
        (run.run_id, run.started if kind == "made" else end, name_of(run))
        for run, end in zip(listed, has_times, strict=True)
        if kind == "made" or end is not None
    )
    table = checks_of(settings, settings.mlflow_uri, runs)
    titles = {
        code: part.iloc[-1]
        for code, part in table[table["value"].notna()].groupby("code", sort=False)["title"]
    }
    if not titles:
        st.caption("No report has a value to draw.")
        return
    first = [code for code in FIRST_CHECKS if code in titles]
    order = [*first, *(code for code in titles if code not in first)]
    with place:
        code = st.selectbox("Check", order, format_func=titles.__getitem__, key="history-check")
    drawn = table[table["code"] == code]
    report_view.draw(
        lambda: monitoring_charts.check_over_time(drawn, by=TIMES[kind]),
        "history",
        code,
        kind,
        *(run_id for run_id, _, _ in runs),
    )
    without = len(runs) - int(drawn["value"].notna().sum())
    st.caption(
        "Whiskers are 95% intervals. Limits depend on the size of the window and on the model, so "
        "each report has its own."
        + (f" {without} of {len(runs)} reports have no value of this check." if without else "")
    )


def _list(runs: list[tracking.RunInfo]) -> None:
    def counted(run: tracking.RunInfo, name: str) -> float | None:
        return run.metrics.get(name)

    reports = [ReportRun.of(run) for run in runs]
    st.dataframe(
        pd.DataFrame(
            {
                "Made (UTC)": pd.to_datetime([run.started for run in runs], unit="s"),
                "Verdict": [WORDS.get(report.verdict, "–") for report in reports],
                "Window": [report.window or report.source for report in reports],
                "Version": [report.version for report in reports],
                "Data": [elements.data_word(run.is_sample) for run in runs],
                "Rows": [counted(run, "rows_current") for run in runs],
                "Labels": [counted(run, "rows_labelled") for run in runs],
                "Checks in alert": [counted(run, "checks_alert") for run in runs],
                "In warning": [counted(run, "checks_warning") for run in runs],
                "Report": [f"/monitor?report={run.run_id}" for run in runs],
            }
        ),
        hide_index=True,
        width="stretch",
        column_config={
            "Made (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "Rows": st.column_config.NumberColumn(format="localized"),
            "Labels": st.column_config.NumberColumn(format="localized"),
            "Report": st.column_config.LinkColumn(display_text="open"),
        },
    )
    if len(runs) == MOST:
        st.caption(f"The newest {MOST}; all are on the Runs page.")


def _two(settings: Settings, runs: list[tracking.RunInfo]) -> None:
    names = {run.run_id: name_of(run) for run in runs}
    order = list(names)
    with st.container(horizontal=True):
        before = st.selectbox(
            "Before", order, index=1, format_func=names.__getitem__, key="before", width=460
        )
        now = st.selectbox(
            "After", order, index=0, format_func=names.__getitem__, key="after", width=460
        )
    sides = [
        report_view.checks_of(settings, settings.mlflow_uri, run_id) for run_id in (before, now)
    ]
    if sides[0] is None or sides[1] is None:
        st.error("The checks of one of these reports are gone. Choose another.")
        return
    table = report_tables.changes(sides[0], sides[1])
    changed = table[table["is_changed"]]
    if before == now:
        st.caption("Choose two different reports.")
    elif changed.empty:
        st.markdown(f"No verdict changed, in {len(table)} checks.")
    else:
        worse = int(changed["is_worse"].sum())
        count = "1 verdict" if len(changed) == 1 else f"{len(changed)} verdicts"
        st.markdown(f"**{count} changed** of {len(table)} checks; {worse} for the worse.")
    every = st.toggle("All checks, not only those that changed", key="every-check")
    shown = table if every else changed
    if len(shown):
        st.table(
            pd.DataFrame(
                {
                    "Check": shown["title"].map(elements.plain),
                    "Before": shown["before"].map(report_view.number),
                    "After": shown["now"].map(report_view.number),
                    "Difference": shown["difference"].map(
                        lambda value: report_view.number(value, "+")
                    ),
                    "Verdict before": shown["verdict_before"].map(_badge),
                    "Verdict after": shown["verdict_now"].map(_badge),
                }
            ),
            hide_index=True,
        )


def _badge(verdict: str) -> str:
    return elements.VERDICTS.get(verdict, ":gray-badge[not made]")
