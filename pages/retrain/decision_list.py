"""Past decisions as a table, and the reasons, evidence and gate result of the selected one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.platform import tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, Words, _, number, p_, span
from core.platform.model_store import ALIAS_LABELS, CHALLENGER
from core.retraining.policy_settings import STRATEGIES
from core.retraining.records import DecisionRun
from pages.shared import elements, navigation, table_texts
from pages.shared.statuses import GATE, STATUSES

TRIGGERS = {
    "report": Message("Report"),
    "person": Message("Person"),
    "calendar": Message("Calendar"),
    "schedule": Message("Schedule"),
}
COLUMNS: dict[str, Words] = {
    "when": Message("When"),
    "decision": Message("Decision"),
    "outcome": ALIAS_LABELS[CHALLENGER],
    "strategy": Message("Policy"),
    "trigger": Message("Triggered by"),
}
MORE: dict[str, Words] = {
    "seconds": Message("Seconds"),
    "person": Message("Decided by"),
    "rows_fit": Message("Rows fitted on"),
    "labels_used": Message("Labels used"),
    "labels_new": Message("New labels"),
    "data": Message("Data"),
}
COUNTS = ("rows_fit", "labels_used", "labels_new")
STRATEGY_NAMES = {code: name for code, (name, _about) in STRATEGIES.items()}
SHOWN = 50
ROWS_BEFORE_SCROLLING = 6
ROW_HEIGHT = 35


def runs(settings: Settings) -> list[tracking.RunInfo]:
    """Return the decisions, newest first, including failed ones."""
    decided = tracking.runs(settings, step="retrain", limit=SHOWN)
    return [run for run in decided if run.status != "RUNNING"]


def draw(settings: Settings, decided: Sequence[tracking.RunInfo]) -> None:
    """Draw the latest decisions, and the evidence of the one that is selected or linked to."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(_("History"), anchor=False, width="stretch")
        if decided:
            shows_all = st.toggle(_("All columns"), key="decision-columns")
    if not decided:
        st.caption(_("Nothing here yet."))
        return
    chosen = {**COLUMNS, **(MORE if shows_all else {})}
    table = pd.DataFrame([_cells(run) for run in decided])[list(chosen)]
    ids = [run.run_id for run in decided]
    asked = st.query_params.get("decision", "")
    first = [ids.index(asked)] if asked in ids else []
    config = st.column_config
    picked = st.dataframe(
        table_texts.localized(table, {"seconds": ".1f"}),
        hide_index=True,
        height=ROW_HEIGHT * (min(len(table), ROWS_BEFORE_SCROLLING) + 1) + 3,
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": first, "columns": [], "cells": []}},
        # a new decision moves all rows
        key=f"decisions-{ids[0]}",
        column_config={
            **{name: elements.capital(label) for name, label in chosen.items()},
            "when": config.DatetimeColumn(str(COLUMNS["when"])),
        },
    )
    rows = picked["selection"]["rows"]
    if rows:
        _details(settings, decided[rows[0]])
        return
    if len(decided) == SHOWN:
        st.caption(_("The newest {count}; all are on the Runs page.", count=SHOWN))


def _cells(run: tracking.RunInfo) -> dict[str, Any]:
    decision, of = DecisionRun.of(run), run.metrics
    title = str(decision.decision_title or "–")
    if run.status != "FINISHED":
        title = f"{title} ({STATUSES['FAILED']})"
    outcome = ""
    if decision.gate in GATE:
        version = _("version {version}", version=decision.challenger)
        outcome = f"{version}: {GATE[decision.gate][0]}"
    return {
        "when": elements.when(run.started),
        "decision": title,
        "outcome": outcome,
        "strategy": _known(STRATEGY_NAMES, decision.strategy),
        "trigger": _known(TRIGGERS, decision.trigger),
        "seconds": of.get("seconds"),
        "person": str(decision.decided_by or ""),
        **{name: of.get(name) for name in COUNTS},
        "data": elements.data_word(run.is_sample),
    }


def _details(settings: Settings, run: tracking.RunInfo) -> None:
    decision = DecisionRun.of(run)
    with st.container(border=True, key="decision-details"):
        title = elements.plain(str(decision.decision_title or "–"))
        mark = elements.sample_mark(run.is_sample)
        st.markdown(f"**{title}** · {elements.ago(run.started)}{mark}")
        if run.error:
            st.error(elements.plain(str(run.error)), icon=":material/error:")
        st.markdown(elements.plain(str(decision.reason)))
        if decision.todo:
            st.markdown(_("**To do:** {todo}", todo=elements.plain(str(decision.todo))))
        st.caption(_asked(run, decision))
        if decision.gate:
            _challenger(settings, run, decision)
        with st.container(horizontal=True):
            navigation.run_link(run.run_id, "Retreinamento")
            for report in decision.evidence[:5]:
                navigation.run_link(report, _("Report"))
            for name, run_id in (
                (navigation.STEPS["prepare"][1], decision.prepare_run),
                (navigation.STEPS["train"][1], decision.train_run),
                (p_("step", "Gate"), decision.gate_run),
            ):
                if run_id:
                    navigation.run_link(run_id, name)
            if decision.gate:
                navigation.step_link("promote", icon=":material/inventory_2:")


def _asked(run: tracking.RunInfo, decision: DecisionRun) -> str:
    """Return who or what triggered a decision, and what it cost."""
    of = run.metrics
    person = elements.plain(str(decision.decided_by or _("unknown")))
    trigger = elements.plain(_known(TRIGGERS, decision.trigger))
    strategy = elements.plain(_known(STRATEGY_NAMES, decision.strategy))
    facts = [
        elements.named(COLUMNS["trigger"], f"{trigger} ({person})"),
        elements.named(COLUMNS["strategy"], strategy),
        elements.named(MORE["seconds"], number(of.get("seconds", 0), ".1f")),
        *(elements.named(MORE[name], number(of[name])) for name in COUNTS if name in of),
    ]
    return " · ".join(facts)


def _challenger(settings: Settings, run: tracking.RunInfo, decision: DecisionRun) -> None:
    """Draw the gate's result for the retrained version, and its differences from the old one."""
    version, old = decision.challenger, decision.retrained_version
    titles = [elements.capital(_("version {version}", version=each)) for each in (old, version)]
    st.markdown(f"**{titles[1]}** · {_('Compared with')} {old} {gate_badge(decision.gate)}")
    st.markdown(elements.plain(str(decision.gate_text)))
    if decision.by_kind:
        st.markdown(elements.plain(str(decision.by_kind)))
    try:
        kinds = elements.table(settings, run.run_id, "by_kind")
    except NotReadyError:
        return
    if kinds.empty:
        return
    elements.question(_("Which slices stand out?"))
    elements.fixed_table(
        {
            _("Rows"): kinds["value"].map(elements.plain).to_list(),
            _("Number"): kinds["rows"].map(number).to_list(),
            titles[0]: _losses(kinds["log_loss_champion"]),
            titles[1]: _losses(kinds["log_loss_challenger"]),
            _("Difference"): [_difference(row) for row in kinds.itertuples()],
            elements.capital(_("worse")): [
                _("yes") if is_harmed else _("no") for is_harmed in kinds["harmed"]
            ],
        }
    )


def gate_badge(result: str) -> str:
    """Return the result of the gate as a badge; empty for none."""
    if result not in GATE:
        return ""
    label, colour = GATE[result]
    return elements.badge(f"{p_('step', 'Gate')}: {label}", colour)


def _losses(values: pd.Series) -> list[str]:
    return [number(loss, ".4f") for loss in values]


def _difference(row: Any) -> str:
    interval = span(row.low, row.high, "+.4f")
    return f"{number(row.difference, '+.4f')}  \n:small[:gray[{interval}]]"


def _known(labels: Mapping[str, Words], code: str) -> str:
    return str(labels.get(code, code) or _("unknown"))
