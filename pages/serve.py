"""Serve: start, watch and stop the endpoints of registered versions."""

from collections.abc import Iterable

from core.adapters import endpoint, foreign, jobs, registry, server, tracking
from core.steps import serve
from pages import _glass, _keys, _parts, _servers
from pages._bilingual import st

settings, spec = _parts.open_app()


def in_order(aliases: Iterable[str]) -> list[str]:
    """Return aliases as people think of them; last what somebody gave in MLflow's own pages."""
    known = (tracking.CHAMPION, tracking.CHALLENGER, registry.PREVIOUS)
    return sorted(aliases, key=lambda one: (known.index(one) if one in known else 9, one))


def form(listed: list[tracking.ModelVersion]) -> None:
    names: dict[str, str] = {}
    for found in listed:
        for alias in found.aliases:
            names[alias] = f"{alias} (version {found.version})"
    order = in_order(names)
    names |= {found.version: f"version {found.version}" for found in listed}
    with st.form("serve", border=False):
        left, right = st.columns(2)
        target = left.selectbox(
            "Model", [*order, *(found.version for found in listed)], format_func=names.__getitem__
        )
        port = right.number_input(
            "Port on 127.0.0.1", min_value=1024, max_value=65535, value=None, step=1,
            placeholder="the live endpoint for the champion, else the next free one",
            help="Without a port the champion answers on the live endpoint, "
            f"{settings.serve_port} if that is free. The previous champion, or any other version, "
            "is served beside it, to be tried; to bring it back, roll back on the page Registry.",
        )  # fmt: skip
        shadow = st.checkbox(
            "Send it a copy of every request to the live endpoint (shadow)",
            help="For a challenger beside the champion: it answers the same requests, its answers "
            "go to the predictions log and to nobody else.",
        )
        sent = st.form_submit_button("Start", type="primary", icon=":material/play_arrow:")
    if sent:
        chosen = None if port is None else int(port)
        values = {"target": target, "port": chosen}
        _parts.submit(settings, "serve", serve.Options, **values, shadow=shadow)
    _parts.job_panel(settings, "serve")


def live_endpoint(listed: list[tracking.ModelVersion]) -> None:
    """Say by which version people are answered, and let it follow the champion."""
    live = endpoint.live(settings)
    if live is None or live.model != spec.model:
        return
    champion = next((one for one in listed if tracking.CHAMPION in one.aliases), None)
    if champion is None or live.version == champion.version:
        return
    st.warning(
        f"The live endpoint on port {live.port} answers by version {live.version}, but the "
        f"champion is version {champion.version}."
    )
    going = any(job.step in ("serve", "promote") for job in jobs.active(settings))
    if st.button(
        f"Follow the champion, version {champion.version}", icon=":material/sync:", disabled=going,
        help="The endpoint changes to it without a failed request, in a few seconds.",
    ):  # fmt: skip
        _parts.submit(settings, "serve", serve.Options, target=tracking.CHAMPION)


def aliases_now(one: server.Server) -> str:
    """Return the version in words, with the aliases that it has now: they move."""
    held = next((found.aliases for found in listed if found.version == one.version), ())
    if one.model != spec.model:
        return one.name
    return f"{one.model} version {one.version}" + (
        f" ({', '.join(in_order(held))})" if held else ""
    )


@st.fragment(run_every=2)
@_parts.told()
def watch() -> None:
    found = server.servers(settings)
    live = next((one for one in found if one.is_live), None)
    if not found:
        st.info("No server is running. Choose a model and press Start; it takes a few seconds.")
    for one in sorted(found, key=lambda one: (not one.is_live, one.port)):
        _servers.card(settings, one, aliases_now(one), live)


@st.fragment(run_every=15)
@_parts.told()
def others() -> None:
    """Show what serves, or has one of our ports, and was not started here."""
    found = foreign.listed(settings)
    if not found:
        return
    st.subheader("Not started by this app", anchor=False)
    st.caption("Shown so that you know of them. This app does not stop what it did not start.")
    for one in found:
        what = "MLflow serves a model" if one.is_model else "A program has one of this app's ports"
        who = "another person's process" if one.pid is None else f"process {one.pid}"
        since = "" if one.since is None else f", started {_parts.ago(one.since)}"
        with st.container(border=True):
            st.markdown(f"{what}: port **{one.port}**, {who}{since}")
            if one.command:
                st.code(one.command, language=None, wrap_lines=True)


_parts.header(
    "Serve",
    "Offer a registered version as an API on this machine. A server goes on when the app is "
    "closed, is found again when it is opened, and is started again when it crashes.",
)
with _parts.told():
    _parts.wait_for_store()
    listed = tracking.versions(settings, spec.model)
    if not listed:
        st.info("There is no model yet. Train one first.")
        st.page_link("pages/train.py", label="Go to Train", icon=":material/arrow_forward:")
        others()
        _glass.panel(settings, "serve")
        st.stop()
    live_endpoint(listed)
    form(listed)
    st.subheader("Servers", anchor=False)
    watch()
    others()
    _keys.section(settings)
    last = tracking.last_run(settings, "serve")
    if last is not None:
        seconds = last.metrics["seconds_to_answer"]
        st.caption(
            f"The last start took {seconds:.1f} s until the first answer. What answers is MLflow's "
            "own scoring server, the program that `mlflow models serve` starts; here it is started "
            "without the command around it, which imports everything a second time first."
        )
        _parts.run_link(last.run_id, "Disponibilizacao")
_glass.panel(settings, "serve")
