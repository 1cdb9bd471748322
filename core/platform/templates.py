"""HTML from Jinja2 templates, which lie beside the modules that fill them.

What is put into a template is escaped, unless the template says that it is markup already (`safe`).
A template holds no sentence: texts come from Python, where they are collected and translated.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

CORE = Path(__file__).resolve().parents[1]


def render(name: str, **values: object) -> str:
    """Return a template, filled.

    Parameters
    ----------
    name : str
        Path of the template below `core`, as `monitoring/report.html`.
    **values
        All that it names; one that is missing is an error.
    """
    return _environment().get_template(name).render(values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(CORE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
