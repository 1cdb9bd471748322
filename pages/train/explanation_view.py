"""What a model's probabilities depend on, in general or for a single row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.platform import model_store, permissions, project, storage, tracking
from core.platform.config import Settings
from core.platform.messages import Message, _, listed, n_, number
from core.platform.own_columns import LABEL, PREDICTED, PROBABILITY
from core.platform.project import ProjectSpec
from core.training import candidates as kinds
from core.training import explain, explanation, explanation_charts
from core.training.records import CandidateRun, ExplanationRun
from pages.shared import aliases, elements, navigation, row_field, step_jobs

# widgets whose values are kept
KEYS = ("rows", "view", "start-*", "input-*")
SIZES = (50, 150, 500)
# time of a job besides predictions: loading the model, drawing and storing the figures
FIXED_SECONDS = 3


@dataclass(frozen=True)
class Choice:
    """A version or a candidate that can be explained; `number` is empty for a candidate."""

    target: str
    title: str
    run_id: str
    train_run: str
    number: str = ""


def _choices(settings: Settings, spec: ProjectSpec) -> dict[str, Choice]:
    """Return what can be explained, by target: aliases first, then the newest training."""
    versions = model_store.versions(settings, spec.model)
    rank = {alias: place for place, alias in enumerate(model_store.ALIAS_LABELS)}
    named = sorted(
        (version for version in versions if version.aliases),
        key=lambda version: min(rank.get(alias, len(rank)) for alias in version.aliases),
    )
    explainable = [_of_version(version) for version in named]
    newest = tracking.last_run(settings, "train")
    if newest is not None:
        seen = {choice.run_id for choice in explainable}
        done = tracking.runs(settings, parent=newest.run_id, status="FINISHED")
        done.sort(key=lambda candidate: candidate.metrics.get("log_loss_cv", np.inf))
        explainable += [
            Choice(
                candidate.run_id, elements.words(candidate.name), candidate.run_id, newest.run_id
            )
            for candidate in done
            if candidate.run_id not in seen
        ]
    seen = {choice.run_id for choice in explainable}
    explainable += [
        _of_version(version)
        for version in versions
        if not version.aliases and version.run_id not in seen
    ]
    return {choice.target: choice for choice in explainable}


def _of_version(version: model_store.ModelVersion) -> Choice:
    kind = version.about.candidate
    called = elements.capital(aliases.listed(sorted(version.aliases)))
    title = f"{version.version}, {kinds.title(kind)}" if kind else version.version
    return Choice(
        version.version,
        f"{called}: {_('version {version}', version=title)}"
        if called
        else elements.capital(_("version {version}", version=title)),
        version.run_id,
        version.about.train_run,
        version.version,
    )


def _newest(settings: Settings, choice: Choice, explained: str) -> tracking.RunInfo | None:
    """Return the newest explanation of that kind."""
    # a refitted version is another model with the same metrics
    version = choice.number if explained == "row" and choice.number else None
    matching = ExplanationRun.where(model_run=choice.run_id, explained=explained, version=version)
    runs = tracking.runs(settings, step="explain", status="FINISHED", matching=matching, limit=1)
    return runs[0] if runs else None


def _ask_in_general(
    settings: Settings, choice: Choice, run: tracking.RunInfo, *, locked: bool
) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rows = st.segmented_control(
            _("Rows"),
            SIZES,
            default=SIZES[1],
            required=True,
            key="rows",
            format_func=number,
            disabled=locked,
        )
        pressed = st.button(
            _("Explain"),
            type="primary",
            icon=":material/lightbulb:",
            disabled=not permissions.may("explain") or locked,
        )
    options = {"target": choice.target, "rows": rows}
    if duration := _duration(settings, choice, run, explain.Options(**options)):
        st.caption(duration)
    if pressed:
        step_jobs.submit(settings, "explain", explain.Options, **options)
        _rerun_if_begun(settings)


def _duration(
    settings: Settings, choice: Choice, run: tracking.RunInfo, options: explain.Options
) -> str:
    """Estimate the duration: from the last explanation, or from the time of the test set."""
    features, of = len(CandidateRun.of(run).features) or 1, run.metrics
    if not {"seconds_predict_test", "rows_test"} <= of.keys():
        return ""
    count = explain.predicted_rows(options, features, int(of["rows_test"]))
    seconds = FIXED_SECONDS + count * of["seconds_predict_test"] / of["rows_test"]
    if (last := _newest(settings, choice, "model")) and last.ended:
        same = options.model_copy(update={"rows": int(last.metrics["rows_explained"])})
        before = explain.predicted_rows(same, features, int(of["rows_test"]))
        seconds = (last.ended - last.started) * count / before
    estimate = (
        n_("{count} minute", "{count} minutes", round(seconds / 60))
        if seconds > 90
        else f"{number(max(round(seconds, -1), 10), '.0f')} s"
    )
    return _("Takes about {estimate}", estimate=estimate)


def _in_general(
    settings: Settings,
    spec: ProjectSpec,
    choice: Choice,
    explained: tracking.RunInfo,
    *,
    coming: bool,
) -> None:
    of = explained.metrics
    _same_rows(settings, choice, explained, coming=coming)
    important, contributions = (
        elements.table(settings, explained.run_id, "importance"),
        elements.table(settings, explained.run_id, "shap"),
    )
    size = contributions["contribution"].abs().groupby(contributions["feature"]).mean()
    if late := [
        name for name in important["feature"] if _is_known(spec, name) and spec.recorded_after(name)
    ]:
        st.caption(elements.known_too_late(late))
    st.markdown(
        f"**{_('Which features does the model need?')}**",
        help=_(
            "Increase of log loss when a feature is shuffled among {rows:,.0f} test rows, with "
            "its 95% interval. Two correlated features can replace each other, so both look "
            "unimportant.",
            rows=of["rows_importance"],
        ),
    )
    elements.chart(explanation_charts.importance_bars(important))
    st.markdown(
        f"**{_('How does each feature affect individual predictions?')}**",
        help=_(
            "SHAP values: a point is a row; to the right, its value raises the probability of "
            "{positive}. At the side, the mean absolute contribution. This is association, not "
            "causation.",
            positive=project.words(spec.positive),
        ),
    )
    elements.chart(explanation_charts.contribution_strip(contributions))
    table = elements.table(settings, explained.run_id, "partial")
    names = [
        name
        for name in size.sort_values(ascending=False, kind="stable").index
        if name in set(table["feature"])
    ]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.markdown(
            f"**{_('How does the probability change along a feature?')}**",
            width="stretch",
            help=_(
                "Partial dependence: the mean probability of {positive} if all test rows had "
                "this value (such rows may not exist); between the pale ends lie the middle "
                "80% of the rows.",
                positive=project.words(spec.positive),
            ),
        )
        name = st.selectbox(
            _("Feature"), names, key="feature", width=260, label_visibility="collapsed"
        )
    elements.chart(
        explanation_charts.partial_dependence(
            table[table["feature"] == name], axis_title=f"{name}: {_about(spec, name)}"
        )
    )
    if correlated := _companions(settings, choice, name):
        st.caption(correlated)


def _is_known(spec: ProjectSpec, name: str) -> bool:
    """Return whether the project has this feature; a model may have others."""
    return name in spec.columns or name in spec.engineered


def _about(spec: ProjectSpec, name: str) -> str:
    """Return the description of a feature, its name if the project has no such feature."""
    return str(project.words(spec.about(name))) if _is_known(spec, name) else name


def _companions(settings: Settings, choice: Choice, name: str) -> str:
    """Return a sentence on the inputs that are correlated with a feature; empty for none."""
    rows = elements.table(settings, choice.run_id, "test_predictions")
    rows = rows.drop(columns=[PROBABILITY, PREDICTED, LABEL])
    correlations = explanation.companions(rows, name).head(3)
    if correlations.empty:
        return ""
    others = [f"{other} ({number(r, '+.2f')})" for other, r in correlations.items()]
    return elements.named(_("Correlation"), listed(others))


def _same_rows(
    settings: Settings, choice: Choice, explained: tracking.RunInfo, *, coming: bool
) -> None:
    """State when and on which rows it was made, and whether the sets have changed since."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            n_("{count:,} row", "{count:,} rows", int(explained.metrics["rows_explained"]))
            + f" · {elements.ago(explained.ended or explained.started)}",
            width="content",
        )
        elements.mark_sample(settings, explained)
        navigation.run_link(explained.run_id, "Explicacao")
    trained = tracking.run(settings, choice.train_run) if choice.train_run else None
    prepared = storage.current_prepared(settings)
    is_old = prepared and trained and trained.params.get("prepared_by") != prepared.run_id
    if is_old and not coming:
        st.warning(navigation.changed("train", _("Training and test set")))


def _ask_row(
    settings: Settings, spec: ProjectSpec, choice: Choice, run: tracking.RunInfo, *, locked: bool
) -> None:
    tested = elements.table(settings, choice.run_id, "test_predictions")
    rows = elements.table(settings, choice.train_run, "test_rows")
    ids = rows[spec.id].astype(str).tolist()
    offered = _suggestions(spec, tested, ids)
    picked = st.selectbox(
        _("Test row: choose one, or type its {column}", column=spec.id),
        list(offered),
        format_func=lambda row_id: offered.get(row_id, row_id),
        accept_new_options=True,
        key=f"start-{choice.run_id}",
    )
    if picked not in ids:
        st.error(_("'{name}' does not exist.", name=elements.plain(f"{spec.id} {picked}")))
        return
    start = {
        name: None if pd.isna(value) else value if isinstance(value, str) else float(value)
        for name, value in tested.iloc[ids.index(picked)]
        .drop([PROBABILITY, PREDICTED, LABEL])
        .items()
    }
    known = elements.known_texts(settings, choice.run_id)
    fields = st.container(horizontal=True)
    row = {
        name: row_field.field(
            fields,
            spec,
            name,
            value,
            known.get(name, []),
            key=f"input-{choice.run_id}-{picked}-{name}",
        )
        for name, value in start.items()
    }
    sent = st.button(
        _("Explain"),
        type="primary",
        icon=":material/lightbulb:",
        disabled=not permissions.may("explain") or locked,
    )
    if sent:
        given = {"test_row": picked} if row == start else {"row": row}
        step_jobs.submit(settings, "explain", explain.Options, target=choice.target, **given)
        _rerun_if_begun(settings)


def _suggestions(spec: ProjectSpec, tested: pd.DataFrame, ids: list[str]) -> dict[str, str]:
    """Return some interesting rows, by their id."""
    probability, label = tested[PROBABILITY], tested[LABEL]
    missed, made = probability[label == 0], probability[label == 1]
    offered = {ids[0]: number(probability.iloc[0], ".1%")}
    for place, why in (
        (probability.idxmax(), Message("Highest")),
        (probability.idxmin(), Message("Lowest")),
        (missed.idxmax() if len(missed) else None, project.words(spec.negative)),
        (made.idxmin() if len(made) else None, project.words(spec.positive)),
    ):
        if place is not None:
            text = f"{why}, {number(probability[place], '.1%')}"
            offered.setdefault(ids[int(place)], text)
    return {row_id: f"{row_id}: {why}" for row_id, why in offered.items()}


def _of_row(settings: Settings, spec: ProjectSpec, explained: tracking.RunInfo) -> None:
    of, test_row = explained.metrics, explained.params.get("test_row", "–")
    is_test_row = "label" in of
    with st.container(horizontal=True, vertical_alignment="center"):
        ago = elements.ago(explained.ended or explained.started)
        name = f"{spec.id} {test_row}" if is_test_row else elements.capital(_("one row"))
        st.markdown(f"{elements.plain(name)} · {ago}", width="content")
        elements.mark_sample(settings, explained)
        navigation.run_link(explained.run_id, "Explicacao")
    probability, base = of["probability"], of["base"]
    shown = [
        (_("Probability"), number(probability, ".1%"), str(project.words(spec.positive))),
        (
            _("Mean predicted probability"),
            number(base, ".1%"),
            n_("{count:,} row", "{count:,} rows", int(of["rows_background"])),
        ),
    ]
    if is_test_row:
        word = spec.positive if of["label"] == 1 else spec.negative
        shown.append((_("Actual"), str(project.words(word)), ""))
    elements.figures(shown)
    table = elements.table(settings, explained.run_id, "contributions")

    st.markdown(
        f"**{_('What drives this prediction?')}**",
        help=_("SHAP values in percentage points. This is association, not causation."),
    )
    elements.chart(explanation_charts.waterfall(table, base, probability))


def draw(settings: Settings, spec: ProjectSpec, *, coming: bool, menu: DeltaGenerator) -> None:
    """Draw the choice of a model, its form, and its newest explanation.

    Parameters
    ----------
    coming : bool
        Whether a training waits or runs.
    menu : DeltaGenerator
        The place of links to runs.
    """
    offered = _choices(settings, spec)
    if not offered:
        st.info(_("There is no model yet. Train one first."))
        navigation.step_link("train", _("Candidates"), view="candidates")
        return
    asked = st.query_params.get("target")  # of a link; may be a run
    wanted = [
        choice.target for choice in offered.values() if asked in (choice.target, choice.run_id)
    ]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        target = st.selectbox(
            _("Model"),
            list(offered),
            format_func=lambda target: offered[target].title,
            key="model",
            index=list(offered).index(wanted[0]) if wanted else 0,
        )
        views = {"model": _("Model"), "row": elements.capital(_("one row"))}
        view = elements.choose(_("Explain"), views, "view", default="model", is_bare=True)
    choice = offered[target]
    model_run = tracking.run(settings, choice.run_id)
    if model_run is None:
        st.error(navigation.run_again("train"))
        return
    with menu:
        navigation.run_link(model_run.run_id, elements.words(model_run.name))
    is_running = step_jobs.job_panel(settings, "explain")
    with elements.show_errors():
        if view == "model":
            _ask_in_general(settings, choice, model_run, locked=is_running)
            elements.without_weights(spec)
        else:
            _ask_row(settings, spec, choice, model_run, locked=is_running)
    explained = _newest(settings, choice, view)
    if explained is None and is_running:
        return
    if explained is None:
        st.info(_("Nothing here yet. Press {button}.", button=_("Explain")))
    elif view == "model":
        _in_general(settings, spec, choice, explained, coming=coming)
    else:
        _of_row(settings, spec, explained)


def _rerun_if_begun(settings: Settings) -> None:
    # the panel is above the form
    if step_jobs.is_going(settings, "explain"):
        st.rerun()
