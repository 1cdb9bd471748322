"""What a replay answers: whether any policy was worth it, in a sentence or two."""

from __future__ import annotations

from typing import Any

import pandas as pd

from core.platform.messages import Message, Words, sentences
from core.retraining.policy_comparison import titled


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
    'Calendar (every 90 days) is better than never retraining. Calendar (every 90 days): log loss
    0.6300, without retraining 0.6500, difference -0.0200 (95% interval -0.0300 to -0.0100);
    retrainings: 3.'
    """
    base = summary[summary["policy"] == baseline].iloc[0]
    others = summary[summary["policy"] != baseline].sort_values("log_loss", kind="stable")
    without = float(base["log_loss"])
    alone = Message("Without retraining, the log loss was {log_loss:.4f}.", log_loss=without)
    if others.empty:
        return sentences(alone, _detected(summary))
    better = others[others["gain_low"] > 0]
    worse = others[others["gain_high"] < 0]
    retrained = others[others["retrainings"] > 0]
    if len(better):
        first = better.iloc[0]
        answers = [
            Message(
                "{policy} is better than never retraining.", policy=titled(str(first["policy"]))
            )
        ]
    else:
        answers = [Message("No policy is better than never retraining.")]
    shown = better if len(better) else retrained
    if len(shown):
        answers.append(_figures(shown.iloc[0], without))
    else:
        answers += [alone, Message("None of them retrained.")]
    if len(worse):
        named = [titled(code) for code in worse["policy"]]
        answers.append(Message("Worse than never retraining: {policies}.", policies=named))
    return sentences(*answers, _detected(summary))


def _figures(row: pd.Series[Any], without: float) -> Message:
    gain, low, high = (float(row[name]) for name in ("gain", "gain_low", "gain_high"))
    return Message(
        "{policy}: log loss {log_loss:.4f}, without retraining {without:.4f}, difference "
        "{difference:+.4f} (95% interval {low:+.4f} to {high:+.4f}); retrainings: {retrainings:,}.",
        policy=titled(str(row["policy"])),
        log_loss=float(row["log_loss"]),
        without=without,
        difference=-gain,
        low=-high,
        high=-low,
        retrainings=int(row["retrainings"]),
    )


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
