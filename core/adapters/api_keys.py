"""Keys of the served models' callers, kept as digests; and the token of our own processes."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from core.config import Settings
from core.errors import InputError, StoreError

NAME_LENGTH = 60
# so that a key is known for what it is where it should not be, in a repository for example
MARK = "courtside_"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept: it cannot be had from this.

    Parameters
    ----------
    key_id : str
        8 hex digits; names it for `revoke`.
    name : str
        Whose it is, in the person's words.
    created : float
        Seconds since 1970.
    sha256 : str
        Of the key. It has 256 random bits, so it needs no slow hash against guessing.
    """

    key_id: str
    name: str
    created: float
    sha256: str


def create(settings: Settings, name: str) -> str:
    """Make a key and return it; it is told this once and never again.

    Raises
    ------
    InputError
        When the name is empty, too long or taken.
    StoreError
        When the file of the keys cannot be read or written.
    """
    name = " ".join(name.split())
    if not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise InputError(
            f"Give the key a name of 1 to {NAME_LENGTH} letters: who will call with it."
        )
    key = MARK + secrets.token_urlsafe(32)
    made = ApiKey(uuid.uuid4().hex[:8], name, time.time(), _digest(key))

    def with_it(kept: list[ApiKey]) -> list[ApiKey]:
        if any(one.name == name for one in kept):
            raise InputError(f"There is a key named '{name}'. Revoke it, or use another name.")
        return [*kept, made]

    _change(settings, with_it)
    return key


def listed(settings: Settings) -> list[ApiKey]:
    """Return the keys that are accepted, the oldest first.

    Raises
    ------
    StoreError
        When the file of the keys cannot be read: nobody is let in then.
    """
    path = _path(settings)
    try:
        return [ApiKey(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"The API keys in {path.name} cannot be read, so no call is accepted. Put the file "
            "right, or delete it and make new keys."
        ) from error


def revoke(settings: Settings, key_id: str) -> None:
    """Accept this key no longer; does nothing when there is none of this id."""
    _change(settings, lambda kept: [one for one in kept if one.key_id != key_id])


def accepts(settings: Settings, key: str) -> bool:
    """Tell whether this key may call; the time it takes tells nothing of the keys."""
    digest = _digest(key)
    found = [hmac.compare_digest(digest, one.sha256) for one in listed(settings)]
    return any(found)


def stamp(settings: Settings) -> tuple[int, int, int] | None:
    """Return what changes whenever the keys do, None where there are none."""
    try:
        found = os.stat(_path(settings))
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def internal_token(settings: Settings) -> str:
    """Return the token by which our own processes know each other; made at the first call."""
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


def _change(settings: Settings, how: Callable[[list[ApiKey]], list[ApiKey]]) -> None:
    path = _path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock"), timeout=30):
        kept = how(listed(settings))
        if kept:
            _write(path, json.dumps([asdict(one) for one in kept], indent=1))
        else:
            path.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with open(temporary, "x", encoding="utf-8", opener=_private) as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(f"{path.name} cannot be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _path(settings: Settings) -> Path:
    return settings.state_dir / "api_keys.json"
