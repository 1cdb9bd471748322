"""Which requests an endpoint admits: by host, by origin, and by key."""

from __future__ import annotations

import hmac

from starlette.responses import Response

from core.platform import same_site
from core.platform.config import Settings
from core.platform.errors import StoreError
from core.platform.messages import Message
from core.serving import answers, api_keys
from core.serving.http_request import Request
from core.serving.protocol import STATUS_PATH, TOKEN

# Health checks need no key. All else does, including MLflow's own pages.
OPEN = ("/ping", "/health", STATUS_PATH)


class Doors:
    """Admits requests, or refuses them.

    Parameters
    ----------
    token : str
        Of our own processes.
    """

    def __init__(self, settings: Settings, token: str) -> None:
        self.settings = settings
        self._token = token.encode()

    def refusal(self, request: Request) -> Response | None:
        """Return the refusal of a request, None if it is admitted."""
        refused = _not_expected(request) or self._foreign(request)
        if refused is None and request.path not in OPEN:
            refused = self._guard(request)
        return refused

    def is_ours(self, request: Request) -> bool:
        """Return whether one of our own processes sends it."""
        token = request.header(TOKEN)
        # bytes that are not UTF-8 are surrogates
        return token is not None and hmac.compare_digest(
            token.encode("utf-8", "surrogateescape"), self._token
        )

    def needs_key(self) -> bool:
        """Return whether callers need a key; they do while the keys cannot be read."""
        try:
            return api_keys.are_needed(self.settings)
        except StoreError:
            return True

    def _foreign(self, request: Request) -> Response | None:
        """Return the refusal of a request with a foreign host name, or from a foreign page."""
        host, origin = request.header("Host"), request.header("Origin")
        code = same_site.refusal(host, origin, self.settings.hosts)
        return answers.error(403, same_site.sentence(code, host, origin)) if code else None

    def _guard(self, request: Request) -> Response | None:
        """Return the refusal of a request without an accepted key, where keys are needed."""
        if self.is_ours(request):
            return None
        key = request.header("X-Api-Key") or ""
        bearer = request.header("Authorization") or ""
        if bearer[:7].lower() == "bearer ":
            key = key or bearer[7:].strip()
        try:
            if not api_keys.are_needed(self.settings):
                return None
            if key and api_keys.accepts(self.settings, key):
                return None
        except StoreError as error:
            return answers.error(503, error.message)
        needed = Message(
            "A valid API key is needed. Send one created on the Serve page, as `Authorization: "
            "Bearer <key>` or `X-Api-Key: <key>`."
        )
        return answers.error(401, needed, {"WWW-Authenticate": "Bearer"})


def _not_expected(request: Request) -> Response | None:
    """Return the refusal of an expectation other than `100-continue`."""
    if request.scope["http_version"] < "1.1":
        return None
    if (request.header("Expect") or "100-continue").lower() == "100-continue":
        return None
    return answers.error(
        417, Message("The request cannot be read: {reason}.", reason="Expect ≠ 100-continue")
    )
