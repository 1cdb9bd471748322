"""Checks of a split before a model is trained on it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from core.platform.messages import Message, Words
from core.platform.project import words
from core.stats.check import Check, Limit, Verdict
from core.stats.checks import PSI_ALERT, PSI_WARNING

SPLITS = {"random": Message("at random"), "time": Message("by time"), "group": Message("by group")}
Split = Literal["random", "time", "group"]
# Difference of the base rates of train and test (percentage points / 100).
BALANCE_WARNING, BALANCE_ALERT = 0.02, 0.05
# Difference of the test share from the requested one (percentage points / 100).
SHARE_WARNING = 0.05
_Z = 1.959964


def judge(
    train: pd.DataFrame,
    test: pd.DataFrame,
    drift: pd.DataFrame,
    *,
    split: Split,
    target: str,
    positive: str,
    time: str | None,
    group: str | None,
    test_share: float | None,
) -> list[Check]:
    """Check a split: its size, class balance, drift, and overlap of groups and times.

    Parameters
    ----------
    train, test : DataFrame
        With the target, the time and the group of each row.
    drift : DataFrame
        Train against test, as returned by `drift.by_feature`.
    positive : str
        Name of label 1.
    test_share : float or None
        The requested share; None where a moment was requested.

    Returns
    -------
    list of Check
        share, balance, drift, groups_shared, time_shared.

    Examples
    --------
    >>> frame = pd.DataFrame({"y": [0, 1] * 50, "day": range(100), "game": np.arange(100) // 5})
    >>> moved = pd.DataFrame({"feature": ["x"], "psi": [0.01]})
    >>> judged = judge(frame[:80], frame[80:], moved, split="time", target="y",
    ...                positive="made", time="day", group="game", test_share=0.2)
    >>> [(check.code, check.verdict) for check in judged]
    [('share', 'ok'), ('balance', 'ok'), ('drift', 'ok'), ('groups_shared', 'ok'),
     ('time_shared', 'ok')]
    """
    return [
        _share(len(train), len(test), test_share),
        balance(train[target], test[target], positive),
        _drift(drift),
        _groups(train, test, group, split),
        _time(train, test, time, split),
    ]


def _check(
    code: str,
    title: Words,
    value: float | None,
    threshold: Words,
    verdict: Verdict,
    text: Words,
    *,
    reference: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Check:
    return Check(code, title, "split", value, reference, threshold, verdict, text, low, high)


def _share(rows_train: int, rows_test: int, wanted: float | None) -> Check:
    share = rows_test / (rows_train + rows_test)
    text = Message(
        "{test:,} of {rows:,} rows test the model.", test=rows_test, rows=rows_train + rows_test
    )
    title = Message("Test share")
    if wanted is None:
        return _check("share", title, share, "", "ok", text)
    verdict: Verdict = "warning" if abs(share - wanted) > SHARE_WARNING else "ok"
    limits = Limit(wanted - SHARE_WARNING, wanted + SHARE_WARNING)
    return _check("share", title, share, limits.words(), verdict, text, reference=wanted)


def balance(train: pd.Series[Any], test: pd.Series[Any], positive: str) -> Check:
    """Check the difference of two positive rates, with its interval.

    The interval is for two independent shares with two rows added to each, one of either label
    (Agresti and Caffo, 2000).

    Examples
    --------
    >>> check = balance(pd.Series([0, 1] * 50), pd.Series([0, 1] * 20), "made")
    >>> check.verdict, round(check.low, 2), round(check.high, 2)
    ('ok', -0.18, 0.18)
    """
    before, after = float(train.mean()), float(test.mean())
    gap = after - before
    rates = [(float(side.sum()) + 1) / (len(side) + 2) for side in (train, test)]
    error = _Z * np.sqrt(
        sum(
            rate * (1 - rate) / (len(side) + 2)
            for rate, side in zip(rates, (train, test), strict=True)
        )
    )
    middle = rates[1] - rates[0]
    low, high = float(min(middle - error, gap)), float(max(middle + error, gap))
    # by the bound nearer to zero, as everywhere: few rows alone raise no alarm
    size = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    verdict: Verdict = (
        "alert" if size > BALANCE_ALERT else "warning" if size > BALANCE_WARNING else "ok"
    )
    return _check(
        "balance",
        Message("Class balance, test minus train"),
        gap,
        Limit(-BALANCE_WARNING, BALANCE_WARNING, -BALANCE_ALERT, BALANCE_ALERT).words(),
        verdict,
        Message(
            "{train:.1%} {positive} in the training set, {test:.1%} in the test set.",
            train=before,
            positive=words(positive),
            test=after,
        ),
        reference=0.0,
        low=low,
        high=high,
    )


def _drift(drift: pd.DataFrame) -> Check:
    ranked = drift.sort_values("psi", ascending=False, kind="stable")
    worst, value = str(ranked["feature"].iloc[0]), float(ranked["psi"].iloc[0])
    verdict: Verdict = (
        "alert" if value >= PSI_ALERT else "warning" if value >= PSI_WARNING else "ok"
    )
    moved = [str(name) for name in ranked.loc[ranked["psi"] >= PSI_WARNING, "feature"]] or [worst]
    text = Message("Train and test differ most in {columns}.", columns=moved)
    limits = Limit(warning_high=PSI_WARNING, alert_high=PSI_ALERT).words()
    return _check("drift", Message("Drift between train and test"), value, limits, verdict, text)


def _groups(train: pd.DataFrame, test: pd.DataFrame, group: str | None, split: Split) -> Check:
    title = Message("Groups in both sets")
    # no group may be shared where whole groups were split
    limits = (Limit(alert_high=0.0) if split == "group" else Limit(warning_high=0.0)).words()
    if group is None:
        return _check(
            "groups_shared",
            title,
            None,
            "",
            "not_applicable",
            Message("The project file names no column as `{key}`.", key="group"),
        )
    sides = set(train[group].dropna()), set(test[group].dropna())
    shared, all_of_them = len(sides[0] & sides[1]), len(sides[0] | sides[1])
    if not shared:
        return _check(
            "groups_shared",
            title,
            0.0,
            limits,
            "ok",
            Message(
                "Each of the {groups:,} values of {group} is in only one set.",
                groups=all_of_them,
                group=group,
            ),
            reference=0.0,
        )
    text = Message(
        "{shared:,} of {groups:,} values of {group} have rows in both sets. If their rows resemble "
        "each other, the test metrics are too good: split by group.",
        shared=shared,
        groups=all_of_them,
        group=group,
    )
    verdict: Verdict = "alert" if split == "group" else "warning"
    return _check("groups_shared", title, float(shared), limits, verdict, text, reference=0.0)


def _time(train: pd.DataFrame, test: pd.DataFrame, time: str | None, split: Split) -> Check:
    title = Message("Overlap in time")
    if time is None:
        return _check(
            "time_shared",
            title,
            None,
            "",
            "not_applicable",
            Message("The project file names no column as `{key}`.", key="time"),
        )
    if split != "time":
        return _check(
            "time_shared",
            title,
            None,
            "",
            "not_applicable",
            Message("The rows were split {split}.", split=SPLITS[split]),
        )
    last = train[time].max()
    early = int((test[time] <= last).sum())
    verdict: Verdict = "alert" if early else "ok"
    return _check(
        "time_shared",
        title,
        float(early),
        Limit(alert_high=0.0).words(),
        verdict,
        Message(
            "Trained up to {last}, tested from {first} on.",
            last=str(last),
            first=str(test[time].min()),
        ),
        reference=0.0,
    )
