"""Where the life cycle stands, and the one next thing to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["done", "stale", "todo", "blocked"]
Source = Literal["sample", "folder", "download"]


@dataclass(frozen=True)
class Facts:
    """What the stores say; None (or nothing) where there is none yet.

    Parameters
    ----------
    snapshot : str or None
        The raw data that stands.
    prepared_from, prepared_run : str or None
        The raw data that the prepared sets came from, and the run that made them.
    trained_on : str or None
        The preparation run whose sets the newest training used.
    champion : str or None
        The champion's version.
    served : tuple of str
        Versions that answer now.
    scored_run, scored_version : str or None
        The newest scoring of many rows, and the version that did it.
    monitored_run : str or None
        The scoring that the newest report looked at.
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
    """A stage's state and what to do about it.

    Parameters
    ----------
    step : str
    state : {"done", "stale", "todo", "blocked"}
        Stale: something before it changed since. Blocked: a stage before it has to be done first.
    todo : str
        A sentence; empty when nothing is to be done.
    """

    step: str
    state: State
    todo: str


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
    rows: list[tuple[str, bool, bool, str, str]] = [
        # step, done, stale, what to do, what to do when stale
        (
            "acquire",
            facts.snapshot is not None,
            False,
            "Bring in data: the built-in sample, or your own files.",
            "",
        ),
        (
            "prepare",
            facts.prepared_run is not None,
            facts.prepared_from != facts.snapshot,
            "Prepare a train and a test set from the raw data.",
            "The raw data changed since. Prepare it again.",
        ),
        (
            "train",
            facts.champion is not None,
            facts.trained_on != facts.prepared_run,
            "Train candidates; the best is registered.",
            "The prepared sets changed since. Train again.",
        ),
        (
            "serve",
            bool(facts.served),
            facts.champion not in facts.served,
            "Start a server for the champion.",
            f"The champion is version {facts.champion}, which is not served. Start it.",
        ),
        (
            "score",
            facts.scored_run is not None,
            bool(facts.served) and facts.scored_version not in facts.served,
            "Score the production rows with the served model.",
            "Another version is served since. Score the rows again.",
        ),
        (
            "monitor",
            facts.monitored_run is not None,
            facts.monitored_run != facts.scored_run,
            "Compare the scored rows with the reference.",
            "Rows were scored since the last report. Monitor again.",
        ),
    ]
    listed: list[Stage] = []
    open_before = False
    for step, done, stale, todo, todo_stale in rows:
        if done and stale:
            listed.append(Stage(step, "stale", todo_stale))
        elif done:
            listed.append(Stage(step, "done", ""))
        else:
            listed.append(Stage(step, "blocked" if open_before else "todo", todo))
        open_before = open_before or not done
    return listed


def next_stage(listed: list[Stage]) -> Stage | None:
    """Return the first stage that has something to do, None when all is done.

    Examples
    --------
    >>> stage = next_stage(stages(Facts(snapshot="a")))
    >>> stage.step, stage.todo
    ('prepare', 'Prepare a train and a test set from the raw data.')
    """
    return next((stage for stage in listed if stage.state in ("todo", "stale")), None)


def whole(data: Source = "sample") -> list[tuple[str, dict[str, Any]]]:
    """Return the steps of the whole life cycle on one source, each with its options, in order.

    Training makes the first champion by itself. Where another champion answers, what is served,
    scored and monitored afterwards is the champion that stands then.

    Parameters
    ----------
    data : {"sample", "folder", "download"}
        The built-in sample, the folder that the settings name, or the project's files from the
        network.

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
