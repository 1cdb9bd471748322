"""Catalogue of PyCaret's classifiers that predict probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.platform.messages import Message, Words


@dataclass(frozen=True)
class Kind:
    """A kind of classifier.

    Parameters
    ----------
    about : Message
        How it works, with its strengths and weaknesses, in a sentence.
    weighs : bool
        Whether it supports class weights.
    takes_weights : bool
        Whether it can be fitted by sampling weight.
    approach : {"regression", "classification"}
        Whether it models the probability itself by a formula of the features, or takes the share
        in groups of rows.
    """

    title: Words
    about: Message
    weighs: bool = False
    takes_weights: bool = True
    approach: Literal["regression", "classification"] = "classification"


# approaches to the question, each another view of the same probability
APPROACH_LABELS = {
    "regression": Message("regression"),
    "classification": Message("classification"),
    "both": Message("both"),
}
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
        Message("A single unpruned decision tree; it overfits the training rows."),
        weighs=True,
    ),
    "knn": Kind(
        Message("K nearest neighbours"),
        Message(
            "The share among the five most similar rows; its probabilities come in steps of 0.2."
        ),
        takes_weights=False,
    ),
    "lightgbm": Kind(
        "LightGBM",
        Message(
            "Many small trees, each correcting the errors of the previous ones; fast on "
            "tabular data."
        ),
        weighs=True,
    ),
    "gbc": Kind(
        Message("Gradient boosting"),
        Message("Like LightGBM, in scikit-learn's older and slower form, with shallow trees."),
    ),
    "rf": Kind(
        Message("Random forest"),
        Message(
            "The mean of a hundred deep trees on random samples of the rows; robust, with large "
            "files."
        ),
        weighs=True,
    ),
    "et": Kind(
        Message("Extra trees"),
        Message("Like a random forest, with random splits; smoother, and even larger."),
        weighs=True,
    ),
    "ada": Kind(
        "AdaBoost",
        Message(
            "Decision stumps that focus on the errors of the previous ones; its probabilities "
            "are close to 0.5."
        ),
    ),
    "lda": Kind(
        Message("Linear discriminant analysis"),
        Message(
            "A linear boundary between two classes of the same shape; close to logistic regression."
        ),
        takes_weights=False,
    ),
    "qda": Kind(
        Message("Quadratic discriminant analysis"),
        Message(
            "A curved boundary between two classes of different shapes; sensitive to "
            "redundant columns."
        ),
        takes_weights=False,
    ),
    "nb": Kind(
        Message("Naive Bayes"),
        Message("Treats features as independent; very fast, and overconfident."),
    ),
    "mlp": Kind(
        Message("Neural network"),
        Message("One hidden layer of a hundred units; it needs features of the same scale."),
        takes_weights=False,
    ),
    "dummy": Kind(
        Message("Base rate"),
        Message("The same probability for every row: the baseline for all others."),
    ),
}
DEFAULT = ("lr", "dt", "knn", "lightgbm")
# On more rows the default leaves out the one that compares each row with all others.
QUADRATIC, QUADRATIC_ROWS = "knn", 50_000
# combinations of candidates
BLEND, STACK = "blend", "stack"
DERIVED = {BLEND: Message("Blend of the best"), STACK: Message("Stack of the best")}
# what was done to a candidate, after the dot of its id
VARIANTS: dict[str, Words] = {
    "tuned": Message("tuned"),
    "sigmoid": Message("calibrated ({method})", method="sigmoid"),
    "isotonic": Message("calibrated ({method})", method="isotonic"),
}
# how many of the best a blend or a stack combines
MEMBERS = 3


def wanted(candidates: Sequence[str], rows: int) -> tuple[str, ...]:
    """Return the candidates to fit on this many rows; an explicit choice is unchanged.

    Examples
    --------
    >>> wanted(DEFAULT, 200_000), wanted(("knn",), 200_000)
    (('lr', 'dt', 'lightgbm'), ('knn',))
    """
    if tuple(candidates) != DEFAULT or rows <= QUADRATIC_ROWS:
        return tuple(candidates)
    return tuple(name for name in candidates if name != QUADRATIC)


def approach(model: str) -> str:
    """Return the approach of a candidate; "both" for one that combines others.

    Examples
    --------
    >>> approach("lr"), approach("lightgbm.tuned"), approach("blend")
    ('regression', 'classification', 'both')
    """
    kind = KINDS.get(model.partition(".")[0])
    return kind.approach if kind else "both"


def title(model: str) -> Words:
    """Return the display name of a candidate by its id; another text as it is.

    Examples
    --------
    >>> str(title("lr")), str(title("lightgbm.tuned")), str(title("blend")), title("gone")
    ('Logistic regression', 'LightGBM, tuned', 'Blend of the best', 'gone')
    """
    base, _dot, variant = model.partition(".")
    name = KINDS[base].title if base in KINDS else DERIVED.get(base)
    if name is None:
        return model
    if not variant:
        return name
    return Message("{first}, {second}", first=name, second=VARIANTS.get(variant, variant))
