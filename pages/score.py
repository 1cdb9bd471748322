"""Score: send rows to the served model, and see what it answers."""

from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.adapters import server, snapshots, storage, tracking
from core.logic import drift_charts, export, metrics, model_charts
from core.steps import score
from pages import _parts

settings, spec = _parts.open_app()
SHOWN_ROWS = 1000
SOURCES = {"production": "", "upload": "A file", "row": "One row"}
SOURCES["production"] = spec.rows.production_name.capitalize()


def form(ready: list[server.Server], snapshot: snapshots.Snapshot | None) -> None:
    ports = {one.port: f"{one.name} on port {one.port}" for one in ready}
    port = st.selectbox("Served model", list(ports), format_func=ports.__getitem__, key="port")
    source = st.segmented_control(
        "Rows", list(SOURCES), format_func=SOURCES.__getitem__, default="production",
        required=True, key="rows",
    )  # fmt: skip
    with _parts.told():
        if source == "production":
            production(port, snapshot)
        elif source == "upload":
            upload(next(one for one in ready if one.port == port))
        else:
            one_row(next(one for one in ready if one.port == port))
    _parts.job_panel(settings, "score")


def production(port: int, snapshot: snapshots.Snapshot | None) -> None:
    if snapshot is None:
        st.info("There is no raw data yet. Acquire it on the Acquire page first.")
        return
    st.caption(
        f"All rows of the raw data with {spec.rows.column} = {spec.rows.production}, with and "
        "without label."
    )
    if st.button("Score", type="primary", icon=":material/target:", key="score-production"):
        _parts.submit(settings, "score", score.Options, source="production", port=port)


def upload(one: server.Server) -> None:
    inputs = _parts.example_row(settings, one.run_id)
    file = st.file_uploader(
        f"CSV or parquet file with the columns {', '.join(inputs)}",
        type=["csv", "parquet"], max_upload_size=settings.upload_limit_mb, key="file",
    )  # fmt: skip
    st.caption(
        f"A column {spec.target} (0, 1 or empty) is used as label, {spec.id} as key, if they are "
        "there. Other columns are not used."
    )
    if st.button("Score", type="primary", icon=":material/target:", key="score-upload"):
        if file is None:
            st.error("No file is chosen yet. Drop one above.")
            return
        staged = storage.stage_upload(settings, file.name, file.getvalue())
        _parts.submit(
            settings, "score", score.Options,
            source="upload", port=one.port, upload=staged.model_dump(),
        )  # fmt: skip


def one_row(one: server.Server) -> None:
    with st.form("row", border=False):
        columns = st.columns(3)
        usual = _parts.example_row(settings, one.run_id)
        known = _parts.known_texts(settings, one.run_id)
        row = {
            name: field(columns[i % 3], name, value, known.get(name, []))
            for i, (name, value) in enumerate(usual.items())
        }
        sent = st.form_submit_button("Score", type="primary", icon=":material/target:")
    if sent:
        _parts.submit(settings, "score", score.Options, source="row", port=one.port, row=row)


def field(
    place: DeltaGenerator, name: str, usual: float | str | None, known: list[str]
) -> float | str | None:
    """Draw the field of one input, and return what stands in it."""
    column = spec.columns[name]
    if column.is_text:
        # what the test set knows is offered; a new name may be typed where the project allows it
        offered = list(column.categories or known)
        return place.selectbox(
            name, offered, index=offered.index(usual) if usual in offered else None,
            help=column.about, accept_new_options=not column.categories,
            placeholder="Missing",
        )  # fmt: skip
    kind = int if column.type == "integer" else float
    value = place.number_input(
        name,
        min_value=None if column.min is None else kind(column.min),
        max_value=None if column.max is None else kind(column.max),
        value=None if usual is None else kind(usual),
        step=kind(1) if kind is int else 0.001,
        format=None if kind is int else "%.4f",
        help=column.about,
    )
    return None if value is None else float(value)


def result(run: tracking.RunInfo) -> None:
    source, of = run.params["source"], run.metrics
    st.subheader("Last scoring", anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"{SOURCES[source]}, scored by version {run.params['version']}, "
            f"{_parts.ago(run.ended or run.started)}",
            width="content",
        )
        if run.is_sample:
            _parts.sample_badge()
    name = score.output_name(source, run.run_id, is_sample=run.is_sample)
    path = tracking.artifact(settings, run.run_id, f"files/{name}.parquet")
    rows = read(str(path))
    if source == "row":
        word = spec.positive if rows["predicted"].iloc[0] else spec.negative
        _parts.figures(
            [
                ("Probability", f"{rows['probability'].iloc[0]:.1%}", f"of {spec.positive}"),
                ("Label", word, f"from {run_threshold(run):g} on it is {spec.positive}"),
                ("Answered in", f"{of['latency_ms_median']:.0f} ms", "one request"),
            ]
        )
    else:
        figures(run, source)
    _parts.run_link(run.run_id, "PipelineAplicacao")
    if source != "row":
        answers(rows, run)


def run_threshold(run: tracking.RunInfo) -> float:
    return tracking.require_version(settings, run.params["model"], run.params["version"]).threshold


def figures(run: tracking.RunInfo, source: str) -> None:
    of = run.metrics
    trained = tracking.run(settings, run.tags.get("courtside.model_run", ""))
    test = trained.metrics if trained else {}
    positive = of["predicted_positive"]
    rows = [
        (
            "Rows scored",
            f"{of['rows_scored']:,.0f}",
            f"{of['rows_labelled']:,.0f} with label, {of['rows_skipped']:,.0f} skipped",
        ),
        (
            "Mean probability",
            f"{of['probability_mean']:.1%}",
            f"{of[f'base_rate_{source}']:.1%} observed"
            if f"base_rate_{source}" in of
            else f"{positive:,.0f} rows labelled {spec.positive}",
        ),
    ]
    if f"log_loss_{source}" in of:
        base = metrics.base_rate_log_loss(of[f"base_rate_{source}"])
        beside = f"base rate {base:.4f}" if base == base else "one class only, no base rate"
        rows += [
            ("Log loss", f"{of[f'log_loss_{source}']:.4f}", beside),
            (
                "F1",
                _parts.metric_text(of, f"f1_{source}", 3),
                f"{_parts.metric_text(test, 'f1_test', 3)} on the test set",
            ),
            (
                "ROC AUC",
                _parts.metric_text(of, f"roc_auc_{source}", 3),
                f"{_parts.metric_text(test, 'roc_auc_test', 3)} on the test set",
            ),
            (
                "Skill over base rate",
                _parts.metric_text(of, f"skill_{source}", 4),
                f"{_parts.metric_text(test, 'skill_test', 4)} on the test set",
            ),
        ]
    _parts.figures(rows)


def answers(rows, run: tracking.RunInfo) -> None:
    left, right = _parts.side_by_side()
    with left:
        st.markdown("**Probabilities**")
        _parts.chart(
            drift_charts.probability_density(
                rows[["probability"]].assign(set="scored"), threshold=run_threshold(run)
            ),
        )
    known = rows[rows["label"].notna()]
    if len(known):
        with right:
            st.markdown(f"**The {len(known):,} rows with label**")
            table = metrics.confusion(
                known["label"].to_numpy(dtype=int),
                known["probability"].to_numpy(),
                run_threshold(run),
            )
            _parts.chart(
                model_charts.confusion(table, positive=spec.positive, negative=spec.negative),
            )
    inputs = [name for name in rows.columns if name in spec.columns]
    st.markdown("**What the model answered**")
    st.dataframe(
        rows.head(SHOWN_ROWS),
        hide_index=True,
        column_order=["row_key", "probability", "predicted", "label", *inputs],
        column_config={
            "row_key": spec.id,
            "probability": st.column_config.ProgressColumn(
                f"Probability of {spec.positive}", min_value=0, max_value=1, format="percent"
            ),
            "predicted": "Predicted label",
            "label": "Actual label",
        },
    )
    if len(rows) > SHOWN_ROWS:
        st.caption(f"The first {SHOWN_ROWS:,} of {len(rows):,} rows; the files hold all.")
    name = score.output_name(run.params["source"], run.run_id, is_sample=run.is_sample)
    with st.container(horizontal=True):
        st.download_button(
            "CSV", lambda: export.csv(rows), file_name=f"{name}.csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Parquet", lambda: rows.to_parquet(index=False), file_name=f"{name}.parquet",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip


@st.cache_data(show_spinner=False, max_entries=8)
def read(path: str):
    """Return the rows of a scoring; a run's file does not change, so it is read once."""
    return storage.read_output(Path(path))


with _parts.told():
    snapshot = snapshots.current(settings)
    _parts.header(
        "Score",
        "Send rows to the served model. What it answers is kept, with the version that said it.",
    )
    ready = _parts.ready_servers(settings)
    if ready:
        form(ready, snapshot)
    else:
        st.info("No model is served now. Start one first.")
        st.page_link("pages/serve.py", label="Go to Serve", icon=":material/arrow_forward:")
    _parts.wait_for_store()
    last = tracking.last_run(settings, "score")
    if last is not None:
        result(last)
    elif ready:
        st.info("Nothing scored yet. Choose rows and press Score.")
