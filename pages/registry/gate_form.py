"""Decisions on Registry: the gate's form, a promotion against it, and a rollback."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import model_store, permissions
from core.platform.messages import NOTHING, Message, _, sentences
from core.platform.runs import ModelVersion
from core.registry import promote
from pages.registry import threshold_form, version_list
from pages.registry.standing import Standing
from pages.shared import elements, login, step_jobs

AIMS = {
    "better": Message("significantly better"),
    "not_worse": Message("not worse by more than a margin"),
}


def draw(now: Standing, usual: ModelVersion, *, is_next: bool) -> None:
    """Draw the gate's form.

    Parameters
    ----------
    usual : ModelVersion
        The version to use if none was selected.
    is_next : bool
        Whether promoting is the page's primary action.
    """
    numbers = [version.version for version in now.offered]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = version_list.select(
            now.names,
            elements.capital(model_store.ALIAS_LABELS[model_store.CHALLENGER]),
            "challenger",
            numbers,
            usual.version,
            width=330,
        )
        requested = st.button(
            _("Promote"),
            type="primary" if is_next else "secondary",
            icon=":material/gavel:",
            disabled=not permissions.may("promote") or now.going,
        )
        tried = st.button(
            _("Dry run"),
            icon=":material/science:",
            disabled=not permissions.may("promote") or now.going,
        )
    rule = Message(
        "**Promote** makes version {version} the champion if it passes every rule of the gate.",
        version=chosen,
    )
    st.caption(str(sentences(rule, follows(now))))
    with st.expander(_("More")):
        options = _options(now, chosen)
    options["challenger"] = chosen
    if requested or tried:
        step_jobs.submit(now.settings, "promote", promote.Options, dry_run=tried, **options)
    _override(now, options)


def follows(now: Standing) -> Message:
    """Return what happens to the live endpoint; empty without one."""
    if now.live is None:
        return NOTHING
    return Message(
        "The live endpoint switches to it without a failed request; if it does not start, "
        "nothing changes."
    )


def _options(now: Standing, chosen: str) -> dict[str, object]:
    """Draw the options that are seldom changed, and return them."""
    aim = elements.choose(_("It must be"), AIMS, "gate-aim")
    margin = 0.0
    if aim == "not_worse":
        margin = st.number_input(
            _("Margin (log loss)"),
            min_value=0.0,
            max_value=0.1,
            step=0.001,
            format="%.3f",
            key="margin",
        )
    changes = st.toggle(
        _("Threshold"),
        key=f"changes-{chosen}",
        help=_("Promotes a copy of the version with that threshold."),
    )
    version = next(version for version in now.offered if version.version == chosen)
    threshold = threshold_form.choose(now.settings, now.spec, version) if changes else None
    by = st.text_input(
        _("Decided by"), max_chars=80, key="decided-by", disabled=bool(login.logged_in())
    )
    return {"aim": aim, "margin": margin, "threshold": threshold, "decided_by": by}


def _override(now: Standing, options: dict[str, object]) -> None:
    chosen = options["challenger"]
    with st.expander(_("Promote anyway")):
        st.caption(
            _("Makes version {version} the champion whatever the gate says.", version=chosen)
        )
        label = _("Reason, at least {count} characters", count=promote.MIN_REASON)
        reason = st.text_area(label, max_chars=2000, key=f"reason-{chosen}")
        sent = st.button(
            _("Promote anyway"),
            key="override",
            icon=":material/warning:",
            disabled=not permissions.may("promote") or now.going,
        )
        if sent and len(reason.strip()) < promote.MIN_REASON:
            st.error(_("Required: {field}.", field=label))
        elif sent:
            step_jobs.submit(
                now.settings,
                "promote",
                promote.Options,
                action="override",
                reason=reason,
                **options,
            )


def rollback(now: Standing, moves: pd.DataFrame) -> None:
    """Draw the rollback to the previous champion, or why there is none."""
    champion, live = now.champion, now.live
    previous = now.by_alias.get(model_store.PREVIOUS)
    if previous is None or previous == champion:
        st.caption(str(_no_way_back(now, moves)))
        return
    back = Message(
        "Makes version {version} the champion whatever the gate says.",
        version=f"{previous.version} ({version_list.candidate(previous)})",
    )
    moves_live = live is not None and live.version != previous.version
    st.markdown(str(sentences(back, follows(now) if moves_live else "")))
    note = st.text_input(_("Note"), max_chars=2000, key="rollback-note")
    if st.button(
        _("Roll back"),
        key="rollback",
        icon=":material/undo:",
        disabled=not permissions.may("promote") or now.going,
    ):
        step_jobs.submit(
            now.settings,
            "promote",
            promote.Options,
            action="rollback",
            reason=note.strip() or None,
            decided_by=st.session_state.get("decided-by") or login.who(),
        )


def _no_way_back(now: Standing, moves: pd.DataFrame) -> Message:
    """Return the reason: the ledger has the previous champion."""
    current = now.champion.version if now.champion else ""
    before = next((number for number in moves["version"] if number != current), None)
    of_sample = {version.version for version in now.listed if version.is_sample}
    if before is None:
        return Message("There is nothing to roll back to: no other version was the champion.")
    if before in of_sample:
        return Message(
            "There is nothing to roll back to: version {before} was trained on the built-in "
            "sample.",
            before=before,
        )
    return Message(
        "There is nothing to roll back to: version {before} no longer has the alias `previous`.",
        before=before,
    )
