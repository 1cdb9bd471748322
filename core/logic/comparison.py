"""Is one model better than another on the same rows, or is the difference chance?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.logic import metrics

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

LOWER_IS_BETTER = ("log_loss", "brier_score")
COMPARED = ("log_loss", "brier_score", "roc_auc", "f1")


def paired(
    labels: Labels,
    one: Floats,
    other: Floats,
    threshold_one: float,
    threshold_other: float,
    resamples: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare two forecasts of the same labels, metric by metric.

    Both are judged on the same rows drawn with replacement (paired bootstrap; Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993): what is hard for both cancels out, and the
    interval of the difference is narrower than those of the two values would suggest.

    Parameters
    ----------
    labels : array of int, shape (n,)
        0 or 1.
    one, other : array of float, shape (n,)
        Each model's probability of 1.
    threshold_one, threshold_other : float
        Probability from which each model labels a row 1.

    Returns
    -------
    DataFrame
        A row per metric (log_loss, brier_score, roc_auc, f1): `metric`, `one`, `other`,
        `difference` (one minus other), `low`, `high` (its 95% interval), `better`: "one", "other",
        or "alike" where the interval holds 0. Of one class there is no roc_auc; without rows the
        table is empty.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=1000)
    >>> labels = (rng.uniform(size=1000) < p).astype(int)
    >>> found = paired(labels, p, np.full(1000, 0.5), 0.5, 0.5).set_index("metric")
    >>> found["better"].to_dict()
    {'log_loss': 'one', 'brier_score': 'one', 'roc_auc': 'one', 'f1': 'one'}
    """
    rows = []
    if len(labels):
        sides = ((one, threshold_one), (other, threshold_other))
        values = [metrics.classification(labels, *side) for side in sides]
        first, second = (
            metrics.resampled(labels, *side, resamples=resamples, seed=seed) for side in sides
        )
        for name in COMPARED:
            if name not in values[0]:
                continue
            low, high = (first[name] - second[name]).quantile([0.025, 0.975])
            pair = values[0][name], values[1][name]
            better = _better(low, high, lower_is_better=name in LOWER_IS_BETTER)
            rows.append((name, *pair, pair[0] - pair[1], low, high, better))
    columns = ["metric", "one", "other", "difference", "low", "high", "better"]
    return pd.DataFrame(rows, columns=columns)


def against_best(
    labels: Labels,
    probabilities: Mapping[str, Floats],
    best: str,
    resamples: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Tell how much worse each other model's log loss is than that of the best, and if by chance.

    The best is to be chosen elsewhere (by cross-validation): the lowest of many test figures is
    low by luck too. Each interval is a paired bootstrap's of 95% by itself; of twenty models that
    are truly alike, one is told apart.

    Parameters
    ----------
    labels : array of int, shape (n,)
        0 or 1; at least one row.
    probabilities : mapping of str to array of float, shape (n,)
        Of each model, on the same rows.
    best : str
        The model that the others are compared with.

    Returns
    -------
    DataFrame
        A row per other model, lowest log loss first: `model`, `log_loss`, `difference` (its log
        loss minus that of the best), `low`, `high`, `better` ("model", "best" or "alike") and
        `text`, a sentence.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=1000)
    >>> labels = (rng.uniform(size=1000) < p).astype(int)
    >>> against_best(labels, {"lr": p, "dummy": np.full(1000, 0.5)}, "lr")["better"].tolist()
    ['best']
    """
    others = [name for name in probabilities if name != best]
    losses = {name: metrics.log_losses(labels, side) for name, side in probabilities.items()}
    rows = []
    if others:
        gaps = np.column_stack([losses[name] - losses[best] for name in others])
        drawn = [part @ gaps for part in metrics.draws(len(labels), resamples, seed)]
        low, high = np.quantile(np.concatenate(drawn) / len(labels), [0.025, 0.975], axis=0)
        for place, name in enumerate(others):
            gap, ends = float(gaps[:, place].mean()), (float(low[place]), float(high[place]))
            found = _better(*ends, lower_is_better=True)
            better = {"one": "model", "other": "best", "alike": "alike"}[found]
            text = _sentence(better, gap, *ends)
            rows.append((name, float(losses[name].mean()), gap, *ends, better, text))
    columns = ["model", "log_loss", "difference", "low", "high", "better", "text"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("log_loss", kind="stable", ignore_index=True)


def _better(low: float, high: float, *, lower_is_better: bool) -> str:
    if low <= metrics.ROUNDING and high >= -metrics.ROUNDING:
        return "alike"
    return "one" if (high < 0) == lower_is_better else "other"


def _sentence(better: str, gap: float, low: float, high: float) -> str:
    if better == "alike":
        if max(abs(low), abs(high)) <= metrics.ROUNDING:
            return "Alike: the log loss is the same."
        return (
            f"Alike: the difference of {gap:+.4f} may be chance (95%: {low:+.4f} to {high:+.4f})."
        )
    low, high = sorted((abs(low), abs(high)))
    span = f"by {abs(gap):.4f} (95%: {low:.4f} to {high:.4f}), more than chance"
    if better == "best":
        return f"Worse {span}."
    return f"Better on these rows {span}. It was not chosen, as the choice did not look at them."
