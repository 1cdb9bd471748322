"""An endpoint on the Serve page: its state, how to call it, its log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from core.monitoring import operation
from core.platform import permissions, process
from core.platform.config import Settings
from core.platform.messages import Message, _, listed, number, plural, sentences
from core.serving import (
    api_keys,
    endpoint,
    endpoint_status,
    metrics,
    server,
    server_process,
    serving_charts,
)
from pages.serve import call_examples
from pages.shared import elements, navigation
from pages.shared.endpoint_warning import STATES

_ENDED = Message("It ended on its own; the app will restart it in a moment.")
# of fewer requests, the slowest are no percentiles
PERCENTILE_REQUESTS = 20


def live_card(settings: Settings, served: server.Server, name: str) -> None:
    """Draw the live endpoint: its state, how to call it, and the rest on request."""
    with st.container(border=True, key=f"server-{served.port}"):
        served, status = _asked(settings, served)
        _head(settings, served, name)
        _problem(settings, served)
        if status is not None:
            _figures(status)
            _log_state(status)
            _copies(status.shadow)
        if served.state == "ready":
            _call(settings, served)
            navigation.go_to("score")
        with st.expander(_("Details"), expanded=served.state == "died"):
            _load_and_log(settings, served, status)


def card(settings: Settings, served: server.Server, name: str, live: server.Server | None) -> None:
    """Draw another endpoint with all its actions, closed unless something is wrong with it."""
    served, status = _asked(settings, served)
    word = STATES[served.state][0]
    title = f"{name} · {elements.named(_('Port'), served.port)} · {word}"
    is_wrong = served.state in ("died", "silent", "restarting")
    with (
        st.expander(title, expanded=is_wrong, icon=STATES[served.state][2]),
        st.container(key=f"server-{served.port}"),
    ):
        _head(settings, served, name)
        _problem(settings, served)
        if status is not None:
            _figures(status)
            _log_state(status)
            _copies(status.shadow)
        if live is not None and served.state == "ready":
            _shadow(settings, served, live)
        if served.state == "ready":
            with st.expander(_("Code")):
                _call(settings, served)
        with st.expander(_("Details"), expanded=served.state == "died"):
            _load_and_log(settings, served, status)


def _asked(
    settings: Settings, served: server.Server
) -> tuple[server.Server, endpoint_status.Status | None]:
    """Return an endpoint as it is now, and what it says of itself."""
    status = endpoint_status.status(served.port, timeout=1.0) if served.state != "died" else None
    if status is None and served.state == "ready":
        # checked just now: no need to wait for its watch
        served = replace(served, state="silent")
    return served, status


def _load_and_log(
    settings: Settings, served: server.Server, status: endpoint_status.Status | None
) -> None:
    if status is not None:
        _memory(served)
        if any(status.counts.per_minute):
            elements.chart(serving_charts.per_minute(status.counts.per_minute))
    st.code(server_process.log_tail(settings, served.port) or "–", language=None)
    st.caption(_("Without this app, this command serves the same model:"))
    st.code(server_process.command_line(served), language="bash", wrap_lines=True)
    navigation.run_link(served.run_id)


def _head(settings: Settings, served: server.Server, name: str) -> None:
    word, colour, icon = STATES[served.state]
    with st.container(horizontal=True, vertical_alignment="center"):
        if served.is_live:
            # the title of any other is that of its section
            st.subheader(elements.plain(name), anchor=False, width="content")
        st.badge(str(word), icon=icon, color=colour)
        if served.sample:
            elements.sample_badge()
        if served.state == "died":
            _button(
                settings,
                "restart",
                _("Restart"),
                served.port,
                ":material/restart_alt:",
                lambda: endpoint.restart(settings, served.port),
            )
            _button(
                settings,
                "dismiss",
                _("Dismiss"),
                served.port,
                ":material/close:",
                lambda: server_process.dismiss(settings, served.port),
            )
        elif served.state != "stopped":
            _button(
                settings,
                "stop",
                _("Stop"),
                served.port,
                ":material/stop:",
                lambda: server_process.stop(settings, served.port),
            )
    facts = [
        *([_("live endpoint")] if served.is_live else []),
        elements.named(_("Port"), served.port),
        f"`{served.url}`",
        elements.ago(served.started),
    ]
    if served.restarts:
        facts.append(_("restarts after a fault: {restarts:,}", restarts=served.restarts))
    st.caption(" · ".join(facts))


def _button(
    settings: Settings, code: str, label: str, port: int, icon: str, action: Callable[[], object]
) -> None:
    def pressed() -> None:
        with elements.show_errors():
            action()
            operation.close_left_alerts(settings)

    st.button(
        label,
        key=f"{code}-{port}",
        icon=icon,
        on_click=pressed,
        disabled=not permissions.may("serve"),
    )


def _problem(settings: Settings, served: server.Server) -> None:
    if served.state == "silent":
        since = served.silent_since or time.time()
        st.error(
            _(
                "It has not answered for {time}. It is restarted after {seconds:.0f} s, later "
                "while busy. Requests wait meanwhile.",
                time=elements.length(time.time() - since),
                seconds=settings.hang_seconds,
            )
        )
    elif served.state == "died":
        st.error(elements.fact(served.problem or _ENDED))
    elif served.state == "restarting":
        st.warning(elements.fact(served.problem or _ENDED))
    elif served.problem:
        st.warning(elements.fact(served.problem))


def _figures(status: endpoint_status.Status) -> None:
    counts = status.counts
    share = number(counts.faults / counts.requests, ".1%") if counts.requests else "–"
    faults, refused = (
        listed(
            [
                f"{number(count)} × {kind}"
                for kind, count in counts.errors.items()
                if count and (int(kind) >= metrics.SERVER_FAULTS) == is_fault
            ],
            "unit",
        )
        for is_fault in (True, False)
    )
    elements.figures(
        [
            (
                _("Requests"),
                number(counts.requests),
                _("{recent:,} in 10 minutes", recent=counts.recent),
            ),
            (
                _("Median latency"),
                "–" if counts.p50 is None else f"{number(counts.p50, ',.0f')} ms",
                ""
                if counts.p95 is None or counts.requests < PERCENTILE_REQUESTS
                else f"95%: {number(counts.p95, ',.0f')} ms · 99%: {number(counts.p99, ',.0f')} ms",
            ),
            (_("Refused (4xx)"), number(counts.refused), refused),
            (_("Server errors (5xx)"), share, faults),
        ],
        width=elements.INNER_FIGURE_WIDTH,
    )


def _memory(served: server.Server) -> None:
    used = process.usage([served.process])
    load = ""
    # CPU share since this page last measured it
    last = st.session_state.get(f"usage-{served.port}")
    now = time.monotonic()
    st.session_state[f"usage-{served.port}"] = (now, used.cpu_seconds)
    if last is not None and used.cpu_seconds >= last[1]:
        load = f"CPU {number((used.cpu_seconds - last[1]) / max(now - last[0], 0.1), '.0%')}"
    elements.figures([(_("Memory"), f"{number(used.memory / 1e6, ',.0f')} MB", load)])


def _log_state(status: endpoint_status.Status) -> None:
    """Warn if predictions are not being logged, or were not."""
    log = status.log
    lost = plural(
        "{count:,} row did not fit and is lost.",
        "{count:,} rows did not fit and are lost.",
        log.lost,
    )
    if log.ok and not log.lost:
        return  # said with the load and the log
    if log.ok:
        st.warning(str(sentences(Message("The predictions log is working again."), lost)))
    else:
        waiting = plural(
            "Requests are still answered; {count:,} row waits to be written.",
            "Requests are still answered; {count:,} rows wait to be written.",
            log.waiting,
        )
        down = Message("The predictions log cannot be written.")
        reason = elements.fact(log.reason or "")
        st.warning(str(sentences(down, reason, waiting, lost if log.lost else "")))


def _copies(shadow: endpoint_status.Shadow | None) -> None:
    """Show the state of the challenger's copies, and where the two are compared."""
    if shadow is None:
        return

    st.caption(
        _(
            "Copies to port {port}: {sent:,} answered, {failed:,} failed, {dropped:,} dropped "
            "while behind",
            port=shadow.port,
            sent=shadow.sent,
            failed=shadow.failed,
            dropped=shadow.dropped,
        )
    )
    st.page_link(
        "pages/score/page.py",
        label=_("Go to {page}", page=_("Predictions log")),
        icon=":material/compare_arrows:",
        query_params={"view": "log"},
    )


def _shadow(settings: Settings, served: server.Server, live: server.Server) -> None:
    key = f"shadow-{served.port}"
    is_on = live.shadow == served.port

    def switched() -> None:
        with elements.show_errors():
            endpoint.set_shadow(settings, served.port, on=not is_on)

    st.session_state[key] = is_on
    st.toggle(
        _("Send it a copy of every request to the live endpoint (shadow)"),
        key=key,
        on_change=switched,
        help=_("Its answers go to the predictions log only."),
    )


def _call(settings: Settings, served: server.Server) -> None:
    """Draw a call to copy in each language, and how its label is sent later."""
    with_key = bool(api_keys.listed(settings))
    row = elements.example_row(settings, served.run_id)
    examples = call_examples.predict(served.url, row, with_key=with_key)
    labelled = call_examples.label(served.url, with_key=with_key)
    if with_key:
        st.caption(_("Replace `{key}` with one of the API keys below.", key=call_examples.KEY))
    for name, place in zip(examples, st.tabs(list(examples)), strict=True):
        with place:
            # without colours: those of Streamlit are too pale on its own ground
            st.code(examples[name], language=None, wrap_lines=True)
            with st.expander(_("Labels")):
                _answer(served)
                st.code(labelled[name], language=None, wrap_lines=True)


def _answer(served: server.Server) -> None:
    """Say what an answer holds, and how a label names its row."""
    if served.threshold is not None:
        st.markdown(
            _(
                "The answer is `{answer}`, with the class predicted at the threshold "
                "{threshold:g}. The header `X-Prediction-Ids` has the prediction id, or the "
                "first and the last of several. Send the label once it is known:",
                answer='{"predictions": [{"probability": …, "label": …}]}',
                threshold=served.threshold,
            )
        )
    if served.key:
        st.caption(
            _(
                "A request may include the extra column `{key}`, so that a label can identify "
                "the row: `{label}`.",
                key=served.key,
                label=f'{{"{served.key}": …, "label": 1}}',
            )
        )
