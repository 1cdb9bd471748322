"""Rendering of HTML from Jinja2 templates, which are next to the modules that use them.

Values are escaped unless the template marks them as markup (`safe`). Templates contain no
sentences: texts come from Python, and a `Message` is put into the current language.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

CORE = Path(__file__).resolve().parents[1]


def render(name: str, **values: object) -> str:
    """Render a template.

    Parameters
    ----------
    name : str
        Path of the template below `core`, e.g. `monitoring/report.html`.
    **values
        All its variables; a missing one is an error.
    """
    return _environment().get_template(name).render(values)


def environment(folder: Path, **options: Any) -> Environment:
    """Return the environment of the templates in a folder: values escaped, none left undefined.

    Parameters
    ----------
    **options
        More options of Jinja's environment.
    """
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return environment(CORE)
