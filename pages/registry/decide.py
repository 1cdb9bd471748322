"""The decision that is due: champion beside challenger, and the gate's form."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st

from core.platform import model_store
from core.platform.messages import Message, Words, _, day, number
from core.platform.runs import ModelVersion
from core.registry import model_facts, registry
from core.registry.records import PromotionRun
from core.serving.server import Server
from core.stats import metrics
from pages.registry import decisions, gate_form, ledger, version_list
from pages.registry.standing import Standing
from pages.shared import aliases, elements, endpoint_warning

# two beside each other at 1440 px, one above the other at 800
CARD_WIDTH = 481


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
            _version(now, _title(model_store.CHALLENGER, due), due)
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
                st.subheader(_decision(due.version), anchor=False, width="content")
                if last is not None and is_about_due:
                    decisions.badge(last)
                else:
                    st.badge(_("not judged"), color="gray")
            if is_about_due:
                decisions.detail(now.settings, runs[0])
            objected = is_about_due and last is not None and last.decision in ("hold", "refuse")
            if objected:
                elements.go_to("train")
            gate_form.draw(now, due, is_next=not (is_behind or objected))
    elif now.offered:
        with st.expander(_("Judge another version")):
            gate_form.draw(now, now.offered[0], is_next=False)
    with st.expander(_("Roll back")):
        gate_form.rollback(now, moves)
    if last is not None and not is_about_due:
        with st.expander(_decision(last.version)):
            decisions.badge(last)
            decisions.detail(now.settings, runs[0])


def _decision(version: str) -> str:
    return f"{_('Decision')}: {_('version {version}', version=version)}"


def _due(now: Standing) -> ModelVersion | None:
    """Return the version to decide about: the challenger, or the one chosen in its place."""
    if now.challenger is None:
        return None
    chosen = st.session_state.get("challenger")
    return next((each for each in now.offered if each.version == chosen), now.challenger)


def _champion(now: Standing, moves: pd.DataFrame) -> None:
    champion = now.champion
    if champion is None:
        st.subheader(_missing(model_store.CHAMPION), anchor=False)
        return
    title = _title(model_store.CHAMPION, champion)
    is_served = now.live is not None and now.live.version == champion.version
    _version(now, title, champion, live=now.live if is_served else None)
    _since(now, moves)
    if now.live is None:
        st.badge(_("not served"), color="gray")
        elements.go_to("serve")


def _title(alias: str, version: ModelVersion) -> str:
    """Return what a version is, and which."""
    number_of = _("version {version}", version=version.version)
    return f"{elements.capital(aliases.words(alias))}: {number_of}"


def _missing(alias: str) -> str:
    return f"{elements.capital(aliases.words(alias))}: {_('none')}"


def _served(live: Server) -> None:
    """Show the state of the endpoint that serves the champion."""
    word, colour, _icon = endpoint_warning.STATES[live.state]
    text = f"{word}, {_('port {port}', port=live.port)}"
    st.badge(text, icon=":material/dns:", color=colour)


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
    st.caption(f"{version_list.candidate(version)} · {elements.ago(version.created)}")
    measured = now.figures.get(version.version, {})
    shown = metrics.ordered(("log_loss", "skill"), now.spec.metric)[:2]
    for place, name in zip(st.columns(2), shown, strict=True):
        metric = f"{name}_test"
        place.metric(
            str(metrics.TITLES[name]),
            number(measured[metric], ".4f") if metric in measured else "–",
            delta=version_list.interval(measured, metric) or None,
            delta_color="off",
            delta_arrow="off",
            help=str(version_list.OWN_ROWS),
        )
    st.button(
        _("Model card"),
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
        "when": day(datetime.fromtimestamp(newest["from"].timestamp())),
        "decision": version_list.move(newest["decision"], former),
        "person": elements.plain(version_list.person(newest["decided_by"])),
    }
    st.caption(
        " · ".join(
            (
                elements.capital(_("since {day}", day=said["when"])),
                said["decision"],
                f"{_('Decided by')} {said['person']}",
            )
        )
    )


def _nothing_due(now: Standing) -> None:
    """Say that there is no challenger, why, and where one comes from."""
    st.subheader(_missing(model_store.CHALLENGER), anchor=False)
    champion = now.champion
    named = now.by_alias.get(model_store.CHALLENGER)
    left_out = [version for version in now.beside if version not in now.offered]
    if champion is not None and left_out and named != champion:
        names = [Message("version {version}", version=each.version) for each in left_out]
        st.markdown(
            _(
                "Not offered: {versions}. The gate compares on the same test rows, and only "
                "one side was trained on the built-in sample.",
                versions=names,
            )
        )
    elements.go_to("train")
