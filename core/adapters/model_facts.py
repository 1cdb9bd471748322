"""What is known of registered versions: their figures, what was decided about them, their card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from core import project
from core.adapters import model_files, registry, tracking
from core.adapters.registry import (
    AGAINST,
    COPIED_FROM,
    DRY_RUN,
    JUDGED,
    ROWS_SERVED,
    THRESHOLD_AIM,
    UNKNOWN,
)
from core.adapters.tracking import TAG, ModelVersion
from core.config import Settings
from core.errors import CourtsideError, NotReadyError


def decisions(
    settings: Settings,
    *,
    version: str | None = None,
    against: str | None = None,
    of_gate: bool = False,
    limit: int = 1,
) -> list[tracking.RunInfo]:
    """Return the runs in which the gate was asked, newest first; a rollback does not ask it.

    Parameters
    ----------
    version, against : str, optional
        Only those about this version, and those that compared it with that one.
    of_gate : bool
        Whether to leave out those that only compared two versions, for somebody to look at.
    """
    wanted = [
        f"tags.`{TAG}step` = 'promote'",
        "attributes.status = 'FINISHED'",
        f"tags.`{TAG}decision` != 'rollback'",
    ]
    if version is not None:
        wanted.append(f"tags.`{JUDGED}` = '{version}'")
    if against is not None:
        wanted.append(f"tags.`{AGAINST}` = '{against}'")
    if of_gate:
        wanted.append(f"params.against = '{tracking.CHAMPION}'")
    return tracking.runs(settings, matching=wanted, limit=limit)


def figures_of(settings: Settings, versions: Sequence[ModelVersion]) -> dict[str, dict[str, float]]:
    """Return the metrics of the runs that these versions' figures are of, by version, in one query.

    A version whose run is gone is left out.
    """
    ids = sorted({one.run_id for one in versions if one.run_id})
    if not ids:
        return {}
    named = ", ".join(f"'{run_id}'" for run_id in ids)
    found = tracking.runs(settings, matching=[f"attributes.run_id IN ({named})"], limit=len(ids))
    metrics = {run.run_id: dict(run.metrics) for run in found}
    return {one.version: metrics[one.run_id] for one in versions if one.run_id in metrics}


def card_facts(settings: Settings, version: ModelVersion) -> dict[str, Any]:
    """Return what is known of a version, as `core.logic.model_card.card` takes it.

    Gathered from the runs that trained it, prepared its data and decided about it. What they do not
    tell, since an older app made them or they are gone, is left out.
    """
    spec = project.load(settings.project)
    tags = version.tags
    fitted = tracking.run(settings, version.run_id)
    trained = tracking.run(settings, tags.get(TAG + "train_run", version.run_id))
    params = {**(trained.params if trained else {}), **(fitted.params if fitted else {})}
    lineage = _lineage(settings, params.get("prepared_by", ""))
    facts: dict[str, Any] = {
        "model": version.name,
        "version": version.version,
        "created": version.created,
        "aliases": version.aliases,
        "question": spec.question,
        "positive": spec.positive,
        "negative": spec.negative,
        "candidate": fitted.name if fitted else tags.get(TAG + "candidate", ""),
        "run_id": version.run_id,
        "train_run": tags.get(TAG + "train_run", ""),
        "prepare_run": params.get("prepared_by", ""),
        "commit": trained.tags.get(TAG + "git_commit", "") if trained else "",
        "is_sample": version.is_sample,
        "source": tags.get(TAG + "source", ""),
        "digest": lineage.get("digest", ""),
        "sha256": tags.get(model_files.MODEL_SHA256, ""),
        "is_complete": version.is_complete,
        "rows_name": tags.get(TAG + "rows_name", ""),
        "rows_train": lineage.get("rows_train"),
        "rows_test": lineage.get("rows_test"),
        "split": {
            name: str(value)
            for name, value in lineage.get("options", {}).items()
            if name in ("split", "test_share", "test_from", "seed") and value is not None
        },
        "metrics": _figures(fitted) if fitted else (),
        "slices": _flagged(settings, fitted),
        "metrics_threshold": _number(params.get("threshold")),
        "threshold": _number(tags.get(TAG + "threshold")),
        "aim": tags.get(THRESHOLD_AIM, ""),
        "copied_from": tags.get(COPIED_FROM, ""),
        "decisions": _decisions(settings, version, trained),
        "example": registry.example(settings, version),
        "url": f"http://127.0.0.1:{settings.serve_port}",
    }
    if tracking.EVALUATED in tags and (rows := _number(tags.get(ROWS_SERVED))) is not None:
        facts["rows_served"] = int(rows)
    with suppress(NotReadyError):
        facts["features"] = version.features
        facts["inputs"] = spec.kinds_of([one for one in version.inputs if one in spec.columns])
        facts["formulas"] = {name: how[0] for name, how in version.formulas.items()}
        known = {*spec.columns, *spec.engineered}
        facts["late"] = [
            one for one in version.features if one in known and spec.recorded_after(one)
        ]
    return facts


def _lineage(settings: Settings, run_id: str) -> dict[str, Any]:
    """Return what the preparation noted of its sets; empty where that is gone."""
    if not run_id:
        return {}
    try:
        path = tracking.artifact(settings, run_id, "documents/lineage.json")
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (CourtsideError, OSError, ValueError):
        return {}
    return found


def _figures(run: tracking.RunInfo) -> list[tuple[str, float, float | None, float | None]]:
    """Return the figures on the test set, with the ends of their intervals where there are any."""
    found = run.metrics
    names = [
        name.removesuffix("_test")
        for name in found
        if name.endswith("_test") and not name.startswith(("rows_", "seconds_"))
    ]
    return [
        (name, found[f"{name}_test"], found.get(f"{name}_test_low"), found.get(f"{name}_test_high"))
        for name in sorted(names)
    ]


def _flagged(settings: Settings, run: tracking.RunInfo | None) -> list[str] | None:
    """Return the slices that the model serves badly, in words; None where nobody looked.

    From the table `slices` of its run, as `core.logic.slices.by_slice` returns it.
    """
    try:
        found = tracking.table(settings, run.run_id if run else "", "slices")
        flagged = found[found["finding"].isin(("biased", "no_skill"))]
        return [f"{one['column']} = {one['value']}: {one['text']}" for _, one in flagged.iterrows()]
    except (CourtsideError, KeyError, OSError):
        return None


def _decisions(
    settings: Settings, version: ModelVersion, trained: tracking.RunInfo | None
) -> list[str]:
    """Return what was decided about a version, oldest first, a sentence each."""
    judged = version.tags.get(COPIED_FROM, version.version)
    wanted = [f"tags.`{JUDGED}` = '{judged}'", f"tags.`{TAG}step` = 'promote'"]
    found = tracking.runs(settings, status="FINISHED", matching=wanted)
    told = [(one.tags, one.run_id) for one in found if one.tags.get(DRY_RUN) != "true"]
    if trained and trained.tags.get(TAG + "champion_to") == version.version:
        told.append((trained.tags, trained.run_id))
    return [
        f"{tags[TAG + 'decision']}, by {tags.get(TAG + 'decided_by', UNKNOWN)}: "
        f"{tags.get(TAG + 'reason', '')} (run {run_id[:8]})"
        for tags, run_id in reversed(told)
        if TAG + "decision" in tags
    ]


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
