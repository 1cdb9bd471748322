"""How far current rows lie from reference rows, one column at a time, without labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

# Added to every share, so that a bin that one side leaves empty counts much but not infinitely.
SHARE_FLOOR = 1e-4


def psi(reference: npt.ArrayLike, current: npt.ArrayLike, bins: int = 10) -> float:
    """Return the population stability index of current against reference.

    PSI = sum over bins of (c - r) * ln(c / r), r and c the shares of reference and current rows in
    a bin (Siddiqi, Credit Risk Scorecards, 2006). Bins are reference quantiles, or single values
    where the reference has no more of them than bins. Usual reading: below 0.1 stable, from 0.2
    shifted.

    Parameters
    ----------
    reference, current : array of float
        Values without missing ones.
    bins : int
        Quantile bins, 2 or more.

    Returns
    -------
    float
        0 or more.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> same, shifted = rng.normal(size=5000), rng.normal(loc=1, size=5000)
    >>> psi(same, rng.normal(size=5000)) < 0.02, psi(same, shifted) > 0.5
    (True, True)
    """
    old, new = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    # quantile bins of a 0/1 column would be one bin, which never shows a change
    if len(np.unique(old)) <= bins:
        values = np.union1d(old, new)
        place_old, place_new, size = (
            np.searchsorted(values, old),
            np.searchsorted(values, new),
            len(values),
        )
    else:
        edges = np.unique(np.quantile(old, np.linspace(0, 1, bins + 1)))
        place_old = np.searchsorted(edges[1:-1], old, side="right")
        place_new = np.searchsorted(edges[1:-1], new, side="right")
        size = len(edges) - 1
    share_old = np.bincount(place_old, minlength=size) / len(old) + SHARE_FLOOR
    share_new = np.bincount(place_new, minlength=size) / len(new) + SHARE_FLOOR
    return float(np.sum((share_new - share_old) * np.log(share_new / share_old)))


def by_feature(
    reference: pd.DataFrame, current: pd.DataFrame, features: Sequence[str]
) -> pd.DataFrame:
    """Compare every feature of two sets.

    Returns
    -------
    DataFrame
        A row per feature: `feature`, `psi`, `ks` (largest distance between the two distribution
        functions, 0 to 1), `ks_p_value`, `mean_reference`, `mean_current`.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": range(100)})
    >>> by_feature(frame, frame + 50, ["x"]).loc[0, "ks"]
    0.5
    """
    from scipy import stats

    rows = []
    for feature in features:
        old = reference[feature].to_numpy(dtype=float)
        new = current[feature].to_numpy(dtype=float)
        ks = stats.ks_2samp(old, new, method="asymp")
        rows.append(
            {
                "feature": feature,
                "psi": psi(old, new),
                "ks": float(ks.statistic),
                "ks_p_value": float(ks.pvalue),
                "mean_reference": float(old.mean()),
                "mean_current": float(new.mean()),
            }
        )
    return pd.DataFrame(rows)
