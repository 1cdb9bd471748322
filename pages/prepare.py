"""Prepare: bring data in, and make a train and a test set of it."""

import streamlit as st

from core.adapters import storage, tracking
from core.logic import court, data_charts
from core.steps import acquire, prepare
from pages import _parts

settings, spec = _parts.open_app()
SOURCES = {
    "sample": "Built-in sample",
    "folder": "Folder on this machine",
    "upload": "Upload files",
}


def acquire_form() -> None:
    there = {"sample": spec.sample, "folder": settings.raw_dir, "upload": True}
    offered = [name for name in SOURCES if there[name]]
    source = st.segmented_control(
        "Source",
        offered,
        format_func=SOURCES.__getitem__,
        default="folder" if settings.raw_dir else offered[0],
        required=True,
        key="source",
    )
    files = []
    if source == "sample" and spec.sample is not None:
        st.caption(f"{spec.sample.about} Every figure that comes from them is marked.")
    elif source == "folder":
        st.caption(f"All CSV and parquet files in {settings.raw_dir}, set by COURTSIDE_RAW_DIR.")
    else:
        files = st.file_uploader(
            "CSV or parquet files with the project's columns",
            type=["csv", "parquet"],
            accept_multiple_files=True,
            max_upload_size=settings.upload_limit_mb,
            key="files",
        )
    if st.button("Acquire", type="primary", icon=":material/download:", key="acquire"):
        with _parts.told():
            uploads = [
                storage.stage_upload(settings, file.name, file.getvalue()).model_dump()
                for file in files
            ]
            if source == "upload" and not uploads:
                st.error("No file is chosen yet. Drop one or several files above.")
            else:
                _parts.submit(settings, "acquire", acquire.Options, source=source, uploads=uploads)
    _parts.job_panel(settings, "acquire")


def raw_state(snapshot: storage.Snapshot) -> None:
    _parts.wait_for_store()
    run = tracking.run(settings, snapshot.run_id)
    size = sum(file.size for file in snapshot.files)
    labels = f"{run.metrics.get('labels_missing', 0):,.0f} without label" if run else ""
    _parts.figures(
        [
            ("Rows", f"{snapshot.rows:,}", labels),
            ("Columns", f"{snapshot.columns}", f"{len(spec.columns)} in the project"),
            (
                "Files",
                f"{len(snapshot.files)}",
                f"{size / 1e6:.1f} MB",
            ),
            ("Digest", snapshot.id, _parts.ago(snapshot.acquired_at)),
        ]
    )
    _parts.run_link(snapshot.run_id, "AquisicaoDados")
    if run and run.metrics.get("warnings"):
        for text in _parts.table(settings, settings.mlflow_uri, run.run_id, "warnings")["warning"]:
            st.warning(text)


def prepare_form() -> None:
    with st.form("prepare", border=False):
        left, right = st.columns(2)
        share = left.number_input(
            "Test share", min_value=0.0, max_value=1.0, value=0.20, step=0.05, format="%.2f",
            help="Share of the rows that only judges the model. Drawn at random, with the same "
            "share of each class.",
        )  # fmt: skip
        seed = right.number_input(
            "Seed", min_value=0, max_value=2**32 - 1, value=42, step=1,
            help="The same seed draws the same rows.",
        )  # fmt: skip
        sent = st.form_submit_button("Prepare", type="primary", icon=":material/filter_alt:")
    if sent:
        _parts.submit(settings, "prepare", prepare.Options, test_share=share, seed=int(seed))
    _parts.job_panel(settings, "prepare")


def prepared_state(prepared: storage.Prepared) -> None:
    run = tracking.run(settings, prepared.run_id)
    if run is None:
        st.info("The run that prepared these sets is not in this MLflow store. Prepare again.")
        return
    of, word = run.metrics, spec.positive
    _parts.figures(
        [
            ("Filtered", f"({of['rows_filtered']:.0f}, {of['columns_filtered']:.0f})",
             f"of {of['rows_raw']:,.0f} rows"),
            ("Train", f"{of['rows_train']:,.0f} rows", f"{of['base_rate_train']:.1%} {word}"),
            ("Test", f"{of['rows_test']:,.0f} rows", f"{of['base_rate_test']:.1%} {word}"),
            ("Left out", f"{of['rows_missing'] + of['rows_other']:,.0f} rows",
             f"{of['rows_missing']:,.0f} miss a value, {of['rows_other']:,.0f} another kind"),
        ]
    )  # fmt: skip
    _parts.run_link(prepared.run_id, "PreparacaoDados")
    left, right = _parts.side_by_side()
    store = settings.mlflow_uri
    with left:
        st.markdown("**Classes in each set**")
        balance = _parts.table(settings, store, run.run_id, "class_balance")
        _parts.chart(
            data_charts.class_balance(balance, positive=spec.positive, negative=spec.negative),
        )
    with right:
        st.markdown("**Missing values in the raw rows**")
        missing = _parts.table(settings, store, run.run_id, "missing")
        if missing["missing"].any():
            _parts.chart(
                data_charts.missing_bars(missing[missing["missing"] > 0], rows=int(of["rows_raw"])),
            )
        else:
            st.caption("None.")


def court_chart(snapshot: storage.Snapshot, title: str) -> None:
    run = tracking.run(settings, snapshot.run_id)
    if run is None:
        st.info("The run that acquired these rows is not in this MLflow store. Acquire again.")
        return
    st.markdown(f"**{title}, all raw rows**")
    bins = _parts.table(settings, settings.mlflow_uri, run.run_id, "court_bins")
    drawn = court.shot_chart(bins, run.metrics.get("base_rate_raw"))
    st.altair_chart(drawn, width="content")
    st.caption(
        "Each hexagon gathers the rows from there: its size says how many, its colour how often "
        f"they were {spec.positive}, against the average of all rows with a label."
    )
    _parts.run_link(snapshot.run_id, "AquisicaoDados")


def rates(prepared: storage.Prepared) -> None:
    run = tracking.run(settings, prepared.run_id)
    if run is None:
        return
    st.markdown(f"**How often they were {spec.positive}, training set**")
    chosen = st.selectbox("By", spec.features, key="by")
    table = _parts.table(settings, settings.mlflow_uri, run.run_id, f"rate_{chosen}")
    _parts.chart(
        data_charts.make_rate_by(
            table,
            chosen,
            axis_title=spec.columns[chosen].about,
            average=run.metrics["base_rate_train"],
            rate_title=f"Share {spec.positive}",
        )
    )
    st.caption("Points with their 95% interval; values with fewer than 20 rows are left out.")
    _parts.run_link(run.run_id, "PreparacaoDados")


snapshot = prepared = None
with _parts.told():
    snapshot, prepared = storage.current_raw(settings), storage.current_prepared(settings)
_parts.header(
    "Prepare",
    f"Bring in raw data, keep the complete {spec.rows.development_name}, and set some aside to "
    "test the model on.",
    is_sample=any(found and found.is_sample for found in (snapshot, prepared)),
)
with _parts.told():
    st.subheader("1. Raw data", anchor=False)
    acquire_form()
    if snapshot is None:
        st.info("No raw data yet. Choose a source and press Acquire.")
        st.stop()
    raw_state(snapshot)

    st.subheader("2. Train and test set", anchor=False)
    prepare_form()
    if prepared is None:
        st.info("Nothing prepared yet. By default 20% of the rows are set aside as test set.")
    else:
        if prepared.snapshot != snapshot.id:
            st.warning("The raw data changed since these sets were made. Prepare again.")
        prepared_state(prepared)

    st.subheader("3. A first look", anchor=False)
    left, right = _parts.side_by_side()
    if spec.court is not None:
        with left:
            court_chart(snapshot, spec.court.title)
    if prepared is not None:
        with right if spec.court is not None else left:
            rates(prepared)
