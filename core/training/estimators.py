"""Unfitted pipelines for repeated fits without PyCaret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.platform.classifier import Unfitted
from core.platform.errors import InputError
from core.platform.messages import Message
from core.training.candidates import KINDS
from core.training.preprocessing import preprocessor


def unfitted(
    kind: str,
    numbers: Sequence[str],
    texts: Sequence[str],
    *,
    impute: bool,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Unfitted:
    """Return an unfitted classifier of these features, with the preprocessor that they need.

    Classes and defaults are those of PyCaret 3.3 for the same id, on one core.

    Parameters
    ----------
    kind : str
        One of `candidates.KINDS`.
    numbers, texts : sequence of str
        Columns, in the order of the preprocessor.
    impute : bool
        Whether values may be missing.
    params : mapping, optional
        Parameters of the classifier that differ from its defaults.

    Raises
    ------
    InputError
        For an unknown kind or parameter.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    >>> fitted = unfitted("lr", ["x"], [], impute=False).fit(frame, [0, 0, 1, 1])
    >>> fitted.predict_proba(frame)[:, 1].round(2).tolist()
    [0.19, 0.38, 0.62, 0.81]
    """
    from sklearn.pipeline import Pipeline

    try:
        classifier: Unfitted = _classifier(kind, dict(params or {}), seed)
    except TypeError as error:
        raise InputError(
            Message("'{name}' cannot be fitted: {reason}", name=kind, reason=str(error))
        ) from error
    before = preprocessor(numbers, texts, impute=impute)
    if before is None:
        return classifier
    pipeline: Unfitted = Pipeline([("preprocess", before), ("classify", classifier)])
    return pipeline


def _classifier(kind: str, params: dict[str, Any], seed: int) -> Any:
    from sklearn import (
        discriminant_analysis,
        dummy,
        ensemble,
        linear_model,
        naive_bayes,
        neighbors,
        neural_network,
        tree,
    )

    seeded = {"random_state": seed, **params}
    match kind:
        case "lr":
            return linear_model.LogisticRegression(**{"max_iter": 1000, **seeded})
        case "dt":
            return tree.DecisionTreeClassifier(**seeded)
        case "knn":
            return neighbors.KNeighborsClassifier(**{"n_jobs": 1, **params})
        case "lightgbm":
            from lightgbm import LGBMClassifier

            return LGBMClassifier(**{"n_jobs": 1, "verbose": -1, **seeded})
        case "gbc":
            return ensemble.GradientBoostingClassifier(**seeded)
        case "rf":
            return ensemble.RandomForestClassifier(**{"n_jobs": 1, **seeded})
        case "et":
            return ensemble.ExtraTreesClassifier(**{"n_jobs": 1, **seeded})
        case "ada":
            return ensemble.AdaBoostClassifier(**seeded)
        case "lda":
            return discriminant_analysis.LinearDiscriminantAnalysis(**params)
        case "qda":
            return discriminant_analysis.QuadraticDiscriminantAnalysis(**params)
        case "nb":
            return naive_bayes.GaussianNB(**params)
        case "mlp":
            return neural_network.MLPClassifier(**{"max_iter": 500, **seeded})
        case "dummy":
            return dummy.DummyClassifier(**{"strategy": "prior", **seeded})
    raise InputError(
        Message("'{name}' does not exist. Choose from: {names}.", name=kind, names=list(KINDS))
    )
