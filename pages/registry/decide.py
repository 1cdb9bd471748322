"""The pending decision: champion and challenger side by side, and the gate's form."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st

from core.platform import model_store
from core.platform.messages import Message, _, day, listed, n_, number
from core.platform.runs import ModelVersion, RunInfo
from core.registry import model_facts, registry
from core.registry.records import PromotionRun
from core.serving.server import Server
from core.stats import metrics
from pages.registry import decisions, gate_form, ledger, threshold_form, version_list
from pages.registry.standing import Standing
from pages.shared import aliases, elements, endpoint_warning, navigation, step_jobs

# two side by side at 1440 px and at 800
CARD_WIDTH = 360
BETTER_CHALLENGER = Message(
    "Train on other features or rows; or, under More, ask only that it is not worse."
)
MEANINGS = {
    model_store.CHAMPION: Message("The served version."),
    model_store.CHALLENGER: Message(
        "A version that may replace the champion, if it passes the rules of the gate."
    ),
}


def draw(now: Standing) -> None:
    """Draw the two versions, the pending decision, and the rarer actions."""
    moves = registry.ledger(now.settings, now.spec.model)
    is_behind = endpoint_warning.behind(now.settings, now.champion, now.live)
    if is_behind:
        step_jobs.job_panel(now.settings, "serve")
    due = _due(now)
    runs = model_facts.decisions(now.settings, of_gate=True)
    last = PromotionRun.of(runs[0]) if runs else None
    is_about_due = (
        last is not None
        and due is not None
        and now.champion is not None
        and (last.version, last.against) == (due.version, now.champion.version)
    )
    is_compared = is_about_due and "log_loss_champion" in runs[0].metrics
    compared = runs[0] if is_compared else None
    row = st.container(horizontal=True)
    with row.container(border=True, width=CARD_WIDTH, height="stretch"):
        _champion(now, moves, compared)
    with row.container(border=True, width=CARD_WIDTH, height="stretch"):
        if due is None:
            _nothing_due(now)
        else:
            _version(now, model_store.CHALLENGER, due, compared)
    if due is not None and now.champion is not None and compared is None:
        _other_rows(now, now.champion, due)
    is_linked = threshold_form.asked()
    if is_linked:
        threshold_form.draw(now, gate_form.follows(now), is_linked=True)
    if due is not None:
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.subheader(_decision(due.version), anchor=False, width="content")
                if last is not None and is_about_due:
                    decisions.badge(last)
                else:
                    st.badge(_("not evaluated"), color="gray")
            if is_about_due:
                decisions.detail(now.settings, runs[0])
            objected = is_about_due and last is not None and last.decision in ("hold", "refuse")
            if objected:
                st.markdown(_("**To do:** {todo}", todo=BETTER_CHALLENGER))
                navigation.go_to("prepare")
            gate_form.draw(now, due, is_next=not (is_behind or objected or is_linked))
    elif now.offered:
        with st.expander(_("Promote")):
            gate_form.draw(now, now.offered[0], is_next=False)
    if not is_linked:
        threshold_form.draw(now, gate_form.follows(now), is_linked=False)
    with st.expander(_("Roll back")):
        gate_form.rollback(now, moves)
    if last is not None and not is_about_due:
        with st.expander(_decision(last.version)):
            decisions.badge(last)
            decisions.detail(now.settings, runs[0])


def _other_rows(now: Standing, champion: ModelVersion, due: ModelVersion) -> None:
    """Say that metrics of different test rows are not comparable, and link to where they are."""
    prepared = model_facts.prepared_by(now.settings, (champion, due))
    if len(set(prepared.values())) < 2:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        text = _("Tested on different rows: compare them on the same rows.")
        st.markdown(f":orange[:material/info:] {text}", width="content")
        st.page_link(
            "pages/registry/page.py",
            label=_("Compare"),
            icon=":material/compare_arrows:",
            query_params={"view": "compare"},
        )


def _decision(version: str) -> str:
    return elements.named(_("Decision"), _("version {version}", version=version))


def _due(now: Standing) -> ModelVersion | None:
    """Return the version to decide about: the challenger, or another selected one."""
    if now.challenger is None:
        return None
    chosen = st.session_state.get("challenger")
    return next((each for each in now.offered if each.version == chosen), now.challenger)


def _champion(now: Standing, moves: pd.DataFrame, compared: RunInfo | None) -> None:
    champion = now.champion
    if champion is None:
        st.subheader(_missing(model_store.CHAMPION), anchor=False)
        return
    is_served = now.live is not None and now.live.version == champion.version
    live = now.live if is_served else None
    _version(now, model_store.CHAMPION, champion, compared, live=live)
    _since(now, moves)
    if now.live is None:
        st.badge(_("not served"), color="gray")
        navigation.go_to("serve")
    elif is_served:
        navigation.go_to("score")


def _missing(alias: str) -> str:
    return elements.named(elements.capital(aliases.words(alias)), _("none"))


def _served(live: Server) -> None:
    """Show the state of the endpoint that serves the champion."""
    word, colour, _icon = endpoint_warning.STATES[live.state]
    text = f"{word} · {elements.named(_('Port'), live.port)}"
    st.badge(text, icon=":material/dns:", color=colour)


def _version(
    now: Standing,
    alias: str,
    version: ModelVersion,
    compared: RunInfo | None,
    *,
    live: Server | None = None,
) -> None:
    """Draw a version: its candidate, its metrics, and a link to its card.

    Parameters
    ----------
    alias : {"champion", "challenger"}
        The role of the version.
    compared : RunInfo, optional
        The run of the gate that measured both versions on the same rows.
    live : Server, optional
        The live endpoint, if it serves this version.
    """
    title = (
        f"{elements.capital(aliases.words(alias))}: "
        f"{_('version {version}', version=version.version)}"
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(title, anchor=False, width="content", help=str(MEANINGS[alias]))
        if live is not None:
            _served(live)
        if version.is_sample:
            elements.sample_badge()
    kind = elements.words(version.about.rows_name)
    st.caption(
        " · ".join(
            elements.plain(part)
            for part in (version_list.candidate(version), kind, elements.ago(version.created))
            if part
        )
    )
    shown = _own(now, version) if compared is None else _on_same_rows(now, compared, alias)
    for place, (label, value, note, about) in zip(st.columns(2), shown, strict=True):
        place.metric(
            label, value, delta=note or None, delta_color="off", delta_arrow="off", help=about
        )
    st.button(
        _("Model card"),
        key=f"card-{version.version}",
        type="tertiary",
        icon=":material/description:",
        on_click=version_list.open_card,
        args=(version.version,),
    )


def _own(now: Standing, version: ModelVersion) -> list[tuple[str, str, str, str]]:
    """Return metrics on the version's own test set: label, value, interval, and which rows."""
    measured = now.figures.get(version.version, {})
    return [
        (
            _("{metric}, test", metric=metrics.TITLES[name]),
            elements.metric_text(measured, f"{name}_test"),
            version_list.interval(measured, f"{name}_test"),
            str(version_list.OWN_ROWS),
        )
        for name in metrics.ordered(("log_loss", "skill"), now.spec.metric)[:2]
    ]


def _on_same_rows(now: Standing, run: RunInfo, alias: str) -> list[tuple[str, str, str, str]]:
    """Return the same of the rows on which a run of the gate measured both versions."""

    def table(name: str, key: str) -> pd.DataFrame:
        return elements.table(now.settings, run.run_id, name).set_index(key)

    values = table("comparison", "metric")[alias]
    rows = n_("{count:,} row", "{count:,} rows", int(run.metrics["rows_judged"]))
    about = elements.words(table("rules", "code").loc["same_rows", "text"])
    return [
        (_("{metric}, test", metric=metrics.TITLES[name]), number(values[name], ".4f"), rows, about)
        for name in ("log_loss", "brier_score")
    ]


def _since(now: Standing, moves: pd.DataFrame) -> None:
    """Show since when the champion is in place, what it replaced, and who decided so."""
    if moves.empty or pd.isna(moves["from"].iloc[0]):
        return
    newest, former = moves.iloc[0], ledger.former_champions(moves)[0]
    said = {
        "when": day(datetime.fromtimestamp(newest["from"].timestamp())),
        "decision": version_list.move(newest["decision"], former),
        "person": version_list.decided_by(newest["decided_by"]),
    }
    st.caption(
        " · ".join(
            (elements.capital(_("since {day}", day=said["when"])), said["decision"], said["person"])
        )
    )


def _nothing_due(now: Standing) -> None:
    """Say that there is no challenger, why, and where one comes from."""
    st.subheader(
        _missing(model_store.CHALLENGER), anchor=False, help=str(MEANINGS[model_store.CHALLENGER])
    )
    champion = now.champion
    named = now.by_alias.get(model_store.CHALLENGER)
    left_out = [version for version in now.beside if version not in now.offered]
    if champion is not None and left_out and named != champion:
        names = [_("version {version}", version=each.version) for each in left_out]
        st.markdown(elements.named(_("Excluded"), listed(names)))
        st.caption(_("Only one side was trained on the built-in sample: they share no test rows."))
    navigation.go_to("train")
