"""A monitoring report, from the top: the verdict, what changed, the evidence, what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.platform import tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.own_columns import PROBABILITY, shown
from core.platform.project import ProjectSpec
from core.stats.charts import drift as drift_charts
from core.stats.charts import models as model_charts
from core.training import evaluation_charts
from pages.shared import elements
from pages.shared.bilingual import st

LOOKS = {
    "fits": (st.success, ":material/check_circle:"),
    "watch": (st.warning, ":material/visibility:"),
    "investigate": (st.warning, ":material/search:"),
    "does_not_fit": (st.error, ":material/error:"),
    "no_skill": (st.error, ":material/trending_flat:"),
    "cannot_tell": (st.info, ":material/help:"),
    "unknown": (st.info, ":material/help:"),
}
VIEWS = ("Performance", "Columns", "Answers and support")
FIGURES = (
    ("skill", "Skill over base rate", 4),
    ("roc_auc", "ROC AUC", 3),
    ("f1", "F1", 3),
    ("log_loss", "Log loss", 4),
)
# most changes to list, before the rest is left to the evidence
FIRST = 6
WORST_SLICES = 12
COLUMN_KINDS = {
    "psi": ("PSI", "%.3f"),
    "ks": ("KS", "%.3f"),
    "js": ("JS", "%.3f"),
    "chi2": ("Cramér's V", "%.3f"),
    "missing": ("Missing", "percent"),
    "unseen": ("Unseen", "percent"),
    "range": ("Out of range", "percent"),
}
WORDS = {"alert": "alert", "warning": "warning", "ok": "ok", "not_applicable": "not applicable"}


@st.cache_data(show_spinner=False, max_entries=256)
def stored_table(_settings: Settings, store: str, run_id: str, name: str) -> pd.DataFrame | None:
    """Return a table of a report, None without it."""
    try:
        return tracking.table(_settings, run_id, name)
    except NotReadyError:
        return None


@st.cache_data(show_spinner=False, max_entries=64)
def document(_settings: Settings, store: str, run_id: str) -> dict[str, Any]:
    """Return the report as the step wrote it; empty without one."""
    try:
        return tracking.document(_settings, run_id, "report")
    except NotReadyError:
        return {}


@st.cache_data(show_spinner=False, max_entries=64)
def checks_of(_settings: Settings, store: str, run_id: str) -> pd.DataFrame | None:
    """Return the checks of a report with all fields, None without them."""
    checks = stored_table(_settings, store, run_id, "checks")
    return None if checks is None else report_tables.complete(checks)


def draw(build: Callable[[], Any], *key: str) -> None:
    """Draw an immutable chart, cached by its key, which includes its run."""
    st.vega_lite_chart(_drawn(key, build), width="stretch")


@st.cache_data(show_spinner=False, max_entries=128)
def _drawn(key: tuple[str, ...], _build: Callable[[], Any]) -> dict[str, Any]:
    drawing: dict[str, Any] = _build().to_dict()
    return drawing


def show(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Show a finished report from the top."""
    checks = checks_of(settings, settings.mlflow_uri, run.run_id)
    if checks is None:
        st.error("The checks of this report are gone. Press Monitor for a new one.")
        return
    verdict(run)
    st.subheader("What changed", anchor=False)
    changed(checks)
    st.caption(f"{elements.checks_text(run.metrics)}.")
    st.subheader("Evidence", anchor=False)
    figures(run)
    promise(settings, run)
    labels(settings, run)
    evidence(settings, spec, run, checks)


def verdict(run: tracking.RunInfo) -> None:
    """State in one sentence whether the model fits, and for which rows."""
    report = ReportRun.of(run)
    draw, icon = LOOKS.get(report.verdict, LOOKS["unknown"])
    title = elements.plain(report.verdict_title or "This report has no verdict")
    draw(f"## {title}\n\n{elements.plain(report.verdict_text)}", icon=icon)
    about = [
        f"{report.model} version {report.version}",
        report.window,
        f"made {elements.ago(run.started)}",
    ]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            ":small[" + " · ".join(elements.plain(text) for text in about if text) + "]",
            width="content",
        )
        elements.run_link(run.run_id, "Monitoramento")
        if report.scoring_run:
            elements.run_link(report.scoring_run, "Scored by")
        if report.model_run:
            elements.run_link(report.model_run, "Reference from")


def changed(checks: pd.DataFrame) -> None:
    """List what is beyond its limits, the worst first."""
    beyond = report_tables.beyond(checks)
    if not beyond:
        st.markdown("Nothing: no check is beyond its limits.")
        return
    st.markdown(
        "\n".join(
            f"- {elements.VERDICTS[verdict]} **{elements.plain(name)}**: {elements.plain(text)}"
            for verdict, name, text in beyond[:FIRST]
        )
    )
    if len(beyond) > FIRST:
        st.caption(f"And {len(beyond) - FIRST} more, in the tables below.")


def figures(run: tracking.RunInfo) -> None:
    """Draw the few metrics that determine the verdict."""
    of = run.metrics
    rows = [
        (
            "Current rows",
            f"{of.get('rows_current', 0):,.0f}",
            f"{of.get('rows_labelled', 0):,.0f} with label; reference "
            f"{of.get('rows_reference', 0):,.0f}",
        )
    ]
    rows += [
        (
            title,
            f"{of[f'{name}_current']:.{digits}f}",
            f"{of[f'{name}_reference']:.{digits}f} in the reference",
        )
        for name, title, digits in FIGURES
        if f"{name}_current" in of and f"{name}_reference" in of
    ]
    elements.figures(rows)


def promise(settings: Settings, run: tracking.RunInfo) -> None:
    """State the checks' false alarm rate."""
    measured = document(settings, settings.mlflow_uri, run.run_id).get("false_alarms") or {}
    rate = measured.get("rate", run.metrics.get("false_alarms"))
    if rate is None:
        st.caption(
            "How often these limits would alarm for nothing was not measured in this report. "
            "Press Monitor for one that tells it."
        )
        return
    target = measured.get("target", run.metrics.get("false_alarms_target"))
    aim = f" The limits were set for {target:.1%} at most." if target is not None else ""
    st.markdown(
        f":material/verified: Where nothing has changed, at most **{rate:.1%}** of windows of this "
        f"size raise an alert of performance or of a column by chance.{aim}"
    )


def labels(settings: Settings, run: tracking.RunInfo) -> None:
    """State how many labels are in, how many are missing, and how many an alarm would need."""
    of = run.metrics
    rows, known = of.get("rows_current", 0), of.get("rows_labelled", 0)
    missing = rows - known
    needed = document(settings, settings.mlflow_uri, run.run_id).get("labels_needed")
    if needed is None:
        needed = of.get("labels_needed")
    text = f":material/label: Labels: **{known:,.0f}** are in, {missing:,.0f} are missing."
    if isinstance(needed, int | float) and needed == needed:
        enough = ", which are in" if known >= needed else f"; {needed - known:,.0f} more"
        text += f" To see a skill that is gone, an alarm needs about {needed:,.0f} labels{enough}."
    st.markdown(text)


def evidence(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, checks: pd.DataFrame
) -> None:
    """Show the checks of one kind, and their evidence."""
    judged = checks[checks["group"] == "performance"]["verdict"].ne("not_applicable").any()
    view = st.segmented_control(
        "Evidence",
        VIEWS,
        default=VIEWS[0 if judged else 1],
        required=True,
        key="evidence",
        label_visibility="collapsed",
    )
    if view == VIEWS[0]:
        performance(settings, spec, run, checks[checks["group"] == "performance"])
    elif view == VIEWS[1]:
        columns(settings, run, checks)
    else:
        answers(settings, run, checks[checks["group"].isin(("output", "support"))])


def performance(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, checks: pd.DataFrame
) -> None:
    """Show the checks with labels."""
    reasons = checks["text"].unique()
    if len(reasons) == 1 and checks["verdict"].eq("not_applicable").all():
        st.info(f"No check of performance can be made. {elements.plain(_joined(checks)[0])}")
        return
    check_table(checks)
    st.caption(
        "What chance alone does is no alarm: it is in the limits that were learned from the "
        "reference, or the better end of the interval is judged."
    )
    store = settings.mlflow_uri
    confusion = stored_table(settings, store, run.run_id, "confusion")
    reliability = stored_table(settings, store, run.run_id, "reliability")
    slices = stored_table(settings, store, run.run_id, "slices")
    left, right = elements.side_by_side()
    if confusion is not None and len(confusion):
        with left:
            st.markdown("**Labels at the threshold, current rows**")
            counts = of_current(confusion)
            draw(
                lambda: model_charts.confusion(
                    counts, positive=spec.positive, negative=spec.negative
                ),
                run.run_id,
                "confusion",
            )
    if reliability is not None and len(reliability):
        with right:
            st.markdown("**Forecast against observed**")
            named = reliability.rename(columns={"set": "model"})
            if "model" not in named:
                named = named.assign(model="current")
            draw(lambda: model_charts.calibration_curve(named), run.run_id, "reliability")
    if slices is not None and len(slices):
        st.markdown("**Where it errs: the worst slices**")
        worst = report_tables.standing_out(of_current(slices), checks)
        if worst.empty:
            st.markdown("No slice stands out.")
            return
        draw(lambda: evaluation_charts.slice_gaps(worst, most=WORST_SLICES), run.run_id, "slices")


def of_current(table: pd.DataFrame) -> pd.DataFrame:
    """Return the current side of a table with both."""
    if "set" not in table:
        return table
    return table[table["set"] == "current"].drop(columns="set").reset_index(drop=True)


def columns(settings: Settings, run: tracking.RunInfo, checks: pd.DataFrame) -> None:
    """Show one line per input column, and the distribution of the selected one."""
    by_column = report_tables.by_column(checks)
    kinds = [kind for kind in report_tables.KINDS if by_column[kind].notna().any()]
    st.dataframe(
        pd.DataFrame(
            {
                "Column": by_column["column"],
                "Verdict": [[WORDS.get(verdict, verdict)] for verdict in by_column["verdict"]],
                **{COLUMN_KINDS[kind][0]: by_column[kind] for kind in kinds},
                "What it means": _joined(by_column),
            }
        ),
        hide_index=True,
        width="stretch",
        placeholder="–",
        column_config={
            "Column": st.column_config.TextColumn(pinned=True),
            "Verdict": st.column_config.MultiselectColumn(
                options=list(WORDS.values()), color=["red", "orange", "green", "gray"]
            ),
            **{
                title: st.column_config.NumberColumn(format=form)
                for title, form in COLUMN_KINDS.values()
            },
            "What it means": st.column_config.TextColumn(width="large"),
        },
    )
    st.caption(
        "PSI compares shares in ten bins of the reference; KS is the largest distance between the "
        "two distribution functions, JS the Jensen-Shannon distance, Cramér's V the size of a "
        "chi-square of values, all three 0 to 1. Usual limits: PSI and KS 0.1 and 0.2. The verdict "
        "is the worst of a column's checks."
    )
    drift = stored_table(settings, settings.mlflow_uri, run.run_id, "drift")
    if drift is None:
        return
    left, right = elements.side_by_side()
    with left:
        st.markdown("**How far each column moved (PSI)**")
        draw(lambda: drift_charts.psi_bars(drift), run.run_id, "psi")
    with right:
        _density(settings, run, drift)


@st.fragment
@elements.show_errors()
def _density(settings: Settings, run: tracking.RunInfo, drift: pd.DataFrame) -> None:
    ordered = drift.sort_values("psi", ascending=False, kind="stable")["feature"].tolist()
    chosen = st.selectbox("Reference and current of", ordered, format_func=shown, key="feature")
    densities = stored_table(settings, settings.mlflow_uri, run.run_id, "densities")
    if densities is not None:
        draw(lambda: drift_charts.feature_density(densities, chosen), run.run_id, "density", chosen)


def answers(settings: Settings, run: tracking.RunInfo, checks: pd.DataFrame) -> None:
    """Show the model's predictions, and whether the rows are within its support."""
    if checks.empty:
        st.caption("This report made no such checks. Press Monitor for one that does.")
    else:
        check_table(checks)
    densities = stored_table(settings, settings.mlflow_uri, run.run_id, "densities")
    if densities is not None and (densities["feature"] == PROBABILITY).any():
        st.markdown("**Predicted probability, reference and current**")
        draw(
            lambda: drift_charts.feature_density(
                densities, PROBABILITY, axis_title="Predicted probability"
            ),
            run.run_id,
            "answers",
        )
    ranking = stored_table(settings, settings.mlflow_uri, run.run_id, "ranking")
    if ranking is not None and len(ranking):
        st.markdown("**What tells reference and current rows apart**")
        st.dataframe(
            ranking,
            hide_index=True,
            column_config={
                "feature": "Column",
                "auc": st.column_config.NumberColumn("ROC AUC of it alone", format="%.3f"),
                "importance": st.column_config.NumberColumn("Share of the gain", format="percent"),
            },
        )


def check_table(checks: pd.DataFrame) -> None:
    """Show checks in four columns: the meaning fits even in a narrow window."""
    titles = [
        f"**{elements.plain(row.title)}**  \n{elements.plain(f'{row.text} {row.todo}'.strip())}"
        + (f"  \n:small[:gray[Limits: {elements.plain(row.threshold)}]]" if row.threshold else "")
        for row in checks.itertuples()
    ]
    st.table(
        pd.DataFrame(
            {
                "Check": titles,
                "Verdict": checks["verdict"].map(elements.VERDICTS),
                "Current, with 95% interval": [
                    number(row.value)
                    + (
                        f"  \n:small[:gray[{number(row.low)} to {number(row.high)}]]"
                        if row.low == row.low
                        else ""
                    )
                    for row in checks.itertuples()
                ],
                "Reference": checks["reference"].map(number),
            }
        ),
        hide_index=True,
    )


def number(value: float, sign: str = "") -> str:
    """Return a value as text, a dash for none."""
    return "–" if pd.isna(value) else f"{value:{sign}.4f}"


def _joined(rows: pd.DataFrame) -> list[str]:
    pairs = zip(rows["text"], rows["todo"], strict=True)
    return [f"{text} {todo}".strip() for text, todo in pairs]
