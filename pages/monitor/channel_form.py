"""Alert channels besides the page: a webhook and mail, and the delivery of messages."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from core.monitoring import channels, deliver
from core.monitoring.channels import Channels, Mail, Name, Webhook
from core.platform import permissions
from core.platform.config import Settings
from core.platform.errors import StoreError
from core.platform.messages import LANGUAGES, Message, Words, _
from pages.shared import elements

COLOURS = {deliver.WAITING: "orange", deliver.SENT: "green", deliver.GIVEN_UP: "red"}
NAMES: dict[Name, Words] = {"webhook": "Webhook", "mail": Message("Mail")}
SECURITY: dict[str, Words] = {"starttls": "STARTTLS", "tls": "TLS", "none": Message("none")}
SAVED = "channels-saved"


def section(settings: Settings) -> None:
    """Draw the channels, each with the state of its last message."""
    try:
        kept = channels.load(settings)
    except StoreError as error:
        st.error(elements.plain(str(error)), icon=":material/error:")
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
            _("Address of this app, for links in messages"),
            kept.app_url or "",
            width=470,
            key="channel-app",
            placeholder="https://courtside.example",
            max_chars=500,
        )
        if st.button(_("Save"), key="save-address", disabled=not permissions.may("channel")):
            _keep(
                settings,
                lambda: kept.model_copy(
                    update={"app_url": channels.made(Channels, app_url=url or None).app_url}
                ),
            )
    if notice := st.session_state.pop(SAVED, None):
        st.success(str(notice), icon=":material/check:")
    sent(settings)


def _badge(state: str) -> str:
    return elements.badge(deliver.STATE_LABELS[state], COLOURS[state])


@st.fragment(run_every=2)
@elements.show_errors()
def _state(settings: Settings, name: Name, saved: Channels) -> None:
    mark = (
        elements.badge(_("On"), "green") if name in saved.on else elements.badge(_("Off"), "gray")
    )
    summary = f"**{NAMES[name]}** {mark}"
    mine = [delivery for delivery in deliver.deliveries(settings) if delivery.channel == name]
    if mine:
        last = elements.ago(mine[0].created)
        if mine[0].problem:
            last += f": {elements.plain(str(mine[0].problem))}"
        summary += f" {_badge(mine[0].state)}  \n:small[{last}]"
    st.markdown(summary)


def _webhook(settings: Settings, saved: Channels) -> None:
    now = saved.webhook
    url = st.text_input(
        _("Address"),
        now.url if now else "",
        placeholder="https://example.org/hook",
        key="channel-webhook",
        max_chars=2000,
    )
    language = _language("webhook", now)
    is_on = st.toggle(_("On"), now.is_on if now else True, key="channel-webhook-on")
    _secret(
        settings.webhook_secret,
        "COURTSIDE_WEBHOOK_SECRET",
        _("Messages are not signed: anyone who knows the address can forge them."),
    )
    if st.button(
        elements.named(_("Save"), NAMES["webhook"]),
        key="save-webhook",
        disabled=not permissions.may("channel"),
    ):
        _keep(
            settings,
            lambda: saved.model_copy(
                update={
                    "webhook": channels.made(
                        Webhook, url=url.strip(), is_on=is_on, language=language
                    )
                }
            ),
        )


def _mail(settings: Settings, saved: Channels) -> None:
    now = saved.mail
    with st.container(horizontal=True):
        host = st.text_input(
            _("Mail server"),
            now.host if now else "",
            width=200,
            placeholder="mail.example.org",
            key="channel-host",
        )
        port = st.number_input(
            _("Port"), 1, 65535, now.port if now else 587, width=110, key="channel-port"
        )
    sender = st.text_input(_("From"), now.sender if now else "", key="channel-from")
    to = st.text_input(
        _("To, separated by commas"), ", ".join(now.to) if now else "", key="channel-to"
    )
    with st.container(horizontal=True):
        security = st.selectbox(
            _("Encryption"),
            list(SECURITY),
            format_func=lambda choice: str(SECURITY[choice]),
            width=200,
            index=list(SECURITY).index(now.security) if now else 0,
            key="channel-security",
        )
        user = st.text_input(
            _("User"),
            (now.user if now else "") or "",
            width=180,
            placeholder=_("none"),
            key="channel-user",
        )
    language = _language("mail", now)
    is_on = st.toggle(_("On"), now.is_on if now else True, key="channel-mail-on")
    _secret(
        settings.smtp_password,
        "COURTSIDE_SMTP_PASSWORD",
        _("Only a server without a password can be used."),
    )
    if st.button(
        elements.named(_("Save"), NAMES["mail"]),
        key="save-mail",
        disabled=not permissions.may("channel"),
    ):
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
                        language=language,
                    )
                }
            ),
        )


def _language(name: Name, now: Webhook | Mail | None) -> str:
    return str(
        st.selectbox(
            _("Language"),
            list(LANGUAGES),
            format_func=LANGUAGES.__getitem__,
            index=list(LANGUAGES).index(now.language if now else "en"),
            width=200,
            key=f"channel-{name}-language",
        )
    )


def _secret(value: str | None, name: str, missing: str) -> None:
    """State whether a secret is set, without showing it."""
    if value:
        st.caption(f":green[:material/key:] {elements.named(name, _('ok'))}")
        return
    st.caption(
        ":material/key_off: "
        + _("{name} is not set in the environment.", name=name)
        + f" {missing}"
    )


def _keep(settings: Settings, changed: Callable[[], Channels]) -> None:
    with elements.show_errors():
        channels.save(settings, changed())
        st.session_state[SAVED] = Message("Saved.")
        st.rerun()


def _test(settings: Settings, name: Name, saved: Channels) -> None:
    st.button(
        _("Send a test"),
        icon=":material/send:",
        key=f"test-{name}",
        disabled=not permissions.may("channel") or name not in saved.on,
        on_click=_send,
        args=(settings, name),
    )


@elements.show_errors()
def _send(settings: Settings, name: Name) -> None:
    deliver.send_test(settings, name)


@st.fragment(run_every=2)
@elements.show_errors()
def sent(settings: Settings) -> None:
    """Draw sent and waiting messages."""
    deliveries = deliver.deliveries(settings, limit=20)
    if not deliveries:
        return
    elements.question(_("History"))
    elements.fixed_table(
        {
            _("When"): [str(elements.ago(delivery.created)) for delivery in deliveries],
            _("By"): [
                str(NAMES.get(delivery.channel, delivery.channel)) for delivery in deliveries
            ],
            _("What"): [elements.plain(str(delivery.title)) or "–" for delivery in deliveries],
            _("State"): [_badge(delivery.state) for delivery in deliveries],
            _("Tries"): [delivery.tries for delivery in deliveries],
            _("Result"): [_came(delivery) for delivery in deliveries],
        }
    )


def _came(delivery: deliver.Delivery) -> str:
    text = elements.plain(str(delivery.problem or ""))
    if delivery.state != deliver.WAITING:
        return text or "–"
    if not delivery.tries:
        return "–"
    again = _("Next attempt in {wait}.", wait=elements.length(delivery.next_try - time.time()))
    return f"{text} {again}"
