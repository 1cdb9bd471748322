"""Retrain: what to do now and why, the policy that decides, and a replay of past rows.

Top to bottom: the running job; the recommendation with its one action; the decisions so far, with
the evidence of the selected one. The views Policy and Replay have a form and its result each.
"""

import streamlit as st

from core.jobs import jobs
from core.platform import model_store, tracking
from core.platform.errors import CourtsideError
from core.platform.messages import Message, _
from core.retraining import decision_basis, policy_store
from core.retraining.policy_settings import Policy
from pages.retrain import decision_list, forecast_view, policy_form, recommendation, replay_view
from pages.shared import (
    code_snippets,
    drafts,
    elements,
    navigation,
    set_aside_list,
    step_jobs,
    visit,
)

settings, spec = visit.open_app()
VIEWS = {"decision": Message("Decision"), "policy": Message("Policy"), "replay": Message("Replay")}


@st.cache_data(show_spinner=False, max_entries=4)
def known(_settings: object, home: str, stamp: tuple[str, ...]) -> decision_basis.State:
    """Return the basis of a decision; `stamp` is a cache key of everything that affects it."""
    return decision_basis.state(settings, spec)


def read(
    champion: model_store.ModelVersion, decided: list[tracking.RunInfo]
) -> decision_basis.State:
    newest = tracking.last_run(settings, "monitor")
    waiting = model_store.find_version(settings, spec.model, model_store.CHALLENGER)
    stamp = (
        champion.version,
        newest.run_id if newest else "",
        decided[0].run_id if decided else "",
        decided[0].status if decided else "",
        waiting.version if waiting else "",
    )
    return known(settings, str(settings.home), stamp)


def policy() -> Policy | None:
    """Return the saved policy; say why it cannot be used, and return none."""
    try:
        return policy_store.load(settings)
    except CourtsideError as error:
        st.error(elements.plain(str(error)), icon=":material/error:")
        return None


def draw_policy(champion: model_store.ModelVersion | None) -> None:
    drafts.hold("retrain", "strategy", "promotes", "policy-*")
    by = policy() or Policy()
    policy_form.section(settings, by)
    if champion is not None:
        with elements.show_errors():
            forecast_view.draw(settings, read(champion, decision_list.runs(settings)), by)


def draw_decision(champion: model_store.ModelVersion | None) -> None:
    drafts.hold("retrain", "reason")
    if champion is None:
        st.info(_("There is no model yet. Train one first."))
        navigation.go_to("train")
        return
    step_jobs.job_panel(settings, "retrain")
    step_jobs.job_panel(settings, "promote")
    going = any(job.step in ("retrain", "promote") for job in jobs.active(settings))
    with elements.show_errors():
        by = policy()
        decided = decision_list.runs(settings)
        state = read(champion, decided)
        recommendation.draw(settings, spec, state, by, decided, going=going)
        set_aside_list.draw(settings, "retraining", "labels")
        if by is not None and by.strategy == "predictive":
            forecast_view.draw(settings, state, by)
        decision_list.draw(settings, decided)


with elements.show_errors():
    visit.wait_for_store()
    champion = model_store.find_version(settings, spec.model, model_store.CHAMPION)
    elements.header(
        _("Retrain"),
        is_sample=bool(champion and champion.is_sample),
        menu=lambda: code_snippets.button(settings, "retrain", "policy", "replay"),
    )
    view = navigation.views("retrain", VIEWS)
    if view == "replay":
        replay_view.draw(settings, spec)
    elif view == "policy":
        draw_policy(champion)
    else:
        draw_decision(champion)
