"""Limits learned from the reference: what chance alone does in windows of the same size.

A difference has to matter in practice (`performance.floors`, `checks.USUAL`) and to exceed what
chance causes in fresh rows. A limit is the wider of the two, so neither very few nor very many rows
raise false alarms.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.platform.own_columns import LABEL, PROBABILITY, WEIGHT
from core.stats import calibration, chance, checks, drift, intervals, metrics, performance
from core.stats.check import Limit as Limit
from core.stats.metrics import Floats

# Ratio of false warnings to false alerts: by default, two of a hundred reports on rows like the
# reference's warn.
WARNINGS_PER_ALERT = 2
# Share of the false-alarm budget reserved for performance checks; what one group does not need, the
# other gets.
PERFORMANCE_SHARE = 0.5
# Larger references are subsampled to this many rows; larger windows are drawn with this many.
MAX_REFERENCE, MAX_ROWS = 5_000, 10_000
# Counts held in memory at once.
_AT_ONCE = 2_000_000
# Windows drawn for the distances of columns: multiple of `windows`, maximum over all columns
# together, and minimum per column.
_TIMES, _MOST, _LEAST = 10, 300_000, 2_000
_POWER_Z = 0.8416  # one-sided 80% of the normal distribution
_SIDES: tuple[Literal["low", "high"], ...] = ("low", "high")

_log = logging.getLogger(__name__)

Draw = Mapping[str, Floats]


@dataclass(frozen=True)
class Learned:
    """Limits for windows of one size, and how often chance alone exceeds them.

    Parameters
    ----------
    limits : dict of str to Limit
        By check code. An alert limit is at or beyond the warning limit.
    target : float
        Requested share of windows without drift that may raise an alert.
    false_alarms : float
        Upper bound on the share of windows without drift that raise an alert: the sum over the
        checks, so it holds for any dependence between them. At most `target`, unless a person set
        tighter limits.
    warnings : float
        The same for an alert or a warning.
    rows, labels : int
        Of a window.
    labels_needed : dict of str to int
        By performance check: the number of labels that detects a difference at the usual alert
        limit with 80% power at this false-alarm rate. A check is left out if the reference itself
        is too small.
    """

    limits: Mapping[str, Limit]
    target: float
    false_alarms: float
    warnings: float
    rows: int
    labels: int
    labels_needed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Side:
    """One side of one check: from where it matters, and its null distribution.

    `sign` is -1 for a lower limit; values are compared as if it were an upper one.
    """

    code: str
    direction: Literal["low", "high"]
    warning: float | None
    alert: float | None
    tail: chance.Tail

    @property
    def sign(self) -> float:
        return 1.0 if self.direction == "high" else -1.0


def learn(
    reference: pd.DataFrame,
    *,
    features: Sequence[str],
    rows: int,
    labels: int,
    threshold: float,
    effective: Mapping[str, tuple[float, float]] | None = None,
    chosen: Mapping[str, Limit] | None = None,
    target: float = 0.01,
    windows: int = 1600,
    seed: int = 0,
    tells_needed: bool = True,
) -> Learned:
    """Learn the limits of all checks for windows of one size.

    The null distribution of each check in a window of fresh rows is simulated from the posterior of
    the reference's shares for binned distances, is known for KS and for the shares of missing, new
    and out-of-range values (`core.stats.chance`), and comes from bootstrap pairs of a reference and
    a window for performance metrics. All limits of a group are exceeded by chance with the same
    probability, unless the difference that matters is larger. That probability is the
    largest for which the sum over the checks stays below the target (Bonferroni; a check that
    chance never takes as far as it matters uses no budget). Performance checks get half of the
    target, column checks the rest; warnings twice as much. An alert is never more probable than a
    warning of its group, so its limit is never below that of the warning.

    Parameters
    ----------
    reference : DataFrame
        Features as the model sees them, probability, label (0 or 1), and the sampling weight if
        performance is by weight, named as in `core.platform.own_columns`.
    rows, labels : int
        Of the window; `labels` is at most `rows`. Below 100 labels there are no performance checks.
    threshold : float
        Probability from which a row is labelled 1.
    effective : mapping of str to (float, float), optional
        By column, how many rows of equal weight the rows of reference and window stand for
        (`drift.effective_rows`), if columns are compared by the sampling weight. Windows are then
        as many rows, drawn from the weighted shares of as many reference rows; new values and
        values out of range count rows. Columns that are not named count rows.
    chosen : mapping of str to Limit, optional
        Limits set by a person, which take precedence.
    target : float
        Above 0, below 1.
    windows : int
        Bootstrap pairs, 40 or more.
    tells_needed : bool
        Whether to compute `labels_needed`, which draws 400 more pairs.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.2, 0.8, 1000)
    >>> frame = pd.DataFrame({"x": p, PROBABILITY: p, LABEL: rng.uniform(size=1000) < p})
    >>> learned = learn(frame, features=["x"], rows=200, labels=200, threshold=0.5, windows=400)
    >>> learned.limits["ks.x"].source, learned.limits["ks.x"].warning_high > 0.1
    ('learned', True)
    >>> learned.false_alarms <= 0.01 <= learned.warnings <= 0.02
    True
    """
    given = dict(chosen or {})
    sheet = _ReferenceSampler(reference, threshold, seed)
    judged = labels >= performance.MIN_LABELS
    of_performance = _of_performance(sheet, labels, windows, seed) if judged else []
    columns = dict.fromkeys([*features, PROBABILITY])
    of_columns = _of_columns(
        reference[list(columns)],
        _weights(reference, effective),
        {
            name: min(max(round((effective or {}).get(name, (0, rows))[1]), 1), MAX_ROWS)
            for name in columns
        },
        min(rows, MAX_ROWS),
        windows,
        seed,
    )
    limits: dict[str, Limit] = {}
    spent = {"warning": 0.0, "alert": 0.0}
    whole = {"warning": target * WARNINGS_PER_ALERT, "alert": target}
    free = [
        [side for side in sides if side.code not in given] for sides in (of_performance, of_columns)
    ]
    for sides, others in ((free[0], free[1]), (free[1], [])):
        limits |= _placed(
            sides, {name: _left(name, whole[name], spent[name], others) for name in whole}
        )
        for name in spent:
            spent[name] += _spent(sides, limits, name)
    own = {code: replace(limit, source="set") for code, limit in given.items()}
    set_by_person = [side for side in (*of_performance, *of_columns) if side.code in own]
    extra = {name: _spent(set_by_person, own, name) for name in spent}
    known = {side.code for side in set_by_person}
    return Learned(
        limits=limits | {code: limit for code, limit in own.items() if code in known},
        target=target,
        false_alarms=min(spent["alert"] + extra["alert"], 1.0),
        warnings=min(spent["warning"] + extra["warning"], 1.0),
        rows=rows,
        labels=labels,
        labels_needed=_needed(sheet, target, seed) if tells_needed else {},
    )


def _of_performance(sheet: _ReferenceSampler, labels: int, windows: int, seed: int) -> list[_Side]:
    drawn = _all(sheet.draw(min(labels, MAX_ROWS), windows, seed))
    return [
        _Side(
            code,
            side,
            getattr(limit, f"warning_{side}"),
            getattr(limit, f"alert_{side}"),
            chance.Drawn(drawn[code] if side == "high" else -drawn[code]),
        )
        for code, limit in performance.floors(sheet.middle).items()
        if code in drawn
        for side in _SIDES
        if getattr(limit, f"alert_{side}") is not None
    ]


def _weights(
    reference: pd.DataFrame, effective: Mapping[str, tuple[float, float]] | None
) -> dict[str, Floats]:
    """Return the reference's weights for each column, which add up to its effective rows."""
    if not effective:
        return {}
    weights = intervals.effective(reference[WEIGHT].to_numpy(dtype=np.float64))
    total = float(weights.sum())
    return {name: weights * (old / total) for name, (old, _new) in effective.items()}


def _of_columns(
    reference: pd.DataFrame,
    weights: Mapping[str, Floats],
    sizes: Mapping[str, int],
    rows: int,
    windows: int,
    seed: int,
) -> list[_Side]:
    """Return the sides of all column checks; a column that cannot be compared has none."""
    columns: dict[str, drift.Column] = {}
    for name in reference:
        try:
            columns[str(name)] = drift.Column(reference[name], weights=weights.get(str(name)))
        except Exception:  # noqa: BLE001  `drift.by_feature` reports it as not applicable
            _log.exception("No limits can be learned for the column %s", name)
    bins = {name: column.expected(sizes[name]) for name, column in columns.items()}
    # columns with the same shares in any order have the same null distribution
    keys = {name: (*_key(*bins[name]), sizes[name]) for name in columns}
    size = min(_TIMES * windows, max(_MOST // max(len(set(keys.values())), 1), _LEAST))
    distances = {
        key: chance.distances(np.array(key[0]), np.array(key[1]), key[2], size, seed)
        for key in set(keys.values())
    }
    return [
        _Side(f"{kind}.{name}", "high", limit.warning_high, limit.alert_high, tail)
        for name, column in columns.items()
        for kind, tail in _tails(name, column, sizes[name], rows, distances[keys[name]]).items()
        for limit in (checks.usual(kind, column.missing / max(column.rows, 1)),)
    ]


def _key(old: Floats, weights: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    order = np.lexsort((weights, old))
    return tuple(old[order].tolist()), tuple(weights[order].tolist())


def _tails(
    name: str, column: drift.Column, size: int, rows: int, distances: Mapping[str, chance.Tail]
) -> dict[str, chance.Tail]:
    """Return the null distribution of each check of a reference column.

    Parameters
    ----------
    size, rows : int
        How many rows of equal weight the window stands for, and how many it has.
    """
    known = column.rows - column.missing
    tails: dict[str, chance.Tail] = {}
    if known:
        tails["psi"] = distances["psi"]
    if column.is_number and known:
        filled = max(round(size * known / column.rows), 1)
        tails["ks"] = chance.Kolmogorov(max(round(filled * known / (filled + known)), 1))
    if name == PROBABILITY:
        return tails
    tails["missing"] = chance.missing(column.missing, column.rows, size)
    if known:
        tails["js"] = distances["js"]
    if column.is_number and known:
        tails["range"] = chance.beyond_both_ends(int(column.names_rows.sum()), rows)
    if column.is_few or not column.is_number:
        if known:
            tails["chi2"] = distances["chi2"]
        once, twice = (int(np.sum(column.names_rows == times)) for times in (1, 2))
        tails["unseen"] = chance.unseen(once, twice, column.rows_counted, rows)
    return tails


def _placed(sides: Sequence[_Side], budget: Mapping[str, float]) -> dict[str, Limit]:
    """Return the limits that chance exceeds within the budget."""
    shares = {
        name: _common(
            [side.tail.share(floor) for side in sides if (floor := _floor(side, name)) is not None],
            budget[name],
        )
        for name in ("warning", "alert")
    }
    # an alert is never more probable than a warning: its limit is at or beyond the warning's
    shares["alert"] = min(shares.values())
    limits: dict[str, Limit] = {}
    for side in sides:
        limit = limits.get(side.code, Limit())
        for name, share in shares.items():
            floor = _floor(side, name)
            if floor is None:
                continue
            value = max(floor, side.tail.limit(share))
            moved: dict[str, Any] = {
                f"{name}_{side.direction}": side.sign * value if np.isfinite(value) else None
            }
            if value > floor:
                moved["source"] = "learned"
            limit = replace(limit, **moved)
        limits[side.code] = limit
    return limits


def _left(name: str, whole: float, spent: float, others: Sequence[_Side]) -> float:
    """Return the budget of a group: what the others cannot use, and at least its own share."""
    theirs = sum(
        side.tail.share(floor) for side in others if (floor := _floor(side, name)) is not None
    )
    share = PERFORMANCE_SHARE if others else 1.0
    return max(share * whole, whole - theirs) - spent


def _floor(side: _Side, name: str) -> float | None:
    floor: float | None = getattr(side, name)
    return None if floor is None else side.sign * floor


def _common(shares: Sequence[float], budget: float) -> float:
    """Return the largest probability a for which the sum of min(a, share) is within the budget."""
    budget = max(budget, 1e-12)  # rounding error instead of 0
    ordered = np.sort(np.asarray(shares, dtype=np.float64))
    before = np.concatenate([[0.0], np.cumsum(ordered)])[:-1]
    left = len(ordered) - np.arange(len(ordered))
    # with a at the i-th share, smaller ones use their own share and the others use a
    fits = before + left * ordered <= budget
    if fits.all():
        return 1.0
    first = int(np.argmin(fits))
    return float((budget - before[first]) / left[first])


def _spent(sides: Sequence[_Side], limits: Mapping[str, Limit], name: str) -> float:
    """Return an upper bound on how often chance exceeds the limits for `name`, warning or alert."""
    total = 0.0
    for side in sides:
        limit = limits[side.code]
        ends = [getattr(limit, f"{which}_{side.direction}") for which in {name, "alert"}]
        total += max(
            (side.tail.share(side.sign * end) for end in ends if end is not None), default=0
        )
    return total


class _ReferenceSampler:
    """The reference as sums over its rows, so that a window is a vector of counts."""

    def __init__(self, reference: pd.DataFrame, threshold: float, seed: int) -> None:
        kept = np.arange(len(reference))
        if len(kept) > MAX_REFERENCE:
            kept = np.sort(np.random.default_rng(seed).choice(kept, MAX_REFERENCE, replace=False))
        frame = reference.iloc[kept]
        self.rows = len(kept)
        self.threshold = threshold
        self.labels = frame[LABEL].to_numpy(dtype=np.int64)
        self.forecast = frame[PROBABILITY].to_numpy(dtype=np.float64)
        self.weights = frame[WEIGHT].to_numpy(dtype=np.float64) if WEIGHT in frame else None
        place = calibration.equal_count_bins(self.forecast, 10)
        self.gaps = (self.forecast - self.labels)[:, None] * np.eye(int(place.max()) + 1)[place]
        whole = self.figures(np.ones((1, self.rows)))
        self.middle = {code: float(values[0]) for code, values in whole.items()}

    def figures(self, counts: Floats) -> dict[str, Floats]:
        """Return the metrics of the performance checks, one value per row of counts."""
        if self.weights is not None:
            # a drawn row comes with its weight
            counts = counts * self.weights
        table = metrics.weighted(counts, self.labels, self.forecast, self.threshold)
        figures = {str(name): table[name].to_numpy(dtype=np.float64) for name in table}
        rate = float(np.average(self.labels, weights=self.weights))
        if 0 < rate < 1:
            now = figures["base_rate"]
            of_reference = -now * np.log(rate) - (1 - now) * np.log(1 - rate)
            figures["skill_reference_rate"] = 1 - figures["log_loss"] / of_reference
        sizes = counts.sum(axis=1)
        figures["calibration_error"] = np.abs(counts @ self.gaps).sum(axis=1) / sizes
        return figures

    def draw(self, labels: int, windows: int, seed: int) -> Iterator[Draw]:
        """Yield the metrics of windows without drift, in batches of windows.

        Each is the reference's own value plus the difference between a drawn window and a drawn
        reference.
        """
        rng = np.random.default_rng(seed)
        step = max(1, _AT_ONCE // self.rows)
        for first in range(0, windows, step):
            count = min(step, windows - first)
            old = self._counts(rng, self.rows, count)
            yield self._losses(old, self._counts(rng, labels, count))

    def _counts(self, rng: np.random.Generator, size: int, count: int) -> Floats:
        counts = np.zeros((count, self.rows))
        for place in range(count):
            drawn = rng.integers(0, self.rows, size)
            counts[place] = np.bincount(drawn, minlength=self.rows)
        return counts

    def _losses(self, old: Floats, new: Floats) -> dict[str, Floats]:
        before, after = self.figures(old), self.figures(new)
        losses = {
            code: after[code] - before[code] + self.middle[code]
            for code in performance.NAMES
            if code in after
        }
        apart = np.abs(after["base_rate"] - before["base_rate"]) > performance.BASE_RATE_SHIFT
        for code in ("log_loss", "brier_score"):  # not judged if base rates differ too much
            losses[code] = np.where(apart, self.middle[code], losses[code])
        return {
            code: np.where(np.isnan(values), self.middle[code], values)
            for code, values in losses.items()
        }


def _all(parts: Iterator[Draw]) -> dict[str, Floats]:
    listed = list(parts)
    return {code: np.concatenate([part[code] for part in listed]) for code in listed[0]}


def _needed(sheet: _ReferenceSampler, target: float, seed: int) -> dict[str, int]:
    """Return how many labels detect each metric's usual alert limit with 80% power.

    The difference of a metric between a window of n labels and the reference of N has the variance
    s^2 (1/n + 1/N). It is detected if (z_alpha + z_power) standard errors are at most d, the
    distance from the reference to the usual limit; alpha is the metric's share of the false alarms.
    So n = s^2 / (d^2 / z^2 - s^2 / N); if the reference is too small for that, no number of labels
    is enough and the metric is left out.
    """
    from scipy import stats

    # at the reference's own size for any window: s depends on it a little
    size = sheet.rows
    drawn = _all(sheet.draw(size, 400, seed + 1))
    usual = performance.floors(sheet.middle)
    z = float(stats.norm.isf(target / max(len(usual), 1))) + _POWER_Z
    needed = {}
    for code, limit in usual.items():
        if code not in drawn:
            continue
        middle = sheet.middle[code]
        ends = [end for end in (limit.alert_low, limit.alert_high) if end is not None]
        way = min(abs(end - middle) for end in ends)
        row_variance = float(drawn[code].var()) / (1 / size + 1 / sheet.rows)
        left = (way / z) ** 2 - row_variance / sheet.rows
        if row_variance > 0 and left > 0:
            needed[code] = max(performance.MIN_LABELS, ceil(row_variance / left))
    return needed
