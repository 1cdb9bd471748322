"""A monitoring report, from the top: the verdict, what changed, the evidence, what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.platform import messages, project, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, Words, _, n_, sentences
from core.platform.messages import number as number_text
from core.platform.own_columns import PROBABILITY, shown
from core.platform.project import ProjectSpec
from core.stats.charts import drift as drift_charts
from core.stats.charts import models as model_charts
from core.training import evaluation_charts
from pages.shared import elements

LOOKS = {
    "fits": (st.success, ":material/check_circle:"),
    "watch": (st.warning, ":material/visibility:"),
    "investigate": (st.warning, ":material/search:"),
    "does_not_fit": (st.error, ":material/error:"),
    "no_skill": (st.error, ":material/trending_flat:"),
    "cannot_tell": (st.info, ":material/help:"),
    "unknown": (st.info, ":material/help:"),
}
VIEWS = {
    "performance": Message("Performance"),
    "columns": Message("Columns"),
    "answers": Message("Predictions and support"),
}
FIGURES: tuple[tuple[str, Words, int], ...] = (
    ("skill", Message("Skill over base rate"), 4),
    ("roc_auc", "ROC AUC", 3),
    ("f1", "F1", 3),
    ("log_loss", Message("Log loss"), 4),
)
# most changes to list, before the rest is left to the evidence
FIRST = 6
WORST_SLICES = 12
COLUMN_KINDS: dict[str, tuple[Words, str]] = {
    "psi": ("PSI", "%.3f"),
    "ks": ("KS", "%.3f"),
    "js": ("JS", "%.3f"),
    "chi2": (Message("Cramér's V"), "%.3f"),
    "missing": (Message("Missing"), "percent"),
    "unseen": (Message("Unseen"), "percent"),
    "range": (Message("Out of range"), "percent"),
}
WORDS = {
    "alert": Message("alert"),
    "warning": Message("warning"),
    "ok": Message("ok"),
    "not_applicable": Message("not applicable"),
}


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
    """Draw an immutable chart, cached by the language and its key, which includes its run."""
    drawn = _drawn((messages.current(), *key), build)
    st.vega_lite_chart(elements.localized(drawn), width="stretch")


@st.cache_data(show_spinner=False, max_entries=128)
def _drawn(key: tuple[str, ...], _build: Callable[[], Any]) -> dict[str, Any]:
    drawing: dict[str, Any] = _build().to_dict()
    return drawing


def show(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Show a finished report from the top."""
    checks = checks_of(settings, settings.mlflow_uri, run.run_id)
    if checks is None:
        st.error(_("The checks of this report are gone. Press Monitor for a new one."))
        return
    verdict(run)
    st.subheader(_("What changed"), anchor=False)
    changed(checks)
    st.caption(f"{elements.checks_text(run.metrics)}.")
    st.subheader(_("Evidence"), anchor=False)
    figures(run)
    promise(settings, run)
    labels(settings, run)
    evidence(settings, spec, run, checks)


def verdict(run: tracking.RunInfo) -> None:
    """State in one sentence whether the model fits, and for which rows."""
    report = ReportRun.of(run)
    draw, icon = LOOKS.get(report.verdict, LOOKS["unknown"])
    title = elements.words(report.verdict_title) or _("This report has no verdict")
    text = elements.words(report.verdict_text)
    draw(f"## {elements.plain(title)}\n\n{elements.plain(text)}", icon=icon)
    about = [
        _("{model} version {version}", model=report.model, version=report.version),
        elements.words(report.window),
        _("made {ago}", ago=elements.ago(run.started)),
    ]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            ":small[" + " · ".join(elements.plain(text) for text in about if text) + "]",
            width="content",
        )
        elements.run_link(run.run_id, "Monitoramento")
        if report.scoring_run:
            elements.run_link(report.scoring_run, _("Scored by"))
        if report.model_run:
            elements.run_link(report.model_run, _("Reference from"))


def changed(checks: pd.DataFrame) -> None:
    """List what is beyond its limits, the worst first."""
    beyond = report_tables.beyond(checks)
    if not beyond:
        st.markdown(_("Nothing: no check is beyond its limits."))
        return
    st.markdown(
        "\n".join(
            f"- {elements.VERDICTS[verdict]} **{elements.plain(elements.words(name))}**: "
            f"{elements.plain(elements.words(text))}"
            for verdict, name, text in beyond[:FIRST]
        )
    )
    if len(beyond) > FIRST:
        more = len(beyond) - FIRST
        st.caption(
            n_(
                "And {count} more, in the tables below.",
                "And {count} more, in the tables below.",
                more,
            )
        )


def figures(run: tracking.RunInfo) -> None:
    """Draw the few metrics that determine the verdict."""
    of = run.metrics
    rows = [
        (
            _("Current rows"),
            number_text(of.get("rows_current", 0), ",.0f"),
            _(
                "{labelled:,.0f} with label; reference {reference:,.0f}",
                labelled=of.get("rows_labelled", 0),
                reference=of.get("rows_reference", 0),
            ),
        )
    ]
    rows += [
        (
            title,
            elements.metric_text(of, f"{name}_current", digits),
            _("reference {value}", value=elements.metric_text(of, f"{name}_reference", digits)),
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
            _("The false alarm rate was not measured in this report. Press Monitor to measure it.")
        )
        return
    target = measured.get("target", run.metrics.get("false_alarms_target"))
    text = _(
        "False alarm rate: without any change, at most **{rate:.1%}** of windows of this size "
        "raise an alert of performance or of a column.",
        rate=rate,
    )
    if target is not None:
        text += " " + _("The limits are set for at most {target:.1%}.", target=target)
    st.markdown(f":material/verified: {text}")


def labels(settings: Settings, run: tracking.RunInfo) -> None:
    """State how many labels are in, how many are missing, and how many an alarm would need."""
    of = run.metrics
    rows, known = of.get("rows_current", 0), of.get("rows_labelled", 0)
    missing = rows - known
    needed = document(settings, settings.mlflow_uri, run.run_id).get("labels_needed")
    if needed is None:
        needed = of.get("labels_needed")
    text = _(
        "Labels: **{known:,.0f}** received, {missing:,.0f} missing.", known=known, missing=missing
    )
    if isinstance(needed, int | float) and needed == needed:
        text += " " + (
            _(
                "To detect a loss of all skill, about {needed:,.0f} labels are needed: enough "
                "were received.",
                needed=needed,
            )
            if known >= needed
            else _(
                "To detect a loss of all skill, about {needed:,.0f} labels are needed: "
                "{lacking:,.0f} more.",
                needed=needed,
                lacking=needed - known,
            )
        )
    st.markdown(f":material/label: {text}")


def evidence(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, checks: pd.DataFrame
) -> None:
    """Show the checks of one kind, and their evidence."""
    judged = checks[checks["group"] == "performance"]["verdict"].ne("not_applicable").any()
    view = st.segmented_control(
        _("Evidence"),
        list(VIEWS),
        default="performance" if judged else "columns",
        required=True,
        format_func=lambda view: str(VIEWS[view]),
        key="evidence",
        label_visibility="collapsed",
    )
    if view == "performance":
        performance(settings, spec, run, checks[checks["group"] == "performance"])
    elif view == "columns":
        columns(settings, run, checks)
    else:
        answers(settings, run, checks[checks["group"].isin(("output", "support"))])


def performance(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, checks: pd.DataFrame
) -> None:
    """Show the checks with labels."""
    reasons = checks["text"].unique()
    if len(reasons) == 1 and checks["verdict"].eq("not_applicable").all():
        st.info(
            _(
                "No check of performance is possible. {reason}",
                reason=elements.plain(_joined(checks)[0]),
            )
        )
        return
    check_table(checks)
    st.caption(
        _(
            "The limits allow for chance: they were learned from the reference, or the better "
            "end of the interval is compared with them."
        )
    )
    store = settings.mlflow_uri
    confusion = stored_table(settings, store, run.run_id, "confusion")
    reliability = stored_table(settings, store, run.run_id, "reliability")
    slices = stored_table(settings, store, run.run_id, "slices")
    left, right = elements.side_by_side()
    if confusion is not None and len(confusion):
        with left:
            st.markdown(_("**Confusion matrix at the threshold, current rows**"))
            counts = of_current(confusion)
            draw(
                lambda: model_charts.confusion(
                    counts,
                    positive=str(project.words(spec.positive)),
                    negative=str(project.words(spec.negative)),
                ),
                run.run_id,
                "confusion",
            )
    if reliability is not None and len(reliability):
        with right:
            st.markdown(_("**Predicted probability against observed share**"))
            named = reliability.rename(columns={"set": "model"})
            if "model" not in named:
                named = named.assign(model="current")
            sides = {"current": _("current"), "reference": _("reference")}
            named = named.assign(model=named["model"].replace(sides))
            draw(lambda: model_charts.calibration_curve(named), run.run_id, "reliability")
    if slices is not None and len(slices):
        st.markdown(_("**Worst slices**"))
        worst = report_tables.standing_out(of_current(slices), checks)
        if worst.empty:
            st.markdown(_("No slice stands out."))
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
    named = {code: str(word) for code, word in WORDS.items()}
    st.dataframe(
        pd.DataFrame(
            {
                "column": by_column["column"],
                "verdict": [[named.get(verdict, verdict)] for verdict in by_column["verdict"]],
                **{kind: by_column[kind] for kind in kinds},
                "text": _joined(by_column),
            }
        ),
        hide_index=True,
        width="stretch",
        placeholder="–",
        column_config={
            "column": st.column_config.TextColumn(_("Column"), pinned=True),
            "verdict": st.column_config.MultiselectColumn(
                _("Verdict"), options=list(named.values()), color=["red", "orange", "green", "gray"]
            ),
            **{
                kind: st.column_config.NumberColumn(str(title), format=form)
                for kind, (title, form) in COLUMN_KINDS.items()
            },
            "text": st.column_config.TextColumn(_("What it means"), width="large"),
        },
    )
    st.caption(
        _(
            "PSI compares shares in ten bins of the reference; KS is the largest distance "
            "between the two distribution functions, JS the Jensen-Shannon distance, "
            "Cramér's V the size of a chi-square of values, all three 0 to 1. Usual "
            "limits: PSI and KS 0.1 and 0.2. The verdict is the worst of a column's checks."
        )
    )
    drift = stored_table(settings, settings.mlflow_uri, run.run_id, "drift")
    if drift is None:
        return
    left, right = elements.side_by_side()
    with left:
        st.markdown(_("**Drift of each column (PSI)**"))
        draw(lambda: drift_charts.psi_bars(drift), run.run_id, "psi")
    with right:
        _density(settings, run, drift)


@st.fragment
@elements.show_errors()
def _density(settings: Settings, run: tracking.RunInfo, drift: pd.DataFrame) -> None:
    ordered = drift.sort_values("psi", ascending=False, kind="stable")["feature"].tolist()
    chosen = st.selectbox(
        _("Distribution of"), ordered, format_func=lambda name: str(shown(name)), key="feature"
    )
    densities = stored_table(settings, settings.mlflow_uri, run.run_id, "densities")
    if densities is not None:
        draw(lambda: drift_charts.feature_density(densities, chosen), run.run_id, "density", chosen)


def answers(settings: Settings, run: tracking.RunInfo, checks: pd.DataFrame) -> None:
    """Show the model's predictions, and whether the rows are within its support."""
    if checks.empty:
        st.caption(_("This report has no such checks. Press Monitor for a new one."))
    else:
        check_table(checks)
    densities = stored_table(settings, settings.mlflow_uri, run.run_id, "densities")
    if densities is not None and (densities["feature"] == PROBABILITY).any():
        st.markdown(_("**Predicted probability, reference and current**"))
        draw(
            lambda: drift_charts.feature_density(
                densities, PROBABILITY, axis_title=_("Predicted probability")
            ),
            run.run_id,
            "answers",
        )
    ranking = stored_table(settings, settings.mlflow_uri, run.run_id, "ranking")
    if ranking is not None and len(ranking):
        st.markdown(_("**What separates reference and current rows**"))
        st.dataframe(
            ranking,
            hide_index=True,
            column_config={
                "feature": _("Column"),
                "auc": st.column_config.NumberColumn(_("Its ROC AUC alone"), format="%.3f"),
                "importance": st.column_config.NumberColumn(
                    _("Share of the gain"), format="percent"
                ),
            },
        )


def check_table(checks: pd.DataFrame) -> None:
    """Show checks in four columns: the meaning fits even in a narrow window."""
    titles = [_title(row.title, row.text, row.todo, row.threshold) for row in checks.itertuples()]
    st.table(
        pd.DataFrame(
            {
                _("Check"): titles,
                _("Verdict"): [str(elements.VERDICTS[verdict]) for verdict in checks["verdict"]],
                _("Current, with 95% interval"): [
                    number(row.value) + _interval(row.low, row.high) for row in checks.itertuples()
                ],
                _("Reference"): checks["reference"].map(number),
            }
        ),
        hide_index=True,
    )


def _title(title: object, text: object, todo: object, threshold: object) -> str:
    name, limits = elements.plain(elements.words(title)), elements.words(threshold)
    note = _("Limits: {limits}", limits=elements.plain(limits)) if limits else ""
    meaning = elements.plain(_sentences(text, todo))
    return f"**{name}**  \n{meaning}" + (elements.small(note) if note else "")


def _interval(low: float, high: float) -> str:
    if pd.isna(low):
        return ""
    return elements.small(_("{low:.4f} to {high:.4f}", low=low, high=high))


def number(value: float, sign: str = "") -> str:
    """Return a value as text, a dash for none."""
    return "–" if pd.isna(value) else number_text(value, f"{sign}.4f")


def _joined(rows: pd.DataFrame) -> list[str]:
    return list(map(_sentences, rows["text"], rows["todo"]))


def _sentences(text: object, todo: object) -> str:
    return str(sentences(elements.words(text), elements.words(todo)))
