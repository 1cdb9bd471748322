"""Past decisions, and challenger against champion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.platform import tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, Words, _, number, p_
from core.registry import promote
from core.retraining import retrain
from core.retraining.policy_settings import STRATEGIES
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
    "promote": Message(":green-badge[passed the gate]"),
    "hold": Message(":orange-badge[held by the gate]"),
    "refuse": Message(":red-badge[refused by the gate]"),
}
TRIGGERS = {
    "report": Message("a report"),
    "person": Message("a person"),
    "calendar": Message("the calendar"),
    "schedule": Message("a schedule"),
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
    version, old = decision.challenger, decision.retrained_version
    st.subheader(_("Challenger and champion"), anchor=False)
    summary = _(
        "Version **{version}**, retrained from version {old}, {ago}.",
        version=version,
        old=old,
        ago=elements.ago(run.started),
    )
    if decision.gate in GATES:
        summary += f" {GATES[decision.gate]}"
    if state.champion.version == version:
        summary += " " + _("It is the champion now.")
    st.markdown(summary)
    st.markdown(elements.plain(str(decision.gate_text)))
    try:
        kinds = elements.table(settings, settings.mlflow_uri, run.run_id, "by_kind")
    except NotReadyError:
        kinds = pd.DataFrame()
    if len(kinds):
        st.markdown(_("**Log loss by kind of row**, on test rows that are new to both"))
        st.table(
            pd.DataFrame(
                {
                    _("Rows"): kinds["value"].map(elements.plain).to_list(),
                    _("Count"): kinds["rows"].map(number).to_list(),
                    _("Version {version}", version=old): _losses(kinds["log_loss_champion"]),
                    _("Version {version}", version=version): _losses(kinds["log_loss_challenger"]),
                    _("Difference"): [_difference(row) for row in kinds.itertuples()],
                    _("Harmed"): [
                        _("yes") if is_harmed else _("no") for is_harmed in kinds["harmed"]
                    ],
                }
            ),
            hide_index=True,
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        if state.waiting_run == run.run_id and st.button(
            _("Promote version {version}", version=version),
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
                challenger=version,
                # a person's own reason, in their language
                reason=_("Retrained in the run {run}.", run=run.run_id[:8]),
            )
        st.page_link("pages/registry/page.py", label=_("Registry"), icon=":material/inventory_2:")
        for name, run_id in (
            (p_("step", "Preparation"), decision.prepare_run),
            (p_("step", "Training"), decision.train_run),
            (p_("step", "Gate"), decision.gate_run),
        ):
            if run_id:
                elements.run_link(run_id, name)


def _losses(values: pd.Series) -> list[str]:
    return [number(loss, ".4f") for loss in values]


def _difference(row: Any) -> str:
    interval = _("{low:+.4f} to {high:+.4f}", low=row.low, high=row.high)
    return f"{number(row.difference, '+.4f')}  \n:small[:gray[{interval}]]"


def decisions(decided: list[tracking.RunInfo]) -> None:
    """Show past decisions, with reasons, evidence and cost."""
    st.subheader(_("Past decisions"), anchor=False)
    if not decided:
        st.info(_("No decision yet."))
        return
    for run in decided[:10]:
        decision = DecisionRun.of(run)
        code = decision.decision
        title = elements.plain(str(decision.decision_title or _("Not decided")))
        badge = BADGES.get(code, "")
        if code == "none" and decision.strategy == "none":
            badge = _(":gray-badge[no policy]")
        elif run.status != "FINISHED":
            badge = _(":red-badge[failed]")
        with st.expander(f"{badge} {title} · {elements.ago(run.started)}"):
            _details(run, decision)
    if len(decided) > 10:
        st.caption(_("Older decisions are on the page Runs."))


def _details(run: tracking.RunInfo, decision: DecisionRun) -> None:
    of = run.metrics
    if run.is_sample:
        elements.sample_badge()
    if run.error:
        st.error(elements.plain(str(run.error)), icon=":material/error:")
    st.markdown(elements.plain(str(decision.reason)))
    if decision.todo:
        st.markdown(_("**To do:** {todo}", todo=elements.plain(str(decision.todo))))
    if decision.by_kind:
        st.markdown(elements.plain(str(decision.by_kind)))
    asked = _(
        "Triggered by {trigger} ({person}), strategy {strategy}.",
        trigger=_known(TRIGGERS, decision.trigger),
        person=elements.plain(str(decision.decided_by or _("unknown"))),
        strategy=_known(
            {code: name for code, (name, _about) in STRATEGIES.items()}, decision.strategy
        ),
    )
    cost = _("Cost: {seconds:.1f} s.", seconds=of.get("seconds", 0))
    if "rows_fit" in of:
        cost = _(
            "Cost: {seconds:.1f} s, {rows:,} rows fitted, {labels:,} labels used, {new:,} of them "
            "new.",
            seconds=of.get("seconds", 0),
            rows=int(of["rows_fit"]),
            labels=int(of["labels_used"]),
            new=int(of["labels_new"]),
        )
    st.caption(f"{asked} {cost}")
    with st.container(horizontal=True):
        elements.run_link(run.run_id, "Retreinamento")
        for report in decision.evidence[:5]:
            elements.run_link(report, _("Report"))


def _known(labels: Mapping[str, Words], code: str) -> str:
    return elements.plain(str(labels.get(code, code) or _("unknown")))
