"""What is sent to score a part of a large file, and what is reported of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from core.platform.project import Column
from core.platform.rows import Rule
from core.scoring import new_levels
from core.scoring.batches import Source
from core.scoring.output_parts import Place
from core.scoring.scorer import Floats, Ints

# most rejected rows to list; all are counted
LISTED = 10_000
# fields of `Done` that are added up
SUMS = ("rows", "labelled", "skipped", "rejected", "probability", "positive", "new_rows")


@dataclass(frozen=True)
class Work:
    """How the parts of a scoring are processed; can be sent to another process.

    Parameters
    ----------
    scoring : str
        Its id, 32 hexadecimal digits; the ids of its requests derive from it.
    source : Source or None
        The files to read; None if the rows are in memory.
    columns : mapping of str to Column
        The model's inputs and, with labels, the target.
    names : mapping of str to str
        Source name of each column, and of the key.
    target, key : str or None
        None for rows without labels, or keys.
    features, formulas
        Inputs of the classifier, and formulas of the engineered ones.
    is_complete : bool
        Whether a row with a missing input is left out.
    keeps_inputs : bool
        Whether the result includes the inputs.
    key_rule : Rule, optional
        Permitted keys.
    levels : mapping of str to frozenset of str
        Values of text columns that the training rows had, to count new ones.
    """

    scoring: str
    source: Source | None
    columns: Mapping[str, Column]
    names: Mapping[str, str]
    inputs: tuple[str, ...]
    target: str | None
    key: str | None
    features: tuple[str, ...]
    formulas: Mapping[str, tuple[str, str]]
    is_complete: bool
    place: Place
    keeps_inputs: bool
    batch_rows: int
    key_rule: Rule | None = None
    levels: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass
class Done:
    """The result of a part; stored as JSON next to it.

    Parameters
    ----------
    rows, labelled, skipped, rejected : int
        Scored; of these with a label; left out for a missing value; left out for an invalid one.
    listed : list of [row, column, value, reason], the reason for `messages.loads`
        The first of the rejected.
    probability : float
        Sum over the rows.
    latencies : list of float
        Milliseconds of each request.
    new_rows : int
        Scored rows with a value of a text column that the training rows did not have.
    new_levels : dict of str to (int, str)
        These rows by column, and such a value.
    """

    number: int
    rows: int = 0
    labelled: int = 0
    skipped: int = 0
    rejected: int = 0
    listed: list[tuple[int, str, str, str]] = field(default_factory=list)
    probability: float = 0.0
    positive: int = 0
    latencies: list[float] = field(default_factory=list)
    new_rows: int = 0
    new_levels: dict[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """The scorable rows of a batch, their positions in the source, and their labels or NaN."""

    rows: pd.DataFrame
    keys: Any
    places: Ints
    labels: Floats
    request_id: str
    rows_read: int


def total(done: Iterable[Done]) -> Done:
    """Return the combined result of several parts."""
    combined = Done(-1)
    for part in sorted(done, key=lambda part: part.number):
        for name in SUMS:
            setattr(combined, name, getattr(combined, name) + getattr(part, name))
        combined.new_levels = new_levels.added(combined.new_levels, part.new_levels)
        combined.latencies += part.latencies
        combined.listed = [*combined.listed, *part.listed][:LISTED]
    return combined


def request_id(scoring: str, first_row: int) -> str:
    """Return the id of the request that starts with a row: the same at every attempt.

    Examples
    --------
    >>> request_id("0" * 32, 0) == request_id("0" * 32, 0) != request_id("0" * 32, 1)
    True
    """
    return uuid.uuid5(uuid.UUID(hex=scoring), str(first_row)).hex
