"""Train: choose candidates, compare their metrics, and explain what they depend on."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.data import snapshots
from core.jobs import jobs
from core.jobs.jobs import DONE
from core.platform import storage, tracking
from core.platform.messages import Message, _
from pages.shared import code_snippets, drafts, elements, navigation, step_jobs, visit
from pages.train import evaluation_view, explanation_view, training_form

settings, spec = visit.open_app()
drafts.hold("train", *training_form.KEYS, *explanation_view.KEYS)
VIEWS = {
    "candidates": Message("Candidates"),
    "results": Message("Result"),
    "explain": Message("Explain"),
}
ABOUT = Message("Train candidates; the best is registered.")


def menu() -> None:
    """Draw the page's menu: the runs behind the page, and the code."""
    places["runs"] = st.container()
    code_snippets.button(settings, "train", "explain")


def progress() -> None:
    """Show the training that runs or waits."""
    step_jobs.chain_panel(settings, "prepare", "train")
    step_jobs.job_panel(settings, "prepare")
    step_jobs.job_panel(settings, "train")


def after_training(is_training: bool) -> None:
    """Open the results once the training started on this page is done."""
    newest = jobs.latest(settings, "train", limit=1)
    if is_training:
        st.session_state["train-awaited"] = newest[0].job_id if newest else None
        return
    awaited = st.session_state.pop("train-awaited", None)
    if newest and newest[0].job_id == awaited and newest[0].status == DONE:
        st.session_state["train-view"] = "results"


def is_stale(prepared: storage.Prepared | None, last: tracking.RunInfo | None) -> bool:
    """Return whether the results are of other sets than the current ones."""
    return (
        prepared is not None
        and last is not None
        and last.params.get("prepared_by") != prepared.run_id
    )


def state(prepared: storage.Prepared | None, last: tracking.RunInfo | None, coming: bool) -> None:
    """Say whether the results are of the current sets."""
    if prepared is None or last is None:
        return
    if prepared.rules != spec.digest:
        st.warning(navigation.changed("prepare", _("Project file")))
        navigation.go_to("prepare")
    elif is_stale(prepared, last) and not coming:
        st.warning(navigation.changed("train", _("Training and test set")))
        if view == "results":
            navigation.step_link("train", Message("Candidates"), view="candidates")


def candidates(
    prepared: storage.Prepared | None, last: tracking.RunInfo | None, *, locked: bool
) -> None:
    has_raw = snapshots.current(settings) is not None
    if prepared is None:
        st.info(_("No prepared data yet. Prepare the data first."))
        navigation.go_to("prepare")
        if not has_raw or not spec.presets:
            return

    elif last is None and not locked:
        st.info(_("There is no model yet. Train one first."))
    training_form.draw(settings, spec, prepared, locked=locked)


places: dict[str, DeltaGenerator] = {}
with elements.show_errors():
    prepared = storage.current_prepared(settings)
    is_sample = bool(prepared and prepared.is_sample)
    elements.header(_("Train"), ABOUT, is_sample=is_sample, menu=menu)
    visit.wait_for_store()
    last = tracking.last_run(settings, "train")
    with places["runs"]:
        if last is not None:
            navigation.run_link(last.run_id, last.name)
        if prepared is not None:
            navigation.run_link(prepared.run_id, "PreparacaoDados")
    chain = step_jobs.running_chain(settings)
    active = {job.step for job in jobs.active(settings)}
    is_training = chain is not None or "train" in active
    after_training(is_training)
    begins = last is None or (is_stale(prepared, last) and not is_training)
    view = navigation.views("train", VIEWS, default="candidates" if begins else "results")
    if view != "explain" or is_training:
        progress()
    coming = is_training or "prepare" in active
    if view == "explain":
        explanation_view.draw(settings, spec, coming=coming, menu=places["runs"])
        st.stop()
    if not is_training:
        evaluation_view.ended_early(settings)
    state(prepared, last, coming)
    if view == "results":
        evaluation_view.draw(settings, spec, last)
    else:
        candidates(prepared, last, locked=is_training)
