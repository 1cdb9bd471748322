"""Predictions: what was predicted, for whom, and the true labels."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta

import pandas as pd
import streamlit as st

from core.platform import project, storage, tracking
from core.platform import table_files as export
from core.platform.messages import Message, _, day, listed, n_, number, plural, sentences
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
from pages.shared import (
    aliases,
    code_snippets,
    csv_format,
    drafts,
    elements,
    set_aside_list,
    uploads,
)

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
    "production": str(project.words(spec.rows.production_name)).capitalize(),
    "file": _("File"),
    "upload": _("File"),
    "page": _("Page"),
    "row": _("One row"),
    "api": _("API"),
}
CLASSES = {1: str(project.words(spec.positive)), 0: str(project.words(spec.negative))}
# texts for coded reasons of a gap
GAPS = {
    gap_journal.ENDED: Message(
        "The endpoint ended while the log was down; at least this many rows were waiting."
    )
}
# code of a filter -> its name and its value
TIMES: dict[str, tuple[Message, int | None]] = {
    "all": (Message("All"), None),
    "hour": (Message("Last hour"), 3600),
    "day": (Message("Last day"), DAY),
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
    "real": (Message("Real rows"), False),
    "sample": (Message("Sample rows"), True),
}
OUTCOMES = {
    "new": (Message("New"), Message("had no label before")),
    "repeated": (Message("Repeated"), Message("known already")),
    "changed": (Message("Changed"), Message("replaced an older label")),
    "outdated": (Message("Outdated"), Message("a newer label is kept")),
    "unmatched": (Message("Unmatched"), Message("of predictions not in the log yet; kept")),
    "rejected": (Message("Rejected"), Message("could not be used")),
}


def figures(tallies: list[predictions.Tally]) -> None:
    answers = [tally for tally in tallies if not tally.is_shadow]
    rows, known = sum(tally.rows for tally in answers), sum(tally.labels for tally in answers)
    shadows = sum(tally.rows for tally in tallies if tally.is_shadow)
    latest: dict[str, int] = {}
    for source, count in predictions.by_source(settings, time.time() - DAY).items():
        kind = "file" if source == "upload" else source
        latest[kind] = latest.get(kind, 0) + count
    by_source = listed(
        [f"{SOURCES.get(kind, kind)} {number(count)}" for kind, count in latest.items()], "unit"
    )
    since = min((tally.first_at for tally in answers), default=None)
    shown = [
        (
            _("Predictions"),
            number(rows),
            _("since {day}", day=datetime.fromtimestamp(since).date()) if since else "",
        ),
        (
            _("With label"),
            number(known),
            _("{share:.1%} of them", share=known / rows) if rows else "",
        ),
        (_("Last 24 hours"), number(sum(latest.values())), by_source),
    ]
    made_up = sum(tally.rows for tally in answers if tally.is_sample)
    if made_up:
        shown.append((_("Of the sample"), number(made_up), str(elements.SAMPLE)))
    if shadows:
        shown.append((_("Shadow answers"), number(shadows), _("of a challenger, sent to nobody")))
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
        behind = Message("**The predictions log cannot be written.**")
        if state.since:
            behind = Message(
                "**The predictions log has not been writable for {time}.**",
                time=elements.length(time.time() - state.since),
            )
        waiting = plural(
            "Requests are still answered; {count:,} row waits to be written.",
            "Requests are still answered; {count:,} rows wait to be written.",
            state.waiting,
        )
        lost = plural(
            "{count:,} row did not fit and is lost.",
            "{count:,} rows did not fit and are lost.",
            state.lost,
        )
        reason = elements.plain(elements.words(state.reason))
        st.warning(str(sentences(behind, reason, waiting, lost if state.lost else "")))


def gaps() -> None:
    log_gaps = predictions.gaps(settings)
    if not log_gaps:
        return
    lost = sum(gap.rows for gap in log_gaps)
    st.warning(
        n_(
            "**{count:,} prediction is missing in the log.** It was answered while the log could "
            "not be written; metrics exclude it.",
            "**{count:,} predictions are missing in the log.** They were answered while the log "
            "could not be written; metrics exclude them.",
            lost,
        )
    )
    with st.expander(_("Gaps ({gaps:,})", gaps=len(log_gaps))):
        st.table(
            pd.DataFrame(
                {
                    _("From"): [moment(gap.begun) for gap in log_gaps],
                    _("To"): [moment(gap.ended) for gap in log_gaps],
                    _("Rows missing"): [number(gap.rows) for gap in log_gaps],
                    _("Why"): [
                        elements.plain(elements.words(GAPS.get(gap.reason, gap.reason)))
                        for gap in log_gaps
                    ],
                }
            ),
            hide_index=True,
        )


def moment(at: float) -> str:
    return day(datetime.fromtimestamp(at))


def filters(tallies: list[predictions.Tally]) -> predictions.Filters:
    search = st.text_input(
        _("Search"),
        key="search",
        placeholder=_("A prediction id, a request id, or a {key}", key=spec.id),
    )
    with st.container(horizontal=True):
        when = choice(_("Time"), TIMES, "when")
        since, until = None, None
        if seconds := TIMES[when][1]:
            # rounded to the minute: otherwise every rerun would be another query
            since = time.time() // 60 * 60 - seconds
        elif when == "days":
            today = datetime.now().date()
            days = st.date_input(
                _("From, to"), (today - timedelta(6), today), key="days", width=230
            )
            if len(days) == 2:
                begin, end = (datetime.combine(date, datetime.min.time()) for date in days)
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
        who = choice(_("Answers"), WHO, "who", width=170)
        known = choice(_("Label"), KNOWN, "known")
        data = "all"
        if any(tally.is_sample for tally in tallies):
            data = choice(_("Data"), DATA, "data")
        low, high = st.slider(_("Probability"), 0.0, 1.0, (0.0, 1.0), 0.01, key="range", width=220)
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


def choice(
    label: str, options: Mapping[str, tuple[Message, object]], key: str, width: int = 150
) -> str:
    """Draw a filter, and return the code of its selection."""
    return st.selectbox(
        label, list(options), format_func=lambda code: str(options[code][0]), key=key, width=width
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
        st.info(_("No predictions match. Change the filters."))
        return
    total = predictions.count(settings, chosen, at_most=FILE_ROWS + 1)
    first = len(pages) * PAGE_ROWS + 1
    of = number(total) if total != FILE_ROWS + 1 else _("more than {rows:,}", rows=FILE_ROWS)
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
            _("{first:,} to {last:,} of {all}", first=first, last=first + len(rows) - 1, all=of),
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
        st.caption(_("The files hold the newest {rows:,} predictions that match.", rows=FILE_ROWS))
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
                ALIAS: [
                    called(alias, is_shadow=is_shadow)
                    for alias, is_shadow in zip(rows[ALIAS], rows[IS_SHADOW], strict=True)
                ],
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
                _("Probability of {positive}", positive=CLASSES[1]),
                min_value=0,
                max_value=1,
                format="percent",
            ),
            PREDICTED: _("Predicted label"),
            LABEL: _("Actual label"),
            VERSION: _("Version"),
            IS_SAMPLE: _("Data"),
            ALIAS: _("Alias"),
            SOURCE: _("Source"),
            LATENCY: st.column_config.NumberColumn(_("Answered in (ms)"), format="%.1f"),
            PREDICTION_ID: st.column_config.TextColumn(_("Prediction id"), width="large"),
        },
    )


def called(alias: object, *, is_shadow: bool) -> str | None:
    """Return in which role a version answered, in words."""
    if is_shadow:
        return _("shadow")
    return aliases.words(alias) if isinstance(alias, str) else None


def to_keep(chosen: predictions.Filters) -> pd.DataFrame:
    rows = predictions.browse(settings, chosen, limit=FILE_ROWS)
    times = pd.to_datetime(rows[SCORED_AT], unit="s", utc=True)
    named = {SCORED_AT: times.dt.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return rows.assign(**named).drop(columns=[REQUEST, POSITION])


def history(row: pd.Series) -> None:
    """Show the origin of a prediction, and the history of its label."""
    with st.container(border=True):
        st.markdown(
            f"**{row[PREDICTION_ID]}**  \n"
            + _(
                "Version {version} predicted {probability:.1%} on {when}.",
                version=elements.plain(row[VERSION]),
                probability=row[PROBABILITY],
                when=moment(row[SCORED_AT]),
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
            st.caption(_("No label yet."))
            return
        st.table(
            pd.DataFrame(
                {
                    _("Received"): [moment(report.received_at) for report in reports],
                    _("Label"): [CLASSES[int(report.label)] for report in reports],
                    _("Known since"): [moment(report.labelled_at) for report in reports],
                    _("Source"): [
                        elements.plain(SOURCES.get(report.source, report.source))
                        for report in reports
                    ],
                    _("Effect"): [
                        f"{OUTCOMES[report.outcome][0]}: {OUTCOMES[report.outcome][1]}"
                        for report in reports
                    ],
                    _("Identified by"): [
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
            "The newest {rows:,} rows that version {champion} answered and version {challenger} "
            "scored as its shadow. Shadow answers are sent to nobody.",
            rows=len(pairs),
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
                _("challenger minus champion"),
            ),
            (
                _("Mean absolute difference"),
                _("{value:.2f} points", value=100 * summary.distance),
                _("regardless of sign"),
            ),
            (
                _("Labels that differ"),
                number(summary.labels_differ, ".1%"),
                _("of {rows:,} rows", rows=summary.rows),
            ),
        ]
    )
    with st.container(width=elements.HALF_WIDTH):
        elements.chart(agreement.agreement_chart(pairs))
    st.caption(_("On the dashed line both agree."))


def by_file(tallies: list[predictions.Tally]) -> None:
    st.subheader(_("Labels"), anchor=False)
    names = label.fields(spec)
    files = uploads.ask(
        settings,
        _(
            "CSV or parquet file with the column `{id}` or `{key}`, and `{target}` or `{label}`",
            id=names[PREDICTION_ID],
            key=spec.id,
            target=spec.target,
            label=names[LABEL],
        ),
        "labels",
        types=["csv", "parquet"],
    )
    st.caption(
        _(
            "Labels may arrive late, in any order, or before their predictions; importing a file "
            "twice changes nothing. The newest label counts, by the column `{time}`, or by the "
            "time of arrival without it.",
            time=names[LABELLED_AT],
        )
    )
    staged = files[0] if files else None
    written = preview(staged) if staged else {}
    data = whose_keys(tallies)
    if st.button(
        _("Import labels"),
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
        _("Which rows does {key} identify?", key=spec.id),
        list(kinds),
        format_func=kinds.__getitem__,
        default="real",
        required=True,
        key="whose-keys",
        help=_(
            "A key identifies a row within its own data only: labels of real rows never go to "
            "predictions of the built-in sample. With a prediction_id this does not matter."
        ),
    )


def preview(staged: storage.Upload) -> dict | None:
    def read(given):
        return csv_format.inspect(settings, staged.stored, staged.name, given)

    return csv_format.preview("labels", [(staged.name, read)])


def outcome(run: tracking.RunInfo) -> None:
    st.markdown(
        n_(
            "**Last file:** {file}, {count:,} row, {when}",
            "**Last file:** {file}, {count:,} rows, {when}",
            int(run.metrics["rows"]),
            file=elements.plain(run.params["file"]),
            when=elements.ago(run.ended or run.started),
        )
        + elements.sample_mark(run.is_sample)
    )
    elements.figures(
        [
            (title, number(run.metrics[f"labels_{name}"], ",.0f"), note)
            for name, (title, note) in OUTCOMES.items()
        ]
    )
    elements.run_link(run.run_id, "RecepcaoRotulos")
    stored = elements.table(settings, settings.mlflow_uri, run.run_id, "rejected")
    rejected = stored.assign(reason=stored["reason"].map(elements.words))
    if len(rejected):
        with st.expander(
            _("Rows that could not be used ({rows:,})", rows=len(rejected)), expanded=True
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
    _("Predictions"),
    _(
        "Every prediction of a served model: its inputs, the probability, the version, and the "
        "actual label once it is known."
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
        st.info(_("No predictions yet. Serve a model, then score rows or call its API."))
        st.page_link("pages/serve/page.py", label=_("Go to Serve"), icon=":material/arrow_forward:")
with elements.show_errors():
    by_file(predictions.tallies(settings))
code_snippets.panel(settings, "label")
