"""Monitor: does the model still fit the rows that it scores?"""

from core.adapters import predictions, tracking
from core.steps import monitor
from pages import _alert_banner, _glass, _history, _monitor_form, _parts, _report, _report_todo
from pages._bilingual import st

settings, spec = _parts.open_app()
STORE = settings.mlflow_uri


def form(scorings: list[predictions.Scoring], last: tracking.RunInfo | None) -> None:
    st.subheader("New report", anchor=False)
    options = _monitor_form.ask(settings, spec, scorings, last)
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Monitor", type="primary", icon=":material/monitor_heart:", key="monitor"
        )
        st.page_link("pages/alerts.py", label="On a schedule", icon=":material/schedule:")
    if pressed:
        if options.get("window") == "log" and not {"last", "since", "where"} & set(options):
            st.error("Choose at least one value first.", icon=":material/error:")
        else:
            _parts.submit(settings, "monitor", monitor.Options, **options)
    if not _parts.job_panel(settings, "monitor") and last is not None:
        title = _parts.plain(last.tags.get("courtside.verdict_title", ""))
        st.caption(f"The newest report, {_parts.ago(last.started)}: {title}. It stands above.")


def asked(last: tracking.RunInfo | None) -> tuple[tracking.RunInfo | None, str]:
    """Return the report that a link asks for, else the newest, and what to say about it."""
    wanted = st.query_params.get("report", "")
    if not wanted or (last and wanted == last.run_id):
        return last, ""
    found = tracking.run(settings, wanted)
    if found is None or found.step != "monitor" or found.status != "FINISHED":
        return last, "The report that was asked for is not there. This is the newest."
    return found, "This is an older report."


with _parts.told():
    _parts.wait_for_store()
    last = tracking.last_run(settings, "monitor")
    shown, told = asked(last)
    _parts.header(
        "Monitor",
        "Compare scored rows with the reference, the rows that the model was tested on "
        f"({spec.rows.development_name}, unless its preparation chose others): its performance "
        "where labels are in, its input and its answers in any case.",
        is_sample=bool(shown and shown.is_sample),
    )
    if told:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/history: {told}", width="content")
            st.page_link(
                "pages/monitor.py", label="See the newest", icon=":material/arrow_forward:"
            )
    _alert_banner.banner(settings)
    scorings = predictions.scorings(settings, min_rows=monitor.MIN_ROWS)
    is_ready = bool(scorings) or bool(predictions.tallies(settings))
    if shown is not None:
        _report.show(settings, spec, shown)
        _report_todo.show(settings, shown)
        _report_todo.files(settings, shown)
    elif is_ready:
        st.info("No report yet. Press Monitor.")
    if not is_ready:
        st.info(f"Nothing to compare yet. Score at least {monitor.MIN_ROWS} rows first.")
        st.page_link("pages/score.py", label="Go to Score", icon=":material/arrow_forward:")
    # a champion's test set can be compared before anything was scored
    if is_ready or tracking.find_version(settings, spec.model, tracking.CHAMPION):
        form(scorings, last)
    else:
        _parts.job_panel(settings, "monitor")
    if last is not None:
        _history.show(settings, last)
_glass.panel(settings, "monitor")
