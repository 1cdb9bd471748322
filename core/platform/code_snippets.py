"""Code that repeats what a page did: the Python call, and the shell command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from core.platform import steps


def python(step: str, options: Mapping[str, Any], settings: Mapping[str, Any] | None) -> str:
    """Return Python code that runs a step.

    Parameters
    ----------
    options, settings : mapping
        Differences from the defaults, as JSON values. With None, the code reads settings from the
        environment, since some may hold a password.

    Examples
    --------
    >>> print(python("prepare", {"test_share": 0.25}, {"home": "/srv/app"}))
    from core.platform.config import Settings
    from core.data import prepare
    <BLANKLINE>
    settings = Settings(home='/srv/app')
    print(prepare.run(settings, prepare.Options(test_share=0.25)))
    """
    called = f"{step}.Options({_arguments(options)})"
    if len(called) > 60:
        lines = "".join(f"    {name}={_written(value)},\n" for name, value in options.items())
        called = f"{step}.Options(\n{lines})"
    # an uploaded file is read again, relative to where the code runs
    reads = any(_files(value) for value in options.values())
    first = "from pathlib import Path\n\nfrom core.platform import storage\n" if reads else ""
    return (
        f"{first}from core.platform.config import Settings\n"
        f"from core.{steps.named(step).package} import {step}\n\n"
        f"settings = {_settings(settings)}\n"
        f"print({step}.run(settings, {called}))"
    )


def script(imports: str, call: str, settings: Mapping[str, Any] | None) -> str:
    """Return Python code that makes any other call of `core` with the settings.

    Examples
    --------
    >>> print(script("from core.documents import gather", "print(gather.build(settings))", {}))
    from core.platform.config import Settings
    from core.documents import gather
    <BLANKLINE>
    settings = Settings()
    print(gather.build(settings))
    """
    return (
        f"from core.platform.config import Settings\n{imports}\n\n"
        f"settings = {_settings(settings)}\n{call}"
    )


def command(step: str, options: Mapping[str, Any], settings: Mapping[str, Any] | None) -> str:
    r"""Return the shell command that does the same, with settings as variables before it.

    Examples
    --------
    >>> command("prepare", {"test_share": 0.25, "features": ["lat", "lon"]}, {"home": "/srv/app"})
    'COURTSIDE_HOME=/srv/app python -m core prepare --test-share 0.25 --features lat lon'
    >>> command("train", {"blend": True, "params": {"lr": {"C": 2}}}, {})
    'python -m core train --blend --params \'{"lr": {"C": 2}}\''
    """
    given = (settings or {}).items()
    before = [f"COURTSIDE_{name.upper()}={shlex.quote(str(setting))}" for name, setting in given]
    words = [*before, "python", "-m", "core", step]
    for name, value in options.items():
        words += words_of(name, value)
    return " ".join(words)


def words_of(name: str, value: Any) -> list[str]:
    """Return an option as command-line arguments.

    Examples
    --------
    >>> words_of("learn_more", False), words_of("path", "a b")
    (['--no-learn-more'], ['--path', "'a b'"])
    """
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    if names := _files(value):
        return [flag, *(shlex.quote(name) for name in names)]
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return [flag, *(shlex.quote(part) for part in value)]
    if isinstance(value, list | tuple | dict):
        return [flag, shlex.quote(json.dumps(value))]
    if str(value).startswith("-"):  # as a separate argument it would be taken for another option
        return [shlex.quote(f"{flag}={value}")]
    return [flag, shlex.quote(str(value))]


def _arguments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_written(value)}" for name, value in values.items())


def _settings(values: Mapping[str, Any] | None) -> str:
    return "Settings.load()" if values is None else f"Settings({_arguments(values)})"


def _written(value: Any) -> str:
    names = [
        f"storage.stage_upload(settings, {name!r}, Path({name!r}).read_bytes())"
        for name in _files(value)
    ]
    if not names:
        return repr(value)
    return f"[{', '.join(names)}]" if isinstance(value, list | tuple) else names[0]


def _files(value: Any) -> list[str]:
    """Return the names of the uploaded files in an option's value.

    Examples
    --------
    >>> _files({"name": "a.csv", "stored": "0f.csv"}), _files({"name": "a.csv"})
    (['a.csv'], [])
    """
    entries = list(value) if isinstance(value, list | tuple) else [value]
    if all(isinstance(entry, dict) and set(entry) == {"name", "stored"} for entry in entries):
        return [str(entry["name"]) for entry in entries]
    return []
