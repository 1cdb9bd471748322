"""Predictions: what was answered, to whom, and what became of it."""

import time
from datetime import datetime, timedelta

import pandas as pd

from core.adapters import gateway, labels, predictions, storage, tables, tracking
from core.logic import agreement, export
from core.steps import label
from pages import _glass, _parts
from pages._bilingual import st

settings, spec = _parts.open_app()
PAGE_ROWS, FILE_ROWS = 100, 100_000
DAY = 86_400
SOURCES = {
    "production": spec.rows.production_name.capitalize(),
    "file": "File",
    "upload": "File",
    "page": "Page",
    "row": "One row",
    "api": "API",
}
TIMES = {"All": None, "Last hour": 3600, "Last day": DAY, "Last 7 days": 7 * DAY, "Days": 0}
WHO = {"All": None, "Answers": False, "Shadow answers": True}
KNOWN = {"All": None, "With label": True, "Without label": False}
OUTCOMES = {
    "new": ("New", "had no label before"),
    "repeated": ("Repeated", "known already"),
    "changed": ("Changed", "replaced an older label"),
    "outdated": ("Outdated", "a newer label stays"),
    "unmatched": ("Unmatched", "of predictions not in the log yet; kept"),
    "rejected": ("Rejected", "could not be used"),
}


def figures(found: list[predictions.Tally]) -> None:
    answers = [one for one in found if not one.is_shadow]
    rows, known = sum(one.rows for one in answers), sum(one.labels for one in answers)
    shadows = sum(one.rows for one in found if one.is_shadow)
    day: dict[str, int] = {}
    for source, count in predictions.by_source(settings, time.time() - DAY).items():
        name = SOURCES.get(source, source)
        day[name] = day.get(name, 0) + count
    by_source = ", ".join(f"{name} {count:,}" for name, count in day.items())
    since = min((one.first_at for one in answers), default=None)
    shown = [
        ("Predictions", f"{rows:,}", f"since {moment(since)[:10]}" if since else ""),
        ("With label", f"{known:,}", f"{known / rows:.1%} of them" if rows else ""),
        ("Last 24 hours", f"{sum(day.values()):,}", by_source or "none asked for"),
    ]
    if shadows:
        shown.append(("Shadow answers", f"{shadows:,}", "of a challenger, only recorded"))
    _parts.figures(shown)


@st.fragment(run_every=10)
@_parts.told()
def log_state() -> None:
    """Tell whether the live gateway can write the log now."""
    live = next((one for one in _parts.ready_servers(settings) if one.is_live), None)
    found = gateway.status(live.port) if live else None
    if found is None:
        return
    state = found.log
    if not state.ok:
        st.warning(
            f"**The log is behind{f', since {_parts.ago(state.since)}' if state.since else ''}.** "
            f"{_parts.plain(state.reason or '')} Answers go out all the same; {state.waiting:,} "
            f"rows wait to be written"
            + (f", {state.lost:,} did not fit and are lost." if state.lost else ".")
        )


def gaps() -> None:
    found = predictions.gaps(settings)
    if not found:
        return
    lost = sum(one.rows for one in found)
    st.warning(
        f"**{lost:,} predictions are missing in the log.** They were answered while it could not "
        "be written. Figures of these times are of the other rows."
    )
    with st.expander(f"Gaps ({len(found)})"):
        st.table(
            pd.DataFrame(
                {
                    "From": [moment(one.begun) for one in found],
                    "To": [moment(one.ended) for one in found],
                    "Rows missing": [f"{one.rows:,}" for one in found],
                    "Why": [_parts.plain(one.reason) for one in found],
                }
            ),
            hide_index=True,
        )


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"


def filters(found: list[predictions.Tally]) -> predictions.Filters:
    search = st.text_input(
        "Search", key="search", placeholder=f"A prediction id, a request id, or a {spec.id}"
    )
    with st.container(horizontal=True):
        when = st.selectbox("Time", list(TIMES), key="when", width=150)
        since, until = None, None
        if TIMES[when]:
            # to the minute: else every rerun would ask something else
            since = time.time() // 60 * 60 - TIMES[when]
        elif when == "Days":
            today = datetime.now().date()
            days = st.date_input("From, to", (today - timedelta(6), today), key="days", width=230)
            if len(days) == 2:
                begin, end = (datetime.combine(day, datetime.min.time()) for day in days)
                since, until = begin.timestamp(), (end + timedelta(1)).timestamp()
        sources = sorted({one.source for one in found})
        source = st.selectbox(
            "Source", [None, *sources], key="source", width=150,
            format_func=lambda one: SOURCES.get(one, one) if one else "All",
        )  # fmt: skip
        versions = sorted({one.version for one in found}, key=lambda one: (len(one), one))
        version = st.selectbox(
            "Version", [None, *versions], key="version", width=110,
            format_func=lambda one: one or "All",
        )  # fmt: skip
        who = st.selectbox("Answers", list(WHO), key="who", width=170)
        known = st.selectbox("Label", list(KNOWN), key="known", width=150)
        low, high = st.slider("Probability", 0.0, 1.0, (0.0, 1.0), 0.01, key="range", width=220)
    return predictions.Filters(
        since=since, until=until, source=source, version=version, is_shadow=WHO[who],
        is_labelled=KNOWN[known], low=low, high=high, search=search.strip() or None,
    )  # fmt: skip


def newest(found: list[predictions.Tally]) -> None:
    st.subheader("Newest predictions", anchor=False)
    chosen = filters(found)
    if st.session_state.get("paged") != chosen:
        st.session_state["paged"], st.session_state["pages"] = chosen, []
    pages: list[tuple[int, int]] = st.session_state["pages"]
    rows = predictions.browse(
        settings, chosen, before=pages[-1] if pages else None, limit=PAGE_ROWS
    )
    if rows.empty:
        st.info("No prediction is like that. Choose other filters.")
        return
    total = predictions.count(settings, chosen, at_most=FILE_ROWS + 1)
    first = len(pages) * PAGE_ROWS + 1
    of = f"{total:,}" if total != FILE_ROWS + 1 else f"more than {FILE_ROWS:,}"
    show(rows)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Newer", icon=":material/chevron_left:", disabled=not pages, on_click=back)
        last = (int(rows["request"].iloc[-1]), int(rows["position"].iloc[-1]))
        st.button(
            "Older", icon=":material/chevron_right:", disabled=len(rows) < PAGE_ROWS,
            on_click=forth, args=(last,),
        )  # fmt: skip
        st.caption(f"{first:,} to {first + len(rows) - 1:,} of {of}", width="content")
        st.download_button(
            "CSV", lambda: export.csv(to_keep(chosen)), file_name="predictions.csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Parquet", lambda: to_keep(chosen).to_parquet(index=False),
            file_name="predictions.parquet", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    if total > FILE_ROWS:
        st.caption(f"The files hold the newest {FILE_ROWS:,} of what is filtered.")
    if chosen.search and len(rows) <= 10:
        for _, row in rows.iterrows():
            history(row)


def back() -> None:
    st.session_state["pages"].pop()


def forth(last: tuple[int, int]) -> None:
    st.session_state["pages"].append(last)


def show(rows: pd.DataFrame) -> None:
    inputs = [name for name in rows.columns if name in spec.columns]
    st.dataframe(
        rows.assign(
            time=pd.to_datetime(rows["scored_at"], unit="s", utc=True),
            source=rows["source"].map(lambda one: SOURCES.get(one, one)),
            alias=rows["alias"].where(~rows["is_shadow"], "shadow"),
        ),
        hide_index=True,
        height=400,
        column_order=[
            "time", "row_key", "probability", "predicted", "label", "version", "alias", "source",
            "latency_ms", *inputs, "prediction_id",
        ],
        column_config={
            "time": st.column_config.DatetimeColumn("Time", format="YYYY-MM-DD HH:mm:ss"),
            "row_key": spec.id,
            "probability": st.column_config.ProgressColumn(
                f"Probability of {spec.positive}", min_value=0, max_value=1, format="percent"
            ),
            "predicted": "Predicted label",
            "label": "Actual label",
            "version": "Version",
            "alias": "As",
            "source": "Source",
            "latency_ms": st.column_config.NumberColumn("Answered in (ms)", format="%.1f"),
            "prediction_id": st.column_config.TextColumn("Prediction id", width="large"),
        },
    )  # fmt: skip


def to_keep(chosen: predictions.Filters) -> pd.DataFrame:
    rows = predictions.browse(settings, chosen, limit=FILE_ROWS)
    times = pd.to_datetime(rows["scored_at"], unit="s", utc=True).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return rows.assign(scored_at=times).drop(columns=["request", "position"])


def history(row: pd.Series) -> None:
    """Show where a prediction came from, and all that was said of its label."""
    with st.container(border=True):
        st.markdown(
            f"**{row['prediction_id']}**  \nVersion {_parts.plain(row['version'])} said "
            f"{row['probability']:.1%} on {moment(row['scored_at'])}."
        )
        if row["run_id"]:
            _parts.run_link(row["run_id"], "Scored by")
        said = labels.history(settings, prediction_id=row["prediction_id"], key=row["row_key"])
        if not said:
            st.caption("No label was reported yet.")
            return
        st.table(
            pd.DataFrame(
                {
                    "Received": [moment(one.received_at) for one in said],
                    "Label": [spec.positive if one.label else spec.negative for one in said],
                    "Known since": [moment(one.labelled_at) for one in said],
                    "From": [_parts.plain(SOURCES.get(one.source, one.source)) for one in said],
                    "What it did": [
                        f"{OUTCOMES[one.outcome][0]}: {OUTCOMES[one.outcome][1]}" for one in said
                    ],
                    "Named by": [
                        "prediction id" if one.name == row["prediction_id"] else spec.id
                        for one in said
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
    st.subheader("Champion and challenger on the same requests", anchor=False)
    st.caption(
        f"The newest {len(pairs):,} rows that version {champion} answered and version {challenger} "
        "answered in its shadow. Nobody was sent the shadow's answers."
    )
    found = agreement.agreement(pairs)
    _parts.figures(
        [
            ("Mean difference", f"{100 * found.difference:+.2f} points",
             "challenger minus champion, in percent"),
            ("Mean distance", f"{100 * found.distance:.2f} points", "whichever is higher"),
            ("Labels that differ", f"{found.labels_differ:.1%}", f"of {found.rows:,} rows"),
        ]
    )  # fmt: skip
    with st.container(width=_parts.HALF_WIDTH):
        _parts.chart(agreement.agreement_chart(pairs))
    st.caption("On the dashed line both say the same.")


def by_file() -> None:
    st.subheader("Labels", anchor=False)
    file = st.file_uploader(
        f"CSV or parquet file with the column prediction_id or {spec.id}, and {spec.target} or "
        "label",
        type=["csv", "parquet"], max_upload_size=settings.upload_limit_mb, key="labels",
    )  # fmt: skip
    st.caption(
        "Labels may come in any order, late, and before their predictions; the same file again "
        "changes nothing. A column labelled_at says when each label was found out: the newest is "
        "the last word, and the time of arrival counts where there is none."
    )
    staged = storage.stage_upload(settings, file.name, file.getvalue()) if file else None
    if staged:
        preview(staged)
    if st.button("Take labels in", type="primary", icon=":material/new_label:", key="take"):
        if staged is None:
            st.error("No file is chosen yet. Drop one above.")
        else:
            _parts.submit(settings, "label", label.Options, upload=staged.model_dump())
    _parts.job_panel(settings, "label")
    _parts.wait_for_store()
    last = tracking.last_run(settings, "label")
    if last is not None:
        outcome(last)


def preview(staged: storage.Upload) -> None:
    path = storage.uploaded(settings, staged)
    head, rows = tables.preview(path, staged.name, rows=5)
    st.dataframe(rows, hide_index=True)
    st.caption(f"The first rows of {head.rows:,}.")


def outcome(run: tracking.RunInfo) -> None:
    st.markdown(
        f"**Last file:** {_parts.plain(run.params['file'])}, {run.metrics['rows']:,.0f} rows, "
        f"{_parts.ago(run.ended or run.started)}"
    )
    _parts.figures(
        [
            (title, f"{run.metrics[f'labels_{name}']:,.0f}", note)
            for name, (title, note) in OUTCOMES.items()
        ]
    )
    _parts.run_link(run.run_id, "RecepcaoRotulos")
    rejected = _parts.table(settings, settings.mlflow_uri, run.run_id, "rejected")
    if len(rejected):
        with st.expander(f"Rows that could not be used ({len(rejected):,})", expanded=True):
            st.dataframe(
                rejected, hide_index=True,
                column_config={"row": "Row of the file", "reason": "Why"},
            )  # fmt: skip
            st.download_button(
                "Rejected rows (CSV)", lambda: export.csv(rejected), file_name="rejected.csv",
                icon=":material/download:", on_click="ignore",
            )  # fmt: skip


_parts.header(
    "Predictions",
    "Every answer of a served model is kept here: what was asked, what was said, by which version, "
    "and what it turned out to be.",
)
with _parts.told():
    tallies = predictions.tallies(settings)
    log_state()
    if tallies:
        figures(tallies)
        gaps()
        newest(tallies)
        side_by_side()
    else:
        gaps()
        st.info("Nothing was predicted yet. Serve a model, then score rows or call it yourself.")
        st.page_link("pages/serve.py", label="Go to Serve", icon=":material/arrow_forward:")
with _parts.told():
    by_file()
_glass.panel(settings, "label")
