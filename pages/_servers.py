"""What the Serve page shows of an endpoint: how it does, how to call it, what it printed."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.adapters import api_keys, endpoint, gateway, process, server
from core.config import Settings
from core.logic import serving_charts
from pages import _calls, _parts
from pages._bilingual import st

STATES = {
    "ready": ("answering", "green", ":material/check_circle:"),
    "starting": ("starting", "blue", ":material/hourglass_top:"),
    "restarting": ("starting again", "orange", ":material/autorenew:"),
    "stopped": ("stopping", "gray", ":material/stop_circle:"),
    "died": ("died", "red", ":material/error:"),
}


def card(settings: Settings, one: server.Server, name: str, live: server.Server | None) -> None:
    """Draw an endpoint with all that can be done with it."""
    with st.container(border=True, key=f"server-{one.port}"):
        _head(settings, one, name)
        told = gateway.status(one.port, timeout=1.0) if one.state != "died" else None
        _problem(one)
        if told is not None:
            _figures(settings, one, told)
            _log_state(told)
            _copies(told.shadow)
        if live is not None and one.port != live.port and one.state == "ready":
            _shadow(settings, one, live)
        if one.state == "ready":
            with st.expander("Call it yourself"):
                _call(settings, one)
        with st.expander("Log", expanded=one.state == "died"):
            model, front = st.tabs(["Model's server", "Gateway"])
            for place, is_gateway in ((model, False), (front, True)):
                place.code(
                    server.log_tail(settings, one.port, gateway=is_gateway) or "Nothing printed.",
                    language=None,
                )
            st.caption("Without this app, MLflow's own command serves the same model:")
            st.code(server.command_line(one), language="bash", wrap_lines=True)


def _head(settings: Settings, one: server.Server, name: str) -> None:
    word, colour, icon = STATES[one.state]
    with st.container(horizontal=True, vertical_alignment="center"):
        called = _parts.plain(name)
        told = f"**{called}** on port **{one.port}**"
        if one.is_live:
            told = f"**{called}** on the live endpoint, port **{one.port}**"
        st.markdown(told, width="content")
        st.badge(word, icon=icon, color=colour)
        if one.sample:
            _parts.sample_badge()
        if one.state == "died":
            _button(
                "Restart", one.port, ":material/restart_alt:",
                lambda: endpoint.restart(settings, one.port),
            )  # fmt: skip
            _button(
                "Dismiss", one.port, ":material/close:", lambda: server.dismiss(settings, one.port)
            )
        elif one.state != "stopped":
            _button("Stop", one.port, ":material/stop:", lambda: server.stop(settings, one.port))
    restarts = ""
    if one.restarts:
        restarts = f" · restarts after a fault: {one.restarts}"
    st.caption(f"{one.url} · version {one.version} since {_parts.ago(one.started)}{restarts}")
    _parts.run_link(one.run_id, "Model's run")


def _button(name: str, port: int, icon: str, action: Callable[[], object]) -> None:
    def pressed() -> None:
        with _parts.told():
            action()

    st.button(name, key=f"{name.lower()}-{port}", icon=icon, on_click=pressed)


def _problem(one: server.Server) -> None:
    if one.state == "died":
        st.error(
            _parts.plain(one.problem or "It ended by itself; the app starts it again in a moment.")
            + " Its last lines are below."
        )
    elif one.state == "restarting":
        st.warning(
            _parts.plain(one.problem or "The model's server has ended. It is started again.")
            + " Requests wait up to 3 s for it, then they are answered by 503."
        )
    elif one.problem:
        st.warning(_parts.plain(one.problem))


def _figures(settings: Settings, one: server.Server, told: gateway.Status) -> None:
    behind = server.behind(settings, one)
    programs = [one.process, *([behind.process] if behind else [])]
    used, load = process.usage(programs), ""
    # the share of a processor since this page looked last
    last = st.session_state.get(f"usage-{one.port}")
    now = time.monotonic()
    st.session_state[f"usage-{one.port}"] = (now, used.cpu_seconds)
    if last is not None and used.cpu_seconds >= last[1]:
        load = f"{(used.cpu_seconds - last[1]) / max(now - last[0], 0.1):.0%} of a core"
    failed = sum(told.errors.values())
    share = f"{failed / told.requests:.1%}" if told.requests else "–"
    kinds = ", ".join(f"{count:,} × {kind}" for kind, count in told.errors.items() if count)
    typical = "–" if told.p50 is None else f"{told.p50:,.0f} ms"
    slow = "" if told.p95 is None else f"95%: {told.p95:,.0f} ms, 99%: {told.p99:,.0f} ms"
    with st.container(horizontal=True):
        for label, value, note in (
            ("Requests", f"{told.requests:,}", f"{told.recent:,} in 10 minutes"),
            ("Errors", share, kinds or "none"),
            ("Half are answered within", typical, slow),
            ("Memory", f"{used.memory / 1e6:,.0f} MB", load),
        ):
            st.metric(
                label, value, delta=note or None, delta_color="off", delta_arrow="off",
                width=max(140, 36 + 8 * len(note)),
            )  # fmt: skip
    if any(told.per_minute):
        _parts.chart(serving_charts.per_minute(told.per_minute))


def _log_state(told: gateway.Status) -> None:
    """Say whether what is answered is kept."""
    log = told.log
    lost = f" {log.lost:,} rows did not fit and are lost." if log.lost else ""
    if log.ok and not lost:
        st.caption(":material/check: Every answer is kept in the predictions log.")
    elif log.ok:
        st.warning(f"The predictions log is written again.{lost}")
    else:
        why = f": {_parts.plain(log.reason)}" if log.reason else "."
        st.warning(
            f"The predictions log cannot be written{why} Answers go out all the same; "
            f"{log.waiting:,} rows wait in memory.{lost}"
        )


def _copies(shadow: gateway.Shadow | None) -> None:
    """Say how the copies for the challenger do, and where the two are compared."""
    if shadow is None:
        return
    missed = shadow.failed + shadow.dropped
    st.caption(
        f"Copies of its requests go to port {shadow.port}: {shadow.sent:,} answered there, "
        f"{missed:,} not ({shadow.failed:,} failed, {shadow.dropped:,} dropped while behind)."
    )
    st.page_link(
        "pages/predictions.py", label="How far the two agree", icon=":material/compare_arrows:"
    )


def _shadow(settings: Settings, one: server.Server, live: server.Server) -> None:
    key = f"shadow-{one.port}"
    is_on = live.shadow == one.port

    def switched() -> None:
        with _parts.told():
            endpoint.set_shadow(settings, one.port, on=not is_on)

    st.session_state[key] = is_on
    st.toggle(
        "Send it a copy of every request to the live endpoint",
        key=key,
        on_change=switched,
        help="Its answers go to the predictions log and to nobody else, to be compared with the "
        "champion's on the same rows.",
    )


def _call(settings: Settings, one: server.Server) -> None:
    with_key = bool(api_keys.listed(settings))
    row = _parts.example_row(settings, one.run_id)
    asked = _calls.predict(one.url, row, with_key=with_key)
    labelled = _calls.label(one.url, with_key=with_key)
    for name, place in zip(asked, st.tabs(list(asked)), strict=True):
        with place:
            st.code(asked[name], language=_calls.LANGUAGES[name], wrap_lines=True)
            st.markdown(
                'The answer is `{"predictions": [{"probability": …, "label": …}]}`: for each row '
                f"the probability of 1 and the label at the threshold {one.threshold:g}. The "
                "header `X-Prediction-Ids` names its line in the predictions log: one id, or the "
                "first and the last of several rows. Send the label once it is known:"
                if one.threshold is not None
                else ""
            )
            st.code(labelled[name], language=_calls.LANGUAGES[name], wrap_lines=True)
    if one.key:
        st.caption(
            f"A request may have the extra column `{one.key}`, which the model does not see; then "
            f'a label may name the row by it: `{{"{one.key}": …, "label": 1}}`.'
        )
    if with_key:
        st.caption(f"Put one of the API keys below in the place of `{_calls.KEY}`.")
