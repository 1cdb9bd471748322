"""Fits by sampling weight, for estimators whose caller passes no weights on.

PyCaret passes no argument to the fit of the last step of its pipeline. So each class of estimators
gets a subclass that takes the weights of its rows by their index. An estimator has that class
while it is fitted only: what is returned and stored is of the library's own class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.messages import Message, plural, sentences
from core.training import candidates as kinds

Floats = npt.NDArray[np.float64]

WEIGHT = "sample_weight"
_PLAIN = "courtside_plain"


def relative(weights: Floats) -> Floats:
    """Return weights of mean 1, so that regularization and limits of leaves keep their meaning.

    Examples
    --------
    >>> relative(np.array([1000.0, 3000.0])).tolist()
    [0.5, 1.5]
    """
    scaled: Floats = weights / weights.mean()
    return scaled


def is_taken(plain: type[Any]) -> bool:
    """Return whether estimators of a class can be fitted by weight.

    Examples
    --------
    >>> from sklearn import linear_model, neighbors
    >>> is_taken(linear_model.LogisticRegression), is_taken(neighbors.KNeighborsClassifier)
    (True, False)
    """
    return WEIGHT in signature(plain.fit).parameters


class ByIndex:
    """Classes of estimators that are fitted by the weights of their rows.

    Parameters
    ----------
    weights : array of float, shape (n,)
        Positive; that of the row with index i is `weights[i]`.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> rows = pd.DataFrame({"x": [0, 0, 0]})
    >>> estimator = DummyClassifier(strategy="prior")
    >>> ByIndex(np.array([1.0, 1.0, 2.0])).enter(estimator)
    >>> leave(estimator.fit(rows, [0, 0, 1])).predict_proba(rows[:1]).tolist()
    [[0.5, 0.5]]
    >>> type(estimator) is DummyClassifier
    True
    """

    def __init__(self, weights: Floats) -> None:
        self._weights = relative(weights)
        self._classes: dict[type[Any], type[Any]] = {}

    def of(self, plain: type[Any]) -> type[Any]:
        """Return the subclass of a class that is fitted by weight.

        Its fit takes weights even if the class cannot, and then ignores them: an ensemble refuses
        members that do not take any.
        """
        if hasattr(plain, _PLAIN):
            return plain
        if plain not in self._classes:
            self._classes[plain] = self._subclass(plain)
        return self._classes[plain]

    def enter(self, estimator: Any) -> None:
        """Give classifiers that are not fitted yet, and those within, the subclasses."""
        from sklearn.base import is_classifier
        from sklearn.pipeline import Pipeline

        for part in [estimator, *estimator.get_params(deep=True).values()]:
            is_own = hasattr(part, "get_params") and not isinstance(part, Pipeline | type)
            if is_own and is_classifier(part):
                part.__class__ = self.of(type(part))

    def _subclass(self, plain: type[Any]) -> type[Any]:
        takes, weights = is_taken(plain), self._weights

        def fit(estimator: Any, rows: Any, labels: Any, sample_weight: Floats | None = None) -> Any:
            if not takes:
                return plain.fit(estimator, rows, labels)
            if sample_weight is None:
                sample_weight = weights[rows.index.to_numpy()]
            return plain.fit(estimator, rows, labels, sample_weight=sample_weight)

        own = signature(plain.fit)
        if not takes:
            weight = Parameter(WEIGHT, Parameter.POSITIONAL_OR_KEYWORD, default=None)
            own = own.replace(parameters=[*own.parameters.values(), weight])
        # PyCaret and scikit-learn inspect the names of parameters
        fit.__signature__ = own  # type: ignore[attr-defined]
        return type(
            plain.__name__, (plain,), {"fit": fit, "__module__": plain.__module__, _PLAIN: plain}
        )


def leave(estimator: Any) -> Any:
    """Give an estimator, and those within, their own classes again; return it."""
    for part in _parts(estimator, set()):
        plain = getattr(type(part), _PLAIN, None)
        if plain is not None:
            part.__class__ = plain
    return estimator


def fitted(
    estimator: Any, rows: pd.DataFrame, labels: npt.ArrayLike, weights: Floats | None
) -> Any:
    """Return a clone of an estimator or a pipeline, fitted on rows by their weights, if any."""
    from sklearn.base import clone

    again = clone(estimator)
    if weights is None:
        return again.fit(rows, labels)
    ByIndex(weights).enter(again)
    return leave(again.fit(rows.reset_index(drop=True), labels))


def sentence(column: str, unweighted: Sequence[str]) -> Message:
    """Return what sampling weights did in a training.

    Parameters
    ----------
    unweighted : sequence of str
        Ids of the models that were fitted without them.

    Examples
    --------
    >>> str(sentence("peso", ["knn"]))
    "Rows count by the sampling weight 'peso': in fits, metrics, intervals, curves and slices.
    Fitted without weights, which it cannot use: K nearest neighbours."
    """
    by_weight = Message(
        "Rows count by the sampling weight '{column}': in fits, metrics, intervals, curves and "
        "slices.",
        column=column,
    )
    if not unweighted:
        return by_weight
    names = [kinds.title(model) for model in unweighted]
    without = plural(
        "Fitted without weights, which it cannot use: {names}.",
        "Fitted without weights, which they cannot use: {names}.",
        len(names),
        names=names,
    )
    return sentences(by_weight, without)


def _parts(thing: Any, seen: set[int]) -> Iterator[Any]:
    """Yield an object and all objects within it."""
    if id(thing) in seen or isinstance(thing, type):
        return
    seen.add(id(thing))
    within: list[Any] = []
    if isinstance(thing, Mapping):
        within = list(thing.values())
    elif isinstance(thing, list | tuple):
        within = list(thing)
    elif hasattr(thing, "get_params") or hasattr(thing, "predict_proba"):
        yield thing
        within = list(vars(thing).values())
    for part in within:
        yield from _parts(part, seen)
