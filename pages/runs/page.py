"""Runs: every run of a step, with all that it recorded."""

from datetime import datetime

import pandas as pd
import streamlit as st

from core.jobs import jobs
from core.platform import steps, tracking
from core.platform.messages import Message, _, day, n_, number
from core.serving import mlflow_ui
from pages.shared import code_snippets, elements

settings, spec = elements.open_app()
STATUSES = {
    # of runs
    "FINISHED": Message("finished"),
    "FAILED": Message("failed"),
    "RUNNING": Message("running"),
    "KILLED": Message("cancelled"),
    # of jobs
    "queued": Message("queued"),
    "running": Message("running"),
    "done": Message("done"),
    "failed": Message("failed"),
    "cancelled": Message("cancelled"),
}
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
        label = _("Open this run in MLflow") if run else _("Open MLflow")
        with st.container(horizontal=True):
            st.link_button(label, url, icon=":material/open_in_new:")
            if not settings.mlflow_uri.startswith("http"):
                st.button(_("Stop MLflow's own pages"), on_click=stop_mlflow)
    elif mlflow_ui.starting(settings):
        st.caption(_(":material/hourglass_top: MLflow is starting (about 10 s)"))
    else:
        st.button(
            _("Start MLflow's own pages"),
            icon=":material/play_arrow:",
            on_click=start_mlflow,
            help=_("They show the same runs, on 127.0.0.1."),
        )


def when(moment: float) -> datetime:
    return datetime.fromtimestamp(moment).replace(microsecond=0)


def status(code: str) -> str:
    return str(STATUSES.get(code, code.lower()))


def listing() -> None:
    step = st.pills(
        _("Step"), list(steps.RUN_NAMES), key="step", format_func=lambda name: steps.RUN_NAMES[name]
    )
    runs = tracking.runs(settings, step=step, limit=200)
    if not runs:
        st.info(_("There are no runs yet. The steps of the other pages are listed here."))
        return
    frame = pd.DataFrame(
        [
            {
                "status": status(run.status),
                "name": elements.words(run.name),
                "data": elements.data_word(True) if run.is_sample else "",
                "started": when(run.started),
                "seconds": run.ended - run.started if run.ended else None,
                "error": elements.words(run.error),
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
            "status": st.column_config.TextColumn(_("Status"), width="small"),
            "name": _("Run"),
            "data": _("Data"),
            "started": st.column_config.DatetimeColumn(_("Started"), format="YYYY-MM-DD HH:mm:ss"),
            "seconds": st.column_config.NumberColumn(_("Seconds"), format="%.1f"),
            "error": _("Error"),
            "run_id": _("Run id"),
        },
    )
    if chosen["selection"]["rows"]:
        st.query_params["run"] = frame["run_id"][chosen["selection"]["rows"][0]]
        st.rerun()
    st.caption(
        n_(
            "The newest run. Click the box before it to open it.",
            "The newest {count} runs. Click the box before a run to open it.",
            len(runs),
        )
    )


def details(run: tracking.RunInfo) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{elements.words(run.name)} {run.run_id[:8]}", anchor=False, width="content")
        st.badge(status(run.status), color=COLOURS.get(run.status, "gray"))
        if run.is_sample:
            elements.sample_badge()
    started = _("Started {moment}", moment=day(when(run.started)))
    seconds = f", {number(run.ended - run.started, '.1f')} s" if run.ended else ""
    commit = _("commit {commit}", commit=run.git_commit[:10] if run.git_commit else "–")
    st.caption(f"{started}{seconds} · {commit} · id {run.run_id}")
    if run.error:
        st.error(elements.plain(elements.words(run.error)))
    mlflow_pages(run)
    if run.parent:
        elements.run_link(run.parent, _("Parent run"))
    for child in tracking.runs(settings, parent=run.run_id):
        elements.run_link(child.run_id, elements.words(child.name))
    left, right = st.columns(2)
    with left:
        st.markdown(_("**Metrics**"))
        pairs({name: number(value, ",.6g") for name, value in run.metrics.items()}, _("Metric"))
    with right:
        st.markdown(_("**Parameters**"))
        pairs(run.params, _("Parameter"))
    with st.expander(_("Tags")):
        own = {name: text for name, text in run.tags.items() if not name.startswith("mlflow.log-")}
        pairs(own, _("Tag"))
    kept = tracking.artifacts(settings, run.run_id)
    tables = [
        path.split("/")[1].removesuffix(".parquet") for path in kept if path.startswith("tables/")
    ]
    with st.expander(_("Artifacts ({number})", number=len(kept)), expanded=bool(tables)):
        if tables:
            name = st.selectbox(_("Table"), tables, key=f"table-{run.run_id}")
            first = elements.table(settings, settings.mlflow_uri, run.run_id, name).head(1000)
            st.dataframe(first.map(in_words))
        st.code("\n".join(kept) or _("None."), language=None)


def in_words(cell):
    """Return a cell as it is, or the words of a message that was stored in it."""
    return elements.words(cell) if isinstance(cell, str) else cell


def pairs(values, title: str) -> None:
    if not values:
        st.caption(_("None."))
        return
    frame = pd.DataFrame(sorted(values.items()), columns=["name", "value"])
    frame["value"] = frame["value"].map(in_words)
    st.dataframe(frame, hide_index=True, column_config={"name": title, "value": _("Value")})


def job_table() -> None:
    newest = jobs.latest(settings, limit=20)
    if not newest:
        return
    with st.expander(_("Background jobs")):
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "step": job.step,
                        "status": status(job.status),
                        "text": elements.words(job.error or job.text),
                        "created": when(job.created),
                        "seconds": job.ended - job.started if job.ended and job.started else None,
                        "run": job.run_id,
                    }
                    for job in newest
                ]
            ),
            hide_index=True,
            column_config={
                "step": _("Step"),
                "status": _("Status"),
                "text": _("Message"),
                "created": _("Created"),
                "seconds": _("Seconds"),
                "run": _("Run"),
            },
        )


elements.header(
    _("Runs"),
    _("Every step is a run in the MLflow store, with its parameters, metrics, tables and files."),
)
with elements.show_errors():
    elements.wait_for_store()
    asked = st.query_params.get("run")
    run = tracking.run(settings, asked) if asked else None
    if asked:
        st.page_link("pages/runs/page.py", label=_("All runs"), icon=":material/arrow_back:")
    if asked and run is None:
        st.error(_("There is no run {run} in this store.", run=asked[:32]))
    if run is not None:
        details(run)
    else:
        mlflow_pages(None)
        listing()
        job_table()
code_snippets.panel(settings, "runs")
