"""Model-agnostic explanations: feature importance, and effects of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.messages import Message, Words
from core.stats import intervals, metrics

Floats = npt.NDArray[np.float64]
# Probability of label 1 for each row of features.
Predict = Callable[[pd.DataFrame], Floats]
# Called with the number done and the total.
OnProgress = Callable[[int, int], None]

GRID_POINTS = 20
STRONG_CORRELATION = 0.5
# label of a missing value
MISSING = "missing"
# Numbers are varied between these quantiles: few rows are beyond.
GRID_REACH = (0.025, 0.975)


def importance(
    predict: Predict,
    features: pd.DataFrame,
    labels: npt.NDArray[np.int64],
    *,
    repeats: int = 10,
    seed: int = 0,
    on_feature: OnProgress | None = None,
) -> pd.DataFrame:
    """Return how much log loss grows when a feature is shuffled among the rows, most first.

    Permutation importance (Breiman, Random forests, 2001; Fisher, Rudin and Dominici, All models
    are wrong, 2019). scikit-learn's reports only the spread over shuffles; this interval also
    covers the sampling of rows, from the spread of each row's own increase. Of two redundant
    features, either may appear unimportant.

    Parameters
    ----------
    features : DataFrame
        Numbers and texts, values may be missing; at least two rows.
    labels : array of int, shape (n,)
        0 or 1.
    repeats : int
        Shuffles of each feature, 1 or more.

    Returns
    -------
    DataFrame
        `feature`; `mean` increase of log loss (nats; below zero where the model does better
        without); `sd` over the shuffles; `low` and `high` of the 95% interval (`intervals.mean`).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = pd.DataFrame({"x": rng.uniform(size=1000), "noise": rng.uniform(size=1000)})
    >>> labels = (rng.uniform(size=1000) < rows["x"]).astype(int).to_numpy()
    >>> table = importance(lambda frame: frame["x"].to_numpy(), rows, labels)
    >>> table["feature"].tolist(), table["mean"].round(1).tolist()
    (['x', 'noise'], [0.5, 0.0])
    """
    rng = np.random.default_rng(seed)
    # the same shuffles for every feature: their differences are not due to the draw
    orders = [rng.permutation(len(features)) for _ in range(repeats)]
    before = metrics.log_losses(labels, predict(features))
    lines = []
    for place, name in enumerate(features):
        increase = np.empty((repeats, len(features)))
        for repeat, order in enumerate(orders):
            shuffled = features.assign(**{str(name): features[name].to_numpy()[order]})
            increase[repeat] = metrics.log_losses(labels, predict(shuffled)) - before
        mean = float(increase.mean())
        low, high = intervals.mean(increase.mean(axis=0))
        sd = float(increase.mean(axis=1).std())
        lines.append((str(name), mean, sd, low, high))
        if on_feature:
            on_feature(place + 1, features.shape[1])
    table = pd.DataFrame(lines, columns=["feature", "mean", "sd", "low", "high"])
    return table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)


def partial_dependence(
    predict: Predict,
    features: pd.DataFrame,
    name: str,
    *,
    over: pd.DataFrame | None = None,
    points: int = GRID_POINTS,
) -> pd.DataFrame:
    """Return the mean probability with a feature fixed in all rows, for several values.

    Partial dependence (Friedman, Greedy function approximation, 2001). With correlated features it
    also covers rows that do not exist.

    Parameters
    ----------
    name : str
        The feature to vary. A number takes its distinct values, or `points` quantiles of them; a
        text takes its most frequent values.
    over : DataFrame, optional
        The rows to average over, by default all. `background` returns a few representative ones.
    points : int
        Most values, 2 or more.

    Returns
    -------
    DataFrame
        `feature`, `value` (NaN for texts), `label` (the value as text), `mean`, and `low` and
        `high`, which enclose the middle 80% of the rows. Empty where no row has a value.

    Examples
    --------
    >>> rows = pd.DataFrame({"x": [0.0, 1.0], "z": [0.1, 0.3]})
    >>> def predict(frame):
    ...     return (frame["x"] / 2 + frame["z"]).to_numpy()
    >>> curve = partial_dependence(predict, rows, "x")
    >>> curve[["label", "mean"]].round(3).to_dict("list")
    {'label': ['0', '1'], 'mean': [0.2, 0.7]}
    """
    grid = _grid(features[name].dropna(), points)
    over = features if over is None else over
    lines = []
    for value in grid:
        probabilities = predict(over.assign(**{name: value}))
        low, high = np.quantile(probabilities, [0.1, 0.9])
        number = np.nan if isinstance(value, str) else float(value)
        lines.append((name, number, shown(value), float(np.mean(probabilities)), low, high))
    columns = ["feature", "value", "label", "mean", "low", "high"]
    return pd.DataFrame(lines, columns=columns).astype(
        {"value": "float64", "mean": "float64", "low": "float64", "high": "float64"}
    )


def along(
    predict: Predict, row: pd.DataFrame, rows: pd.DataFrame, *, points: int = GRID_POINTS
) -> pd.DataFrame:
    """Return the probability of one row with one value changed, for each column in turn.

    Individual conditional expectation (Goldstein et al., Peeking inside the black box, 2015). With
    correlated columns it also covers rows that do not exist.

    Parameters
    ----------
    predict : callable
        Takes the columns of `row`.
    rows : DataFrame
        The same columns; they supply the values to try, besides the row's own.

    Returns
    -------
    DataFrame
        `feature`, `value` (NaN for texts), `label` (the value as text), `probability`, `is_own`.

    Examples
    --------
    >>> rows = pd.DataFrame({"x": [0.0, 1.0], "z": [0.1, 0.3]})
    >>> def predict(frame):
    ...     return (frame["x"] / 2 + frame["z"]).to_numpy()
    >>> table = along(predict, rows.head(1), rows)
    >>> table[["feature", "label", "probability"]].round(1).values.tolist()
    [['x', '0', 0.1], ['x', '1', 0.6], ['z', '0.1', 0.1], ['z', '0.3', 0.3]]
    """
    variants, lines = [], []
    for name in row.columns:
        own = row[name].iloc[0]
        values = _grid(rows[name].dropna(), points)
        if not pd.isna(own) and own not in values:
            values.append(own)
        if not isinstance(own, str) and not any(isinstance(value, str) for value in values):
            values.sort()
        for value in values:
            variants.append(row.assign(**{str(name): [value]}))
            number = np.nan if isinstance(value, str) else float(value)
            lines.append((str(name), number, shown(value), bool(value == own)))
    table = pd.DataFrame(lines, columns=["feature", "value", "label", "is_own"])
    probabilities = predict(pd.concat(variants, ignore_index=True)) if variants else np.empty(0)
    return table.astype({"value": "float64"}).assign(probability=probabilities)[
        ["feature", "value", "label", "probability", "is_own"]
    ]


def reaches(table: pd.DataFrame) -> pd.DataFrame:
    """Return the range of probabilities each column alone can give a row, the widest first.

    Parameters
    ----------
    table : DataFrame
        As returned by `along`.

    Returns
    -------
    DataFrame
        `feature`, `own` (its value as text), `low`, `low_at`, `high`, `high_at`.

    Examples
    --------
    >>> table = pd.DataFrame({"feature": "x", "label": ["1", "2"], "probability": [0.1, 0.4],
    ...                       "is_own": [True, False]})
    >>> reaches(table).values.tolist()
    [['x', '1', 0.1, '1', 0.4, '2']]
    """
    lines = []
    for name, part in table.groupby("feature", sort=False):
        low, high = (part.loc[part["probability"].agg(end)] for end in ("idxmin", "idxmax"))
        own = part.loc[part["is_own"], "label"]
        lines.append(
            (
                name,
                own.iloc[0] if len(own) else MISSING,
                low["probability"],
                low["label"],
                high["probability"],
                high["label"],
            )
        )
    names = ["feature", "own", "low", "low_at", "high", "high_at"]
    reach = pd.DataFrame(lines, columns=names)
    order = (reach["low"] - reach["high"]).sort_values(kind="stable").index
    return reach.loc[order].reset_index(drop=True)


def companions(rows: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return the numbers correlated with a column, and Pearson's correlation, most first.

    Only correlations of at least 0.5 in size: rows in which only one of the two changes are rare.

    Examples
    --------
    >>> rows = pd.DataFrame({"far": [0, 1, 2], "lat": [3, 2, 0], "side": ["left", "left", "right"]})
    >>> companions(rows, "far").round(2).to_dict()
    {'lat': -0.98}
    """
    numbers = rows.select_dtypes("number")
    if name not in numbers or numbers[name].nunique() < 2:
        return pd.Series(dtype="float64")
    others = numbers.drop(columns=name)
    varying = others.loc[:, others.nunique() > 1]
    correlations = varying.corrwith(numbers[name])
    correlations = correlations[correlations.abs() >= STRONG_CORRELATION]
    order = correlations.abs().sort_values(ascending=False, kind="stable").index
    together: pd.Series[float] = correlations.loc[order]
    return together


def shown(value: Any) -> str:
    """Return a feature's value as a label; `worded` puts a missing one into words.

    Examples
    --------
    >>> shown(7.0), shown(-118.2698), shown("BOS"), shown(float("nan"))
    ('7', '-118.27', 'BOS', 'missing')
    """
    if pd.isna(value):
        return MISSING
    return value if isinstance(value, str) else f"{value:.5g}"


def worded(label: str) -> Words:
    """Return a label as from `shown` for people.

    Examples
    --------
    >>> str(worded("missing")), worded("7")
    ('missing', '7')
    """
    return Message("missing") if label == MISSING else label


def _grid(values: pd.Series[Any], points: int) -> list[Any]:
    if not pd.api.types.is_numeric_dtype(values):
        # ties are broken by name, not by the order of the rows
        counts = values.value_counts().sort_index(kind="stable")
        return list(counts.sort_values(ascending=False, kind="stable").index[:points])
    different = np.unique(values.to_numpy(dtype=np.float64))
    if len(different) <= points:
        return list(different)
    shares = np.linspace(*GRID_REACH, points)
    # values that occur: a period of 2.5 does not exist
    return list(np.unique(np.quantile(values, shares, method="inverted_cdf")))
