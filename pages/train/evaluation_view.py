"""The results of a training: the best candidate, all side by side, and their differences."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, Words, _, listed, number, p_, sentences
from core.platform.project import ProjectSpec
from core.stats import metrics, performance
from core.stats.charts import models as model_charts
from core.stats.check import THRESHOLD_TODO, one_sentence, threshold_fact
from core.training import candidates as kinds
from core.training import evaluation_charts, learning, sample_weights
from core.training.records import TrainingRun
from pages.shared import aliases as alias_words
from pages.shared import elements, navigation, table_texts
from pages.train import candidate_view

CURVES = {
    "probabilities": Message("Calibration"),
    "ranking": Message("Ranking"),
    "training": Message("Folds"),
}
# the part of the results that is shown
SIDE = "train-results"
SIDES = {"all": Message("Compare"), "one": Message("Details")}
# columns of the leaderboard that fit the page
USUAL = ("best", "name", "log_loss_cv", "log_loss_test", "roc_auc_test", "f1_test")
ALL = (
    "best",
    "name",
    "view",
    "log_loss_cv",
    "log_loss_cv_std",
    *(f"{name}_test" for name in metrics.TITLES),
    "threshold",
    "rows_fit",
    "seconds_fit",
    "run",
)
FORMATS = {
    **dict.fromkeys(("log_loss_cv", "log_loss_cv_std"), ".4f"),
    **{f"{name}_test": ".4f" for name in metrics.TITLES},
    "threshold": ".3f",
    "rows_fit": ",",
    "seconds_fit": ".1f",
}


def draw(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo | None) -> None:
    """Draw the results of the last training, or say that there is none."""
    if run is None:
        st.info(_("There is no model yet. Train one first."))
        navigation.step_link("train", _("Candidates"), view="candidates")
        return
    table = elements.table(settings, run.run_id, "comparison")
    table = table.sort_values("log_loss_cv", kind="stable", ignore_index=True)
    _best_candidate(settings, spec, run, table)
    elements.choose(_("Candidates"), SIDES, SIDE, default="all", is_bare=True)
    if st.session_state[SIDE] == "one":
        candidate_view.draw(settings, spec, run, table)
        return
    _leaderboard(spec, run, table)
    _paired(settings, run, table)
    _curves(settings, run, table)


def ended_early(settings: Settings) -> None:
    """Show the finished part of a cancelled or failed training."""
    last = tracking.last_run(settings, "train", status=None)
    if last is None or last.status not in ("KILLED", "FAILED"):
        return
    done = tracking.runs(settings, parent=last.run_id, status="FINISHED")
    if done:
        st.info(
            _("The training ended early: nothing was compared or registered. Finished candidates:")
        )
        with st.container(horizontal=True):
            for candidate in reversed(done):
                loss = candidate.metrics.get("log_loss_cv", float("nan"))
                titled = f"{elements.words(candidate.name)}, {_('Log loss, folds')}"
                navigation.run_link(candidate.run_id, f"{titled} {number(loss, '.4f')},")


def _best_candidate(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, table: pd.DataFrame
) -> None:
    best = table[table["model"] == run.params["best"]].iloc[0]
    st.subheader(elements.named(_("Best"), kinds.title(best["model"])), anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        if text := _registered(settings, spec, run):
            st.markdown(text, width="content")
            navigation.go_to("promote")
        elements.mark_sample(settings, run)
    base = best["log_loss_test"] / (1 - best["skill_test"])
    threshold = float(run.params["threshold"])
    notes = {
        "log_loss": elements.without_skill(base),
        "roc_auc": elements.without_skill(0.5, ".1f"),
        "average_precision": _base_rate(run),
        "f1": elements.named(_("Threshold"), number(threshold, ".3g")),
    }
    usual = ("log_loss", "roc_auc", "f1")
    # as many metrics as fit in one line
    shown = usual if spec.metric == "log_loss" else (spec.metric, "log_loss", "f1")
    elements.figures(
        [
            *(
                (
                    _("{metric}, test", metric=str(metrics.TITLES[name])),
                    number(best[f"{name}_test"], ".4f"),
                    _noted(best, name, notes[name]),
                )
                for name in shown
            ),
            (
                _("Rows fitted on"),
                number(best["rows_fit"]),
                _("of {count:,} rows", count=int(run.metrics["rows_train"])),
            ),
        ]
    )
    if state := performance.threshold_state(
        {"positive_rate": best.get("positive_rate_test", 0.5), "f1": best["f1_test"]}
    ):
        fact = threshold_fact(state, project.words(spec.positive))
        text = str(sentences(one_sentence(fact), THRESHOLD_TODO))
        st.warning(text, icon=":material/tune:")
    if spec.metric != "log_loss":
        st.caption(_about_the_best())
    trained = TrainingRun.of(run)
    if trained.weights:
        text = str(sample_weights.sentence(trained.weights, trained.unweighted))
        st.caption(elements.plain(text))
    for model, reason in _left_out(settings, run):
        st.warning(
            _(
                "{model} was excluded: {reason}",
                model=kinds.title(model),
                reason=elements.fact(reason),
            )
        )


def _about_the_best() -> str:
    return _(
        "The best has the lowest log loss in the folds of the training set; the other metrics "
        "are on the test set. Log loss in nats; lower log loss and Brier score are better."
    )


def _registered(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> str:
    """Return which version this training registered; empty for none."""
    versions = [
        version
        for version in model_store.versions(settings, spec.model)
        if version.about.train_run == run.run_id
    ]
    if not versions:
        return ""
    version = versions[-1]
    served = version.about.rows_served
    # the first version is both: its role for callers counts
    held = [alias for alias in version.aliases if alias == model_store.CHAMPION]
    aliases = f" ({alias_words.listed(held or version.aliases)})" if version.aliases else ""
    text = _(
        "Registered as **version {version}**{aliases} of {model}.",
        version=version.version,
        aliases=aliases,
        model=spec.model,
    )
    if version.about.evaluated_model and served:
        text += " " + _(
            "Refitted for serving on all {rows:,} labelled rows; the metrics are of the fit on "
            "the training rows.",
            rows=served,
        )
    return text


def _base_rate(run: tracking.RunInfo) -> str:
    """Return what average precision is by chance; empty for a training that does not say."""
    base = run.metrics.get("base_rate_test")
    return "" if base is None else elements.without_skill(base, ".3f")


def _noted(row: pd.Series, name: str, note: str) -> str:
    """Return the interval of a metric, if it is known, and a note."""
    low, high = (row.get(f"{name}_test_{end}") for end in ("low", "high"))
    if pd.isna(low) or pd.isna(high):
        return note
    interval = f"{number(low, '.3f')}–{number(high, '.3f')}"
    return f"{interval}; {note}" if note else interval


def _left_out(settings: Settings, run: tracking.RunInfo) -> list[tuple[str, str]]:
    if not run.params.get("left_out"):
        return []
    table = elements.table(settings, run.run_id, "left_out")
    return list(table.itertuples(index=False, name=None))


def _leaderboard(spec: ProjectSpec, run: tracking.RunInfo, table: pd.DataFrame) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            _("**How do the candidates compare?** Select a row to see it in depth."),
            width="stretch",
            help=_about_the_best(),
        )
        every = st.toggle(_("All columns"), key="all-columns", width="content")
    shown = table.assign(
        name=[str(kinds.title(model)) for model in table["model"]],
        best=["★" if model == run.params["best"] else "" for model in table["model"]],
        view=[str(kinds.APPROACH_LABELS[kinds.approach(model)]) for model in table["model"]],
        run=[f"/runs?run={run_id}" for run_id in table["run_id"]],
    )

    def take() -> None:
        if rows := st.session_state["leaderboard"]["selection"]["rows"]:
            st.session_state["in-depth"] = table["run_id"].iloc[rows[0]]
            st.session_state[SIDE] = "one"

    st.dataframe(
        table_texts.localized(shown, FORMATS),
        hide_index=True,
        on_select=take,
        selection_mode="single-row",
        key="leaderboard",
        column_order=_columns(ALL if every else USUAL, spec.metric),
        column_config={
            "best": st.column_config.TextColumn(_("Best"), width=60),
            "name": _("Candidate"),
            "view": _("Approach"),
            "log_loss_cv": _("Log loss, folds"),
            "log_loss_cv_std": _("± SD"),
            **{f"{name}_test": str(title) for name, title in metrics.TITLES.items()},
            "log_loss_test": _("{metric}, test", metric=_("Log loss")),
            "threshold": _("Threshold"),
            "rows_fit": _("Rows fitted on"),
            "seconds_fit": _("Seconds"),
            "run": st.column_config.LinkColumn(_("Run"), display_text=p_("link", "open")),
        },
    )


def _columns(names: tuple[str, ...], first: str) -> tuple[str, ...]:
    """Return the columns of the leaderboard, the metric shown first right after the names."""
    if first == "log_loss":
        return names
    place = names.index("log_loss_cv")
    shown = f"{first}_test"
    others = [name for name in names[place:] if name != shown]
    return (*names[:place], shown, *others)


def _paired(settings: Settings, run: tracking.RunInfo, table: pd.DataFrame) -> None:
    """Say whether the other candidates differ from the best by more than chance."""
    try:
        pairs = elements.table(settings, run.run_id, "paired")
    except NotReadyError:
        st.caption(navigation.not_kept("train"))
        return
    if pairs.empty:
        return
    best = kinds.title(run.params["best"])
    pairs = _titled(pairs, table)
    left, right = elements.side_by_side()
    with left:
        st.markdown(
            _("**Is the difference more than chance?**"),
            help=_(
                "Differences on the same test rows, with 95% intervals of a paired bootstrap. "
                "Log loss in nats; lower log loss and Brier score are better."
            ),
        )
        st.markdown(_difference(pairs, best))
        if useless := [
            str(kinds.title(model)) for model in table["model"][table["skill_test"] < 0]
        ]:
            st.markdown(
                _(
                    "Log loss no better than always predicting the base rate: {models}.",
                    models=listed(useless),
                )
            )
        with st.popover(_("Details"), type="tertiary", width="content"):
            elements.fixed_table(
                {
                    _("Candidate"): pairs["model"],
                    _("Difference"): [elements.words(text) for text in pairs["text"]],
                }
            )
    with right:
        elements.chart(
            evaluation_charts.paired_differences(
                pairs, by="model", first=_("candidate"), second=_("the best")
            )
        )


def _difference(pairs: pd.DataFrame, best: Words) -> str:
    """Return in a sentence which candidates differ from the best."""
    names = {
        side: pairs["model"][pairs["better"] == side].tolist() for side in set(pairs["better"])
    }
    parts = []
    if worse := names.get("best"):
        parts.append(_("{names}: worse than {best}.", names=worse, best=best))
    if alike := names.get("alike"):
        parts.append(_("{names}: may be as good as {best}.", names=alike, best=best))
    if better := names.get("model"):
        parts.append(_("{names}: better than {best} on the test set.", names=better, best=best))
    return " ".join(parts)


def _curves(settings: Settings, run: tracking.RunInfo, comparison: pd.DataFrame) -> None:
    """Draw the curves of all candidates in related pairs."""
    chosen = elements.choose(_("View"), CURVES, "curves", default="probabilities", is_bare=True)

    def table(name: str) -> pd.DataFrame:
        stored = elements.table(settings, run.run_id, name)
        return _titled(stored, comparison) if "model" in stored else stored

    left, right = elements.side_by_side()
    on_test = _("Test set")
    if chosen == "probabilities":
        with left:
            st.markdown(_("**Do predicted probabilities match outcomes?**"), help=on_test)
            elements.chart(model_charts.calibration_curve(table("calibration")))
        with right, elements.show_errors():
            st.markdown(_("**How many positives are among the most probable rows?**"), help=on_test)
            elements.chart(evaluation_charts.gain_curve(table("gain")))
    elif chosen == "ranking":
        with left:
            st.markdown(_("**Do positives rank above negatives?**"), help=on_test)
            elements.chart(model_charts.roc_curve(table("roc")))
        with right, elements.show_errors():
            base = _child(settings, run).metrics.get("base_rate_test")
            elements.chart(evaluation_charts.pr_curve(table("pr"), base_rate=base))
    else:
        with left:
            st.markdown(_("**Does log loss vary between folds?**"))
            spread = table("folds").rename(columns={"log_loss": "value"})
            elements.chart(model_charts.cv_spread(spread, _("Log loss")))
        with right:
            _learning(settings, run)


def _learning(settings: Settings, run: tracking.RunInfo) -> None:
    title = _("**Would more training rows help the best candidate?**")
    try:
        curve = elements.table(settings, run.run_id, "learning")
    except NotReadyError:
        st.markdown(title)
        st.caption(navigation.not_kept("train"))
        return
    st.markdown(title, help=_("Mean and range of {folds} folds", folds=learning.FOLDS))
    elements.chart(evaluation_charts.learning_curve(curve, _("Log loss")))
    st.caption(str(learning.sentence(curve)))


def _child(settings: Settings, run: tracking.RunInfo) -> tracking.RunInfo:
    best = tracking.run(settings, TrainingRun.of(run).best_run)
    return best or run


def _titled(table: pd.DataFrame, comparison: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the titles of candidates, which it has by their code or stored name."""
    names = {
        stored: str(kinds.title(model))
        for column in ("name", "model")
        for stored, model in zip(comparison[column], comparison["model"], strict=True)
    }
    titles = [names.get(model, elements.words(model)) for model in table["model"]]
    return table.assign(model=titles)
