"""The decision that is due: champion beside challenger, and the gate's form."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import model_store
from core.platform.messages import Message, Words, _, number
from core.platform.runs import ModelVersion
from core.registry import model_facts, registry
from core.registry.records import PromotionRun
from core.serving.server import Server
from core.stats import metrics
from pages.registry import decisions, gate_form, ledger, version_list
from pages.registry.standing import Standing
from pages.shared import elements, endpoint_warning

# two beside each other at 1440 px, one above the other at 800
CARD_WIDTH = 481
METRICS = {
    "log_loss_test": (
        metrics.TITLES["log_loss"],
        Message(
            "Nats, on the version's own test set, with a 95% interval. To judge two "
            "versions on the same rows, use Compare."
        ),
    ),
    "skill_test": (
        metrics.TITLES["skill"],
        Message(
            "Relative reduction of the base rate's log loss, on the version's own test "
            "set, with a 95% interval."
        ),
    ),
}


def draw(now: Standing) -> None:
    """Draw the two versions, what is due now, and what is seldom done."""
    moves = registry.ledger(now.settings, now.spec.model)
    is_behind = endpoint_warning.behind(now.settings, now.champion, now.live)
    if is_behind:
        elements.job_panel(now.settings, "serve")
    row = st.container(horizontal=True)
    with row.container(border=True, width=CARD_WIDTH, height="stretch"):
        _champion(now, moves)
    due = _due(now)
    with row.container(border=True, width=CARD_WIDTH, height="stretch"):
        if due is None:
            _nothing_due(now)
        else:
            _version(now, _("Challenger: version {version}", version=due.version), due)
    runs = model_facts.decisions(now.settings, of_gate=True)
    last = PromotionRun.of(runs[0]) if runs else None
    is_about_due = (
        last is not None
        and due is not None
        and now.champion is not None
        and (last.version, last.against) == (due.version, now.champion.version)
    )
    if due is not None:
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.subheader(
                    _("Decision about version {version}", version=due.version),
                    anchor=False,
                    width="content",
                )
                if last is not None and is_about_due:
                    decisions.badge(last)
                else:
                    st.badge(_("not judged yet"), color="gray")
            if is_about_due:
                decisions.detail(now.settings, runs[0])
            objected = is_about_due and last is not None and last.decision in ("hold", "refuse")
            if objected:
                elements.step_link("train", _("Train another"))
            gate_form.draw(now, due, is_next=not (is_behind or objected))
    elif now.offered:
        with st.expander(_("Judge another version")):
            gate_form.draw(now, now.offered[0], is_next=False)
    with st.expander(_("Roll back")):
        gate_form.rollback(now, moves)
    if last is not None and not is_about_due:
        with st.expander(_("Last decision of the gate")):
            decisions.badge(last)
            decisions.detail(now.settings, runs[0])


def _due(now: Standing) -> ModelVersion | None:
    """Return the version to decide about: the challenger, or the one chosen in its place."""
    if now.challenger is None:
        return None
    chosen = st.session_state.get("challenger")
    return next((each for each in now.offered if each.version == chosen), now.challenger)


def _champion(now: Standing, moves: pd.DataFrame) -> None:
    champion = now.champion
    if champion is None:
        st.subheader(_("No champion"), anchor=False)
        st.caption(_("The gate promotes one."))
        return
    title = _("Champion: version {version}", version=champion.version)
    is_served = now.live is not None and now.live.version == champion.version
    _version(now, title, champion, live=now.live if is_served else None)
    _since(now, moves)
    if now.live is None:
        elements.step_link("serve", _("Not served: go to Serve"))


def _served(live: Server) -> None:
    """Show the state of the endpoint that serves the champion."""
    port = live.port
    words, colour = {
        "ready": (Message("answers on port {port}", port=port), "green"),
        "silent": (Message("does not answer on port {port}", port=port), "red"),
        "died": (Message("ended on port {port}", port=port), "red"),
        "stopped": (Message("stopping on port {port}", port=port), "gray"),
    }.get(live.state, (Message("starting on port {port}", port=port), "blue"))
    st.badge(str(words), icon=":material/dns:", color=colour)


def _version(
    now: Standing, title: Words, version: ModelVersion, *, live: Server | None = None
) -> None:
    """Draw a version: its candidate, its metrics, and the way to its card.

    Parameters
    ----------
    live : Server, optional
        The live endpoint, if it serves this version.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(str(title), anchor=False, width="content")
        if live is not None:
            _served(live)
        if version.is_sample:
            elements.sample_badge()
    st.caption(
        _(
            "{candidate}, trained {when}",
            candidate=version_list.candidate(version),
            when=elements.ago(version.created),
        )
    )
    measured = now.figures.get(version.version, {})
    for place, (metric, (label, about)) in zip(st.columns(2), METRICS.items(), strict=True):
        place.metric(
            str(label),
            number(measured[metric], ".4f") if metric in measured else "–",
            delta=version_list.interval(measured, metric) or None,
            delta_color="off",
            delta_arrow="off",
            help=str(about),
        )
    st.button(
        _("Model card of version {version}", version=version.version),
        key=f"card-{version.version}",
        type="tertiary",
        icon=":material/description:",
        on_click=version_list.open_card,
        args=(version.version,),
    )


def _since(now: Standing, moves: pd.DataFrame) -> None:
    """Show since when the champion is in place, what it replaced, and who decided so."""
    if moves.empty or pd.isna(moves["from"].iloc[0]):
        return
    newest, former = moves.iloc[0], ledger.former_champions(moves)[0]
    said = {
        "when": elements.ago(newest["from"].timestamp()),
        "decision": version_list.move(newest["decision"], former),
        "person": elements.plain(version_list.person(newest["decided_by"])),
    }
    was_sample = any(each.is_sample for each in now.listed if each.version == former)
    is_sample = bool(now.champion and now.champion.is_sample)
    if not former:
        text = _("Became the champion {when}: {decision}, decided by {person}.", **said)
    elif was_sample and not is_sample:
        text = _(
            "Replaced version {former}, trained on the built-in sample, {when}: {decision}, "
            "decided by {person}.",
            former=former,
            **said,
        )
    else:
        text = _(
            "Replaced version {former}, {when}: {decision}, decided by {person}.",
            former=former,
            **said,
        )
    st.caption(text)


def _nothing_due(now: Standing) -> None:
    """Say that there is no challenger, why, and where one comes from."""
    st.subheader(_("No challenger"), anchor=False)
    champion = now.champion
    named = now.by_alias.get(model_store.CHALLENGER)
    left_out = [version for version in now.beside if version not in now.offered]
    if champion is not None and (named == champion or (named is None and not left_out)):
        st.markdown(
            _(
                "Nothing to decide: version {version} is the champion, and no newer version waits.",
                version=champion.version,
            )
        )
    elif champion is not None and left_out:
        names = [Message("version {version}", version=each.version) for each in left_out]
        st.markdown(
            _(
                "Nothing to decide. Not offered: {versions}, trained on real rows. The gate "
                "compares models on the same test rows, and the champion shares none with them.",
                versions=names,
            )
            if champion.is_sample
            else _(
                "Nothing to decide. Not offered: {versions}, trained on the built-in sample. The "
                "gate compares models on the same test rows, and the champion shares none with "
                "them.",
                versions=names,
            )
        )
    else:
        st.markdown(_("Nothing to decide yet."))
    elements.step_link("train", _("Go to Train"))
