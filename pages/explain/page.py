"""Explain: what a model's probabilities depend on, globally or for a single row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.platform import model_store, storage, tracking
from core.platform.own_columns import LABEL, PREDICTED, PROBABILITY
from core.training import candidates as kinds
from core.training import explain, explanation, explanation_charts
from core.training.records import CandidateRun, ExplanationRun
from pages.shared import code_snippets, drafts, elements, row_field
from pages.shared.bilingual import st

settings, spec = elements.open_app()
drafts.hold("explain", "rows", "view", "start-*", "input-*")
STORE = settings.mlflow_uri
VIEWS = {"model": "In general", "row": "A single row"}
SIZES = (50, 150, 500)
# time of a job besides predictions: loading the model, drawing and storing the figures
FIXED_SECONDS = 3
LISTED = ("champion", "challenger", "previous")


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
    rank = {alias: place for place, alias in enumerate(LISTED)}
    named = sorted(
        (version for version in versions if version.aliases),
        key=lambda version: min(rank.get(alias, len(rank)) for alias in version.aliases),
    )
    explainable = [of_version(version) for version in named]
    newest = tracking.last_run(settings, "train")
    if newest is not None:
        listed = {choice.run_id for choice in explainable}
        done = tracking.runs(settings, parent=newest.run_id, status="FINISHED")
        done.sort(key=lambda candidate: candidate.metrics.get("log_loss_cv", np.inf))
        explainable += [
            Choice(
                candidate.run_id,
                f"{candidate.name}, of the newest training",
                candidate.run_id,
                newest.run_id,
            )
            for candidate in done
            if candidate.run_id not in listed
        ]
    listed = {choice.run_id for choice in explainable}
    explainable += [
        of_version(version)
        for version in versions
        if not version.aliases and version.run_id not in listed
    ]
    return {choice.target: choice for choice in explainable}


def of_version(version: model_store.ModelVersion) -> Choice:
    kind = version.about.candidate
    called = " and ".join(sorted(version.aliases)).capitalize()
    title = f"{version.version}, {kinds.title(kind)}" if kind else version.version
    return Choice(
        version.version,
        f"{called}: version {title}" if called else f"Version {title}",
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
            "Rows of the test set that are explained one by one",
            SIZES,
            default=SIZES[1],
            required=True,
            key="rows",
            format_func="{:,}".format,
        )
        pressed = st.button("Explain", type="primary", icon=":material/lightbulb:")
    options = {"target": choice.target, "rows": rows}
    st.caption(f"{duration(choice, run, explain.Options(**options))} It is kept as a run.")
    if pressed:
        elements.submit(settings, "explain", explain.Options, **options)


def duration(choice: Choice, run: tracking.RunInfo, options: explain.Options) -> str:
    """Estimate the duration: from the last explanation, or from the time of the test set."""
    features, of = len(CandidateRun.of(run).features) or 1, run.metrics
    if not {"seconds_predict_test", "rows_test"} <= of.keys():
        return "It takes seconds to minutes, longer with more rows."
    count = explain.predicted_rows(options, features, int(of["rows_test"]))
    seconds = FIXED_SECONDS + count * of["seconds_predict_test"] / of["rows_test"]
    if (last := newest(choice, "model")) and last.ended:
        same = options.model_copy(update={"rows": int(last.metrics["rows_explained"])})
        before = explain.predicted_rows(same, features, int(of["rows_test"]))
        seconds = (last.ended - last.started) * count / before
    estimate = (
        f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{max(round(seconds, -1), 10):.0f} s"
    )
    return f"The model is asked about {count:,} times: this takes about {estimate}."


def in_general(choice: Choice, explained: tracking.RunInfo) -> None:
    of = explained.metrics
    same_rows(choice, explained, f"{of['rows_explained']:,.0f} rows")
    important, contributions = (
        stored_table(explained, "importance"),
        stored_table(explained, "shap"),
    )
    size = contributions["contribution"].abs().groupby(contributions["feature"]).mean()
    first = important.iloc[0]
    elements.figures(
        [
            (
                "Needed most",
                str(first["feature"]),
                f"log loss +{first['mean']:.4f} when it is shuffled",
            ),
            ("Moves forecasts most", str(size.idxmax()), f"by {100 * size.max():.1f} points"),
            ("Base", f"{of['base']:.1%}", f"mean of {of['rows_background']:.0f} rows"),
        ]
    )
    if late := [
        name for name in important["feature"] if about(name) != name and spec.recorded_after(name)
    ]:
        st.caption(
            f"Noted only after what is predicted: {', '.join(late)}. A model that leans on them "
            "describes; it does not foresee."
        )
    st.markdown("**Which features the model needs**")
    elements.chart(explanation_charts.importance_bars(important))
    st.caption(
        "How much log loss grows when the values of a feature are shuffled among "
        f"{of['rows_importance']:,.0f} rows of the test set, with its 95% interval; where that "
        "reaches 0, no need is shown. It does not say that a feature is useless: of two that say "
        "nearly the same, either can stand in for the other, and both look unimportant."
    )
    st.markdown("**How far each feature moves single forecasts**")
    elements.chart(explanation_charts.contribution_strip(contributions))
    st.caption(
        "SHAP values: a point is a row. To the right, its value raises the probability of "
        f"{spec.positive}, to the left it lowers it. The points of a row add up to its probability "
        f"minus the base of {of['base']:.1%}. What moves the forecast need not cause the outcome: "
        "the model knows what comes together, not what comes of what."
    )
    st.markdown("**What the model answers along a feature**")
    table = stored_table(explained, "partial")
    names = [
        name
        for name in size.sort_values(ascending=False, kind="stable").index
        if name in set(table["feature"])
    ]
    name = st.selectbox("Feature", names, key="feature")
    elements.chart(
        explanation_charts.partial_dependence(
            table[table["feature"] == name], axis_title=f"{name}: {about(name)}"
        )
    )
    st.caption(
        f"Partial dependence: the mean probability of {spec.positive} if rows of the test set all "
        "had this value and stayed as they are in all else; between the pale ends lie the middle "
        f"80% of the rows. Such rows may not exist{companions(choice, name)}."
    )


def about(name: str) -> str:
    """Return the description of a feature; a model may have features that the project lost."""
    return spec.about(name) if name in spec.columns or name in spec.engineered else name


def companions(choice: Choice, name: str) -> str:
    """Name the inputs that are correlated with a feature."""
    rows = elements.table(settings, STORE, choice.run_id, "test_predictions")
    rows = rows.drop(columns=[PROBABILITY, PREDICTED, LABEL])
    correlations = explanation.companions(rows, name).head(3)
    if correlations.empty:
        return ""
    partners = ", ".join(f"{other} ({r:+.2f})" for other, r in correlations.items())
    return f": {name} changes together with {partners} (correlation)"


def same_rows(choice: Choice, explained: tracking.RunInfo, what: str) -> None:
    """State when and on which rows it was made, and whether the sets have changed since."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"{what} of the test set of its own training, explained "
            f"{elements.ago(explained.ended or explained.started)}",
            width="content",
        )
        if explained.is_sample:
            elements.sample_badge()
        elements.run_link(explained.run_id, "Explicacao")
    trained = tracking.run(settings, choice.train_run) if choice.train_run else None
    prepared = storage.current_prepared(settings)
    if prepared and trained and trained.params.get("prepared_by") != prepared.run_id:
        st.warning(
            "These are older rows: the prepared sets changed since this model was trained. Train "
            "again to explain a model of the rows that stand now."
        )


def ask_row(choice: Choice, run: tracking.RunInfo) -> None:
    tested = elements.table(settings, STORE, choice.run_id, "test_predictions")
    rows = elements.table(settings, STORE, choice.train_run, "test_rows")
    ids = rows[spec.id].astype(str).tolist()
    offered = suggestions(tested, ids)
    picked = st.selectbox(
        f"Start from a row of the test set: choose one, or type its {spec.id}",
        list(offered),
        format_func=lambda row_id: offered.get(row_id, row_id),
        accept_new_options=True,
        key=f"start-{choice.run_id}",
    )
    if picked not in ids:
        st.error(
            f"No row of the test set has the {spec.id} {elements.plain(str(picked))}. It holds "
            f"{len(ids):,} rows; choose one of those that are offered, or type the id of another."
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
    sent = st.button("Explain this row", type="primary", icon=":material/lightbulb:")
    st.caption("It takes some seconds. Change any value to see what a row that you make up gets.")
    if sent:
        given = {"test_row": picked} if row == start else {"row": row}
        elements.submit(settings, "explain", explain.Options, target=choice.target, **given)


def suggestions(tested: pd.DataFrame, ids: list[str]) -> dict[str, str]:
    """Return some interesting rows, by their id."""
    probability, label = tested[PROBABILITY], tested[LABEL]
    missed, made = probability[label == 0], probability[label == 1]
    offered = {ids[0]: "the first one"}
    for place, why in (
        (probability.idxmax(), "the highest forecast,"),
        (probability.idxmin(), "the lowest forecast,"),
        (missed.idxmax() if len(missed) else None, f"{spec.negative}, with a forecast of"),
        (made.idxmin() if len(made) else None, f"{spec.positive}, with a forecast of"),
    ):
        if place is not None:
            offered.setdefault(ids[int(place)], f"{why} {probability[place]:.1%}")
    return {row_id: f"{row_id}: {why}" for row_id, why in offered.items()}


def of_row(run: tracking.RunInfo, explained: tracking.RunInfo) -> None:
    of, test_row = explained.metrics, explained.params.get("test_row", "None")
    is_test_row = "label" in of
    st.subheader("Last explained row", anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        what = f"{spec.id} {test_row} of the test set" if is_test_row else "A row as it was given"
        st.markdown(
            f"{elements.plain(what)}, explained "
            f"{elements.ago(explained.ended or explained.started)}",
            width="content",
        )
        if explained.is_sample:
            elements.sample_badge()
        elements.run_link(explained.run_id, "Explicacao")
    probability, base = of["probability"], of["base"]
    shown = [
        ("Probability", f"{probability:.1%}", f"of {spec.positive}"),
        ("Base", f"{base:.1%}", f"mean of {of['rows_background']:.0f} test rows"),
    ]
    if is_test_row:
        word = spec.positive if of["label"] == 1 else spec.negative
        shown.append(("It was", word, "its label"))
    elements.figures(shown)
    table = stored_table(explained, "contributions")
    elements.chart(explanation_charts.waterfall(table, base, probability))
    exact = len(table) <= explanation.EXACT_FEATURES
    st.caption(
        "From the base to this row's probability, the largest step first: the SHAP value of each "
        f"feature, in percentage points, {'exact' if exact else 'estimated over random orders'}. "
        "A step says how this value moves this forecast, against rows as they usually are. It does "
        "not say what another value would have brought about."
    )


with elements.show_errors():
    elements.header(
        "Explain",
        "What a model's probabilities depend on: which features it needs, how far each moves a "
        "forecast, and why a single row gets the probability it gets.",
    )
    elements.wait_for_store()
    offered = choices()
    if not offered:
        st.info("There is no model to explain yet. Train one first.")
        st.page_link("pages/train/page.py", label="Go to Train", icon=":material/arrow_forward:")
        code_snippets.panel(settings, "explain")
        st.stop()
    asked = st.query_params.get("target")  # of a link on another page; may be a run
    wanted = [
        choice.target for choice in offered.values() if asked in (choice.target, choice.run_id)
    ]
    choice = offered[
        st.selectbox(
            "Model",
            list(offered),
            format_func=lambda target: offered[target].title,
            key="model",
            index=list(offered).index(wanted[0]) if wanted else 0,
        )
    ]
    model_run = tracking.run(settings, choice.run_id)
    if model_run is None:
        st.error("The run that trained this model is gone, and its test set with it. Train again.")
        code_snippets.panel(settings, "explain")
        st.stop()
    elements.run_link(model_run.run_id, model_run.name)
    view = st.segmented_control(
        "View",
        list(VIEWS),
        format_func=VIEWS.__getitem__,
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
        st.info("This model is not explained yet. Press Explain.")
    elif explained is None:
        st.info("No row of this model is explained yet. Choose one and press Explain this row.")
    elif view == "model":
        in_general(choice, explained)
    else:
        of_row(model_run, explained)
code_snippets.panel(settings, "explain")
