"""Past decisions, and challenger against champion."""

from __future__ import annotations

import pandas as pd

from core.platform import tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.registry import promote
from core.retraining import retrain
from core.retraining.records import DecisionRun
from pages.shared import elements
from pages.shared.bilingual import st

BADGES = {
    "retrain": ":blue-badge[retrain]",
    "wait": ":gray-badge[wait]",
    "investigate": ":orange-badge[investigate]",
    "person": ":red-badge[a person decides]",
    "none": ":green-badge[nothing to do]",
}
GATES = {
    "promote": ":green-badge[lets it pass]",
    "hold": ":orange-badge[holds it back]",
    "refuse": ":red-badge[refuses it]",
}
SHOWN = 50


def runs(settings: Settings) -> list[tracking.RunInfo]:
    """Return the decisions, newest first, including failed ones."""
    decided = tracking.runs(settings, step="retrain", limit=SHOWN)
    return [run for run in decided if run.status != "RUNNING"]


def challenger(
    settings: Settings, decided: list[tracking.RunInfo], state: retrain.State, *, going: bool
) -> None:
    """Show the newest retraining's challenger and its gate result, with the promotion."""
    judged = [(run, decision) for run in decided if (decision := DecisionRun.of(run)).gate]
    if not judged:
        return
    run, decision = judged[0]
    number, old = decision.challenger, decision.retrained_version
    st.subheader("Challenger and champion", anchor=False)
    st.markdown(
        f"Version **{number}**, retrained from version {old}, {elements.ago(run.started)}. The "
        f"gate {GATES.get(decision.gate, '')}"
        + (" It is the champion now." if state.champion.version == number else "")
    )
    # the gate was a dry run: nothing was promoted yet
    text = decision.gate_text.removeprefix("Only tried, nothing was moved. ")
    text = text.removeprefix("Promoted").lstrip(".: ")
    st.markdown(elements.plain(text[:1].upper() + text[1:]))
    try:
        kinds = elements.table(settings, settings.mlflow_uri, run.run_id, "by_kind")
    except NotReadyError:
        kinds = pd.DataFrame()
    if len(kinds):
        st.markdown("**Log loss by kind of row**, on test rows that are new to both")
        st.table(
            pd.DataFrame(
                {
                    "Rows": kinds["value"].map(elements.plain),
                    "Count": kinds["rows"].map("{:,}".format),
                    f"Version {old}": kinds["log_loss_champion"].map("{:.4f}".format),
                    f"Version {number}": kinds["log_loss_challenger"].map("{:.4f}".format),
                    "Difference": [
                        f"{row.difference:+.4f}  \n:small[:gray[{row.low:+.4f} to {row.high:+.4f}]]"
                        for row in kinds.itertuples()
                    ],
                    "Harmed": ["yes" if is_harmed else "no" for is_harmed in kinds["harmed"]],
                }
            ),
            hide_index=True,
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        if state.waiting_run == run.run_id and st.button(
            f"Promote version {number}",
            type="primary",
            icon=":material/upgrade:",
            disabled=going,
            key="promote",
        ):
            elements.submit(
                settings,
                "promote",
                promote.Options,
                action="gate",
                challenger=number,
                reason=f"Retrained in the run {run.run_id[:8]}.",
            )
        st.page_link("pages/registry/page.py", label="Registry", icon=":material/inventory_2:")
        for name, run_id in (
            ("Preparation", decision.prepare_run),
            ("Training", decision.train_run),
            ("Gate", decision.gate_run),
        ):
            if run_id:
                elements.run_link(run_id, name)


def decisions(decided: list[tracking.RunInfo]) -> None:
    """Show past decisions, with reasons, evidence and cost."""
    st.subheader("Decisions so far", anchor=False)
    if not decided:
        st.info("Nothing was decided yet.")
        return
    for run in decided[:10]:
        decision = DecisionRun.of(run)
        code = decision.decision
        title = elements.plain(decision.decision_title or "Not decided")
        badge = ":red-badge[failed]" if run.status != "FINISHED" else BADGES.get(code, "")
        if code == "none" and decision.strategy == "none":
            badge = ":gray-badge[no policy]"
        with st.expander(f"{badge} {title} · {elements.ago(run.started)}"):
            _details(run, decision)
    if len(decided) > 10:
        st.caption("Older decisions stand on the page Runs.")


def _details(run: tracking.RunInfo, decision: DecisionRun) -> None:
    of = run.metrics
    if run.is_sample:
        elements.sample_badge()
    if run.error:
        st.error(elements.plain(run.error), icon=":material/error:")
    st.markdown(elements.plain(decision.reason))
    if decision.todo:
        st.markdown(f"**To do:** {elements.plain(decision.todo)}")
    if decision.by_kind:
        st.markdown(elements.plain(decision.by_kind))
    cost = f"{of.get('seconds', 0):.1f} s"
    if "rows_fit" in of:
        cost += (
            f", {of['rows_fit']:,.0f} rows fitted, {of['labels_used']:,.0f} labels used, "
            f"{of['labels_new']:,.0f} of them new"
        )
    trigger, strategy, who = (
        elements.plain(text or "unknown")
        for text in (decision.trigger, decision.strategy, decision.decided_by)
    )
    st.caption(f"Asked by {trigger} ({who}), strategy {strategy}. Cost: {cost}.")
    with st.container(horizontal=True):
        elements.run_link(run.run_id, "Retreinamento")
        for report in decision.evidence[:5]:
            elements.run_link(report, "Report")
