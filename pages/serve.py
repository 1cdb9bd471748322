"""Serve: start, watch and stop the servers of registered versions."""

import json
from collections.abc import Iterable

import streamlit as st

from core.adapters import endpoint, jobs, registry, server, tracking
from core.steps import serve
from pages import _parts

settings, spec = _parts.open_app()
STATES = {
    "ready": ("answering", "green", ":material/check_circle:"),
    "starting": ("starting", "blue", ":material/hourglass_top:"),
    "died": ("died", "red", ":material/error:"),
}


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
        sent = st.form_submit_button("Start", type="primary", icon=":material/play_arrow:")
    if sent:
        chosen = None if port is None else int(port)
        _parts.submit(settings, "serve", serve.Options, target=target, port=chosen)
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
        help="The endpoint changes to it without a failed request, in about 15 seconds.",
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


def stop(port: int) -> None:
    with _parts.told():
        server.stop(settings, port)


def dismiss(port: int) -> None:
    with _parts.told():
        server.dismiss(settings, port)


def call_text(url: str, row: dict[str, float]) -> str:
    body = json.dumps({"dataframe_split": {"columns": list(row), "data": [list(row.values())]}})
    return f"curl {url}/invocations -H 'Content-Type: application/json' -d '{body}'"


@st.fragment(run_every=2)
@_parts.told()
def watch() -> None:
    found = server.servers(settings)
    if not found:
        st.info("No server is running. Choose a model and press Start; it takes about 15 seconds.")
    for one in found:
        word, colour, icon = STATES[one.state]
        with st.container(border=True, key=f"server-{one.port}"):
            with st.container(horizontal=True, vertical_alignment="center"):
                where = "the live endpoint, port" if one.backend is not None else "port"
                st.markdown(f"**{aliases_now(one)}** on {where} **{one.port}**", width="content")
                st.badge(word, icon=icon, color=colour)
                if one.sample:
                    _parts.sample_badge()
                if one.state == "died":
                    st.button(
                        "Dismiss", key=f"dismiss-{one.port}", on_click=dismiss, args=(one.port,)
                    )
                else:
                    st.button(
                        "Stop", key=f"stop-{one.port}", icon=":material/stop:",
                        on_click=stop, args=(one.port,),
                    )  # fmt: skip
            st.caption(f"{one.url} · process {one.pid} · started {_parts.ago(one.started)}")
            _parts.run_link(one.run_id, "Model's run")
            if one.state == "died":
                st.error("This server ended by itself. Its last lines are below; start it again.")
            if one.state == "ready":
                with st.expander("Call it yourself"):
                    st.code(
                        call_text(one.url, _parts.example_row(settings, one.run_id)),
                        language="bash",
                        wrap_lines=True,
                    )
            with st.expander("Log", expanded=one.state == "died"):
                st.code(
                    server.log_tail(settings, one.port) or "Nothing printed yet.", language=None
                )


_parts.header(
    "Serve",
    "Offer a registered version as an API on this machine. A server goes on when the app is "
    "closed, and is found again when it is opened.",
)
with _parts.told():
    _parts.wait_for_store()
    listed = tracking.versions(settings, spec.model)
    if not listed:
        st.info("There is no model yet. Train one first.")
        st.page_link("pages/train.py", label="Go to Train", icon=":material/arrow_forward:")
        st.stop()
    live_endpoint(listed)
    form(listed)
    st.subheader("Servers", anchor=False)
    watch()
    last = tracking.last_run(settings, "serve")
    if last is not None:
        seconds = last.metrics["seconds_to_answer"]
        st.caption(f"The last start took {seconds:.1f} s until the first answer.")
        _parts.run_link(last.run_id, "Disponibilizacao")
