"""Whom a gateway hears at all: by which name, from which page, how fast, and how much."""

import asyncio
import io
import json
import socket
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import test_utils

from core.platform import bounds, same_site
from core.platform.bounds import FileError
from core.platform.config import Settings
from core.platform.errors import InputError
from core.serving import gateway, request_bounds
from tests.integration.serving.gateways import Standing, free_port


@pytest.fixture(autouse=True)
def _nobody_ends_it(monkeypatch):
    # it would take itself for an orphan, since it is not kept, and end this process
    monkeypatch.setattr(gateway, "ORPHAN_SECONDS", 1e9)


def served(folder, **settings):
    """A gateway in this process, with no model behind it."""
    own = Standing(Settings(home=folder / "home", **settings), free_port(), 0)
    return test_utils.TestServer(gateway.application(own.settings, own.port))


def ask(folder, *requests, **settings):
    """The status and the sentence of each request, given as method, path, headers and body."""

    async def all_of_them():
        found = []
        async with test_utils.TestClient(served(folder, **settings)) as client:
            for method, path, headers, body in requests:
                async with client.request(method, path, headers=headers, data=body) as answer:
                    found.append((answer.status, await answer.text()))
        return found

    return asyncio.run(all_of_them())


LABELS = json.dumps({"labels": [{"prediction_id": "a", "label": 1}]}).encode()
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "path", ["/invocations", "/labels", "/metrics", "/.gateway", "/ping", "/x"]
)
def test_no_path_answers_to_a_foreign_name_or_page(tmp_path, path, monkeypatch):
    monkeypatch.setattr(gateway, "RETRY_SECONDS", 0.0)
    by_name, by_page, by_nobody = ask(
        tmp_path,
        ("GET", path, {"Host": "evil.example:5001"}, None),
        ("POST", path, {"Origin": "https://evil.example", **JSON}, LABELS),
        ("POST", path, {"Origin": "null", **JSON}, LABELS),
    )
    assert by_name[0] == by_page[0] == by_nobody[0] == 403
    assert "is not called evil.example:5001" in json.loads(by_name[1])["message"]
    assert "Pages of https://evil.example may not use" in json.loads(by_page[1])["message"]


def test_labels_are_taken_as_json_alone_and_nothing_else_is_kept(tmp_path):
    """A page of another site may send text/plain without asking first."""
    answers = ask(
        tmp_path,
        ("POST", "/labels", {"Content-Type": "text/plain"}, LABELS),
        ("POST", "/labels", {"Content-Type": "application/x-www-form-urlencoded"}, LABELS),
        ("POST", "/labels", {"Content-Type": "application/json; charset=utf-8"}, LABELS),
    )
    assert [status for status, _ in answers] == [415, 415, 200]
    assert "Content-Type: application/json" in json.loads(answers[0][1])["message"]


def test_names_of_a_proxy_are_taken_once_they_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(gateway, "RETRY_SECONDS", 0.0)
    page = {"Host": "model.example.org", "Origin": "https://model.example.org", **JSON}
    behind = {"Origin": "https://model.example.org", **JSON}
    asked = [("POST", "/labels", headers, LABELS) for headers in (page, behind)]
    assert [status for status, _ in ask(tmp_path / "a", *asked)] == [403, 403]
    known = ask(tmp_path / "b", *asked, allowed_hosts="model.example.org")
    assert [status for status, _ in known] == [200, 200]


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
def test_who_is_of_this_site(host, origin, code):
    assert same_site.refusal(host, origin, ("a.example", "b.example:9")) == code


@pytest.mark.parametrize("value", ["https://a.example", "a.example/x", "a b", ","])
def test_a_list_of_names_holds_names(value):
    with pytest.raises(InputError, match="names have commas between"):
        Settings.load({"COURTSIDE_ALLOWED_HOSTS": value})


# --- slow connections ---------------------------------------------------------------------------


def test_connections_that_say_nothing_whole_are_closed(tmp_path, monkeypatch):
    """Some send no head, some half of one, some half a body: none is held for ever."""
    monkeypatch.setattr(gateway, "BODY_SECONDS", 0.2)
    half = b"POST /labels HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    body = half + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    told = []

    async def slowly():
        server = served(tmp_path)
        await server.start_server(keepalive_timeout=0.2, lingering_time=0.2)
        loop = asyncio.get_running_loop()
        sent = [b"", b"GET", half, body] * 5
        sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in sent]
        for one, start in zip(sockets, sent, strict=True):
            one.setblocking(False)
            await loop.sock_sendall(one, start)

        async def until_closed(one):
            found = b""
            while block := await loop.sock_recv(one, 65_536):
                found += block
            told.append(found.split(b"\r\n")[0])
            one.close()

        # far more than is needed: it is the end that is waited for
        await asyncio.wait_for(asyncio.gather(*map(until_closed, sockets)), 120)
        await server.close()

    asyncio.run(slowly())
    assert sorted(told) == [b""] * 15 + [b"HTTP/1.1 408 Request Timeout"] * 5


def test_the_time_that_a_head_may_take_is_given_to_the_server(tmp_path, monkeypatch):
    from aiohttp import web

    given = {}
    monkeypatch.setattr(web, "run_app", lambda app, **options: given.update(options))
    gateway.run(Settings(home=tmp_path), free_port())
    assert given["keepalive_timeout"] == gateway.HEAD_SECONDS


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
def test_what_would_grow_is_refused_before_it_is_parsed(kind):
    body, code = bombs()[kind]
    assert len(body) < 5_000_000
    with pytest.raises(FileError) as caught:
        request_bounds.check(body)
    assert caught.value.code == code


def test_a_bomb_is_answered_with_a_sentence_whatever_it_says_it_is(tmp_path):
    body, _ = bombs()["constant columns"]
    kinds = ("application/vnd.apache.parquet", "application/x; y=1", "application/json")
    asked = [("POST", "/invocations", {"Content-Type": kind}, body) for kind in kinds]
    for status, text in ask(tmp_path, *asked):
        assert status == 413
        assert "holds 20,000,000 values; at most 1,000,000 are taken" in json.loads(text)["message"]


def test_ordinary_rows_up_to_the_limit_are_taken():
    frame = pd.DataFrame({f"c{i}": np.arange(100_000) for i in range(8)}).assign(name="abc")
    request_bounds.check(parquet(pa.Table.from_pandas(frame)))
    request_bounds.check(frame.to_csv(index=False).encode())
    request_bounds.check(frame.head(90_000).to_json(orient="split").encode())
    assert bounds.MAX_REQUEST_CELLS == 1_000_000
