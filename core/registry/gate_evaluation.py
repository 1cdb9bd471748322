"""Evaluate the gate's rules: challenger and champion on the rows that are new to both."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.platform import own_columns, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError, StoreError
from core.platform.messages import Message, Words
from core.platform.project import ProjectSpec
from core.platform.run_record import Progress
from core.platform.runs import ModelVersion
from core.registry import gate, version_files
from core.registry.gate import Limits, Rule
from core.registry.version_files import Loaded
from core.stats import calibration, comparison, slices
from core.stats.metrics import Floats, Labels

if TYPE_CHECKING:
    from core.registry.promote import Options

# rows per timed prediction, and repetitions
TIMED_ROWS, TIMED_TIMES = 1000, 7
NO_CHAMPION = Message("There is no champion yet.")
READING, COMPARING = Message("Reading the rows"), Message("Comparing the results")


@dataclass(frozen=True)
class _Rows:
    """The frozen rows for comparing two versions, and counts of the excluded ones.

    Parameters
    ----------
    rows : DataFrame
        All of the project's columns.
    trained_on, unanswered : int
        Rows that one of the two was trained on; that one of the two cannot score.
    problem : Message or None
        Why there are no rows, in a sentence.
    """

    rows: pd.DataFrame
    trained_on: int = 0
    unanswered: int = 0
    problem: Words | None = None


@dataclass(frozen=True)
class Evaluation:
    """The rules with their verdicts, and the metrics and tables behind them."""

    rules: list[Rule]
    metrics: dict[str, float]
    tables: dict[str, pd.DataFrame]


def evaluate(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    version: ModelVersion,
    champion: ModelVersion | None,
    progress: Progress,
) -> Evaluation:
    """Evaluate all rules; loading refuses files that are not the registered ones."""
    limits = Limits(aim=options.aim, margin=options.margin)
    progress.update(0.05, READING)
    served = version_files.load(settings, version)
    if champion is None:
        return Evaluation(not_evaluated(NO_CHAMPION), {}, {})
    progress.update(0.1, READING)
    try:
        old_served = version_files.load(settings, champion)
        both = [
            version_files.load(settings, asked, evaluated=True)
            if asked.about.evaluated_model
            else loaded
            for asked, loaded in ((version, served), (champion, old_served))
        ]
    except StoreError as error:
        # a person may still replace a broken champion with the challenger
        first = gate.same_rows(0, 0, 0, problem=error.message)
        return Evaluation(not_evaluated(gate.NOT_COMPARED, first), {}, {})
    schema = gate.schema(
        served.inputs,
        old_served.inputs,
        spec.kinds_of(list(spec.columns)),
        more_complete=served.is_complete and not old_served.is_complete,
    )
    size = gate.size(served.size, old_served.size, limits)
    measured: dict[str, float] = {
        "bytes_challenger": served.size,
        "bytes_champion": old_served.size,
    }
    if schema.verdict == "refuse":
        return Evaluation(not_evaluated(gate.NOT_COMPARED, size, schema), measured, {})
    frozen = _frozen(settings, spec, version, champion, both)
    measured |= {
        "rows_judged": len(frozen.rows),
        "rows_left_out": frozen.trained_on + frozen.unanswered,
    }
    first = gate.same_rows(
        len(frozen.rows),
        frozen.trained_on,
        frozen.unanswered,
        problem=frozen.problem,
        limits=limits,
    )
    if first.verdict != "pass":
        rest = not_evaluated(gate.NOT_COMPARED, first, size, schema)
        return Evaluation(rest, measured, {})
    progress.update(0.2, COMPARING)
    thresholds = (
        served.threshold if options.threshold is None else options.threshold,
        old_served.threshold,
    )
    compared = _compare(spec, frozen.rows, both, thresholds, limits, progress)
    progress.update(0.8, COMPARING)
    new, old = (_milliseconds(loaded, frozen.rows) for loaded in (served, old_served))
    times = {"ms_per_row_challenger": new, "ms_per_row_champion": old}
    latency = gate.latency(new, old, limits)
    return Evaluation(
        [first, *compared.rules, latency, size, schema],
        {**measured, **compared.metrics, **times},
        compared.tables,
    )


def not_evaluated(reason: Words, *evaluated: Rule) -> list[Rule]:
    """Return all rules in their order, those that were not evaluated with the reason."""
    by_code = {rule.code: rule for rule in evaluated}
    return [by_code.get(code) or gate.not_applicable(code, reason) for code in gate.TITLES]


def _frozen(
    settings: Settings,
    spec: ProjectSpec,
    version: ModelVersion,
    champion: ModelVersion,
    both: list[Loaded],
) -> _Rows:
    """Return the challenger's test rows that are new to both models and scorable by both."""
    empty = pd.DataFrame(columns=list(spec.columns))
    if version.is_sample != champion.is_sample:
        problem = Message(
            "Only one side was trained on the built-in sample: they share no test rows."
        )
        return _Rows(empty, problem=problem)
    try:
        rows = _kept(settings, version, "test_rows")
        keys = pd.concat(
            [_kept(settings, trained, "train_keys")[spec.id] for trained in (version, champion)]
        )
    except NotReadyError as error:
        return _Rows(empty, problem=error.message)
    trained_on = rows[spec.id].isin(keys)
    rows = rows[~trained_on & rows[spec.target].notna()].reset_index(drop=True)
    answered = pd.Series(True, index=rows.index)
    for loaded in both:
        answered &= loaded.answers(rows)
    return _Rows(
        rows[answered].reset_index(drop=True), int(trained_on.sum()), int((~answered).sum())
    )


def _kept(settings: Settings, version: ModelVersion, name: str) -> pd.DataFrame:
    return tracking.table(settings, version.trained_by, name)


def _compare(
    spec: ProjectSpec,
    rows: pd.DataFrame,
    both: list[Loaded],
    thresholds: tuple[float, float],
    limits: Limits,
    progress: Progress,
) -> Evaluation:
    labels: Labels = rows[spec.target].to_numpy(dtype=np.int64)
    new, old = (loaded.predict(rows) for loaded in both)
    weights = _weights(spec, rows)
    table = comparison.paired(labels, new, old, *thresholds, weights)
    losses = table.set_index("metric").loc["log_loss"]
    progress.update(0.4, COMPARING)
    harm = slices.harm(rows, labels, new, old, spec.slice_columns, weights=weights)
    progress.update(0.6, COMPARING)
    calibration, errors = _calibration(labels, new, old, weights)
    better = gate.better(losses["difference"], (losses["low"], losses["high"]), limits)
    return Evaluation(
        [better, gate.slices(harm), calibration],
        {
            "log_loss_challenger": losses["one"],
            "log_loss_champion": losses["other"],
            "log_loss_difference": losses["difference"],
            "log_loss_difference_low": losses["low"],
            "log_loss_difference_high": losses["high"],
            **({} if weights is None else {"rows_by_weight": len(rows)}),
            **errors,
        },
        {
            "comparison": table.rename(columns={"one": "challenger", "other": "champion"}),
            "slices": harm,
            "judged_rows": pd.DataFrame(
                {
                    spec.id: rows[spec.id],
                    own_columns.LABEL: labels,
                    own_columns.PREFIX + "challenger": new,
                    own_columns.PREFIX + "champion": old,
                }
            ),
        },
    )


def _weights(spec: ProjectSpec, rows: pd.DataFrame) -> Floats | None:
    """Return the sampling weights of the rows; None if the project or a row has none."""
    if spec.weights is None or spec.weights not in rows:
        return None
    weights = pd.to_numeric(rows[spec.weights], errors="coerce").to_numpy(dtype=np.float64)
    return weights if (weights > 0).all() else None


def _calibration(
    labels: Labels, new: Floats, old: Floats, weights: Floats | None
) -> tuple[Rule, dict[str, float]]:
    error, champion = (
        calibration.calibration_error(labels, probabilities, weights=weights)
        for probabilities in (new, old)
    )
    floor = calibration.calibration_floor(new, weights=weights)[1]
    difference, interval = calibration.calibration_change(labels, new, old, weights=weights)
    rule = gate.calibration(error, floor, difference, interval)
    return rule, {
        "calibration_error_challenger": error,
        "calibration_error_champion": champion,
        "calibration_floor_challenger": floor,
    }


def _milliseconds(loaded: Loaded, rows: pd.DataFrame) -> float:
    """Return the median prediction time per row, in milliseconds, for up to 1,000 rows at once."""
    sample = rows.head(TIMED_ROWS)
    loaded.predict(sample)  # warm-up: the first prediction is slower than what callers wait for
    seconds = []
    for _ in range(TIMED_TIMES):
        start = time.perf_counter()
        loaded.predict(sample)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) * 1000 / len(sample)
