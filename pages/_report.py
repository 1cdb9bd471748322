"""A monitoring report, read from the top: the verdict, what changed, the evidence, what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from core.adapters import tracking
from core.config import Settings
from core.errors import NotReadyError
from core.logic import drift_charts, evaluation_charts, model_charts, report_tables
from core.project import ProjectSpec
from pages import _parts
from pages._bilingual import st

LOOKS = {
    "fits": (st.success, ":material/check_circle:"),
    "watch": (st.warning, ":material/visibility:"),
    "investigate": (st.warning, ":material/search:"),
    "does_not_fit": (st.error, ":material/error:"),
    "unknown": (st.info, ":material/help:"),
}
VIEWS = ("Performance", "Columns", "Answers and support")
FIGURES = (
    ("skill", "Skill over base rate", 4),
    ("roc_auc", "ROC AUC", 3),
    ("f1", "F1", 3),
    ("log_loss", "Log loss", 4),
)
# of what changed, before the rest is left to the evidence
FIRST = 6
WORST_SLICES = 12
COLUMN_KINDS = {
    "psi": ("PSI", "%.3f"), "ks": ("KS", "%.3f"), "js": ("JS", "%.3f"),
    "chi2": ("Cramér's V", "%.3f"), "missing": ("Missing", "percent"),
    "unseen": ("Unseen", "percent"), "range": ("Out of range", "percent"),
}  # fmt: skip
WORDS = {
    "alert": "alert", "warning": "warning", "ok": "ok", "not_applicable": "not applicable",
}  # fmt: skip


@st.cache_data(show_spinner=False, max_entries=256)
def kept(_settings: Settings, store: str, run_id: str, name: str) -> pd.DataFrame | None:
    """Return a table that a report kept, None where it has none, as those of older apps."""
    try:
        return tracking.table(_settings, run_id, name)
    except NotReadyError:
        return None


@st.cache_data(show_spinner=False, max_entries=64)
def document(_settings: Settings, store: str, run_id: str) -> dict[str, Any]:
    """Return the report as the step wrote it; empty where it kept none."""
    for path in ("documents/report.json", f"files/monitoring_{run_id[:12]}.json"):
        try:
            text = tracking.artifact(_settings, run_id, path).read_text(encoding="utf-8")
        except NotReadyError:
            continue
        found: dict[str, Any] = json.loads(text)
        return found
    return {}


@st.cache_data(show_spinner=False, max_entries=64)
def checks_of(_settings: Settings, store: str, run_id: str) -> pd.DataFrame | None:
    """Return the checks of a report with all fields, None where it kept none."""
    found = kept(_settings, store, run_id, "checks")
    return None if found is None else report_tables.complete(found)


def draw(make: Callable[[], Any], *key: str) -> None:
    """Draw a chart that does not change; it is made once for its key, which names its run."""
    st.vega_lite_chart(_drawn(key, make), width="stretch")


@st.cache_data(show_spinner=False, max_entries=128)
def _drawn(key: tuple[str, ...], _make: Callable[[], Any]) -> dict[str, Any]:
    found: dict[str, Any] = _make().to_dict()
    return found


def show(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Show a finished report from the top."""
    checks = checks_of(settings, settings.mlflow_uri, run.run_id)
    if checks is None:
        st.error("The checks of this report are gone. Press Monitor for a new one.")
        return
    verdict(run)
    st.subheader("What changed", anchor=False)
    changed(checks)
    st.subheader("Evidence", anchor=False)
    figures(run)
    promise(settings, run)
    labels(settings, run)
    evidence(settings, spec, run, checks)


def verdict(run: tracking.RunInfo) -> None:
    """Say in one sentence whether the model fits, and of what that is said."""
    tags = run.tags
    draw, icon = LOOKS.get(tags.get("courtside.verdict", ""), LOOKS["unknown"])
    title = _parts.plain(tags.get("courtside.verdict_title", "This report has no verdict"))
    draw(f"## {title}\n\n{_parts.plain(tags.get('courtside.verdict_text', ''))}", icon=icon)
    model = tags.get("courtside.model") or run.params.get("model", "")
    version = tags.get("courtside.version") or run.params.get("version", "")
    told = [f"{model} version {version}", tags.get("courtside.window", ""),
            f"made {_parts.ago(run.started)}"]  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            ":small[" + " · ".join(_parts.plain(one) for one in told if one) + "]",
            width="content",
        )
        _parts.run_link(run.run_id, "Monitoramento")
        if scored := tags.get("courtside.scoring_run"):
            _parts.run_link(scored, "Scored by")
        if model_run := tags.get("courtside.model_run"):
            _parts.run_link(model_run, "Reference from")


def changed(checks: pd.DataFrame) -> None:
    """List what is beyond its limits, the worst first."""
    found = report_tables.beyond(checks)
    if not found:
        st.markdown("Nothing: no check is beyond its limits.")
        return
    st.markdown(
        "\n".join(
            f"- {_parts.VERDICTS[verdict]} **{_parts.plain(name)}**: {_parts.plain(text)}"
            for verdict, name, text in found[:FIRST]
        )
    )
    if len(found) > FIRST:
        st.caption(f"And {len(found) - FIRST} more, in the tables below.")


def figures(run: tracking.RunInfo) -> None:
    """Draw the few figures that carry the verdict."""
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
        (title, f"{of[f'{name}_current']:.{digits}f}",
         f"{of[f'{name}_reference']:.{digits}f} in the reference")
        for name, title, digits in FIGURES
        if f"{name}_current" in of and f"{name}_reference" in of
    ]  # fmt: skip
    _parts.figures(rows)


def promise(settings: Settings, run: tracking.RunInfo) -> None:
    """Say how often the checks would alarm for nothing."""
    told = document(settings, settings.mlflow_uri, run.run_id).get("false_alarms") or {}
    rate = told.get("rate", run.metrics.get("false_alarms"))
    if rate is None:
        st.caption(
            "How often these limits would alarm for nothing was not measured in this report. "
            "Press Monitor for one that tells it."
        )
        return
    low, high = told.get("low"), told.get("high")
    between = f" ({low:.1%} to {high:.1%})" if low is not None and high is not None else ""
    windows = int(told.get("windows") or 1000)
    target = told.get("target", run.metrics.get("false_alarms_target"))
    aim = f" The limits were set for {target:.1%} at most." if target is not None else ""
    st.markdown(
        f":material/verified: Of {windows:,} windows of this size drawn from the reference, "
        f"**{rate:.1%}**{between} would raise an alarm.{aim}"
    )


def labels(settings: Settings, run: tracking.RunInfo) -> None:
    """Say how many labels are in, how many are missing, and how many an alarm would need."""
    of = run.metrics
    rows, known = of.get("rows_current", 0), of.get("rows_labelled", 0)
    missing = rows - known
    needed = document(settings, settings.mlflow_uri, run.run_id).get("labels_needed")
    if needed is None:
        needed = of.get("labels_needed")
    told = f":material/label: Labels: **{known:,.0f}** are in, {missing:,.0f} are missing."
    if isinstance(needed, int | float) and needed == needed:
        enough = ", which are in" if known >= needed else f"; {needed - known:,.0f} more"
        told += f" To see a skill that is gone, an alarm needs about {needed:,.0f} labels{enough}."
    st.markdown(told)


def evidence(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, checks: pd.DataFrame
) -> None:
    """Show the checks of one kind, and what lies behind them."""
    judged = checks[checks["group"] == "performance"]["verdict"].ne("not_applicable").any()
    view = st.segmented_control(
        "Evidence", VIEWS, default=VIEWS[0 if judged else 1], required=True,
        key="evidence", label_visibility="collapsed",
    )  # fmt: skip
    if view == VIEWS[0]:
        performance(settings, spec, run, checks[checks["group"] == "performance"])
    elif view == VIEWS[1]:
        columns(settings, run, checks)
    else:
        answers(settings, run, checks[checks["group"].isin(("output", "support"))])


def performance(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, checks: pd.DataFrame
) -> None:
    """Show what labels say."""
    reasons = checks["text"].unique()
    if len(reasons) == 1 and checks["verdict"].eq("not_applicable").all():
        st.info(f"No check of performance can be made. {_parts.plain(_joined(checks)[0])}")
        return
    check_table(checks)
    st.caption(
        "What chance alone does is no alarm: it is in the limits that were learned from the "
        "reference, or the better end of the interval is judged."
    )
    store = settings.mlflow_uri
    confusion = kept(settings, store, run.run_id, "confusion")
    reliability = kept(settings, store, run.run_id, "reliability")
    slices = kept(settings, store, run.run_id, "slices")
    left, right = _parts.side_by_side()
    if confusion is not None and len(confusion):
        with left:
            st.markdown("**Labels at the threshold, current rows**")
            counts = of_current(confusion)
            draw(
                lambda: model_charts.confusion(
                    counts, positive=spec.positive, negative=spec.negative
                ),
                run.run_id, "confusion",
            )  # fmt: skip
    if reliability is not None and len(reliability):
        with right:
            st.markdown("**Forecast against observed**")
            named = reliability.rename(columns={"set": "model"})
            if "model" not in named:
                named = named.assign(model="current")
            draw(lambda: model_charts.calibration_curve(named), run.run_id, "reliability")
    if slices is not None and len(slices):
        st.markdown("**Where it errs: the worst slices**")
        worst = of_current(slices)
        draw(lambda: evaluation_charts.slice_gaps(worst, most=WORST_SLICES), run.run_id, "slices")


def of_current(table: pd.DataFrame) -> pd.DataFrame:
    """Return the current side of a table that has both."""
    if "set" not in table:
        return table
    return table[table["set"] == "current"].drop(columns="set").reset_index(drop=True)


def columns(settings: Settings, run: tracking.RunInfo, checks: pd.DataFrame) -> None:
    """Show one line for each column of the input, and how the one that is chosen lies."""
    found = report_tables.by_column(checks)
    there = [kind for kind in report_tables.KINDS if found[kind].notna().any()]
    st.dataframe(
        pd.DataFrame(
            {
                "Column": found["column"],
                "Verdict": [[WORDS.get(verdict, verdict)] for verdict in found["verdict"]],
                **{COLUMN_KINDS[kind][0]: found[kind] for kind in there},
                "What it means": _joined(found),
            }
        ),
        hide_index=True,
        width="stretch",
        placeholder="–",
        column_config={
            "Column": st.column_config.TextColumn(pinned=True),
            "Verdict": st.column_config.MultiselectColumn(
                options=list(WORDS.values()), color=["red", "orange", "green", "gray"],
            ),
            **{title: st.column_config.NumberColumn(format=form)
               for title, form in COLUMN_KINDS.values()},
            "What it means": st.column_config.TextColumn(width="large"),
        },
    )  # fmt: skip
    st.caption(
        "PSI compares shares in ten bins of the reference; KS is the largest distance between the "
        "two distribution functions, JS the Jensen-Shannon distance, Cramér's V the size of a "
        "chi-square of values, all three 0 to 1. Usual limits: PSI and KS 0.1 and 0.2. The verdict "
        "is the worst of a column's checks."
    )
    drift = kept(settings, settings.mlflow_uri, run.run_id, "drift")
    if drift is None:
        return
    left, right = _parts.side_by_side()
    with left:
        st.markdown("**How far each column moved (PSI)**")
        draw(lambda: drift_charts.psi_bars(drift), run.run_id, "psi")
    with right:
        _density(settings, run, drift)


@st.fragment
@_parts.told()
def _density(settings: Settings, run: tracking.RunInfo, drift: pd.DataFrame) -> None:
    ordered = drift.sort_values("psi", ascending=False)["feature"].tolist()
    chosen = st.selectbox("Reference and current of", ordered, key="feature")
    densities = kept(settings, settings.mlflow_uri, run.run_id, "densities")
    if densities is not None:
        draw(lambda: drift_charts.feature_density(densities, chosen), run.run_id, "density", chosen)


def answers(settings: Settings, run: tracking.RunInfo, checks: pd.DataFrame) -> None:
    """Show what the model answers, and whether the rows lie where it was tested."""
    if checks.empty:
        st.caption("This report made no such checks. Press Monitor for one that does.")
    else:
        check_table(checks)
    densities = kept(settings, settings.mlflow_uri, run.run_id, "densities")
    if densities is not None and (densities["feature"] == "probability").any():
        st.markdown("**Predicted probability, reference and current**")
        draw(
            lambda: drift_charts.feature_density(
                densities, "probability", axis_title="Predicted probability"
            ),
            run.run_id, "answers",
        )  # fmt: skip
    ranking = kept(settings, settings.mlflow_uri, run.run_id, "ranking")
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
    """Show checks in four columns: what it means has room in a narrow window too."""
    told = [
        f"**{_parts.plain(row.title)}**  \n{_parts.plain(f'{row.text} {row.todo}'.strip())}"
        + (f"  \n:small[:gray[Limits: {_parts.plain(row.threshold)}]]" if row.threshold else "")
        for row in checks.itertuples()
    ]
    st.table(
        pd.DataFrame(
            {
                "Check": told,
                "Verdict": checks["verdict"].map(_parts.VERDICTS),
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
    """Return a value for a page, a dash where there is none."""
    return "–" if pd.isna(value) else f"{value:{sign}.4f}"


def _joined(rows: pd.DataFrame) -> list[str]:
    pairs = zip(rows["text"], rows["todo"], strict=True)
    return [f"{text} {todo}".strip() for text, todo in pairs]
