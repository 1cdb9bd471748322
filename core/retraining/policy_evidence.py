"""What a policy decides by: windows of reports, trends over them, and both in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.platform.messages import Message, Words
from core.retraining.policy_settings import Policy
from core.stats import checks, disagreement, estimation, forecast, support_checks
from core.stats.forecast import Trend
from core.stats.performance import NAMES

# Metrics of a window whose trend is estimated.
FORECAST = ("log_loss", "skill", "roc_auc", "calibration_error")
# Joint error rate of all their slopes, shared equally (Bonferroni).
ERROR_RATE = 0.05
# Titles of the checks that are not of a column.
TITLES: dict[str, Message] = {
    **NAMES,
    **estimation.TITLES,
    **support_checks.TITLES,
    "disagreement": disagreement.TITLE,
}
# An estimate without labels does not count as performance.
ESTIMATED = "estimated_"


@dataclass(frozen=True)
class Window:
    """The results of one report.

    Parameters
    ----------
    begin, end : float
        Of its rows, seconds since 1970.
    values, verdicts, groups : mapping of code to value
        Of its checks; `values` omits checks without one.
    limits : mapping of code to (alert_low, alert_high)
        None without a limit on that side.
    verdict, action : str
        Overall verdict and what to do about it, codes of `verdicts.conclude`; empty if unknown.
    why, todo : Message or str
        The verdict's reason and what to do about it, a sentence each.
    """

    run_id: str
    begin: float
    end: float
    rows: int
    labels: int
    values: Mapping[str, float]
    verdicts: Mapping[str, str]
    groups: Mapping[str, str]
    limits: Mapping[str, tuple[float | None, float | None]]
    verdict: str = ""
    action: str = ""
    why: Words = ""
    todo: Words = ""

    def alerts(self, *, performance: bool) -> list[str]:
        """Return the codes in alert: those of performance and calibration, or all others."""
        return [
            code
            for code, verdict in self.verdicts.items()
            if verdict == "alert"
            and (self.groups.get(code) == "performance" and not code.startswith(ESTIMATED))
            == performance
        ]


@dataclass(frozen=True)
class Forecast:
    """The trend of one metric."""

    code: str
    trend: Trend


def forecasts(policy: Policy, windows: Sequence[Window], *, now: float) -> list[Forecast]:
    """Return the trend of each metric of the windows, with its interval.

    The limits are those of the newest window with the metric. Empty with too few windows of
    different times with enough labels.
    """
    confidence = 1 - ERROR_RATE / len(FORECAST)
    projected = []
    for code in FORECAST:
        own = [window for window in with_labels(policy, windows) if code in window.values]
        if (
            len(own) < policy.min_windows
            or len({window.end for window in own}) < forecast.MIN_POINTS
        ):
            continue
        low, high = own[-1].limits.get(code, (None, None))
        trend = forecast.trend(
            [middle(window) for window in own],
            [window.values[code] for window in own],
            low=low,
            high=high,
            now=now,
            confidence=confidence,
        )
        projected.append(Forecast(code, trend))
    return projected


def middle(window: Window) -> float:
    """Return the midpoint of a window in time, seconds since 1970."""
    return (window.begin + window.end) / 2


def apart(windows: Sequence[Window]) -> list[Window]:
    """Return windows without repeated rows, oldest first.

    Of two whose periods share more than half of the shorter one, the later one in the given order
    stays: a repeated report, with more labels, is no second witness.

    Parameters
    ----------
    windows : sequence of Window
        In the order of the reports.

    Examples
    --------
    >>> def made(run_id, begin, end):
    ...     return Window(run_id, begin, end, 1, 1, {}, {}, {}, {})
    >>> [window.run_id for window in apart([made("a", 0, 10), made("b", 8, 20), made("c", 0, 10)])]
    ['c', 'b']
    """
    distinct: list[Window] = []
    for window in reversed(windows):
        if not any(_overlap(window, other) for other in distinct):
            distinct.append(window)
    # stable: at equal times, in the order of the reports
    distinct.reverse()
    return sorted(distinct, key=lambda window: window.end)


def listed(codes: Sequence[str], most: int = 4) -> list[Words]:
    """Return the names of checks as a parameter of a message, shortened if there are many.

    Examples
    --------
    >>> def words(codes):
    ...     return str(Message("{checks}", checks=listed(codes)))
    >>> words(["log_loss", "psi.x"]), words(list("abcdef"))
    ('Log loss and PSI: x', 'a, b, c, d and 2 more')
    """
    names = [titled(code) for code in codes]
    if len(names) <= most:
        return names
    return [*names[:most], Message("{count} more", count=len(names) - most)]


def titled(code: str) -> Words:
    """Return the title of a check by its code.

    Examples
    --------
    >>> str(titled("roc_auc")), str(titled("slice.period=4")), str(titled("psi.x"))
    ('ROC AUC', 'period=4', 'PSI: x')
    """
    if code.startswith("slice."):
        return code.removeprefix("slice.")
    return TITLES.get(code) or checks.column_title(code)


def _overlap(window: Window, other: Window) -> bool:
    if (window.begin, window.end, window.rows) == (other.begin, other.end, other.rows):
        return True
    shared = min(window.end, other.end) - max(window.begin, other.begin)
    return shared > 0.5 * min(window.end - window.begin, other.end - other.begin) and shared > 0


def with_labels(policy: Policy, windows: Sequence[Window]) -> list[Window]:
    """Return the windows with enough labels for a policy."""
    return [window for window in windows if window.labels >= policy.min_labels]


def sentence(expected: Forecast) -> Message:
    """Return a trend as a sentence about its metric.

    Examples
    --------
    >>> days = [0, forecast.DAY, 2 * forecast.DAY]
    >>> flat = forecast.trend(days, [1, 1, 1], low=None, high=2, now=0)
    >>> str(sentence(Forecast("log_loss", flat)))
    'Log loss: No trend beyond chance: +0 a day (95% interval +0 to +0).'
    """
    return Message("{name}: {value}", name=NAMES[expected.code], value=expected.trend.text)
