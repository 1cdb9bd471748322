"""What the course asks the work to come to, and what the first version of this work published."""

from __future__ import annotations

from dataclasses import dataclass

# PyCaret's ids of the two candidates that must be trained
REGRESSION, TREE = "lr", "dt"


@dataclass(frozen=True)
class Expected:
    """What the preparation of the real files comes to; the target is one of the columns."""

    rows: int
    columns: int
    test_share: float


@dataclass(frozen=True)
class PublishedBaseline:
    """A model's figures on the 3-point shots, as the first version of this work published them.

    Parameters
    ----------
    candidate : str
        PyCaret's id of its model.
    f1 : float
    errors, rows : int
        Wrong labels among the labelled rows.
    log_loss : float
        As it was published: of labels instead of probabilities.
    """

    candidate: str
    f1: float
    errors: int
    rows: int
    log_loss: float


EXPECTED = Expected(rows=20_285, columns=7, test_share=0.2)
BASELINE = PublishedBaseline("knn", f1=0.3138, errors=2244, rows=5412, log_loss=15.0)
