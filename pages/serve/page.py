"""Serve: start, watch and stop the endpoints of registered versions."""

from collections.abc import Iterable

import streamlit as st

from core.jobs import jobs
from core.platform import messages, model_store, tracking
from core.platform.messages import _
from core.platform.runs import ModelVersion
from core.serving import endpoint, external_servers, serve, server
from pages.serve import key_list, server_list
from pages.shared import aliases, code_snippets, drafts, elements, set_aside_list

settings, spec = elements.open_app()
drafts.hold("serve", "serve-target", "serve-port", "serve-shadow")


def in_order(held: Iterable[str]) -> list[str]:
    """Return aliases in a natural order; last those set in MLflow's own pages."""
    known = (model_store.CHAMPION, model_store.CHALLENGER, model_store.PREVIOUS)
    return sorted(held, key=lambda alias: (known.index(alias) if alias in known else 9, alias))


def form(listed: list[ModelVersion]) -> None:
    names: dict[str, str] = {}
    for version in listed:
        for alias in version.aliases:
            names[alias] = _(
                "{alias} (version {version})", alias=aliases.words(alias), version=version.version
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
        _("Port on 127.0.0.1"),
        key="serve-port",
        min_value=1024,
        max_value=65535,
        value=None,
        step=1,
        placeholder=_("the live endpoint for the champion, else the next free one"),
        help=_(
            "Without a port the champion answers on the live endpoint, port {port} if it is free. "
            "Any other version is served beside it, to try it. To restore the previous champion, "
            "roll back on the page Registry.",
            port=settings.serve_port,
        ),
    )
    shadow = st.checkbox(
        _("Send it a copy of every request to the live endpoint (shadow)"),
        key="serve-shadow",
        help=_(
            "For a challenger: it scores the same requests, and its answers go to the predictions "
            "log only."
        ),
    )
    sent = st.button(_("Start"), type="primary", icon=":material/play_arrow:")
    if sent:
        chosen = None if port is None else int(port)
        values = {"target": target, "port": chosen}
        elements.submit(settings, "serve", serve.Options, **values, shadow=shadow)
    elements.job_panel(settings, "serve")


def live_endpoint(listed: list[ModelVersion]) -> None:
    """Show the version that serves callers, and the switch to the champion."""
    live = endpoint.live(settings)
    if live is None or live.model != spec.model:
        return
    champion = next(
        (version for version in listed if model_store.CHAMPION in version.aliases), None
    )
    if champion is None or live.version == champion.version:
        return
    st.warning(
        _(
            "The live endpoint on port {port} serves version {served}, but the champion is version "
            "{champion}.",
            port=live.port,
            served=live.version,
            champion=champion.version,
        )
    )
    going = any(job.step in ("serve", "promote") for job in jobs.active(settings))
    if st.button(
        _("Switch to the champion, version {version}", version=champion.version),
        icon=":material/sync:",
        disabled=going,
        help=_("Takes a few seconds; no request fails."),
    ):
        elements.submit(settings, "serve", serve.Options, target=model_store.CHAMPION)


def aliases_now(served: server.Server) -> str:
    """Return the version's name with its current aliases."""
    held = next((version.aliases for version in listed if version.version == served.version), ())
    if served.model != spec.model:
        return str(served.name)
    return _("{model} version {version}", model=served.model, version=served.version) + (
        f" ({aliases.listed(in_order(held))})" if held else ""
    )


@st.fragment(run_every=2)
@elements.show_errors()
def watch() -> None:
    running = server.servers(settings)
    live = next((served for served in running if served.is_live), None)
    if not running:
        st.info(_("No server is running. Choose a model and press Start; it takes a few seconds."))
    for served in sorted(running, key=lambda served: (not served.is_live, served.port)):
        server_list.card(settings, served, aliases_now(served), live)


@st.fragment(run_every=15)
@elements.show_errors()
def others() -> None:
    """Show servers on our ports, or of models, that were not started here."""
    programs = external_servers.listed(settings)
    if not programs:
        return
    st.subheader(_("Not started by this app"), anchor=False)
    st.caption(_("For information only: this app stops no program that it did not start."))
    for program in programs:
        facts = [
            _("MLflow serves a model: port **{port}**", port=program.port)
            if program.is_model
            else _("A program uses one of this app's ports: port **{port}**", port=program.port),
            _("another person's process")
            if program.pid is None
            else _("process {pid}", pid=program.pid),
        ]
        if program.since is not None:
            facts.append(_("started {when}", when=elements.ago(program.since)))
        with st.container(border=True):
            st.markdown(messages.listed(facts, "unit"))
            if program.command:
                st.code(program.command, language=None, wrap_lines=True)


elements.header(
    _("Serve"),
    _(
        "Serve a registered version as an API on this machine. A server keeps running when the app "
        "is closed, and is restarted when it crashes."
    ),
)
with elements.show_errors():
    elements.wait_for_store()
    listed = model_store.versions(settings, spec.model)
    if not listed:
        st.info(_("There is no model yet. Train one first."))
        st.page_link("pages/train/page.py", label=_("Go to Train"), icon=":material/arrow_forward:")
        others()
        code_snippets.panel(settings, "serve")
        st.stop()
    live_endpoint(listed)
    form(listed)
    st.subheader(_("Servers"), anchor=False)
    watch()
    set_aside_list.draw(settings, "predictions", "endpoint", "servers")
    others()
    key_list.section(settings)
    last = tracking.last_run(settings, "serve")
    if last is not None:
        seconds = last.metrics["seconds_to_answer"]
        st.caption(
            _(
                "The last start took {seconds:.1f} s until the first answer. Requests are answered "
                "by MLflow's own scoring server, which `mlflow models serve` starts too; started "
                "without that command it imports everything only once.",
                seconds=seconds,
            )
        )
        elements.run_link(last.run_id, "Disponibilizacao")
code_snippets.panel(settings, "serve")
