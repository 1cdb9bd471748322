"""Learning curve: log loss over the number of training rows."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.classifier import Classifier, Unfitted
from core.platform.messages import Message
from core.training import sample_weights

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
FOLDS = 3
# codes of the column `set`
TRAINED, HELD_OUT = "trained on", "held out"
SETS = {TRAINED: Message("train"), HELD_OUT: Message("validation")}


def learning_curve(
    estimator: Classifier | Unfitted,
    features: pd.DataFrame,
    labels: npt.NDArray[np.int64],
    *,
    seed: int = 0,
    seconds: float = float("inf"),
    weights: npt.NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """Fit on growing shares of the rows and return the log loss on these and on held-out rows.

    Each share is fitted in 3 stratified folds; smaller shares are subsets of larger ones. A share
    that would probably end after the time limit is not started.

    Parameters
    ----------
    estimator : Classifier or Unfitted
        A scikit-learn estimator; clones of it are fitted.
    features : DataFrame, shape (n, k)
    labels : array of int, shape (n,)
        0 or 1.
    weights : array of float, optional
        Sampling weight of each row, for the fits and the log loss.

    Returns
    -------
    DataFrame
        `rows` (fitted on), `set` ("trained on" or "held out"), `mean`, `low` and `high` (the
        smallest and largest of the folds), in nats. Without shares that exceed the time or
        hold a single class.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> x = pd.DataFrame({"x": rng.normal(size=300)})
    >>> y = (rng.normal(size=300) < x["x"]).to_numpy().astype(int)
    >>> learning_curve(LogisticRegression(), x, y)["rows"].tolist()
    [20, 20, 50, 50, 100, 100, 150, 150, 200, 200]
    """
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    rng = np.random.default_rng(seed)
    points: list[dict[str, Any]] = []
    if np.bincount(labels, minlength=2).min() < FOLDS:
        return _curve(points)
    folds = [
        (rng.permutation(train), held_out)
        for train, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(
            features, labels
        )
    ]
    started, last, before = time.monotonic(), 0.0, 0.0
    for share in SHARES:
        if time.monotonic() - started + last * share / (before or share) > seconds:
            break
        start = time.monotonic()
        losses: dict[str, list[float]] = {TRAINED: [], HELD_OUT: []}
        count = int(share * min(len(train) for train, _ in folds))
        for train, held_out in folds:
            rows = np.sort(train[:count])
            if len(np.unique(labels[rows])) < 2:
                continue
            fitted = sample_weights.fitted(
                estimator, features.iloc[rows], labels[rows], _of_rows(weights, rows)
            )
            for name, places in ((TRAINED, rows), (HELD_OUT, held_out)):
                forecast = fitted.predict_proba(features.iloc[places])[:, 1]
                loss = log_loss(
                    labels[places], forecast, labels=[0, 1], sample_weight=_of_rows(weights, places)
                )
                losses[name].append(float(loss))
        points += [
            {"rows": count, "set": name, "mean": np.mean(of), "low": min(of), "high": max(of)}
            for name, of in losses.items()
            if len(of) == FOLDS
        ]
        last, before = time.monotonic() - start, share
    return _curve(points)


def sentence(curve: pd.DataFrame) -> Message:
    """Return what the last step of the curve says about more rows.

    Examples
    --------
    >>> str(sentence(pd.DataFrame({"rows": [50, 100], "set": "held out", "mean": [0.66, 0.65],
    ...                            "low": [0.65, 0.645], "high": [0.67, 0.655]})))
    'From 50 to 100 rows, log loss fell by 0.0100, at least the spread of the folds (0.0100): more
    rows may help.'
    """
    held_out = curve[curve["set"] == HELD_OUT]
    if len(held_out) < 2:
        return Message("There are too few points to estimate the effect of more rows.")
    before, last = held_out.iloc[-2], held_out.iloc[-1]
    fell, spread = float(before["mean"] - last["mean"]), float(last["high"] - last["low"])
    step: dict[str, Any] = {
        "before": int(before["rows"]),
        "rows": int(last["rows"]),
        "spread": spread,
    }
    if fell >= spread:
        return Message(
            "From {before:,} to {rows:,} rows, log loss fell by {fell:.4f}, at least the "
            "spread of the folds ({spread:.4f}): more rows may help.",
            fell=fell,
            **step,
        )
    return Message(
        "From {before:,} to {rows:,} rows, log loss changed by {change:+.4f}, less "
        "than the spread of the folds ({spread:.4f}): more rows would help little.",
        change=-fell,
        **step,
    )


def _of_rows(
    weights: npt.NDArray[np.float64] | None, places: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64] | None:
    return None if weights is None else weights[places]


def _curve(points: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(points, columns=["rows", "set", "mean", "low", "high"])
