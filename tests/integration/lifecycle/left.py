"""What a step left, held against what `core.platform.stages` says that it leaves."""

from __future__ import annotations

from fnmatch import fnmatch

from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.steps import EVERY_RUN, named


def there(settings: Settings, step: str) -> dict[str, set[str]]:
    """Return what there is of a step's last run, by the room where it lies."""
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
            f"@{one}"
            for one in aliases
            if model_store.find_version(settings, model, one) is not None
        },
    }


def lacking(settings: Settings, step: str, *, but: tuple[str, ...] = ()) -> list[str]:
    """Return the artifacts that a step is said to leave always, and did not.

    Parameters
    ----------
    but : tuple of str
        What was asked for, so that artifacts of these conditions are expected too.
    """
    found = there(settings, step)
    return [
        one.path
        for one in (*named(step).outputs, EVERY_RUN)
        if not one.when or one.when in but
        if not any(fnmatch(path, one.pattern) for path in found[one.room])
    ]


def untold(settings: Settings, step: str) -> set[str]:
    """Return what a step kept in its run, or in those of candidates, and is not said to leave."""
    found = there(settings, step)
    leaves = (*named(step).outputs, EVERY_RUN)
    return {
        path
        for room in ("run", "candidate")
        for path in found[room]
        # the Vega-Lite text that each picture is drawn from
        if not fnmatch(path, "figures/*.json")
        if not any(one.room == room and fnmatch(path, one.pattern) for one in leaves)
    }
