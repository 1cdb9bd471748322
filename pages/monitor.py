"""Monitor: does the model still fit the rows that it scores?"""

import pandas as pd
import streamlit as st

from core.adapters import predictions, tracking
from core.logic import drift_charts
from core.steps import monitor
from pages import _parts

settings, spec = _parts.open_app()
STORE = settings.mlflow_uri
COLOURS = {
    "fits": st.success,
    "watch": st.warning,
    "investigate": st.warning,
    "does_not_fit": st.error,
    "unknown": st.info,
}


def form(scorings: list[predictions.Scoring]) -> None:
    names = {
        one.run_id: f"{one.rows:,} rows ({one.source}), {one.labels:,} labelled, version "
        f"{one.version}, {_parts.ago(one.scored_at)}"
        for one in scorings
    }
    chosen = st.selectbox("Scored rows", list(names), format_func=names.__getitem__, key="scoring")
    if st.button("Monitor", type="primary", icon=":material/monitor_heart:", key="monitor"):
        _parts.submit(settings, "monitor", monitor.Options, scoring_run=chosen)
    _parts.job_panel(settings, "monitor")


def report(run: tracking.RunInfo) -> None:
    tags = run.tags
    draw = COLOURS[tags["courtside.verdict"]]
    draw(
        f"**{tags['courtside.verdict_title']}.** {tags['courtside.verdict_text']}\n\n"
        f"What to do: {tags['courtside.verdict_todo']}"
    )
    of = run.metrics
    labelled = "skill_current" in of
    figures = [
        (
            "Current rows",
            f"{of['rows_current']:,.0f}",
            f"{of['rows_labelled']:,.0f} with label; reference {of['rows_reference']:,.0f}",
        )
    ]
    if labelled:
        figures += [
            (title, f"{of[f'{name}_current']:.{digits}f}",
             f"{of[f'{name}_reference']:.{digits}f} in the reference")
            for name, title, digits in (
                ("skill", "Skill over base rate", 4),
                ("roc_auc", "ROC AUC", 3),
                ("f1", "F1", 3),
                ("log_loss", "Log loss", 4),
            )
        ]  # fmt: skip
    _parts.figures(figures)
    with st.container(horizontal=True):
        _parts.run_link(run.run_id, "Monitoramento")
        _parts.run_link(tags["courtside.scoring_run"], "Scored by")
        _parts.run_link(tags["courtside.model_run"], "Reference from")
    checks = _parts.table(settings, STORE, run.run_id, "checks")
    st.subheader("With labels: performance", anchor=False)
    performance = checks[checks["group"] == "performance"]
    st.caption(
        "Below a figure stands its 95% interval. A check is judged by the better end of it, so "
        "that few rows alone raise no alarm."
    )
    _parts.check_table(performance, limits=True)
    st.subheader("Without labels: input and answers", anchor=False)
    left, right = _parts.side_by_side()
    drift = _parts.table(settings, STORE, run.run_id, "drift")
    with left:
        st.markdown("**How far each column moved (PSI)**")
        _parts.chart(drift_charts.psi_bars(drift))
    with right:
        column_density(run, drift)
    _parts.check_table(checks[checks["group"] == "input"])
    st.caption(
        "PSI compares shares in ten bins of the reference; KS is the largest distance between the "
        "two distribution functions, 0 to 1. Both: warning from 0.1, alert from 0.2."
    )


def column_density(run: tracking.RunInfo, drift: pd.DataFrame) -> None:
    ordered = drift.sort_values("psi", ascending=False)["feature"].tolist()
    chosen = st.selectbox("Reference and current of", ordered, key="feature")
    densities = _parts.table(settings, STORE, run.run_id, "densities")
    _parts.chart(drift_charts.feature_density(densities, chosen))


with _parts.told():
    _parts.wait_for_store()
    last = tracking.last_run(settings, "monitor")
    _parts.header(
        "Monitor",
        "Compare scored rows with the reference, the rows that the model was tested on "
        f"({spec.rows.development_name}, unless its preparation chose others): its performance "
        "where labels are in, its input in any case.",
        is_sample=bool(last and last.is_sample),
    )
    scorings = predictions.scorings(settings, min_rows=monitor.MIN_ROWS)
    if scorings:
        form(scorings)
    else:
        st.info(f"Nothing to compare yet. Score at least {monitor.MIN_ROWS} rows first.")
        st.page_link("pages/score.py", label="Go to Score", icon=":material/arrow_forward:")
    if last is not None:
        report(last)
    elif scorings:
        st.info("No report yet. Press Monitor.")
