"""The promotion gate: a verdict per rule, and the decision they add up to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd

from core.stats.metrics import Floats, Labels, calibration_error

Interval = tuple[float, float]

Verdict = Literal["pass", "hold", "refuse", "not_applicable"]
Aim = Literal["better", "not_worse"]
TITLES = {
    "same_rows": "Same rows, new to both",
    "better": "Log loss",
    "slices": "No slice is harmed",
    "calibration": "Calibration",
    "latency": "Time per row",
    "size": "Size of the model",
    "schema": "Columns that callers send",
}


@dataclass(frozen=True)
class Limits:
    """Limits that the rules apply to a challenger.

    Parameters
    ----------
    aim : {"better", "not_worse"}
        Whether it must be shown to be better, or not to be worse by more than `margin`.
    margin : float
        Log loss, nats, 0 or more; only for `not_worse`.
    min_rows : int
        Fewest rows to compare on: at 200 the interval of a log loss difference is wider than most
        differences.
    factor : float
        Most times as slow, or as large, as the champion.
    free_ms, free_bytes : float
        Values below pass, whatever the champion's.
    max_ms, max_bytes : float
        Values above are refused, whatever the champion's.
    """

    aim: Aim = "better"
    margin: float = 0.0
    min_rows: int = 200
    factor: float = 3.0
    free_ms: float = 0.1
    max_ms: float = 10.0
    free_bytes: float = 10e6
    max_bytes: float = 500e6


DEFAULT = Limits()


@dataclass(frozen=True)
class Rule:
    """One rule and its result.

    Parameters
    ----------
    code : str
        A key of TITLES.
    title : str
        Its value in TITLES.
    verdict : {"pass", "hold", "refuse", "not_applicable"}
    value, limit : float or None
        The measured value and its limit; None where there is none.
    text : str
        What it means; for `not_applicable` the reason.
    """

    code: str
    title: str
    verdict: Verdict
    value: float | None
    limit: float | None
    text: str


@dataclass(frozen=True)
class Decision:
    """The decision that all rules add up to, and the reason."""

    code: Literal["promote", "hold", "refuse", "unchanged"]
    text: str


def calibration_change(
    labels: Labels, challenger: Floats, champion: Floats, *, resamples: int = 200, seed: int = 0
) -> tuple[float, Interval]:
    """Return challenger minus champion of the calibration error, and the range of 95% of resamples.

    The same rows are drawn for both, with replacement (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993). This is the spread of the observed difference, not a confidence interval of
    the true one: chance inflates a small error more than a large one, so that differences below the
    effect of chance on one error are understated (docs/decisions/0038), and a challenger passes
    rather than being held.

    Parameters
    ----------
    labels : array of int, shape (n,)
        0 or 1; at least one row.
    challenger, champion : array of float, shape (n,)
        Their predicted probabilities of label 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.1, 0.7, 2000)
    >>> y = (rng.uniform(size=2000) < p).astype(int)
    >>> change, (low, high) = calibration_change(y, p + 0.1, p)
    >>> 0 < low < change < high < 0.12
    True
    """
    rng = np.random.default_rng(seed)
    changes = np.empty(resamples)
    for i in range(resamples):
        drawn = rng.integers(0, len(labels), len(labels))
        new, old = (
            calibration_error(labels[drawn], probabilities[drawn])
            for probabilities in (challenger, champion)
        )
        changes[i] = new - old
    low, high = np.quantile(changes, [0.025, 0.975])
    change = calibration_error(labels, challenger) - calibration_error(labels, champion)
    return change, (float(low), float(high))


def same_rows(
    rows: int,
    trained_on: int,
    unanswered: int,
    *,
    problem: str | None = None,
    limits: Limits = DEFAULT,
) -> Rule:
    """Check that there are enough rows that both models can score and neither was trained on.

    Parameters
    ----------
    rows : int
        Number of those rows.
    trained_on, unanswered : int
        Excluded rows of the challenger's test set: one of the two was trained on them, or cannot
        score them.
    problem : str, optional
        Why there are no such rows, in a sentence.

    Examples
    --------
    >>> same_rows(150, 1000, 0).text
    'Only 150 rows are new to both; 200 are needed to tell two models apart. 1,000 rows were left
    out: one of the two was trained on them. Train the challenger on the split of the champion, or
    prepare a larger test set.'
    """
    if problem is not None:
        return _rule("same_rows", "hold", None, limits.min_rows, problem)
    left = ""
    if trained_on:
        left += f" {_rows(trained_on)} left out: one of the two was trained on them."
    if unanswered:
        left += f" {_rows(unanswered)} left out: a value is missing that one of the two needs."
    if rows < limits.min_rows:
        text = (
            f"Only {rows:,} rows are new to both; {limits.min_rows:,} are needed to tell two "
            f"models apart.{left} Train the challenger on the split of the champion, or prepare a "
            "larger test set."
        )
        return _rule("same_rows", "hold", rows, limits.min_rows, text)
    text = f"Both were asked on the same {rows:,} rows, which neither was trained on.{left}"
    return _rule("same_rows", "pass", rows, limits.min_rows, text)


def better(difference: float, interval: Interval, limits: Limits = DEFAULT) -> Rule:
    """Check that the challenger's log loss is lower, or not higher by more than the margin.

    Parameters
    ----------
    difference : float
        Challenger minus champion, nats.
    interval : (low, high)
        Its interval, from a paired bootstrap.

    Examples
    --------
    >>> better(-0.004, (-0.006, -0.002)).verdict, better(-0.001, (-0.003, 0.001)).verdict
    ('pass', 'hold')
    >>> better(0.001, (-0.001, 0.003), Limits(aim="not_worse", margin=0.005)).verdict
    'pass'
    """
    low, high = interval
    strictly = limits.aim == "better"
    margin = 0.0 if strictly else limits.margin
    figures = (
        f"Challenger minus champion is {difference:+.4f} nats (95% interval {low:+.4f} to "
        f"{high:+.4f})."
    )
    if high < 0 if strictly else high <= margin:
        means = (
            "The challenger is better."
            if strictly
            else f"The challenger is not worse by more than {margin:g}."
        )
        return _rule("better", "pass", difference, margin, f"{means} {figures}")
    if low > margin:
        means = (
            "The challenger is worse."
            if strictly
            else f"The challenger is worse by more than {margin:g}."
        )
        return _rule("better", "refuse", difference, margin, f"{means} {figures}")
    means = (
        "The challenger is not shown to be better: the interval holds zero."
        if strictly
        else f"The challenger may be worse by more than {margin:g}."
    )
    return _rule("better", "hold", difference, margin, f"{means} {figures}")


def slices(harm: pd.DataFrame) -> Rule:
    """Check that the challenger harms no slice.

    Parameters
    ----------
    harm : DataFrame
        As returned by `slices.harm`: a row per slice with `column`, `value`, `rows`, `difference`
        (challenger minus champion, nats), `low`, `high` (NaN where it was not judged), `harmed`.

    Examples
    --------
    >>> slices(pd.DataFrame({"column": ["period"], "value": ["4"], "rows": [900],
    ...     "difference": [0.02], "low": [0.01], "high": [0.03], "harmed": [True]})).text
    'The challenger is worse on period = 4 (+0.0200 nats on 900 rows). Look at these rows before it
    answers for them.'
    """
    judged = int(harm["low"].notna().sum())
    if not judged:
        text = "There is no slice with enough rows to compare on."
        return _rule("slices", "not_applicable", None, 0, text)
    harmed = harm[harm["harmed"].astype(bool)].sort_values(
        "difference", ascending=False, kind="stable"
    )
    count = len(harmed)
    if not count:
        text = f"On none of {judged:,} slices is the challenger shown to be worse."
        return _rule("slices", "pass", 0, 0, text)
    named = [
        f"{row['column']} = {row['value']} ({row['difference']:+.4f} nats on {row['rows']:,} rows)"
        for row in harmed.head(3).to_dict("records")
    ]
    more = f" and {count - 3:,} more" if count > 3 else ""
    text = (
        f"The challenger is worse on {', '.join(named)}{more}. Look at these rows before it "
        "answers for them."
    )
    return _rule("slices", "hold", count, 0, text)


def calibration(error: float, floor: float, difference: float, interval: Interval) -> Rule:
    """Check that the challenger is as well calibrated as the champion.

    It is held only if its calibration error is above what chance alone gives a calibrated model,
    and clearly above the champion's.

    Parameters
    ----------
    error : float
        The challenger's expected calibration error, 0 to 1.
    floor : float
        95% quantile of the error of a calibrated model on as many rows.
    difference : float
        Challenger minus champion.
    interval : (low, high)
        Its interval, see `calibration_change`.

    Examples
    --------
    >>> calibration(0.05, 0.02, 0.03, (0.02, 0.04)).verdict
    'hold'
    >>> calibration(0.05, 0.02, 0.001, (-0.01, 0.012)).verdict
    'pass'
    """
    figures = f"Its calibration error is {error:.4f}"
    if error <= floor:
        text = f"{figures}, within what chance gives a calibrated model ({floor:.4f})."
        return _rule("calibration", "pass", error, floor, text)
    low, high = interval
    against = (
        f"({difference:+.4f} against the champion, 95% of resamples {low:+.4f} to {high:+.4f})"
    )
    if low <= 0:
        text = (
            f"{figures}, above what chance gives a calibrated model ({floor:.4f}), but not clearly "
            f"above the champion's {against}."
        )
        return _rule("calibration", "pass", error, floor, text)
    text = (
        f"{figures}, above what chance gives a calibrated model ({floor:.4f}) and above the "
        f"champion's {against}. Train it with calibration."
    )
    return _rule("calibration", "hold", error, floor, text)


def latency(challenger: float, champion: float, limits: Limits = DEFAULT) -> Rule:
    """Check that the challenger is not much slower; both in milliseconds per row, in process.

    Examples
    --------
    >>> latency(0.02, 0.001).verdict, latency(0.5, 0.1).verdict, latency(11.0, 10.0).verdict
    ('pass', 'hold', 'refuse')
    """
    return _within(
        "latency",
        challenger,
        champion,
        limits.factor,
        limits.free_ms,
        limits.max_ms,
        lambda ms: f"{ms:.3g} ms a row",
    )


def size(challenger: float, champion: float, limits: Limits = DEFAULT) -> Rule:
    """Check that the challenger's file is not much larger; both in bytes.

    Examples
    --------
    >>> size(60e6, 12e3).text
    'The challenger takes 60 MB, the champion 0.012 MB: more than 3 times as much.'
    """
    return _within(
        "size",
        challenger,
        champion,
        limits.factor,
        limits.free_bytes,
        limits.max_bytes,
        lambda count: f"{count / 1e6:.2g} MB" if count < 1e8 else f"{count / 1e6:,.0f} MB",
    )


def schema(
    challenger: Mapping[str, str],
    champion: Mapping[str, str],
    columns: Mapping[str, str],
    *,
    more_complete: bool = False,
) -> Rule:
    """Check that callers of the champion can call the challenger unchanged.

    Parameters
    ----------
    challenger, champion : mapping of str to {"number", "text"}
        The raw input columns of each.
    columns : mapping of str to {"number", "text"}
        The project's columns.
    more_complete : bool
        Whether the challenger refuses rows with a missing value that the champion scores.

    Examples
    --------
    >>> both = {"lat": "number", "zone": "text"}
    >>> schema({"lat": "number"}, both, both).verdict
    'pass'
    >>> schema(both, {"lat": "number"}, both).text
    'The challenger needs columns that callers of the champion do not send: zone. Let them send
    these first.'
    """
    unknown = [name for name in challenger if name not in columns]
    if unknown:
        text = f"The challenger takes what are no columns of the project: {', '.join(unknown)}."
        return _rule("schema", "refuse", len(unknown), 0, text)
    known = {**columns, **champion}
    other = [name for name, kind in challenger.items() if known[name] != kind]
    if other:
        types = [f"{name} as {challenger[name]} instead of {known[name]}" for name in other]
        text = f"The challenger takes columns as another type: {', '.join(types)}."
        return _rule("schema", "refuse", len(other), 0, text)
    new = [name for name in challenger if name not in champion]
    if new:
        text = (
            "The challenger needs columns that callers of the champion do not send: "
            f"{', '.join(new)}. Let them send these first."
        )
        return _rule("schema", "hold", len(new), 0, text)
    if more_complete:
        text = (
            "The champion answers rows with missing values, the challenger refuses them. Have "
            "missing values imputed when you prepare, and train again."
        )
        return _rule("schema", "hold", None, None, text)
    text = "The challenger takes no column that callers of the champion do not send."
    return _rule("schema", "pass", 0, 0, text)


def not_applicable(code: str, reason: str) -> Rule:
    """Return a rule that could not be checked, with the reason."""
    return _rule(code, "not_applicable", None, None, reason)


def decide(rules: Sequence[Rule]) -> Decision:
    """Decide to promote if no rule objects; a refusal outweighs a hold.

    Examples
    --------
    >>> decide([better(-0.001, (-0.003, 0.001))]).code
    'hold'
    >>> decide([not_applicable("better", "There is no champion yet.")]).code
    'promote'
    """
    refused = [rule for rule in rules if rule.verdict == "refuse"]
    held = [rule for rule in rules if rule.verdict == "hold"]
    if refused:
        return Decision("refuse", " ".join(["Refused.", *(rule.text for rule in refused + held)]))
    if held:
        return Decision("hold", " ".join(["Held back.", *(rule.text for rule in held)]))
    passed = [rule for rule in rules if rule.verdict == "pass"]
    if not passed:
        reasons = dict.fromkeys(rule.text for rule in rules)
        return Decision("promote", " ".join(["Promoted.", *reasons]))
    better_rule = [rule.text for rule in passed if rule.code == "better"]
    return Decision("promote", " ".join(["Promoted: no rule is against it.", *better_rule]))


def as_table(rules: Sequence[Rule]) -> pd.DataFrame:
    """Return the rules as a table, a column per field.

    Examples
    --------
    >>> as_table([]).columns.tolist()
    ['code', 'title', 'verdict', 'value', 'limit', 'text']
    """
    names = list(Rule.__dataclass_fields__)
    table = pd.DataFrame([asdict(rule) for rule in rules], columns=names)
    return table.astype({"value": "float64", "limit": "float64"})


def _rule(code: str, verdict: Verdict, value: float | None, limit: float | None, text: str) -> Rule:
    return Rule(code, TITLES[code], verdict, value, limit, text)


def _within(
    code: str,
    challenger: float,
    champion: float,
    factor: float,
    free: float,
    most: float,
    words: Callable[[float], str],
) -> Rule:
    both = f"The challenger takes {words(challenger)}, the champion {words(champion)}"
    if challenger > most:
        text = f"{both}; at most {words(most)} are taken."
        return _rule(code, "refuse", challenger, most, text)
    limit = max(factor * champion, free)
    if challenger > limit:
        text = f"{both}: more than {factor:g} times as much."
        return _rule(code, "hold", challenger, limit, text)
    return _rule(code, "pass", challenger, limit, f"{both}.")


def _rows(count: int) -> str:
    return f"{count:,} row was" if count == 1 else f"{count:,} rows were"
