"""Which requests an endpoint accepts: by host, by origin, by speed, and by size."""

import asyncio
import io
import json
import socket
import time
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from core.platform import bounds, same_site
from core.platform.bounds import FileError
from core.platform.config import Settings
from core.platform.errors import InputError
from core.serving import app as application
from core.serving import http_protocol, http_request, request_bounds
from tests.integration.serving.endpoints import in_process


@pytest.fixture(autouse=True)
def _no_wait_for_a_model(monkeypatch):
    monkeypatch.setattr(application, "WAIT_SECONDS", 0.0)


def served(folder, **settings):
    """An endpoint in this process, without a model."""
    return in_process(application.App(Settings(home=folder / "home", **settings), 1))


def ask(folder, *sent, **settings):
    """Return status and text of each request, given as method, path, headers and body."""
    answers = []
    with served(folder, **settings) as port, requests.Session() as session:
        for method, path, headers, body in sent:
            url = f"http://127.0.0.1:{port}{path}"
            answer = session.request(method, url, headers=headers, data=body, timeout=60)
            answers.append((answer.status_code, answer.text))
    return answers


LABELS = json.dumps({"labels": [{"prediction_id": "a", "label": 1}]}).encode()
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "path", ["/invocations", "/labels", "/metrics", "/.gateway", "/ping", "/x"]
)
def test_no_path_answers_to_a_foreign_host_or_origin(tmp_path, path):
    by_name, by_page, by_nobody = ask(
        tmp_path,
        ("GET", path, {"Host": "evil.example:5001"}, None),
        ("POST", path, {"Origin": "https://evil.example", **JSON}, LABELS),
        ("POST", path, {"Origin": "null", **JSON}, LABELS),
    )
    assert by_name[0] == by_page[0] == by_nobody[0] == 403
    assert "evil.example:5001 may not use this server" in json.loads(by_name[1])["message"]
    assert "https://evil.example may not use" in json.loads(by_page[1])["message"]


def test_labels_are_accepted_as_json_only(tmp_path):
    """A page of another site may send text/plain without asking first."""
    answers = ask(
        tmp_path,
        ("POST", "/labels", {"Content-Type": "text/plain"}, LABELS),
        ("POST", "/labels", {"Content-Type": "application/x-www-form-urlencoded"}, LABELS),
        ("POST", "/labels", {"Content-Type": "application/json; charset=utf-8"}, LABELS),
    )
    assert [status for status, _ in answers] == [415, 415, 200]
    assert "Content-Type: application/json" in json.loads(answers[0][1])["message"]


def test_hosts_of_a_proxy_are_accepted_once_listed(tmp_path):
    page = {"Host": "model.example.org", "Origin": "https://model.example.org", **JSON}
    behind = {"Origin": "https://model.example.org", **JSON}
    both = [("POST", "/labels", headers, LABELS) for headers in (page, behind)]
    assert [status for status, _ in ask(tmp_path / "a", *both)] == [403, 403]
    allowed = ask(tmp_path / "b", *both, allowed_hosts="model.example.org")
    assert [status for status, _ in allowed] == [200, 200]


@pytest.mark.parametrize(
    ("host", "origin", "code"),
    [
        ("127.0.0.1:5001", None, None),
        ("localhost", None, None),
        ("[::1]:5001", "http://[::1]:5001", None),
        ("LOCALHOST:5001", "http://localhost:5001", None),
        ("localhost.:5001", None, None),
        ("a.example", None, None),
        ("a.example:9", None, None),
        ("b.example:9", None, None),
        ("b.example", None, "foreign_host"),
        (None, None, "foreign_host"),
        ("", None, "foreign_host"),
        ("127.0.0.1.evil.example", None, "foreign_host"),
        ("evil@127.0.0.1", None, "foreign_host"),
        ("127.0.0.1:x", None, "foreign_host"),
        ("127.0.0.1:5001", "http://127.0.0.1:3000", "foreign_origin"),
        ("127.0.0.1:5001", "http://localhost:5001", "foreign_origin"),
        ("127.0.0.1:5001", "file://", "foreign_origin"),
        ("127.0.0.1:5001", "https://a.example", None),
    ],
)
def test_which_requests_are_same_site(host, origin, code):
    assert same_site.refusal(host, origin, ("a.example", "b.example:9")) == code


@pytest.mark.parametrize("value", ["https://a.example", "a.example/x", "a b", ","])
def test_a_list_of_names_holds_names(value):
    with pytest.raises(InputError, match=r"use a form like courtside\.example\.org,"):
        Settings.load({"COURTSIDE_ALLOWED_HOSTS": value})


# --- slow connections ---------------------------------------------------------------------------


def test_connections_without_a_complete_request_are_closed(tmp_path, monkeypatch):
    """Some send no head, some half of one, some half a body: none is held for ever."""
    monkeypatch.setattr(http_request, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    half = b"POST /labels HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    body = half + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    status_lines = []

    async def slowly(port):
        loop = asyncio.get_running_loop()
        sent = [b"", b"GET", half, body] * 5
        sockets = [socket.create_connection(("127.0.0.1", port)) for _ in sent]
        for connection, part in zip(sockets, sent, strict=True):
            connection.setblocking(False)
            await loop.sock_sendall(connection, part)

        async def until_closed(connection):
            data = b""
            while block := await loop.sock_recv(connection, 65_536):
                data += block
            status_lines.append(data.split(b"\r\n")[0])
            connection.close()

        # far more time than is needed
        await asyncio.wait_for(asyncio.gather(*map(until_closed, sockets)), 120)

    with served(tmp_path) as port:
        asyncio.run(slowly(port))
    assert sorted(status_lines) == [b""] * 15 + [b"HTTP/1.1 408 Request Timeout"] * 5


def test_a_head_byte_by_byte_does_not_extend_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.5)
    with served(tmp_path) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")

        def drip():
            # each byte comes before the limit, and all of them would take a minute
            for _ in range(600):
                connection.sendall(b"x")
                time.sleep(0.1)

        with pytest.raises(ConnectionError):
            drip()


# --- what grows in memory -----------------------------------------------------------------------


def parquet(table, **options):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


KINDS = (
    "constant columns",
    "one long text",
    "one row of a long list",
    "many columns",
    "empty lists",
    "empty objects",
    "short lines",
)


@cache
def bombs():
    rows = 2_000_000
    constant = pa.table({f"c{i}": pa.array(np.zeros(rows)) for i in range(10)})
    long_text = pa.DictionaryArray.from_arrays(np.zeros(100_000, "int32"), ["x" * 10_000])
    one_row = pa.array([np.zeros(rows)], pa.list_(pa.float64()))
    wide = pa.table({f"c{i}": [1] for i in range(3_000)})
    return {
        "constant columns": (parquet(constant, compression="zstd"), "request_cells"),
        "one long text": (parquet(pa.table({"t": long_text})), "request_text"),
        "one row of a long list": (parquet(pa.table({"l": one_row})), "request_cells"),
        "many columns": (parquet(wide), "request_columns"),
        "empty lists": (b'{"inputs": [' + b"[]," * 1_500_000 + b"[]]}", "request_cells"),
        "empty objects": (b"[" + b"{}," * 1_500_000 + b"{}]", "request_cells"),
        "short lines": (b"a\n" + b"1\n" * 1_500_000, "request_cells"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_that_would_grow_is_refused_before_it_is_parsed(kind):
    body, code = bombs()[kind]
    assert len(body) < 5_000_000
    with pytest.raises(FileError) as caught:
        request_bounds.check(body)
    assert caught.value.code == code


def test_a_bomb_is_refused_with_a_sentence_whatever_its_content_type(tmp_path):
    body, _ = bombs()["constant columns"]
    kinds = ("application/vnd.apache.parquet", "application/x; y=1", "application/json")
    bombs_sent = [("POST", "/invocations", {"Content-Type": kind}, body) for kind in kinds]
    for status, text in ask(tmp_path, *bombs_sent):
        assert status == 413
        assert "20,000,000 values; the limit is 1,000,000" in json.loads(text)["message"]


def test_ordinary_rows_up_to_the_limit_are_accepted():
    frame = pd.DataFrame({f"c{i}": np.arange(100_000) for i in range(8)}).assign(name="abc")
    request_bounds.check(parquet(pa.Table.from_pandas(frame)))
    request_bounds.check(frame.to_csv(index=False).encode())
    request_bounds.check(frame.head(90_000).to_json(orient="split").encode())
    assert bounds.MAX_REQUEST_CELLS == 1_000_000
