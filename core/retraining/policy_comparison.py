"""The comparison of policies over the same rows, and their names in tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.platform.messages import Message, Words
from core.retraining.injection import DAY
from core.retraining.policy import Policy
from core.retraining.policy_settings import STRATEGIES
from core.stats.metrics import Floats

# The policy that others are compared with: no retraining.
BASELINE = "none"


def policy_code(policy: Policy) -> str:
    """Return the code of a policy in tables and charts; `titled` puts it into words.

    Examples
    --------
    >>> policy_code(Policy()), policy_code(Policy(strategy="reactive", k=2, n=3))
    ('none', 'reactive:2:3')
    """
    numbers = {
        "none": (),
        "reactive": (policy.k, policy.n),
        "predictive": (policy.horizon_days,),
        "calendar": (policy.every_days,),
    }[policy.strategy]
    return ":".join([policy.strategy, *(f"{number:g}" for number in numbers)])


def titled(code: str) -> Words:
    """Return the name of a policy by its code; another text as it is.

    Examples
    --------
    >>> str(titled("none")), str(titled("reactive:2:3")), titled("gone")
    ('None', 'Reactive (2 of 3)', 'gone')
    """
    strategy, *numbers = code.split(":")
    if strategy == "reactive" and len(numbers) == 2:
        return Message("Reactive ({k} of {n})", k=numbers[0], n=numbers[1])
    if strategy == "predictive" and len(numbers) == 1:
        return Message("Predictive ({days:g} days ahead)", days=float(numbers[0]))
    if strategy == "calendar" and len(numbers) == 1:
        return Message("Calendar (every {days:g} days)", days=float(numbers[0]))
    return STRATEGIES[code][0] if code in STRATEGIES else code


def compare(
    windows: pd.DataFrame,
    losses: Mapping[str, Floats],
    moments: Floats,
    *,
    baseline: str,
    drift_begin: float | None = None,
    drift_column: str | None = None,
) -> pd.DataFrame:
    """Compare policies over the same rows.

    Parameters
    ----------
    windows : DataFrame
        A row per policy and window: policy, begin, end (seconds since 1970), rows, labels,
        is_alarm, is_input_alert, input_alerts (codes), is_retrained, seconds.
    losses : mapping of policy to array of float, shape (n,)
        The log loss of each streamed row.
    moments : array of float, shape (n,)
        Of the same rows.
    baseline : str
        The policy that others are compared with.
    drift_begin : float, optional
        When drift was injected, seconds since 1970.
    drift_column : str, optional
        The drifting column.

    Returns
    -------
    DataFrame
        A row per policy: `policy`, `rows`, `log_loss` (mean over all rows), `gain` (reduction of
        log loss against the baseline, with its 95% interval `gain_low`, `gain_high`; rows of the
        same time form a cluster, since they resemble each other), `retrainings`, `alarms`,
        `input_alerts` (windows with an alert of inputs only), `detection_days` and `detection_rows`
        (from the start of the drift to the end of the window of the first alarm), `noticed_days`
        (the same to the first alert of the drifting column itself), `false_alarms` (before the
        drift; NaN without injected drift: an alarm may be true then) and `seconds` spent on
        training.

    Examples
    --------
    >>> windows = pd.DataFrame({"policy": ["a", "a"], "begin": [0.0, DAY], "end": [0.0, DAY],
    ...     "rows": 1, "is_alarm": [False, True], "is_input_alert": False, "input_alerts": "",
    ...     "is_retrained": False, "seconds": 0.0})
    >>> row = compare(windows, {"a": np.array([0.6, 0.8])}, np.array([0, DAY]), baseline="a",
    ...     drift_begin=DAY).iloc[0]
    >>> round(row["log_loss"], 2), row["alarms"], row["detection_days"]
    (0.7, 1, 0.0)
    """
    compared = []
    for policy, part in windows.groupby("policy", sort=False):
        mine = losses[str(policy)]
        gain, low, high = mean_gain(losses[baseline] - mine, moments)
        alarms = part[part["is_alarm"]]
        row = {
            "policy": str(policy),
            "rows": len(mine),
            "log_loss": float(mine.mean()),
            "gain": gain,
            "gain_low": low,
            "gain_high": high,
            "retrainings": int(part["is_retrained"].sum()),
            "alarms": len(alarms),
            "input_alerts": int((part["is_input_alert"] & ~part["is_alarm"]).sum()),
            "detection_days": np.nan,
            "detection_rows": np.nan,
            "noticed_days": np.nan,
            "false_alarms": np.nan,
            "seconds": float(part["seconds"].sum()),
        }
        if drift_begin is not None:
            row["false_alarms"] = int((alarms["end"] < drift_begin).sum())
            heard = part[[drift_column in _columns(codes) for codes in part["input_alerts"]]]
            for name, signal in (("detection", alarms), ("noticed", heard)):
                after = signal[signal["end"] >= drift_begin]
                if len(after):
                    end = float(after["end"].iloc[0])
                    row[f"{name}_days"] = (end - drift_begin) / DAY
                    if name == "detection":
                        between = (moments >= drift_begin) & (moments <= end)
                        row["detection_rows"] = int(between.sum())
        compared.append(row)
    return pd.DataFrame(compared)


def _columns(codes: str) -> set[str]:
    """Return the columns of input checks."""
    return {code.split(".", 1)[1] for code in codes.split(",") if "." in code}


def mean_gain(differences: Floats, moments: Floats) -> tuple[float, float, float]:
    """Return the mean and its 95% interval; rows of the same time are one cluster.

    Cluster-robust variance of the mean, from the sums of each cluster's deviations (Liang and
    Zeger, 1986), with Student's t: few clusters give a wider interval.

    Examples
    --------
    >>> mean_gain(np.array([0.0, 2.0]), np.array([1.0, 1.0]))
    (1.0, -inf, inf)
    """
    from scipy import stats

    mean = float(differences.mean())
    place = np.unique(moments, return_inverse=True)[1]
    sums = np.bincount(place, weights=differences - mean)
    if len(sums) < 2:
        return mean, -np.inf, np.inf
    error = float(np.sqrt(np.sum(sums**2) * len(sums) / (len(sums) - 1))) / len(differences)
    half = float(stats.t.ppf(0.975, len(sums) - 1)) * error
    return mean, mean - half, mean + half
