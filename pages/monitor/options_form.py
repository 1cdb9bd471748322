"""Options of a report: which rows to compare, and the limits for alarms."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from core.data import snapshots
from core.monitoring import monitor, report_tables
from core.platform import tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.project import ProjectSpec
from core.predictions_log import predictions
from pages.shared import elements, report_view
from pages.shared.bilingual import st

WINDOWS = {
    "scoring": "A scoring",
    "last": "Newest rows",
    "time": "A time",
    "slice": "A slice",
    "test": "The test set itself",
}
ABOUT = {
    "scoring": "All rows of one scoring run.",
    "last": "The newest predictions of the log, however they were asked for.",
    "time": "The predictions of the log that were asked for in a time.",
    "slice": "The predictions of the log whose rows have chosen values.",
    "test": "The test set of the model against its training set: a trial of the checks themselves. "
    "Where both are drawn from the same rows, all must be ok.",
}
ENDS = {
    "warning_low": "Warning below",
    "warning_high": "Warning above",
    "alert_low": "Alert below",
    "alert_high": "Alert above",
}
ALL = "All"


def ask(
    settings: Settings,
    spec: ProjectSpec,
    scorings: list[predictions.Scoring],
    last: tracking.RunInfo | None,
) -> dict[str, Any]:
    """Draw the form of a report's options; unset ones keep their defaults."""
    before = options_of(settings, settings.mlflow_uri, last.run_id) if last else {}
    tallies = [tally for tally in predictions.tallies(settings) if not tally.is_shadow]
    kinds = [kind for kind in WINDOWS if kind != "slice" or spec.slices]
    default = "scoring" if scorings else "last" if tallies else "test"
    kind = st.segmented_control(
        "Rows to compare",
        kinds,
        default=default,
        required=True,
        format_func=WINDOWS.__getitem__,
        key="window",
    )
    # a container keeps what follows in its state, open or not, when the window changes
    with st.container():
        st.caption(ABOUT[kind])
        chosen = _window(settings, spec, kind, scorings, tallies)
    chosen |= _limits(settings, last, before)
    return chosen


def _window(
    settings: Settings,
    spec: ProjectSpec,
    kind: str,
    scorings: list[predictions.Scoring],
    tallies: list[predictions.Tally],
) -> dict[str, Any]:
    if kind == "scoring":
        names = {
            scoring.run_id: f"{scoring.rows:,} rows ({scoring.source}), {scoring.labels:,} "
            f"labelled, version {scoring.version}, {elements.ago(scoring.scored_at)}"
            + (", sample" if scoring.is_sample else "")
            for scoring in scorings
        }
        if not names:
            st.info(f"No scoring of {monitor.MIN_ROWS} rows or more. Choose other rows.")
            return {}
        linked = st.query_params.get("scoring", "")  # of a link on Score
        run_id = st.selectbox(
            "Scored rows",
            list(names),
            format_func=names.get,
            key="scoring",
            index=list(names).index(linked) if linked in names else 0,
        )
        return {"scoring_run": run_id}
    if kind == "test":
        return {"window": "test", **_whose(tallies, is_source=False)}
    options: dict[str, Any] = {"window": "log"}
    if kind == "last":
        options["last"] = int(
            st.number_input(
                "Rows", monitor.MIN_ROWS, 1_000_000, 2000, step=100, width=160, key="last"
            )
        )
    elif kind == "time":
        today = date.today()
        with st.container(horizontal=True):
            since = st.date_input("From", today - timedelta(days=7), width=160, key="since")
            until = st.date_input(
                "To the end of", today, width=160, key="until", help="Days are those of UTC."
            )
        if isinstance(since, date) and isinstance(until, date):
            options["since"] = f"{since.isoformat()}T00:00:00+00:00"
            end = datetime.combine(until, datetime.min.time()) + timedelta(days=1)
            options["until"] = f"{end.isoformat()}+00:00"
    else:
        where = _slice(settings, spec)
        if where:
            options["where"] = where
    return options | _whose(tallies)


def _slice(settings: Settings, spec: ProjectSpec) -> dict[str, tuple[str, ...]]:
    counts = values(settings)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        column = st.selectbox("Column", list(spec.slices), width=200, key="slice-column")
        offered = list(counts.get(column, {}))
        chosen = st.multiselect(
            "Values",
            offered,
            key=f"slice-{column}",
            width=420,
            accept_new_options=not offered,
            help=spec.columns[column].about,
            placeholder="Choose one or more",
        )
    return {column: tuple(chosen)} if chosen else {}


def values(settings: Settings) -> dict[str, dict[str, int]]:
    """Return the values of low-cardinality columns, and how many raw rows have each."""
    snapshot = snapshots.current(settings)
    if snapshot is None:
        return {}
    table = report_view.stored_table(settings, settings.mlflow_uri, snapshot.run_id, "values")
    if table is None:
        return {}
    return {
        str(name): dict(zip(part["value"], part["rows"], strict=True))
        for name, part in table.groupby("column", sort=False)
    }


def _whose(tallies: list[predictions.Tally], *, is_source: bool = True) -> dict[str, Any]:
    options: dict[str, Any] = {}
    with st.container(horizontal=True):
        if is_source:
            sources = sorted({tally.source for tally in tallies})
            source = st.selectbox("Source", [ALL, *sources], width=200, key="source")
            options |= {"source": source} if source != ALL else {}
        versions = sorted(
            {tally.version for tally in tallies}, key=lambda number: (len(number), number)
        )
        version = st.selectbox(
            "Version",
            ["The champion", *versions],
            width=200,
            key="version",
            help="A report is of one version: its own reference stands against its own answers.",
        )
        options |= {"version": version} if version != "The champion" else {}
    return options


def _limits(
    settings: Settings, last: tracking.RunInfo | None, before: dict[str, Any]
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    set_before = before.get("limits") or {}
    with st.expander(f"Limits{f': {len(set_before)} set by a person' if set_before else ''}"):
        target = st.number_input(
            "False alarms, at most (% of windows like the reference)",
            0.1,
            20.0,
            min(max(100 * float(before.get("false_alarms") or 0.01), 0.1), 20.0),
            0.1,
            key="false-alarms",
            width=360,
            help="Limits are learned so that of windows of fresh rows in which nothing has changed "
            "at most so many raise an alert. A lower share sees real changes later.",
        )
        share = round(target / 100, 5)
        options |= {"false_alarms": share} if share != 0.01 else {}
        if last is None:
            st.caption("The first report shows the limits; then you can set your own here.")
            return options
        checks = report_view.checks_of(settings, settings.mlflow_uri, last.run_id)
        if checks is None:
            return options
        st.caption(
            "Fill in what shall hold instead of what is learned, in the check's own unit; leave "
            "the rest empty. What you set stays for the next reports."
        )
        shown = editable(checks, set_before)
        edited = st.data_editor(
            shown,
            hide_index=True,
            width="stretch",
            height=320,
            key=f"limits-{last.run_id}",
            disabled=["code", "Check", "Value", "Now"],
            placeholder="learned",
            column_order=["Check", *ENDS.values(), "Value", "Now"],
            column_config={
                "Check": st.column_config.TextColumn(pinned=True, width="medium"),
                "Value": st.column_config.NumberColumn("Last value", format="%.4f"),
                "Now": "Limits of the last report",
                **{
                    name: st.column_config.NumberColumn(name, format="%.4g", width=140)
                    for name in ENDS.values()
                },
            },
        )
        limits = chosen_limits(edited)
        options |= {"limits": limits} if limits else {}
    return options


def editable(checks: pd.DataFrame, before: dict[str, dict[str, float | None]]) -> pd.DataFrame:
    """Return a row for each check that can have limits, with the user's own limits."""
    rows = report_tables.complete(checks)
    rows = rows[~rows["code"].str.startswith("slice.") & (rows["group"] != "split")]
    known = set(rows["code"])
    lines = [
        {"code": row.code, "Check": row.title, "Value": row.value, "Now": row.threshold}
        for row in rows.itertuples()
    ]
    # a check that is not in the last report
    lines += [{"code": code, "Check": code, "Now": ""} for code in before if code not in known]
    for row in lines:
        limits = before.get(str(row["code"])) or {}
        row |= {name: limits.get(end) for end, name in ENDS.items()}
    table = pd.DataFrame(lines, columns=["code", "Check", "Value", "Now", *ENDS.values()])
    return table.astype({"Value": float} | dict.fromkeys(ENDS.values(), float))


def chosen_limits(edited: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the limits in the table, by check."""
    by_check = {}
    for row in edited.to_dict("records"):
        limits = {
            end: float(row[name])
            for end, name in ENDS.items()
            if row.get(name) is not None and not pd.isna(row[name])
        }
        if limits:
            by_check[str(row["code"])] = limits
    return by_check


@st.cache_data(show_spinner=False, max_entries=64)
def options_of(_settings: Settings, store: str, run_id: str) -> dict[str, Any]:
    """Return the options that a report was requested with; empty if unknown."""
    try:
        text = tracking.artifact(_settings, run_id, "settings.json").read_text(encoding="utf-8")
    except NotReadyError:
        return {}
    options: dict[str, Any] = json.loads(text).get("options") or {}
    return options
