"""Another threshold for a version: its consequences, and a copy of the champion with it."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from core.monitoring.records import ReportRun
from core.platform import permissions, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, _, n_, number, sentences
from core.platform.own_columns import LABEL, PROBABILITY
from core.platform.project import ProjectSpec
from core.platform.runs import ModelVersion, RunInfo
from core.predictions_log import predictions
from core.registry import promote, registry
from core.stats import metrics, thresholds
from core.stats.charts import models as model_charts
from core.training import evaluation, evaluation_charts
from pages.registry.standing import Standing
from pages.shared import elements, login, step_jobs

# whether the form of the champion's threshold is open, and whether a link opened it
OPEN, LINKED = "champion-threshold", "champion-threshold-linked"
# on which rows the consequences are shown
ROWS = {"report": Message("Report"), "folds": Message("Validation folds")}
# fewest labelled rows of a useful report, and how many reports are searched
FEWEST, REPORTS = 100, 10


def asked() -> bool:
    """Open the form of the champion's threshold if the address says so; return whether."""
    if st.query_params.get("open") == "threshold":
        del st.query_params["open"]
        st.session_state[OPEN] = st.session_state[LINKED] = True
    return bool(st.session_state.get(LINKED)) and bool(st.session_state.get(OPEN))


def draw(now: Standing, follows: Message, *, is_linked: bool) -> None:
    """Draw another threshold for the champion; a copy with it becomes the champion.

    Parameters
    ----------
    follows : Message
        What happens to the live endpoint.
    is_linked : bool
        Whether a link led here, which makes this the page's primary action.
    """
    champion = now.champion
    if champion is None or champion.about.threshold is None:
        return
    version = _("version {version}", version=champion.version)
    form = st.expander(elements.named(_("Threshold"), version), key=OPEN, on_change="rerun")
    if not form.open:
        return

    def press(value: float) -> None:
        if not st.button(
            _("Use"),
            type="primary" if is_linked else "secondary",
            icon=":material/tune:",
            key="use-threshold",
            disabled=not permissions.may("promote") or now.going,
        ):
            return
        if value == champion.about.threshold:
            st.error(str(registry.already_champion(champion)))
            return
        if step_jobs.submit(
            now.settings,
            "promote",
            promote.Options,
            challenger=champion.version,
            threshold=value,
            decided_by=st.session_state.get("decided-by") or login.who(),
        ):
            st.session_state.pop(LINKED, None)
            st.rerun()

    with form:
        if is_linked:
            st.markdown(
                _("The predicted classes fail at the threshold; the probabilities may not.")
            )
        copied = Message("Promotes a copy of the version with that threshold.")
        st.caption(str(sentences(copied, follows)))
        report = None if now.spec.weights else _report(now.settings, champion)
        choose(now.settings, now.spec, champion, press, report)


def _report(settings: Settings, version: ModelVersion) -> RunInfo | None:
    """Return the newest report on a scoring of the version with enough labels."""
    matching = ReportRun.where(model=version.name, version=version.version)
    runs = tracking.runs(
        settings, step="monitor", status="FINISHED", matching=matching, limit=REPORTS
    )
    for run in runs:
        if ReportRun.of(run).scoring_run and run.metrics.get("rows_labelled", 0) >= FEWEST:
            return run
    return None


def choose(
    settings: Settings,
    spec: ProjectSpec,
    version: ModelVersion,
    press: Callable[[float], None] | None = None,
    report: RunInfo | None = None,
) -> float:
    """Draw the choice of another threshold with its consequences, and return it.

    Parameters
    ----------
    press : callable, optional
        Draws the button that uses it, below the choice.
    report : RunInfo, optional
        A report on the version, whose labelled rows show the consequences too.
    """
    key = f"threshold-{version.version}"
    own = version.about.threshold
    if key not in st.session_state:
        st.session_state[key] = round(0.5 if own is None else own, 2)
    # only this fragment reruns while the slider moves
    st.fragment(_consequences)(settings, spec, version, key, press, report)
    return float(st.session_state[key])


@elements.show_errors()
def _consequences(
    settings: Settings,
    spec: ProjectSpec,
    version: ModelVersion,
    key: str,
    press: Callable[[float], None] | None,
    report: RunInfo | None,
) -> None:
    top = st.container()
    chosen = "folds"
    if report is not None:
        chosen = elements.choose(_("Rows"), ROWS, "threshold-rows", default="report", is_bare=True)
    is_of_folds = True
    if report is not None and chosen == "report":
        table = _of_scoring(settings, settings.mlflow_uri, ReportRun.of(report).scoring_run)
    else:
        table, is_of_folds = _trade_off(
            settings, settings.mlflow_uri, version.run_id, by_weight=spec.weights is not None
        )
    with top:
        _best(table, key)
        value = st.slider(_("Threshold"), 0.0, 1.0, step=0.01, key=key)
        if press is not None:
            press(value)
    at = table.iloc[(table["threshold"] - value).abs().argmin()]
    own = version.about.threshold
    positive, negative = elements.classes(spec)
    titles = {
        **{name: str(metrics.TITLES[name]) for name in ("f1", "precision", "recall", "accuracy")},
        "share_positive": _("Predicted {label}", label=positive),
    }
    shown = {
        _("Metric"): list(titles.values()),
        elements.named(_("Threshold"), number(value, ".2f")): [
            _share(at[figure]) for figure in titles
        ],
    }
    if own is not None:
        kept = table.iloc[(table["threshold"] - own).abs().argmin()]
        shown[elements.named(_("Current"), number(own, ".2f"))] = [
            _share(kept[figure]) for figure in titles
        ]
        shown[_("Difference")] = [
            "–"
            if pd.isna(at[figure] - kept[figure])
            else _("{value} points", value=number(100 * (at[figure] - kept[figure]), "+.1f"))
            for figure in titles
        ]
    elements.fixed_table(shown)
    counts = pd.DataFrame(
        [(0, 0, at["tn"]), (0, 1, at["fp"]), (1, 0, at["fn"]), (1, 1, at["tp"])],
        columns=["actual", "predicted", "rows"],
    )
    counts["rows"] = counts["rows"].round()
    counts = counts.astype("int64")
    elements.chart(model_charts.confusion(counts, positive=positive, negative=negative))
    elements.chart(evaluation_charts.threshold_trade_off(table, value))
    total = n_("{count:,} row", "{count:,} rows", int(counts["rows"].sum()))
    if report is not None and chosen == "report":
        st.caption(_about(report))
        return
    kind = elements.words(version.about.rows_name)
    st.caption(
        f"{_('Validation folds')}: {total}{f' ({kind})' if kind else ''}"
        if is_of_folds
        else _("A threshold that is chosen on the test set looks better there than it is.")
    )


def _best(table: pd.DataFrame, key: str) -> None:
    """Draw the buttons that set the threshold to the best one on these rows."""

    def take(place: int) -> None:
        st.session_state[key] = round(float(table["threshold"].iloc[place]), 2)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button(
            str(thresholds.AIM_LABELS["f1"]),
            key=f"{key}-f1",
            on_click=take,
            args=(int(table["f1"].argmax()),),
        )
        with st.popover(str(thresholds.AIM_LABELS["cost"])):
            each = [
                st.number_input(title, min_value=0.0, value=1.0, key=f"{key}-{name}")
                for name, title in (
                    ("fp", _("Cost of a false positive")),
                    ("fn", _("Cost of a false negative")),
                )
            ]
            costs = each[0] * table["fp"] + each[1] * table["fn"]
            st.button(_("Choose"), key=f"{key}-cost", on_click=take, args=(int(costs.argmin()),))


def _share(value: float) -> str:
    return "–" if pd.isna(value) else number(value, ".1%")


@st.cache_data(show_spinner=False, max_entries=16)
def _trade_off(
    _settings: Settings, store: str, run_id: str, *, by_weight: bool
) -> tuple[pd.DataFrame, bool]:
    """Return the consequences of each threshold, and whether on the validation folds.

    Without rows of those they are on the test set.
    """
    if by_weight:
        # the weights are not stored with the predictions
        table = tracking.table(_settings, run_id, "thresholds")
        of_folds = table["set"] == evaluation.VALIDATION
        return table[of_folds].drop(columns="set").reset_index(drop=True), True
    try:
        table, is_of_folds = tracking.table(_settings, run_id, "validation"), True
    except NotReadyError:
        table, is_of_folds = tracking.table(_settings, run_id, "test_predictions"), False
    labels = table[LABEL].to_numpy(dtype="int64")
    probabilities = table[PROBABILITY].to_numpy(dtype="float64")
    return thresholds.trade_off(labels, probabilities), is_of_folds


def _about(report: RunInfo) -> str:
    """Return which rows a report is about, and whether the version was trained on them."""
    text = elements.fact(ReportRun.of(report).window)
    share = report.metrics.get("rows_trained_on", 0) / report.metrics["rows_current"]
    if not share:
        return text
    known = _(
        "{share:.0%} of these rows were in its training set: its performance on them is "
        "overestimated.",
        share=share,
    )
    return f"{text} · {known}"


@st.cache_data(show_spinner=False, max_entries=4)
def _of_scoring(_settings: Settings, store: str, scoring_run: str) -> pd.DataFrame:
    """Return the consequences of each threshold on the labelled rows of a scoring."""
    rows = predictions.read(_settings, scoring_run)
    rows = rows[rows[LABEL].notna()]
    return thresholds.trade_off(
        rows[LABEL].to_numpy(dtype="int64"), rows[PROBABILITY].to_numpy(dtype="float64")
    )
