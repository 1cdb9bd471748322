"""Protection of local servers against requests from foreign pages and hosts.

Any web page can send requests to 127.0.0.1, and any host name can be made to resolve to it. The
headers `Origin` and `Host` reveal both.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from core.platform.messages import Message

LOCAL = ("127.0.0.1", "localhost", "::1")
_NOT_ALLOWED = Message(
    "{host} may not use this server. Use 127.0.0.1 or localhost, or add the name to "
    "COURTSIDE_ALLOWED_HOSTS."
)
SENTENCES = {"foreign_host": _NOT_ALLOWED, "foreign_origin": _NOT_ALLOWED}


def refusal(host: str | None, origin: str | None, allowed: Collection[str]) -> str | None:
    """Return the code of why a request is refused; None if it is accepted.

    Parameters
    ----------
    host, origin : str or None
        The headers of the request.
    allowed : collection of str
        Further allowed names, with or without a port.

    Examples
    --------
    >>> refusal("127.0.0.1:5001", None, ()), refusal("evil.example:5001", None, ())
    (None, 'foreign_host')
    >>> refusal("localhost:5001", "http://localhost:3000", ())
    'foreign_origin'
    >>> refusal("127.0.0.1:5001", "https://model.example.org", ("model.example.org",))
    """
    called = _place(host)
    if called is None or not _is_known(called, (*LOCAL, *allowed)):
        return "foreign_host"
    if origin is None:
        # no browser, or the server's own page
        return None
    page = _place(origin.partition("://")[2])
    # pages of other programs on this machine are foreign too
    if page is None or not (page == called or _is_known(page, allowed)):
        return "foreign_origin"
    return None


def sentence(code: str, host: str | None, origin: str | None) -> Message:
    """Return the reason for a refusal in words.

    Examples
    --------
    >>> str(sentence("foreign_origin", "127.0.0.1:5001", "https://evil.example"))[:44]
    'https://evil.example may not use this server'
    """
    shown = {"host": ((origin if code == "foreign_origin" else host) or "?")[:80]}
    return Message(SENTENCES[code].msgid, **shown)


def _place(text: str | None) -> tuple[str, int | None] | None:
    """Return host and port; None if the text is neither."""
    if not text or any(sign in text for sign in "@/?#\\ "):
        return None
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        return None
    name = (parts.hostname or "").rstrip(".")
    return (name, port) if name else None


def _is_known(place: tuple[str, int | None], names: Collection[str]) -> bool:
    known = [
        _place(f"[{name}]" if name.count(":") > 1 and name[0] != "[" else name) for name in names
    ]
    return any(
        address is not None and address[0] == place[0] and address[1] in (None, place[1])
        for address in known
    )
