"""What jobs do in `test_jobs`, called as `core.runtime.worker.run_step` is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.platform.config import Options, Settings
from core.platform.errors import InputError

if TYPE_CHECKING:
    # at run time it brings pandas, which a toy can do without
    from core.platform.run_record import Progress


@dataclass(frozen=True)
class Result:
    run_id: str
    rows: int


def run(settings: Settings, step: str, options: Mapping[str, Any], progress: Progress) -> Any:
    action = options["do"]
    if action == "return":
        return Result("run-1", options.get("rows", 3))
    if action == "refuse":
        raise InputError("The file is empty. Choose another one.")
    if action == "break":
        return {}["missing"]
    if action == "exit":
        os._exit(options["code"])
    if action == "tell":
        for number in range(1, 51):
            progress.update(number / 100, f"part {number}")
        progress.run_started("run-7")
    if action == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        progress.update(0.5, "deaf")
    if action == "family":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        progress.update(0.5, str(child.pid))
    if action == "server":
        command = [sys.executable, "-c", "import time; time.sleep(300)"]
        child = subprocess.Popen(command, start_new_session=True)
        return {"server": child.pid}
    if action == "write":
        import tempfile

        folder = tempfile.mkdtemp()
        progress.update(0.5, folder)
    if action == "note":
        note(settings.home / "notes", f"{options['number']} begins")
        time.sleep(options["seconds"])
        note(settings.home / "notes", f"{options['number']} ends")
        return None
    if action == "track":
        track(settings, step, progress)
    wait_for(settings.home / options.get("until", "never"))
    return None


def note(path: Path, line: str) -> None:
    # one write, at the end of the file: lines of several processes stay whole
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def track(settings: Settings, step: str, progress: Progress) -> None:
    from core.platform import tracking

    with (
        tracking.step_run(settings, step, Options(), progress),
        tracking.child_run(settings, "Treinamento lr", progress),
    ):
        progress.update(0.5, "open")
        time.sleep(300)


def wait_for(path: Path) -> None:
    for _ in range(30_000):
        if path.exists():
            return
        time.sleep(0.01)


def clean_up(environ: Mapping[str, str], job_id: str, outcome: str, reason: str) -> None:
    settings = Settings.load(environ)
    note = settings.home / f"cleaned-{job_id}"
    if (settings.home / f"unclean-{job_id}").exists():
        raise InputError("The store is gone.")
    note.write_text(f"{outcome}: {reason}", encoding="utf-8")
