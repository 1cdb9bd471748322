"""Downloads that are kept only if size and SHA-256 match the expected values."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import get_environ_proxies
from urllib3.exceptions import ProtocolError, ReadTimeoutError

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
_LATER = Message("Press Acquire again later, or bring the file as an upload.")


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
    if whole.is_file() and _sha256(whole) == item.sha256:
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
        digest = _sha256(part)
        if digest == item.sha256:
            part.replace(whole)
            return whole
    part.unlink()
    raise DownloadError(
        Message(
            "What {host} sent for {name} is not the file that the project names (SHA-256 "
            "{digest}…, not {expected}…). Nothing was changed. Bring it as an upload.",
            host=_host(url),
            name=item.name,
            digest=digest[:12],
            expected=item.sha256[:12],
        )
    )


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
            raise DownloadError(
                Message(
                    "{host} does not provide {name}: it answers {status}. {later}",
                    host=_host(url),
                    name=item.name,
                    status=answer.status_code,
                    later=_LATER,
                )
            )
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
                    raise DownloadError(
                        Message("{host} is too slow. {later}", host=_host(url), later=_LATER)
                    )
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
            raise DownloadError(
                Message("{host} redirects to an address that is not of the web.", host=_host(url))
            ) from error
        url = target
    raise DownloadError(
        Message(
            "{host} redirects more than {redirects} times. Nothing was changed.",
            host=_host(url),
            redirects=REDIRECTS,
        )
    )


def _refuse_private(url: str) -> None:
    """Refuse an address that is not http(s), or whose host is not on the public network."""
    parts = urlsplit(url)
    port = parts.port or 0  # raises if invalid
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DownloadError(
            Message("A redirect leads to {address}, which is not a web address.", address=url[:80])
        )
    try:
        addresses = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        if get_environ_proxies(url):
            return  # the proxy resolves the name; this machine cannot
        raise requests.ConnectionError(f"no address for {parts.hostname}") from error
    for *_, place in addresses:
        if not _is_public(ipaddress.ip_address(str(place[0]).partition("%")[0])):
            raise DownloadError(
                Message(
                    "A redirect leads to {host}, an address in a private network. It was not "
                    "followed, and nothing was changed.",
                    host=parts.hostname,
                )
            )


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
        return Message(
            "The certificate of {host} cannot be verified. Nothing was changed. {later}",
            host=host,
            later=_LATER,
        )
    # requests reports any error in the middle of a response as a lost connection
    cause = error.args[0] if error.args else None
    if isinstance(error, requests.Timeout) or isinstance(cause, ReadTimeoutError):
        return Message(
            "{host} does not answer in time. The downloaded part is kept. {later}",
            host=host,
            later=_LATER,
        )
    if isinstance(error, requests.HTTPError):
        return Message(
            "{host} is busy: it answers {status}. The downloaded part is kept. {later}",
            host=host,
            status=str(error),
            later=_LATER,
        )
    broken = requests.exceptions.ChunkedEncodingError
    if isinstance(error, broken) or isinstance(cause, ProtocolError) or cause == _EARLY:
        return Message(
            "{host} broke off the download. The downloaded part is kept. {later}",
            host=host,
            later=_LATER,
        )
    return Message(
        "{host} cannot be reached. Is this machine offline? The downloaded part is kept. {later}",
        host=host,
        later=_LATER,
    )


def _wrong_size(url: str, item: Download, size: int) -> Message:
    return Message(
        "{host} offers {size:,} bytes for {name}; the project names {expected:,}. Nothing was "
        "changed. Bring the file as an upload.",
        host=_host(url),
        size=size,
        name=item.name,
        expected=item.size,
    )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url[:80]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
