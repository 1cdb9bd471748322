"""Score: send rows to the served model, and see its predictions."""

import streamlit as st

from core.platform import project, tracking
from core.platform.errors import NotReadyError
from core.platform.messages import _, n_
from core.predictions_log import predictions
from core.scoring import score
from core.serving import server
from pages.score import file_form, production_form, result_view, row_form
from pages.shared import code_snippets, drafts, elements

settings, spec = elements.open_app()
drafts.hold("score", "port", "rows", "path", "destination", "way-*", "keep-*", "column-*", "one-*")
SOURCES = {
    "production": str(project.words(spec.rows.production_name)).capitalize(),
    "row": _("One row") if spec.court is None else _("On the court"),
    "upload": _("A file"),
    "path": _("A path"),
}
# names of sources in the predictions log
LOGGED = {"page": "row", "file": "upload"}
HISTORY = 50


def form(ready: list[server.Server]) -> str | None:
    """Draw the choice of what to score; return the run whose map is on the court."""
    ports = {
        served.port: _("{name} on port {port}", name=served.name, port=served.port)
        for served in ready
    }
    port = st.selectbox(_("Served model"), list(ports), format_func=ports.__getitem__, key="port")
    served = next(listening for listening in ready if listening.port == port)
    source = st.segmented_control(
        _("Rows"),
        list(SOURCES),
        format_func=SOURCES.__getitem__,
        default="production",
        required=True,
        key="rows",
    )
    drawn = None
    with elements.show_errors():
        if source == "production":
            production_form.ask(settings, spec, served)
        elif source == "row":
            drawn = row_form.ask(settings, spec, served)
        elif source == "upload":
            file_form.ask_upload(settings, spec, served)
        else:
            file_form.ask_path(settings, spec, served)
    if not elements.job_panel(settings, "score"):
        file_form.resume(settings)
    return drawn


def chosen(last: tracking.RunInfo) -> tracking.RunInfo:
    """Return the scoring to show: the newest, or an earlier one by selection."""
    kept: list[predictions.Scoring] = []
    with elements.show_errors():
        kept = predictions.scorings(settings, limit=HISTORY)
    titles = {
        scoring.run_id: n_(
            "{source}: {count:,} row, version {version}, {when}",
            "{source}: {count:,} rows, version {version}, {when}",
            scoring.rows,
            source=SOURCES.get(LOGGED.get(scoring.source, scoring.source), scoring.source),
            version=scoring.version,
            when=elements.ago(scoring.scored_at),
        )
        + (f", {elements.data_word(is_sample=True)}" if scoring.is_sample else "")
        for scoring in kept
    }
    titles.setdefault(last.run_id, _("The last one"))
    if len(titles) == 1:
        return last
    run_id = st.selectbox(
        _("Scoring"),
        list(titles),
        index=list(titles).index(last.run_id),
        format_func=titles.__getitem__,
        # a new scoring is shown at once, whatever was selected before
        key=f"scoring-{last.run_id}",
    )
    run = last if run_id == last.run_id else tracking.finished_run(settings, run_id)
    if run is None:
        st.warning(
            _("The run of this scoring has not ended, or was deleted. The last one is shown.")
        )
        return last
    return run


def result(run: tracking.RunInfo, drawn: str | None) -> None:
    source = run.params["source"]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            _(
                "{source}, scored by version {version}, {when}",
                source=SOURCES[source],
                version=run.params["version"],
                when=elements.ago(run.ended or run.started),
            ),
            width="content",
        )
        if run.is_sample:
            elements.sample_badge()
    if source != "row":
        result_view.show(settings, spec, run)
        return
    name = score.output_name(source, run.run_id, is_sample=run.is_sample)
    try:
        path = tracking.artifact(settings, run.run_id, f"files/{name}.parquet")
    except NotReadyError:
        st.warning(_("The prediction of this scoring is missing in its run."))
        return
    row_form.show(settings, spec, run, result_view.read(str(path)), drawn)


with elements.show_errors():
    elements.header(
        _("Score"),
        _("Send rows to the served model. Predictions are kept, with the version that made them."),
    )
    ready = elements.ready_servers(settings)
    elements.wait_for_store()
    drawn = None
    if ready:
        drawn = form(ready)
    else:
        st.info(_("No model is served now. Start one first."))
        st.page_link("pages/serve/page.py", label=_("Go to Serve"), icon=":material/arrow_forward:")
    last = tracking.last_run(settings, "score")
    if last is not None:
        st.subheader(_("Scorings"), anchor=False)
        result(chosen(last), drawn)
    elif ready:
        st.info(_("Nothing scored yet. Choose rows and press Score."))
code_snippets.panel(settings, "score")
