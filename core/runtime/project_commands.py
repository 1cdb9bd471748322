"""The command `projects`: lists the projects of a home, adds, deletes and restores one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from core.platform import project, projects
from core.platform.config import Settings, needs
from core.platform.errors import InputError, words_of
from core.platform.messages import Message, _
from core.runtime import project_homes


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command; at most one is given."""
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument(
        "--add", type=Path, help=_("create a project from this file"), default=None
    )
    actions.add_argument(
        "--example", help=_("create a home for this built-in project"), default=None
    )
    actions.add_argument("--delete", help=_("move this project into a backup"), default=None)
    actions.add_argument("--restore", help=_("name of the backup to restore"), default=None)
    parser.add_argument("--yes", action="store_true", help=_("required to confirm"))


def run(settings: Settings, given: argparse.Namespace) -> dict[str, Any]:
    """Apply the options, and return the projects of the home.

    Raises
    ------
    CourtsideError
        As the functions of `projects` and `project_homes`.
    """
    done: dict[str, Any] = {}
    if given.add is not None:
        done["added"] = projects.create(settings, _text(given.add)).project
    elif given.example is not None:
        done["added"] = projects.add_example(settings, given.example).project
    elif given.delete is not None:
        if not given.yes:
            raise InputError(Message("{reason!c}.", reason=words_of(needs("--delete", "--yes"))))
        done["backup"] = project_homes.delete(settings.of_project(given.delete), given.delete).name
    elif given.restore is not None:
        done["restored"] = project_homes.restore(settings, given.restore).project
    outer = settings.outer
    return {
        **done,
        "projects": [
            {"name": each.name, "title": each.title, "home": str(each.settings.home)}
            | ({"fault": each.fault} if each.fault else {})
            for each in projects.listed(outer)
        ],
        "examples": list(projects.examples(outer)),
        "deleted": [backup.name for backup in project_homes.deleted(outer)],
    }


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            Message("'{name}' cannot be read: {reason}", name=path, reason=error.strerror)
        ) from error
    project.parse(content, path.name)
    return content.decode()
