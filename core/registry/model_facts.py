"""Facts about registered versions: metrics, decisions, and the input of their card."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import CourtsideError, NotReadyError
from core.platform.messages import Message
from core.platform.run_tags import Condition
from core.platform.runs import EveryRun, ModelVersion
from core.registry import version_files
from core.registry.records import PromotionRun
from core.registry.registry import DECISIONS, NOBODY
from core.stats import slices


def decisions(
    settings: Settings,
    *,
    version: str | None = None,
    against: str | None = None,
    of_gate: bool = False,
    limit: int = 1,
) -> list[tracking.RunInfo]:
    """Return the runs in which the gate was evaluated, newest first; a rollback skips the gate.

    Parameters
    ----------
    version, against : str, optional
        Only runs about this version, or that compared it with that one.
    of_gate : bool
        Whether to exclude runs that only compared two versions for inspection.
    """
    wanted = [
        *EveryRun.where(step="promote"),
        *PromotionRun.where("!=", decision="rollback"),
        *PromotionRun.where(version=version, against=against),
    ]
    if of_gate:
        wanted.append(Condition("params", "against", model_store.CHAMPION))
    return tracking.runs(settings, status="FINISHED", matching=wanted, limit=limit)


def figures_of(settings: Settings, versions: Sequence[ModelVersion]) -> dict[str, dict[str, float]]:
    """Return the metrics of the runs that evaluated these versions, by version, in one query.

    A version whose run no longer exists is omitted.
    """
    ids = sorted({version.run_id for version in versions if version.run_id})
    if not ids:
        return {}
    runs = tracking.runs(settings, ids=ids, limit=len(ids))
    metrics = {run.run_id: dict(run.metrics) for run in runs}
    return {
        version.version: metrics[version.run_id]
        for version in versions
        if version.run_id in metrics
    }


def prepared_by(settings: Settings, versions: Sequence[ModelVersion]) -> dict[str, str]:
    """Return the preparation whose test rows each version was tested on, by version.

    Without versions whose training is gone.
    """
    ids = sorted({version.trained_by for version in versions})
    runs = tracking.runs(settings, ids=ids, limit=len(ids))
    known = {run.run_id: run.params.get("prepared_by", "") for run in runs}
    return {
        version.version: known[version.trained_by]
        for version in versions
        if known.get(version.trained_by)
    }


def card_facts(settings: Settings, version: ModelVersion) -> dict[str, Any]:
    """Return the facts about a version, as `core.registry.model_card.card` expects them.

    Collected from the runs that trained it, prepared its data and decided about it; runs that
    no longer exist are skipped.
    """
    spec = project.of(settings)
    about = version.about
    fitted = tracking.run(settings, version.run_id)
    trained = tracking.run(settings, version.trained_by)
    params = {**(trained.params if trained else {}), **(fitted.params if fitted else {})}
    lineage = _lineage(settings, params.get("prepared_by", ""))
    facts: dict[str, Any] = {
        "model": version.name,
        "version": version.version,
        "created": version.created,
        "aliases": version.aliases,
        "question": project.words(spec.question),
        "positive": project.words(spec.positive),
        "negative": project.words(spec.negative),
        "candidate": fitted.name if fitted else about.candidate,
        "run_id": version.run_id,
        "train_run": about.train_run,
        "prepare_run": params.get("prepared_by", ""),
        "commit": trained.git_commit if trained else "",
        "is_sample": version.is_sample,
        "source": about.source,
        "digest": lineage.get("digest", ""),
        "sha256": about.model_sha256,
        "is_complete": version.is_complete,
        "weights": spec.weights or "",
        "metric": spec.metric,
        "rows_name": about.rows_name,
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
        "threshold": about.threshold,
        "aim": about.threshold_aim,
        "copied_from": about.copied_from,
        "decisions": _decisions(settings, version, trained),
        "example": version_files.example(settings, version),
        "url": f"http://127.0.0.1:{settings.serve_port}",
    }
    if about.evaluated_model and about.rows_served is not None:
        facts["rows_served"] = about.rows_served
    with suppress(NotReadyError):
        facts["features"] = version.features
        facts["inputs"] = spec.kinds_of([name for name in version.inputs if name in spec.columns])
        facts["formulas"] = {name: how[0] for name, how in version.formulas.items()}
        known = {*spec.columns, *spec.engineered}
        facts["allowed"] = [name for name in version.features if name in spec.allowed]
        facts["late"] = [
            name for name in version.features if name in known and spec.recorded_after(name)
        ]
    return facts


def _lineage(settings: Settings, run_id: str) -> dict[str, Any]:
    """Return the record of a preparation run about its sets; empty if there is none any more."""
    if not run_id:
        return {}
    try:
        return tracking.document(settings, run_id, "lineage")
    except (CourtsideError, OSError, ValueError):
        return {}


def _figures(run: tracking.RunInfo) -> list[tuple[str, float, float | None, float | None]]:
    """Return the metrics on the test set, with their intervals where there are any."""
    metrics = run.metrics
    names = [
        name.removesuffix("_test")
        for name in metrics
        if name.endswith("_test") and not name.startswith(("rows_", "seconds_"))
    ]
    return [
        (
            name,
            metrics[f"{name}_test"],
            metrics.get(f"{name}_test_low"),
            metrics.get(f"{name}_test_high"),
        )
        for name in sorted(names)
    ]


def _flagged(settings: Settings, run: tracking.RunInfo | None) -> list[Message] | None:
    """Return the slices that the model serves badly, in words; None if they were not computed.

    From the table `slices` of its run, as returned by `core.stats.slices.by_slice`.
    """
    try:
        table = tracking.table(settings, run.run_id if run else "", "slices")
        flagged = table[table["finding"].isin(("biased", "no_skill"))]
        return [
            Message(
                "{column} = {value}: {text}",
                column=str(row["column"]),
                value=slices.shown(row["value"]),
                text=row["text"],
            )
            for row in flagged.to_dict("records")
        ]
    except (CourtsideError, KeyError, OSError):
        return None


def _decisions(
    settings: Settings, version: ModelVersion, trained: tracking.RunInfo | None
) -> list[Message]:
    """Return the decisions about a version, oldest first, a sentence each."""
    judged = version.about.copied_from or version.version
    wanted = [*PromotionRun.where(version=judged), *EveryRun.where(step="promote")]
    runs = tracking.runs(settings, status="FINISHED", matching=wanted)
    decided = [(PromotionRun.of(run), run.run_id) for run in runs]
    if trained and PromotionRun.of(trained).champion_to == version.version:
        decided.append((PromotionRun.of(trained), trained.run_id))
    return [
        Message(
            "{decision}, by {decided_by}: {reason} (run {run})",
            decision=DECISIONS.get(made.decision, made.decision),
            decided_by=made.decided_by or NOBODY,
            reason=made.reason,
            run=run_id[:8],
        )
        for made, run_id in reversed(decided)
        if made.decision and not made.dry_run
    ]


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
