"""Limits learned from the reference: what chance alone does in windows of the same size.

A difference is judged by two questions. Does it matter (`performance.floors`, `checks.USUAL`)? Is
it more than chance (what windows drawn from the reference itself show)? A limit is the worse of
both answers, so that few rows raise no alarm by their number, and many rows none by theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.logic import checks, drift, intervals, metrics, performance
from core.logic.check import Limit as Limit
from core.logic.metrics import Floats

# Warnings may be raised by chance so many times as often as alerts: of a hundred reports on rows
# like the reference's, by default, two warn.
WARNINGS_PER_ALERT = 2
# Of a larger reference so many rows are drawn from; of a larger window so many rows are drawn.
MAX_REFERENCE, MAX_ROWS = 5_000, 10_000
# Counts held in memory at once.
_AT_ONCE = 2_000_000
# Share of the draws by which the tail of what chance does is measured.
_TAIL = 0.05
_POWER_Z = 0.8416  # one-sided 80% of the normal distribution
_SIDES: tuple[Literal["low", "high"], ...] = ("low", "high")

Draw = Mapping[str, Floats]


@dataclass(frozen=True)
class Learned:
    """Limits for windows of one size, and how often chance alone goes beyond them.

    Parameters
    ----------
    limits : dict of str to Limit
        By code of a check.
    target : float
        Share of windows without any change that may raise an alert, as it was asked for.
    false_alarms, false_alarms_low, false_alarms_high : float
        The share that did, of windows that the limits were not learned from, with its 95% interval
        (Wilson, 1927).
    warnings : float
        The share that raised an alert or a warning.
    windows : int
        How many windows that share is of.
    rows, labels : int
        Of a window.
    labels_needed : dict of str to int
        By performance check: from how many labels on a difference at the usual alert limit is told
        from chance in four of five windows, at this rate of false alarms. Without a check for which
        the reference itself is too small.
    """

    limits: Mapping[str, Limit]
    target: float
    false_alarms: float
    false_alarms_low: float
    false_alarms_high: float
    warnings: float
    windows: int
    rows: int
    labels: int
    labels_needed: Mapping[str, int] = field(default_factory=dict)


def learn(
    reference: pd.DataFrame,
    *,
    features: Sequence[str],
    rows: int,
    labels: int,
    threshold: float,
    support: npt.ArrayLike | None = None,
    chosen: Mapping[str, Limit] | None = None,
    target: float = 0.01,
    windows: int = 1600,
    seed: int = 0,
    tells_needed: bool = True,
) -> Learned:
    """Learn the limits of all checks for windows of one size, and count their false alarms.

    Pairs are drawn with replacement from the reference: another reference of its size, and a
    window. Both, because a real window differs from the population by its own chance and by the
    reference's. Half of the pairs teach: each of the k limits that chance can reach at all is moved
    to where chance goes beyond it in target / k of windows (Bonferroni), by the exponential tail of
    the draws beyond their 95% quantile (peaks over threshold; Pickands, 1975). The other half tells
    how often any is passed. Shares of unseen and out-of-range values are not drawn: windows of the
    reference have none, and their usual limits stay.

    Parameters
    ----------
    reference : DataFrame
        Features as the model sees them, `probability`, `label` (0 or 1).
    features : sequence of str
    rows, labels : int
        Of the window; labels at most rows. Fewer than 100 labels: no performance check is made.
    threshold : float
        Probability from which a row is labelled 1.
    support : array of bool, optional
        Which rows of the reference lie outside its own support, as `support.look` tells.
    chosen : mapping of str to Limit, optional
        Limits of a person, which win.
    target : float
        Above 0, below 1.
    windows : int
        Pairs to draw, 40 or more.
    tells_needed : bool
        Whether to work out how many labels an alarm needs, for which 400 more are drawn.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.2, 0.8, 1000)
    >>> frame = pd.DataFrame({"x": p, "probability": p, "label": rng.uniform(size=1000) < p})
    >>> found = learn(frame, features=["x"], rows=200, labels=200, threshold=0.5, windows=400)
    >>> found.limits["ks.x"].source, found.limits["ks.x"].warning_high > 0.1
    ('learned', True)
    >>> found.false_alarms <= 0.03
    True
    """
    sheet = _Sheet(reference, features, threshold, support, seed)
    judged = labels >= performance.MIN_LABELS
    drawn = _all(sheet.draw(rows, labels if judged else 0, windows, seed))
    half = windows // 2
    usual = {**sheet.usual(), **(chosen or {})}
    usual = {code: limit for code, limit in usual.items() if code in drawn}
    teaching = {code: values[:half] for code, values in drawn.items()}
    found = {
        code: replace(limit, source="set") if code in (chosen or {}) else limit
        for code, limit in _moved(usual, teaching, sheet.middle, target, set(chosen or {})).items()
    }
    telling = {code: values[half:] for code, values in drawn.items()}
    alarms, warned = _beyond(found, telling, "alert"), _beyond(found, telling, "warning")
    count = windows - half
    share, low, high = _share(int(alarms.sum()), count)
    return Learned(
        limits=found, target=target, false_alarms=share, false_alarms_low=low,
        false_alarms_high=high, warnings=float((alarms | warned).mean()), windows=count, rows=rows,
        labels=labels, labels_needed=_needed(sheet, target, seed) if tells_needed else {},
    )  # fmt: skip


def alarm_rate(
    reference: pd.DataFrame,
    learned: Learned,
    *,
    features: Sequence[str],
    threshold: float,
    support: npt.ArrayLike | None = None,
    windows: int,
    seed: int,
) -> tuple[float, float, float]:
    """Return the share of fresh windows of the reference with an alert, with its 95% interval.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.2, 0.8, 500)
    >>> frame = pd.DataFrame({"x": p, "probability": p, "label": rng.uniform(size=500) < p})
    >>> of = {"features": ["x"], "threshold": 0.5}
    >>> learned = learn(frame, rows=200, labels=200, windows=400, **of)
    >>> alarm_rate(frame, learned, windows=400, seed=1, **of)[0] <= 0.03
    True
    """
    sheet = _Sheet(reference, features, threshold, support, seed)
    judged = learned.labels if learned.labels >= performance.MIN_LABELS else 0
    alarms = sum(
        int(_beyond(learned.limits, part, "alert").sum())
        for part in sheet.draw(learned.rows, judged, windows, seed)
    )
    return _share(alarms, windows)


class _Sheet:
    """The reference as sums over its rows, so that a window is a vector of counts."""

    def __init__(
        self,
        reference: pd.DataFrame,
        features: Sequence[str],
        threshold: float,
        support: npt.ArrayLike | None,
        seed: int,
    ) -> None:
        kept = np.arange(len(reference))
        if len(kept) > MAX_REFERENCE:
            kept = np.sort(np.random.default_rng(seed).choice(kept, MAX_REFERENCE, replace=False))
        frame = reference.iloc[kept]
        self.rows = len(kept)
        self.threshold = threshold
        self.labels = frame["label"].to_numpy(dtype=np.int64)
        self.forecast = frame["probability"].to_numpy(dtype=np.float64)
        self.columns = [
            _Column(name, frame[name]) for name in dict.fromkeys([*features, "probability"])
        ]
        self.beyond = None if support is None else np.asarray(support, dtype=np.float64)[kept]
        place = metrics.equal_count_bins(self.forecast, 10)
        self.gaps = (self.forecast - self.labels)[:, None] * np.eye(int(place.max()) + 1)[place]
        whole = self.figures(np.ones((1, self.rows)))
        self.middle = {code: float(values[0]) for code, values in whole.items()}

    def usual(self) -> dict[str, Limit]:
        """Return the limits that hold whatever chance does."""
        found = performance.floors(self.middle)
        for column in self.columns:
            kinds = ("psi", "ks") if column.name == checks.PROBABILITY else tuple(checks.USUAL)
            found |= {
                f"{kind}.{column.name}": checks.usual(kind, float(column.gone.mean()))
                for kind in kinds
            }
        if self.beyond is not None:
            from core.logic import support

            found["outside_support"] = Limit(
                warning_high=support.SHARE_WARNING, alert_high=support.SHARE_ALERT
            )
        return found

    def figures(self, counts: Floats) -> dict[str, Floats]:
        """Return the figures of the performance checks, a value per line of counts."""
        table = metrics.weighted(counts, self.labels, self.forecast, self.threshold)
        found = {str(name): table[name].to_numpy(dtype=np.float64) for name in table}
        rate = float(self.labels.mean())
        if 0 < rate < 1:
            now = found["base_rate"]
            of_reference = -now * np.log(rate) - (1 - now) * np.log(1 - rate)
            found["skill_reference_rate"] = 1 - found["log_loss"] / of_reference
        sizes = counts.sum(axis=1)
        found["calibration_error"] = np.abs(counts @ self.gaps).sum(axis=1) / sizes
        return found

    def draw(self, rows: int, labels: int, windows: int, seed: int) -> Iterator[Draw]:
        """Yield what the checks would see in windows without any change, some windows at a time.

        Of a figure: its value if the reference's were that of the rows drawn from.
        """
        rng = np.random.default_rng(seed)
        step = max(1, _AT_ONCE // self.rows)
        size, known = min(rows, MAX_ROWS), min(labels, MAX_ROWS)
        for first in range(0, windows, step):
            count = min(step, windows - first)
            old = self._counts(rng, self.rows, count)
            labelled = self._counts(rng, known, count)
            new = labelled + self._counts(rng, size - min(known, size), count)
            yield {**self._moves(old, new), **(self._losses(old, labelled) if known else {})}

    def _counts(self, rng: np.random.Generator, size: int, count: int) -> Floats:
        found = np.zeros((count, self.rows))
        for place in range(count if size else 0):
            drawn = rng.integers(0, self.rows, size)
            found[place] = np.bincount(drawn, minlength=self.rows)
        return found

    def _losses(self, old: Floats, new: Floats) -> dict[str, Floats]:
        before, after = self.figures(old), self.figures(new)
        found = {
            code: after[code] - before[code] + self.middle[code]
            for code in performance.NAMES
            if code in after
        }
        apart = np.abs(after["base_rate"] - before["base_rate"]) > performance.BASE_RATE_SHIFT
        for code in ("log_loss", "brier_score"):  # they are not judged then
            found[code] = np.where(apart, self.middle[code], found[code])
        return {code: np.where(np.isnan(values), self.middle[code], values)
                for code, values in found.items()}  # fmt: skip

    def _moves(self, old: Floats, new: Floats) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for column in self.columns:
            found |= column.moves(old, new)
        if self.beyond is not None:
            found["outside_support"] = (new @ self.beyond) / new.sum(axis=1)
        return found


class _Column:
    """One column of the reference as bins and, for numbers, an order."""

    def __init__(self, name: str, values: pd.Series[Any]) -> None:
        self.name = name
        raw = np.asarray(values.to_numpy())
        place, _, size = drift.places(raw, raw)
        self.bins = np.eye(size)[place]
        self.gone = values.isna().to_numpy(dtype=np.float64)
        self.is_few = values.nunique() <= intervals.DISCRETE
        self.order = None
        if pd.api.types.is_numeric_dtype(values):
            numbers = raw.astype(np.float64)
            known = np.flatnonzero(~np.isnan(numbers))
            ordered = known[np.argsort(numbers[known], kind="stable")]
            # the distribution functions are compared after the last of equal values
            last = np.flatnonzero(np.diff(numbers[ordered], append=np.inf) > 0)
            if self.is_few and len(known) == len(numbers):
                steps = np.unique(numbers, return_inverse=True)[1]
                self.steps: Floats | None = np.eye(int(steps.max()) + 1)[steps]
            else:
                self.steps = None
            self.order, self.last = ordered, last

    def moves(self, old: Floats, new: Floats) -> dict[str, Floats]:
        """Return how far the column moved between two lines of counts, a value per line."""
        before, after = old @ self.bins, new @ self.bins
        found = {f"psi.{self.name}": drift.psi_of(before, after)}
        if self.order is not None:
            if self.steps is not None:
                sides = [np.cumsum(side @ self.steps, axis=1) for side in (old, new)]
            else:
                sides = [
                    np.cumsum(side[:, self.order], axis=1)[:, self.last] for side in (old, new)
                ]
            one, other = (side / np.maximum(side[:, -1:], 1) for side in sides)
            found[f"ks.{self.name}"] = np.abs(one - other).max(axis=1)
        if self.name != checks.PROBABILITY:
            shares = [side @ self.gone / side.sum(axis=1) for side in (old, new)]
            found[f"missing.{self.name}"] = shares[1] - shares[0] + self.gone.mean()
            found[f"js.{self.name}"] = drift.js_of(before, after)
            if self.is_few or self.order is None:
                found[f"chi2.{self.name}"] = drift.cramers_v_of(before, after)
        return found


def _all(parts: Iterator[Draw]) -> dict[str, Floats]:
    listed = list(parts)
    return {code: np.concatenate([part[code] for part in listed]) for code in listed[0]}


def _moved(
    usual: Mapping[str, Limit],
    drawn: Draw,
    middle: Mapping[str, float],
    target: float,
    fixed: set[str],
) -> dict[str, Limit]:
    """Return the limits, moved to where chance goes beyond them as seldom as is asked for."""
    found = dict(usual)
    for name, rate in (("warning", min(target * WARNINGS_PER_ALERT, 0.5)), ("alert", target)):
        reached = [
            (code, side)
            for code, limit in usual.items()
            for side in _SIDES
            if code not in fixed
            and (floor := getattr(limit, f"{name}_{side}")) is not None
            and np.any(drawn[code] > floor if side == "high" else drawn[code] < floor)
        ]
        for code, side in reached:
            sign = 1.0 if side == "high" else -1.0
            chance = sign * _quantile(sign * drawn[code], rate / len(reached))
            floor = float(getattr(usual[code], f"{name}_{side}"))
            worse = max if side == "high" else min
            if worse(floor, chance) != floor:
                moved: dict[str, Any] = {f"{name}_{side}": chance, "source": "learned"}
                found[code] = replace(found[code], **moved)
    return found


def _quantile(values: Floats, beyond: float) -> float:
    """Return what so small a share of values lies above, by the exponential tail of the draws."""
    if beyond >= _TAIL:
        return float(np.quantile(values, 1 - beyond))
    start = float(np.quantile(values, 1 - _TAIL))
    excess = values[values > start] - start
    if not len(excess):
        return start
    return start + float(excess.mean()) * float(np.log(_TAIL / beyond))


def _beyond(
    limits: Mapping[str, Limit], drawn: Draw, name: Literal["warning", "alert"]
) -> npt.NDArray[np.bool_]:
    """Return for each window whether any value is beyond its limit."""
    found = np.zeros(len(next(iter(drawn.values()))), dtype=bool)
    for code, limit in limits.items():
        if code not in drawn:
            continue
        low, high = getattr(limit, f"{name}_low"), getattr(limit, f"{name}_high")
        # distances are beyond a limit at it, see `checks`
        if high is not None:
            found |= drawn[code] >= high if "." in code else drawn[code] > high
        if low is not None:
            found |= drawn[code] < low
    return found


def _needed(sheet: _Sheet, target: float, seed: int) -> dict[str, int]:
    """Return how many labels an alarm of each figure needs at its usual limit, with 80% power.

    A difference of the figure between a window of n labels and the reference of N has the variance
    s^2 (1/n + 1/N). It is told from chance where (z_alpha + z_power) of its standard errors are no
    more than d, the way from the reference to the usual limit; alpha is the share that one of these
    figures may take of the false alarms. So n = s^2 / (d^2 / z^2 - s^2 / N); where the reference is
    too small for that, no number of labels is enough, and there is none.
    """
    from scipy import stats

    # at the reference's own size, whatever the window's: s hangs a little on it
    size = sheet.rows
    drawn = _all(sheet.draw(size, size, 400, seed + 1))
    usual = performance.floors(sheet.middle)
    z = float(stats.norm.isf(target / max(len(usual), 1))) + _POWER_Z
    found = {}
    for code, limit in usual.items():
        if code not in drawn:
            continue
        middle = sheet.middle[code]
        ends = [end for end in (limit.alert_low, limit.alert_high) if end is not None]
        way = min(abs(end - middle) for end in ends)
        of_one = float(drawn[code].var()) / (1 / size + 1 / sheet.rows)
        left = (way / z) ** 2 - of_one / sheet.rows
        if of_one > 0 and left > 0:
            found[code] = max(performance.MIN_LABELS, ceil(of_one / left))
    return found


def _share(count: int, whole: int) -> tuple[float, float, float]:
    share = count / whole
    low, high = intervals.wilson(pd.Series([share]), pd.Series([whole]))
    return share, float(low[0]), float(high[0])
