"""The course's questions, its expected results, and what the first version published."""

from __future__ import annotations

from dataclasses import dataclass

from core.platform.messages import Message

# code -> question to answer in writing
QUESTIONS = {
    "pipelines": Message("Why development and production pipelines?"),
    "tools": Message("How do Streamlit, MLflow, PyCaret and scikit-learn help?"),
    "steps": Message("Which steps lead from data to operation?"),
    "approaches": Message("Regression or classification: which was chosen, and why?"),
    "split": Message("How does the split affect the result, and how is bias reduced?"),
    "bases": Message("How do the development and the production data differ?"),
    "adherence": Message("Does the model fit the production data, and why?"),
    "health": Message(
        "How is the model's health monitored with and without the response variable?"
    ),
    "retraining": Message("What are the reactive and the predictive retraining strategies?"),
    "earlier": Message("What did the first version answer, and why is the verdict the same?"),
}

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
