"""One row: its place on the court or its form, what the model answers, and what moves that."""

from __future__ import annotations

import ast

import pandas as pd

from core.adapters import labels, predictions, server, tracking
from core.config import Settings
from core.errors import NotReadyError
from core.logic import explanation, explanation_charts, shot
from core.project import ProjectSpec
from core.steps import explain, score
from pages import _parts, _row
from pages._bilingual import st

Place = tuple[float, float]


def ask(settings: Settings, spec: ProjectSpec, one: server.Server) -> str | None:
    """Draw court and form, and score at a press; returns the run whose map stands on the court."""
    usual = _parts.example_row(settings, one.run_id)
    known = _parts.known_texts(settings, one.run_id)
    keys = {name: f"one-{one.run_id}-{name}" for name in usual}
    followers = shot.place_columns(spec, list(usual))
    now = {name: st.session_state.get(key, usual[name]) for name, key in keys.items()}
    drawn = None
    if followers:
        left, right = _parts.side_by_side()
        with left:
            drawn = court(settings, spec, one, now, keys, followers)
    else:
        right = st.container()
    with right:
        fields = st.container(horizontal=True)
        row = {
            name: _row.field(fields, spec, name, value, known.get(name, []), key=keys[name])
            for name, value in usual.items()
        }
        if st.button("Score", type="primary", icon=":material/target:", key="score-row"):
            _parts.submit(settings, "score", score.Options, source="row", port=one.port, row=row)
            if all(value is not None for value in row.values()):
                explain_it(settings, one.version, row)
        st.caption("The answer is kept in the predictions log. What moves it follows at once.")
    return drawn


def explain_it(settings: Settings, version: str, row: dict[str, _row.Value]) -> None:
    """Ask for a row's contributions and what it would get if it were otherwise."""
    _parts.submit(settings, "explain", explain.Options, target=version, row=row, around=True)


def court(
    settings: Settings,
    spec: ProjectSpec,
    one: server.Server,
    now: dict[str, _row.Value],
    keys: dict[str, str],
    followers: tuple[str, ...],
) -> str | None:
    """Draw the court to click on, with the newest map of the same other inputs."""
    place = place_of(spec, now) or st.session_state.get(f"place-{one.run_id}")
    st.markdown("**Click the place on the court**")
    found = map_for(settings, one.run_id, one.version, now, followers)
    cells = None if found is None else _parts.table(
        settings, settings.mlflow_uri, found.run_id, "map"
    )  # fmt: skip
    threshold = tracking.require_version(settings, one.model, one.version).threshold
    chart = f"court-{one.run_id}"

    def clicked() -> None:
        picked = st.session_state[chart]["selection"].get(shot.CLICKED) or []
        if not picked:
            return
        x, y = float(picked[0]["x"]), float(picked[0]["y"])
        st.session_state[f"place-{one.run_id}"] = (x, y)
        for name, value in values_at(spec, (x, y), followers).items():
            st.session_state[keys[name]] = value

    st.altair_chart(
        shot.court_chart(cells, place, threshold=threshold, positive=spec.positive),
        width="content", key=chart, on_select=clicked,
    )  # fmt: skip
    if place is None:
        return None
    told = [shot.distance_sentence(place)]
    fitting = values_at(spec, place, followers)
    off = [name for name in followers if differs(now[name], fitting[name])]
    if off:
        told.append(
            f"{', '.join(off)} as filled in does not belong to this place: no such row exists. "
            "Click the court to set all of them."
        )
    if cells is not None and found is not None and len(cells):
        distance = (cells["x"] - place[0]) ** 2 + (cells["y"] - place[1]) ** 2
        here = cells.loc[distance.idxmin(), "probability"]
        told.append(f"The map says {here:.1%} {spec.positive} here.")
        told += shot.support_sentences(cells, place, spec.rows.development_name)
    else:
        told.append("Press Score to see the map of probability for the inputs as they stand.")
    st.caption(" ".join(told))
    if found is not None:
        _parts.run_link(found.run_id, "Map from")
    return None if found is None else found.run_id


def values_at(spec: ProjectSpec, place: Place, followers: tuple[str, ...]) -> dict[str, _row.Value]:
    """Return what the inputs that follow from a place are there, as their fields take them."""
    at = shot.columns_at(spec, pd.Series([place[0]]).to_numpy(), pd.Series([place[1]]).to_numpy())
    found: dict[str, _row.Value] = {}
    for name in followers:
        value = at[name].iloc[0]
        whole = spec.columns[name].type == "integer"
        found[name] = value if isinstance(value, str) else int(value) if whole else float(value)
    return found


def differs(one: _row.Value, other: _row.Value) -> bool:
    """Tell whether two values of a column are not the same, as far as its field shows them."""
    if isinstance(one, str) or isinstance(other, str) or one is None or other is None:
        return one != other
    return abs(one - other) > 5e-4


def place_of(spec: ProjectSpec, row: dict[str, _row.Value]) -> Place | None:
    """Return the place that a row's inputs tell, None where they tell none."""
    found = shot.place_of(spec, pd.DataFrame([row])).iloc[0]
    return None if found.isna().any() else (float(found["x"]), float(found["y"]))


def explanations(settings: Settings, run_id: str, version: str) -> list[tracking.RunInfo]:
    """Return the newest explanations of single rows by a version, with all around them."""
    return tracking.runs(
        settings, step="explain", status="FINISHED", limit=20,
        matching=[
            f"tags.`courtside.model_run` = '{run_id}'",
            "tags.`courtside.explained` = 'row'",
            f"tags.`courtside.version` = '{version}'",
            "params.`around` = 'True'",
        ],
    )  # fmt: skip


def row_of(run: tracking.RunInfo) -> dict[str, _row.Value]:
    """Return the row that a run was given, as its parameters keep it; empty where they do not."""
    try:
        found = ast.literal_eval(run.params.get("row", ""))
    except (SyntaxError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def map_for(
    settings: Settings,
    run_id: str,
    version: str,
    row: dict[str, _row.Value],
    followers: tuple[str, ...],
) -> tracking.RunInfo | None:
    """Return the explanation whose map holds for a row: all but the place is the same."""
    wanted = {name: value for name, value in row.items() if name not in followers}
    for run in explanations(settings, run_id, version):
        given = row_of(run)
        if given and {name: given.get(name) for name in wanted} == wanted:
            return run
    return None


def show(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, rows: pd.DataFrame,
    drawn: str | None,
) -> None:  # fmt: skip
    """Show the answer first, then what moves it; `drawn` is the run whose map stands above."""
    version = tracking.require_version(settings, run.params["model"], run.params["version"])
    first = rows.iloc[0]
    word = spec.positive if first["predicted"] else spec.negative
    milliseconds = run.metrics.get("latency_ms_median")
    _parts.figures(
        [
            ("Probability", f"{first['probability']:.1%}", f"of {spec.positive}"),
            ("Label", word, f"from {version.threshold:g} on it is {spec.positive}"),
        ]
        + (
            [("Answered in", f"{milliseconds:.0f} ms", "one request")]
            if milliseconds is not None
            else []
        )
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        _parts.run_link(run.run_id, "PipelineAplicacao")
        if "prediction_id" in rows:
            st.caption(f"Prediction id `{first['prediction_id']}`", width="content")
    with _parts.told():
        outcome(settings, spec, run, str(first.get("prediction_id", "")))
    given = row_of(run)
    found = next(
        (one for one in explanations(settings, version.run_id, version.version)
         if row_of(one) == given), None
    )  # fmt: skip
    going = _parts.job_panel(settings, "explain")
    if found is not None:
        what_moves_it(settings, spec, found, version.threshold, drawn)
    elif not going and given and all(value is not None for value in given.values()):
        st.button(
            "Show what moves it", icon=":material/lightbulb:", key=f"explain-{run.run_id}",
            on_click=explain_it, args=(settings, version.version, given),
        )  # fmt: skip


def outcome(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, prediction_id: str
) -> None:
    """Let the person say how it came out, and show what was said last."""
    kept = predictions.read(settings, run.run_id)
    if kept.empty or not prediction_id:
        return
    known = kept["label"].iloc[0]
    words = {1: spec.positive, 0: spec.negative}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            "How did it come out?" if known != known else f"It came out: **{words[int(known)]}**",
            width="content",
        )
        for label, word in words.items():
            if st.button(word.capitalize(), key=f"came-out-{label}", disabled=known == label):
                told = labels.Report(prediction_id=prediction_id, label=label)
                labels.report(settings, [told], source="page")
                st.rerun()


def what_moves_it(
    settings: Settings,
    spec: ProjectSpec,
    run: tracking.RunInfo,
    threshold: float,
    drawn: str | None,
) -> None:
    """Show a row's contributions, how far each input alone moves it, and the map."""
    store, of = settings.mlflow_uri, run.metrics
    probability, base = of["probability"], of["base"]
    along = _parts.table(settings, store, run.run_id, "along")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("What moves it", anchor=False, width="content")
        _parts.run_link(run.run_id, "Explicacao")
    left, right = _parts.side_by_side()
    with left:
        st.markdown("**From the usual to this row**")
        table = _parts.table(settings, store, run.run_id, "contributions")
        _parts.chart(explanation_charts.waterfall(table, base, probability))
        st.caption(
            f"SHAP values, in points: from {base:.1%}, the mean of {of['rows_background']:.0f} "
            "test rows, to this row. The model knows what comes together, not what causes what."
        )
    with right:
        st.markdown("**How far each input alone could move it**")
        reaches = explanation.reaches(along)
        _parts.chart(explanation_charts.reach_bars(reaches, probability, threshold=threshold))
        st.caption("Bars reach over the values that the test rows have; the mark is this row.")
        name = st.selectbox("Along", reaches["feature"].tolist(), key="along")
        about = spec.about(name) if name in spec.columns else name
        _parts.chart(
            explanation_charts.along(along[along["feature"] == name], axis_title=f"{name}: {about}")
        )
        if name in shot.place_columns(spec, reaches["feature"].tolist()):
            st.caption("This input belongs to the place: moved alone, it makes rows that do not "
                       "exist. The map moves all of them together.")  # fmt: skip
    if drawn == run.run_id or "cells_map" not in of:
        return
    with _parts.told():
        the_map(settings, spec, run, threshold)


def the_map(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, threshold: float) -> None:
    """Draw the map of an explanation that is not the one on the court above."""
    try:
        cells = _parts.table(settings, settings.mlflow_uri, run.run_id, "map")
    except NotReadyError:
        return
    place = place_of(spec, row_of(run))
    st.markdown("**From every place, all else as in this row**")
    st.altair_chart(
        shot.court_chart(
            cells, place, threshold=threshold, positive=spec.positive, clickable=False
        ),
        width="content",
    )  # fmt: skip
    if place is not None:
        st.caption(" ".join(shot.support_sentences(cells, place, spec.rows.development_name)))
