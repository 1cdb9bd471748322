"""Downloads that are kept only if size and SHA-256 match the expected values."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import get_environ_proxies

from core.platform import storage
from core.platform.errors import DownloadError
from core.platform.messages import Message
from core.platform.project import Download

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0  # without receiving a byte
WHOLE_SECONDS = 1800.0  # for a server that sends bytes endlessly slowly
TRIES = 3
FIRST_WAIT_SECONDS = 0.5
REDIRECTS = 5
_BLOCK = 1 << 16
# statuses worth a retry: busy, not refused
_BUSY = (408, 429, 500, 502, 503, 504)
_MOVED = (301, 302, 303, 307, 308)
_EARLY = "it ended too early"
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def fetch(
    item: Download,
    folder: Path,
    *,
    mirror: str | None = None,
    on_progress: Callable[[int], None] | None = None,
    connect_seconds: float = CONNECT_SECONDS,
    read_seconds: float = READ_SECONDS,
    first_wait_seconds: float = FIRST_WAIT_SECONDS,
) -> Path:
    """Download a file, verify its size and SHA-256, and return its path.

    An interrupted download resumes where it stopped; if the complete file does not match, it is
    downloaded once more from the beginning. Lost connections are retried.

    Parameters
    ----------
    item : Download
        Address, size in bytes and SHA-256.
    folder : Path
        Target, created if missing; the file is named by its SHA-256.
    mirror : str, optional
        Address of a folder that holds the file under its own name, instead of `item.url`.
    on_progress : callable, optional
        Called repeatedly with the number of bytes received.

    Raises
    ------
    DownloadError
        When there is no network, the server refuses or is too slow or leads to a private address,
        or the received bytes are not the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / f"{item.sha256}{Path(item.name).suffix.lower()}"
    if whole.is_file() and storage.sha256(whole) == item.sha256:
        return whole
    part = folder / f"{item.sha256}.part"
    url = f"{mirror.rstrip('/')}/{item.name}" if mirror else item.url
    report = on_progress or (lambda _: None)
    resumed = part.is_file() and part.stat().st_size > 0
    for fresh in (False, True) if resumed else (True,):
        if fresh:
            part.unlink(missing_ok=True)
        _receive_patiently(
            item, url, part, report, (connect_seconds, read_seconds), first_wait_seconds
        )
        digest = storage.sha256(part)
        if digest == item.sha256:
            part.replace(whole)
            return whole
    part.unlink()
    raise DownloadError(_other_file(url, item, f"SHA-256 {digest[:12]}", f"{item.sha256[:12]}"))


def _receive_patiently(
    item: Download,
    url: str,
    part: Path,
    report: Callable[[int], None],
    timeout: tuple[float, float],
    wait: float,
) -> None:
    deadline = time.monotonic() + WHOLE_SECONDS
    for attempt in range(1, TRIES + 1):
        try:
            with requests.Session() as session:
                _receive(session, item, url, part, report, timeout, deadline)
            return
        except requests.RequestException as error:
            if attempt == TRIES or isinstance(error, requests.exceptions.SSLError):
                raise DownloadError(_why(url, error)) from error
            time.sleep(wait * 2 ** (attempt - 1))


def _receive(
    session: requests.Session,
    item: Download,
    url: str,
    part: Path,
    report: Callable[[int], None],
    timeout: tuple[float, float],
    deadline: float,
) -> None:
    """Append to the partial file until it is complete."""
    have = part.stat().st_size if part.is_file() else 0
    if have >= item.size:
        return
    # a compressed response could not be resumed in the middle
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with _follow(session, url, headers, timeout) as answer:
        if answer.status_code in _BUSY:
            raise requests.HTTPError(f"{answer.status_code}", response=answer)
        taken_up = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(
            f"bytes {have}-"
        )
        if not taken_up and answer.status_code != 200:
            part.unlink(missing_ok=True)
            raise DownloadError(_unreachable(f"{_host(url)} ({answer.status_code})"))
        have = have if taken_up else 0
        offered = answer.headers.get("Content-Length", "")
        if offered.isdigit() and have + int(offered) != item.size:
            raise DownloadError(_wrong_size(url, item, have + int(offered)))
        with part.open("ab" if taken_up else "wb") as file:
            for block in answer.iter_content(_BLOCK):
                have += len(block)
                if have > item.size:
                    break
                if time.monotonic() > deadline:
                    raise DownloadError(_unreachable(_host(url)))
                file.write(block)
                report(have)
    if have > item.size:
        part.unlink()
        raise DownloadError(_wrong_size(url, item, have))
    if have < item.size:
        raise requests.ConnectionError(_EARLY)


def _follow(
    session: requests.Session, url: str, headers: dict[str, str], timeout: tuple[float, float]
) -> requests.Response:
    """Follow all redirects, none of which may lead into a private network."""
    for _ in range(REDIRECTS + 1):
        try:
            answer = session.get(
                url, headers=headers, timeout=timeout, stream=True, allow_redirects=False
            )
            if answer.status_code not in _MOVED:
                return answer
            answer.close()
            target = urljoin(url, answer.headers.get("Location", ""))
            _refuse_private(target)
        except ValueError as error:  # invalid brackets or port; requests parses it as well
            raise DownloadError(_not_followed(url)) from error
        url = target
    raise DownloadError(_unreachable(f"{_host(url)} ({answer.status_code})"))


def _refuse_private(url: str) -> None:
    """Refuse an address that is not http(s), or whose host is not on the public network."""
    parts = urlsplit(url)
    port = parts.port or 0  # raises if invalid
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DownloadError(_not_followed(url))
    try:
        addresses = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        if get_environ_proxies(url):
            return  # the proxy resolves the name; this machine cannot
        raise requests.ConnectionError(f"no address for {parts.hostname}") from error
    for *_, place in addresses:
        if not _is_public(ipaddress.ip_address(str(place[0]).partition("%")[0])):
            raise DownloadError(_not_followed(url))


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        # an IPv4 address embedded in an IPv6 address
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global
        return address.is_global and address.teredo is None
    return address.is_global


def _why(url: str, error: requests.RequestException) -> Message:
    host = _host(url)
    if isinstance(error, requests.exceptions.SSLError):
        return _unreachable(f"{host} (SSL)")
    if isinstance(error, requests.HTTPError):
        return _unreachable(f"{host} ({error})")
    return _unreachable(host)


def _unreachable(host: str) -> Message:
    return Message(
        "{host} cannot be reached, is too slow, or has no valid certificate. Press Acquire again "
        "later, or upload the file.",
        host=host,
    )


def _not_followed(url: str) -> Message:
    return Message(
        "The download was redirected to {address}, which is not a public address on the web. "
        "Nothing was changed.",
        address=url[:80],
    )


def _wrong_size(url: str, item: Download, size: int) -> Message:
    return _other_file(url, item, f"{size:,} B", f"{item.size:,} B")


def _other_file(url: str, item: Download, actual: str, expected: str) -> Message:
    return Message(
        "{host} sent a different {name} than the project expects ({actual}, not "
        "{expected}). Nothing was changed. Upload the file instead.",
        host=_host(url),
        name=item.name,
        actual=actual,
        expected=expected,
    )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url[:80]
