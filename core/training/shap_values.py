"""How much each feature moves a row's probability: SHAP values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.training.explanation import Floats, OnProgress, Predict, shown

BACKGROUND_ROWS = 100
# Up to this many features, all subsets are evaluated; with more, some orders of them.
EXACT_FEATURES = 6


@dataclass(frozen=True)
class Contributions:
    """How much each feature moves each row's probability away from the base.

    Parameters
    ----------
    base : float
        Mean probability over the background rows, 0 to 1.
    values : DataFrame
        One row per explained row and one column per feature, in probability: -1 to 1.
    probabilities : array of float
        The model's, for each row: `base + values.sum(axis=1)`.
    """

    base: float
    values: pd.DataFrame
    probabilities: Floats


def background(
    features: pd.DataFrame, probabilities: Floats, rows: int = BACKGROUND_ROWS
) -> pd.DataFrame:
    """Return representative rows: evenly spaced in the order of their probability.

    So their mean probability is closer to that of all rows than a random sample's would be.

    Examples
    --------
    >>> rows = pd.DataFrame({"x": [0.9, 0.1, 0.5, 0.3, 0.7]})
    >>> background(rows, rows["x"].to_numpy(), 3)["x"].tolist()
    [0.1, 0.5, 0.9]
    """
    order = np.argsort(probabilities, kind="stable")
    count = min(rows, len(features))
    # the middle of each of the equal parts
    places = np.floor((np.arange(count) + 0.5) * len(features) / count).astype(int)
    chosen: pd.DataFrame = features.iloc[order[places]]
    return chosen


def contributions(
    predict: Predict,
    rows: pd.DataFrame,
    background: pd.DataFrame,
    *,
    seed: int = 0,
    orders: int = 10,
    on_row: OnProgress | None = None,
) -> Contributions:
    """Return the SHAP values of rows: how much each feature moves the probability from the base.

    Shapley values of the game in which absent features are replaced from the background rows
    (Lundberg and Lee, A unified approach to interpreting model predictions, 2017). With up to
    `EXACT_FEATURES` features they are exact. With more, features are added in random orders, each
    run forwards and backwards: exact where no more than two features interact at a time, else an
    estimate. They always add up to the probability.

    Parameters
    ----------
    rows : DataFrame
        Features of the rows to explain: numbers and texts, values may be missing.
    background : DataFrame
        The same columns; at least one row. The time grows with its rows.
    orders : int
        Random orders per row, 1 or more.

    Examples
    --------
    >>> rows = pd.DataFrame({"x": [0.5], "side": ["left"]})
    >>> others = pd.DataFrame({"x": [0.1, 0.3], "side": ["left", "right"]})
    >>> def predict(frame):
    ...     return frame["x"].to_numpy() + 0.2 * (frame["side"] == "left").to_numpy()
    >>> explained = contributions(predict, rows, others)
    >>> round(explained.base, 3), explained.values.round(3).to_dict("records")
    (0.3, [{'x': 0.3, 'side': 0.1}])
    """
    coded = _Coded(rows, background)
    masked = _shap().maskers.Independent(coded.background, max_samples=len(background))
    count = rows.shape[1]
    # shap seeds numpy's global generator: its state is restored
    state = np.random.get_state()
    try:
        explained = _explainer(lambda codes: predict(coded.features(codes)), masked, count, seed)
        most = evaluations(count, orders)
        values = np.zeros((len(rows), count))
        for place, row in enumerate(coded.rows):
            # a row equal to all of the background has nothing to explain, and shap fails on it
            if (coded.background != row).any():
                # one at a time: from a call's second row on, shap 0.49.1 needs main effects too
                of_row = explained(row[np.newaxis], max_evals=most, silent=True)
                values[place] = of_row.values[0]
            if on_row:
                on_row(place + 1, len(rows))
    finally:
        np.random.set_state(state)
    return Contributions(
        float(np.mean(predict(background))),
        pd.DataFrame(values, index=rows.index, columns=rows.columns),
        np.asarray(predict(rows), dtype=np.float64) if len(rows) else np.empty(0),
    )


def evaluations(features: int, orders: int) -> int:
    """Return the largest number of background mixtures evaluated for a row's contributions.

    Examples
    --------
    >>> evaluations(6, orders=1), evaluations(17, orders=1)
    (64, 35)
    """
    return int(2**features) if features <= EXACT_FEATURES else orders * (2 * features + 1)


def global_contributions(values: pd.DataFrame) -> pd.DataFrame:
    """Return the mean absolute contribution of each feature, most first: `feature`, `mean`.

    Examples
    --------
    >>> global_contributions(pd.DataFrame({"a": [0.1, -0.1], "b": [0.3, 0.1]})).round(2)
      feature  mean
    0       b   0.2
    1       a   0.1
    """
    mean = values.abs().mean().sort_values(ascending=False, kind="stable")
    return mean.rename_axis("feature").rename("mean").reset_index()


def long(explained: Contributions, rows: pd.DataFrame) -> pd.DataFrame:
    """Return contributions as one row per explained row and feature, with the feature's value.

    Parameters
    ----------
    rows : DataFrame
        The explained rows, named by their index.

    Returns
    -------
    DataFrame
        `row`, `feature`, `value` (NaN for texts), `value_shown`, `contribution`.

    Examples
    --------
    >>> rows = pd.DataFrame({"side": ["left"], "x": [2.0]}, index=[17])
    >>> values = pd.DataFrame({"side": [0.1], "x": [0.2]}, index=[17])
    >>> long(Contributions(0.3, values, np.array([0.6])), rows)
       row feature  value value_shown  contribution
    0   17    side    NaN        left           0.1
    1   17       x    2.0           2           0.2
    """
    names = list(rows.columns)
    numbers = [name for name in names if pd.api.types.is_numeric_dtype(rows[name])]
    number = rows[numbers].astype("float64").reindex(columns=names)
    return pd.DataFrame(
        {
            "row": np.repeat(rows.index.to_numpy(), len(names)),
            "feature": names * len(rows),
            "value": number.to_numpy(dtype=np.float64).ravel(),
            "value_shown": rows.map(shown).to_numpy(dtype=object).ravel(),
            "contribution": explained.values.to_numpy().ravel(),
        }
    )


class _Coded:
    """Rows with each feature's values encoded as integers, and the decoding.

    shap's masker takes numbers only. It also treats numbers that are nearly equal (within 0.001%)
    as the same and skips the model: two coordinates can be that close and be in different leaves
    of a tree.
    """

    def __init__(self, rows: pd.DataFrame, background: pd.DataFrame) -> None:
        both = pd.concat([rows, background[rows.columns]], ignore_index=True)
        coded = {name: pd.factorize(both[name], use_na_sentinel=False) for name in both.columns}
        codes = np.column_stack([code.astype(np.float64) for code, _ in coded.values()])
        self.rows, self.background = codes[: len(rows)], codes[len(rows) :]
        self._values = {name: values for name, (_, values) in coded.items()}

    def features(self, codes: Floats) -> pd.DataFrame:
        places = codes.astype(np.int64)
        return pd.DataFrame(
            {name: values[places[:, i]] for i, (name, values) in enumerate(self._values.items())}
        )


def _shap() -> Any:
    """Return shap without compiling its loops: 5 s at first use, for less than 1 s saved.

    They are compiled if shap was imported before.
    """
    import numba

    config: Any = numba.config
    before = config.DISABLE_JIT
    config.DISABLE_JIT = True
    try:
        import shap
    finally:
        config.DISABLE_JIT = before
    return shap


def _explainer(predict: Any, masker: Any, count: int, seed: int) -> Any:
    shap = _shap()
    if count <= EXACT_FEATURES:
        return shap.ExactExplainer(predict, masker)
    return shap.PermutationExplainer(predict, masker, seed=seed)
