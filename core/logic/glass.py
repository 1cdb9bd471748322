"""What a page did, as code: the call of `core` in Python, and the command for a shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any


def python(step: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Return Python that runs a step as it stands.

    Parameters
    ----------
    step : str
        A module of `core.steps`.
    options, settings : mapping
        What differs from the defaults, as JSON values.

    Examples
    --------
    >>> print(python("prepare", {"test_share": 0.25}, {"home": "/srv/app"}))
    from core.config import Settings
    from core.steps import prepare
    <BLANKLINE>
    settings = Settings(home='/srv/app')
    print(prepare.run(settings, prepare.Options(test_share=0.25)))
    """
    given = _arguments(options)
    called = f"{step}.Options({given})"
    if len(called) > 60:
        lines = "".join(f"    {name}={value!r},\n" for name, value in options.items())
        called = f"{step}.Options(\n{lines})"
    return (
        f"from core.config import Settings\nfrom core.steps import {step}\n\n"
        f"settings = Settings({_arguments(settings)})\n"
        f"print({step}.run(settings, {called}))"
    )


def script(imports: str, call: str, settings: Mapping[str, Any]) -> str:
    """Return Python that calls something else of `core` with the settings.

    Examples
    --------
    >>> print(script("from core.steps import documents", "print(documents.make(settings))", {}))
    from core.config import Settings
    from core.steps import documents
    <BLANKLINE>
    settings = Settings()
    print(documents.make(settings))
    """
    return (
        f"from core.config import Settings\n{imports}\n\n"
        f"settings = Settings({_arguments(settings)})\n{call}"
    )


def command(step: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    r"""Return the line for a shell that does the same; settings stand before it as variables.

    Examples
    --------
    >>> command("prepare", {"test_share": 0.25, "features": ["lat", "lon"]}, {"home": "/srv/app"})
    'COURTSIDE_HOME=/srv/app python -m core prepare --test-share 0.25 --features lat lon'
    >>> command("train", {"blend": True, "params": {"lr": {"C": 2}}}, {})
    'python -m core train --blend --params \'{"lr": {"C": 2}}\''
    """
    before = [f"COURTSIDE_{name.upper()}={shlex.quote(str(one))}" for name, one in settings.items()]
    words = [*before, "python", "-m", "core", step]
    for name, value in options.items():
        words += words_of(name, value)
    return " ".join(words)


def words_of(name: str, value: Any) -> list[str]:
    """Return an option as the words of a command line.

    Examples
    --------
    >>> words_of("learn_more", False), words_of("path", "a b")
    (['--no-learn-more'], ['--path', "'a b'"])
    """
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return [flag, *(shlex.quote(one) for one in value)]
    if isinstance(value, list | tuple | dict):
        return [flag, shlex.quote(json.dumps(value))]
    return [flag, shlex.quote(str(value))]


def _arguments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
