"""Monitor: does the model still fit the rows that it scores?"""

from core.monitoring import monitor
from core.monitoring.records import ReportRun
from core.platform import model_store, tracking
from core.predictions_log import predictions
from pages.monitor import next_steps, options_form, report_history
from pages.shared import alert_banner, code_snippets, drafts, elements, report_view
from pages.shared.bilingual import st

settings, spec = elements.open_app()
drafts.hold(
    "monitor",
    "window",
    "scoring",
    "last",
    "since",
    "until",
    "slice-*",
    "source",
    "version",
    "false-alarms",
)


def form(scorings: list[predictions.Scoring], last: tracking.RunInfo | None) -> None:
    st.subheader("New report", anchor=False)
    options = options_form.ask(settings, spec, scorings, last)
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Monitor", type="primary", icon=":material/monitor_heart:", key="monitor"
        )
        st.page_link("pages/alerts/page.py", label="On a schedule", icon=":material/schedule:")
    if pressed:
        if options.get("window") == "log" and not {"last", "since", "where"} & set(options):
            st.error("Choose at least one value first.", icon=":material/error:")
        else:
            elements.submit(settings, "monitor", monitor.Options, **options)
    if not elements.job_panel(settings, "monitor") and last is not None:
        title = elements.plain(ReportRun.of(last).verdict_title)
        st.caption(f"The newest report, {elements.ago(last.started)}: {title}. It stands above.")


def requested(last: tracking.RunInfo | None) -> tuple[tracking.RunInfo | None, str]:
    """Return the requested report, by default the newest, and a note about it."""
    wanted = st.query_params.get("report", "")
    if not wanted or (last and wanted == last.run_id):
        return last, ""
    linked = tracking.finished_run(settings, wanted)
    if linked is None or linked.step != "monitor":
        return last, "The report that was asked for is not there. This is the newest."
    return linked, "This is an older report."


with elements.show_errors():
    elements.wait_for_store()
    last = tracking.last_run(settings, "monitor")
    shown, note = requested(last)
    elements.header(
        "Monitor",
        "Compare scored rows with the reference, the rows that the model was tested on "
        f"({spec.rows.development_name}, unless its preparation chose others): its performance "
        "where labels are in, its input and its answers in any case.",
        is_sample=bool(shown and shown.is_sample),
    )
    if note:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/history: {note}", width="content")
            st.page_link(
                "pages/monitor/page.py", label="See the newest", icon=":material/arrow_forward:"
            )
    alert_banner.banner(settings)
    scorings = predictions.scorings(settings, min_rows=monitor.MIN_ROWS)
    is_ready = bool(scorings) or bool(predictions.tallies(settings))
    if shown is not None:
        report_view.show(settings, spec, shown)
        next_steps.show(settings, shown)
        next_steps.files(settings, shown)
    elif is_ready:
        st.info("No report yet. Press Monitor.")
    if not is_ready:
        st.info(f"Nothing to compare yet. Score at least {monitor.MIN_ROWS} rows first.")
        st.page_link("pages/score/page.py", label="Go to Score", icon=":material/arrow_forward:")
    # a champion's test set can be compared before anything was scored
    if is_ready or model_store.find_version(settings, spec.model, model_store.CHAMPION):
        form(scorings, last)
    else:
        elements.job_panel(settings, "monitor")
    if last is not None:
        report_history.show(settings, last)
code_snippets.panel(settings, "monitor")
