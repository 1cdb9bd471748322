"""Files from the network, here from a small server that follows a script."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.data import download
from core.platform import process
from core.platform.errors import DownloadError
from core.platform.project import Download

BODY = bytes(range(256)) * 1000
NAME = "shots.parquet"


class Stub(ThreadingHTTPServer):
    """Answer each GET with the next item of `plan`, repeat the last, and record the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: list[Any] = ["whole"]
        self.requests: list[tuple[str, str | None]] = []
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def do_GET(self) -> None:
        requested_range = self.headers.get("Range")
        self.server.requests.append((self.path, requested_range))
        plan = self.server.plan
        reply = plan.pop(0) if len(plan) > 1 else plan[0]
        start = int(requested_range.removeprefix("bytes=").rstrip("-")) if requested_range else 0
        if reply == "whole":  # and knows nothing of ranges
            self.head(200, Content_Length=len(BODY))
            self.wfile.write(BODY)
        elif reply in ("range", "broken"):
            rest = BODY[start:]
            self.head(
                206 if start else 200,
                Content_Length=len(rest),
                Content_Range=f"bytes {start}-{len(BODY) - 1}/{len(BODY)}",
            )
            self.wfile.write(rest if reply == "range" else rest[:100_000])
            if reply == "broken":
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
        elif reply == "cut":
            self.head(200, Content_Length=len(BODY))
            self.wfile.write(BODY[:10])
            self.close_connection = True
        elif reply == "other":
            self.head(200, Content_Length=len(BODY))
            self.wfile.write(BODY[::-1])
        elif reply == "endless":
            self.head(200)
            for _ in range(100):
                self.wfile.write(BODY)
            self.close_connection = True
        elif reply == "hang":
            self.head(200, Content_Length=len(BODY))
            self.wfile.write(BODY[:10])
            self.wfile.flush()
            self.server.release.wait(60)
            self.close_connection = True
        elif isinstance(reply, str):  # where to look instead
            self.head(302, Location=reply, Content_Length=0)
        else:
            self.head(reply[0], Content_Length=reply[1])
            self.wfile.write(b"x" * min(reply[1], 100))
            self.close_connection = True


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def fetch(stub: Stub, tmp_path: Path) -> Callable[..., Path]:
    def run(**values: Any) -> Path:
        url = values.pop("url", f"{stub.url}/data/{NAME}")
        item = Download(name=NAME, url=url, size=len(BODY), sha256=hashlib.sha256(BODY).hexdigest())
        quick = {"connect_seconds": 1.0, "read_seconds": 0.3, "first_wait_seconds": 0.001}
        return download.fetch(item, tmp_path / "downloads", **{**quick, **values})

    return run


def test_a_file_is_kept_when_its_size_and_digest_are_right(stub, fetch, tmp_path: Path) -> None:
    progress: list[int] = []
    path = fetch(on_progress=progress.append)
    assert path.read_bytes() == BODY
    assert path.suffix == ".parquet"
    assert progress == sorted(progress)
    assert progress[-1] == len(BODY)
    assert stub.requests == [(f"/data/{NAME}", None)]
    assert fetch() == path
    assert len(stub.requests) == 1


def test_a_broken_download_resumes_where_it_ended(stub, fetch) -> None:
    stub.plan = ["broken", "broken", "range"]
    assert fetch().read_bytes() == BODY
    ranges = [requested_range for _, requested_range in stub.requests]
    # whole blocks of 64 KiB are kept
    assert ranges == [None, "bytes=65536-", "bytes=131072-"]


def test_the_next_attempt_continues_a_failed_download(stub, fetch, tmp_path: Path) -> None:
    stub.plan = ["broken", (503, 10)]
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch()
    (part,) = (tmp_path / "downloads").iterdir()
    size = part.stat().st_size
    assert (part.suffix, size > 0) == (".part", True)
    assert part.read_bytes() == BODY[:size]
    stub.requests.clear()
    stub.plan = ["range"]
    assert fetch().read_bytes() == BODY
    assert stub.requests == [(f"/data/{NAME}", f"bytes={size}-")]


def test_a_server_without_ranges_sends_all_again(stub, fetch) -> None:
    stub.plan = ["broken", "whole"]
    assert fetch().read_bytes() == BODY
    assert stub.requests[1][1] == "bytes=65536-"


def test_a_wrong_part_is_discarded_and_fetched_again(stub, fetch, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    part = folder / f"{hashlib.sha256(BODY).hexdigest()}.part"
    part.write_bytes(b"wrong" * 100)
    stub.plan = ["range"]
    assert fetch().read_bytes() == BODY
    assert [requested_range for _, requested_range in stub.requests] == ["bytes=500-", None]


def test_another_file_is_refused_and_nothing_is_left(stub, fetch, tmp_path: Path) -> None:
    stub.plan = ["other"]
    with pytest.raises(DownloadError, match=r"sent a different .* than the project") as caught:
        fetch()
    assert "Nothing was changed" in str(caught.value)
    assert list((tmp_path / "downloads").iterdir()) == []


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ((200, 2_000_000_000), "2,000,000,000 B, not"),
        ((200, 10), "(10 B, not"),
        ("endless", "B, not"),
        ((404, 10), "(404) cannot be reached"),
        ((403, 10), "(403) cannot be reached"),
        ((503, 10), "127.0.0.1 (503) cannot be reached"),
        ((429, 10), "127.0.0.1 (429) cannot be reached"),
        ("hang", "cannot be reached, is too slow"),
        ("cut", "cannot be reached, is too slow"),
    ],
    ids=["2 GB claim", "too small", "endless", "404", "403", "503", "429", "hang", "cut"],
)
def test_errors_name_the_server_and_the_remedy(stub, fetch, plan: Any, words: str) -> None:
    stub.plan = [plan]
    with pytest.raises(DownloadError) as caught:
        fetch()
    assert words in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert re.search("(upload|Upload) the file", str(caught.value))


def test_a_refusal_is_not_retried_and_a_busy_server_is(stub, fetch) -> None:
    stub.plan = [(404, 10)]
    with pytest.raises(DownloadError):
        fetch()
    assert len(stub.requests) == 1
    stub.plan = [(503, 10), (503, 10), "whole"]
    assert fetch().read_bytes() == BODY


def test_a_slow_drip_ends_at_last(stub, fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WHOLE_SECONDS", -1.0)
    with pytest.raises(DownloadError, match="is too slow"):
        fetch()


def test_an_offline_machine_is_reported(fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DownloadError, match=r"cannot be reached"):
        fetch(url=f"http://127.0.0.1:{process.free_port(21000)}/x")
    with pytest.raises(DownloadError, match=r"nowhere.invalid cannot be reached"):
        fetch(url="http://nowhere.invalid/x")


def test_the_mirror_is_asked_for_the_files_name(stub, fetch) -> None:
    fetch(url="http://nowhere.invalid/x", mirror=f"{stub.url}/mirror/")
    assert stub.requests == [(f"/mirror/{NAME}", None)]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/x",
        "http://localhost/x",
        "http://10.0.0.1/x",
        "http://192.168.1.1/x",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/x",
        "http://0.0.0.0/x",
        "http://[::ffff:10.0.0.1]/x",
        "http://[64:ff9b::7f00:1]/x",
        "http://[2002:7f00:1::]/x",
    ],
)
def test_a_redirect_into_a_private_network_is_not_followed(stub, fetch, address: str) -> None:
    stub.plan = [address]
    start = time.perf_counter()
    with pytest.raises(DownloadError, match="not a public address on the web"):
        fetch()
    assert len(stub.requests) == 1
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "ftp://example.org/x", "gopher://x/", "http://[bad", "http://a:b/"],
)
def test_only_web_addresses_are_followed(stub, fetch, address: str) -> None:
    stub.plan = [address]
    with pytest.raises(DownloadError, match="not a public address on the web"):
        fetch()


def test_a_redirect_to_a_public_address_is_followed(
    stub, fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses: list[str] = []
    monkeypatch.setattr(download, "_refuse_private", addresses.append)
    stub.plan = ["/elsewhere", "whole"]
    assert fetch().read_bytes() == BODY
    assert addresses == [f"{stub.url}/elsewhere"]
    assert [path for path, _ in stub.requests] == [f"/data/{NAME}", "/elsewhere"]


def test_redirects_in_a_circle_end(stub, fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_refuse_private", lambda url: None)
    stub.plan = ["/again"]
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch()
    assert len(stub.requests) == 6


@pytest.mark.parametrize("url", ["ftp://a/b", "file:///a", "http://user:secret@a/b", "a/b", ""])
def test_the_project_file_names_web_addresses_without_a_password(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Download(name=NAME, url=url, size=1, sha256="0" * 64)
