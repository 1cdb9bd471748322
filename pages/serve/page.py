"""Serve: start, watch and stop the endpoints of registered versions."""

from collections.abc import Iterable

import streamlit as st

from core.platform import messages, model_store, tracking
from core.platform.messages import _
from core.platform.runs import ModelVersion
from core.serving import endpoint, external_servers, serve, server
from pages.serve import key_list, server_list
from pages.shared import (
    aliases,
    code_snippets,
    drafts,
    elements,
    endpoint_warning,
    navigation,
    set_aside_list,
    step_jobs,
    visit,
)

settings, spec = visit.open_app()
drafts.hold("serve", "serve-target", "serve-port", "serve-shadow")


def in_order(held: Iterable[str]) -> list[str]:
    """Return aliases in a natural order; last those set in MLflow's own pages."""
    known = (model_store.CHAMPION, model_store.CHALLENGER, model_store.PREVIOUS)
    return sorted(held, key=lambda alias: (known.index(alias) if alias in known else 9, alias))


def form(listed: list[ModelVersion], *, is_next: bool) -> None:
    names: dict[str, str] = {}
    for version in listed:
        for alias in version.aliases:
            names[alias] = (
                f"{aliases.words(alias)} ({_('version {version}', version=version.version)})"
            )
    order = in_order(names)
    names |= {
        version.version: _("version {version}", version=version.version) for version in listed
    }
    if st.session_state.get("serve-target") not in names:  # the alias has been removed since
        st.session_state.pop("serve-target", None)
    left, right = st.columns(2)
    target = left.selectbox(
        _("Model"),
        [*order, *(version.version for version in listed)],
        format_func=names.__getitem__,
        key="serve-target",
    )
    port = right.number_input(
        _("Port"),
        1024,
        65535,
        None,
        1,
        key="serve-port",
        help=_(
            "By default the champion answers on the live endpoint, port {port}; any other "
            "version is served beside it, for trying out.",
            port=settings.serve_port,
        ),
    )
    shadow = st.checkbox(
        _("Send it a copy of every request to the live endpoint (shadow)"),
        key="serve-shadow",
        help=_("Its answers go to the predictions log only."),
    )
    sent = st.button(
        _("Start"),
        type="primary" if is_next else "secondary",
        icon=":material/play_arrow:",
        disabled=step_jobs.is_locked(settings, "serve"),
    )
    if sent:
        chosen = None if port is None else int(port)
        values = {"target": target, "port": chosen}
        step_jobs.submit(settings, "serve", serve.Options, **values, shadow=shadow)


def aliases_now(served: server.Server) -> str:
    """Return the version's name with its current aliases."""
    held = next((version.aliases for version in listed if version.version == served.version), ())
    if served.model != spec.model:
        return str(served.name)
    return _("{name}, version {version}", name=served.model, version=served.version) + (
        f" ({aliases.listed(in_order(held))})" if held else ""
    )


@st.fragment(run_every=2)
@elements.show_errors()
def watch() -> None:
    running = server.servers(settings)
    live = next((served for served in running if served.is_live), None)
    if live is None:
        st.info(_("No model is served."))
    else:
        server_list.live_card(settings, live, aliases_now(live))
    for served in sorted(running, key=lambda served: served.port):
        if not served.is_live:
            server_list.card(settings, served, aliases_now(served), live)


@st.fragment(run_every=15)
@elements.show_errors()
def others() -> None:
    """Show servers on our ports, or of models, that this app did not start."""
    programs = external_servers.listed(settings)
    if not programs:
        return
    with st.expander(
        elements.counted(_("Not started by this app"), len(programs)), icon=":material/visibility:"
    ):
        for program in programs:
            facts = [
                *(["MLflow"] if program.is_model else []),
                elements.named(_("Port"), program.port),
                elements.named("PID", "–" if program.pid is None else str(program.pid)),
            ]
            if program.since is not None:
                facts.append(elements.ago(program.since))
            with st.container(border=True):
                st.markdown(messages.listed(facts, "unit"))
                if program.command:
                    st.code(program.command, language=None, wrap_lines=True)


def menu() -> None:
    code_snippets.button(settings, "serve")
    last = tracking.last_run(settings, "serve")
    if last is not None:
        navigation.run_link(last.run_id, "Disponibilizacao")


with elements.show_errors():
    visit.wait_for_store()
    listed = model_store.versions(settings, spec.model)
    elements.header(_("Serve"), menu=menu)
    # the job that a button below starts is shown above it
    place = st.container()
    if not listed:
        st.info(_("There is no model yet. Train one first."))
        navigation.go_to("train")
        others()
        st.stop()
    champion = next((each for each in listed if model_store.CHAMPION in each.aliases), None)
    live = endpoint.live(settings)
    is_behind = endpoint_warning.behind(settings, champion, live)
    watch()
    is_next = live is None and not is_behind
    with st.expander(_("Start"), icon=":material/play_arrow:", expanded=is_next):
        form(listed, is_next=is_next)
    set_aside_list.draw(settings, "predictions", "endpoint", "servers")
    key_list.section(settings)
    others()
    with place:
        step_jobs.job_panel(settings, "serve")
