"""Alert channels besides the page: a webhook and mail, and the delivery of messages."""

from __future__ import annotations

import time
from collections.abc import Callable

import pandas as pd

from core.monitoring import channels, deliver
from core.monitoring.channels import Channels, Mail, Name, Webhook
from core.platform.config import Settings
from core.platform.errors import StoreError
from pages.shared import elements
from pages.shared.bilingual import st

STATES = {
    "waiting": ":orange-badge[waiting]",
    "sent": ":green-badge[sent]",
    "given up": ":red-badge[given up]",
}
NAMES: dict[Name, str] = {"webhook": "Webhook", "mail": "Mail"}
SECURITY = {"starttls": "STARTTLS", "tls": "TLS from the start", "none": "none (no password)"}
SAVED = "channels-saved"


def section(settings: Settings) -> None:
    """Draw the channels, each with the state of its last message."""
    st.subheader("Channels", anchor=False)
    st.markdown(
        "An alert is always on this page. Where else it is told, one message for each report that "
        "changes something; a message that cannot be delivered is tried again for about 4 hours."
    )
    try:
        kept = channels.load(settings)
    except StoreError as error:
        st.error(elements.plain(error.message), icon=":material/error:")
        kept = Channels()
    left, right = elements.side_by_side()
    with left, st.container(border=True):
        _state(settings, "webhook", kept)
        _webhook(settings, kept)
        _test(settings, "webhook", kept)
    with right, st.container(border=True):
        _state(settings, "mail", kept)
        _mail(settings, kept)
        _test(settings, "mail", kept)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        url = st.text_input(
            "Address of this app, for links in messages",
            kept.app_url or "",
            width=470,
            key="channel-app",
            placeholder="https://courtside.example",
            max_chars=500,
        )
        if st.button("Save the address"):
            _keep(
                settings,
                lambda: kept.model_copy(
                    update={"app_url": channels.made(Channels, app_url=url or None).app_url}
                ),
            )
    if notice := st.session_state.pop(SAVED, None):
        st.success(notice, icon=":material/check:")
    messages(settings)


@st.fragment(run_every=2)
@elements.show_errors()
def _state(settings: Settings, name: Name, saved: Channels) -> None:
    is_on = name in saved.on
    mark = ":green-badge[on]" if is_on else ":gray-badge[off]"
    summary = f"**{NAMES[name]}** {mark}"
    mine = [delivery for delivery in deliver.deliveries(settings) if delivery.channel == name]
    if mine:
        summary += (
            f" {STATES[mine[0].state]}  \n:small[Last message {elements.ago(mine[0].created)}"
        )
        summary += f": {elements.plain(mine[0].problem)}]" if mine[0].problem else "]"
    st.markdown(summary)


def _webhook(settings: Settings, saved: Channels) -> None:
    now = saved.webhook
    url = st.text_input(
        "Address",
        now.url if now else "",
        placeholder="https://example.org/hook",
        key="channel-webhook",
        max_chars=2000,
    )
    is_on = st.toggle("On", now.is_on if now else True, key="channel-webhook-on")
    _secret(
        settings.webhook_secret,
        "COURTSIDE_WEBHOOK_SECRET",
        "Messages are signed with it.",
        "Messages are not signed: whoever knows the address can send the same.",
    )
    if st.button("Save the webhook"):
        _keep(
            settings,
            lambda: saved.model_copy(
                update={"webhook": channels.made(Webhook, url=url.strip(), is_on=is_on)}
            ),
        )


def _mail(settings: Settings, saved: Channels) -> None:
    now = saved.mail
    with st.container(horizontal=True):
        host = st.text_input(
            "Mail server",
            now.host if now else "",
            width=200,
            placeholder="mail.example.org",
            key="channel-host",
        )
        port = st.number_input(
            "Port", 1, 65535, now.port if now else 587, width=110, key="channel-port"
        )
    sender = st.text_input("From", now.sender if now else "", key="channel-from")
    to = st.text_input("To, divided by commas", ", ".join(now.to) if now else "", key="channel-to")
    with st.container(horizontal=True):
        security = st.selectbox(
            "Encryption",
            list(SECURITY),
            format_func=SECURITY.__getitem__,
            width=200,
            index=list(SECURITY).index(now.security) if now else 0,
            key="channel-security",
        )
        user = st.text_input(
            "User",
            (now.user if now else "") or "",
            width=180,
            placeholder="none",
            key="channel-user",
        )
    is_on = st.toggle("On", now.is_on if now else True, key="channel-mail-on")
    _secret(
        settings.smtp_password,
        "COURTSIDE_SMTP_PASSWORD",
        "It is used where a user is given.",
        "Without it only a server that asks for no password takes mail.",
    )
    if st.button("Save the mail"):
        people = tuple(address.strip() for address in to.split(",") if address.strip())
        _keep(
            settings,
            lambda: saved.model_copy(
                update={
                    "mail": channels.made(
                        Mail,
                        host=host.strip(),
                        port=port,
                        sender=sender.strip(),
                        to=people,
                        security=security,
                        user=user.strip() or None,
                        is_on=is_on,
                    )
                }
            ),
        )


def _secret(value: str | None, name: str, used: str, missing: str) -> None:
    """State whether a secret is set, without showing it."""
    if value:
        st.caption(f":green[:material/key:] {name} is set. {used}")
    else:
        st.caption(
            f":material/key_off: {name} is not set. {missing} It is read from the environment when "
            "the app starts."
        )


def _keep(settings: Settings, changed: Callable[[], Channels]) -> None:
    with elements.show_errors():
        channels.save(settings, changed())
        st.session_state[SAVED] = "Saved."
        st.rerun()


def _test(settings: Settings, name: Name, saved: Channels) -> None:
    st.button(
        "Send a test",
        icon=":material/send:",
        key=f"test-{name}",
        disabled=name not in saved.on,
        on_click=_send,
        args=(settings, name),
    )


@elements.show_errors()
def _send(settings: Settings, name: Name) -> None:
    deliver.send_test(settings, name)
    st.session_state[SAVED] = (
        f"A test is on its way by {NAMES[name].lower()}. What becomes of it is told below."
    )


@st.fragment(run_every=2)
@elements.show_errors()
def messages(settings: Settings) -> None:
    """Draw sent and waiting messages."""
    deliveries = deliver.deliveries(settings, limit=20)
    if not deliveries:
        return
    st.markdown("**Messages**")
    st.table(
        pd.DataFrame(
            {
                "When": [elements.ago(delivery.created) for delivery in deliveries],
                "By": [NAMES.get(delivery.channel, delivery.channel) for delivery in deliveries],
                "What": [elements.plain(delivery.title) or "–" for delivery in deliveries],
                "State": [STATES[delivery.state] for delivery in deliveries],
                "Tries": [delivery.tries for delivery in deliveries],
                "What came of it": [_came(delivery) for delivery in deliveries],
            }
        ),
        hide_index=True,
    )


def _came(delivery: deliver.Delivery) -> str:
    text = elements.plain(delivery.problem or "")
    if delivery.state != "waiting":
        return text or "–"
    wait = delivery.next_try - time.time()
    again = (
        f"Tried again in {elements.length(wait)}." if wait > 60 else "Tried again within a minute."
    )
    return f"{text} {again}" if delivery.tries else "Goes out in a moment."
