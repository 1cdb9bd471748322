"""Workers that are started by themselves: `python -m core worker`, for a home with its projects.

Each project has a worker of its own, which is started here once it has something to do.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Collection

from core.jobs import supervision
from core.platform import projects
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import CourtsideError
from core.runtime import project_homes, supervisor
from core.runtime.fork_server import PRELOAD

CHECK_SECONDS = 5.0
END_SECONDS = 60.0
_log = logging.getLogger("workers")


def work(settings: Settings, only: Collection[str] = ()) -> None:
    """Run the jobs of a home until asked to end; of one project if that is nested.

    Parameters
    ----------
    only : collection of str
        Steps whose jobs are run; all if empty.
    """
    supervisor.prepare()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    own = supervisor.Supervisor(
        settings,
        target="core.runtime.worker:run_step",
        clean_up="core.runtime.worker:clean_up",
        preload=PRELOAD,
        only=only,
        is_standalone=True,
    )
    is_over = threading.Event()
    started: dict[str, subprocess.Popen[bytes]] = {}
    others = threading.Thread(target=_keep_others, args=(settings, only, started, is_over))
    if not settings.is_nested:
        others.start()
    try:
        own.run()
    finally:
        is_over.set()
        if others.is_alive():
            others.join()
        for process in started.values():
            process.terminate()
        for process in started.values():
            process.wait(END_SECONDS)


def _keep_others(
    settings: Settings,
    only: Collection[str],
    started: dict[str, subprocess.Popen[bytes]],
    is_over: threading.Event,
) -> None:
    while not is_over.wait(CHECK_SECONDS):
        for other in projects.homes(settings):
            try:
                process = started.get(other.project)
                is_idle = process is None or process.poll() is not None
                if other != settings and is_idle and project_homes.needs_worker(other):
                    started[other.project] = _start(other, only)
            except (CourtsideError, OSError) as error:
                _log.warning("no worker for %s: %s", other.project, error)


def _start(settings: Settings, only: Collection[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "core", "worker", *(["--only", *only] if only else [])]
    # the answer on standard output is that of the first worker; logs are on standard error
    return subprocess.Popen(
        command, env=supervision.environment(settings), cwd=CODE_ROOT, stdout=subprocess.DEVNULL
    )
