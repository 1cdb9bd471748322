"""The results of a training: all candidates side by side, then one of them in depth."""

from __future__ import annotations

import pandas as pd

from core.platform import tracking
from core.platform.config import Settings
from core.platform.plugins import part
from core.platform.project import ProjectSpec
from core.stats import metrics
from core.stats.charts import models as model_charts
from core.training import evaluation, evaluation_charts, learning
from core.training.records import CandidateRun, TrainingRun
from pages.shared import elements
from pages.shared.bilingual import st

FINDINGS = {
    "biased": ":red-badge[biased]",
    "no_skill": ":orange-badge[no skill]",
    "ok": ":green-badge[ok]",
    "too_few": ":gray-badge[too few rows]",
}
SETS = {evaluation.VALIDATION: "Validation folds", evaluation.TEST: "Test set"}
# rows of the slices' table shown at first
FIRST_SLICES = 8


def paired(settings: Settings, run: tracking.RunInfo) -> None:
    """State for each other candidate whether it differs from the best by more than chance."""
    try:
        pairs = elements.table(settings, settings.mlflow_uri, run.run_id, "paired")
    except elements.NotReadyError:
        st.caption("This training was made before candidates were compared in pairs. Train again.")
        return
    if pairs.empty:
        return
    best = _best(settings, run)
    st.markdown("**Is the difference more than chance?**")
    left, right = elements.side_by_side()
    with left:
        elements.chart(
            evaluation_charts.paired_differences(
                pairs, by="model", first="candidate", second="the best"
            )
        )
    with right:
        st.table(
            pd.DataFrame({"Candidate": pairs["model"], f"Against {best['name']}": pairs["text"]}),
            hide_index=True,
        )
        st.caption(
            "Differences of log loss on the same rows of the test set (nats; below 0 is better "
            "than the best), with 95% intervals from a paired bootstrap of 500 draws."
        )


def curves(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Draw the curves of all candidates in related pairs."""
    views = ("Probabilities", "Ranking", "Training")
    chosen = st.segmented_control(
        "Curves",
        views,
        default=views[0],
        required=True,
        key="curves",
        help="Probabilities: calibration and gain. Ranking: ROC and precision against recall. "
        "Training: the folds, and what more rows would bring.",
    )

    def table(name: str) -> pd.DataFrame:
        return elements.table(settings, settings.mlflow_uri, run.run_id, name)

    left, right = elements.side_by_side()
    if chosen == "Probabilities":
        with left:
            st.markdown("**Calibration, test set**")
            elements.chart(model_charts.calibration_curve(table("calibration")))
        with right, elements.show_errors():
            st.markdown("**Gain, test set**")
            elements.chart(evaluation_charts.gain_curve(table("gain")))
    elif chosen == "Ranking":
        with left:
            st.markdown("**ROC curve, test set**")
            elements.chart(model_charts.roc_curve(table("roc")))
        with right, elements.show_errors():
            st.markdown("**Precision against recall, test set**")
            base = _child(settings, run).metrics.get("base_rate_test")
            elements.chart(evaluation_charts.pr_curve(table("pr"), base_rate=base))
    else:
        with left:
            st.markdown("**Log loss in each fold**")
            spread = table("folds").rename(columns={"log_loss": "value"})
            elements.chart(model_charts.cv_spread(spread, "Log loss (nats)"))
        with right:
            st.markdown("**Learning curve of the best**")
            _learning(settings, run)


def _learning(settings: Settings, run: tracking.RunInfo) -> None:
    try:
        curve = elements.table(settings, settings.mlflow_uri, run.run_id, "learning")
    except elements.NotReadyError:
        st.caption("It was not drawn in this training: see the limit under 'Threshold and more'.")
        return
    elements.chart(evaluation_charts.learning_curve(curve, "Log loss (nats)"))
    st.caption(
        f"{learning.sentence(curve)} Mean and range of {learning.FOLDS} folds of the training set."
    )


def in_depth(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Show one candidate in depth: metrics, threshold, slices, court."""
    table = elements.table(settings, settings.mlflow_uri, run.run_id, "comparison")
    names = dict(zip(table["run_id"], table["name"], strict=True))
    best = _best(settings, run)["run_id"]
    order = sorted(names, key=lambda run_id: run_id != best)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Candidate", order, format_func=names.__getitem__, key="in-depth")
        has_court = spec.court is not None and part(spec.name, "court") is not None
        views = ["Figures", "Threshold", "Slices", *(["Court"] if has_court else [])]
        view = st.segmented_control(
            "View", views, default=views[0], required=True, key="view", label_visibility="collapsed"
        )
    candidate = tracking.run(settings, chosen)
    if candidate is None:
        st.error("The run of this candidate was deleted. Train again.")
        return
    with st.container(horizontal=True):
        elements.run_link(chosen, "Its run")
        st.page_link(
            "pages/explain/page.py",
            label="Explain it",
            icon=":material/lightbulb:",
            query_params={"target": chosen},
        )
    if view == "Figures":
        _figures(candidate)
    elif view == "Threshold":
        _threshold(settings, spec, candidate)
    elif view == "Slices":
        _slices(settings, candidate)
    else:
        _court(settings, spec, candidate)


def _figures(candidate: tracking.RunInfo) -> None:
    measured = candidate.metrics
    base = measured["base_rate_test"]
    threshold = float(candidate.params["threshold"])
    guess = metrics.base_rate_log_loss(base) if 0 < base < 1 else float("nan")
    labelled = f"at threshold {threshold:.3f}"
    notes = {
        "log_loss": f"nats; always forecasting the base rate gives {guess:.4f}",
        "skill": "0 is the base rate, 1 is perfect",
        "roc_auc": "0.5 is chance",
        "average_precision": f"guessing gives {base:.4f}",
        "brier_score": f"always forecasting the base rate gives {base * (1 - base):.4f}",
        "f1": labelled,
        "precision": labelled,
        "recall": labelled,
        "accuracy": labelled,
    }
    rows = [(title, name, notes[name]) for name, title in metrics.TITLES.items()]
    floor = measured["calibration_floor_test"]
    error = measured["calibration_error_test"]
    meaning = "more than chance" if error > floor else "not more than chance"
    rows += [
        (
            "Calibration error",
            "calibration_error",
            f"{meaning}: a perfect forecast stays below {floor:.4f} in 95% of cases",
        ),
        ("Mean forecast minus observed", "calibration", f"observed {base:.1%}"),
        ("Brier: reliability", "brier_reliability", "what bad calibration costs; 0 is best"),
        ("Brier: resolution", "brier_resolution", "what telling rows apart gains; more is better"),
        ("Brier: uncertainty", "brier_uncertainty", "what the labels themselves leave open"),
    ]
    shown = [
        (title, elements.metric_text(measured, f"{name}_test"), _interval(measured, name), note)
        for title, name, note in rows
    ]
    st.table(
        pd.DataFrame(shown, columns=["Figure, test set", "Value", "95% interval", "Compare with"]),
        hide_index=True,
    )
    st.caption(
        f"{measured['rows_test']:,.0f} rows that no choice has looked at. Intervals: 200 bootstrap "
        "draws of these rows. Brier score = reliability - resolution + uncertainty."
    )


def _interval(measured: dict[str, float], name: str) -> str:
    ends = [measured.get(f"{name}_test_{end}") for end in ("low", "high")]
    return "–" if None in ends else f"{ends[0]:.4f} to {ends[1]:.4f}"


@st.fragment
@elements.show_errors()
def _threshold(settings: Settings, spec: ProjectSpec, candidate: tracking.RunInfo) -> None:
    kept = float(candidate.params["threshold"])
    st.caption(CandidateRun.of(candidate).threshold_choice)
    table = elements.table(settings, settings.mlflow_uri, candidate.run_id, "thresholds")
    rows = st.segmented_control(
        "Rows",
        list(SETS),
        default=evaluation.VALIDATION,
        required=True,
        format_func=SETS.__getitem__,
        key="threshold-rows",
        help="Choose on the validation folds. The test set is there to report: a threshold that "
        "is chosen on it looks better there than it is.",
    )
    value = st.slider(
        "Threshold", 0.0, 1.0, round(kept, 2), 0.01, key=f"threshold-{candidate.run_id}"
    )
    of_set = table[table["set"] == rows].reset_index(drop=True)
    at = of_set.iloc[(of_set["threshold"] - value).abs().argmin()]
    own = of_set.iloc[(of_set["threshold"] - kept).abs().argmin()]

    def compared(name: str) -> str:
        return "–" if pd.isna(own[name]) else f"{own[name]:.1%} at its own, {kept:.2f}"

    def share(name: str) -> str:
        return "–" if pd.isna(at[name]) else f"{at[name]:.1%}"

    titles = {
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1",
        "accuracy": "Accuracy",
        "share_positive": f"Labelled '{spec.positive}'",
    }
    elements.figures([(title, share(name), compared(name)) for name, title in titles.items()])
    left, right = elements.side_by_side()
    with left:
        st.markdown(f"**Labels at {value:.2f}, {SETS[rows].lower()}**")
        counts = pd.DataFrame(
            [(0, 0, at["tn"]), (0, 1, at["fp"]), (1, 0, at["fn"]), (1, 1, at["tp"])],
            columns=["actual", "predicted", "rows"],
        ).astype("int64")
        elements.chart(
            model_charts.confusion(counts, positive=spec.positive, negative=spec.negative)
        )
    with right:
        st.markdown("**What a threshold trades**")
        elements.chart(evaluation_charts.threshold_trade_off(of_set, value))
    st.caption(
        "Moving the slider changes nothing that is kept. Choose an aim before training, or another "
        "threshold when you promote, on Registry."
    )


def _slices(settings: Settings, candidate: tracking.RunInfo) -> None:
    slices = elements.table(settings, settings.mlflow_uri, candidate.run_id, "slices")
    if slices.empty:
        st.info("The project names no columns by which errors are judged.")
        return
    flagged = slices["finding"].isin(("biased", "no_skill"))
    judged = slices["finding"].ne("too_few")
    worst = slices.iloc[0]
    if flagged.any():
        st.warning(
            f"{flagged.sum()} of {judged.sum()} slices are flagged. The worst is "
            f"{elements.plain(worst['column'])} = {elements.plain(worst['value'])}. "
            f"{elements.plain(worst['text'])}"
        )
    else:
        st.success(
            f"On none of {judged.sum()} slices is the model shown to be wrong by more than 5 "
            "points, or worse than the slice's own base rate."
        )
    left, right = elements.side_by_side()
    with left:
        elements.chart(evaluation_charts.slice_gaps(slices))
    with right:
        first = slices.head(FIRST_SLICES)
        st.table(
            pd.DataFrame(
                {
                    "Slice": first["column"].map(elements.plain)
                    + " = "
                    + first["value"].map(elements.plain),
                    "Finding": first["finding"].map(FINDINGS),
                    "What it means": first["text"].map(elements.plain),
                }
            ),
            hide_index=True,
        )
        st.caption(f"The worst {len(first)} of {len(slices)}; all are below.")
    with st.expander(f"All {len(slices)} slices"):
        number = st.column_config.NumberColumn
        st.dataframe(
            slices,
            hide_index=True,
            column_config={
                "column": "Column",
                "value": "Value",
                "rows": number("Rows", format="localized"),
                "base_rate": number("Observed", format="percent"),
                "mean_probability": number("Mean forecast", format="percent"),
                "gap": number("Forecast minus observed", format="%+.4f"),
                "low": number("95% from", format="%+.4f"),
                "high": number("95% to", format="%+.4f"),
                "log_loss": number("Log loss (nats)", format="%.4f"),
                "skill": number("Skill over its own base rate", format="%.4f"),
                "roc_auc": number("ROC AUC", format="%.3f"),
                "f1": number("F1", format="%.3f"),
                "finding": "Finding",
                "text": "What it means",
            },
        )
    st.caption(
        "Test set. The intervals allow for the number of slices that are judged (Bonferroni): the "
        "worst of many looks bad by chance."
    )


def _court(settings: Settings, spec: ProjectSpec, candidate: tracking.RunInfo) -> None:
    court = part(spec.name, "court")
    places = elements.table(settings, settings.mlflow_uri, candidate.run_id, "court")
    left, right = elements.side_by_side()
    left.altair_chart(court.residual_chart(places))
    with right:
        st.markdown("**Mean forecast minus observed share, test set**")
        st.markdown(
            "Coloured where forecast and result differ, grey where they agree. "
            + court.residual_sentence(places)
        )
        st.caption(
            f"{places['residual'].notna().sum()} of {len(places)} places have enough labelled rows "
            "to be coloured. With so many places the largest difference is large by chance too: "
            "judge by the slices."
        )


def _best(settings: Settings, run: tracking.RunInfo) -> pd.Series:
    table = elements.table(settings, settings.mlflow_uri, run.run_id, "comparison")
    return table[table["model"] == run.params["best"]].iloc[0]


def _child(settings: Settings, run: tracking.RunInfo) -> tracking.RunInfo:
    best = tracking.run(settings, TrainingRun.of(run).best_run)
    return best or run
