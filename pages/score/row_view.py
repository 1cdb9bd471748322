"""One row: its values, the live probability, and what was predicted last."""

from __future__ import annotations

import streamlit as st

from core.platform import tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import _
from core.platform.project import ProjectSpec
from core.scoring import score
from pages.score import result_view, row_form, row_result, scorings, serving_choice
from pages.shared import elements, navigation, row_field, step_jobs

# key of the newest prediction that the visit has seen
SEEN = "row-seen"


def draw(settings: Settings, spec: ProjectSpec) -> None:
    """Draw the form of a row, and the newest prediction of one."""
    mapped: dict[str, row_field.Value] | None = None
    if ready := serving_choice.ready(settings):
        panel = st.container()
        with elements.show_errors():
            mapped = row_form.ask(settings, spec, serving_choice.choose(ready))
        with panel:
            step_jobs.job_panel(settings, "score")
    last = scorings.newest(settings, one_row=True)
    if last is not None:
        _result(settings, spec, last, mapped)


def _result(
    settings: Settings,
    spec: ProjectSpec,
    last: tracking.RunInfo,
    mapped: dict[str, row_field.Value] | None,
) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(_("Result"), anchor=False, width="content")
        run = scorings.chosen(settings, spec, last, one_row=True)
    name = score.output_name("row", run.run_id, is_sample=run.is_sample)
    try:
        path = tracking.artifact(settings, run.run_id, f"files/{name}.parquet")
    except NotReadyError:
        st.warning(navigation.run_again("score"))
        return
    rows = result_view.read(str(path))
    if st.session_state.get(SEEN, last.run_id) != last.run_id and run.run_id == last.run_id:
        # the result may be below the fold
        st.toast(row_result.words(spec, rows.iloc[0]), icon=":material/target:")
    st.session_state[SEEN] = last.run_id
    row_result.show(settings, spec, run, rows, mapped)
