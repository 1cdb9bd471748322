"""What to do now and why, by the newest report and the policy, with the one action for it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.platform import model_store, permissions, tracking
from core.platform.config import Settings
from core.platform.messages import Message, _, number
from core.platform.project import ProjectSpec
from core.registry import promote
from core.retraining import decision_basis, retrain
from core.retraining.policy import Decision, Policy
from core.retraining.policy_evidence import Window
from core.retraining.policy_settings import STRATEGIES
from core.retraining.records import DecisionRun
from pages.retrain import decision_list
from pages.shared import elements, navigation, next_steps, outdated, step_jobs

# code of a decision -> colour and icon
MARKS = {
    "retrain": ("orange", "autorenew"),
    "wait": ("blue", "hourglass_top"),
    "investigate": ("orange", "search"),
    "person": ("red", "error"),
    "none": ("gray", "info"),
}
FINE = ("green", "check_circle")
# verdicts of a report after which "nothing to do" is good news
WELL = ("fits", "watch")
# results of the gate after which a challenger is not promoted
HELD = ("hold", "refuse")


def mark(decision: Decision, state: decision_basis.State, by: Policy) -> tuple[str, str]:
    """Return colour and icon of a decision; green only if a policy found the model to fit."""
    fits = bool(state.windows) and state.windows[-1].verdict in WELL
    return FINE if decision.code == "none" and by.is_on and fits else MARKS[decision.code]


def draw(
    settings: Settings,
    spec: ProjectSpec,
    state: decision_basis.State,
    by: Policy | None,
    decided: Sequence[tracking.RunInfo],
    *,
    going: bool,
) -> None:
    """Draw the recommendation; without a usable policy, only what a person can do."""
    with st.container(border=True, key="recommendation"):
        if by is None:
            _actions(settings, spec, None, state, Policy(), decided, going=going)
            return
        decision = retrain.decide(settings, by, state)
        colour, icon = mark(decision, state, by)
        st.markdown(f"#### :{colour}[:material/{icon}:] {decision.title}")
        for reason in decision.reasons[:1]:
            st.markdown(elements.plain(str(reason)))
        st.markdown(_("**To do:** {todo}", todo=decision.todo))
        _late(settings, spec, state)
        _advice(settings, spec, decision, state)
        _outcome(state, decided)
        _actions(settings, spec, decision, state, by, decided, going=going)
        champion = model_store.ALIAS_LABELS[model_store.CHAMPION]
        labelled = sum(window.labels >= by.min_labels for window in state.windows)
        st.caption(
            " · ".join(
                (
                    elements.named(elements.capital(champion), state.champion.version),
                    elements.named(_("Policy"), STRATEGIES[by.strategy][0]),
                    elements.named(_("Reports so far"), number(len(state.windows))),
                    elements.named(f"{_('Labels')} ≥ {number(by.min_labels)}", number(labelled)),
                )
            )
        )


def _newest(state: decision_basis.State) -> Window | None:
    return state.windows[-1] if state.windows else None


def _steps(
    settings: Settings, spec: ProjectSpec, state: decision_basis.State
) -> tuple[tracking.RunInfo, next_steps.Action] | None:
    """Return the newest report with the action of its verdict."""
    newest = _newest(state)
    run = tracking.finished_run(settings, newest.run_id) if newest and newest.action else None
    return (run, next_steps.actions(spec, run)[0]) if run else None


def _late(settings: Settings, spec: ProjectSpec, state: decision_basis.State) -> None:
    """Say that the decision is about an older report, as Monitor does."""
    newest = _newest(state)
    run = tracking.finished_run(settings, newest.run_id) if newest else None
    late = outdated.find(settings, spec, run) if run else None
    if late is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":orange[:material/update:] {late.text}", width="content")
        navigation.go_to("monitor")


def _advice(
    settings: Settings, spec: ProjectSpec, decision: Decision, state: decision_basis.State
) -> None:
    """Say what the verdict advises, if the decision does not, and in what retraining differs."""
    newest, advised = _newest(state), _steps(settings, spec, state)
    if newest is None or advised is None or state.waiting_run:
        return
    label = advised[1].label
    other = {
        "threshold": Message("**{action}** trains nothing", action=label),
        "train_rows": Message(
            "**{action}** takes the {rows} only", action=label, rows=spec.rows.current_rows
        ),
        "train": Message("**{action}** has other features and candidates to choose", action=label),
    }.get(newest.action)
    if other is None:
        return
    if decision.action != newest.action:
        st.markdown(f"**{_('Report')}:** {elements.fact(newest.todo)}")
    st.markdown(
        _(
            "**Retrain** repeats the champion's recipe on its rows and those labelled since; "
            "{other}.",
            other=other,
        )
    )


def _challenger(
    state: decision_basis.State, decided: Sequence[tracking.RunInfo]
) -> tuple[tracking.RunInfo, DecisionRun] | None:
    """Return the run of the challenger that waits for a person."""
    waiting = [run for run in decided if run.run_id == state.waiting_run]
    return (waiting[0], DecisionRun.of(waiting[0])) if waiting else None


def _retrained(
    state: decision_basis.State, decided: Sequence[tracking.RunInfo]
) -> tuple[tracking.RunInfo, DecisionRun] | None:
    """Return the newest retraining of this champion, if it brought a challenger."""
    for run in decided:
        decision = DecisionRun.of(run)
        if decision.decision == "retrain" and (
            decision.retrained_version == state.champion.version
        ):
            return (run, decision) if decision.challenger else None
    return None


def _outcome(state: decision_basis.State, decided: Sequence[tracking.RunInfo]) -> None:
    """Show the result of the newest retraining: a waiting challenger, or why there is none."""
    retrained = _retrained(state, decided)
    if retrained is None:
        return
    run, decision = retrained
    text = _(
        "Version **{version}**, retrained from version {old}, {ago}.",
        version=decision.challenger,
        old=decision.retrained_version,
        ago=elements.ago(run.started),
    )
    st.markdown(f"{text} {decision_list.gate_badge(decision.gate)}")
    if decision.gate in HELD:
        st.markdown(elements.fact(decision.gate_text))


def _actions(
    settings: Settings,
    spec: ProjectSpec,
    decision: Decision | None,
    state: decision_basis.State,
    by: Policy,
    decided: Sequence[tracking.RunInfo],
    *,
    going: bool,
) -> None:
    challenger = _challenger(state, decided)
    code = decision.code if decision else "person"
    retrained = _retrained(state, decided)
    is_held = retrained is not None and retrained[1].gate in HELD
    advised = _steps(settings, spec, state) if decision and decision.action else None
    main = "promote" if challenger else _main(code, decision, state, by)
    if main == "retrain" and is_held:
        # repeating the same training would give the same result
        main = "registry"
    with st.container(horizontal=True, vertical_alignment="center"):
        if challenger:
            _promote(settings, *challenger, going=going)
        elif main == "policy":
            _choose_policy(is_main=True)
        elif main == "advised" and advised:
            run, action = advised
            next_steps.button(action, run, is_first=True)
        elif main == "report":
            _to_report(state)
        elif main == "registry" and st.button(
            _("Go to {page}", page=_("Registry")),
            type="primary",
            icon=":material/inventory_2:",
            key="to-registry",
        ):
            st.switch_page("pages/registry/page.py", query_params={"view": "decide"})
        if main == "retrain":
            _by_hand(settings, is_main=True, going=going)
        # without a policy there is nothing to apply
        if by.is_on:
            _decide(settings, is_main=main == "decide", going=going)
        if main != "retrain":
            _by_hand(settings, is_main=False, going=going)
        if main != "policy" and decision is not None and not by.is_on:
            _choose_policy(is_main=False)
        if decision is not None:
            _evidence(decision)


def _decide(settings: Settings, *, is_main: bool, going: bool) -> None:
    if st.button(
        _("Apply the policy"),
        help=_("Decides from the reports so far, and retrains if the policy says so."),
        type="primary" if is_main else "secondary",
        icon=":material/gavel:",
        disabled=not permissions.may("retrain") or going,
        key="decide",
    ) and step_jobs.submit(settings, "retrain", retrain.Options, trigger="person"):
        st.rerun()


def _main(code: str, decision: Decision | None, state: decision_basis.State, by: Policy) -> str:
    """Return which action is the primary one; the verdict's, if the decision says the same."""
    if code == "retrain":
        return "decide"
    if decision is not None and decision.action:
        return "retrain" if decision.action == "retrain" else "advised"
    if code == "person":
        return "retrain"
    return "report" if by.is_on or code != "none" or not state.windows else "policy"


def _choose_policy(*, is_main: bool) -> None:
    st.button(
        _("Go to {page}", page=_("Policy")),
        type="primary" if is_main else "tertiary",
        icon=":material/tune:",
        key="choose-policy",
        on_click=_to_policy,
    )


def _to_policy() -> None:
    st.session_state["retrain-view"] = "policy"


def _to_report(state: retrain.State) -> None:
    label = _("Report") if state.windows else _("Go to {page}", page=_("Monitor"))
    if st.button(label, type="primary", icon=":material/monitoring:", key="to-report"):
        asked = {"report": state.windows[-1].run_id} if state.windows else {}
        st.switch_page("pages/monitor/page.py", query_params=asked)


def _promote(
    settings: Settings, run: tracking.RunInfo, decision: DecisionRun, *, going: bool
) -> None:
    if st.button(
        _("Promote"),
        type="primary",
        icon=":material/upgrade:",
        disabled=not permissions.may("promote") or going,
        key="promote",
    ) and step_jobs.submit(
        settings,
        "promote",
        promote.Options,
        action="gate",
        challenger=decision.challenger,
        # a person's own reason, in their language
        reason=elements.named(navigation.STEPS["retrain"][1], run.run_id[:8]),
    ):
        st.rerun()


def _by_hand(settings: Settings, *, is_main: bool, going: bool) -> None:
    look = "primary" if is_main else "secondary"
    if going:  # an open popover would hide the progress
        st.button(_("Retrain"), icon=":material/autorenew:", disabled=True, key="busy")
        return
    with st.popover(_("Retrain"), icon=":material/autorenew:", type=look):
        st.markdown(
            _(
                "Trains the champion's recipe on its rows and those labelled since. The "
                "prepared sets are replaced."
            )
        )
        label = _("Reason, at least {count} characters", count=retrain.MIN_REASON)
        reason = st.text_area(label, max_chars=2000, key="reason")
        if st.button(
            _("Retrain"), type="primary", key="retrain", disabled=not permissions.may("train")
        ):
            if len(reason.strip()) < retrain.MIN_REASON:
                st.error(_("Required: {field}.", field=label))
            elif step_jobs.submit(
                settings, "retrain", retrain.Options, trigger="person", reason=reason
            ):
                st.rerun()


def _evidence(decision: Decision) -> None:
    """Offer more evidence for the decision: further reasons, and the reports."""
    more = decision.reasons[1:]
    if not more and not decision.evidence:
        return
    with st.popover(_("Evidence"), icon=":material/fact_check:", type="tertiary"):
        for reason in more:
            st.markdown(elements.plain(str(reason)))
        for run_id in decision.evidence[-5:]:
            navigation.run_link(run_id, _("Report"))
