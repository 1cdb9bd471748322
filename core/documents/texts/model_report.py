"""The Model Report: the baseline, each candidate, and the chosen one with its limits."""

from __future__ import annotations

from typing import Any

import pandas as pd

from core.documents.dossier import Document, Facts, Figure, RunFacts
from core.documents.texts.reading import bound, figure, metric, records, settings, table_of, words
from core.documents.texts.writing import written
from core.platform import project
from core.platform.messages import Words, _
from core.registry import model_card
from core.stats.metrics import TITLES, ordered
from core.training import candidates as kinds
from core.training import evaluation_charts, learning, sample_weights
from core.training.records import CandidateRun, TrainingRun

MOST_SLICES, LEAST_ROWS = 10, 50
SETTINGS = (
    "candidates",
    "folds",
    "seed",
    "fit_share",
    "balanced",
    "tune_trials",
    "blend",
    "stack",
    "calibrate",
    "chosen_by",
    "refit",
)
FIGURES = (
    "log_loss",
    "skill",
    "roc_auc",
    "average_precision",
    "brier_score",
    "calibration_error",
    "calibration_floor",
    "f1",
    "precision",
    "recall",
    "accuracy",
)


def build(facts: Facts) -> Document:
    """Return the report on the training of the champion.

    Examples
    --------
    >>> from core.documents.dossier import Missing
    >>> from core.platform import project
    >>> blocks = build(Facts(project.load("kobe"))).blocks
    >>> [block.step for block in blocks if isinstance(block, Missing)]
    ['train', 'train', 'train']
    """
    run, best, champion = facts.runs.get("train"), chosen(facts), facts.champion
    candidates = _candidates(facts, run)
    models = dict.fromkeys(row["model"].partition(".")[0] for row in candidates)
    titles = {**TITLES, **model_card.OTHER_TITLES}
    values: dict[str, Any] = {}
    if best:
        values = {
            "threshold": float(best.params.get("threshold", facts.spec.threshold)),
            "threshold_choice": CandidateRun.of(best).threshold_choice,
            "is_champion": champion is not None and champion.run_id == best.run_id,
            "parameters": _parameters(best),
            "slices": _slices(best),
        }
    return written(
        "model_report",
        facts,
        figures=_drawn(run),
        best=best,
        name_of=name_of,
        base_log_loss=base_log_loss(run),
        settings=settings(run, SETTINGS),
        candidates=candidates,
        kinds=[kinds.KINDS[model] for model in models if model in kinds.KINDS],
        paired=[
            {**pair, "title": _title(str(pair["model"]), words(pair["model"]))}
            for pair in records(run, "paired")
        ],
        left_out=records(run, "left_out"),
        by_weight=_by_weight(run),
        bound=bound,
        learning_sentence=_learning_sentence(run),
        figures_shown=[(name, titles[name]) for name in ordered(FIGURES, facts.spec.metric)],
        **(_limits(facts, run) if run else {}),
        **values,
    )


def chosen(facts: Facts) -> RunFacts | None:
    """Return the candidate that is the champion; without a champion, the training's best."""
    run = facts.runs.get("train")
    if run is None:
        return None
    wanted = facts.champion.run_id if facts.champion else TrainingRun.of(run).best_run
    winner = next((candidate for candidate in facts.candidates if candidate.run_id == wanted), None)
    best = run.params.get("best")
    return winner or next(
        (candidate for candidate in facts.candidates if candidate.params.get("model") == best), None
    )


def name_of(candidate: RunFacts) -> str:
    """Return the display name of a candidate in words; of an unknown kind, its run's name."""
    return _title(candidate.params.get("model", ""), candidate.name)


def _title(model: str, otherwise: str) -> str:
    try:
        return str(kinds.title(model))
    except KeyError:
        return otherwise


def illusions(facts: Facts) -> list[dict[str, Any]]:
    """Return the candidates whose F1 is higher than the best's, but no better than no model's."""
    if not facts.candidates:
        return []
    rate = metric(facts.candidates[0], "base_rate_test") or 0.0
    # labelling every row 1 has the base rate as precision, and recall 1
    every = 2 * rate / (1 + rate)
    best = metric(facts.candidates[0], "f1_test")
    return [
        {"run": run, "f1": f1, "log_loss": log_loss, "every": every}
        for run in facts.candidates[1:]
        if (f1 := metric(run, "f1_test")) is not None
        and (log_loss := metric(run, "log_loss_cv")) is not None
        and best is not None
        and best < f1 < every
    ]


def split_limit(prepared: RunFacts | None) -> Words:
    """Return what the metrics on the test set do not cover; empty without a split."""
    split = "" if prepared is None else prepared.params.get("split", "")
    return model_card.split_limit(split)


def base_log_loss(run: RunFacts | None) -> float | None:
    """Return the log loss of always predicting the base rate, on the test set of a training.

    From skill = 1 - log loss / log loss of the base rate.
    """
    loss, skill = metric(run, "log_loss_test"), metric(run, "skill_test")
    if loss is None or skill is None or skill >= 1:
        return None
    return loss / (1 - skill)


def _by_weight(run: RunFacts | None) -> Words:
    """Return what sampling weights did in a training; empty without any."""
    trained = TrainingRun() if run is None else TrainingRun.of(run)
    return sample_weights.sentence(trained.weights, trained.unweighted) if trained.weights else ""


def _candidates(facts: Facts, run: RunFacts | None) -> list[dict[str, Any]]:
    runs = {candidate.run_id: candidate for candidate in facts.candidates}
    rows = sorted(records(run, "comparison"), key=lambda row: row["log_loss_cv"])
    return [
        {
            **row,
            "run": runs.get(row["run_id"]),
            "title": _title(str(row["model"]), words(row["name"])),
            "approach": kinds.APPROACH_LABELS[kinds.approach(str(row["model"]))],
        }
        for row in rows
    ]


def _parameters(best: RunFacts) -> list[str]:
    return [
        f"{name.removeprefix('model.')}={value}"
        for name, value in sorted(best.params.items())
        if name.startswith("model.") and value not in ("None", "")
    ]


def _slices(best: RunFacts) -> dict[str, Any]:
    slices = table_of(best, "slices")
    if slices.empty:
        return {}
    worst = slices[slices["rows"] >= LEAST_ROWS].sort_values(
        "gap", key=pd.Series.abs, ascending=False, kind="stable"
    )
    return {
        "all": len(slices),
        "flagged": int(slices["finding"].isin(("biased", "no_skill")).sum()),
        "worst": worst.head(MOST_SLICES).to_dict("records"),
    }


def _limits(facts: Facts, run: RunFacts) -> dict[str, Any]:
    spec, prepared = facts.spec, facts.runs.get("prepare")
    trained = TrainingRun.of(run)
    known = {*spec.columns, *spec.engineered}
    return {
        "rows_name": project.words(trained.rows_name or spec.rows.reference_rows),
        "split_limit": split_limit(prepared),
        "late": [name for name in trained.features if name in known and spec.recorded_after(name)],
    }


def _learning_sentence(run: RunFacts | None) -> Words:
    curve = table_of(run, "learning")
    return "" if curve.empty else learning.sentence(curve)


def _drawn(run: RunFacts | None) -> list[Figure]:
    paired, curve = table_of(run, "paired"), table_of(run, "learning")
    drawn = []
    if not paired.empty:
        chart = evaluation_charts.paired_differences(
            paired, by="model", first=_("candidate"), second=_("the best")
        )
        drawn.append(figure("paired_differences", chart))
    if not curve.empty:
        chart = evaluation_charts.learning_curve(curve, _("Log loss"))
        drawn.append(figure("learning_curve", chart))
    return drawn
