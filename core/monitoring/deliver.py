"""Delivery of alert messages: a persistent outbox, a webhook, and mail.

Each message is sent at once and, if that fails, again after 15 seconds, then at doubling intervals
of up to an hour, twelve tries in all within four hours. A sender claims a message for a minute
first, so two senders do not send it at once; if the sender dies meanwhile, it is sent again after
that. So a receiver gets each message at least once, and can drop duplicates by the delivery id.

A webhook gets a POST of JSON with these headers:

    X-Courtside-Delivery     the message's id, the same at each try
    X-Courtside-Timestamp    seconds since 1970 of this try
    X-Courtside-Signature    sha256=HMAC of "<timestamp>.<body>" by the secret, if one is set
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import smtplib
import ssl
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import requests
import sqlalchemy as sql

from core.monitoring import alert_tables as tables
from core.monitoring import channels
from core.monitoring.channels import Channels, Mail, Name, Webhook
from core.platform import permissions, set_aside, state
from core.platform.config import Settings, needs
from core.platform.errors import CourtsideError, InputError, words_of
from core.platform.messages import (
    Message,
    Words,
    _,
    dumps,
    from_data,
    loads,
    number,
    speaking,
    to_data,
)

WAITING, SENT, GIVEN_UP = "waiting", "sent", "given up"
CHANNEL_OFF = Message("This channel is off. Set its address and turn it on first.")
NO_ANSWER = Message("Nothing answers at its address.")
STATE_LABELS = {WAITING: Message("waiting"), SENT: Message("sent"), GIVEN_UP: Message("given up")}
EVENT_LABELS = {
    "raised": Message("raised"),
    "reminded": Message("reminder"),
    "cleared": Message("cleared"),
    "acknowledged": Message("acknowledged"),
    "closed": Message("closed"),
}
TRIES = 12
FIRST_WAIT, LONGEST_WAIT = 15.0, 3600.0
CLAIM_SECONDS = 60.0
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 10.0
KEPT = 1000
# these 4xx codes are temporary; all others are final
PASSING = (408, 429)

_log = logging.getLogger(__name__)
_box = tables.outbox.c


class _FaultError(Exception):
    """A failed try.

    Parameters
    ----------
    reason : Message
        Without the receiver's response and without the address.
    is_final : bool
        Whether another try is pointless.
    """

    def __init__(self, reason: Message, *, is_final: bool) -> None:
        super().__init__(str(reason))
        self.reason, self.is_final = reason, is_final


@dataclass(frozen=True)
class Delivery:
    """A message for display.

    Parameters
    ----------
    channel : str
        webhook or mail.
    state : str
        waiting, sent or given up.
    created, next_try, ended : float
        Seconds since 1970, wall time; `next_try` only matters while it waits.
    problem : Message, str or None
        Why the last try failed.
    """

    delivery_id: str
    channel: str
    title: Words
    is_test: bool
    state: str
    tries: int
    created: float
    next_try: float
    ended: float | None
    problem: Words | None


def put(connection: sql.Connection, name: str, body: Mapping[str, Any]) -> str:
    """Put a message into the outbox within the caller's transaction, and return its id."""
    delivery_id, real = uuid.uuid4().hex, time.time()
    content = to_data({"delivery_id": delivery_id, **body})
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    connection.execute(
        sql.insert(tables.outbox).values(
            delivery_id=delivery_id,
            channel=name,
            body=text,
            state=WAITING,
            tries=0,
            created=real,
            next_try=real,
        )
    )
    newest = sql.select(sql.func.max(_box.number)).scalar_subquery()
    old = sql.and_(_box.state != WAITING, _box.number <= newest - KEPT)
    connection.execute(sql.delete(tables.outbox).where(old))
    return delivery_id


@permissions.needs("channel")
def send_test(settings: Settings, name: Name) -> str:
    """Put a test message for one channel into the outbox, and return its id without waiting.

    Raises
    ------
    InputError
        When that channel is not active.
    """
    if name not in channels.load(settings).on:
        raise InputError(CHANNEL_OFF)
    with state.transaction(settings) as connection:
        body = {
            "kind": "test",
            "title": Message("Test message from Courtside"),
            "alerts": [],
            "at": time.time(),
        }
        return put(connection, name, body)


def deliveries(settings: Settings, limit: int = 50) -> list[Delivery]:
    """Return messages, the newest first."""
    with state.reading(settings) as connection:
        query = sql.select(tables.outbox).order_by(_box.number.desc()).limit(limit)
        rows = connection.execute(query).all()
    newest = []
    for row in rows:
        values = {
            key: value for key, value in row._mapping.items() if key not in ("number", "body")
        }
        title, is_test = _title_of(row.body)
        values["problem"] = None if row.problem is None else loads(row.problem)
        newest.append(Delivery(title=title, is_test=is_test, **values))
    return newest


def _title_of(body: str) -> tuple[Words, bool]:
    """Return the title of a message, empty if unreadable, and whether it is a test."""
    try:
        content = from_data(json.loads(body))
        title = content["title"]
        return title if isinstance(title, Message) else str(title), content["kind"] == "test"
    except (ValueError, KeyError, TypeError):
        return "", False


def is_due(settings: Settings) -> bool:
    """Return whether a message is due; cheap."""
    with state.reading(settings) as connection:
        due = sql.select(_box.number).where(_box.state == WAITING, _box.next_try <= time.time())
        return connection.execute(due.limit(1)).first() is not None


def drain(settings: Settings, seconds: float = 30.0) -> int:
    """Send due messages; the last one starts within `seconds`.

    Returns
    -------
    int
        Number of messages sent.

    Raises
    ------
    StoreError
        When the outbox or the channels cannot be read.
    """
    end = time.monotonic() + seconds
    sent = 0
    while time.monotonic() < end and (row := _claimed(settings)) is not None:
        sent += _try(settings, row)
    return sent


def drain_within(settings: Settings, seconds: float) -> None:
    """Send due messages in a thread, and return after `seconds` at the latest.

    The supervisor sends the rest, including an unfinished message.
    """
    if seconds <= 0:
        return
    thread = threading.Thread(target=_drain_quietly, args=(settings, seconds), daemon=True)
    thread.start()
    thread.join(seconds)


def drain_here(environ: Mapping[str, str]) -> None:
    """Send due messages; the supervisor runs this in a separate process."""
    _drain_quietly(Settings.load(environ), 30.0)


def _drain_quietly(settings: Settings, seconds: float) -> None:
    try:
        drain(settings, seconds)
    except CourtsideError as error:
        _log.error("messages are not sent now: %s", error.message)


def _claimed(settings: Settings) -> sql.Row[Any] | None:
    """Claim the message that has been due longest, so that no other sender takes it."""
    with state.transaction(settings) as connection:
        now = time.time()
        first = (
            sql.select(_box.number)
            .where(_box.state == WAITING, _box.next_try <= now)
            .order_by(_box.next_try, _box.number)
            .limit(1)
            .scalar_subquery()
        )
        claim = (
            sql.update(tables.outbox)
            .where(_box.number == first)
            .values(next_try=now + CLAIM_SECONDS, tries=_box.tries + 1)
            .returning(*tables.outbox.columns)
        )
        return connection.execute(claim).first()


def _try(settings: Settings, row: sql.Row[Any]) -> bool:
    problem: Words | None = None
    try:
        _send(settings, channels.load(settings), row.channel, row.delivery_id, row.body)
        values: dict[str, Any] = {"state": SENT, "ended": time.time()}
    except CourtsideError as error:
        problem = error.message  # damaged channels: a person has to repair them
        values = {"next_try": time.time() + _wait(row.tries)}
    except _FaultError as fault:
        problem = fault.reason
        values = {"next_try": time.time() + _wait(row.tries)}
        if fault.is_final or row.tries >= TRIES:
            values = {"state": GIVEN_UP, "ended": time.time()}
        _log.warning("message %s by %s: %s", row.delivery_id[:8], row.channel, problem)
    except Exception as error:  # noqa: BLE001
        # cannot be turned into a request or a mail; no retry will change that
        problem = Message("The message cannot be created.")
        values = {"state": GIVEN_UP, "ended": time.time()}
        code: set_aside.Code = "unreadable" if not _title_of(row.body)[0] else "unexpected"
        set_aside.put(settings, "messages", row.delivery_id, code, error=error)
    with state.transaction(settings) as connection:
        # a message whose claim expired and that another sender has sent stays sent
        mine = sql.and_(_box.number == row.number, _box.state == WAITING)
        values["problem"] = None if problem is None else dumps(problem)
        connection.execute(sql.update(tables.outbox).where(mine).values(values))
    return values.get("state") == SENT


def _wait(tries: int) -> float:
    """Return the seconds until the next try."""
    return min(FIRST_WAIT * 2.0 ** min(tries - 1, 20), LONGEST_WAIT)


def _send(settings: Settings, chosen: Channels, name: str, delivery_id: str, body: str) -> None:
    if name not in chosen.on:
        raise _FaultError(CHANNEL_OFF, is_final=True)
    content = json.loads(body)
    if not isinstance(content, dict):
        raise TypeError(type(content).__name__)
    if chosen.app_url and content.get("report"):
        content["link"] = f"{chosen.app_url}/runs?run={content['report']}"
    content = from_data(content)
    if name == "webhook" and chosen.webhook is not None:
        with speaking(chosen.webhook.language):
            text = json.dumps(_in_words(content), separators=(",", ":"))
        _post(chosen.webhook, settings.webhook_secret, delivery_id, text.encode())
    elif chosen.mail is not None:
        _mail(chosen.mail, settings.smtp_password, message(chosen.mail, delivery_id, content))


def _in_words(value: Any) -> Any:
    """Return the content of a message with words of the current language for its messages."""
    if isinstance(value, Message):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _in_words(part) for name, part in value.items()}
    return [_in_words(part) for part in value] if isinstance(value, list) else value


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value that a receiver compares with the header `X-Courtside-Signature`.

    Examples
    --------
    >>> signature("correct horse", "1700000000", b"{}")
    'sha256=69260cce37a6b3d10fb3c4a2ad8799a9f843870642ea4ee5ca710842df02363f'
    """
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


def _post(to: Webhook, secret: str | None, delivery_id: str, body: bytes) -> None:
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Courtside",
        "X-Courtside-Delivery": delivery_id,
        "X-Courtside-Timestamp": timestamp,
    }
    if secret:
        headers["X-Courtside-Signature"] = signature(secret, timestamp, body)
    try:
        with (
            requests.Session() as session,
            # the response is not read: it could be long or slow, or contain anything
            session.post(
                to.url,
                data=body,
                headers=headers,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                allow_redirects=False,
                stream=True,
                auth=lambda request: request,  # prevents reading a .netrc of the machine
            ) as answer,
        ):
            code = answer.status_code
    except requests.exceptions.SSLError:
        raise _FaultError(
            Message("Its certificate is missing or not trusted."), is_final=False
        ) from None
    except requests.Timeout:
        raise _FaultError(NO_ANSWER, is_final=False) from None
    except requests.ConnectionError:
        raise _FaultError(NO_ANSWER, is_final=False) from None
    except (requests.RequestException, ValueError):
        raise _FaultError(NO_ANSWER, is_final=True) from None
    if 300 <= code < 400:
        reason = Message(
            "It redirects (HTTP {code}), and redirects are not followed. Set the new address.",
            code=code,
        )
        raise _FaultError(reason, is_final=True)
    if 400 <= code < 500 and code not in PASSING:
        raise _FaultError(
            Message("It refuses the message ({code}).", code=f"HTTP {code}"), is_final=True
        )
    if not 200 <= code < 300:
        raise _FaultError(
            Message("It refuses the message ({code}).", code=f"HTTP {code}"), is_final=False
        )


def message(to: Mail, delivery_id: str, content: Mapping[str, Any]) -> EmailMessage:
    """Return a message as mail, in the language of the channel.

    Titles come from data: anything that could end a header line is removed from the subject.
    """
    mail = EmailMessage()
    with speaking(to.language):
        words = str(content["title"])
        title = " ".join("".join(c if c.isprintable() else " " for c in words).split())
        mail["Subject"] = f"Courtside: {title}"[:200]
        lines = _lines(content)
    mail["From"] = to.sender
    mail["To"] = ", ".join(to.to)
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = f"<{delivery_id}@{to.sender.partition('@')[2]}>"
    mail["X-Courtside-Delivery"] = delivery_id
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join(lines) + "\n")
    return mail


def _lines(content: Mapping[str, Any]) -> list[str]:
    """Return the lines of a mail, in the current language."""
    lines = [str(content["title"]), ""]
    for alert in content["alerts"]:
        check = alert["title"]
        if alert["value"] is not None:
            check = Message("{name}: {value}", name=check, value=number(alert["value"], ".4g"))
        if alert["limit"]:
            check = Message("{first}, {second}", first=check, second=alert["limit"])
        line = _(
            "{event}: {check}, since {since} UTC",
            event=EVENT_LABELS.get(alert["event"], alert["event"]),
            check=check,
            since=datetime.fromtimestamp(alert["since"], UTC),
        )
        lines.append(f"- {line}")
    if content.get("report"):
        lines += ["", _("{name}: {value}", name=_("Report"), value=content["report"])]
    if content.get("link"):
        lines.append(content["link"])
    return lines


def _needs(option: str, needed: str) -> Message:
    return Message("{reason!c}.", reason=words_of(needs(option, needed)))


def _mail(to: Mail, password: str | None, mail: EmailMessage) -> None:
    if to.user is not None and password is None:
        raise _FaultError(_needs("user", "COURTSIDE_SMTP_PASSWORD"), is_final=True)
    if to.user is not None and to.security == "none":
        # the password is not sent without encryption
        raise _FaultError(_needs("user", "security = starttls"), is_final=True)
    context = ssl.create_default_context()
    try:
        plain = to.security != "tls"
        server = (
            smtplib.SMTP(to.host, to.port, timeout=ANSWER_SECONDS)
            if plain
            else smtplib.SMTP_SSL(to.host, to.port, timeout=ANSWER_SECONDS, context=context)
        )
        with server:
            if to.security == "starttls":
                server.starttls(context=context)
            if to.user is not None and password is not None:
                server.login(to.user, password)
            refused = server.send_message(mail)
        if refused:
            raise _FaultError(
                Message(
                    "It refuses {refused} of {recipients} recipients; the others received it.",
                    refused=len(refused),
                    recipients=len(to.to),
                ),
                is_final=True,
            )
    except smtplib.SMTPNotSupportedError:
        raise _FaultError(
            Message("It does not support STARTTLS, or has no login."), is_final=True
        ) from None
    except smtplib.SMTPAuthenticationError as error:
        reason = Message(
            "It does not accept the user or the password (SMTP {code}).", code=error.smtp_code
        )
        raise _FaultError(reason, is_final=error.smtp_code >= 500) from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _unused in error.recipients.values()]
        reason = Message("It refuses the message ({code}).", code=f"SMTP {codes[0]}")
        raise _FaultError(reason, is_final=min(codes) >= 500) from None
    except smtplib.SMTPResponseException as error:
        reason = Message("It refuses the message ({code}).", code=f"SMTP {error.smtp_code}")
        raise _FaultError(reason, is_final=error.smtp_code >= 500) from None
    except ssl.SSLError:
        raise _FaultError(
            Message("Its certificate is missing or not trusted."), is_final=False
        ) from None
    except TimeoutError:
        raise _FaultError(NO_ANSWER, is_final=False) from None
    except (OSError, smtplib.SMTPException):
        raise _FaultError(NO_ANSWER, is_final=False) from None
