"""The newest predictions of the log: filters, pages, files, and the history of one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta

import pandas as pd
import streamlit as st

from core.platform import table_files as export
from core.platform.config import Settings
from core.platform.messages import Message, _, number
from core.platform.own_columns import (
    ALIAS,
    IS_SAMPLE,
    IS_SHADOW,
    LABEL,
    LATENCY,
    POSITION,
    PREDICTED,
    PREDICTION_ID,
    PROBABILITY,
    REQUEST,
    ROW_KEY,
    RUN_ID,
    SCORED_AT,
    SOURCE,
    VERSION,
)
from core.platform.project import ProjectSpec
from core.predictions_log import labels, predictions
from pages.score import label_view, scorings
from pages.shared import aliases, elements, language, navigation, table_texts

PAGE_ROWS, FILE_ROWS = 100, 100_000
TABLE_HEIGHT = 400
DAY = 86_400
# code of a filter -> its name and its value
TIMES: dict[str, tuple[Message, int | None]] = {
    "all": (Message("All"), None),
    "hour": (Message("Last hour"), 3600),
    "day": (Message("Last 24 hours"), DAY),
    "week": (Message("Last 7 days"), 7 * DAY),
    "days": (Message("Days"), 0),
}
Filter = dict[str, tuple[Message, bool | None]]
WHO: Filter = {
    "all": (Message("All"), None),
    "answers": (Message("Answers"), False),
    "shadow": (Message("Shadow answers"), True),
}
KNOWN: Filter = {
    "all": (Message("All"), None),
    "known": (Message("With label"), True),
    "unknown": (Message("Without label"), False),
}
DATA: Filter = {
    "all": (Message("All"), None),
    "real": (Message("real"), False),
    "sample": (Message("sample"), True),
}


def newest(settings: Settings, spec: ProjectSpec, tallies: list[predictions.Tally]) -> None:
    """Show the predictions that match, page by page, and offer them as files."""
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = filters(spec, tallies)
        is_whole = st.toggle(_("All columns"), key="all-columns")
    if st.session_state.get("paged") != chosen:
        st.session_state["paged"], st.session_state["pages"] = chosen, []
    pages: list[tuple[int, int]] = st.session_state["pages"]
    rows = predictions.browse(
        settings, chosen, before=pages[-1] if pages else None, limit=PAGE_ROWS
    )
    if rows.empty:
        st.info(_("Nothing to show for these rows."))
        return
    total = predictions.count(settings, chosen, at_most=FILE_ROWS + 1)
    first = len(pages) * PAGE_ROWS + 1
    of = number(total) if total != FILE_ROWS + 1 else f"> {number(FILE_ROWS)}"
    show(spec, rows, is_whole=is_whole)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(_("Newer"), icon=":material/chevron_left:", disabled=not pages, on_click=_back)
        last = (int(rows[REQUEST].iloc[-1]), int(rows[POSITION].iloc[-1]))
        st.button(
            _("Older"),
            icon=":material/chevron_right:",
            disabled=len(rows) < PAGE_ROWS,
            on_click=_forth,
            args=(last,),
        )
        st.caption(f"{number(first)}–{number(first + len(rows) - 1)} / {of}", width="content")
        limit = f"≤ {number(FILE_ROWS)}" if total > FILE_ROWS else None
        elements.download(
            "CSV", lambda: export.csv(to_keep(settings, chosen)), "predictions.csv", help=limit
        )
        elements.download(
            "Parquet",
            lambda: to_keep(settings, chosen).to_parquet(index=False),
            "predictions.parquet",
            help=limit,
        )
    if chosen.search and len(rows) <= 10:
        for _unused, row in rows.iterrows():
            history(settings, spec, row)


def _back() -> None:
    st.session_state["pages"].pop()


def _forth(last: tuple[int, int]) -> None:
    st.session_state["pages"].append(last)


def filters(spec: ProjectSpec, tallies: list[predictions.Tally]) -> predictions.Filters:
    """Draw the search, and the filters on request."""
    search = st.text_input(
        _("Search"),
        key="search",
        placeholder=_("A prediction id, a request id, or a {key}", key=spec.id),
        label_visibility="collapsed",
        width=380,
    )
    with st.popover(_("Filter"), icon=":material/filter_alt:"):
        when = choice(_("When"), TIMES, "when")
        since, until = None, None
        if seconds := TIMES[when][1]:
            # rounded to the minute: otherwise every rerun would be another query
            since = time.time() // 60 * 60 - seconds
        elif when == "days":
            today = datetime.now().date()
            days = st.date_input(
                _("Days"), (today - timedelta(6), today), key="days", format=language.day_format()
            )
            if len(days) == 2:
                begin, end = (datetime.combine(date, datetime.min.time()) for date in days)
                since, until = begin.timestamp(), (end + timedelta(1)).timestamp()
        source = st.selectbox(
            _("Source"),
            [None, *sorted({tally.source for tally in tallies})],
            key="source",
            format_func=lambda name: scorings.source_words(spec, name) if name else _("All"),
        )
        versions = {tally.version for tally in tallies}
        version = st.selectbox(
            _("Version"),
            [None, *sorted(versions, key=lambda number: (len(number), number))],
            key="version",
            format_func=lambda number: number or _("All"),
        )
        who = choice(_("Answers"), WHO, "who")
        known = choice(_("Label"), KNOWN, "known")
        data = "all"
        if any(tally.is_sample for tally in tallies):
            data = choice(_("Data"), DATA, "data")
        low, high = st.slider(_("Probability"), 0.0, 1.0, (0.0, 1.0), 0.01, key="range")
    return predictions.Filters(
        since=since,
        until=until,
        source=source,
        version=version,
        is_shadow=WHO[who][1],
        is_labelled=KNOWN[known][1],
        is_sample=DATA[data][1],
        low=low,
        high=high,
        search=search.strip() or None,
    )


def choice(label: str, options: Mapping[str, tuple[Message, object]], key: str) -> str:
    """Draw a filter, and return the code of its selection."""
    chosen: str = st.selectbox(
        label, list(options), format_func=lambda code: elements.capital(options[code][0]), key=key
    )
    return chosen


def show(spec: ProjectSpec, rows: pd.DataFrame, *, is_whole: bool) -> None:
    """Show predictions as a table: the usual columns, or all."""
    words = scorings.classes(spec)
    usual = [SCORED_AT, ROW_KEY, PROBABILITY, PREDICTED, LABEL, VERSION]
    inputs = [name for name in rows.columns if name in spec.columns]
    more = [IS_SAMPLE, ALIAS, SOURCE, LATENCY, *inputs, PREDICTION_ID]
    st.dataframe(
        table_texts.localized(
            rows.assign(
                **{
                    SCORED_AT: pd.to_datetime(rows[SCORED_AT], unit="s", utc=True),
                    SOURCE: [scorings.source_words(spec, name) for name in rows[SOURCE]],
                    ALIAS: [
                        called(alias, is_shadow=is_shadow)
                        for alias, is_shadow in zip(rows[ALIAS], rows[IS_SHADOW], strict=True)
                    ],
                    IS_SAMPLE: rows[IS_SAMPLE].map(elements.data_word),
                    PREDICTED: rows[PREDICTED].map(words),
                    LABEL: rows[LABEL].map(words),
                    # a request is answered as a whole: its first row has its latency
                    LATENCY: rows[LATENCY].where(rows[POSITION] == 0),
                }
            ),
            {SCORED_AT: table_texts.to_the_second, LATENCY: ".1f"},
        ),
        hide_index=True,
        height=TABLE_HEIGHT,
        placeholder="–",
        column_order=[*usual, *more] if is_whole else usual,
        column_config={
            SCORED_AT: _("When"),
            ROW_KEY: spec.id,
            PROBABILITY: st.column_config.ProgressColumn(
                _("Probability of {positive}", positive=words[1]),
                min_value=0,
                max_value=1,
                format="percent",
            ),
            PREDICTED: _("Predicted class"),
            LABEL: _("Actual"),
            VERSION: _("Version"),
            IS_SAMPLE: _("Data"),
            ALIAS: _("Alias"),
            SOURCE: _("Source"),
            LATENCY: _("Latency (ms)"),
            PREDICTION_ID: st.column_config.TextColumn(_("Prediction id"), width="large"),
        },
    )


def called(alias: object, *, is_shadow: bool) -> str | None:
    """Return in which role a version answered, in words."""
    if is_shadow:
        return _("shadow")
    return aliases.words(alias) if isinstance(alias, str) else None


def to_keep(settings: Settings, chosen: predictions.Filters) -> pd.DataFrame:
    """Return the newest predictions that match, for a file."""
    rows = predictions.browse(settings, chosen, limit=FILE_ROWS)
    times = pd.to_datetime(rows[SCORED_AT], unit="s", utc=True)
    named = {SCORED_AT: times.dt.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return rows.assign(**named).drop(columns=[REQUEST, POSITION])


def history(settings: Settings, spec: ProjectSpec, row: pd.Series) -> None:
    """Show the origin of a prediction, and the history of its label."""
    words = scorings.classes(spec)
    with st.container(border=True):
        st.markdown(
            f"**{row[PREDICTION_ID]}**  \n"
            + " · ".join(
                (
                    _("version {version}", version=elements.plain(row[VERSION])),
                    number(row[PROBABILITY], ".1%"),
                    scorings.moment(row[SCORED_AT]),
                )
            )
            + elements.sample_mark(row[IS_SAMPLE])
        )
        if row[RUN_ID]:
            navigation.run_link(row[RUN_ID])
        reports = labels.history(
            settings,
            prediction_id=row[PREDICTION_ID],
            key=row[ROW_KEY],
            is_sample=bool(row[IS_SAMPLE]),
        )
        if not reports:
            st.caption(_("Without label"))
            return
        elements.fixed_table(
            {
                _("Received"): [scorings.moment(report.received_at) for report in reports],
                _("Label"): [words[int(report.label)] for report in reports],
                _("Known since"): [scorings.moment(report.labelled_at) for report in reports],
                _("Source"): [
                    elements.plain(scorings.source_words(spec, report.source)) for report in reports
                ],
                _("What"): [_effect(report.outcome) for report in reports],
                _("By"): [
                    _("Prediction id") if report.name == row[PREDICTION_ID] else spec.id
                    for report in reports
                ],
            }
        )


def _effect(outcome: str) -> str:
    name, about = label_view.OUTCOMES[outcome]
    return f"{name}: {about}" if about else str(name)
