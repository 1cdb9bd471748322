"""The code that a project brings beside its file, if it brings any.

A project is its TOML file. One that has more, such as a generator of sample rows or a court to draw
on, has a package of the same name in `core.projects`, which nobody imports by name.

A part is a module of that package:

- `sample` generates rows;
- `court` and `court_map` draw and compute on a half court;
- `documents` adds to the documents, see `core.documents.texts.project_parts`;
- `checklist` looks up requirements: `look(facts)` returns them, `POINTS` are the grader's.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

PROJECTS = "core.projects"


def has(project: str, name: str) -> bool:
    """Return whether a project's own code has a part of that name, without importing it.

    Examples
    --------
    >>> has("kobe", "checklist"), has("no-such-project", "checklist")
    (True, False)
    """
    if not project.isidentifier() or find_spec(f"{PROJECTS}.{project}") is None:
        return False
    return find_spec(f"{PROJECTS}.{project}.{name}") is not None


def part(project: str, name: str) -> Any:
    """Return a module of a project's own code, None where the project has none of that name.

    Parameters
    ----------
    project : str
        Name of the project.
    name : {"sample", "court", "court_map", "documents", "checklist"}

    Examples
    --------
    >>> part("kobe", "court").__name__
    'core.projects.kobe.court'
    >>> part("no-such-project", "court") is None
    True
    """
    return import_module(f"{PROJECTS}.{project}.{name}") if has(project, name) else None
