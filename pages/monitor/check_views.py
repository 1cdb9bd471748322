"""The checks of a report: those that failed, and on request all of a group with their evidence."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.platform import project, tracking
from core.platform.config import Settings
from core.platform.messages import Message, Words, _, listed, sentences, span
from core.platform.own_columns import PROBABILITY
from core.platform.project import ProjectSpec
from core.stats.charts import drift as drift_charts
from core.stats.charts import models as model_charts
from core.stats.check import VERDICT_LABELS, Limit
from core.training import evaluation_charts
from pages.shared import elements, navigation, next_steps, report_view, table_texts

VIEWS = {
    "failed": Message("Failed"),
    "performance": Message("Performance"),
    "columns": Message("Columns"),
    "answers": Message("Predictions"),
}
# most failed checks to list, before the rest is left to the tables of all
FIRST = 12
WORST_SLICES = 12
COLUMN_KINDS: dict[str, tuple[Words, str]] = {
    "psi": ("PSI", ".3f"),
    "ks": ("KS", ".3f"),
    "js": ("JS", ".3f"),
    "chi2": (Message("Cramér's V"), ".3f"),
    "missing": (Message("Missing"), ".1%"),
    "unseen": (Message("New values"), ".1%"),
    "range": (Message("Values out of range"), ".1%"),
}
USUAL_LIMITS = Message("Usual limits: 0.1 and 0.2.")


@st.fragment
@elements.show_errors()
def show(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, checks: pd.DataFrame
) -> None:
    """Draw the checks that failed, or all of the chosen group."""
    st.subheader(_("Checks"), anchor=False)
    view = elements.choose(_("Checks"), VIEWS, next_steps.EVIDENCE, default="failed", is_bare=True)
    if weights := elements.fact(ReportRun.of(run).weights):
        st.caption(weights)
    if view == "failed":
        failed(checks)
    elif view == "performance":
        performance(settings, spec, run, checks[checks["group"] == "performance"])
    elif view == "columns":
        columns(settings, run, checks)
    else:
        answers(settings, run, checks[checks["group"].isin(("output", "support"))])


def failed(checks: pd.DataFrame) -> None:
    """List what is beyond its limits, the worst first."""
    bad = report_tables.failed(checks)
    if bad.empty:
        st.markdown(_("No check is beyond its limits."))
        return
    first = bad.head(FIRST)
    elements.fixed_table(
        {
            _("Check"): [_name(row) for row in first.to_dict("records")],
            _current(): [
                report_view.number(row.value) + _between(row.low, row.high)
                for row in first.itertuples()
            ],
            _("Reference"): first["reference"].map(report_view.number).to_list(),
            _("Limits"): [_limit(row) for row in first.to_dict("records")],
            _("Verdict"): list(map(elements.verdict_badge, first["verdict"])),
        }
    )
    if more := len(bad) - len(first):
        st.caption(_("and {count} more", count=more))


def _current() -> str:
    """Return the title of the current values, which are shown with their interval."""
    return elements.with_remark(_("Current"), _("95% interval"))


def _name(row: dict[str, Any]) -> str:
    """Return the name of a check, and its column's other failed checks, or its own text."""
    name = f"**{elements.fact(row['title'])}**"
    if row["others"]:
        note = "+ " + listed(row["others"], "unit")
    else:
        is_explained = row["code"].startswith("slice.") or (row["code"] == "f1" and row["state"])
        note = elements.words(row["text"]) if is_explained else ""
    return name + (elements.small(elements.plain(note)) if note else "")


def _between(low: float, high: float) -> str:
    return "" if pd.isna(low) else f" ({span(low, high)})"


def _limit(row: dict[str, object]) -> str:
    """Return the exceeded limit; for an older report, all of its limits."""

    def end(name: str) -> float | None:
        value = row[f"{row['verdict']}_{name}"]
        return float(value) if isinstance(value, float) and value == value else None

    low, high = end("low"), end("high")
    words = (
        Limit(alert_low=low, alert_high=high)
        if row["verdict"] == "alert"
        else Limit(warning_low=low, warning_high=high)
    ).words()
    return elements.fact(words or row["threshold"]) or "–"


def performance(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, checks: pd.DataFrame
) -> None:
    """Show the checks with labels, the confusion matrix and the worst slices."""
    reasons = checks["text"].unique()
    if len(reasons) == 1 and checks["verdict"].eq("not_applicable").all():
        st.info(elements.plain(_joined(checks)[0]))
        return
    check_table(checks)
    store = settings.mlflow_uri
    confusion = report_view.stored_table(settings, store, run.run_id, "confusion")
    slices = report_view.stored_table(settings, store, run.run_id, "slices")
    left, right = elements.side_by_side()
    if confusion is not None and len(confusion):
        with left:
            elements.question(_("Is the predicted class right?"))
            counts = report_view.of_current(confusion)
            report_view.draw(
                lambda: model_charts.confusion(
                    counts,
                    positive=str(project.words(spec.positive)),
                    negative=str(project.words(spec.negative)),
                ),
                run.run_id,
                "confusion",
            )
    if slices is not None and len(slices):
        with right:
            elements.question(_("Which slices stand out?"))
            measured = report_view.of_current(slices)
            worst = report_tables.standing_out(measured, checks)
            if worst.empty:
                st.markdown(_("None of {slices} slices stands out.", slices=len(measured)))
                return
            report_view.draw(
                lambda: evaluation_charts.slice_gaps(worst, most=WORST_SLICES), run.run_id, "slices"
            )


def columns(settings: Settings, run: tracking.RunInfo, checks: pd.DataFrame) -> None:
    """Show one line per input column, with its drift."""
    by_column = report_tables.by_column(checks)
    kinds = [kind for kind in report_tables.KINDS if by_column[kind].notna().any()]
    every = st.toggle(_("All columns"), key="all-kinds")
    shown = kinds if every else [kind for kind in kinds if kind in ("psi", "ks", "missing")]
    named = {code: str(word) for code, word in VERDICT_LABELS.items()}
    st.dataframe(
        table_texts.localized(
            pd.DataFrame(
                {
                    "column": by_column["column"],
                    "verdict": [[named.get(verdict, verdict)] for verdict in by_column["verdict"]],
                    **{kind: by_column[kind] for kind in shown},
                    "text": [str(elements.words(text)) for text in by_column["text"]],
                }
            ),
            {kind: form for kind, (_title, form) in COLUMN_KINDS.items()},
        ),
        hide_index=True,
        width="stretch",
        placeholder="–",
        column_config={
            "column": st.column_config.TextColumn(_("Column"), pinned=True),
            "verdict": st.column_config.MultiselectColumn(
                _("Verdict"), options=list(named.values()), color=["green", "orange", "red", "gray"]
            ),
            **{
                kind: st.column_config.NumberColumn(
                    str(title), help=str(USUAL_LIMITS) if kind in ("psi", "ks") else None
                )
                for kind, (title, _form) in COLUMN_KINDS.items()
            },
            "text": st.column_config.TextColumn(_("What it means"), width="large"),
        },
    )
    drift = report_view.stored_table(settings, settings.mlflow_uri, run.run_id, "drift")
    if drift is not None:
        st.markdown(_("**How far did each column move?**"))
        report_view.draw(lambda: drift_charts.psi_bars(drift), run.run_id, "psi")


def answers(settings: Settings, run: tracking.RunInfo, checks: pd.DataFrame) -> None:
    """Show the model's predictions, and whether the rows are within its support."""
    if checks.empty:
        st.caption(navigation.not_kept("monitor"))
    else:
        check_table(checks)
    store = settings.mlflow_uri
    densities = report_view.stored_table(settings, store, run.run_id, "densities")
    ranking = report_view.stored_table(settings, store, run.run_id, "ranking")
    left, right = elements.side_by_side()
    # without labels it is below in any case
    is_new = report_view.is_judged(settings, run.run_id)
    if is_new and densities is not None and (densities["feature"] == PROBABILITY).any():
        with left:
            elements.question(_("Did the predicted probabilities change?"))
            probabilities(run, densities)
    if ranking is not None and len(ranking):
        with right:
            st.markdown(_("**What separates reference and current rows?**"))
            st.dataframe(
                table_texts.localized(ranking, {"auc": ".3f", "importance": ".1%"}),
                hide_index=True,
                column_config={
                    "feature": _("Column"),
                    "auc": _("AUC alone"),
                    "importance": _("Share of the gain"),
                },
            )


def probabilities(run: tracking.RunInfo, densities: pd.DataFrame) -> None:
    """Draw the predicted probability of reference and current rows, side by side."""
    report_view.draw(
        lambda: drift_charts.feature_density(
            densities, PROBABILITY, axis_title=_("Predicted probability")
        ),
        run.run_id,
        "answers",
    )


def check_table(checks: pd.DataFrame) -> None:
    """Show checks in four columns: the meaning fits even in a narrow window."""
    titles = [_title(row.title, row.text, row.todo, row.threshold) for row in checks.itertuples()]
    elements.fixed_table(
        {
            _("Check"): titles,
            _current(): [
                report_view.number(row.value) + _interval(row.low, row.high)
                for row in checks.itertuples()
            ],
            _("Reference"): checks["reference"].map(report_view.number),
            _("Verdict"): list(map(elements.verdict_badge, checks["verdict"])),
        }
    )


def _title(title: object, text: object, todo: object, threshold: object) -> str:
    name, limits = elements.fact(title), elements.words(threshold)
    note = elements.named(_("Limits"), elements.plain(limits)) if limits else ""
    meaning = elements.plain(_sentences(text, todo))
    return f"**{name}**  \n{meaning}" + (elements.small(note) if note else "")


def _interval(low: float, high: float) -> str:
    if pd.isna(low):
        return ""
    return elements.small(span(low, high))


def _joined(rows: pd.DataFrame) -> list[str]:
    return list(map(_sentences, rows["text"], rows["todo"]))


def _sentences(text: object, todo: object) -> str:
    return str(sentences(elements.words(text), elements.words(todo)))
