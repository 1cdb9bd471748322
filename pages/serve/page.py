"""Serve: start, watch and stop the endpoints of registered versions."""

from collections.abc import Iterable

from core.jobs import jobs
from core.platform import model_store, tracking
from core.platform.runs import ModelVersion
from core.serving import endpoint, external_servers, serve, server
from pages.serve import key_list, server_list
from pages.shared import code_snippets, drafts, elements, set_aside_list
from pages.shared.bilingual import st

settings, spec = elements.open_app()
drafts.hold("serve", "serve-target", "serve-port", "serve-shadow")


def in_order(aliases: Iterable[str]) -> list[str]:
    """Return aliases in a natural order; last those set in MLflow's own pages."""
    known = (model_store.CHAMPION, model_store.CHALLENGER, model_store.PREVIOUS)
    return sorted(aliases, key=lambda alias: (known.index(alias) if alias in known else 9, alias))


def form(listed: list[ModelVersion]) -> None:
    names: dict[str, str] = {}
    for version in listed:
        for alias in version.aliases:
            names[alias] = f"{alias} (version {version.version})"
    order = in_order(names)
    names |= {version.version: f"version {version.version}" for version in listed}
    if st.session_state.get("serve-target") not in names:  # the alias has been removed since
        st.session_state.pop("serve-target", None)
    left, right = st.columns(2)
    target = left.selectbox(
        "Model",
        [*order, *(version.version for version in listed)],
        format_func=names.__getitem__,
        key="serve-target",
    )
    port = right.number_input(
        "Port on 127.0.0.1",
        key="serve-port",
        min_value=1024,
        max_value=65535,
        value=None,
        step=1,
        placeholder="the live endpoint for the champion, else the next free one",
        help="Without a port the champion answers on the live endpoint, "
        f"{settings.serve_port} if that is free. The previous champion, or any other version, "
        "is served beside it, to be tried; to bring it back, roll back on the page Registry.",
    )
    shadow = st.checkbox(
        "Send it a copy of every request to the live endpoint (shadow)",
        key="serve-shadow",
        help="For a challenger beside the champion: it answers the same requests, its answers "
        "go to the predictions log and to nobody else.",
    )
    sent = st.button("Start", type="primary", icon=":material/play_arrow:")
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
        f"The live endpoint on port {live.port} answers by version {live.version}, but the "
        f"champion is version {champion.version}."
    )
    going = any(job.step in ("serve", "promote") for job in jobs.active(settings))
    if st.button(
        f"Follow the champion, version {champion.version}",
        icon=":material/sync:",
        disabled=going,
        help="The endpoint changes to it without a failed request, in a few seconds.",
    ):
        elements.submit(settings, "serve", serve.Options, target=model_store.CHAMPION)


def aliases_now(served: server.Server) -> str:
    """Return the version's name with its current aliases."""
    held = next((version.aliases for version in listed if version.version == served.version), ())
    if served.model != spec.model:
        return served.name
    return f"{served.model} version {served.version}" + (
        f" ({', '.join(in_order(held))})" if held else ""
    )


@st.fragment(run_every=2)
@elements.show_errors()
def watch() -> None:
    running = server.servers(settings)
    live = next((served for served in running if served.is_live), None)
    if not running:
        st.info("No server is running. Choose a model and press Start; it takes a few seconds.")
    for served in sorted(running, key=lambda served: (not served.is_live, served.port)):
        server_list.card(settings, served, aliases_now(served), live)


@st.fragment(run_every=15)
@elements.show_errors()
def others() -> None:
    """Show servers on our ports, or of models, that were not started here."""
    programs = external_servers.listed(settings)
    if not programs:
        return
    st.subheader("Not started by this app", anchor=False)
    st.caption("Shown so that you know of them. This app does not stop what it did not start.")
    for program in programs:
        what = (
            "MLflow serves a model" if program.is_model else "A program has one of this app's ports"
        )
        who = "another person's process" if program.pid is None else f"process {program.pid}"
        since = "" if program.since is None else f", started {elements.ago(program.since)}"
        with st.container(border=True):
            st.markdown(f"{what}: port **{program.port}**, {who}{since}")
            if program.command:
                st.code(program.command, language=None, wrap_lines=True)


elements.header(
    "Serve",
    "Offer a registered version as an API on this machine. A server goes on when the app is "
    "closed, is found again when it is opened, and is started again when it crashes.",
)
with elements.show_errors():
    elements.wait_for_store()
    listed = model_store.versions(settings, spec.model)
    if not listed:
        st.info("There is no model yet. Train one first.")
        st.page_link("pages/train/page.py", label="Go to Train", icon=":material/arrow_forward:")
        others()
        code_snippets.panel(settings, "serve")
        st.stop()
    live_endpoint(listed)
    form(listed)
    st.subheader("Servers", anchor=False)
    watch()
    set_aside_list.draw(settings, "predictions", "endpoint", "servers")
    others()
    key_list.section(settings)
    last = tracking.last_run(settings, "serve")
    if last is not None:
        seconds = last.metrics["seconds_to_answer"]
        st.caption(
            f"The last start took {seconds:.1f} s until the first answer. What answers is MLflow's "
            "own scoring server, the program that `mlflow models serve` starts; here it is started "
            "without the command around it, which imports everything a second time first."
        )
        elements.run_link(last.run_id, "Disponibilizacao")
code_snippets.panel(settings, "serve")
