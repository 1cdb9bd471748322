"""Channels for alert messages, as set on the page.

Addresses only. The signing secret and the password of the mail server come from the environment
(`COURTSIDE_WEBHOOK_SECRET`, `COURTSIDE_SMTP_PASSWORD`) and are never stored.
"""

from __future__ import annotations

import re
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator

from core.platform import config, permissions, state, store_faults
from core.platform.config import Options, Settings
from core.platform.errors import InputError, StoreError
from core.platform.messages import Message

ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250})")
NAME = "channels"
Name = Literal["webhook", "mail"]
Language = Literal["en", "pt"]
T = TypeVar("T", bound=Options)


_ADDRESS = Message("use a form like {examples}", examples="https://example.org/alerts")


def _checked_url(url: str) -> str:
    """Return an address that a message may be sent to; ValueError says why it is invalid."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(_ADDRESS)
    try:
        parts = urlsplit(url)
        port = parts.port  # accessed since only this validates it
    except ValueError as error:
        raise ValueError(_ADDRESS) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(_ADDRESS)
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            Message(
                "an address must not hold a password or key: credentials belong to the environment"
            )
        )
    return url


class Webhook(Options):
    """A receiver of messages by HTTP.

    Parameters
    ----------
    url : str
        Address to POST to; http or https, without user name or password.
    is_on : bool
        Whether messages are sent there.
    language : {"en", "pt"}
        Language of the messages.
    """

    url: str = Field(max_length=2000)
    is_on: bool = True
    language: Language = "en"

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return _checked_url(value)


class Mail(Options):
    """A mail server for messages to people.

    Parameters
    ----------
    host : str
        Name or IP address of the server.
    port : int
        1 to 65,535; usually 587 with STARTTLS, 465 with TLS from the first byte.
    to : tuple of str
        Recipients, 1 to 20 addresses.
    security : {"starttls", "tls", "none"}
        Encryption. With `none` no password is sent.
    user : str, optional
        Login name; without it there is no login.
    is_on : bool
        Whether messages are sent there.
    language : {"en", "pt"}
        Language of the messages.
    """

    host: str = Field(pattern=r"^[A-Za-z0-9.:_-]{1,255}$")
    port: int = Field(587, ge=1, le=65535)
    sender: str
    to: tuple[str, ...] = Field(min_length=1, max_length=20)
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = Field(None, pattern=r"^[^\x00-\x1f\x7f]{1,255}$")
    is_on: bool = True
    language: Language = "en"

    @field_validator("sender", "to")
    @classmethod
    def _are_addresses(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        # a line break in an address would allow header injection
        for address in (value,) if isinstance(value, str) else value:
            if not ADDRESS.fullmatch(address):
                raise ValueError(Message("use a form like {examples}", examples="ana@example.org"))
        return value


class Channels(Options):
    """All channels besides the page.

    Parameters
    ----------
    webhook, mail
        None if never set.
    app_url : str, optional
        Address of this app, for links in messages.
    """

    webhook: Webhook | None = None
    mail: Mail | None = None
    app_url: str | None = Field(None, max_length=500)

    @field_validator("app_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return None if value is None else _checked_url(value).rstrip("/")

    @property
    def on(self) -> tuple[Name, ...]:
        """The names of the active channels.

        Examples
        --------
        >>> Channels(webhook=Webhook(url="http://127.0.0.1:9/hook")).on
        ('webhook',)
        """
        names: list[Name] = []
        if self.webhook is not None and self.webhook.is_on:
            names.append("webhook")
        if self.mail is not None and self.mail.is_on:
            names.append("mail")
        return tuple(names)


def load(settings: Settings) -> Channels:
    """Return the channels; empty before any was set."""
    kept = state.load(settings, NAME)
    try:
        return Channels() if kept is None else Channels.model_validate(kept)
    except ValueError as error:
        raise StoreError(store_faults.damaged_document(NAME)) from error


@permissions.needs("channel")
def save(settings: Settings, channels: Channels) -> None:
    """Save the channels atomically."""
    state.save(settings, NAME, channels.model_dump(mode="json"))


def made(kind: type[T], **values: object) -> T:
    """Return a channel from user input.

    Raises
    ------
    InputError
        When it is invalid; nothing was changed.

    Examples
    --------
    >>> made(Webhook, url="ftp://a/b")
    Traceback (most recent call last):
    core.platform.errors.InputError: url: use a form like https://example.org/alerts.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "value_error":  # without the input value: it may contain a password
            where = ".".join(str(part) for part in first["loc"])
            (reason,) = first["ctx"]["error"].args
            raise InputError(Message("{where}: {reason}.", where=where, reason=reason)) from None
        raise InputError(config.sentence(error)) from None
