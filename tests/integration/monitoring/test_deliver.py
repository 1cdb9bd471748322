"""Outgoing messages, each to the test's own receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import socketserver
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sql

from core.monitoring import alert_tables, alerts, channels, deliver
from core.monitoring.alerting import Subject
from core.monitoring.channels import Channels, Mail, Webhook
from core.platform import state
from core.platform.config import Settings
from core.platform.errors import InputError, StoreError
from core.platform.messages import Message, Words

SECRET, PASSWORD = "a secret of a test", "a password of a test"
ABOUT = Subject("kobe", "m", "1", is_sample=False)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(deliver, "FIRST_WAIT", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Settings(home=tmp_path, webhook_secret=SECRET, smtp_password=PASSWORD)


def raised(settings: Settings, title: Words = "The model does not fit") -> None:
    """Submit a report that raises two alerts, and send nothing yet."""
    alerts.report(
        settings,
        "run-1",
        {"f1": "alert"},
        {"f1": "F1 at the threshold"},
        {"f1": 0.125},
        subject=ABOUT,
        verdict_title=title,
        now=0.0,
        groups={"f1": "performance"},
        limits={"f1": "at least 0.4"},
        drain_seconds=0,
    )


def only(settings: Settings) -> deliver.Delivery:
    (delivery,) = deliver.deliveries(settings)
    return delivery


# --- webhook ------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """A program that receives messages; it answers with these codes in turn, then with 200."""

    port: int = 0
    codes: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    target = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            target.received.append((dict(self.headers), body))
            target.paths.append(self.path)
            self.send_response(target.codes.pop(0) if target.codes else 200)
            self.send_header("Location", target.url + "/elsewhere")
            self.end_headers()
            self.wfile.write(b"what a receiver says of itself")

        def do_GET(self) -> None:
            target.paths.append(f"GET {self.path}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    target.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield target
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_receiver_that_fails_twice_gets_the_message_signed_with_one_id(
    settings: Settings, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.codes = [500, 503]
    url = "https://courtside.example"
    channels.save(settings, Channels(webhook=Webhook(url=receiver.url), app_url=url))
    raised(settings)
    with caplog.at_level(logging.DEBUG):
        assert deliver.drain(settings) == 1
    assert (only(settings).state, only(settings).tries) == ("sent", 3)
    assert len(receiver.received) == 3
    for headers, body in receiver.received:
        stamp = headers["X-Courtside-Timestamp"]
        assert abs(time.time() - int(stamp)) < 600
        expected = hmac.new(
            SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256
        ).hexdigest()
        assert headers["X-Courtside-Signature"] == f"sha256={expected}"
        assert headers["X-Courtside-Delivery"] == only(settings).delivery_id
    message = json.loads(receiver.received[-1][1])
    assert message["delivery_id"] == only(settings).delivery_id
    assert message["link"] == f"{url}/runs?run=run-1"
    assert {alert["check"]: alert["event"] for alert in message["alerts"]} == {
        "verdict": "raised",
        "f1": "raised",
    }
    f1 = message["alerts"][1]
    assert (f1["title"], f1["value"], f1["limit"]) == ("F1 at the threshold", 0.125, "at least 0.4")
    # neither its answer nor our secret is in any log
    log_text = "\n".join(entry.getMessage() for entry in caplog.records)
    assert "what a receiver says" not in log_text
    assert SECRET not in log_text


@pytest.mark.parametrize(
    ("code", "reason"), [(404, r"HTTP 404"), (410, r"HTTP 410"), (302, r"not followed")]
)
def test_a_refusal_is_given_up_with_its_reason(
    settings: Settings, receiver: Receiver, code: int, reason: str
) -> None:
    receiver.codes = [code]
    channels.save(settings, Channels(webhook=Webhook(url=receiver.url)))
    raised(settings)
    assert deliver.drain(settings) == 0
    delivery = only(settings)
    assert (delivery.state, delivery.tries) == ("given up", 1)
    assert reason in str(delivery.problem)
    assert receiver.paths == ["/hook"]


@pytest.mark.parametrize("code", [408, 429])
def test_a_busy_receiver_is_tried_again(settings: Settings, receiver: Receiver, code: int) -> None:
    receiver.codes = [code]
    channels.save(settings, Channels(webhook=Webhook(url=receiver.url)))
    raised(settings)
    assert deliver.drain(settings) == 1
    assert (only(settings).state, only(settings).tries) == ("sent", 2)


def test_without_a_secret_nothing_is_signed(settings: Settings, receiver: Receiver) -> None:
    channels.save(settings, Channels(webhook=Webhook(url=receiver.url)))
    bare = settings.model_copy(update={"webhook_secret": None})
    deliver.send_test(bare, "webhook")
    assert deliver.drain(bare) == 1
    assert "X-Courtside-Signature" not in receiver.received[0][0]
    assert (only(bare).is_test, only(bare).state) == (True, "sent")


def test_an_unanswered_message_waits_longer_each_time_and_is_then_given_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels.save(settings, Channels(webhook=Webhook(url="http://127.0.0.1:9/hook")))
    raised(settings)
    assert deliver.drain(settings) == 0
    delivery = only(settings)
    assert (delivery.state, delivery.tries) == ("given up", deliver.TRIES)
    assert str(delivery.problem) == "Nothing answers at its address."
    assert "127.0.0.1" not in str(delivery.problem)
    monkeypatch.setattr(deliver, "FIRST_WAIT", 15.0)
    deliver.send_test(settings, "webhook")
    assert deliver.drain(settings) == 0
    newest = deliver.deliveries(settings)[0]
    assert (newest.state, newest.tries) == ("waiting", 1)
    assert 5 < newest.next_try - newest.created < 60
    assert not deliver.is_due(settings)


def test_two_senders_at_once_send_each_message_once(settings: Settings, receiver: Receiver) -> None:
    channels.save(settings, Channels(webhook=Webhook(url=receiver.url)))
    for _ in range(6):
        deliver.send_test(settings, "webhook")
    threads = [threading.Thread(target=deliver.drain, args=(settings,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [headers["X-Courtside-Delivery"] for headers, _ in receiver.received]
    assert len(ids) == len(set(ids)) == 6


def test_a_sender_that_dies_leaves_a_message_that_is_sent_again_under_its_id(
    settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "CLAIM_SECONDS", 0.0)
    channels.save(settings, Channels(webhook=Webhook(url=receiver.url)))
    deliver.send_test(settings, "webhook")

    class Killed(BaseException):
        pass

    send = deliver._send

    def die(*arguments: object) -> None:
        send(*arguments)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(deliver, "_send", die)
        with pytest.raises(Killed):
            deliver.drain(settings)
    assert only(settings).state == "waiting"
    assert deliver.drain(settings) == 1
    first, second = (headers["X-Courtside-Delivery"] for headers, _ in receiver.received)
    assert first == second == only(settings).delivery_id


def test_a_receiver_that_says_nothing_does_not_hold_up_a_report(settings: Settings) -> None:
    silent = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler, False)
    silent.server_bind()
    silent.server_activate()  # it takes the connection and never answers
    try:
        url = f"http://127.0.0.1:{silent.server_address[1]}/"
        channels.save(settings, Channels(webhook=Webhook(url=url)))
        begin = time.monotonic()
        alerts.report(
            settings,
            "run-1",
            {"f1": "alert"},
            {},
            {},
            subject=ABOUT,
            verdict_title="x",
            now=0.0,
            drain_seconds=0.2,
        )
        assert time.monotonic() - begin < deliver.ANSWER_SECONDS
        assert only(settings).state == "waiting"
    finally:
        silent.server_close()


def test_a_channel_that_was_turned_off_gets_nothing_more(
    settings: Settings, receiver: Receiver
) -> None:
    channels.save(settings, Channels(webhook=Webhook(url=receiver.url)))
    deliver.send_test(settings, "webhook")
    channels.save(settings, Channels(webhook=Webhook(url=receiver.url, is_on=False)))
    assert deliver.drain(settings) == 0
    assert (only(settings).state, receiver.received) == ("given up", [])
    with pytest.raises(InputError, match="off"):
        deliver.send_test(settings, "webhook")


def test_old_messages_are_deleted_except_those_that_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "KEPT", 3)
    channels.save(settings, Channels(webhook=Webhook(url="http://127.0.0.1:9/")))
    first = deliver.send_test(settings, "webhook")
    with state.transaction(settings) as connection:
        connection.exec_driver_sql("UPDATE alert_outbox SET next_try = 1e12")
    for _ in range(6):
        deliver.send_test(settings, "webhook")
        with state.transaction(settings) as connection:
            connection.exec_driver_sql(
                "UPDATE alert_outbox SET state = 'sent' WHERE next_try < 1e12"
            )
    left = [delivery.delivery_id for delivery in deliver.deliveries(settings)]
    assert first in left
    assert len(left) == 4


# --- mail ---------------------------------------------------------------------------------------


@dataclass
class Post:
    """A test mail server: it accepts mail, or refuses the user, the recipients or the time."""

    port: int = 0
    refuses: str = ""
    speaks: tuple[str, ...] = ("AUTH PLAIN", "STARTTLS")
    commands: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)

    def answer(self, line: str) -> str:
        word = line.split(" ")[0].upper().rstrip(":")
        if word == "EHLO":
            lines = ["courtside.test", *self.speaks]
            return "\r\n".join(f"250{' ' if entry == lines[-1] else '-'}{entry}" for entry in lines)
        if word == "AUTH":
            credentials = base64.b64decode(line.split(" ")[-1]).decode().split("\0")
            is_right = credentials == ["", "ann", PASSWORD] and self.refuses != "user"
            return "235 welcome" if is_right else "535 no"
        if word == "RCPT" and self.refuses == "people":
            return "550 nobody of that name"
        if word == "MAIL" and self.refuses == "time":
            return "451 come back later"
        return {"DATA": "354 go on", "QUIT": "221 bye"}.get(word, "250 fine")


@pytest.fixture
def post() -> Iterator[Post]:
    mailbox = Post()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.reply("220 courtside.test")
            while line := self.rfile.readline().decode().strip():
                mailbox.commands.append(line)
                self.reply(mailbox.answer(line))
                if line.upper() == "DATA":
                    lines = []
                    while (part := self.rfile.readline()) != b".\r\n":
                        lines.append(part)
                    mailbox.mails.append(b"".join(lines))
                    self.reply("250 taken")

        def reply(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        mailbox.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield mailbox
        finally:
            server.shutdown()
            thread.join()


def mail_to(post: Post, **values: object) -> Mail:
    return Mail(
        **{
            "host": "127.0.0.1",
            "port": post.port,
            "sender": "courtside@club.example",
            "to": ("ann@club.example", "bob@club.example"),
            "security": "none",
            **values,
        }
    )


def test_a_mail_names_the_alerts_and_the_link(settings: Settings, post: Post) -> None:
    channels.save(settings, Channels(mail=mail_to(post), app_url="http://courtside.example/"))
    raised(settings, "It does not fit\r\nBcc: eve@evil.example")
    assert deliver.drain(settings) == 1
    mail = message_from_bytes(post.mails[0], policy=policy.default)
    assert mail["Subject"] == "Courtside: It does not fit Bcc: eve@evil.example"
    assert mail["Bcc"] is None
    assert (mail["From"], mail["To"]) == (
        "courtside@club.example",
        "ann@club.example, bob@club.example",
    )
    assert mail["X-Courtside-Delivery"] == only(settings).delivery_id
    text = mail.get_content()
    assert "- raised: F1 at the threshold: 0.125, at least 0.4, since 1970-01-01" in text
    assert "http://courtside.example/runs?run=run-1" in text
    assert [line for line in post.commands if line.upper().startswith("RCPT")] == [
        "rcpt TO:<ann@club.example>",
        "rcpt TO:<bob@club.example>",
    ]
    # no user, no password
    assert not any(line.upper().startswith("AUTH") for line in post.commands)


TITLE = Message("{share:.1%} of the rows are predicted 1.", share=0.125)


def test_a_mail_is_in_the_language_of_its_channel(settings: Settings, post: Post) -> None:
    channels.save(settings, Channels(mail=mail_to(post, language="pt")))
    raised(settings, TITLE)
    assert str(only(settings).title) == str(TITLE)
    assert deliver.drain(settings) == 1
    mail = message_from_bytes(post.mails[0], policy=policy.default)
    assert "12,5%" in mail["Subject"]
    text = mail.get_content()
    assert "F1 at the threshold: 0,125" in text
    assert "01/01/1970 00:00 UTC" in text


def test_a_webhook_is_in_the_language_of_its_channel(
    settings: Settings, receiver: Receiver
) -> None:
    channels.save(settings, Channels(webhook=Webhook(url=receiver.url, language="pt")))
    raised(settings, TITLE)
    assert deliver.drain(settings) == 1
    message = json.loads(receiver.received[-1][1])
    assert message["title"].startswith("12,5%")
    assert message["alerts"][0]["title"] == message["title"]
    assert message["alerts"][1]["value"] == 0.125


def test_problems_and_titles_of_earlier_versions_are_read_as_they_are(settings: Settings) -> None:
    channels.save(settings, Channels(webhook=Webhook(url="http://127.0.0.1:9/hook")))
    deliver.send_test(settings, "webhook")
    with state.transaction(settings) as connection:
        old = {"problem": "It was old.", "body": '{"kind": "alerts", "title": "An old title"}'}
        connection.execute(sql.update(alert_tables.outbox).values(old))
    assert (only(settings).problem, only(settings).title) == ("It was old.", "An old title")


@pytest.mark.parametrize(
    ("refuses", "state", "reason"),
    [
        ("people", "given up", "It refuses the message (SMTP 550)."),
        ("time", "waiting", "(SMTP 451)"),
    ],
)
def test_a_refusal_of_a_mail_server_is_reported(
    settings: Settings,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
    refuses: str,
    state: str,
    reason: str,
) -> None:
    monkeypatch.setattr(deliver, "FIRST_WAIT", 15.0)
    post.refuses = refuses
    channels.save(settings, Channels(mail=mail_to(post)))
    deliver.send_test(settings, "mail")
    assert deliver.drain(settings) == 0
    assert (only(settings).state, post.mails) == (state, [])
    assert reason in str(only(settings).problem)


def logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept STARTTLS without a certificate: the tests check what follows."""

    def agree(self: deliver.smtplib.SMTP, context: object = None) -> None:
        self.docmd("STARTTLS")
        self.ehlo_or_helo_if_needed()

    monkeypatch.setattr(deliver.smtplib.SMTP, "starttls", agree)


def test_a_user_logs_in_with_the_password_of_the_environment(
    settings: Settings, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(monkeypatch)
    channels.save(settings, Channels(mail=mail_to(post, user="ann", security="starttls")))
    deliver.send_test(settings, "mail")
    assert deliver.drain(settings) == 1
    assert post.commands.index("STARTTLS") < next(
        number for number, line in enumerate(post.commands) if line.upper().startswith("AUTH")
    )
    for path in settings.state_dir.glob("state.db*"):
        assert PASSWORD.encode() not in path.read_bytes()


def test_a_refused_password_is_given_up_and_not_shown(
    settings: Settings,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    logged_in(monkeypatch)
    post.refuses = "user"
    channels.save(settings, Channels(mail=mail_to(post, user="ann", security="starttls")))
    deliver.send_test(settings, "mail")
    with caplog.at_level(logging.DEBUG):
        deliver.drain(settings)
    delivery = only(settings)
    assert (delivery.state, str(delivery.problem)) == (
        "given up",
        "It does not accept the user or the password (SMTP 535).",
    )
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    ("values", "has_password", "reason"),
    [
        ({"user": "ann", "security": "starttls"}, False, "`user` needs `COURTSIDE_SMTP_PASSWORD`"),
        ({"user": "ann", "security": "none"}, True, "`user` needs `security = starttls`"),
        ({"security": "starttls"}, True, "does not support STARTTLS"),
    ],
)
def test_a_password_is_never_sent_unencrypted(
    settings: Settings, post: Post, values: dict, has_password: bool, reason: str
) -> None:
    post.speaks = ("AUTH PLAIN",)
    channels.save(settings, Channels(mail=mail_to(post, **values)))
    if not has_password:
        settings = settings.model_copy(update={"smtp_password": None})
    deliver.send_test(settings, "mail")
    assert deliver.drain(settings) == 0
    assert only(settings).state == "given up"
    assert reason in str(only(settings).problem)
    assert not any(line.upper().startswith("AUTH") for line in post.commands)


def test_no_mail_server_answers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "FIRST_WAIT", 15.0)
    channels.save(settings, Channels(mail=mail_to(Post(port=9))))
    deliver.send_test(settings, "mail")
    deliver.drain(settings)
    assert (only(settings).state, str(only(settings).problem)) == (
        "waiting",
        "Nothing answers at its address.",
    )


# --- channels -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/x",
        "file:///etc/passwd",
        "http://",
        "//a.example",
        "http://a b/",
        "http://ann:pw@a.example/",
        "http://a.example:99999/",
        "http://a.example/\r\nX: y",
        "http://[::1/",
        "javascript:alert(1)",
        "http://a.example:0/",
    ],
)
def test_an_invalid_address_of_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        channels.made(Webhook, url=url)
    assert "pw" not in str(caught.value.message)


@pytest.mark.parametrize(
    "values",
    [
        {"sender": "ann"},
        {"sender": "ann@club.example\r\nBcc: eve@evil.example"},
        {"to": ()},
        {"to": ("ann@club.example", "bob@club.example\nX: y")},
        {"to": ("ann@club.example, eve@evil.example",)},
        {"host": "a b"},
        {"port": 0},
        {"user": "ann\r\n"},
        {"security": "perhaps"},
    ],
)
def test_header_injection_into_a_mail_is_refused(values: dict) -> None:
    valid = {"host": "mail.example", "sender": "a@b.example", "to": ("c@d.example",)}
    with pytest.raises(InputError):
        channels.made(Mail, **{**valid, **values})


def test_channels_are_readable_by_this_user_only(settings: Settings) -> None:
    chosen = Channels(
        webhook=Webhook(url="https://a.example/x?y=z"),
        mail=mail_to(Post(port=25)),
        app_url="https://courtside.example/",
    )
    channels.save(settings, chosen)
    assert channels.load(settings) == chosen
    for path in settings.state_dir.glob("state.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert SECRET.encode() not in path.read_bytes()
    state.save(settings, channels.NAME, [])
    with pytest.raises(StoreError, match="The entry 'channels'"):
        channels.load(settings)


def test_a_damaged_list_of_channels_keeps_messages_until_it_is_repaired(
    settings: Settings, receiver: Receiver
) -> None:
    channels.save(settings, Channels(webhook=Webhook(url=receiver.url)))
    deliver.send_test(settings, "webhook")
    stored = state.load(settings, channels.NAME)
    state.save(settings, channels.NAME, "{")
    deliver.drain(settings, 0.05)
    assert only(settings).state == "waiting"
    state.save(settings, channels.NAME, stored)
    assert deliver.drain(settings) == 1
