"""Projects of a home while they live: their workers, edited, deleted into a backup, restored.

A backup is one zip under `<home>/backups`, with everything of the nested home. The runs stay in the
MLflow store, where experiment and registered model get another name until they are restored.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import uuid
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from core.jobs import chains, jobs, local_cluster, schedules, supervision
from core.platform import (
    mlflow_client,
    model_store,
    permissions,
    privacy,
    project,
    projects,
    state,
    tracking,
)
from core.platform.config import PROJECT_FILE, PROJECTS, Settings, exists, is_project_name
from core.platform.errors import CourtsideError, InputError, JobError, StoreError
from core.platform.messages import Message
from core.serving import endpoint, server, server_process

_log = logging.getLogger(__name__)
FOLDER = "backups"
# what the zip says about itself
ABOUT = "backup.json"
_NAME = re.compile(r"(?P<project>[a-z][a-z0-9_]*)-(?P<stamp>\d{8}T\d{6}Z)\.zip")


@dataclass(frozen=True)
class Deleted:
    """A deleted project: its backup, creation time in seconds since 1970, size in bytes."""

    name: str
    project: str
    made: float
    size: int


def needs_worker(settings: Settings) -> bool:
    """Return whether a project has something to do: a job, a chain, a schedule, a server."""
    if not state.exists(settings):
        return False
    if is_busy(settings):
        return True
    return bool(schedules.schedules(settings) or server.kept(settings))


def is_busy(settings: Settings) -> bool:
    """Return whether a job of the project waits or runs."""
    if not state.exists(settings):
        return False
    chain = chains.current(settings)
    return bool(jobs.active(settings)) or (chain is not None and chain.state == "running")


def keep_workers(settings: Settings) -> None:
    """Keep the worker of every other project of the home that has something to do."""
    for other in projects.homes(settings):
        if other == settings:
            continue
        try:
            if needs_worker(other):
                supervision.keep_supervisor(other)
        except CourtsideError:
            continue  # a damaged state is reported on the project's own pages


def leave(settings: Settings) -> None:
    """Let the workers of the home end when the app does, and log what keeps running."""
    served = []
    with suppress(CourtsideError, OSError):
        for each in projects.homes(settings):
            supervision.leave(each)
            if state.exists(each):
                served += [known for known in server.servers(each) if known.state == "ready"]
    if served:
        _log.warning(
            "%s",
            Message(
                "Still running without the app: {servers}. Stop them on its Serve page.",
                servers=[
                    Message("{name}, port {port}", name=known.name, port=known.port)
                    for known in served
                ],
            ),
        )


def stop_all(settings: Settings) -> None:
    """Stop the servers, the cluster and the worker of a project."""
    for served in server.servers(settings):
        try:
            if served.is_live:
                endpoint.stop(settings)
            else:
                server_process.stop(settings, served.port)
        except CourtsideError:
            continue  # it has ended since
    local_cluster.stop(settings)
    supervision.stop_supervisor(settings)


def edit(settings: Settings, text: str) -> tuple[str, ...]:
    """Replace the file of a project, and return the steps that have to run again.

    Raises
    ------
    JobError
        While a job of the project waits or runs.
    InputError
        As `projects.edit`.
    """
    _require_rest(settings)
    changed = projects.edit(settings, text)
    return tuple(step for step in changed if tracking.last_run(settings, step) is not None)


@permissions.needs("project")
def delete(settings: Settings, confirmed: str) -> Deleted:
    """Move a project into a backup: its home into a zip, its runs and models aside.

    Parameters
    ----------
    confirmed : str
        The project's name, as the person typed it.

    Raises
    ------
    InputError
        If that is another name, or the project is the built-in one.
    JobError
        While a job of the project waits or runs.
    StoreError
        If the home or the MLflow store cannot be written; the project stays then.
    """
    if not settings.is_nested:
        raise InputError(projects.BUILT_IN_STAYS)
    if confirmed != settings.project:
        raise InputError(Message("Type {project} to confirm", project=settings.project))
    _require_rest(settings)
    stop_all(settings)
    state.close(settings)
    stamp, path = _free(settings)
    aside = settings.home.with_name(f".{settings.project}.{uuid.uuid4().hex[:8]}")
    about: dict[str, Any] = {
        "project": settings.project,
        "model": _model(settings),
        "experiment": mlflow_client.experiment_id(settings),
        "stamp": stamp,
    }
    try:
        _pack(settings.home, path, about)
        state.rename(settings, _schema(settings.project, stamp))
        os.rename(settings.home, aside)
        try:
            _set_aside(settings, about)
        except CourtsideError:
            os.rename(aside, settings.home)
            raise
    except (CourtsideError, OSError) as error:
        path.unlink(missing_ok=True)
        state.rename(settings, _schema(settings.project, stamp), back=True)
        if isinstance(error, CourtsideError):
            raise
        raise StoreError(
            Message(
                "{path} cannot be written: {reason}.", path=settings.home, reason=error.strerror
            )
        ) from error
    shutil.rmtree(aside, ignore_errors=True)
    return _deleted(path)


def deleted(settings: Settings) -> tuple[Deleted, ...]:
    """Return the backups of deleted projects, the newest first."""
    paths = (settings.outer_home / FOLDER).glob("*.zip")
    listed = [_deleted(path) for path in paths if _NAME.fullmatch(path.name)]
    return tuple(sorted(listed, key=lambda backup: backup.made, reverse=True))


@permissions.needs("project")
def restore(settings: Settings, backup: str) -> Settings:
    """Restore a deleted project, and return its settings; its backup is removed.

    Raises
    ------
    InputError
        If there is no such backup, or its project or model exists again.
    StoreError
        If it is damaged, or the home or the MLflow store cannot be written; it stays then.
    """
    path = settings.outer_home / FOLDER / backup
    if not _NAME.fullmatch(backup) or not path.is_file():
        raise InputError(Message("'{name}' does not exist.", name=backup))
    about = _about(path)
    name = about["project"]
    if name in projects.names(settings):
        raise InputError(Message("{reason!c}.", reason=exists(name)))
    models = {each.spec.model for each in projects.listed(settings) if each.spec}
    if about["model"] in models:
        reason = projects.model_is_taken(about["model"])
        raise InputError(Message("{where}: {reason}.", where="model", reason=reason))
    folder = settings.outer_home / PROJECTS
    place = folder / f".{name}.{uuid.uuid4().hex[:8]}"
    try:
        place.mkdir(parents=True, mode=0o700)
        _unpack(path, place)
        os.rename(place, folder / name)
    except (OSError, zipfile.BadZipFile) as error:
        shutil.rmtree(place, ignore_errors=True)
        raise _damaged(path, error) from error
    restored = settings.of_project(name)
    try:
        mlflow_client.restore_experiment(restored, about["experiment"])
        if about["model"]:
            model_store.rename_model(restored, _aside(about["model"], about), about["model"])
    except CourtsideError:
        shutil.rmtree(restored.home, ignore_errors=True)
        raise
    state.rename(restored, _schema(name, about["stamp"]), back=True)
    path.unlink()
    return restored


def _require_rest(settings: Settings) -> None:
    if is_busy(settings):
        raise JobError(
            Message("A job is under way. Wait until it is done, or cancel it; then try again.")
        )


def _model(settings: Settings) -> str | None:
    """Return the name of the registered model; None if the file does not say it."""
    try:
        return project.of(settings).model
    except InputError:
        return None


def _aside(name: str, about: dict[str, Any]) -> str:
    return f"{name}.deleted-{about['stamp']}"


def _schema(name: str, stamp: str) -> str:
    """Return the name that the state of a deleted project has in PostgreSQL."""
    return f"{stamp}_{name}".lower()


def _set_aside(settings: Settings, about: dict[str, Any]) -> None:
    """Free the names of experiment and registered model in the MLflow store.

    The nested home has been moved: nothing here may access it, or it would be created again.
    """
    if about["model"]:
        model_store.rename_model(settings, about["model"], _aside(about["model"], about))
    mlflow_client.archive_experiment(settings, about["experiment"], _aside(settings.project, about))


def _free(settings: Settings) -> tuple[str, Path]:
    """Return a stamp, and the path of a backup that does not exist yet."""
    folder = settings.outer_home / FOLDER
    moment = datetime.now(UTC).timestamp()
    while True:
        stamp = f"{datetime.fromtimestamp(moment, UTC):%Y%m%dT%H%M%SZ}"
        path = folder / f"{settings.project}-{stamp}.zip"
        if not path.exists():
            return stamp, path
        moment += 1


def _pack(home: Path, path: Path, about: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with (
            open(temporary, "xb", opener=privacy.opener) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed,
        ):
            packed.writestr(ABOUT, json.dumps(about))
            for each in sorted(home.rglob("*")):
                if each.is_dir() or each.is_symlink() or not each.is_file():
                    continue
                packed.write(each, f"home/{each.relative_to(home).as_posix()}")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _unpack(path: Path, place: Path) -> None:
    with zipfile.ZipFile(path) as packed:
        for entry in packed.infolist():
            parts = PurePosixPath(entry.filename).parts
            if parts[:1] != ("home",) or entry.is_dir():
                continue
            if ".." in parts:
                raise zipfile.BadZipFile(entry.filename)
            target = place.joinpath(*parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with packed.open(entry) as source, open(target, "xb", opener=privacy.opener) as file:
                shutil.copyfileobj(source, file)
    if not (place / PROJECT_FILE).is_file():
        raise zipfile.BadZipFile(PROJECT_FILE)


def _about(path: Path) -> dict[str, Any]:
    """Return what a backup says about itself.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            about: dict[str, Any] = json.loads(packed.read(ABOUT))
        is_whole = is_project_name(about["project"]) and {"model", "experiment", "stamp"} <= {
            *about
        }
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    if not is_whole:
        raise _damaged(path, KeyError(ABOUT))
    return about


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(Message("{name} cannot be used: {reason}", name=path.name, reason=error))


def _deleted(path: Path) -> Deleted:
    parts = _NAME.fullmatch(path.name)
    assert parts is not None
    made = datetime.strptime(parts["stamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    return Deleted(path.name, parts["project"], made, path.stat().st_size)
