"""Alert rules: when a check's verdicts raise an alert, repeat it, and clear it.

Pure computation. A rule counts consecutive reports, so that one odd report raises nothing and one
good one clears nothing, and has a quiet time after each notification, so that a value around its
limit does not cause a flood of alerts. Between the two limits nothing changes: an alert that was
raised at the alert limit clears only at `ok`, not at `warning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field

from core.platform import config
from core.platform.messages import Message, Words

Level = Literal["warning", "alert"]
Kind = Literal["raised", "reminded", "cleared"]
# the code of the report as a whole
VERDICT = "verdict"
BAD: Mapping[Level, tuple[str, ...]] = {"warning": ("warning", "alert"), "alert": ("alert",)}
ORDER = ("not_applicable", "ok", "warning", "alert")
HOUR, DAY = 3600.0, 86400.0


class Rule(config.Options):
    """What raises an alert, and how soon.

    Parameters
    ----------
    pattern : str
        Codes of the checks to watch, `*` for any text (`psi.*`); or a group of checks
        (`performance`, `input`, `output`, `support`); or `verdict`, the report as a whole.
    level : {"warning", "alert"}
        The mildest verdict that counts against a check.
    raise_after, clear_after : int
        Consecutive reports that raise and that clear an alert, 1 to 50.
    quiet_seconds : float
        Time after a notification without another about the same check; 0 to a year.
    """

    name: str = Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")
    pattern: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
    level: Level = "alert"
    raise_after: int = Field(1, ge=1, le=50)
    clear_after: int = Field(2, ge=1, le=50)
    quiet_seconds: float = Field(DAY, ge=0, le=365 * DAY)
    is_on: bool = True


# names of the built-in rules
_NAMES = {
    "verdict": Message("The verdict of a report"),
    "performance": Message("Performance"),
    "support": Message("Support of the reference"),
    "drift": Message("Input and predictions"),
    "missing": Message("Missing values"),
    "unseen": Message("New values"),
    "estimates": Message("Estimates"),
    "disagreement": Message("Disagreement"),
}
_BY_TEXT = {name.msgid: name for name in _NAMES.values()}
DEFAULTS = (
    Rule(name=_NAMES["verdict"].msgid, pattern=VERDICT, clear_after=1),
    Rule(name=_NAMES["performance"].msgid, pattern="performance"),
    Rule(name=_NAMES["support"].msgid, pattern="support"),
    # one measure of drift is enough: KS and Jensen-Shannon would raise alerts with it
    Rule(name=_NAMES["drift"].msgid, pattern="psi.*", raise_after=2),
    Rule(name=_NAMES["missing"].msgid, pattern="missing.*", raise_after=2),
    Rule(name=_NAMES["unseen"].msgid, pattern="unseen.*", raise_after=2),
    Rule(name=_NAMES["estimates"].msgid, pattern="estimated_*", raise_after=2),
    Rule(name=_NAMES["disagreement"].msgid, pattern="disagreement", raise_after=2),
)


def name_in_words(rule: str) -> Words:
    """Return the name of a rule for people: the built-in ones have a translation.

    Examples
    --------
    >>> str(name_in_words("Performance")), str(name_in_words("My {rule}"))
    ('Performance', 'My {rule}')
    """
    return _BY_TEXT.get(rule, rule)


@dataclass(frozen=True)
class Subject:
    """What a report is about: only reports of the same subject count together.

    Parameters
    ----------
    project, model, version : str
        The registered version whose predictions were checked.
    is_sample : bool
        Whether the rows, or the version, are of the built-in sample.
    """

    project: str
    model: str
    version: str
    is_sample: bool

    @property
    def key(self) -> str:
        """A unique text for the subject.

        Examples
        --------
        >>> Subject("kobe", "kobe_model", "2", is_sample=True).key
        'kobe/kobe_model/2/sample'
        """
        return "/".join(
            (self.project, self.model, self.version, "sample" if self.is_sample else "real")
        )


@dataclass(frozen=True)
class State:
    """The state of a check between reports, for one subject.

    Parameters
    ----------
    bad, good : int
        Consecutive reports that count against it, and that are `ok`.
    told_at : float or None
        When the open alert was last notified, seconds since 1970.
    is_told : bool
        Whether the open alert was sent.
    is_acknowledged : bool
        Whether a person has acknowledged it: it stays quiet until it clears.
    """

    is_open: bool = False
    bad: int = 0
    good: int = 0
    told_at: float | None = None
    is_told: bool = False
    is_acknowledged: bool = False


@dataclass(frozen=True)
class Change:
    """What a report changed for a check.

    Parameters
    ----------
    kind : {"raised", "reminded", "cleared"}
        An alert opens; it is still open, and a reminder is due; it is over.
    is_told : bool
        Whether it is delivered. An alert raised again within its quiet time is not, and neither is
        the end of one that was not sent.
    """

    kind: Kind
    is_told: bool


def step(rule: Rule, state: State, verdict: str, now: float) -> tuple[State, Change | None]:
    """Return a check's state after one more report, and what changed.

    There is at most one `raised` or `reminded` notification in a quiet time, and at most one
    `cleared` after it.

    Parameters
    ----------
    verdict : str
        `ok`, `warning`, `alert`; `not_applicable` neither raises nor clears.
    now : float
        Seconds since 1970. Setting the clock back ends the quiet time.

    Examples
    --------
    >>> rule = Rule(name="AUC", pattern="roc_auc", raise_after=2, clear_after=1)
    >>> state, change = step(rule, State(), "alert", now=0.0)
    >>> change is None
    True
    >>> state, change = step(rule, state, "alert", now=60.0)
    >>> change
    Change(kind='raised', is_told=True)
    >>> step(rule, state, "ok", now=120.0)[1]
    Change(kind='cleared', is_told=True)
    """
    if verdict not in ORDER[1:]:
        return state, None
    is_bad, is_good = verdict in BAD[rule.level], verdict == "ok"
    state = replace(
        state, bad=state.bad + 1 if is_bad else 0, good=state.good + 1 if is_good else 0
    )
    is_quiet = state.told_at is not None and 0 <= now - state.told_at < rule.quiet_seconds
    if not state.is_open:
        if state.bad < rule.raise_after:
            return state, None
        told_at = state.told_at if is_quiet else now
        state = replace(state, is_open=True, told_at=told_at, is_told=not is_quiet)
        return state, Change("raised", not is_quiet)
    if state.good >= rule.clear_after:
        change = Change("cleared", state.is_told)
        return replace(state, is_open=False, is_told=False, is_acknowledged=False), change
    if is_bad and not is_quiet and not state.is_acknowledged:
        return replace(state, told_at=now, is_told=True), Change("reminded", True)
    return state, None


def rule_for(rules: Sequence[Rule], code: str, group: str | None = None) -> Rule | None:
    """Return the rule for a check: the first active one that matches; None without one.

    Examples
    --------
    >>> rule_for(DEFAULTS, "roc_auc", "performance").name
    'Performance'
    >>> rule_for(DEFAULTS, "roc_auc") is None
    True
    """
    for rule in rules:
        if rule.is_on and (fnmatchcase(code, rule.pattern) or rule.pattern == group):
            return rule
    return None


def worst(verdicts: Mapping[str, str]) -> str:
    """Return the overall verdict of a report: the worst of its checks.

    Examples
    --------
    >>> worst({"f1": "alert", "psi.lat": "ok", "skill": "not_applicable"})
    'alert'
    >>> worst({})
    'not_applicable'
    """
    return max(
        (verdict for verdict in verdicts.values() if verdict in ORDER),
        key=ORDER.index,
        default=ORDER[0],
    )
