"""What the app accepts before a page runs: its own hosts and origins, and admitted uploads."""

from __future__ import annotations

import asyncio
import http.client
from pathlib import Path

import pytest

from core.platform.config import Settings
from pages.shared import access
from tests.browser.conftest import running

HERE, FOREIGN = "127.0.0.1:8501", "evil.example:8501"
UPLOAD = "/_stcore/upload_file/session-1/file-1"


def answer(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    *,
    kind: str = "http",
    path: str = "/",
    method: str = "PUT",
    **headers: str,
) -> list[dict]:
    """Return what the door sends; nothing where it lets a request through."""
    monkeypatch.setattr(access.Settings, "load", classmethod(lambda cls: settings))
    sent: list[dict] = []

    async def inside(scope, receive, send) -> None:
        sent.append({"type": "inside"})

    async def send(message) -> None:
        sent.append(message)

    async def receive() -> dict:
        raise AssertionError("the body of a refused request was read")

    all_headers = {"host": HERE, **headers}
    pairs = [(name.encode(), value.encode()) for name, value in all_headers.items()]
    scope = {"type": kind, "path": path, "method": method, "headers": pairs}
    asyncio.run(access.Door(inside)(scope, receive, send))
    return sent


@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/_stcore/stream", "/media/x"])
@pytest.mark.parametrize(
    "headers",
    [
        {"host": FOREIGN},
        {"host": FOREIGN, "origin": f"http://{FOREIGN}"},
        {"origin": f"http://{FOREIGN}"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "null"},
    ],
)
def test_another_host_or_origin_is_refused_on_every_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    start, body = answer(monkeypatch, Settings(home=tmp_path), path=path, **headers)
    assert start["status"] == 403
    assert b"COURTSIDE_ALLOWED_HOSTS" in body["body"]
    [closed] = answer(monkeypatch, Settings(home=tmp_path), kind="websocket", path=path, **headers)
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)


def test_own_hosts_and_those_of_a_proxy_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    behind = Settings(home=tmp_path, allowed_hosts="courtside.example.org")
    for headers in (
        {},
        {"origin": f"http://{HERE}"},
        {"host": "localhost:8501", "origin": "http://localhost:8501"},
        {"host": "courtside.example.org", "origin": "https://courtside.example.org"},
    ):
        for kind in ("http", "websocket"):
            assert answer(monkeypatch, behind, kind=kind, **headers) == [{"type": "inside"}]


def test_only_admitted_users_can_upload_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_login = Settings(home=tmp_path, login=True)
    monkeypatch.setattr(access, "_admitted", set())
    start, body = answer(monkeypatch, with_login, path=UPLOAD)
    assert (start["status"], body["body"].decode()) == (403, access.NOT_LOGGED_IN)
    access._admitted.add("session-1")
    assert answer(monkeypatch, with_login, path=UPLOAD) == [{"type": "inside"}]
    other = UPLOAD.replace("session-1", "session-2")
    assert answer(monkeypatch, with_login, path=other)[0]["status"] == 403
    # without a login nobody has to say who they are
    assert answer(monkeypatch, Settings(home=tmp_path), path=other) == [{"type": "inside"}]


def test_invalid_settings_let_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURTSIDE_WORKERS", "99")
    opened = access.Door(lambda *_: None)
    assert (opened.hosts, opened.asks) == ((), True)


def handshake(port: int, host: str, origin: str | None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("GET", "/_stcore/stream", skip_host=True)
    for name, value in (
        ("Host", host),
        ("Origin", origin),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("Sec-WebSocket-Version", "13"),
    ):
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_running_app_is_protected_by_the_door(tmp_path: Path) -> None:
    """With a rebound name, the page, its WebSocket and its requests share that name."""
    with running(tmp_path, {"COURTSIDE_LOGIN": "true"}) as base:
        port = int(base.rsplit(":", 1)[1])
        own_host = f"127.0.0.1:{port}"
        assert handshake(port, own_host, f"http://{own_host}") == 101
        assert handshake(port, f"evil.example:{port}", f"http://evil.example:{port}") == 403
        assert handshake(port, f"evil.example:{port}", None) == 403
        assert handshake(port, own_host, "http://127.0.0.1:3000") == 403
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        # far less than the announced length: the refusal comes before the rest could
        connection.putrequest("PUT", UPLOAD)
        connection.putheader("Content-Length", "60000000")
        connection.endheaders(b"x")
        refused = connection.getresponse()
        assert (refused.status, refused.read().decode()) == (403, access.NOT_LOGGED_IN)
        connection.close()
