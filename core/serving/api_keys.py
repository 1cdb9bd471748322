"""API keys of callers, stored as digests, and the token of the app's own processes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sql
from filelock import FileLock

from core.platform import permissions, privacy, state
from core.platform.config import Settings, exists
from core.platform.errors import InputError, StoreError
from core.platform.messages import Message

NAME_LENGTH = 60
_table = sql.Table(
    "api_keys",
    state.TABLES,
    sql.Column("key_id", sql.String, primary_key=True),
    sql.Column("name", sql.String, nullable=False, unique=True),
    sql.Column("created", sql.Float, nullable=False),
    sql.Column("sha256", sql.String, nullable=False),
)
# by database: the version of the state, and the keys at that version
_read: dict[Path, tuple[tuple[int, int], list[ApiKey]]] = {}
# makes a leaked key recognizable, for example in a repository
MARK = "courtside_"


@dataclass(frozen=True)
class ApiKey:
    """A stored key, from which the key itself cannot be recovered.

    Parameters
    ----------
    key_id : str
        8 hex digits; identifies it for `revoke`.
    name : str
        The owner, in free text.
    created : float
        Seconds since 1970.
    sha256 : str
        Of the key. It has 256 random bits, so it needs no slow hash against guessing.
    """

    key_id: str
    name: str
    created: float
    sha256: str


@permissions.needs("api_key")
def create(settings: Settings, name: str) -> str:
    """Create a key and return it; it cannot be shown again.

    Raises
    ------
    InputError
        When the name is empty, too long or taken.
    StoreError
        When the keys cannot be read or written.
    """
    name = " ".join(name.split())
    if not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise InputError(Message("Enter a name of 1 to {most} characters.", most=NAME_LENGTH))
    key = MARK + secrets.token_urlsafe(32)
    new_key = ApiKey(uuid.uuid4().hex[:8], name, time.time(), _digest(key))

    with state.transaction(settings) as connection:
        if connection.execute(sql.select(_table).where(_table.c.name == name)).first():
            raise InputError(Message("{reason!c}.", reason=exists(name)))
        connection.execute(sql.insert(_table).values(asdict(new_key)))
    return key


def listed(settings: Settings) -> list[ApiKey]:
    """Return the accepted keys, the oldest first."""
    with state.reading(settings) as connection:
        rows = connection.execute(sql.select(_table).order_by(_table.c.created))
        return [ApiKey(**row._mapping) for row in rows]


@permissions.needs("api_key")
def revoke(settings: Settings, key_id: str) -> None:
    """Revoke a key; does nothing when none has this id."""
    with state.transaction(settings) as connection:
        connection.execute(sql.delete(_table).where(_table.c.key_id == key_id))


def are_needed(settings: Settings) -> bool:
    """Return whether calls need a key, which is the case once a key exists.

    Raises
    ------
    StoreError
        When the keys cannot be read: nobody is let in then.
    """
    return bool(_known(settings))


def accepts(settings: Settings, key: str) -> bool:
    """Return whether this key may call, in constant time.

    Raises
    ------
    StoreError
        As for `are_needed`.
    """
    digest = _digest(key)
    matches = [hmac.compare_digest(digest, known.sha256) for known in _known(settings)]
    return any(matches)


def _known(settings: Settings) -> list[ApiKey]:
    """Return the keys, reread only after the state has changed: every call needs them."""
    place = state.path(settings)
    try:
        version = state.version(settings)
        if place not in _read or _read[place][0] != version:
            _read[place] = version, listed(settings)
    except StoreError as error:
        if place in _read:
            # what cannot be read cannot have been changed either
            return _read[place][1]
        # without the path in the original message: callers see this
        raise StoreError(
            Message(
                "The API keys cannot be read, so no call is accepted. Repair state.db, or move "
                "it away and create new keys."
            )
        ) from error
    return _read[place][1]


def internal_token(settings: Settings) -> str:
    """Return the token that authenticates the app's own processes; created at the first call."""
    path = settings.state_dir / "gateway.token"
    with suppress(FileNotFoundError):
        if token := path.read_text(encoding="ascii").strip():
            return token
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock"), timeout=30):
        with suppress(FileNotFoundError):
            if token := path.read_text(encoding="ascii").strip():
                return token
        token = secrets.token_urlsafe(32)
        _write(path, token)
    return token


def _write(path: Path, text: str) -> None:
    """Write a file that only this user can read, atomically."""
    try:
        privacy.replace(path, text.encode())
    except OSError as error:
        raise StoreError(
            Message("{path} cannot be written: {reason}.", path=path.name, reason=error.strerror)
        ) from error


def _digest(key: str) -> str:
    # header bytes that are not UTF-8 arrive as surrogates
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
