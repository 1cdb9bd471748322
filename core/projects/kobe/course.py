"""The course's expected results, and the published baseline of the first version."""

from __future__ import annotations

from dataclasses import dataclass

# PyCaret ids of the two required candidates
REGRESSION, TREE = "lr", "dt"


@dataclass(frozen=True)
class Expected:
    """Expected result of preparing the real files; columns include the target."""

    rows: int
    columns: int
    test_share: float


@dataclass(frozen=True)
class PublishedBaseline:
    """A model's metrics on the 3-point shots, as published by the first version of this work.

    Parameters
    ----------
    candidate : str
        PyCaret id of the model.
    errors, rows : int
        Wrong labels among the labelled rows.
    log_loss : float
        As published: computed on labels instead of probabilities.
    """

    candidate: str
    f1: float
    errors: int
    rows: int
    log_loss: float


EXPECTED = Expected(rows=20_285, columns=7, test_share=0.2)
BASELINE = PublishedBaseline("knn", f1=0.3138, errors=2244, rows=5412, log_loss=15.0)
