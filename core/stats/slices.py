"""Metrics by slice, with intervals corrected for the number of slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.messages import Message, Words, plural
from core.stats import calibration, intervals, metrics

Floats = npt.NDArray[np.float64]

# Numbers with more distinct values are put into bands.
DISCRETE = 12
BANDS = 5
# A larger gap between mean prediction and observed share is a bias.
BIAS = 0.05
# Error rate of all judged slices together.
ERROR_RATE = 0.05
# the slice of the rows that have no value
MISSING = "missing"
_WORST_FIRST = ("biased", "no_skill", "ok", "too_few")


FINDING_LABELS: dict[str, Message] = {
    "biased": Message("biased"),
    "no_skill": Message("no skill"),
    "ok": Message("ok"),
    "too_few": Message("too few rows"),
}


@dataclass(frozen=True)
class _Slice:
    column: str
    value: str
    places: npt.NDArray[np.int64]  # of its labelled rows


def by_slice(
    rows: pd.DataFrame,
    labels: npt.NDArray[Any],
    probabilities: Floats,
    columns: Sequence[str],
    threshold: float,
    min_rows: int = 50,
    weights: Floats | None = None,
) -> pd.DataFrame:
    """Return the metrics of each slice of the rows, and which slices the model serves badly.

    The worst of many slices is bad by chance. So the intervals cover their true values in 95% of
    cases for all judged slices together: each of S has an error rate of 0.05 / S (Bonferroni), with
    standard errors by the delta method and Student's t. The standard error of a gap is at least
    what the predictions imply, as rare labels would make it seem smaller.

    Parameters
    ----------
    rows : DataFrame
        With `columns`; not modified.
    labels : array, shape (n,)
        0, 1, or NaN: rows without a label are ignored.
    probabilities : array of float, shape (n,)
        Probability of 1.
    columns : sequence of str
        Numbers with more than 12 distinct values are put into up to 5 bands of equal count;
        otherwise each value is a slice. Missing is a slice too.
    threshold : float
        Probability from which a row is labelled 1.
    min_rows : int
        Slices with fewer labelled rows are shown but not judged.
    weights : array of float, shape (n,), optional
        Sampling weight of each row; one of weight 0 counts as not labelled.

    Returns
    -------
    DataFrame
        A row per slice, worst first: `column`, `value`, `rows` (labelled), `base_rate`,
        `mean_probability`, `gap` (mean probability minus base rate) with `low` and `high`,
        `log_loss`, `skill` (over the slice's own base rate), `roc_auc`, `f1`, `finding`, `text`.
        Findings: "too_few"; "biased" if even the better end of the gap's interval is beyond 0.05;
        "no_skill" if the interval of the skill is entirely below 0; "ok". Skill and roc_auc are NaN
        with one class.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"kind": np.repeat(["a", "b"], 500)})
    >>> labels = (rng.uniform(size=1000) < np.repeat([0.5, 0.2], 500)).astype(int)
    >>> table = by_slice(frame, labels, np.full(1000, 0.5), ["kind"], 0.5)
    >>> table[["value", "finding"]].to_numpy().tolist()
    [['b', 'biased'], ['a', 'ok']]
    """
    if weights is not None:
        labels = np.where(weights > 0, labels.astype(np.float64), np.nan)
    slices = _slices(rows, labels, columns)
    judged = sum(len(group.places) >= min_rows for group in slices)
    lines = []
    for group in slices:
        label, forecast = labels[group.places].astype(np.float64), probabilities[group.places]
        weight = _of(weights, group)
        figures = {
            "column": group.column,
            "value": group.value,
            **_figures(label, forecast, threshold, weight),
        }
        if len(label) < min_rows:
            finding, order, text = "too_few", float(len(label)), _too_few(len(label), min_rows)
        else:
            reach = _reach(len(label), judged)
            gap_error, skill_error = _errors(label, forecast, weight)
            low, high = (figures["gap"] + sign * reach * gap_error for sign in (-1, 1))
            figures |= {"low": low, "high": high}
            surely = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
            at_most = figures["skill"] + reach * skill_error
            finding, order, text = _judge(figures, surely, at_most)
        lines.append(figures | {"finding": finding, "text": text, "order": order})
    names = [
        "column",
        "value",
        "rows",
        "base_rate",
        "mean_probability",
        "gap",
        "low",
        "high",
        "log_loss",
        "skill",
        "roc_auc",
        "f1",
        "finding",
        "text",
    ]
    table = pd.DataFrame(lines, columns=[*names, "order"])
    rank = table["finding"].map(_WORST_FIRST.index).astype("int64")
    # stable: ties keep the order of the columns
    ranked = table.assign(rank=rank, size=table["gap"].abs()).sort_values(
        ["rank", "order", "size"], ascending=[True, False, False], kind="stable", ignore_index=True
    )
    return ranked[names].astype({"rows": "int64"})


def shown(value: object) -> Words:
    """Return the value of a slice for people.

    Examples
    --------
    >>> str(shown("3 – 5")), str(shown(MISSING))
    ('3 – 5', 'missing')
    """
    return Message("missing") if value == MISSING else str(value)


def in_bands(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both with slice names as values, so that bands are the same in both.

    Number bands have equal counts over both together; missing values stay missing.

    Examples
    --------
    >>> old, new = pd.DataFrame({"x": np.arange(50)}), pd.DataFrame({"x": [49, 50]})
    >>> [side["x"].iloc[-1] for side in in_bands(old, new)]
    ['42 – 50', '42 – 50']
    """
    names: dict[str, list[str | None]] = {}
    for column in reference:
        both = pd.concat([reference[column], current[column]], ignore_index=True)
        of_slices, place = _values(both)
        names[str(column)] = [of_slices[number] if number >= 0 else None for number in place]
    named = pd.DataFrame(names, dtype="object")
    first, second = named.iloc[: len(reference)], named.iloc[len(reference) :]
    return first.reset_index(drop=True), second.reset_index(drop=True)


def harm(
    rows: pd.DataFrame,
    labels: npt.NDArray[Any],
    challenger: Floats,
    champion: Floats,
    columns: Sequence[str],
    min_rows: int = 50,
    margin: float = 0.0,
    weights: Floats | None = None,
) -> pd.DataFrame:
    """Find the slices on which a challenger's log loss is significantly worse than the champion's.

    A rule of promotion: better overall must not mean worse for some. Differences are paired
    (`intervals.difference`), and the intervals are corrected as in `by_slice`, so that at most
    about 5% of harmless challengers are reported to harm a slice.

    Parameters
    ----------
    challenger, champion : array of float, shape (n,)
        Probability of 1.
    margin : float
        Increase in log loss, in nats, that is tolerated; 0 or more.
    weights : array of float, shape (n,), optional
        Sampling weight of each row, positive.

    Returns
    -------
    DataFrame
        A row per slice, worst first: `column`, `value`, `rows` (labelled),
        `log_loss_challenger`, `log_loss_champion`, `difference` (challenger minus champion) with
        `low` and `high`, `harmed` (whether the interval is entirely above the margin), `text`.
        Slices with too few rows have no interval (NaN) and are not harmed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"kind": np.repeat(["a", "b"], 500)})
    >>> truth = rng.uniform(size=1000)
    >>> labels = (rng.uniform(size=1000) < truth).astype(int)
    >>> worse = np.where(frame["kind"] == "b", 0.5, truth)
    >>> harm(frame, labels, worse, truth, ["kind"])[["value", "harmed"]].to_numpy().tolist()
    [['b', True], ['a', False]]
    """
    slices = _slices(rows, labels, columns)
    judged = sum(len(group.places) >= min_rows for group in slices)
    first, second = (metrics.log_losses(labels, side) for side in (challenger, champion))
    lines = []
    for group in slices:
        weight = _of(weights, group)
        ours, theirs = _mean(first[group.places], weight), _mean(second[group.places], weight)
        count, low, high = len(group.places), np.nan, np.nan
        if count >= min_rows:
            low, high = intervals.difference(
                intervals.influences((first - second)[group.places], weight),
                labels[group.places],
                outside=ERROR_RATE / judged,
            )
        harmed = bool(low > margin + metrics.ROUNDING)
        if count < min_rows:
            text = _too_few(count, min_rows)
        else:
            text = Message(
                "The log loss changes by {difference:+.4f}, at least {low:+.4f} (95%).",
                difference=ours - theirs,
                low=float(low),
            )
        lines.append(
            (group.column, group.value, count, ours, theirs, ours - theirs, low, high, harmed, text)
        )
    names = [
        "column",
        "value",
        "rows",
        "log_loss_challenger",
        "log_loss_champion",
        "difference",
        "low",
        "high",
        "harmed",
        "text",
    ]
    table = pd.DataFrame(lines, columns=names).astype({"rows": "int64", "harmed": "bool"})
    return table.sort_values(["low", "rows"], ascending=False, kind="stable", ignore_index=True)


def _slices(rows: pd.DataFrame, labels: npt.NDArray[Any], columns: Sequence[str]) -> list[_Slice]:
    labelled = ~np.isnan(labels.astype(np.float64))
    slices = []
    for column in columns:
        names, place = _values(rows[column])
        if (place < 0).any():
            place = np.where(place < 0, len(names), place)
            names = [*names, MISSING]
        slices += [
            _Slice(column, name, np.flatnonzero((place == number) & labelled))
            for number, name in enumerate(names)
        ]
    return slices


def _values(column: pd.Series[Any]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the names of the column's slices, and each row's index among them (-1: missing)."""
    missing = column.isna().to_numpy()
    place = np.full(len(column), -1)
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        texts = column[~missing].astype(str).to_numpy(dtype=str)
        names, place[~missing] = np.unique(texts, return_inverse=True)
        return [str(name) for name in names], place
    known = column[~missing].to_numpy(dtype=np.float64)
    distinct, place[~missing] = np.unique(known, return_inverse=True)
    if len(distinct) <= DISCRETE:
        return _distinct_texts(distinct), place
    place[~missing] = calibration.equal_count_bins(known, BANDS)
    parts = [known[place[~missing] == band] for band in range(place.max() + 1)]
    firsts, lasts = np.array([[part.min(), part.max()] for part in parts]).T
    written = np.unique([*firsts, *lasts])
    text_of = dict(zip(written, _distinct_texts(written), strict=True))
    ends = zip(firsts, lasts, strict=True)
    names = [
        text_of[low] if low == high else f"{text_of[low]} – {text_of[high]}" for low, high in ends
    ]
    return names, place


def _distinct_texts(numbers: Floats) -> list[str]:
    """Format different numbers differently, with as few digits as that takes."""
    if np.all(numbers % 1 == 0):
        return [f"{number:.0f}" for number in numbers]
    texts = []
    for digits in range(max(3, len(f"{np.abs(numbers).max():.0f}")), 18):
        texts = [f"{number:.{digits}g}" for number in numbers]
        if len(set(texts)) == len(set(numbers)):
            break
    return texts


def _of(weights: Floats | None, group: _Slice) -> Floats | None:
    return None if weights is None else weights[group.places]


def _figures(
    label: Floats, forecast: Floats, threshold: float, weights: Floats | None
) -> dict[str, Any]:
    named = ("base_rate", "log_loss", "skill", "roc_auc", "f1")
    figures = dict.fromkeys((*named, "mean_probability", "gap"), np.nan)
    if len(label):
        counts = np.ones(len(label)) if weights is None else weights
        table = metrics.weighted(counts[None], label.astype(np.int64), forecast, threshold)
        figures |= {name: float(table[name].iloc[0]) for name in named}
        figures["gap"] = float(table["calibration"].iloc[0])
        figures["mean_probability"] = figures["base_rate"] + figures["gap"]
    return {"rows": len(label), **figures, "low": np.nan, "high": np.nan}


def _errors(label: Floats, forecast: Floats, weights: Floats | None) -> tuple[float, float]:
    """Return the standard errors of gap and skill; NaN for the skill with one class."""
    # rare labels may all be 0 here: the variance is at least what the predictions imply
    error = max(_mean_error(forecast - label, weights), _implied(forecast, weights))
    # the base rate is fixed: refitted to each sample it would beat even the true probabilities
    rate = np.average(label, weights=weights)
    if not 0 < rate < 1:
        return error, float("nan")
    base = metrics.log_losses(label, np.full(len(label), rate))
    losses = metrics.log_losses(label, forecast)
    means = [np.average(part, weights=weights) for part in (losses, base)]
    return error, _mean_error((losses - means[0] / means[1] * base) / means[1], weights)


def _mean_error(values: Floats, weights: Floats | None) -> float:
    """Return the standard error of a weighted mean."""
    around = intervals.influences(values, weights)
    return float(around.std(ddof=1) / np.sqrt(len(around)))


def _implied(forecast: Floats, weights: Floats | None) -> float:
    """Return the standard error of a gap if the predictions are true."""
    variances = forecast * (1 - forecast)
    if weights is None:
        return float(np.sqrt(np.sum(variances)) / len(forecast))
    return float(np.sqrt(np.sum(weights**2 * variances)) / weights.sum())


def _reach(rows: int, judged: int) -> float:
    """Return the half-width of an interval in standard errors."""
    from scipy import stats

    return float(stats.t.ppf(1 - ERROR_RATE / (2 * judged), rows - 1))


def _judge(figures: dict[str, Any], surely: float, at_most: float) -> tuple[str, float, Message]:
    """Return the finding, its severity among findings of its kind, and a sentence."""
    shares: dict[str, Any] = {
        "predicted": figures["mean_probability"],
        "observed": figures["base_rate"],
    }
    points: dict[str, Any] = {"gap": 100 * figures["gap"], "least": 100 * surely, **shares}
    off = Message(
        "Predictions are off by {gap:+.1f} points, at least {least:.1f} (95%): "
        "{predicted:.1%} predicted, {observed:.1%} observed.",
        **points,
    )
    if surely > BIAS:
        return "biased", surely, off
    if at_most < -metrics.ROUNDING:
        text = Message(
            "Worse than this slice's own base rate: skill {skill:.3f}, at most {most:.3f} (95%).",
            skill=figures["skill"],
            most=at_most,
        )
        return "no_skill", -at_most, text
    if surely > 0:
        return "ok", surely, off
    text = Message("Mean predicted {predicted:.1%}, observed {observed:.1%}.", **shares)
    return "ok", 0.0, text


def _too_few(rows: int, wanted: int) -> Message:
    return plural(
        "Only {count:,} label; at least {needed} are needed.",
        "Only {count:,} labels; at least {needed} are needed.",
        rows,
        needed=wanted,
    )


def _mean(values: Floats, weights: Floats | None) -> float:
    return float(np.average(values, weights=weights)) if len(values) else float("nan")
