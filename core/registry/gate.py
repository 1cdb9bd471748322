"""The promotion gate: a verdict per rule, and the decision they add up to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from core.platform.messages import Message, Words, plural, sentences
from core.platform.schema import no_columns
from core.stats.check import Interval
from core.stats.slices import shown

Verdict = Literal["pass", "hold", "refuse", "not_applicable"]
Aim = Literal["better", "not_worse"]
TITLES = {
    "same_rows": Message("Same rows, new to both"),
    "better": Message("Log loss"),
    "slices": Message("No slice is harmed"),
    "calibration": Message("Calibration"),
    "latency": Message("Time per row"),
    "size": Message("Model size"),
    "schema": Message("Columns that callers send"),
}
NOT_COMPARED = Message("Not compared: there are too few rows, or another rule says why.")
END = Message("end of the difference's interval")
# types of columns
KINDS = {"number": Message("number"), "text": Message("text")}


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
    verdict : {"pass", "hold", "refuse", "not_applicable"}
    value, limit : float or None
        The value that is judged and its limit; None where there is none.
    text : Message
        What it means; for `not_applicable` the reason.
    judged : Message
        What the value is, where it is the end of an interval; otherwise empty.
    """

    code: str
    title: Words
    verdict: Verdict
    value: float | None
    limit: float | None
    text: Words
    judged: Words = ""


@dataclass(frozen=True)
class Decision:
    """The decision that all rules add up to, and the reason."""

    code: Literal["promote", "hold", "refuse", "unchanged"]
    text: Words


def same_rows(
    rows: int,
    trained_on: int,
    unanswered: int,
    *,
    problem: Words | None = None,
    limits: Limits = DEFAULT,
) -> Rule:
    """Check that there are enough rows that both models can score and neither was trained on.

    Parameters
    ----------
    trained_on, unanswered : int
        Excluded rows of the challenger's test set: one of the two was trained on them, or cannot
        score them.
    problem : Message, optional
        Why there are no such rows, in a sentence.

    Examples
    --------
    >>> str(same_rows(150, 1000, 0).text)
    "150 rows are new to both models; at least 200 are needed. 1,000 rows were left out: one
    of the two was trained on them or cannot score them. Train the challenger on the champion's
    split, or prepare a larger test set."
    """
    if problem is not None:
        return _rule("same_rows", "hold", None, limits.min_rows, problem)
    left_out: Words = ""
    if trained_on + unanswered:
        left_out = plural(
            "{count:,} row was left out: one of the two was trained on it or cannot score it.",
            "{count:,} rows were left out: one of the two was trained on them or cannot score "
            "them.",
            trained_on + unanswered,
        )
    compared = plural(
        "{count:,} row is new to both models; at least {min_rows:,} are needed.",
        "{count:,} rows are new to both models; at least {min_rows:,} are needed.",
        rows,
        min_rows=limits.min_rows,
    )
    if rows < limits.min_rows:
        text = sentences(
            compared,
            left_out,
            Message("Train the challenger on the champion's split, or prepare a larger test set."),
        )
        return _rule("same_rows", "hold", rows, limits.min_rows, text)
    return _rule("same_rows", "pass", rows, limits.min_rows, sentences(compared, left_out))


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
    figures = _difference(TITLES["better"], difference, interval)
    verdict: Verdict = "hold"
    if high < 0 if strictly else high <= margin:
        verdict = "pass"
        means = (
            Message("The challenger is better.")
            if strictly
            else Message("The challenger is not worse by more than {margin:g}.", margin=margin)
        )
    elif low > margin:
        verdict = "refuse"
        means = Message("The challenger is worse.")
    elif strictly:
        means = Message("The challenger is not significantly better: the interval contains zero.")
    else:
        means = Message("The challenger may be worse by more than {margin:g}.", margin=margin)
    return _rule("better", verdict, high, margin, sentences(means, figures), END)


def _difference(what: Message, difference: float, interval: Interval) -> Message:
    low, high = interval
    return Message(
        "{what}, challenger minus champion: {difference:+.4f} (95% interval {low:+.4f} to "
        "{high:+.4f}).",
        what=what,
        difference=float(difference),
        low=float(low),
        high=float(high),
    )


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
    ...     "difference": [0.02], "low": [0.01], "high": [0.03], "harmed": [True]})).verdict
    'hold'
    """
    judged = int(harm["low"].notna().sum())
    if not judged:
        text = NOT_COMPARED
        return _rule("slices", "not_applicable", None, 0, text)
    harmed = harm[harm["harmed"].astype(bool)].sort_values(
        "difference", ascending=False, kind="stable"
    )
    count = len(harmed)
    if not count:
        text = Message(
            "The challenger is not significantly worse on any of {count:,} slices.", count=judged
        )
        return _rule("slices", "pass", 0, 0, text)
    worst = [
        Message(
            "{column} = {value} ({difference:+.4f} nats on {rows:,} rows)",
            column=str(row["column"]),
            value=shown(row["value"]),
            difference=float(row["difference"]),
            rows=int(row["rows"]),
        )
        for row in harmed.head(3).to_dict("records")
    ]
    text = Message(
        "The challenger is worse on {number:,} of {count:,} slices: {slices}. Inspect these rows "
        "before promoting it.",
        number=count,
        count=judged,
        slices=worst,
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
    above_chance = Message(
        "The calibration error is {error:.4f}; chance gives a calibrated model up to {floor:.4f}.",
        error=float(error),
        floor=float(floor),
    )
    if error <= floor:
        return _rule("calibration", "pass", error, floor, above_chance)
    low, _high = interval
    compared = _difference(TITLES["calibration"], difference, interval)
    if low <= 0:
        text = sentences(above_chance, compared)
        return _rule("calibration", "pass", low, 0, text, END)
    text = sentences(above_chance, compared, Message("Train it with calibration."))
    return _rule("calibration", "hold", low, 0, text, END)


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
        lambda ms: Message("{value:.3g} ms per row", value=float(ms)),
    )


def size(challenger: float, champion: float, limits: Limits = DEFAULT) -> Rule:
    """Check that the challenger's file is not much larger; both in bytes.

    Examples
    --------
    >>> str(size(60e6, 12e3).text)
    'The challenger takes 60 MB, the champion 0.012 MB: the limit is 10 MB.'
    """
    return _within(
        "size",
        challenger,
        champion,
        limits.factor,
        limits.free_bytes,
        limits.max_bytes,
        lambda count: Message("{size:,g} MB", size=float(f"{count / 1e6:.3g}")),
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
    >>> str(schema(both, {"lat": "number"}, both).text)
    'The challenger needs columns that callers of the champion do not send: zone. Have them sent
    first.'
    """
    unknown = [name for name in challenger if name not in columns]
    if unknown:
        text = no_columns(unknown)
        return _rule("schema", "refuse", len(unknown), 0, text)
    known = {**columns, **champion}
    other = [name for name, kind in challenger.items() if known[name] != kind]
    if other:
        types = [
            Message(
                "{name} as {kind} instead of {known}",
                name=name,
                kind=KINDS[challenger[name]],
                known=KINDS[known[name]],
            )
            for name in other
        ]
        text = Message("The challenger expects columns of another type: {types}.", types=types)
        return _rule("schema", "refuse", len(other), 0, text)
    new = [name for name in challenger if name not in champion]
    if new:
        text = Message(
            "The challenger needs columns that callers of the champion do not send: {columns}. "
            "Have them sent first.",
            columns=new,
        )
        return _rule("schema", "hold", len(new), 0, text)
    if more_complete:
        text = Message(
            "The champion scores rows with missing values; the challenger refuses them. Prepare "
            "with imputation and train again."
        )
        return _rule("schema", "hold", None, None, text)
    text = Message("Callers of the champion send every column that the challenger requires.")
    return _rule("schema", "pass", 0, 0, text)


def not_applicable(code: str, reason: Words) -> Rule:
    """Return a rule that could not be checked, with the reason."""
    return _rule(code, "not_applicable", None, None, reason)


def decide(rules: Sequence[Rule]) -> Decision:
    """Decide to promote if no rule objects; a refusal outweighs a hold.

    Examples
    --------
    >>> decide([better(-0.001, (-0.003, 0.001))]).code
    'hold'
    >>> decide([not_applicable("better", Message("There is no champion yet."))]).code
    'promote'
    """
    refused = [rule.text for rule in rules if rule.verdict == "refuse"]
    held = [rule.text for rule in rules if rule.verdict == "hold"]
    if refused:
        return Decision("refuse", sentences(*refused, *held))
    if held:
        return Decision("hold", sentences(*held))
    passed = [rule for rule in rules if rule.verdict == "pass"]
    if not passed:
        reasons = dict.fromkeys(rule.text for rule in rules)
        return Decision("promote", sentences(*reasons))
    better_rule = [rule.text for rule in passed if rule.code == "better"]
    return Decision("promote", sentences(Message("No rule blocks the promotion."), *better_rule))


def as_table(rules: Sequence[Rule]) -> pd.DataFrame:
    """Return the rules as a table, a column per field.

    Examples
    --------
    >>> as_table([]).columns.tolist()
    ['code', 'title', 'verdict', 'value', 'limit', 'text', 'judged']
    """
    names = list(Rule.__dataclass_fields__)
    table = pd.DataFrame([vars(rule) for rule in rules], columns=names)
    return table.astype({"value": "float64", "limit": "float64"})


def _rule(
    code: str,
    verdict: Verdict,
    value: float | None,
    limit: float | None,
    text: Words,
    judged: Words = "",
) -> Rule:
    return Rule(code, TITLES[code], verdict, value, limit, text, judged)


def _within(
    code: str,
    challenger: float,
    champion: float,
    factor: float,
    free: float,
    most: float,
    words: Callable[[float], Message],
) -> Rule:
    sizes: dict[str, Any] = {"challenger": words(challenger), "champion": words(champion)}
    is_refused = challenger > most
    limit = most if is_refused else max(factor * champion, free)
    text = Message(
        "The challenger takes {challenger}, the champion {champion}: the limit is {most}.",
        **sizes,
        most=words(limit),
    )
    verdict: Verdict = "refuse" if is_refused else "hold" if challenger > limit else "pass"
    return _rule(code, verdict, challenger, limit, text)
