"""Decisions of the gate, as their runs keep them: the verdict, the reason, and the rules."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import tracking
from core.platform.config import Settings
from core.platform.messages import _, n_, number
from core.registry import promote, registry
from core.registry.records import PromotionRun
from pages.registry import version_list
from pages.shared import elements, navigation
from pages.shared.statuses import GATE

DECISIONS = {
    "promote": (registry.DECISIONS["promote"], "green"),
    "hold": (registry.DECISIONS["hold"], "orange"),
    "refuse": (registry.DECISIONS["refuse"], "red"),
    "override": (registry.DECISIONS["override"], "violet"),
    "unchanged": (registry.DECISIONS["unchanged"], "gray"),
}
UNKNOWN = (registry.DECISIONS[registry.UNKNOWN], "gray")


def badge(decided: PromotionRun) -> None:
    """Show a decision as a word in its colour."""
    word, colour = DECISIONS.get(decided.decision, UNKNOWN)
    # results that change nothing need no such mark
    is_tried = decided.dry_run and decided.decision in promote.MOVING
    st.badge(f"{_('Dry run')}: {word}" if is_tried else str(word), color=colour)


def detail(settings: Settings, run: tracking.RunInfo) -> None:
    """Show a decision's reason, version and person, and its rules on request."""
    decided = PromotionRun.of(run)
    st.markdown(elements.fact(decided.reason))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_about(decided, run.params.get("threshold", "None")), width="content")
        st.caption(
            f"{version_list.decided_by(decided.decided_by or registry.UNKNOWN)} · "
            f"{elements.ago(run.started)}",
            width="content",
        )
        navigation.run_link(run.run_id, "Promocao")
        if run.is_sample:
            elements.sample_badge()
    with st.expander(_("Rules of the gate")):
        rule_table(elements.table(settings, run.run_id, "rules"))


def _about(decided: PromotionRun, threshold: str) -> str:
    """Return what was decided about; the threshold is the parameter of the run."""
    facts = [f"**{elements.capital(_('version {version}', version=decided.version))}**"]
    if decided.against:
        other = _("version {version}", version=decided.against)
        facts.append(f"{_('Compared with')} {other}")
    if threshold != "None":
        facts.append(f"{_('Threshold')} {number(float(threshold), 'g')}")
    return " · ".join(facts)


def rule_table(rules: pd.DataFrame) -> None:
    """Show the results of the gate's rules, each with its compared value and limit."""
    judged = rules.get("judged", pd.Series("", index=rules.index))
    elements.fixed_table(
        {
            _("Rule"): [elements.words(title) for title in rules["title"]],
            _("Verdict"): [elements.badge(*GATE[verdict]) for verdict in rules["verdict"]],
            _("Value"): [
                _measured(*of) for of in zip(rules["code"], rules["value"], judged, strict=True)
            ],
            _("Limits"): [_limited(*of) for of in zip(rules["code"], rules["limit"], strict=True)],
            _("What it means"): [elements.fact(text) for text in rules["text"]],
        }
    )


def _measured(code: str, value: float, judged: str) -> str:
    """Return the value of a rule with its unit, and what it is if it is the end of an interval."""
    end = elements.words(judged)
    return f"{number(value, '+.4f')}{elements.small(end)}" if end else _with_unit(code, value)


def _limited(code: str, value: float) -> str:
    """Return the limit of a rule."""
    if pd.isna(value):
        return "–"
    if code == "better":
        return f"{'≤' if value else '<'} {number(value, 'g')}"
    return f"{'≥' if code == 'same_rows' else '≤'} {_with_unit(code, value)}"


def _with_unit(code: str, value: float) -> str:
    if pd.isna(value):
        return "–"
    count = round(value)
    return {
        "same_rows": n_("{count:,} row", "{count:,} rows", count),
        "latency": f"{number(value, '.3g')} ms",
        "size": f"{number(value / 1e6, '.3g')} MB",
        "slices": number(count),
        "schema": number(count),
    }.get(code, number(value, ".4f") if value else "0")
