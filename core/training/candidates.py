"""Catalogue of PyCaret's classifiers that predict probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.platform.messages import Message


@dataclass(frozen=True)
class Kind:
    """A kind of classifier.

    Parameters
    ----------
    title : str
        Display name.
    about : str
        How it works, with its strengths and weaknesses, in a sentence.
    weighs : bool
        Whether it supports class weights.
    approach : {"regression", "classification"}
        Whether it models the probability itself by a formula of the features, or takes the share
        in groups of rows.
    """

    title: str
    about: str
    weighs: bool = False
    approach: Literal["regression", "classification"] = "classification"


# by PyCaret's id
KINDS: dict[str, Kind] = {
    "lr": Kind(
        Message("Logistic regression"),
        Message(
            "A weighted sum of the features, turned into a probability; simple, and well "
            "calibrated."
        ),
        weighs=True,
        approach="regression",
    ),
    "dt": Kind(
        Message("Decision tree"),
        Message("One tree of questions, grown to the end; it learns the training rows by heart."),
        weighs=True,
    ),
    "knn": Kind(
        Message("K nearest neighbours"),
        Message(
            "The share among the five rows that resemble most; its probabilities come in "
            "steps of 0.2."
        ),
    ),
    "lightgbm": Kind(
        "LightGBM",
        Message("Many small trees, each mending what the ones before got wrong; fast on tables."),
        weighs=True,
    ),
    "gbc": Kind(
        Message("Gradient boosting"),
        Message("As LightGBM, in scikit-learn's older and slower way, with shallow trees."),
    ),
    "rf": Kind(
        Message("Random forest"),
        Message("The mean of a hundred deep trees on drawn rows; robust, with large model files."),
        weighs=True,
    ),
    "et": Kind(
        Message("Extra trees"),
        Message("As a random forest, with questions drawn at random; smoother, and larger still."),
        weighs=True,
    ),
    "ada": Kind(
        "AdaBoost",
        Message(
            "Stumps that look at the rows the ones before got wrong; its probabilities "
            "crowd at 0.5."
        ),
    ),
    "lda": Kind(
        Message("Linear discriminant analysis"),
        Message("A line between two clouds of one shape; close to logistic regression."),
    ),
    "qda": Kind(
        Message("Quadratic discriminant analysis"),
        Message(
            "A curve between two clouds of their own shapes; sensitive to columns that "
            "repeat others."
        ),
    ),
    "nb": Kind(
        Message("Naive Bayes"),
        Message("Each feature by itself, multiplied; very fast, and too sure of itself."),
    ),
    "mlp": Kind(
        Message("Neural network"),
        Message("One hidden layer of a hundred units; it wants features of one scale."),
    ),
    "dummy": Kind(
        Message("Base rate"),
        Message("The same probability for every row: what any other has to beat."),
    ),
}
DEFAULT = ("lr", "dt", "knn", "lightgbm")
# combinations of candidates
BLEND, STACK = "blend", "stack"
DERIVED = {BLEND: Message("Blend of the best"), STACK: Message("Stack of the best")}
# how many of the best a blend or a stack combines
MEMBERS = 3


def title(model: str) -> str:
    """Return the display name of a candidate.

    Examples
    --------
    >>> title("lr"), title("lightgbm.tuned"), title("blend"), title("lr.sigmoid")
    ('Logistic regression', 'LightGBM, tuned', 'Blend of the best', 'Logistic regression, sigmoid')
    """
    base, _unused, variant = model.partition(".")
    name = KINDS[base].title if base in KINDS else DERIVED[base]
    return f"{name}, {variant}" if variant else name
