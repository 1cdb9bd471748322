"""What a step left, compared with what `core.platform.steps` says that it leaves."""

from __future__ import annotations

from fnmatch import fnmatch

from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.steps import EVERY_RUN, named


def artifacts_of(settings: Settings, step: str) -> dict[str, set[str]]:
    """Return the artifacts of a step's last run, by the room where they are."""
    run = tracking.last_run(settings, step)
    assert run is not None, step
    children = tracking.runs(settings, parent=run.run_id, status="FINISHED")
    home = settings.home
    aliases = ("champion", "challenger")
    model = project.load(settings.project).model
    return {
        "home": {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()},
        "run": set(tracking.artifacts(settings, run.run_id)),
        "candidate": {
            path
            for child in children
            if "model" in child.params
            for path in tracking.artifacts(settings, child.run_id)
        },
        "model": {
            path.relative_to(folder).as_posix()
            for folder in (home / "mlruns" / "models").glob("*/artifacts")
            for path in folder.rglob("*")
        },
        "registry": {
            f"@{alias}"
            for alias in aliases
            if model_store.find_version(settings, model, alias) is not None
        },
    }


def missing_artifacts(
    settings: Settings, step: str, *, conditions: tuple[str, ...] = ()
) -> list[str]:
    """Return the artifacts that a step should have left and did not.

    Parameters
    ----------
    conditions : tuple of str
            Codes of the cases that were met: their artifacts are expected too.
    """
    artifacts = artifacts_of(settings, step)
    return [
        output.path
        for output in (*named(step).outputs, EVERY_RUN)
        if not output.when or output.when in conditions
        if not any(fnmatch(path, output.pattern) for path in artifacts[output.room])
    ]


def undeclared_artifacts(settings: Settings, step: str) -> set[str]:
    """Return artifacts of a step's run, or of its candidates' runs, that it does not declare."""
    artifacts = artifacts_of(settings, step)
    leaves = (*named(step).outputs, EVERY_RUN)
    return {
        path
        for room in ("run", "candidate")
        for path in artifacts[room]
        # the Vega-Lite text that each picture is drawn from
        if not fnmatch(path, "figures/*.json")
        if not any(output.room == room and fnmatch(path, output.pattern) for output in leaves)
    }
