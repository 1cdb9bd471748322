"""Score: send rows to the served model, and see what it answers."""

from core.adapters import predictions, server, tracking
from core.errors import NotReadyError
from core.steps import score
from pages import _glass, _parts, _production, _score_file, _scored, _shot
from pages._bilingual import st

settings, spec = _parts.open_app()
SOURCES = {
    "production": spec.rows.production_name.capitalize(),
    "row": "One row" if spec.court is None else "On the court",
    "upload": "A file",
    "path": "A path",
}
# what the predictions log calls a source
LOGGED = {"page": "row", "file": "upload"}
HISTORY = 50


def form(ready: list[server.Server]) -> str | None:
    """Ask what to score; returns the run whose map stands on the court."""
    ports = {one.port: f"{one.name} on port {one.port}" for one in ready}
    port = st.selectbox("Served model", list(ports), format_func=ports.__getitem__, key="port")
    one = next(found for found in ready if found.port == port)
    source = st.segmented_control(
        "Rows", list(SOURCES), format_func=SOURCES.__getitem__, default="production",
        required=True, key="rows",
    )  # fmt: skip
    drawn = None
    with _parts.told():
        if source == "production":
            _production.ask(settings, spec, one)
        elif source == "row":
            drawn = _shot.ask(settings, spec, one)
        elif source == "upload":
            _score_file.ask_upload(settings, spec, one)
        else:
            _score_file.ask_path(settings, spec, one)
    if not _parts.job_panel(settings, "score"):
        _score_file.resume(settings)
    return drawn


def chosen(last: tracking.RunInfo) -> tracking.RunInfo:
    """Return the scoring to look at: the newest, or an earlier one that is chosen."""
    kept: list[predictions.Scoring] = []
    with _parts.told():
        kept = predictions.scorings(settings, limit=HISTORY)
    told = {
        one.run_id: f"{SOURCES.get(LOGGED.get(one.source, one.source), one.source)}: "
        f"{one.rows:,} row{'s' * (one.rows != 1)}, version {one.version}, "
        f"{_parts.ago(one.scored_at)}"
        for one in kept
    }
    told.setdefault(last.run_id, "The last one")
    if len(told) == 1:
        return last
    run_id = st.selectbox(
        "Scoring", list(told), index=list(told).index(last.run_id), format_func=told.__getitem__,
        # a new scoring is shown at once, whatever was chosen before
        key=f"scoring-{last.run_id}",
    )  # fmt: skip
    found = last if run_id == last.run_id else tracking.run(settings, run_id)
    if found is None:
        st.warning("The run of this scoring is gone. The last one is shown.")
        return last
    return found


def result(run: tracking.RunInfo, drawn: str | None) -> None:
    source = run.params["source"]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"{SOURCES[source]}, scored by version {run.params['version']}, "
            f"{_parts.ago(run.ended or run.started)}",
            width="content",
        )
        if run.is_sample:
            _parts.sample_badge()
    if source != "row":
        _scored.show(settings, spec, run)
        return
    name = score.output_name(source, run.run_id, is_sample=run.is_sample)
    try:
        path = tracking.artifact(settings, run.run_id, f"files/{name}.parquet")
    except NotReadyError:
        st.warning("The answer of this scoring is gone from its run.")
        return
    _shot.show(settings, spec, run, _scored.read(str(path)), drawn)


with _parts.told():
    _parts.header(
        "Score",
        "Send rows to the served model. What it answers is kept, with the version that said it.",
    )
    ready = _parts.ready_servers(settings)
    _parts.wait_for_store()
    drawn = None
    if ready:
        drawn = form(ready)
    else:
        st.info("No model is served now. Start one first.")
        st.page_link("pages/serve.py", label="Go to Serve", icon=":material/arrow_forward:")
    last = tracking.last_run(settings, "score")
    if last is not None:
        st.subheader("Scorings", anchor=False)
        result(chosen(last), drawn)
    elif ready:
        st.info("Nothing scored yet. Choose rows and press Score.")
_glass.panel(settings, "score")
