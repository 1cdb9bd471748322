"""An endpoint on the Serve page: its state, how to call it, its log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from core.monitoring import operation
from core.platform import process
from core.platform.config import Settings
from core.platform.messages import Message, _
from core.serving import (
    api_keys,
    endpoint,
    gateway,
    gateway_stats,
    server,
    server_process,
    serving_charts,
)
from pages.serve import call_examples
from pages.shared import elements
from pages.shared.bilingual import st

STATES = {
    "ready": ("answering", "green", ":material/check_circle:"),
    "starting": ("starting", "blue", ":material/hourglass_top:"),
    "silent": (Message("not answering"), "red", ":material/heart_broken:"),
    "restarting": (Message("starting again"), "orange", ":material/autorenew:"),
    "stopped": ("stopping", "gray", ":material/stop_circle:"),
    "died": ("died", "red", ":material/error:"),
}


def card(settings: Settings, served: server.Server, name: str, live: server.Server | None) -> None:
    """Draw an endpoint with all its actions."""
    with st.container(border=True, key=f"server-{served.port}"):
        status = gateway.status(served.port, timeout=1.0) if served.state != "died" else None
        if status is None and served.state == "ready":
            # checked just now: no need to wait for its watch
            served = replace(served, state="silent")
        _head(settings, served, name)
        _problem(settings, served)
        if status is not None:
            _figures(settings, served, status)
            _log_state(status)
            _copies(status.shadow)
        if live is not None and served.port != live.port and served.state == "ready":
            _shadow(settings, served, live)
        if served.state == "ready":
            with st.expander(_("Call it yourself")):
                _call(settings, served)
        with st.expander(_("Log"), expanded=served.state == "died"):
            model, front = st.tabs([_("Model's server"), _("Gateway")])
            for place, is_gateway in ((model, False), (front, True)):
                place.code(
                    server_process.log_tail(settings, served.port, gateway=is_gateway)
                    or _("Nothing printed."),
                    language=None,
                )
            st.caption(_("Without this app, MLflow's own command serves the same model:"))
            st.code(server_process.command_line(served), language="bash", wrap_lines=True)


def _head(settings: Settings, served: server.Server, name: str) -> None:
    word, colour, icon = STATES[served.state]
    with st.container(horizontal=True, vertical_alignment="center"):
        called = elements.plain(name)
        title = _("**{called}** on port **{port}**", called=called, port=served.port)
        if served.is_live:
            title = _(
                "**{called}** on the live endpoint, port **{port}**",
                called=called,
                port=served.port,
            )
        st.markdown(title, width="content")
        st.badge(word, icon=icon, color=colour)
        if served.sample:
            elements.sample_badge()
        if served.state == "died":
            _button(
                settings,
                _("Restart"),
                served.port,
                ":material/restart_alt:",
                lambda: endpoint.restart(settings, served.port),
            )
            _button(
                settings,
                _("Dismiss"),
                served.port,
                ":material/close:",
                lambda: server_process.dismiss(settings, served.port),
            )
        elif served.state != "stopped":
            _button(
                settings,
                _("Stop"),
                served.port,
                ":material/stop:",
                lambda: server_process.stop(settings, served.port),
            )
    restarts = ""
    if served.restarts:
        restarts = " " + _("· restarts after a fault: {restarts}", restarts=served.restarts)
    st.caption(
        _(
            "{url} · version {version} since {started}{restarts}",
            url=served.url,
            version=served.version,
            started=elements.ago(served.started),
            restarts=restarts,
        )
    )
    elements.run_link(served.run_id, "Model's run")


def _button(
    settings: Settings, name: str, port: int, icon: str, action: Callable[[], object]
) -> None:
    def pressed() -> None:
        with elements.show_errors():
            action()
            operation.close_left_alerts(settings)

    st.button(name, key=f"{name.lower()}-{port}", icon=icon, on_click=pressed)


def _problem(settings: Settings, served: server.Server) -> None:
    if served.state == "silent":
        since = server.silent_since(settings, served)
        how_long = elements.length(time.time() - since) if since else ""
        st.error(
            (
                (_("It runs, but has not answered for {how_long}.", how_long=how_long) + " ")
                if how_long
                else (_("It runs, but does not answer.") + " ")
            )
            + _(
                "After {hang_seconds:.0f} s of silence it is ended and started again; one that "
                "is busy is given ten times as long. Requests wait meanwhile. To end it now, "
                "press Stop.",
                hang_seconds=settings.hang_seconds,
            )
        )
    elif served.state == "died":
        st.error(
            elements.plain(
                served.problem or _("It ended by itself; the app starts it again in a moment.")
            )
            + (" " + _("Its last lines are below."))
        )
    elif served.state == "restarting":
        st.warning(
            elements.plain(
                served.problem or _("The model's server has ended. It is started again.")
            )
            + (" " + _("Requests wait up to 3 s for it, then they are answered by 503."))
        )
    elif served.problem:
        st.warning(elements.plain(served.problem))


def _figures(settings: Settings, served: server.Server, status: gateway.Status) -> None:
    behind, counts = server.behind(settings, served), status.counts
    programs = [served.process, *([behind.process] if behind else [])]
    used, load = process.usage(programs), ""
    # CPU share since this page last measured it
    last = st.session_state.get(f"usage-{served.port}")
    now = time.monotonic()
    st.session_state[f"usage-{served.port}"] = (now, used.cpu_seconds)
    if last is not None and used.cpu_seconds >= last[1]:
        load = _(
            "{value:.0%} of a core", value=(used.cpu_seconds - last[1]) / max(now - last[0], 0.1)
        )
    share = f"{counts.faults / counts.requests:.1%}" if counts.requests else "–"
    faults, refused = (
        ", ".join(
            f"{count:,} × {kind}"
            for kind, count in counts.errors.items()
            if count and (int(kind) >= gateway_stats.SERVER_FAULTS) == is_fault
        )
        for is_fault in (True, False)
    )
    typical = "–" if counts.p50 is None else _("{p50:,.0f} ms", p50=counts.p50)
    slow = (
        ""
        if counts.p95 is None
        else _("95%: {p95:,.0f} ms, 99%: {p99:,.0f} ms", p95=counts.p95, p99=counts.p99)
    )
    with st.container(horizontal=True):
        for label, value, note in (
            (
                _("Requests"),
                f"{counts.requests:,}",
                _("{recent:,} in 10 minutes", recent=counts.recent),
            ),
            (_("Errors"), share, faults or "none"),
            (_("Refused"), f"{counts.refused:,}", refused or "none"),
            (_("Median latency"), typical, slow),
            (_("Memory"), _("{value:,.0f} MB", value=used.memory / 1e6), load),
        ):
            st.metric(
                label,
                value,
                delta=note or None,
                delta_color="off",
                delta_arrow="off",
                width=max(140, 36 + 8 * len(note)),
            )
    if any(counts.per_minute):
        elements.chart(serving_charts.per_minute(counts.per_minute))


def _log_state(status: gateway.Status) -> None:
    """State whether predictions are being logged."""
    log = status.log
    lost = (" " + _("{lost:,} rows did not fit and are lost.", lost=log.lost)) if log.lost else ""
    if log.ok and not lost:
        st.caption(_(":material/check: Every answer is kept in the predictions log."))
    elif log.ok:
        st.warning(_("The predictions log is written again.{lost}", lost=lost))
    else:
        why = f": {elements.plain(log.reason)}" if log.reason else "."
        st.warning(
            _(
                "The predictions log cannot be written{why} Requests are still answered; "
                "{waiting:,} rows are waiting in memory.{lost}",
                why=why,
                waiting=log.waiting,
                lost=lost,
            )
        )


def _copies(shadow: gateway.Shadow | None) -> None:
    """Show the state of the challenger's copies, and where the two are compared."""
    if shadow is None:
        return
    missed = shadow.failed + shadow.dropped
    st.caption(
        _(
            "Copies of its requests go to port {port}: {sent:,} answered there, {missed:,} "
            "not ({failed:,} failed, {dropped:,} dropped while behind).",
            port=shadow.port,
            sent=shadow.sent,
            missed=missed,
            failed=shadow.failed,
            dropped=shadow.dropped,
        )
    )
    st.page_link(
        "pages/predictions/page.py",
        label=_("How far the two agree"),
        icon=":material/compare_arrows:",
    )


def _shadow(settings: Settings, served: server.Server, live: server.Server) -> None:
    key = f"shadow-{served.port}"
    is_on = live.shadow == served.port

    def switched() -> None:
        with elements.show_errors():
            endpoint.set_shadow(settings, served.port, on=not is_on)

    st.session_state[key] = is_on
    st.toggle(
        _("Send it a copy of every request to the live endpoint"),
        key=key,
        on_change=switched,
        help=_(
            "Its answers go to the predictions log and to nobody else, to be compared with "
            "the champion's on the same rows."
        ),
    )


def _call(settings: Settings, served: server.Server) -> None:
    with_key = bool(api_keys.listed(settings))
    row = elements.example_row(settings, served.run_id)
    examples = call_examples.predict(served.url, row, with_key=with_key)
    labelled = call_examples.label(served.url, with_key=with_key)
    for name, place in zip(examples, st.tabs(list(examples)), strict=True):
        with place:
            st.code(examples[name], language=call_examples.LANGUAGES[name], wrap_lines=True)
            st.markdown(
                _(
                    'The answer is `{{"predictions": [{{"probability": …, "label": …}}]}}`: for '
                    "each row the probability of 1 and the label at the threshold {threshold:g}. "
                    "The header `X-Prediction-Ids` names its line in the predictions log: one id, "
                    "or the first and the last of several rows. Send the label once it is known:",
                    threshold=served.threshold,
                )
                if served.threshold is not None
                else ""
            )
            st.code(labelled[name], language=call_examples.LANGUAGES[name], wrap_lines=True)
    if served.key:
        st.caption(
            _(
                "A request may have the extra column `{key}`, which the model does not see; "
                'then a label may name the row by it: `{{"{key}": …, "label": 1}}`.',
                key=served.key,
            )
        )
    if with_key:
        st.caption(
            _("Put one of the API keys below in the place of `{key}`.", key=call_examples.KEY)
        )
