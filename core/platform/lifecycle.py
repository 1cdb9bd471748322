"""The state of the life cycle, and the next thing to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.platform.messages import Message, Words
from core.platform.steps import named

# In a table of more rows, half as many folds estimate the log loss as well, in half the time.
MANY_ROWS, FEW_FOLDS = 100_000, 5

State = Literal["done", "stale", "todo", "blocked"]
Source = Literal["sample", "folder", "download"]


@dataclass(frozen=True)
class Facts:
    """What exists; None or empty if there is none yet.

    Parameters
    ----------
    snapshot : str or None
        The current raw data.
    prepared_from, prepared_run : str or None
        The raw data behind the prepared sets, and the run that prepared them.
    trained_on : str or None
        The preparation run used by the newest training.
    served : tuple of str
        Versions being served.
    scored_run, scored_version : str or None
        The newest batch scoring, and the version used.
    monitored_run : str or None
        The scoring covered by the newest report.
    """

    snapshot: str | None = None
    prepared_from: str | None = None
    prepared_run: str | None = None
    trained_on: str | None = None
    champion: str | None = None
    served: tuple[str, ...] = ()
    scored_run: str | None = None
    scored_version: str | None = None
    monitored_run: str | None = None


@dataclass(frozen=True)
class Stage:
    """A stage's state, and what to do.

    Parameters
    ----------
    state : {"done", "stale", "todo", "blocked"}
        Stale: an earlier stage changed since. Blocked: an earlier stage has to be done first.
    todo : Message or str
        A sentence; may be empty.
    """

    step: str
    state: State
    todo: Words


def _stale(step: str) -> Message:
    return Message("The input of {step} has changed. Run it again.", step=named(step).title)


def stages(facts: Facts) -> list[Stage]:
    """Return the six stages in order.

    Examples
    --------
    >>> [stage.state for stage in stages(Facts())]
    ['todo', 'blocked', 'blocked', 'blocked', 'blocked', 'blocked']
    >>> fresh = Facts("b", prepared_from="a", prepared_run="1", trained_on="1", champion="1")
    >>> [stage.state for stage in stages(fresh)][:3]
    ['done', 'stale', 'done']
    """
    rows: list[tuple[str, bool, bool, Words]] = [
        # step, done, stale, what to do when stale
        ("acquire", facts.snapshot is not None, False, ""),
        (
            "prepare",
            facts.prepared_run is not None,
            facts.prepared_from != facts.snapshot,
            _stale("prepare"),
        ),
        (
            "train",
            facts.champion is not None,
            facts.trained_on != facts.prepared_run,
            _stale("train"),
        ),
        (
            "serve",
            bool(facts.served),
            facts.champion not in facts.served,
            Message(
                "The champion is version {champion}, which is not served. Start it.",
                champion=facts.champion,
            ),
        ),
        (
            "score",
            facts.scored_run is not None,
            bool(facts.served) and facts.scored_version not in facts.served,
            _stale("score"),
        ),
        (
            "monitor",
            facts.monitored_run is not None,
            facts.monitored_run != facts.scored_run,
            _stale("monitor"),
        ),
    ]
    listed: list[Stage] = []
    open_before = False
    for step, done, stale, todo in rows:
        if done and stale:
            listed.append(Stage(step, "stale", todo))
        elif done:
            listed.append(Stage(step, "done", ""))
        else:
            listed.append(Stage(step, "blocked" if open_before else "todo", named(step).about))
        open_before = open_before or not done
    return listed


def next_stage(listed: list[Stage]) -> Stage | None:
    """Return the first stage with something to do; None if all is done.

    Examples
    --------
    >>> stage = next_stage(stages(Facts(snapshot="a")))
    >>> stage.step, str(stage.todo)
    ('prepare', 'Choose rows and columns, and split them into a training and a test set.')
    """
    return next((stage for stage in listed if stage.state in ("todo", "stale")), None)


def whole(data: Source = "sample") -> list[tuple[str, dict[str, Any]]]:
    """Return the steps of the whole life cycle on one data source, with their options, in order.

    Training promotes the first champion by itself. If there is a champion already, the steps after
    it use whichever version is champion then.

    Parameters
    ----------
    data : {"sample", "folder", "download"}
        The built-in sample, the folder in the settings, or the project's downloads.

    Examples
    --------
    >>> [step for step, _ in whole("sample")]
    ['acquire', 'prepare', 'train', 'serve', 'score', 'monitor']
    """
    return [
        ("acquire", {"source": data}),
        ("prepare", {}),
        ("train", {}),
        ("serve", {}),
        ("score", {"source": "production"}),
        ("monitor", {}),
    ]


def of_table(
    acquire: Mapping[str, Any], *, has_current: bool, rows: int = 0
) -> list[tuple[str, dict[str, Any]]]:
    """Return the steps of the life cycle of a table, with their options, in order.

    Parameters
    ----------
    acquire : mapping
        How the table is acquired.
    has_current : bool
        Whether it has current rows; without, the steps end with the served model.
    rows : int
        Rows of the table: with many, Train takes fewer folds.

    Examples
    --------
    >>> [step for step, _ in of_table({"source": "upload"}, has_current=False)]
    ['acquire', 'prepare', 'train', 'serve']
    >>> dict(of_table({"source": "upload"}, has_current=False, rows=300_000))["train"]
    {'folds': 5}
    """
    after = [part for part in whole()[1:] if has_current or part[0] not in ("score", "monitor")]
    few = {"train": {"folds": FEW_FOLDS}} if rows > MANY_ROWS else {}
    return [("acquire", dict(acquire)), *((step, few.get(step, of)) for step, of in after)]
