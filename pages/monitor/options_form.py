"""Options of a report: which rows to compare, and the limits for alarms."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import streamlit as st

from core.data import over_time, snapshots
from core.monitoring import monitor, report_tables
from core.platform import messages, model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, _, n_
from core.platform.project import ProjectSpec
from core.predictions_log import predictions
from core.stats.check import VERDICT_LABELS
from pages.shared import elements, language, report_view, table_texts

WINDOWS = {
    "scoring": Message("Scoring"),
    "last": Message("Newest rows"),
    "time": Message("Time of scoring"),
    "row": Message("Time of the row"),
    "slice": Message("Slice"),
    "test": Message("Test set"),
}
ABOUT_TEST = Message(
    "The test set against the training set: a trial of the checks themselves. All must be ok."
)
ENDS = {
    "warning_low": ("warning", "<"),
    "warning_high": ("warning", ">"),
    "alert_low": ("alert", "<"),
    "alert_high": ("alert", ">"),
}
# choices of a source and of a version; a version is a number
ALL, CHAMPION = "*", "champion"


def ask(
    settings: Settings,
    spec: ProjectSpec,
    scorings: list[predictions.Scoring],
    last: tracking.RunInfo | None,
) -> dict[str, Any]:
    """Draw the form of a report's options; unset ones keep their defaults."""
    before = options_of(settings, settings.mlflow_uri, last.run_id) if last else {}
    tallies = [tally for tally in predictions.tallies(settings) if not tally.is_shadow]
    kinds = {
        kind: title
        for kind, title in WINDOWS.items()
        if (kind != "slice" or spec.slices) and (kind != "row" or _row_times(settings, spec))
    }
    champion = model_store.find_version(settings, spec.model, model_store.CHAMPION)
    number = champion.version if champion else ""
    own = [scoring for scoring in scorings if scoring.version == number]
    logged = sum(tally.rows for tally in tallies if tally.version == number)
    # a report about another version than the champion is a choice
    scorings = [*own, *(scoring for scoring in scorings if scoring.version != number)]
    default = "scoring" if scorings else "last" if tallies else "test"
    if not own and logged >= monitor.MIN_ROWS:
        default = "last"
    kind = elements.choose(_("Rows"), kinds, "window", default=default)
    # a container keeps what follows in its state, open or not, when the window changes
    with st.container():
        if kind == "test":
            st.caption(str(ABOUT_TEST))
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
        names = {scoring.run_id: _name(scoring) for scoring in scorings}
        if not names:
            st.info(_("Monitor needs {rows:,} rows or more.", rows=monitor.MIN_ROWS))
            return {}
        linked = st.query_params.get("scoring", "")  # of a link on Score
        run_id = st.selectbox(
            _("Scoring"),
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
                _("Rows"), monitor.MIN_ROWS, 1_000_000, 2000, step=100, width=160, key="last"
            )
        )
    elif kind == "time":
        today = date.today()
        options |= _period(today - timedelta(days=7), today, _("To the end of (UTC)"))
    elif kind == "row":
        first, last = _row_times(settings, spec) or (date.today(), date.today())
        options |= {"time_of": "row"} | _period(
            first, last, _("To the end of"), key="row-", about=str(spec.time)
        )
    else:
        where = _slice(settings, spec)
        if where:
            options["where"] = where
    return options | _whose(tallies)


def _period(
    first: date, last: date, until_label: str, *, key: str = "", about: str = ""
) -> dict[str, str]:
    """Draw two days, and return what they select."""
    form = language.day_format()
    with st.container(horizontal=True):
        since = st.date_input(
            _("From"), first, width=160, key=f"{key}since", format=form, help=about or None
        )
        until = st.date_input(until_label, last, width=160, key=f"{key}until", format=form)
    if not (isinstance(since, date) and isinstance(until, date)):
        return {}
    end = datetime.combine(until, datetime.min.time()) + timedelta(days=1)
    return {"since": f"{since.isoformat()}T00:00:00+00:00", "until": f"{end.isoformat()}+00:00"}


def _row_times(settings: Settings, spec: ProjectSpec) -> tuple[date, date] | None:
    """Return the first and last day of the current rows; None for a project without dates."""
    snapshot = snapshots.current(settings)
    if snapshot is None or spec.time is None or spec.columns[spec.time].type != "date":
        return None
    table = report_view.stored_table(settings, settings.mlflow_uri, snapshot.run_id, "over_time")
    if table is None:
        return None
    held = table[(table["set"] == "current") & (table["rows"] > 0)].sort_values("start")
    if held.empty:
        return None
    frequencies = {code: frequency for code, frequency, _days in over_time.PERIODS}
    last = pd.Period(held["start"].iloc[-1], frequencies[held["period"].iloc[-1]])
    return date.fromisoformat(held["start"].iloc[0][:10]), last.end_time.date()


def _name(scoring: predictions.Scoring) -> str:
    name = ", ".join(
        (
            n_("{count:,} row", "{count:,} rows", scoring.rows),
            str(predictions.SOURCE_LABELS.get(scoring.source, scoring.source)),
            elements.named(_("With label"), messages.number(scoring.labels)),
            _("version {version}", version=scoring.version),
            elements.ago(scoring.scored_at),
        )
    )
    return name + ", " + _("sample") if scoring.is_sample else name


def _slice(settings: Settings, spec: ProjectSpec) -> dict[str, tuple[str, ...]]:
    counts = values(settings)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        column = st.selectbox(_("Column"), list(spec.slices), width=200, key="slice-column")
        offered = list(counts.get(column, {}))
        chosen = st.multiselect(
            _("Values"),
            offered,
            key=f"slice-{column}",
            width=420,
            accept_new_options=not offered,
            help=str(project.words(spec.columns[column].about)),
            placeholder=_("Values"),
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
            source = st.selectbox(
                _("Source"),
                [ALL, *sources],
                width=200,
                key="source",
                format_func=lambda source: _("All") if source == ALL else source,
            )
            options |= {"source": source} if source != ALL else {}
        versions = sorted(
            {tally.version for tally in tallies}, key=lambda number: (len(number), number)
        )
        version = st.selectbox(
            _("Version"),
            [CHAMPION, *versions],
            width=200,
            key="version",
            format_func=lambda version: (
                elements.capital(model_store.ALIAS_LABELS[CHAMPION])
                if version == CHAMPION
                else version
            ),
        )
        options |= {"version": version} if version != CHAMPION else {}
    return options


def _limits(
    settings: Settings, last: tracking.RunInfo | None, before: dict[str, Any]
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    set_before = before.get("limits") or {}
    heading = elements.counted(_("Limits"), len(set_before)) if set_before else _("Limits")
    with st.expander(heading):
        target = st.number_input(
            _("False alarms, at most (%)"),
            0.1,
            20.0,
            min(max(100 * float(before.get("false_alarms") or 0.01), 0.1), 20.0),
            0.1,
            key="false-alarms",
            width=360,
            help=_(
                "Without any change, at most this share of windows raises an alert; a lower "
                "share detects changes later."
            ),
        )
        share = round(target / 100, 5)
        options |= {"false_alarms": share} if share != 0.01 else {}
        if last is None:
            st.caption(_("Nothing here yet."))
            return options
        checks = report_view.checks_of(settings, settings.mlflow_uri, last.run_id)
        if checks is None:
            return options
        st.caption(_("Your limits replace the learned ones, also in the next reports."))
        number = st.column_config.NumberColumn
        edited = st.data_editor(
            table_texts.localized(editable(checks, set_before), {"value": ".4f"}),
            hide_index=True,
            width="stretch",
            height=320,
            key=f"limits-{last.run_id}",
            disabled=["code", "title", "value", "threshold"],
            placeholder=_("learned"),
            column_config={
                "code": None,
                "title": st.column_config.TextColumn(_("Check"), pinned=True, width="medium"),
                "value": _("Value"),
                "threshold": _("Limits"),
                **{
                    # a number is typed, and so shown, in the form of the browser
                    end: number(
                        f"{elements.capital(VERDICT_LABELS[level])} {sign}",
                        format="localized",
                        step=1e-4,
                        width=140,
                    )
                    for end, (level, sign) in ENDS.items()
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
        {
            "code": row.code,
            "title": str(messages.loads(row.title)),
            "value": row.value,
            "threshold": str(messages.loads(row.threshold)),
        }
        for row in rows.itertuples()
    ]
    # a check that is not in the last report
    lines += [
        {"code": code, "title": code, "threshold": ""} for code in before if code not in known
    ]
    for row in lines:
        limits = before.get(str(row["code"])) or {}
        row |= {end: limits.get(end) for end in ENDS}
    table = pd.DataFrame(lines, columns=["code", "title", *ENDS, "value", "threshold"])
    return table.astype({"value": float} | dict.fromkeys(ENDS, float))


def chosen_limits(edited: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the limits in the table, by check."""
    by_check = {}
    for row in edited.to_dict("records"):
        limits = {
            end: float(row[end])
            for end in ENDS
            if row.get(end) is not None and not pd.isna(row[end])
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
