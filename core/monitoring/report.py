"""A monitoring report: all checks of current rows against the reference, and their evidence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.platform.errors import CourtsideError
from core.platform.messages import Message, Words
from core.platform.own_columns import LABEL, PROBABILITY, WEIGHT
from core.stats import (
    calibration,
    checks,
    curves,
    densities,
    drift,
    estimation,
    limits,
    performance,
    slices,
    support,
    support_checks,
    weighted_figures,
)
from core.stats.check import Check, Group, Limit
from core.stats.disagreement import TITLE as DISAGREEMENT
from core.stats.limits import Learned
from core.stats.metrics import Floats, Labels
from core.stats.support import Support

SETS = ("reference", "current")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sides:
    """The rows of a report.

    Parameters
    ----------
    reference, current : DataFrame
        The features as the model sees them, probability, and label (0, 1 or NaN; complete in the
        reference), see `core.platform.own_columns`; both with the sampling weight of each row if
        rows count by weight. If some current rows have none (NaN), which only unlabelled rows may
        lack, performance is by weight and all other checks count each row once.
    threshold : float
        Lowest probability that is labelled 1.
    """

    reference: pd.DataFrame
    current: pd.DataFrame
    features: tuple[str, ...]
    threshold: float

    @property
    def is_by_weight(self) -> bool:
        """Whether performance counts rows by their sampling weight."""
        return WEIGHT in self.reference

    @property
    def weights(self) -> tuple[Floats, Floats] | None:
        """The sampling weights of both sides, None unless all rows have one."""
        if not self.is_by_weight:
            return None
        old, new = (
            side[WEIGHT].to_numpy(dtype=np.float64) for side in (self.reference, self.current)
        )
        return None if np.isnan(new).any() or not new.any() else (old, new)

    def labelled(self) -> pd.DataFrame:
        """Return the current rows that have a label."""
        return self.current[self.current[LABEL].notna()]


@dataclass(frozen=True)
class Report:
    """The results of a report.

    Parameters
    ----------
    checks : list of Check
        Of performance, output, support and input, in this order.
    learned : Learned
        The limits, and their false alarm rate.
    on_reference, on_current : dict of str to float
        The metrics of both sides; the latter is empty without labels.
    tables : dict of str to DataFrame
        `checks`, `drift`, `densities`, `confusion`, `reliability`, `ranking`; with slices `slices`.
        Tables of both sides have a column `set`.
    """

    checks: list[Check]
    learned: Learned
    support: Support
    on_reference: dict[str, float]
    on_current: dict[str, float]
    tables: dict[str, pd.DataFrame]


def build(
    sides: Sides,
    *,
    chosen: Mapping[str, Limit] | None = None,
    false_alarms: float = 0.01,
    disagreement: Callable[[Mapping[str, Limit]], Check] | None = None,
    by: tuple[pd.DataFrame, pd.DataFrame] | None = None,
    trained_on: pd.DataFrame | None = None,
    positive: Words = "1",
    progress: Callable[[float, Message], None] = lambda share, text: None,
    seed: int = 0,
) -> Report:
    """Run all checks.

    Parameters
    ----------
    chosen : mapping of str to Limit, optional
        User-defined limits, by code.
    false_alarms : float
        Share of windows like the reference that may raise an alert.
    disagreement : function, optional
        Returns the check of disagreement among candidates, given the limits.
    by : (DataFrame, DataFrame), optional
        Slicing columns of the reference rows and of the current rows, in their order.
    trained_on : DataFrame, optional
        Features of the training rows, which define the support.
    positive : str or Message
        What the positive class is called.
    progress : function
        Called with the share done, 0 to 1, and a message.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.2, 0.8, 1500)
    >>> rows = pd.DataFrame({"x": p, PROBABILITY: p, LABEL: rng.uniform(size=1500) < p})
    >>> report = build(Sides(rows[:1000], rows[1000:].assign(**{LABEL: np.nan}), ("x",), 0.5))
    >>> {check.verdict for check in report.checks if check.group != "performance"}
    {'ok'}
    """
    given = dict(chosen or {})
    reference, current, known = sides.reference, sides.current, sides.labelled()
    columns = [*sides.features, PROBABILITY]
    progress(0.0, Message("Running the checks"))
    by_weight = sides.weights
    moved = drift.by_feature(reference[columns], current[columns], columns, weights=by_weight)
    progress(0.1, Message("Running the checks"))
    apart = _apart(sides, trained_on, seed)
    progress(0.35, Message("Running the checks"))
    learned = limits.learn(
        reference,
        features=sides.features,
        rows=len(current) if by_weight is None else int((by_weight[1] > 0).sum()),
        labels=len(known),
        threshold=sides.threshold,
        effective=(
            None
            if by_weight is None
            else drift.effective_rows(reference[columns], current[columns], columns, by_weight)
        ),
        chosen=given,
        target=false_alarms,
        seed=seed,
    )
    held = {**given, **learned.limits}
    progress(0.8, Message("Running the checks"))
    on_reference = figures(reference, sides.threshold)
    on_current = figures(known, sides.threshold) if len(known) else {}
    between = weighted_figures.intervals(
        *_forecast(known), sides.threshold, _weights(known), seed=seed
    )
    tables = _tables(sides, moved, apart, columns)
    judged = performance.performance(
        on_reference, on_current or None, len(known), between, held, positive=positive
    )
    if by is not None:
        both = _slices(sides, by)
        if both is None:
            judged.append(
                checks.not_applicable("slice", Message("Slices"), "performance", "failed")
            )
        else:
            judged += performance.slices(both[1], both[0])
            tables["slices"] = _both(both)
    labels, forecast = _forecast(reference)
    all_checks = [
        *judged,
        *checks.outputs(moved, held),
        *_alone(
            "estimated_log_loss",
            Message("Estimated performance"),
            "output",
            lambda: estimation.checks(
                labels,
                forecast,
                current[PROBABILITY].to_numpy(dtype=np.float64),
                sides.threshold,
                support_checks.is_outside(apart),
                held,
                positive=positive,
            ),
        ),
        *(
            _alone("disagreement", DISAGREEMENT, "output", lambda: [disagreement(held)])
            if disagreement
            else []
        ),
        *support_checks.checks(apart, given),
        *checks.inputs(moved, held),
    ]
    if any(check.value is not None for check in judged):
        all_checks = checks.with_labels(all_checks)
    tables["checks"] = checks.as_table(all_checks)
    return Report(all_checks, learned, apart, on_reference, on_current, tables)


def _alone(
    code: str, title: Message, group: Group, compute: Callable[[], list[Check]]
) -> list[Check]:
    """Return checks; an unexpected error affects these checks only.

    An error that says what a person can do is theirs to read, and ends the report.
    """
    try:
        return compute()
    except CourtsideError:
        raise
    except Exception:  # noqa: BLE001  affects this check only
        _log.exception("The check %s could not be made", code)
        return [checks.not_applicable(code, title, group, "failed")]


def _apart(sides: Sides, trained_on: pd.DataFrame | None, seed: int) -> Support:
    """Return the support of the current rows; an unexpected error affects this only."""
    columns = list(sides.features)
    try:
        return support.measure(
            sides.reference,
            sides.current,
            columns,
            trained_on=trained_on,
            weights=sides.weights,
            seed=seed,
        )
    except Exception:  # noqa: BLE001  affects this check only
        _log.exception("Whether the rows lie inside the support could not be told")
        return support.unknown(len(sides.reference), columns)


def _slices(
    sides: Sides, by: tuple[pd.DataFrame, pd.DataFrame]
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    try:
        reference, current = (
            _by_slice(rows, side, sides.threshold)
            for rows, side in zip(
                (sides.reference, sides.current), slices.in_bands(*by), strict=True
            )
        )
    except Exception:  # noqa: BLE001  affects this check only
        _log.exception("Errors by slice could not be judged")
        return None
    return reference, current


def figures(rows: pd.DataFrame, threshold: float) -> dict[str, float]:
    """Return the metrics of labelled rows: those of `metrics.classification`, and calibration.

    Examples
    --------
    >>> rows = pd.DataFrame({LABEL: [0, 1], PROBABILITY: [0.2, 0.6]})
    >>> round(figures(rows, 0.5)["calibration"], 3)
    -0.1
    """
    labels, forecast = _forecast(rows)
    weights = _weights(rows)
    values = weighted_figures.figures(labels, forecast, threshold, weights)
    values["calibration"] = values["mean_probability"] - values["base_rate"]
    values["calibration_error"] = calibration.calibration_error(labels, forecast, weights=weights)
    return values


def _tables(
    sides: Sides, moved: pd.DataFrame, apart: Support, columns: Sequence[str]
) -> dict[str, pd.DataFrame]:
    labelled = (sides.reference, sides.labelled())
    pairs = [_forecast(side) for side in labelled]
    bins = [_bins(side) for side in labelled]
    return {
        "drift": moved,
        "densities": densities.densities(
            sides.reference, sides.current, columns, weights=sides.weights
        ),
        "ranking": apart.ranking,
        "confusion": _both([curves.confusion(*pair, sides.threshold) for pair in pairs]),
        "reliability": _both(bins),
    }


def _both(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    named = [table.assign(set=name) for name, table in zip(SETS, tables, strict=True)]
    return pd.concat([table for table in named if len(table)], ignore_index=True)


def _by_slice(rows: pd.DataFrame, by: pd.DataFrame, threshold: float) -> pd.DataFrame:
    return slices.by_slice(
        by,
        rows[LABEL].to_numpy(dtype=np.float64),
        rows[PROBABILITY].to_numpy(dtype=np.float64),
        list(by.columns),
        threshold,
        weights=_weights(rows),
    )


def _forecast(rows: pd.DataFrame) -> tuple[Labels, Floats]:
    return rows[LABEL].to_numpy(dtype=np.int64), rows[PROBABILITY].to_numpy(dtype=np.float64)


def _bins(rows: pd.DataFrame) -> pd.DataFrame:
    if WEIGHT in rows:
        # a bin of weight 0 has no mean
        rows = rows[rows[WEIGHT] > 0]
    return calibration.calibration_bins(*_forecast(rows), weights=_weights(rows))


def _weights(rows: pd.DataFrame) -> Floats | None:
    return rows[WEIGHT].to_numpy(dtype=np.float64) if WEIGHT in rows else None
