"""Predictions: what was predicted, for whom, and the true labels."""

import time
from datetime import datetime, timedelta

import pandas as pd

from core.platform import storage, tracking
from core.platform import table_files as export
from core.platform.messages import Message, _
from core.platform.own_columns import (
    ALIAS,
    IS_SAMPLE,
    IS_SHADOW,
    LABEL,
    LABELLED_AT,
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
from core.predictions_log import gap_journal, labels, predictions
from core.scoring import label
from core.serving import gateway
from core.stats import agreement
from pages.shared import code_snippets, csv_format, drafts, elements, set_aside_list, uploads
from pages.shared.bilingual import st

settings, spec = elements.open_app()
drafts.hold(
    "predictions",
    "search",
    "when",
    "days",
    "source",
    "version",
    "who",
    "known",
    "data",
    "range",
    "whose-keys",
)
PAGE_ROWS, FILE_ROWS = 100, 100_000
DAY = 86_400
SOURCES = {
    "production": spec.rows.production_name.capitalize(),
    "file": Message("File"),
    "upload": Message("File"),
    "page": Message("Page"),
    "row": Message("One row"),
    "api": "API",
}
# texts for coded reasons of a gap
GAPS = {
    gap_journal.ENDED: Message(
        "The endpoint ended while the log was down; at least so many rows waited."
    )
}
TIMES = {"All": None, "Last hour": 3600, "Last day": DAY, "Last 7 days": 7 * DAY, "Days": 0}
WHO = {"All": None, "Answers": False, "Shadow answers": True}
KNOWN = {"All": None, "With label": True, "Without label": False}
DATA = {"All": None, "Real rows": False, "Sample rows": True}
OUTCOMES = {
    "new": (Message("New"), Message("had no label before")),
    "repeated": (Message("Repeated"), Message("known already")),
    "changed": (Message("Changed"), Message("replaced an older label")),
    "outdated": (Message("Outdated"), Message("a newer label stays")),
    "unmatched": (Message("Unmatched"), Message("of predictions not in the log yet; kept")),
    "rejected": (Message("Rejected"), Message("could not be used")),
}


def figures(tallies: list[predictions.Tally]) -> None:
    answers = [tally for tally in tallies if not tally.is_shadow]
    rows, known = sum(tally.rows for tally in answers), sum(tally.labels for tally in answers)
    shadows = sum(tally.rows for tally in tallies if tally.is_shadow)
    day: dict[str, int] = {}
    for source, count in predictions.by_source(settings, time.time() - DAY).items():
        name = SOURCES.get(source, source)
        day[name] = day.get(name, 0) + count
    by_source = ", ".join(f"{name} {count:,}" for name, count in day.items())
    since = min((tally.first_at for tally in answers), default=None)
    shown = [
        (
            _("Predictions"),
            f"{rows:,}",
            _("since {value}", value=moment(since)[:10]) if since else "",
        ),
        (
            _("With label"),
            f"{known:,}",
            _("{value:.1%} of them", value=known / rows) if rows else "",
        ),
        ("Last 24 hours", f"{sum(day.values()):,}", by_source or _("none asked for")),
    ]
    made_up = sum(tally.rows for tally in answers if tally.is_sample)
    if made_up:
        shown.append((_("Of the sample"), f"{made_up:,}", _("built-in sample, not real data")))
    if shadows:
        shown.append((_("Shadow answers"), f"{shadows:,}", _("of a challenger, only recorded")))
    elements.figures(shown)


@st.fragment(run_every=10)
@elements.show_errors()
def log_state() -> None:
    """Return whether the live gateway can write the log now."""
    live = next((server for server in elements.ready_servers(settings) if server.is_live), None)
    status = gateway.status(live.port) if live else None
    if status is None:
        return
    state = status.log
    if not state.ok:
        since = _(", since {since}", since=elements.ago(state.since)) if state.since else ""
        st.warning(
            _(
                "**The log is behind{since}.** {value} Requests are still answered; "
                "{waiting:,} rows are waiting to be written",
                since=since,
                value=elements.plain(state.reason or ""),
                waiting=state.waiting,
            )
            + (_(", {lost:,} did not fit and are lost.", lost=state.lost) if state.lost else ".")
        )


def gaps() -> None:
    log_gaps = predictions.gaps(settings)
    if not log_gaps:
        return
    lost = sum(gap.rows for gap in log_gaps)
    st.warning(
        _(
            "**{lost:,} predictions are missing in the log.** They were answered while it "
            "could not be written. Figures of these times are of the other rows.",
            lost=lost,
        )
    )
    with st.expander(_("Gaps ({log_gaps})", log_gaps=len(log_gaps))):
        st.table(
            pd.DataFrame(
                {
                    "From": [moment(gap.begun) for gap in log_gaps],
                    "To": [moment(gap.ended) for gap in log_gaps],
                    "Rows missing": [f"{gap.rows:,}" for gap in log_gaps],
                    "Why": [elements.plain(GAPS.get(gap.reason, gap.reason)) for gap in log_gaps],
                }
            ),
            hide_index=True,
        )


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"


def filters(tallies: list[predictions.Tally]) -> predictions.Filters:
    search = st.text_input(
        _("Search"),
        key="search",
        placeholder=_("A prediction id, a request id, or a {id}", id=spec.id),
    )
    with st.container(horizontal=True):
        when = st.selectbox(_("Time"), list(TIMES), key="when", width=150)
        since, until = None, None
        if TIMES[when]:
            # rounded to the minute: otherwise every rerun would be another query
            since = time.time() // 60 * 60 - TIMES[when]
        elif when == "Days":
            today = datetime.now().date()
            days = st.date_input(
                _("From, to"), (today - timedelta(6), today), key="days", width=230
            )
            if len(days) == 2:
                begin, end = (datetime.combine(day, datetime.min.time()) for day in days)
                since, until = begin.timestamp(), (end + timedelta(1)).timestamp()
        sources = sorted({tally.source for tally in tallies})
        source = st.selectbox(
            _("Source"),
            [None, *sources],
            key="source",
            width=150,
            format_func=lambda name: SOURCES.get(name, name) if name else _("All"),
        )
        versions = sorted(
            {tally.version for tally in tallies}, key=lambda number: (len(number), number)
        )
        version = st.selectbox(
            _("Version"),
            [None, *versions],
            key="version",
            width=110,
            format_func=lambda number: number or _("All"),
        )
        who = st.selectbox(_("Answers"), list(WHO), key="who", width=170)
        known = st.selectbox(_("Label"), list(KNOWN), key="known", width=150)
        data = _("All")
        if any(tally.is_sample for tally in tallies):
            data = st.selectbox(_("Data"), list(DATA), key="data", width=150)
        low, high = st.slider(_("Probability"), 0.0, 1.0, (0.0, 1.0), 0.01, key="range", width=220)
    return predictions.Filters(
        since=since,
        until=until,
        source=source,
        version=version,
        is_shadow=WHO[who],
        is_labelled=KNOWN[known],
        is_sample=DATA[data],
        low=low,
        high=high,
        search=search.strip() or None,
    )


def newest(tallies: list[predictions.Tally]) -> None:
    st.subheader(_("Newest predictions"), anchor=False)
    chosen = filters(tallies)
    if st.session_state.get("paged") != chosen:
        st.session_state["paged"], st.session_state["pages"] = chosen, []
    pages: list[tuple[int, int]] = st.session_state["pages"]
    rows = predictions.browse(
        settings, chosen, before=pages[-1] if pages else None, limit=PAGE_ROWS
    )
    if rows.empty:
        st.info(_("No prediction is like that. Choose other filters."))
        return
    total = predictions.count(settings, chosen, at_most=FILE_ROWS + 1)
    first = len(pages) * PAGE_ROWS + 1
    of = (
        f"{total:,}"
        if total != FILE_ROWS + 1
        else _("more than {file_rows:,}", file_rows=FILE_ROWS)
    )
    show(rows)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(_("Newer"), icon=":material/chevron_left:", disabled=not pages, on_click=back)
        last = (int(rows[REQUEST].iloc[-1]), int(rows[POSITION].iloc[-1]))
        st.button(
            _("Older"),
            icon=":material/chevron_right:",
            disabled=len(rows) < PAGE_ROWS,
            on_click=forth,
            args=(last,),
        )
        st.caption(
            _("{first:,} to {value:,} of {of}", first=first, value=first + len(rows) - 1, of=of),
            width="content",
        )
        st.download_button(
            "CSV",
            lambda: export.csv(to_keep(chosen)),
            file_name="predictions.csv",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            _("Parquet"),
            lambda: to_keep(chosen).to_parquet(index=False),
            file_name="predictions.parquet",
            icon=":material/download:",
            on_click="ignore",
        )
    if total > FILE_ROWS:
        st.caption(
            _("The files hold the newest {file_rows:,} of what is filtered.", file_rows=FILE_ROWS)
        )
    if chosen.search and len(rows) <= 10:
        for _unused, row in rows.iterrows():
            history(row)


def back() -> None:
    st.session_state["pages"].pop()


def forth(last: tuple[int, int]) -> None:
    st.session_state["pages"].append(last)


def show(rows: pd.DataFrame) -> None:
    inputs = [name for name in rows.columns if name in spec.columns]
    st.dataframe(
        rows.assign(
            **{
                SCORED_AT: pd.to_datetime(rows[SCORED_AT], unit="s", utc=True),
                SOURCE: rows[SOURCE].map(lambda name: SOURCES.get(name, name)),
                ALIAS: rows[ALIAS].where(~rows[IS_SHADOW], "shadow"),
                IS_SAMPLE: rows[IS_SAMPLE].map(elements.data_word),
            }
        ),
        hide_index=True,
        height=400,
        column_order=[
            SCORED_AT,
            ROW_KEY,
            PROBABILITY,
            PREDICTED,
            LABEL,
            VERSION,
            IS_SAMPLE,
            ALIAS,
            SOURCE,
            LATENCY,
            *inputs,
            PREDICTION_ID,
        ],
        column_config={
            SCORED_AT: st.column_config.DatetimeColumn(_("Time"), format="YYYY-MM-DD HH:mm:ss"),
            ROW_KEY: spec.id,
            PROBABILITY: st.column_config.ProgressColumn(
                _("Probability of {positive}", positive=spec.positive),
                min_value=0,
                max_value=1,
                format="percent",
            ),
            PREDICTED: _("Predicted label"),
            LABEL: _("Actual label"),
            VERSION: _("Version"),
            IS_SAMPLE: _("Data"),
            ALIAS: _("As"),
            SOURCE: _("Source"),
            LATENCY: st.column_config.NumberColumn(_("Answered in (ms)"), format="%.1f"),
            PREDICTION_ID: st.column_config.TextColumn(_("Prediction id"), width="large"),
        },
    )


def to_keep(chosen: predictions.Filters) -> pd.DataFrame:
    rows = predictions.browse(settings, chosen, limit=FILE_ROWS)
    times = pd.to_datetime(rows[SCORED_AT], unit="s", utc=True)
    named = {SCORED_AT: times.dt.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return rows.assign(**named).drop(columns=[REQUEST, POSITION])


def history(row: pd.Series) -> None:
    """Show the origin of a prediction, and the history of its label."""
    with st.container(border=True):
        st.markdown(
            _(
                "**{value}**  \nVersion {value_2} said {value_3:.1%} on {value_4}.",
                value=row[PREDICTION_ID],
                value_2=elements.plain(row[VERSION]),
                value_3=row[PROBABILITY],
                value_4=moment(row[SCORED_AT]),
            )
            + elements.sample_mark(row[IS_SAMPLE])
        )
        if row[RUN_ID]:
            elements.run_link(row[RUN_ID], _("Scored by"))
        reports = labels.history(
            settings,
            prediction_id=row[PREDICTION_ID],
            key=row[ROW_KEY],
            is_sample=bool(row[IS_SAMPLE]),
        )
        if not reports:
            st.caption(_("No label was reported yet."))
            return
        st.table(
            pd.DataFrame(
                {
                    "Received": [moment(report.received_at) for report in reports],
                    "Label": [
                        spec.positive if report.label else spec.negative for report in reports
                    ],
                    "Known since": [moment(report.labelled_at) for report in reports],
                    "From": [
                        elements.plain(SOURCES.get(report.source, report.source))
                        for report in reports
                    ],
                    "What it did": [
                        f"{OUTCOMES[report.outcome][0]}: {OUTCOMES[report.outcome][1]}"
                        for report in reports
                    ],
                    "Named by": [
                        _("prediction id") if report.name == row[PREDICTION_ID] else spec.id
                        for report in reports
                    ],
                }
            ),
            hide_index=True,
        )


def side_by_side() -> None:
    pairs = predictions.pairs(settings)
    if pairs.empty:
        return
    champion, challenger = pairs[["champion_version", "challenger_version"]].iloc[0]
    st.subheader(_("Champion and challenger on the same requests"), anchor=False)
    st.caption(
        _(
            "The newest {pairs:,} rows that version {champion} answered and version "
            "{challenger} answered in its shadow. Nobody was sent the shadow's answers.",
            pairs=len(pairs),
            champion=champion,
            challenger=challenger,
        )
    )
    summary = agreement.agreement(pairs)
    elements.figures(
        [
            (
                _("Mean difference"),
                _("{value:+.2f} points", value=100 * summary.difference),
                _("challenger minus champion, in percent"),
            ),
            (
                _("Mean distance"),
                _("{value:.2f} points", value=100 * summary.distance),
                _("whichever is higher"),
            ),
            (
                _("Labels that differ"),
                f"{summary.labels_differ:.1%}",
                _("of {rows:,} rows", rows=summary.rows),
            ),
        ]
    )
    with st.container(width=elements.HALF_WIDTH):
        elements.chart(agreement.agreement_chart(pairs))
    st.caption(_("On the dashed line both say the same."))


def by_file(tallies: list[predictions.Tally]) -> None:
    st.subheader(_("Labels"), anchor=False)
    names = label.fields(spec)
    files = uploads.ask(
        settings,
        _(
            "CSV or parquet file with the column {value} or {id}, and {target} or {value_2}",
            value=names[PREDICTION_ID],
            id=spec.id,
            target=spec.target,
            value_2=names[LABEL],
        ),
        "labels",
        types=["csv", "parquet"],
    )
    st.caption(
        _(
            "Labels may come in any order, late, and before their predictions; the same "
            "file again changes nothing. A column {value} says when each label was found "
            "out: the newest is the last word, and the time of arrival counts where there "
            "is none.",
            value=names[LABELLED_AT],
        )
    )
    staged = files[0] if files else None
    written = preview(staged) if staged else {}
    data = whose_keys(tallies)
    if st.button(
        _("Take labels in"),
        type="primary",
        icon=":material/new_label:",
        key="take",
        disabled=written is None,
    ):
        if staged is None:
            st.error(_("No file is chosen yet. Drop one above."))
        else:
            values = {"upload": staged.model_dump(), "data": data, **written}
            elements.submit(settings, "label", label.Options, **values)
    going = elements.job_panel(settings, "label")
    elements.wait_for_store()
    last = tracking.last_run(settings, "label")
    # the previous file's result would be misread as that of the file being imported
    if last is not None and not going:
        outcome(last)


def whose_keys(tallies: list[predictions.Tally]) -> str | None:
    """Ask for the data source of a file's keys if the log holds both; None if it holds one."""
    if len({tally.is_sample for tally in tallies}) < 2:
        return None
    kinds = {"real": _("Real rows"), "sample": _("Sample rows")}
    return st.segmented_control(
        _("Whose rows does a {id} name?", id=spec.id),
        list(kinds),
        format_func=kinds.__getitem__,
        default="real",
        required=True,
        key="whose-keys",
        help=_(
            "A key names a row within its own data only: labels of real rows never go to "
            "predictions of the built-in sample. A prediction_id names its prediction "
            "without that."
        ),
    )


def preview(staged: storage.Upload) -> dict | None:
    def read(given):
        return csv_format.inspect(settings, staged.stored, staged.name, given)

    return csv_format.preview("labels", [(staged.name, read)])


def outcome(run: tracking.RunInfo) -> None:
    st.markdown(
        _(
            "**Last file:** {file}, {rows:,.0f} rows, {value}",
            file=elements.plain(run.params["file"]),
            rows=run.metrics["rows"],
            value=elements.ago(run.ended or run.started),
        )
        + elements.sample_mark(run.is_sample)
    )
    elements.figures(
        [
            (title, f"{run.metrics[f'labels_{name}']:,.0f}", note)
            for name, (title, note) in OUTCOMES.items()
        ]
    )
    elements.run_link(run.run_id, "RecepcaoRotulos")
    rejected = elements.table(settings, settings.mlflow_uri, run.run_id, "rejected")
    if len(rejected):
        with st.expander(
            _("Rows that could not be used ({rejected:,})", rejected=len(rejected)), expanded=True
        ):
            st.dataframe(
                rejected,
                hide_index=True,
                column_config={"row": _("Row of the file"), "reason": _("Why")},
            )
            st.download_button(
                _("Rejected rows (CSV)"),
                lambda: export.csv(rejected),
                file_name="rejected.csv",
                icon=":material/download:",
                on_click="ignore",
            )


elements.header(
    Message("Predictions"),
    Message(
        "Every answer of a served model is kept here: what was asked, what was said, "
        "by which version, and what it turned out to be."
    ),
)
with elements.show_errors():
    tallies = predictions.tallies(settings)
    log_state()
    set_aside_list.draw(settings, "predictions", "labels")
    if tallies:
        figures(tallies)
        gaps()
        newest(tallies)
        side_by_side()
    else:
        gaps()
        st.info(
            Message(
                "Nothing was predicted yet. Serve a model, then score rows or call it yourself."
            )
        )
        st.page_link(
            "pages/serve/page.py", label=Message("Go to Serve"), icon=":material/arrow_forward:"
        )
with elements.show_errors():
    by_file(predictions.tallies(settings))
code_snippets.panel(settings, "label")
