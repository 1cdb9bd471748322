"""Decisions of the gate, as their runs keep them: the verdict, the reason, and the rules."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import tracking
from core.platform.config import Settings
from core.platform.messages import Message, _, n_, number
from core.registry import registry
from core.registry.records import PromotionRun
from pages.registry import version_list
from pages.shared import elements

VERDICTS = {
    "pass": Message(":green-badge[pass]"),
    "hold": Message(":orange-badge[hold]"),
    "refuse": Message(":red-badge[refuse]"),
    "not_applicable": Message(":gray-badge[not applicable]"),
}
# decision -> what it is called, also in a dry run, and its colour
DECISIONS = {
    "promote": (registry.DECISIONS["promote"], Message("would be promoted"), "green"),
    "hold": (registry.DECISIONS["hold"], Message("would be held back"), "orange"),
    "refuse": (registry.DECISIONS["refuse"], Message("would be refused"), "red"),
    "override": (
        registry.DECISIONS["override"],
        Message("would be promoted against the rules"),
        "violet",
    ),
    "unchanged": (registry.DECISIONS["unchanged"], Message("would be unchanged"), "gray"),
}
UNKNOWN = (registry.DECISIONS[registry.UNKNOWN], registry.DECISIONS[registry.UNKNOWN], "gray")


def badge(decided: PromotionRun) -> None:
    """Show a decision as a word in its colour."""
    word, dry_word, colour = DECISIONS.get(decided.decision, UNKNOWN)
    st.badge(str(dry_word if decided.dry_run else word), color=colour)


def detail(settings: Settings, run: tracking.RunInfo) -> None:
    """Show the reason for a decision, what and who it was about, and its rules on request."""
    decided = PromotionRun.of(run)
    st.markdown(elements.plain(elements.words(decided.reason)))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_about(decided, run.params.get("threshold", "None")), width="content")
        st.caption(
            _(
                "{when}, requested by {person}",
                when=elements.ago(run.started),
                person=elements.plain(version_list.person(decided.decided_by or registry.UNKNOWN)),
            ),
            width="content",
        )
        elements.run_link(run.run_id, "Promocao")
        if run.is_sample:
            elements.sample_badge()
    with st.expander(_("Rules of the gate")):
        rule_table(elements.table(settings, settings.mlflow_uri, run.run_id, "rules"))


def _about(decided: PromotionRun, threshold: str) -> str:
    """Return what was decided about; the threshold is the parameter of the run."""
    version, against = decided.version, decided.against
    if threshold == "None":
        if not against:
            return _("**Version {version}**", version=version)
        return _(
            "**Version {version}** against version {against}", version=version, against=against
        )
    if not against:
        return _(
            "**Version {version}** with the threshold {threshold:g}",
            version=version,
            threshold=float(threshold),
        )
    return _(
        "**Version {version}** against version {against}, with the threshold {threshold:g}",
        version=version,
        against=against,
        threshold=float(threshold),
    )


def rule_table(rules: pd.DataFrame) -> None:
    """Show the results of the gate's rules, each with its limit and meaning."""
    st.table(
        pd.DataFrame(
            {
                _("Rule"): [elements.words(title) for title in rules["title"]],
                _("Verdict"): [str(VERDICTS[verdict]) for verdict in rules["verdict"]],
                _("Measured"): [
                    _measured(*of) for of in zip(rules["code"], rules["value"], strict=True)
                ],
                _("Limit"): [
                    _limited(*of) for of in zip(rules["code"], rules["limit"], strict=True)
                ],
                _("What it means"): [
                    elements.plain(elements.words(text)) for text in rules["text"]
                ],
            }
        ),
        hide_index=True,
    )


def _measured(code: str, value: float) -> str:
    """Return the value of a rule with its unit."""
    if pd.isna(value):
        return "–"
    count = round(value)
    return {
        "same_rows": n_("{count:,} row", "{count:,} rows", count),
        "better": _("{value:+.4f} nats", value=value) if value else _("0 nats"),
        "slices": n_("{count:,} slice", "{count:,} slices", count),
        "latency": _("{value:.3g} ms per row", value=value),
        "size": _("{value:.3g} MB", value=value / 1e6),
        "schema": n_("{count:,} column", "{count:,} columns", count),
    }.get(code, number(value, ".4f"))


def _limited(code: str, value: float) -> str:
    """Return the limit of a rule."""
    if pd.isna(value):
        return "–"
    shown = _measured(code, value)
    return {
        "same_rows": _("at least {limit}", limit=shown),
        "better": _("interval at most {limit}", limit=shown),
    }.get(code, _("at most {limit}", limit=shown))
