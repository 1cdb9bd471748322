"""The logged prediction of one row: its outcome, and what drives it on request."""

from __future__ import annotations

import ast
from typing import Any

import pandas as pd
import streamlit as st

from core.platform import model_store, permissions, project, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import _, number, sentences
from core.platform.own_columns import LABEL, PREDICTED, PREDICTION_ID, PROBABILITY
from core.platform.plugins import part
from core.platform.project import ProjectSpec
from core.platform.run_tags import Condition
from core.platform.runs import ModelVersion
from core.predictions_log import labels, predictions
from core.training import explain, explanation, explanation_charts
from core.training.records import ExplanationRun
from pages.score import row_form
from pages.score.row_form import Row
from pages.shared import elements, navigation, step_jobs


def show(
    settings: Settings,
    spec: ProjectSpec,
    run: tracking.RunInfo,
    rows: pd.DataFrame,
    mapped: Row | None,
) -> None:
    """Show a prediction, its outcome, and its reasons; `mapped` is the row on the court above."""
    version = model_store.require_version(settings, run.params["model"], run.params["version"])
    first = rows.iloc[0]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(words(spec, first), width="content")
            if run.is_sample:
                elements.sample_badge()
            details(run, str(first.get(PREDICTION_ID, "")))
        with elements.show_errors():
            outcome(settings, spec, run, str(first.get(PREDICTION_ID, "")))
    reasons(settings, spec, run, version, mapped)


def words(spec: ProjectSpec, first: pd.Series[Any]) -> str:
    """Return the probability and the predicted class of a row, in Markdown."""
    called = project.words(spec.positive if first[PREDICTED] else spec.negative)
    return f"**{number(first[PROBABILITY], '.1%')}** {project.words(spec.positive)} · " + _(
        "Predicted {label}", label=f"**{called}**"
    )


def details(run: tracking.RunInfo, prediction_id: str) -> None:
    """Draw the id, the latency and the run of a prediction, on request."""
    with st.popover(_("Details"), type="tertiary"):
        if prediction_id:
            st.markdown(f"{_('Prediction id')} `{prediction_id}`")
        if (milliseconds := run.metrics.get("latency_ms_median")) is not None:
            st.markdown(elements.named(_("Latency (ms)"), number(milliseconds, ".0f")))
        navigation.run_link(run.run_id, "PipelineAplicacao")


def outcome(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, prediction_id: str
) -> None:
    """Draw the input of the true label, and show the last one."""
    stored = predictions.read(settings, run.run_id)
    if stored.empty or not prediction_id:
        return
    known = stored[LABEL].iloc[0]
    words = {
        label: str(project.words(text)) for label, text in ((1, spec.positive), (0, spec.negative))
    }
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            elements.named(_("Actual"), "?" if known != known else f"**{words[int(known)]}**"),
            width="content",
        )
        for label, word in words.items():
            if st.button(
                elements.capital(word),
                key=f"came-out-{label}",
                disabled=not permissions.may("label") or known == label,
            ):
                report = labels.Report(prediction_id=prediction_id, label=label)
                labels.report(settings, [report], source="page")
                st.rerun()


def reasons(
    settings: Settings,
    spec: ProjectSpec,
    run: tracking.RunInfo,
    version: ModelVersion,
    mapped: Row | None,
) -> None:
    """Draw the switch that explains a prediction, and its explanation once there is one."""
    given = row_of(run)
    if not given or any(value is None for value in given.values()):
        return
    found = [
        earlier
        for earlier in explanations(settings, version.run_id, version.version)
        if row_of(earlier) == given
    ]
    key = f"explain-{run.run_id}"

    def switched() -> None:
        if st.session_state[key] and not found:
            step_jobs.submit(
                settings, "explain", explain.Options, target=version.version, row=given, around=True
            )

    if not st.toggle(_("What drives this prediction?"), key=key, on_change=switched):
        return
    step_jobs.job_panel(settings, "explain")
    if found:
        what_moves_it(settings, spec, found[0], version.threshold, mapped)


def explanations(settings: Settings, run_id: str, version: str) -> list[tracking.RunInfo]:
    """Return a version's newest explanations of single rows that include the surroundings."""
    return tracking.runs(
        settings,
        step="explain",
        status="FINISHED",
        limit=20,
        matching=[
            *ExplanationRun.where(model_run=run_id, explained="row", version=version),
            Condition("params", "around", "True"),
        ],
    )


def row_of(run: tracking.RunInfo) -> Row:
    """Return the row of a run from its parameters; empty if they lack it."""
    try:
        row = ast.literal_eval(run.params.get("row", ""))
    except (SyntaxError, ValueError):
        return {}
    return row if isinstance(row, dict) else {}


def what_moves_it(
    settings: Settings,
    spec: ProjectSpec,
    run: tracking.RunInfo,
    threshold: float,
    mapped: Row | None,
) -> None:
    """Show a row's contributions, the effect of each input alone, and the map."""
    of = run.metrics
    probability, base = of["probability"], of["base"]
    along = elements.table(settings, run.run_id, "along")
    left, right = elements.side_by_side()
    with left:
        st.markdown(
            f"**{_('What drives this prediction?')}**",
            help=_("SHAP values in percentage points. This is association, not causation."),
        )
        table = elements.table(settings, run.run_id, "contributions")
        elements.chart(explanation_charts.waterfall(table, base, probability))
    with right:
        reaches = explanation.reaches(along)
        st.markdown(
            _("**How much could each input alone change it?**"),
            help=_("Bars: the values of the test rows; mark: this row."),
        )
        elements.chart(explanation_charts.reach_bars(reaches, probability, threshold=threshold))
    left, right = elements.side_by_side()
    with left:
        one_input(spec, along, reaches["feature"].tolist())
    with right, elements.show_errors():
        if not _same_map(spec, row_of(run), mapped) and "cells_map" in of:
            the_map(settings, spec, run, threshold)
    navigation.run_link(run.run_id, "Explicacao")


def one_input(spec: ProjectSpec, along: pd.DataFrame, names: list[str]) -> None:
    """Draw how the probability changes with the chosen input."""
    name = st.selectbox(_("How does the probability change along a feature?"), names, key="along")
    about = str(project.words(spec.about(name))) if name in spec.columns else name
    elements.chart(
        explanation_charts.along(along[along["feature"] == name], axis_title=f"{name}: {about}")
    )
    court_map = part(spec.name, "court_map")
    if court_map and name in court_map.place_columns(spec, names):
        st.caption(
            _(
                "This input depends on the position: changing it alone describes rows that "
                "cannot exist."
            )
        )


def _same_map(spec: ProjectSpec, row: Row, mapped: Row | None) -> bool:
    """Return whether the court above shows the map of this row: only the place may differ."""
    if mapped is None:
        return False
    followers = part(spec.name, "court_map").place_columns(spec, list(mapped))
    return all(row.get(name) == mapped[name] for name in mapped if name not in followers)


def the_map(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, threshold: float) -> None:
    """Draw the map of an explanation, unless it is on the court above."""
    try:
        cells = elements.table(settings, run.run_id, "map")
    except NotReadyError:
        return
    court_map = part(spec.name, "court_map")
    place = row_form.place_of(spec, row_of(run))
    st.markdown(_("**Every position on the court, with this row's other inputs**"))
    st.altair_chart(
        elements.localized(
            court_map.court_chart(
                cells,
                place,
                threshold=threshold,
                positive=str(project.words(spec.positive)),
                clickable=False,
            )
        ),
        width="content",
    )
    if place is not None:
        st.caption(str(sentences(*row_form.support(spec, cells, place))))
