"""Monitor: does the model still fit the rows that it scores?"""

import streamlit as st

from core.monitoring import monitor
from core.monitoring.records import ReportRun
from core.platform import model_store, project, tracking
from core.platform.messages import _
from core.predictions_log import predictions
from pages.monitor import next_steps, options_form, report_history
from pages.shared import alert_banner, code_snippets, drafts, elements, report_view

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
    st.subheader(_("New report"), anchor=False)
    options = options_form.ask(settings, spec, scorings, last)
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            _("Monitor"), type="primary", icon=":material/monitor_heart:", key="monitor"
        )
        st.page_link("pages/alerts/page.py", label=_("On a schedule"), icon=":material/schedule:")
    if pressed:
        if options.get("window") == "log" and not {"last", "since", "where"} & set(options):
            st.error(_("Choose at least one value first."), icon=":material/error:")
        else:
            elements.submit(settings, "monitor", monitor.Options, **options)
    if not elements.job_panel(settings, "monitor") and last is not None:
        st.caption(
            _(
                "The newest report, {ago}, is above: {verdict}.",
                ago=elements.ago(last.started),
                verdict=elements.plain(str(ReportRun.of(last).verdict_title)),
            )
        )


def requested(last: tracking.RunInfo | None) -> tuple[tracking.RunInfo | None, str]:
    """Return the requested report, by default the newest, and a note about it."""
    wanted = st.query_params.get("report", "")
    if not wanted or (last and wanted == last.run_id):
        return last, ""
    linked = tracking.finished_run(settings, wanted)
    if linked is None or linked.step != "monitor":
        return last, _("The requested report does not exist. This is the newest.")
    return linked, _("This is an older report.")


with elements.show_errors():
    elements.wait_for_store()
    last = tracking.last_run(settings, "monitor")
    shown, note = requested(last)
    elements.header(
        _("Monitor"),
        _(
            "Compare scored rows with the reference, the rows that the model was tested on "
            "({development_name}, unless others were prepared): performance where there are "
            "labels, input and predictions in any case.",
            development_name=project.words(spec.rows.development_name),
        ),
        is_sample=bool(shown and shown.is_sample),
    )
    if note:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/history: {note}", width="content")
            st.page_link(
                "pages/monitor/page.py", label=_("See the newest"), icon=":material/arrow_forward:"
            )
    alert_banner.banner(settings)
    scorings = predictions.scorings(settings, min_rows=monitor.MIN_ROWS)
    is_ready = bool(scorings) or bool(predictions.tallies(settings))
    if shown is not None:
        report_view.show(settings, spec, shown)
        next_steps.show(settings, shown)
        next_steps.files(settings, shown)
    elif is_ready:
        st.info(_("No report yet. Press Monitor."))
    if not is_ready:
        st.info(
            _(
                "Nothing to compare yet. Score at least {min_rows} rows first.",
                min_rows=monitor.MIN_ROWS,
            )
        )
        st.page_link("pages/score/page.py", label=_("Go to Score"), icon=":material/arrow_forward:")
    # a champion's test set can be compared before anything was scored
    if is_ready or model_store.find_version(settings, spec.model, model_store.CHAMPION):
        form(scorings, last)
    else:
        elements.job_panel(settings, "monitor")
    if last is not None:
        report_history.show(settings, last)
code_snippets.panel(settings, "monitor")
