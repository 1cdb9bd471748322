"""A requirement of a project: what is asked, whether it is met, and the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.documents.dossier import Block, Facts, Heading, Missing, RunFacts
from core.platform.messages import Words, _
from core.platform.steps import named

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
    todo : str or Message
        What to do if it is not met, where that depends on what is missing.
    """

    state: State
    evidence: Words
    run: RunFacts | None = None
    path: str = ""
    todo: Words = ""


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
    todo: Words = ""
    graded: tuple[int, ...] = ()


def absent(step: str) -> Found:
    """Return missing, for lack of a run of that step."""
    return Found("missing", _("The step {step} has not run yet.", step=named(step).title))


def run_steps(*names: str) -> str:
    """Return what to do: steps to run, by name.

    Examples
    --------
    >>> run_steps("serve", "score")
    'Run: Serve and Score.'
    """
    return _("Run: {steps}.", steps=[named(name).title for name in names])


def needs(
    step: str, choose: Callable[[Facts], RunFacts | None] | None = None
) -> Callable[[Callable[[Facts, RunFacts], Found]], Callable[[Facts], Found]]:
    """Pass a step's run, or the run that `choose` returns, to a check; missing without a run."""

    def decorate(inspect: Callable[[Facts, RunFacts], Found]) -> Callable[[Facts], Found]:
        def inspected(facts: Facts) -> Found:
            run = facts.runs.get(step) if choose is None else choose(facts)
            return absent(step) if run is None else inspect(facts, run)

        return inspected

    return decorate


def whole(title: str, blocks: Sequence[Block]) -> Found:
    """Return whether a part of a document has all of its facts; else the first missing one.

    Parameters
    ----------
    title : str
        The document's.

    Examples
    --------
    >>> found = whole("Data", [Heading("Rows"), Missing("How many rows.", "acquire")])
    >>> found.state, found.evidence, found.todo
    ('missing', 'How many rows.', 'Run: Acquire.')
    """
    missing = [block for block in blocks if isinstance(block, Missing)]
    if not missing:
        return Found("met", _("Present: {items}.", items=[title]))
    is_empty = all(isinstance(block, Missing | Heading) for block in blocks)
    todo = run_steps(*dict.fromkeys(block.step for block in missing))
    return Found("missing" if is_empty else "partly", missing[0].text, todo=todo)
