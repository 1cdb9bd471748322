"""Registry: champion, challenger and the pending decision; all versions; the ledger."""

import streamlit as st

from core.platform import model_store
from core.platform.messages import Message, _
from pages.registry import comparison, decide, ledger, standing, version_list
from pages.shared import code_snippets, drafts, elements, login, navigation, step_jobs, visit

settings, spec = visit.open_app()
drafts.hold(
    "registry", "gate-aim", "margin", "changes-*", "decided-by", "reason-*", "rollback-note"
)
VIEWS = {
    "decide": Message("Decide"),
    "versions": Message("Versions"),
    "compare": Message("Compare"),
    "ledger": Message("Champion history"),
}

# session keys whose selection survives a change of view
CHOSEN = ("version", "one", "other", "challenger", "registry-all-columns", "ledger-all-columns")
DEFAULTS = {"gate-aim": "better", "margin": 0.002, "decided-by": login.who()}


def menu() -> None:
    code_snippets.button(settings, "promote")
    held = {alias: version for version in listed for alias in version.aliases}
    for alias, name in model_store.ALIAS_LABELS.items():
        is_champions = alias != model_store.CHAMPION and held.get(alias) == held.get(
            model_store.CHAMPION
        )
        if alias in held and not is_champions:
            navigation.run_link(held[alias].run_id, elements.capital(name))


with elements.show_errors():
    visit.wait_for_store()
    listed = model_store.versions(settings, spec.model)
    elements.header(_("Registry"), menu=menu)
    if not listed:
        st.info(_("There is no model yet. Train one first."))
        navigation.go_to("train")
        st.stop()
    for key in (*CHOSEN, *DEFAULTS):
        if key in st.session_state or key in DEFAULTS:
            st.session_state[key] = st.session_state.get(key, DEFAULTS.get(key))
    is_linked = version_list.read_address([version.version for version in listed])
    now = standing.read(settings, spec, listed)
    view = navigation.views("registry", VIEWS, default="versions" if is_linked else "decide")
    # the job that a button below starts is shown above it
    place = st.container()
    with elements.show_errors():
        if view == "versions":
            version_list.draw(listed, now.figures, spec.metric)
        elif view == "compare":
            comparison.draw(now)
        elif view == "ledger":
            ledger.draw(settings, spec.model)
        else:
            decide.draw(now)
    with place:
        step_jobs.job_panel(settings, "promote")
    version_list.cards(settings, listed)
