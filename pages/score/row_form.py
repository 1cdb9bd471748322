"""The form of one row: the court with the live probability, and the fields at its right."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import project
from core.platform.config import Settings
from core.platform.errors import CourtsideError
from core.platform.messages import Words, _, number, plural, sentences
from core.platform.plugins import part
from core.platform.project import ProjectSpec
from core.platform.runs import ModelVersion
from core.scoring import score
from core.serving import server
from pages.score import live_model, serving_choice
from pages.shared import elements, row_field, step_jobs

Place = tuple[float, float]
Row = dict[str, row_field.Value]


def ask(settings: Settings, spec: ProjectSpec, served: server.Server) -> Row | None:
    """Draw court and fields, and score on request; return the row whose map is on the court."""
    usual = elements.example_row(settings, served.run_id)
    known = elements.known_texts(settings, served.run_id)
    version = live_model.version_of(settings, served)
    keys = {name: f"one-{served.run_id}-{name}" for name in usual}
    court_map = part(spec.name, "court_map")
    followers = court_map.place_columns(spec, list(usual)) if court_map else ()
    now = {name: st.session_state.get(key, usual[name]) for name, key in keys.items()}
    is_mapped = False
    if followers:
        left, right = elements.side_by_side()
        with left:
            is_placed = any(differs(now[name], usual[name]) for name in followers)
            place = place_of(spec, now) if is_placed else None
            is_mapped = court(settings, spec, served, version, place, now, keys, followers)
    else:
        right = st.container()
    with right:
        figures = st.container()
        fields = st.container(horizontal=True)
        row = {
            name: row_field.field(fields, spec, name, value, known.get(name, []), key=keys[name])
            for name, value in usual.items()
        }
        with figures:
            live(settings, spec, served, version, row)
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button(
                _("Score"),
                type="primary",
                icon=":material/target:",
                key="score-row",
                disabled=step_jobs.is_locked(settings, "score"),
            ):
                step_jobs.submit(
                    settings, "score", score.Options, source="row", port=served.port, row=row
                )
            st.caption(serving_choice.named(served), width="content")
    return row if is_mapped else None


def live(
    settings: Settings, spec: ProjectSpec, served: server.Server, version: ModelVersion, row: Row
) -> None:
    """Draw what the served version predicts for the values in the fields."""
    positive, negative = elements.classes(spec)
    predicted, fault = None, ""
    try:
        predicted = live_model.probability(settings, served, row)
    except CourtsideError as error:
        fault = elements.plain(str(error))
    called = "–"
    if predicted is not None:
        called = positive if predicted >= version.threshold else negative
    elements.figures(
        [
            (
                _("Probability of {positive}", positive=positive),
                "–" if predicted is None else number(predicted, ".1%"),
                _("live, not logged"),
            ),
            (
                _("Predicted class"),
                called,
                elements.named(_("Threshold"), number(version.threshold, ".3g")),
            ),
        ]
    )
    if fault:
        st.warning(fault, icon=":material/edit:")


def court(
    settings: Settings,
    spec: ProjectSpec,
    served: server.Server,
    version: ModelVersion,
    place: Place | None,
    now: Row,
    keys: dict[str, str],
    followers: tuple[str, ...],
) -> bool:
    """Draw the clickable court; return whether it is coloured by probability.

    Parameters
    ----------
    place : (float, float) or None
        The position in the fields; None while they hold the values of the example, which are of no
        position that a person chose.
    """
    court_map = part(spec.name, "court_map")
    clicked_place = st.session_state.get(f"place-{version.run_id}")
    if place is None and clicked_place is not None:
        place = place_of(spec, now) or clicked_place
    cells = None
    others = {name: value for name, value in now.items() if name not in followers}
    # the reason for a missing prediction is shown above the fields
    try:
        cells = live_model.court_cells(settings, served, others)
    except CourtsideError:
        cells = None
    chart = f"court-{version.run_id}"

    def clicked() -> None:
        picked = st.session_state[chart]["selection"].get(court_map.CLICKED) or []
        if not picked:
            return
        x, y = float(picked[0]["x"]), float(picked[0]["y"])
        st.session_state[f"place-{version.run_id}"] = (x, y)
        for name, value in values_at(spec, (x, y), followers).items():
            st.session_state[keys[name]] = value

    st.markdown(_("**Click a position on the court**"))
    st.altair_chart(
        elements.localized(
            court_map.court_chart(
                cells,
                place,
                threshold=version.threshold,
                positive=str(project.words(spec.positive)),
            )
        ),
        width="content",
        key=chart,
        on_select=clicked,
    )
    if place is not None:
        st.caption(str(sentences(*facts(spec, cells, place, now, followers))))
    return cells is not None


def facts(
    spec: ProjectSpec,
    cells: pd.DataFrame | None,
    place: Place,
    now: Row,
    followers: tuple[str, ...],
) -> list[Words]:
    """Return the description of a place, in sentences."""
    said: list[Words] = [part(spec.name, "court_map").distance_sentence(place)]
    fitting = values_at(spec, place, followers)
    off = [name for name in followers if differs(now[name], fitting[name])]
    if off:
        said.append(
            plural(
                "{inputs} does not match this place: click the court.",
                "{inputs} do not match this place: click the court.",
                len(off),
                inputs=off,
            )
        )
    return said + ([] if cells is None or cells.empty else support(spec, cells, place))


def support(spec: ProjectSpec, cells: pd.DataFrame, place: Place) -> list[Words]:
    """Return how far the map is supported by known rows, in sentences."""
    rows_name = str(spec.rows.reference_rows)
    said: list[Words] = part(spec.name, "court_map").support_sentences(cells, place, rows_name)
    return said


def values_at(spec: ProjectSpec, place: Place, followers: tuple[str, ...]) -> Row:
    """Return the inputs that follow from a place, as their fields expect them."""
    court_map = part(spec.name, "court_map")
    at = court_map.columns_at(
        spec, pd.Series([place[0]]).to_numpy(), pd.Series([place[1]]).to_numpy()
    )
    inputs: Row = {}
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


def place_of(spec: ProjectSpec, row: Row) -> Place | None:
    """Return the place that a row's inputs determine, None without one."""
    court_map = part(spec.name, "court_map")
    if court_map is None:
        return None
    place = court_map.place_of(spec, pd.DataFrame([row])).iloc[0]
    return None if place.isna().any() else (float(place["x"]), float(place["y"]))
