"""One candidate of a training in depth: metrics, threshold, slices, and by place."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import project, tracking
from core.platform.config import Settings
from core.platform.messages import Message, Words, _, n_, number, span
from core.platform.plugins import part
from core.platform.project import ProjectSpec
from core.stats import metrics
from core.stats.charts import models as model_charts
from core.stats.charts import places as place_charts
from core.training import candidates as kinds
from core.training import evaluation, evaluation_charts
from core.training.records import CandidateRun, TrainingRun
from pages.shared import elements, navigation, table_texts

FINDINGS = {
    "biased": (Message("biased"), "red"),
    "no_skill": (Message("no skill"), "orange"),
    "ok": (Message("ok"), "green"),
    "too_few": (Message("too few rows"), "gray"),
}
VIEWS = {
    "figures": Message("Metrics"),
    "threshold": Message("Threshold"),
    "slices": Message("Slices"),
    "court": Message("On the court"),
    "places": Message("Place"),
}
SETS = {evaluation.VALIDATION: Message("Validation folds"), evaluation.TEST: Message("Test set")}
# rows of the slices' table shown at first
FIRST_SLICES = 6
CHARTED_SLICES = 10
SLICE_FORMATS = {
    "rows": ",",
    **dict.fromkeys(("base_rate", "mean_probability"), ".1%"),
    **dict.fromkeys(("gap", "low", "high"), "+.4f"),
    **dict.fromkeys(("log_loss", "skill"), ".4f"),
    **dict.fromkeys(("roc_auc", "f1"), ".3f"),
}


def draw(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, table: pd.DataFrame) -> None:
    """Show one candidate in depth: metrics, threshold, slices, or by place.

    Parameters
    ----------
    table : DataFrame
        Its comparison of the candidates.
    """
    titles = {
        run_id: str(kinds.title(model))
        for run_id, model in zip(table["run_id"], table["model"], strict=True)
    }
    best = TrainingRun.of(run).best_run
    order = sorted(titles, key=lambda run_id: run_id != best)
    if st.session_state.get("in-depth") not in titles:
        st.session_state["in-depth"] = order[0]
    candidate = tracking.run(settings, st.session_state["in-depth"])
    has_court = spec.court is not None and part(spec.name, "court") is not None
    has_part = {"court": has_court, "places": spec.place is not None}
    views = {view: title for view, title in VIEWS.items() if has_part.get(view, True)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            _("Candidate"),
            order,
            format_func=titles.__getitem__,
            key="in-depth",
            help=_about_metrics(candidate) if candidate is not None else None,
            width=300,
        )
        view = elements.choose(_("View"), views, "depth-view", default="figures", is_bare=True)
        navigation.step_link("explain", icon=":material/lightbulb:", target=chosen)
        navigation.run_link(chosen)
    if candidate is None:
        st.error(navigation.run_again("train"))
        return
    if view == "figures":
        _figures(spec, candidate)
    elif view == "threshold":
        _threshold(settings, spec, candidate)
    elif view == "slices":
        _slices(settings, candidate)
    elif view == "places":
        _places(settings, spec, candidate)
    else:
        _court(settings, spec, candidate)


def _about_metrics(candidate: tracking.RunInfo) -> str:
    return _(
        "{rows:,.0f} test rows not used for any choice; intervals of 200 bootstrap draws. Log "
        "loss in nats. Brier score = reliability - resolution + uncertainty.",
        rows=candidate.metrics["rows_test"],
    )


def _figures(spec: ProjectSpec, candidate: tracking.RunInfo) -> None:
    measured = candidate.metrics
    base = measured["base_rate_test"]
    threshold = float(candidate.params["threshold"])
    guess = metrics.base_rate_log_loss(base) if 0 < base < 1 else float("nan")
    labelled = elements.named(_("Threshold"), number(threshold, ".3g"))
    notes = {
        "log_loss": elements.without_skill(guess),
        "skill": elements.without_skill(0.0),
        "roc_auc": elements.without_skill(0.5),
        "average_precision": elements.without_skill(base),
        "brier_score": elements.without_skill(base * (1 - base)),
        "f1": labelled,
        "precision": labelled,
        "recall": labelled,
        "accuracy": labelled,
    }
    rows: list[tuple[Words, str, str]] = [
        (metrics.TITLES[name], name, notes[name])
        for name in metrics.ordered(metrics.TITLES, spec.metric)
    ]
    floor = measured["calibration_floor_test"]
    rows += [
        (
            _("Calibration error"),
            "calibration_error",
            elements.named(_("Calibration error by chance, 95% limit"), number(floor, ".4f")),
        ),
        (
            _("Predicted minus observed"),
            "calibration",
            elements.named(_("Observed"), number(base, ".1%")),
        ),
        (_("Brier: reliability"), "brier_reliability", ""),
        (_("Brier: resolution"), "brier_resolution", ""),
        (_("Brier: uncertainty"), "brier_uncertainty", ""),
    ]
    shown = pd.DataFrame(
        [
            (
                str(title),
                elements.metric_text(measured, f"{name}_test"),
                _interval(measured, name),
                note,
            )
            for title, name, note in rows
        ],
        columns=[
            _("{metric}, test", metric=_("Metric")),
            _("Value"),
            _("95% interval"),
            _("Compared with"),
        ],
    )
    half = (len(shown) + 1) // 2
    for place, part_of in zip(
        elements.side_by_side(), (shown.head(half), shown.iloc[half:]), strict=True
    ):
        place.table(part_of, hide_index=True)


def _interval(measured: dict[str, float], name: str) -> str:
    ends = [measured.get(f"{name}_test_{end}") for end in ("low", "high")]
    return "–" if None in ends else span(ends[0], ends[1])


@st.fragment
@elements.show_errors()
def _threshold(settings: Settings, spec: ProjectSpec, candidate: tracking.RunInfo) -> None:
    kept = float(candidate.params["threshold"])
    table = elements.table(settings, candidate.run_id, "thresholds")
    left, right = elements.side_by_side()
    rows = elements.choose(
        _("Rows"),
        SETS,
        "threshold-rows",
        place=left,
        default=evaluation.VALIDATION,
        help=_("A threshold that is chosen on the test set looks better there than it is."),
    )
    value = right.slider(
        _("Threshold"),
        0.0,
        1.0,
        round(kept, 2),
        0.01,
        key=f"threshold-{candidate.run_id}",
        help=elements.words(CandidateRun.of(candidate).threshold_choice)
        + " "
        + _(
            "The slider does not save anything: choose a threshold before training, or when "
            "you promote."
        ),
    )
    of_set = table[table["set"] == rows].reset_index(drop=True)
    at = of_set.iloc[(of_set["threshold"] - value).abs().argmin()]
    own = of_set.iloc[(of_set["threshold"] - kept).abs().argmin()]

    at_own = elements.named(_("Threshold"), number(kept, ".2f"))

    def compared(name: str) -> str:
        return "–" if pd.isna(own[name]) else f"{number(own[name], '.1%')} · {at_own}"

    def share(name: str) -> str:
        return "–" if pd.isna(at[name]) else number(at[name], ".1%")

    positive, negative = (str(project.words(word)) for word in (spec.positive, spec.negative))
    titles = {
        "precision": _("Precision"),
        "recall": _("Recall"),
        "f1": "F1",
        "accuracy": _("Accuracy"),
    }
    elements.figures([(title, share(name), compared(name)) for name, title in titles.items()])
    left, right = elements.side_by_side()
    with left:
        elements.question(_("Is the predicted class right?"))
        counts = pd.DataFrame(
            [(0, 0, at["tn"]), (0, 1, at["fp"]), (1, 0, at["fn"]), (1, 1, at["tp"])],
            columns=["actual", "predicted", "rows"],
        )
        counts["rows"] = counts["rows"].round().astype("int64")
        elements.chart(model_charts.confusion(counts, positive=positive, negative=negative))
        st.caption(
            elements.named(_("Predicted {label}", label=positive), share("share_positive"))
            + f"; {compared('share_positive')}"
        )
    with right:
        elements.question(_("What does another threshold change?"))
        elements.chart(evaluation_charts.threshold_trade_off(of_set, value))


def _slices(settings: Settings, candidate: tracking.RunInfo) -> None:
    slices = elements.table(settings, candidate.run_id, "slices")
    if slices.empty:
        st.info(_("The project names no columns for slices."))
        return
    flagged = slices["finding"].isin(("biased", "no_skill"))
    judged = slices["finding"].ne("too_few")
    worst = slices.iloc[0]
    if flagged.any():
        st.warning(
            n_(
                "{count} of {slices} slices is flagged. The worst: {worst}.",
                "{count} of {slices} slices are flagged. The worst: {worst}.",
                int(flagged.sum()),
                slices=judged.sum(),
                worst=elements.plain(f"{worst['column']} = {worst['value']}"),
            )
            + f" {elements.fact(worst['text'])}"
        )
    else:
        st.success(_("None of {slices} slices stands out.", slices=judged.sum()))
    left, right = elements.side_by_side()
    with left:
        elements.chart(evaluation_charts.slice_gaps(slices, most=CHARTED_SLICES))
    with right:
        first = slices.head(FIRST_SLICES)
        elements.fixed_table(
            {
                _("Slice"): first["column"].map(elements.plain)
                + " = "
                + first["value"].map(elements.plain),
                _("Finding"): [_badge(finding) for finding in first["finding"]],
                _("What it means"): [elements.fact(text) for text in first["text"]],
            }
        )

    with st.expander(elements.counted(_("All"), len(slices))):
        elements.chart(evaluation_charts.slice_gaps(slices))
        st.dataframe(
            table_texts.localized(
                slices.assign(
                    finding=[str(FINDINGS[finding][0]) for finding in slices["finding"]],
                    text=[elements.words(text) for text in slices["text"]],
                ),
                SLICE_FORMATS,
            ),
            hide_index=True,
            column_config={
                "column": _("Column"),
                "value": _("Value"),
                "rows": _("Rows"),
                "base_rate": _("Observed"),
                "mean_probability": _("Mean predicted probability"),
                "gap": _("Predicted minus observed"),
                "low": _("95% lower bound"),
                "high": _("95% upper bound"),
                "log_loss": _("Log loss"),
                "skill": str(metrics.TITLES["skill"]),
                "roc_auc": "ROC AUC",
                "f1": "F1",
                "finding": _("Finding"),
                "text": _("What it means"),
            },
        )
    st.caption(_("The intervals allow for the number of slices (Bonferroni)."))


def _court(settings: Settings, spec: ProjectSpec, candidate: tracking.RunInfo) -> None:
    court = part(spec.name, "court")
    places = elements.table(settings, candidate.run_id, "court")
    left, right = elements.side_by_side()
    left.altair_chart(elements.localized(court.residual_chart(places)))
    with right:
        elements.question(_("Predicted minus observed"))
        st.markdown(str(court.residual_sentence(places)))
        st.caption(_chance(places["residual"]))


def _places(settings: Settings, spec: ProjectSpec, candidate: tracking.RunInfo) -> None:
    assert spec.place is not None
    cells = elements.table(settings, candidate.run_id, "places")
    if cells.empty:
        st.info(_("Nothing to show for these rows."))
        return
    elements.question(_("Where are predictions too high or too low?"))
    elements.chart(place_charts.errors(cells, axes=(spec.place.x, spec.place.y)))
    st.caption(_chance(cells["difference"]))


def _chance(differences: pd.Series) -> str:
    return _(
        "{coloured} of {places} places have enough labelled rows to be coloured; with so many, "
        "one large difference may be chance.",
        coloured=differences.notna().sum(),
        places=len(differences),
    )


def _badge(finding: str) -> str:
    word, colour = FINDINGS[finding]
    return elements.badge(word, colour)
