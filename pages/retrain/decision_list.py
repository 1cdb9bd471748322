"""Past decisions, and challenger against champion."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, _
from core.registry import promote
from core.retraining import retrain
from core.retraining.records import DecisionRun
from pages.shared import elements

BADGES = {
    "retrain": Message(":blue-badge[retrain]"),
    "wait": Message(":gray-badge[wait]"),
    "investigate": Message(":orange-badge[investigate]"),
    "person": Message(":red-badge[a person decides]"),
    "none": Message(":green-badge[nothing to do]"),
}
GATES = {
    "promote": Message(":green-badge[lets it pass]"),
    "hold": Message(":orange-badge[holds it back]"),
    "refuse": Message(":red-badge[refuses it]"),
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
    st.subheader(_("Challenger and champion"), anchor=False)
    st.markdown(
        _(
            "Version **{number}**, retrained from version {old}, {started}. The gate {gate}",
            number=number,
            old=old,
            started=elements.ago(run.started),
            gate=GATES.get(decision.gate, ""),
        )
        + ((" " + _("It is the champion now.")) if state.champion.version == number else "")
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
        st.markdown(_("**Log loss by kind of row**, on test rows that are new to both"))
        st.table(
            pd.DataFrame(
                {
                    "Rows": kinds["value"].map(elements.plain),
                    "Count": kinds["rows"].map("{:,}".format),
                    f"Version {old}": kinds["log_loss_champion"].map("{:.4f}".format),
                    f"Version {number}": kinds["log_loss_challenger"].map("{:.4f}".format),
                    "Difference": [
                        _(
                            "{difference:+.4f}  \n:small[:gray[{low:+.4f} to {high:+.4f}]]",
                            difference=row.difference,
                            low=row.low,
                            high=row.high,
                        )
                        for row in kinds.itertuples()
                    ],
                    "Harmed": ["yes" if is_harmed else "no" for is_harmed in kinds["harmed"]],
                }
            ),
            hide_index=True,
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        if state.waiting_run == run.run_id and st.button(
            _("Promote version {number}", number=number),
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
                reason=_("Retrained in the run {value}.", value=run.run_id[:8]),
            )
        st.page_link("pages/registry/page.py", label=_("Registry"), icon=":material/inventory_2:")
        for name, run_id in (
            (_("Preparation"), decision.prepare_run),
            (_("Training"), decision.train_run),
            (_("Gate"), decision.gate_run),
        ):
            if run_id:
                elements.run_link(run_id, name)


def decisions(decided: list[tracking.RunInfo]) -> None:
    """Show past decisions, with reasons, evidence and cost."""
    st.subheader(_("Decisions so far"), anchor=False)
    if not decided:
        st.info(_("Nothing was decided yet."))
        return
    for run in decided[:10]:
        decision = DecisionRun.of(run)
        code = decision.decision
        title = elements.plain(decision.decision_title or _("Not decided"))
        badge = _(":red-badge[failed]") if run.status != "FINISHED" else BADGES.get(code, "")
        if code == "none" and decision.strategy == "none":
            badge = _(":gray-badge[no policy]")
        with st.expander(f"{badge} {title} · {elements.ago(run.started)}"):
            _details(run, decision)
    if len(decided) > 10:
        st.caption(_("Older decisions stand on the page Runs."))


def _details(run: tracking.RunInfo, decision: DecisionRun) -> None:
    of = run.metrics
    if run.is_sample:
        elements.sample_badge()
    if run.error:
        st.error(elements.plain(run.error), icon=":material/error:")
    st.markdown(elements.plain(decision.reason))
    if decision.todo:
        st.markdown(_("**To do:** {todo}", todo=elements.plain(decision.todo)))
    if decision.by_kind:
        st.markdown(elements.plain(decision.by_kind))
    cost = f"{of.get('seconds', 0):.1f} s"
    if "rows_fit" in of:
        cost += _(
            ", {rows_fit:,.0f} rows fitted, {labels_used:,.0f} labels used, "
            "{labels_new:,.0f} of them new",
            rows_fit=of["rows_fit"],
            labels_used=of["labels_used"],
            labels_new=of["labels_new"],
        )
    trigger, strategy, who = (
        elements.plain(text or "unknown")
        for text in (decision.trigger, decision.strategy, decision.decided_by)
    )
    st.caption(
        _(
            "Asked by {trigger} ({who}), strategy {strategy}. Cost: {cost}.",
            trigger=trigger,
            who=who,
            strategy=strategy,
            cost=cost,
        )
    )
    with st.container(horizontal=True):
        elements.run_link(run.run_id, "Retreinamento")
        for report in decision.evidence[:5]:
            elements.run_link(report, _("Report"))
