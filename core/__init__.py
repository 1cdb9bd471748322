"""Courtside without its pages: the life cycle of a classifier as a library.

These names are imported on first use, so that `import core` itself takes no time.
Errors are `CourtsideError`, with a sentence for a person as their `message`; the names of runs,
tags and figures are in docs/reference.md.

Examples
--------
>>> import core
>>> settings = core.Settings(home="/srv/courtside")
>>> core.load_project(settings).target
'shot_made_flag'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.platform.config import Settings as Settings
    from core.platform.errors import CourtsideError as CourtsideError
    from core.platform.project import ProjectSpec
    from core.platform.run_record import Progress

__all__ = ["CourtsideError", "Settings", "last_report", "load_project", "run"]

_LAZY = {"Settings": "core.platform.config", "CourtsideError": "core.platform.errors"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_project(settings: Settings) -> ProjectSpec:
    """Return the project of these settings: its target, columns, rows and features.

    Raises
    ------
    InputError
        When there is no such project, or its file cannot be used.
    """
    from core.platform import project

    return project.of(settings)


def run(
    settings: Settings, step: str, /, *, progress: Progress | None = None, **options: Any
) -> Any:
    """Run a step of the life cycle in this process, and return its `Result`.

    It is one named MLflow run in the store of these settings, as by a page or a command.

    Parameters
    ----------
    settings : Settings
        Where everything lives; `Settings.load()` reads them from the environment.
    step : str
        A name of `core.platform.steps.STEPS`, such as `prepare`.
    progress : Progress, optional
        Receives how far the step is, and the id of its run.
    **options
        Fields of the step's `Options`.

    Raises
    ------
    InputError
        When there is no such step, or it does not take these options.
    NotReadyError
        When a step before it has to be run first.

    Examples
    --------
    >>> import core
    >>> core.run(core.Settings(home="/srv/courtside"), "prepare", test_share=2)
    Traceback (most recent call last):
    core.platform.errors.InputError: test_share: ...
    """
    from core.jobs import jobs
    from core.platform import privacy
    from core.platform.run_record import SILENT
    from core.runtime import worker

    jobs.require_step(step)
    with privacy.umask(privacy.MASK):
        return worker.run_step(settings, step, options, progress or SILENT)


def last_report(settings: Settings) -> dict[str, Any] | None:
    """Return the newest report of monitoring as the step wrote it, None when there is none.

    Its `conclusion` holds `code`, `title`, `text` and `todo`, its `checks` a mapping for each.
    """
    from core.platform import tracking

    newest = tracking.last_run(settings, "monitor")
    return None if newest is None else tracking.document(settings, newest.run_id, "report")
