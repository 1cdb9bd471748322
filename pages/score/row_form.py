"""Scoring a single row: its place on the court or its form, the prediction, and its reasons."""

from __future__ import annotations

import ast

import pandas as pd
import streamlit as st

from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, Words, _, number, plural, sentences
from core.platform.own_columns import LABEL, PREDICTED, PREDICTION_ID, PROBABILITY
from core.platform.plugins import part
from core.platform.project import ProjectSpec
from core.predictions_log import labels, predictions
from core.scoring import score
from core.serving import server
from core.training import explain, explanation, explanation_charts
from core.training.records import ExplanationRun
from pages.shared import elements, row_field

Place = tuple[float, float]


def ask(settings: Settings, spec: ProjectSpec, served: server.Server) -> str | None:
    """Draw court and form, and score on request; return the run whose map is on the court."""
    usual = elements.example_row(settings, served.run_id)
    known = elements.known_texts(settings, served.run_id)
    keys = {name: f"one-{served.run_id}-{name}" for name in usual}
    court_map = part(spec.name, "court_map")
    followers = court_map.place_columns(spec, list(usual)) if court_map else ()
    now = {name: st.session_state.get(key, usual[name]) for name, key in keys.items()}
    drawn = None
    if followers:
        left, right = elements.side_by_side()
        with left:
            drawn = court(settings, spec, served, now, keys, followers)
    else:
        right = st.container()
    with right:
        fields = st.container(horizontal=True)
        row = {
            name: row_field.field(fields, spec, name, value, known.get(name, []), key=keys[name])
            for name, value in usual.items()
        }
        if st.button(_("Score"), type="primary", icon=":material/target:", key="score-row"):
            elements.submit(
                settings, "score", score.Options, source="row", port=served.port, row=row
            )
            if all(value is not None for value in row.values()):
                explain_it(settings, served.version, row)
        st.caption(_("The prediction is kept in the predictions log and explained below."))
    return drawn


def explain_it(settings: Settings, version: str, row: dict[str, row_field.Value]) -> None:
    """Request a row's contributions, and its probability with other inputs."""
    elements.submit(settings, "explain", explain.Options, target=version, row=row, around=True)


def court(
    settings: Settings,
    spec: ProjectSpec,
    served: server.Server,
    now: dict[str, row_field.Value],
    keys: dict[str, str],
    followers: tuple[str, ...],
) -> str | None:
    """Draw the clickable court, with the newest map for the same other inputs."""
    court_map = part(spec.name, "court_map")
    place = place_of(spec, now) or st.session_state.get(f"place-{served.run_id}")
    st.markdown(_("**Click the place on the court**"))
    map_run = map_for(settings, served.run_id, served.version, now, followers)
    cells = (
        None
        if map_run is None
        else elements.table(settings, settings.mlflow_uri, map_run.run_id, "map")
    )
    threshold = model_store.require_version(settings, served.model, served.version).threshold
    chart = f"court-{served.run_id}"

    def clicked() -> None:
        picked = st.session_state[chart]["selection"].get(court_map.CLICKED) or []
        if not picked:
            return
        x, y = float(picked[0]["x"]), float(picked[0]["y"])
        st.session_state[f"place-{served.run_id}"] = (x, y)
        for name, value in values_at(spec, (x, y), followers).items():
            st.session_state[keys[name]] = value

    positive = str(project.words(spec.positive))
    st.altair_chart(
        elements.localized(
            court_map.court_chart(cells, place, threshold=threshold, positive=positive)
        ),
        width="content",
        key=chart,
        on_select=clicked,
    )
    if place is None:
        return None
    facts = [court_map.distance_sentence(place)]
    fitting = values_at(spec, place, followers)
    off = [name for name in followers if differs(now[name], fitting[name])]
    if off:
        facts.append(
            plural(
                "The value of {inputs} does not match this place: no such row exists. Click the "
                "court to set it.",
                "The values of {inputs} do not match this place: no such row exists. Click the "
                "court to set them.",
                len(off),
                inputs=off,
            )
        )
    if cells is not None and map_run is not None and len(cells):
        distance = (cells["x"] - place[0]) ** 2 + (cells["y"] - place[1]) ** 2
        here = cells.loc[distance.idxmin(), "probability"]
        facts.append(
            Message(
                "Predicted probability of {positive} here: {here:.1%}.",
                here=here,
                positive=project.words(spec.positive),
            )
        )
        facts += support(spec, cells, place)
    else:
        facts.append(
            Message("Press Score to see the map of predicted probability for these inputs.")
        )
    st.caption(str(sentences(*facts)))
    if map_run is not None:
        elements.run_link(map_run.run_id, _("Map from"))
    return None if map_run is None else map_run.run_id


def support(spec: ProjectSpec, cells: pd.DataFrame, place: Place) -> list[Words]:
    """Return how far the map is supported by known rows, in sentences."""
    rows_name = str(project.words(spec.rows.development_name))
    facts: list[Words] = part(spec.name, "court_map").support_sentences(cells, place, rows_name)
    return facts


def values_at(
    spec: ProjectSpec, place: Place, followers: tuple[str, ...]
) -> dict[str, row_field.Value]:
    """Return the inputs that follow from a place, as their fields expect them."""
    court_map = part(spec.name, "court_map")
    at = court_map.columns_at(
        spec, pd.Series([place[0]]).to_numpy(), pd.Series([place[1]]).to_numpy()
    )
    inputs: dict[str, row_field.Value] = {}
    for name in followers:
        value = at[name].iloc[0]
        whole = spec.columns[name].type == "integer"
        inputs[name] = value if isinstance(value, str) else int(value) if whole else float(value)
    return inputs


def differs(value: row_field.Value, other: row_field.Value) -> bool:
    """Return whether two values of a column differ, at the precision of its field."""
    if isinstance(value, str) or isinstance(other, str) or value is None or other is None:
        return value != other
    return abs(value - other) > 5e-4


def place_of(spec: ProjectSpec, row: dict[str, row_field.Value]) -> Place | None:
    """Return the place that a row's inputs determine, None without one."""
    court_map = part(spec.name, "court_map")
    if court_map is None:
        return None
    place = court_map.place_of(spec, pd.DataFrame([row])).iloc[0]
    return None if place.isna().any() else (float(place["x"]), float(place["y"]))


def explanations(settings: Settings, run_id: str, version: str) -> list[tracking.RunInfo]:
    """Return a version's newest explanations of single rows that include the surroundings."""
    return tracking.runs(
        settings,
        step="explain",
        status="FINISHED",
        limit=20,
        matching=[
            *ExplanationRun.where(model_run=run_id, explained="row", version=version),
            "params.`around` = 'True'",
        ],
    )


def row_of(run: tracking.RunInfo) -> dict[str, row_field.Value]:
    """Return the row of a run from its parameters; empty if they lack it."""
    try:
        row = ast.literal_eval(run.params.get("row", ""))
    except (SyntaxError, ValueError):
        return {}
    return row if isinstance(row, dict) else {}


def map_for(
    settings: Settings,
    run_id: str,
    version: str,
    row: dict[str, row_field.Value],
    followers: tuple[str, ...],
) -> tracking.RunInfo | None:
    """Return the explanation whose map applies to a row: equal in everything but the place."""
    wanted = {name: value for name, value in row.items() if name not in followers}
    for run in explanations(settings, run_id, version):
        given = row_of(run)
        if given and {name: given.get(name) for name in wanted} == wanted:
            return run
    return None


def show(
    settings: Settings,
    spec: ProjectSpec,
    run: tracking.RunInfo,
    rows: pd.DataFrame,
    drawn: str | None,
) -> None:
    """Show the prediction first, then its reasons; `drawn` is the run whose map is above."""
    version = model_store.require_version(settings, run.params["model"], run.params["version"])
    first = rows.iloc[0]
    positive, negative = str(project.words(spec.positive)), str(project.words(spec.negative))
    milliseconds = run.metrics.get("latency_ms_median")
    elements.figures(
        [
            (
                _("Probability"),
                number(first[PROBABILITY], ".1%"),
                _("of {positive}", positive=positive),
            ),
            (
                _("Predicted label"),
                positive if first[PREDICTED] else negative,
                _("{positive} from {threshold:g}", threshold=version.threshold, positive=positive),
            ),
        ]
        + (
            [
                (
                    _("Latency"),
                    _("{milliseconds:.0f} ms", milliseconds=milliseconds),
                    _("one request"),
                )
            ]
            if milliseconds is not None
            else []
        )
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        elements.run_link(run.run_id, "PipelineAplicacao")
        if PREDICTION_ID in rows:
            st.caption(_("Prediction id `{id}`", id=first[PREDICTION_ID]), width="content")
    with elements.show_errors():
        outcome(settings, spec, run, str(first.get(PREDICTION_ID, "")))
    given = row_of(run)
    explained = next(
        (
            earlier
            for earlier in explanations(settings, version.run_id, version.version)
            if row_of(earlier) == given
        ),
        None,
    )
    going = elements.job_panel(settings, "explain")
    if explained is not None:
        what_moves_it(settings, spec, explained, version.threshold, drawn)
    elif not going and given and all(value is not None for value in given.values()):
        st.button(
            _("Explain this prediction"),
            icon=":material/lightbulb:",
            key=f"explain-{run.run_id}",
            on_click=explain_it,
            args=(settings, version.version, given),
        )


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
            _("What was the outcome?")
            if known != known
            else _("Outcome: **{label}**", label=words[int(known)]),
            width="content",
        )
        for label, word in words.items():
            if st.button(word.capitalize(), key=f"came-out-{label}", disabled=known == label):
                report = labels.Report(prediction_id=prediction_id, label=label)
                labels.report(settings, [report], source="page")
                st.rerun()


def what_moves_it(
    settings: Settings,
    spec: ProjectSpec,
    run: tracking.RunInfo,
    threshold: float,
    drawn: str | None,
) -> None:
    """Show a row's contributions, the effect of each input alone, and the map."""
    store, of = settings.mlflow_uri, run.metrics
    probability, base = of["probability"], of["base"]
    along = elements.table(settings, store, run.run_id, "along")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(_("Explanation"), anchor=False, width="content")
        elements.run_link(run.run_id, "Explicacao")
    left, right = elements.side_by_side()
    with left:
        st.markdown(_("**From the mean prediction to this row**"))
        table = elements.table(settings, store, run.run_id, "contributions")
        elements.chart(explanation_charts.waterfall(table, base, probability))
        st.caption(
            _(
                "SHAP values in points: from {base:.1%}, the mean of {rows:,.0f} test rows, to "
                "this row. They show association, not causation.",
                base=base,
                rows=of["rows_background"],
            )
        )
    with right:
        st.markdown(_("**Effect of each input alone**"))
        reaches = explanation.reaches(along)
        elements.chart(explanation_charts.reach_bars(reaches, probability, threshold=threshold))
        st.caption(_("Bars span the values of the test rows; the mark is this row."))
        name = st.selectbox(_("Input"), reaches["feature"].tolist(), key="along")
        about = str(project.words(spec.about(name))) if name in spec.columns else name
        elements.chart(
            explanation_charts.along(along[along["feature"] == name], axis_title=f"{name}: {about}")
        )
        court_map = part(spec.name, "court_map")
        if court_map and name in court_map.place_columns(spec, reaches["feature"].tolist()):
            st.caption(
                _(
                    "This input follows from the place: changed alone, it gives rows that do not "
                    "exist. The map changes all of them together."
                )
            )
    if drawn == run.run_id or "cells_map" not in of:
        return
    with elements.show_errors():
        the_map(settings, spec, run, threshold)


def the_map(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, threshold: float) -> None:
    """Draw the map of an explanation, unless it is on the court above."""
    try:
        cells = elements.table(settings, settings.mlflow_uri, run.run_id, "map")
    except NotReadyError:
        return
    court_map = part(spec.name, "court_map")
    place = place_of(spec, row_of(run))
    st.markdown(_("**Every place on the court, other inputs as in this row**"))
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
        st.caption(str(sentences(*support(spec, cells, place))))
