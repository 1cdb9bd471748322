"""A requirement of a project: what is asked, whether it is met, and the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.documents.dossier import Block, Facts, Heading, Missing, RunFacts
from core.platform.messages import Words, _, n_
from core.platform.steps import RUN_NAMES

State = Literal["met", "partly", "missing"]


@dataclass(frozen=True)
class Found:
    """The evidence for a requirement.

    Parameters
    ----------
    state : {"met", "partly", "missing"}
    evidence : str or Message
        The findings, in sentences with numbers.
    run : RunFacts or None
        The run that proves it.
    path : str
        The file that proves it, below the home or, if shipped, below the code's folder.
    """

    state: State
    evidence: Words
    run: RunFacts | None = None
    path: str = ""


@dataclass(frozen=True)
class Requirement:
    """A line of a project's checklist, with its state.

    Parameters
    ----------
    number : str
        E.g. 6.2: paragraph of the brief, and line in it.
    state : {"met", "partly", "missing"}
    run_id, path : str
        The run and the file that prove it; empty if there is none.
    page : str
        Name of the page that meets or shows it.
    todo : str or Message
        What to do about it; empty if it is met.
    graded : tuple of int
        The grader's points that it answers.
    """

    number: str
    group: Words
    text: Words
    state: State
    evidence: Words
    run_id: str
    path: str
    page: str
    todo: Words
    graded: tuple[int, ...] = ()


@dataclass(frozen=True)
class Line:
    """A line of a checklist with the function that inspects it; fields as in Requirement."""

    number: str
    text: Words
    inspect: Callable[[Facts], Found]
    page: str
    todo: Words
    graded: tuple[int, ...] = ()


def absent(name: str) -> Found:
    """Return missing, for lack of a run of that name."""
    return Found("missing", _("There is no run `{name}` yet.", name=name))


def needs(
    step: str, choose: Callable[[Facts], RunFacts | None] | None = None
) -> Callable[[Callable[[Facts, RunFacts], Found]], Callable[[Facts], Found]]:
    """Pass a step's run, or the run that `choose` returns, to a check; missing without a run."""

    def decorate(inspect: Callable[[Facts, RunFacts], Found]) -> Callable[[Facts], Found]:
        def inspected(facts: Facts) -> Found:
            run = facts.runs.get(step) if choose is None else choose(facts)
            return absent(RUN_NAMES[step]) if run is None else inspect(facts, run)

        return inspected

    return decorate


def whole(title: str, blocks: Sequence[Block]) -> Found:
    """Return whether a document or an answer has all of its facts; else the first missing one.

    Examples
    --------
    >>> whole("Data", [Heading("Data"), Missing("How many rows.", "acquire")]).state
    'missing'
    """
    missing = [block for block in blocks if isinstance(block, Missing)]
    present = [block for block in blocks if not isinstance(block, Missing | Heading)]
    if not present:
        return Found("missing", _("'{title}' has none of its facts yet.", title=title))
    if missing:
        return Found(
            "partly",
            n_(
                "'{title}' lacks a fact: {text}",
                "'{title}' lacks {count:,} facts. First: {text}",
                len(missing),
                title=title,
                text=missing[0].text,
            ),
        )
    return Found(
        "met",
        n_(
            "'{title}' is complete: {count:,} paragraph, table or figure.",
            "'{title}' is complete: {count:,} paragraphs, tables and figures.",
            len(present),
            title=title,
        ),
    )


def answered(blocks: Sequence[Block]) -> Found:
    """Return `whole` for an answer, titled by its first heading."""
    return whole(next(block.text for block in blocks if isinstance(block, Heading)), blocks)
