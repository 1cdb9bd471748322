"""Access control before any page runs: same site only, and uploads only from admitted users.

Streamlit accepts a WebSocket under any host name as the app's own, and files from every visitor,
even on the log-in page. This runs before it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.platform import same_site
from core.platform.config import Settings
from core.platform.errors import CourtsideError

UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/")
NOT_LOGGED_IN = "Log in first: files are taken from people who are known here."

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# sessions whose user was admitted by the last run of a page
_admitted: set[str] = set()


class Door:
    """ASGI middleware that checks who is calling."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app
        try:
            settings = Settings.load()
            self.hosts, self.asks = settings.hosts, settings.login
        except CourtsideError:
            # pages report invalid settings, and do nothing else
            self.hosts, self.asks = (), True

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Forward a request, or refuse it before any of its body is read."""
        if scope["type"] in ("http", "websocket") and (reason := self._refusal(scope)):
            await _refuse(scope, send, reason)
        else:
            await self.app(scope, receive, send)

    def _refusal(self, scope: Message) -> str | None:
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == b"host"]
        host = hosts[0] if len(hosts) == 1 else None
        origin = next((value for name, value in headers if name == b"origin"), None)
        if code := same_site.refusal(host, origin, self.hosts):
            return str(same_site.sentence(code, host, origin))
        upload = UPLOAD.search(scope["path"])
        if self.asks and upload and scope["method"] != "OPTIONS" and upload[1] not in _admitted:
            return NOT_LOGGED_IN
        return None


def admit(is_known: bool) -> None:
    """Allow or forbid uploads for the session of this run from now on."""
    if (context := get_script_run_ctx()) is None:
        return
    if is_known:
        _admitted.add(context.session_id)
    else:
        _admitted.discard(context.session_id)


async def _refuse(scope: Message, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        # closed before it is accepted: the browser gets status 403
        await send({"type": "websocket.close", "code": 1008, "reason": reason[:120]})
        return
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": 403, "headers": [kind]})
    await send({"type": "http.response.body", "body": reason.encode()})
