"""Runs: every run of a step, with all that it recorded."""

from datetime import datetime

import pandas as pd

from core.jobs import jobs
from core.platform import steps, tracking
from core.serving import mlflow_ui
from pages.shared import code_snippets, elements
from pages.shared.bilingual import st

settings, spec = elements.open_app()
COLOURS = {"FINISHED": "green", "FAILED": "red", "RUNNING": "blue"}


def start_mlflow() -> None:
    with elements.show_errors():
        mlflow_ui.start(settings)


def stop_mlflow() -> None:
    with elements.show_errors():
        mlflow_ui.stop(settings)


@st.fragment(run_every=2)
@elements.show_errors()
def mlflow_pages(run: tracking.RunInfo | None) -> None:
    base = mlflow_ui.running(settings)
    if base:
        url = mlflow_ui.run_url(base, run.experiment_id, run.run_id) if run else base
        label = "Open this run in MLflow" if run else "Open MLflow"
        with st.container(horizontal=True):
            st.link_button(label, url, icon=":material/open_in_new:")
            if not settings.mlflow_uri.startswith("http"):
                st.button("Stop MLflow's pages", on_click=stop_mlflow)
    elif mlflow_ui.starting(settings):
        st.caption(":material/hourglass_top: MLflow's pages are starting (about 10 s)")
    else:
        st.button(
            "Start MLflow's pages",
            icon=":material/play_arrow:",
            on_click=start_mlflow,
            help="MLflow's own pages show the same runs, on 127.0.0.1.",
        )


def when(moment: float) -> datetime:
    return datetime.fromtimestamp(moment).replace(microsecond=0)


def listing() -> None:
    step = st.pills(
        "Step", list(steps.RUN_NAMES), key="step", format_func=lambda name: steps.RUN_NAMES[name]
    )
    runs = tracking.runs(settings, step=step, limit=200)
    if not runs:
        st.info("No run yet. Every step you take on the other pages is listed here.")
        return
    frame = pd.DataFrame(
        [
            {
                "status": run.status.lower(),
                "name": run.name,
                "data": "sample" if run.is_sample else "",
                "started": when(run.started),
                "seconds": run.ended - run.started if run.ended else None,
                "error": run.error,
                "run_id": run.run_id,
            }
            for run in runs
        ]
    )
    chosen = st.dataframe(
        frame,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="chosen",
        column_config={
            "status": st.column_config.TextColumn("Status", width="small"),
            "name": "Run",
            "data": "Data",
            "started": st.column_config.DatetimeColumn("Started", format="YYYY-MM-DD HH:mm:ss"),
            "seconds": st.column_config.NumberColumn("Seconds", format="%.1f"),
            "error": "Error",
            "run_id": "Run id",
        },
    )
    if chosen["selection"]["rows"]:
        st.query_params["run"] = frame["run_id"][chosen["selection"]["rows"][0]]
        st.rerun()
    st.caption(f"The newest {len(runs)} runs. Click the box before a run to open it.")


def details(run: tracking.RunInfo) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{run.name} {run.run_id[:8]}", anchor=False, width="content")
        st.badge(run.status.lower(), color=COLOURS.get(run.status, "gray"))
        if run.is_sample:
            elements.sample_badge()
    seconds = f", {run.ended - run.started:.1f} s" if run.ended else ""
    commit = run.git_commit or "unknown"
    st.caption(f"Started {when(run.started)}{seconds} · commit {commit[:10]} · id {run.run_id}")
    if run.error:
        st.error(elements.plain(run.error))
    mlflow_pages(run)
    if run.parent:
        elements.run_link(run.parent, "Parent run")
    for child in tracking.runs(settings, parent=run.run_id):
        elements.run_link(child.run_id, child.name)
    left, right = st.columns(2)
    with left:
        st.markdown("**Metrics**")
        pairs(run.metrics, "Metric")
    with right:
        st.markdown("**Parameters**")
        pairs(run.params, "Parameter")
    with st.expander("Tags"):
        own = {name: text for name, text in run.tags.items() if not name.startswith("mlflow.log-")}
        pairs(own, "Tag")
    kept = tracking.artifacts(settings, run.run_id)
    tables = [
        path.split("/")[1].removesuffix(".parquet") for path in kept if path.startswith("tables/")
    ]
    with st.expander(f"Artifacts ({len(kept)})", expanded=bool(tables)):
        if tables:
            name = st.selectbox("Table", tables, key=f"table-{run.run_id}")
            st.dataframe(elements.table(settings, settings.mlflow_uri, run.run_id, name).head(1000))
        st.code("\n".join(kept) or "None.", language=None)


def pairs(values, name: str) -> None:
    if not values:
        st.caption("None.")
        return
    frame = pd.DataFrame(sorted(values.items()), columns=[name, "Value"])
    if name == "Metric":
        frame["Value"] = frame["Value"].map("{:,.6g}".format)
    st.dataframe(frame, hide_index=True)


def job_table() -> None:
    newest = jobs.latest(settings, limit=20)
    if not newest:
        return
    with st.expander("Background jobs"):
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "step": job.step,
                        "status": job.status,
                        "text": job.error or job.text,
                        "created": when(job.created),
                        "seconds": job.ended - job.started if job.ended and job.started else None,
                        "run": job.run_id,
                    }
                    for job in newest
                ]
            ),
            hide_index=True,
        )


elements.header(
    "Runs",
    "Every step is a run in the MLflow store, with its parameters, metrics, tables and files.",
)
with elements.show_errors():
    elements.wait_for_store()
    asked = st.query_params.get("run")
    run = tracking.run(settings, asked) if asked else None
    if asked:
        st.page_link("pages/runs/page.py", label="All runs", icon=":material/arrow_back:")
    if asked and run is None:
        st.error(f"There is no run {asked[:32]} in this store.")
    if run is not None:
        details(run)
    else:
        mlflow_pages(None)
        listing()
        job_table()
code_snippets.panel(settings, "runs")
