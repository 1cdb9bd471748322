"""Optional code of a project, in addition to its TOML file.

A project that needs more than its file, such as a generator of sample rows or a court to draw on,
has a package of the same name in `core.projects`, which nothing imports by name.

A part is a module of that package:

- `sample` generates rows;
- `court` and `court_map` draw and compute on a half court;
- `documents` adds to the documents, see `core.documents.texts.project_parts`;
- `checklist` checks requirements: `inspect(facts)` returns them, `POINTS` numbers the grader's.

Its words are messages of the one catalogue, like those of all code; texts of the TOML file become
messages by `core.platform.project.words`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

PROJECTS = "core.projects"


def has(project: str, name: str) -> bool:
    """Return whether a project has a part of this name, without importing it.

    Examples
    --------
    >>> has("kobe", "checklist"), has("no-such-project", "checklist")
    (True, False)
    """
    if not project.isidentifier() or find_spec(f"{PROJECTS}.{project}") is None:
        return False
    return find_spec(f"{PROJECTS}.{project}.{name}") is not None


def part(project: str, name: str) -> Any:
    """Return a part of a project; None if it has none of this name.

    Examples
    --------
    >>> part("kobe", "court").__name__
    'core.projects.kobe.court'
    >>> part("no-such-project", "court") is None
    True
    """
    return import_module(f"{PROJECTS}.{project}.{name}") if has(project, name) else None
