"""A provider of log-ins (OpenID Connect) on this machine, which knows two people."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import secrets
import threading
import time
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, CLIENT_SECRET = "courtside", "a-secret-of-the-client-that-no-page-shows"
PEOPLE = {
    "ana": {"sub": "1", "email": "ana@example.org", "email_verified": True, "name": "Ana"},
    "eve": {"sub": "2", "email": "eve@example.org", "email_verified": True, "name": "Eve"},
}


class Provider:
    """Answer on a free port until closed; the log-in page has a link for each person."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.codes: dict[str, dict[str, str]] = {}
        self.failures: list[str] = []
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                at = urlsplit(self.path)
                provider.get(self, at.path, {k: v[0] for k, v in parse_qs(at.query).items()})

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                fields = parse_qs(self.rfile.read(length).decode())
                provider.token(self, {k: v[0] for k, v in fields.items()})

            def log_message(self, *_: object) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def secrets(self) -> str:
        """Return the app's `secrets.toml`; Streamlit puts its own port in."""
        return (
            "[auth]\n"
            'redirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            f'cookie_secret = "{secrets.token_hex(32)}"\n'
            f'client_id = "{CLIENT}"\n'
            f'client_secret = "{CLIENT_SECRET}"\n'
            f'server_metadata_url = "{self.url}/.well-known/openid-configuration"\n'
        )

    def get(self, to: http.server.BaseHTTPRequestHandler, path: str, query: dict[str, str]) -> None:
        if path == "/.well-known/openid-configuration":
            answer(
                to,
                {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/jwks",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                    "code_challenge_methods_supported": ["S256"],
                },
            )
        elif path == "/jwks":
            answer(to, {"keys": [self.key.as_dict(private=False)]})
        elif path == "/authorize":
            links = "".join(
                f'<p><a href="/enter?{urlencode({**query, "as": person})}">{person}</a></p>'
                for person in PEOPLE
            )
            page(to, f"<h1>Who are you?</h1>{links}")
        elif path == "/enter":
            code = secrets.token_urlsafe(16)
            self.codes[code] = query
            back = urlencode({"code": code, "state": query["state"]})
            to.send_response(302)
            to.send_header("Location", f"{query['redirect_uri']}?{back}")
            to.end_headers()
        else:
            to.send_error(404)

    def token(self, to: http.server.BaseHTTPRequestHandler, fields: dict[str, str]) -> None:
        grant = self.codes.pop(fields["code"])
        digest = hashlib.sha256(fields["code_verifier"].encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        expected = f"Basic {base64.b64encode(f'{CLIENT}:{CLIENT_SECRET}'.encode()).decode()}"
        if proof != grant["code_challenge"] or to.headers.get("Authorization") != expected:
            self.failures.append("the client did not prove who it is")
            to.send_error(400)
            return
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 600,
            "nonce": grant["nonce"],
            **PEOPLE[grant["as"]],
        }
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
        answer(to, {"access_token": "x", "token_type": "Bearer", "id_token": signed})


def answer(to: http.server.BaseHTTPRequestHandler, content: object) -> None:
    body = json.dumps(content).encode()
    to.send_response(200)
    to.send_header("Content-Type", "application/json")
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    to.wfile.write(body)


def page(to: http.server.BaseHTTPRequestHandler, content: str) -> None:
    to.send_response(200)
    to.send_header("Content-Type", "text/html; charset=utf-8")
    to.end_headers()
    to.wfile.write(content.encode())
