"""What a replay answers: whether any policy was worth it, in a sentence or two."""

from __future__ import annotations

from typing import Any

import pandas as pd

from core.platform.messages import Message, Words, plural, sentences
from core.retraining.simulation import titled


def answer(summary: pd.DataFrame, *, baseline: str) -> Message:
    """Return in a sentence or two whether any policy was worth it.

    Parameters
    ----------
    summary : DataFrame
        As returned by `compare`.

    Examples
    --------
    >>> summary = pd.DataFrame({"policy": ["none", "calendar:90"], "log_loss": [0.65, 0.63],
    ...     "gain": [0, 0.02], "gain_low": [0, 0.01], "gain_high": [0, 0.03],
    ...     "retrainings": [0, 3], "detection_days": float("nan"), "false_alarms": float("nan")})
    >>> str(answer(summary, baseline="none"))
    'Calendar (every 90 days) beats no retraining: log loss 0.6300 instead of 0.6500, 0.0200 lower \
(95% interval 0.0100 to 0.0300), with 3 retrainings.'
    """
    base = summary[summary["policy"] == baseline].iloc[0]
    others = summary[summary["policy"] != baseline].sort_values("log_loss", kind="stable")
    without = float(base["log_loss"])
    if others.empty:
        alone = Message("Without retraining, the log loss was {log_loss:.4f}.", log_loss=without)
        return sentences(alone, _detected(summary))
    better = others[others["gain_low"] > 0]
    worse = others[others["gain_high"] < 0]
    if len(better):
        found = [
            Message(
                "{policy} beats no retraining: log loss {log_loss:.4f} instead of {without:.4f}, "
                "{difference:.4f} lower (95% interval {low:.4f} to {high:.4f}), with "
                "{retrainings}.",
                without=without,
                **_figures_of(better.iloc[0]),
            )
        ]
    else:
        found = [
            Message("No policy beats no retraining: log loss {log_loss:.4f}.", log_loss=without),
            _best_retrained(others[others["retrainings"] > 0]),
        ]
    if len(worse):
        named = [titled(code) for code in worse["policy"]]
        found.append(Message("Worse than no retraining: {policies}.", policies=named))
    return sentences(*found, _detected(summary))


def _best_retrained(tried: pd.DataFrame) -> Message:
    if tried.empty:
        return Message("None of them retrained.")
    figures = _figures_of(tried.iloc[0])
    if tried.iloc[0]["gain"] < 0:
        return Message(
            "The best that retrained, {policy}, had {log_loss:.4f}, {difference:.4f} higher (95% "
            "interval {low:.4f} to {high:.4f}), with {retrainings}.",
            **figures,
        )
    return Message(
        "The best that retrained, {policy}, had {log_loss:.4f}, {difference:.4f} lower (95% "
        "interval {low:.4f} to {high:.4f}), with {retrainings}.",
        **figures,
    )


def _figures_of(row: pd.Series[Any]) -> dict[str, Any]:
    """Return the parameters of a sentence about a policy; its difference as 0 or more."""
    gain, low, high = (float(row[name]) for name in ("gain", "gain_low", "gain_high"))
    return {
        "policy": titled(str(row["policy"])),
        "log_loss": float(row["log_loss"]),
        "difference": abs(gain),
        "low": low if gain >= 0 else -high,
        "high": high if gain >= 0 else -low,
        "retrainings": plural(
            "{count:,} retraining", "{count:,} retrainings", int(row["retrainings"])
        ),
    }


def _detected(summary: pd.DataFrame) -> Words:
    """Describe how long the drift lasted until the first alarm; empty without injected drift."""
    if summary["false_alarms"].isna().all():
        return ""
    days = summary["detection_days"].min()
    if days != days:
        return Message("The injected drift raised no alarm.")
    first = summary[summary["detection_days"] == days].iloc[0]
    return Message(
        "The injected drift raised the first alarm after {days:,.0f} days and {rows:,.0f} rows.",
        days=float(days),
        rows=float(first["detection_rows"]),
    )
