"""The two charts of a report: calibration, and the drift of the worst column."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import project, tracking
from core.platform.config import Settings
from core.platform.messages import _
from core.platform.own_columns import PROBABILITY, shown
from core.platform.project import ProjectSpec
from core.stats.charts import drift as drift_charts
from core.stats.charts import models as model_charts
from pages.monitor import check_views
from pages.shared import elements, report_view


def show(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Draw calibration, or without labels the predictions, and a column at its right."""
    store = settings.mlflow_uri
    reliability = report_view.stored_table(settings, store, run.run_id, "reliability")
    densities = report_view.stored_table(settings, store, run.run_id, "densities")
    drift = report_view.stored_table(settings, store, run.run_id, "drift")
    left, right = elements.side_by_side()
    with left:
        if reliability is not None and report_view.is_judged(settings, run.run_id):
            st.markdown(_("**Do predicted probabilities match outcomes?**"))
            _calibration(run, reliability)
        elif densities is not None and (densities["feature"] == PROBABILITY).any():
            elements.question(_("Did the predicted probabilities change?"))
            check_views.probabilities(run, densities)
    if densities is not None and drift is not None and len(drift):
        with right:
            _column(spec, run, drift, densities)


def _calibration(run: tracking.RunInfo, reliability: pd.DataFrame) -> None:
    named = reliability.rename(columns={"set": "model"})
    if "model" not in named:
        named = named.assign(model="current")
    report_view.draw(lambda: model_charts.calibration_curve(named), run.run_id, "reliability")


@st.fragment
@elements.show_errors()
def _column(
    spec: ProjectSpec, run: tracking.RunInfo, drift: pd.DataFrame, densities: pd.DataFrame
) -> None:
    ordered = drift.sort_values("psi", ascending=False, kind="stable")["feature"].tolist()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_("**How did this column change?**"), width="content")
        chosen = st.selectbox(
            _("Column"),
            ordered,
            format_func=lambda name: str(shown(name)),
            key="feature",
            label_visibility="collapsed",
            width=200,
        )
    is_known = chosen in {**spec.columns, **spec.engineered}
    about = str((is_known and project.words(spec.about(chosen))) or shown(chosen))
    report_view.draw(
        lambda: drift_charts.feature_density(densities, chosen, axis_title=about),
        run.run_id,
        "density",
        chosen,
    )
