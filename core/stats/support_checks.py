"""The checks of support: whether a model can be trusted on the current rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.platform.messages import Message, Words
from core.stats import checks as judging
from core.stats.check import ADD_LABELS, MORE_ROWS, Check, Interval, Limit, Verdict, find_out_why
from core.stats.support import MIN_ROWS, Support

TITLES = {
    "domain_auc": Message("AUC of a classifier of current against reference rows"),
    "outside_support": Message("Rows outside the reference's support"),
}
# Limits for the better end of the interval of the domain AUC and of the outside share.
AUC_WARNING, AUC_ALERT = 0.6, 0.75
SHARE_WARNING, SHARE_ALERT = 0.05, 0.20


def checks(support: Support, limits: Mapping[str, Limit] | None = None) -> list[Check]:
    """Judge both measures by the better end of their interval: `domain_auc`, `outside_support`.

    The limits are so far from chance that false alarms are negligible. For 100 current rows like a
    reference of 4,057, the AUC was 0.50 with a standard deviation of 0.037 (0.020 for 400 rows,
    0.012 for 1,500): an alert needs 0.80 or more, 8 standard deviations away, a warning 0.65 or
    more, 4 away. The share outside is 1% by chance, with a standard error of 1% for 100 rows: an
    alert needs 28 rows and a warning 10, 27 and 9 standard errors away.

    Parameters
    ----------
    limits : mapping of str to Limit, optional
        By code, replacing these. They allow for chance already, or a person chose them, so they
        apply to the value itself.

    Examples
    --------
    >>> import pandas as pd
    >>> from core.stats.support import measure
    >>> rng = np.random.default_rng(0)
    >>> old = pd.DataFrame({"x": rng.normal(size=400)})
    >>> [(check.code, check.verdict) for check in checks(measure(old, old + 8, ["x"]))]
    [('domain_auc', 'alert'), ('outside_support', 'alert')]
    """
    given = limits or {}
    return [_domain_check(support, given), _outside_check(support, given)]


def is_outside(support: Support) -> Message | None:
    """Return why performance cannot be estimated without labels on these rows; None if it can.

    It cannot if significantly more than 5% of the rows are outside the support: predictions there
    were never compared with an outcome, however well calibrated the model is elsewhere.

    Examples
    --------
    >>> import pandas as pd
    >>> from core.stats.support import measure
    >>> rng = np.random.default_rng(0)
    >>> old = pd.DataFrame({"x": rng.normal(size=400)})
    >>> str(is_outside(measure(old, old + 8, ["x"])))
    '100.0% of the rows are outside the data the model was tested on (1.0% of the reference).'
    >>> is_outside(measure(old, old, ["x"])) is None
    True
    """
    if np.isnan(support.outside_share):
        return _few_rows()
    return None if support.outside_low <= SHARE_WARNING else _outside(support)


def _few_rows() -> Message:
    return Message("At least {min_rows} rows are needed on each side.", min_rows=MIN_ROWS)


def _outside(support: Support) -> Message:
    return Message(
        "{share:.1%} of the rows are outside the data the model was tested on ({usual:.1%} of "
        "the reference).",
        share=support.outside_share,
        usual=support.outside_reference,
    )


def _domain_check(support: Support, limits: Mapping[str, Limit]) -> Check:
    title = TITLES["domain_auc"]
    if support.failed:
        return judging.not_applicable("domain_auc", title, "support", "failed")
    if np.isnan(support.domain_auc):
        return _too_few("domain_auc", title, 0.5)
    limit, verdict, words = _judged(
        "domain_auc",
        support.domain_auc,
        (support.domain_low, support.domain_high),
        limits,
        Limit(warning_high=AUC_WARNING, alert_high=AUC_ALERT),
    )
    names = [str(name) for name in support.ranking["feature"].head(2)]
    text = Message("Current and reference rows differ most in {columns}.", columns=names)
    return Check(
        "domain_auc",
        title,
        "support",
        support.domain_auc,
        0.5,
        words,
        verdict,
        text,
        support.domain_low,
        support.domain_high,
        "" if verdict == "ok" else find_out_why(names),
        warning_high=limit.warning_high,
        alert_high=limit.alert_high,
    )


def _outside_check(support: Support, limits: Mapping[str, Limit]) -> Check:
    title = TITLES["outside_support"]
    if support.failed:
        return judging.not_applicable("outside_support", title, "support", "failed")
    if np.isnan(support.outside_share):
        return _too_few("outside_support", title, None)
    limit, verdict, words = _judged(
        "outside_support",
        support.outside_share,
        (support.outside_low, support.outside_high),
        limits,
        Limit(warning_high=SHARE_WARNING, alert_high=SHARE_ALERT),
    )
    return Check(
        "outside_support",
        title,
        "support",
        support.outside_share,
        support.outside_reference,
        words,
        verdict,
        _outside(support),
        support.outside_low,
        support.outside_high,
        "" if verdict == "ok" else ADD_LABELS,
        warning_high=limit.warning_high,
        alert_high=limit.alert_high,
    )


def _too_few(code: str, title: Words, reference: float | None) -> Check:
    text = _few_rows()
    return Check(
        code, title, "support", None, reference, "", "not_applicable", text, todo=MORE_ROWS
    )


def _judged(
    code: str, value: float, interval: Interval, limits: Mapping[str, Limit], usual: Limit
) -> tuple[Limit, Verdict, Message]:
    """Return the limit that applies, the verdict, and the limit in words."""
    given = limits.get(code)
    if given is not None:
        return given, given.judge(value), given.words()
    return usual, usual.judge(value, interval), usual.words()
