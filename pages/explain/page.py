"""Explain: what a model's probabilities depend on, globally or for a single row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.platform import model_store, project, storage, tracking
from core.platform.messages import Message, _, listed, n_, number
from core.platform.own_columns import LABEL, PREDICTED, PROBABILITY
from core.training import candidates as kinds
from core.training import explain, explanation, explanation_charts
from core.training.records import CandidateRun, ExplanationRun
from pages.shared import code_snippets, drafts, elements, row_field

settings, spec = elements.open_app()
drafts.hold("explain", "rows", "view", "start-*", "input-*")
STORE = settings.mlflow_uri
VIEWS = {"model": Message("In general"), "row": Message("A single row")}
SIZES = (50, 150, 500)
# time of a job besides predictions: loading the model, drawing and storing the figures
FIXED_SECONDS = 3
ALIASES = {
    "champion": Message("Champion"),
    "challenger": Message("Challenger"),
    "previous": Message("Previous"),
}


@dataclass(frozen=True)
class Choice:
    """A version or a candidate that can be explained; `number` is empty for a candidate."""

    target: str
    title: str
    run_id: str
    train_run: str
    number: str = ""


def choices() -> dict[str, Choice]:
    """Return what can be explained, by target: aliases first, then the newest training."""
    versions = model_store.versions(settings, spec.model)
    rank = {alias: place for place, alias in enumerate(ALIASES)}
    named = sorted(
        (version for version in versions if version.aliases),
        key=lambda version: min(rank.get(alias, len(rank)) for alias in version.aliases),
    )
    explainable = [of_version(version) for version in named]
    newest = tracking.last_run(settings, "train")
    if newest is not None:
        seen = {choice.run_id for choice in explainable}
        done = tracking.runs(settings, parent=newest.run_id, status="FINISHED")
        done.sort(key=lambda candidate: candidate.metrics.get("log_loss_cv", np.inf))
        explainable += [
            Choice(
                candidate.run_id,
                _("{candidate}, of the newest training", candidate=elements.words(candidate.name)),
                candidate.run_id,
                newest.run_id,
            )
            for candidate in done
            if candidate.run_id not in seen
        ]
    seen = {choice.run_id for choice in explainable}
    explainable += [
        of_version(version)
        for version in versions
        if not version.aliases and version.run_id not in seen
    ]
    return {choice.target: choice for choice in explainable}


def of_version(version: model_store.ModelVersion) -> Choice:
    kind = version.about.candidate
    called = listed([ALIASES.get(alias, alias) for alias in sorted(version.aliases)])
    title = f"{version.version}, {kinds.title(kind)}" if kind else version.version
    return Choice(
        version.version,
        _("{alias}: version {version}", alias=called, version=title)
        if called
        else _("Version {version}", version=title),
        version.run_id,
        version.about.train_run,
        version.version,
    )


def newest(choice: Choice, explained: str) -> tracking.RunInfo | None:
    """Return the newest explanation of that kind."""
    # a refitted version is another model with the same metrics
    version = choice.number if explained == "row" and choice.number else None
    matching = ExplanationRun.where(model_run=choice.run_id, explained=explained, version=version)
    runs = tracking.runs(settings, step="explain", status="FINISHED", matching=matching, limit=1)
    return runs[0] if runs else None


def stored_table(run: tracking.RunInfo, name: str) -> pd.DataFrame:
    return elements.table(settings, STORE, run.run_id, name)


def ask_in_general(choice: Choice, run: tracking.RunInfo) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rows = st.segmented_control(
            _("Test rows to explain individually"),
            SIZES,
            default=SIZES[1],
            required=True,
            key="rows",
            format_func=number,
        )
        pressed = st.button(_("Explain"), type="primary", icon=":material/lightbulb:")
    options = {"target": choice.target, "rows": rows}
    takes = duration(choice, run, explain.Options(**options))
    st.caption(takes + " " + _("The explanation is kept as a run."))
    if pressed:
        elements.submit(settings, "explain", explain.Options, **options)


def duration(choice: Choice, run: tracking.RunInfo, options: explain.Options) -> str:
    """Estimate the duration: from the last explanation, or from the time of the test set."""
    features, of = len(CandidateRun.of(run).features) or 1, run.metrics
    if not {"seconds_predict_test", "rows_test"} <= of.keys():
        return _("It takes seconds to minutes, longer with more rows.")
    count = explain.predicted_rows(options, features, int(of["rows_test"]))
    seconds = FIXED_SECONDS + count * of["seconds_predict_test"] / of["rows_test"]
    if (last := newest(choice, "model")) and last.ended:
        same = options.model_copy(update={"rows": int(last.metrics["rows_explained"])})
        before = explain.predicted_rows(same, features, int(of["rows_test"]))
        seconds = (last.ended - last.started) * count / before
    estimate = (
        n_("{count} minute", "{count} minutes", round(seconds / 60))
        if seconds > 90
        else f"{number(max(round(seconds, -1), 10), '.0f')} s"
    )
    return _(
        "About {predictions:,} predictions are needed: this takes about {estimate}.",
        predictions=count,
        estimate=estimate,
    )


def in_general(choice: Choice, explained: tracking.RunInfo) -> None:
    of = explained.metrics
    same_rows(choice, explained, int(of["rows_explained"]))
    important, contributions = (
        stored_table(explained, "importance"),
        stored_table(explained, "shap"),
    )
    size = contributions["contribution"].abs().groupby(contributions["feature"]).mean()
    first = important.iloc[0]
    elements.figures(
        [
            (
                _("Most important"),
                str(first["feature"]),
                _("log loss +{increase:.4f} when shuffled", increase=first["mean"]),
            ),
            (
                _("Largest contribution"),
                str(size.idxmax()),
                _("{points:.1f} points on average", points=100 * size.max()),
            ),
            (
                _("Base"),
                number(of["base"], ".1%"),
                _("mean of {rows:.0f} rows", rows=of["rows_background"]),
            ),
        ]
    )
    if late := [
        name for name in important["feature"] if is_known(name) and spec.recorded_after(name)
    ]:
        st.caption(
            _(
                "Recorded only after the outcome: {features}. A model that uses such features "
                "cannot predict.",
                features=late,
            )
        )
    st.markdown(_("**Feature importance**"))
    elements.chart(explanation_charts.importance_bars(important))
    st.caption(
        _(
            "Increase of log loss when a feature is shuffled among {rows:,.0f} test rows, with "
            "its 95% interval; where that reaches 0, no importance is shown. Of two correlated "
            "features either can replace the other, so both look unimportant.",
            rows=of["rows_importance"],
        )
    )
    st.markdown(_("**Contribution of each feature to single predictions**"))
    elements.chart(explanation_charts.contribution_strip(contributions))
    st.caption(
        _(
            "SHAP values: a point is a row. To the right, its value raises the probability "
            "of {positive}; to the left, it lowers it. The points of a row add up to its "
            "probability minus the base of {base:.1%}. A contribution is not a cause of the "
            "outcome: the model knows correlations only.",
            positive=project.words(spec.positive),
            base=of["base"],
        )
    )
    st.markdown(_("**Partial dependence**"))
    table = stored_table(explained, "partial")
    names = [
        name
        for name in size.sort_values(ascending=False, kind="stable").index
        if name in set(table["feature"])
    ]
    name = st.selectbox(_("Feature"), names, key="feature")
    elements.chart(
        explanation_charts.partial_dependence(
            table[table["feature"] == name], axis_title=f"{name}: {about(name)}"
        )
    )
    st.caption(
        _(
            "The mean probability of {positive} if all test rows had this value and were "
            "otherwise unchanged; the middle 80% of the rows lie between the pale ends. Such "
            "rows may not exist.",
            positive=project.words(spec.positive),
        )
        + companions(choice, name)
    )


def is_known(name: str) -> bool:
    """Return whether the project has this feature; a model may have others."""
    return name in spec.columns or name in spec.engineered


def about(name: str) -> str:
    """Return the description of a feature, its name if the project has no such feature."""
    return str(project.words(spec.about(name))) if is_known(name) else name


def companions(choice: Choice, name: str) -> str:
    """Return a sentence on the inputs that are correlated with a feature; empty for none."""
    rows = elements.table(settings, STORE, choice.run_id, "test_predictions")
    rows = rows.drop(columns=[PROBABILITY, PREDICTED, LABEL])
    correlations = explanation.companions(rows, name).head(3)
    if correlations.empty:
        return ""
    return " " + _(
        "{feature} is correlated with {others}.",
        feature=name,
        others=[f"{other} ({number(r, '+.2f')})" for other, r in correlations.items()],
    )


def same_rows(choice: Choice, explained: tracking.RunInfo, rows: int) -> None:
    """State when and on which rows it was made, and whether the sets have changed since."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            n_(
                "{count:,} row of the test set of its own training, explained {ago}",
                "{count:,} rows of the test set of its own training, explained {ago}",
                rows,
                ago=elements.ago(explained.ended or explained.started),
            ),
            width="content",
        )
        if explained.is_sample:
            elements.sample_badge()
        elements.run_link(explained.run_id, "Explicacao")
    trained = tracking.run(settings, choice.train_run) if choice.train_run else None
    prepared = storage.current_prepared(settings)
    if prepared and trained and trained.params.get("prepared_by") != prepared.run_id:
        st.warning(
            _(
                "The prepared sets changed since this model was trained. Train again to explain a "
                "model of the current rows."
            )
        )


def ask_row(choice: Choice, run: tracking.RunInfo) -> None:
    tested = elements.table(settings, STORE, choice.run_id, "test_predictions")
    rows = elements.table(settings, STORE, choice.train_run, "test_rows")
    ids = rows[spec.id].astype(str).tolist()
    offered = suggestions(tested, ids)
    picked = st.selectbox(
        _("Test row: choose one, or type its {column}", column=spec.id),
        list(offered),
        format_func=lambda row_id: offered.get(row_id, row_id),
        accept_new_options=True,
        key=f"start-{choice.run_id}",
    )
    if picked not in ids:
        st.error(
            _(
                "None of the {rows:,} test rows has the {column} {value}. Choose one of the "
                "suggested rows, or type another.",
                column=spec.id,
                value=elements.plain(str(picked)),
                rows=len(ids),
            )
        )
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
    sent = st.button(_("Explain this row"), type="primary", icon=":material/lightbulb:")
    st.caption(_("It takes some seconds. Change values to explain a row of your own."))
    if sent:
        given = {"test_row": picked} if row == start else {"row": row}
        elements.submit(settings, "explain", explain.Options, target=choice.target, **given)


def suggestions(tested: pd.DataFrame, ids: list[str]) -> dict[str, str]:
    """Return some interesting rows, by their id."""
    probability, label = tested[PROBABILITY], tested[LABEL]
    missed, made = probability[label == 0], probability[label == 1]
    offered = {ids[0]: _("the first one")}
    for place, why in (
        (probability.idxmax(), Message("highest probability")),
        (probability.idxmin(), Message("lowest probability")),
        (missed.idxmax() if len(missed) else None, project.words(spec.negative)),
        (made.idxmin() if len(made) else None, project.words(spec.positive)),
    ):
        if place is not None:
            text = f"{why}, {number(probability[place], '.1%')}"
            offered.setdefault(ids[int(place)], text)
    return {row_id: f"{row_id}: {why}" for row_id, why in offered.items()}


def of_row(run: tracking.RunInfo, explained: tracking.RunInfo) -> None:
    of, test_row = explained.metrics, explained.params.get("test_row", "–")
    is_test_row = "label" in of
    st.subheader(_("Last explained row"), anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        ago = elements.ago(explained.ended or explained.started)
        st.markdown(
            _(
                "{column} {value} of the test set, explained {ago}",
                column=elements.plain(spec.id),
                value=elements.plain(test_row),
                ago=ago,
            )
            if is_test_row
            else _("A row that was typed in, explained {ago}", ago=ago),
            width="content",
        )
        if explained.is_sample:
            elements.sample_badge()
        elements.run_link(explained.run_id, "Explicacao")
    probability, base = of["probability"], of["base"]
    shown = [
        (
            _("Probability"),
            number(probability, ".1%"),
            _("of {positive}", positive=project.words(spec.positive)),
        ),
        (
            _("Base"),
            number(base, ".1%"),
            _("mean of {rows:.0f} test rows", rows=of["rows_background"]),
        ),
    ]
    if is_test_row:
        word = spec.positive if of["label"] == 1 else spec.negative
        shown.append((_("Actual"), str(project.words(word)), _("its label")))
    elements.figures(shown)
    table = stored_table(explained, "contributions")
    elements.chart(explanation_charts.waterfall(table, base, probability))
    exact = len(table) <= explanation.EXACT_FEATURES
    st.caption(
        _(
            "From the base to this row's probability, the largest step first: the SHAP value "
            "of each feature, in percentage points, compared with usual rows. A step does not "
            "show what another value would have caused."
        )
        + " "
        + (
            _("The values are exact.")
            if exact
            else _("The values are estimated over random orders.")
        )
    )


with elements.show_errors():
    elements.header(
        _("Explain"),
        _(
            "What a model's probabilities depend on: the importance of each feature, and its "
            "contribution to single predictions."
        ),
    )
    elements.wait_for_store()
    offered = choices()
    if not offered:
        st.info(_("There is no model to explain yet. Train one first."))
        st.page_link("pages/train/page.py", label=_("Go to Train"), icon=":material/arrow_forward:")
        code_snippets.panel(settings, "explain")
        st.stop()
    asked = st.query_params.get("target")  # of a link on another page; may be a run
    wanted = [
        choice.target for choice in offered.values() if asked in (choice.target, choice.run_id)
    ]
    choice = offered[
        st.selectbox(
            _("Model"),
            list(offered),
            format_func=lambda target: offered[target].title,
            key="model",
            index=list(offered).index(wanted[0]) if wanted else 0,
        )
    ]
    model_run = tracking.run(settings, choice.run_id)
    if model_run is None:
        st.error(
            _("The run that trained this model is gone, and its test set with it. Train again.")
        )
        code_snippets.panel(settings, "explain")
        st.stop()
    elements.run_link(model_run.run_id, elements.words(model_run.name))
    view = st.segmented_control(
        _("View"),
        list(VIEWS),
        format_func=lambda name: str(VIEWS[name]),
        default="model",
        required=True,
        key="view",
        label_visibility="collapsed",
    )
    with elements.show_errors():
        if view == "model":
            ask_in_general(choice, model_run)
        else:
            ask_row(choice, model_run)
    elements.job_panel(settings, "explain")
    explained = newest(choice, view)
    if explained is None and view == "model":
        st.info(_("This model is not explained yet. Press Explain."))
    elif explained is None:
        st.info(_("No row of this model is explained yet. Choose one and press Explain this row."))
    elif view == "model":
        in_general(choice, explained)
    else:
        of_row(model_run, explained)
code_snippets.panel(settings, "explain")
