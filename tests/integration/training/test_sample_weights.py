"""Fits by sampling weight: what the weights change, and that nothing else does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.platform import served_model
from core.training import automl, candidates, estimators, learning, sample_weights
from core.training.preprocessing import preprocessor

FEATURES = ["a", "b"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(600, 2))
    label = (x[:, 0] + rng.logistic(size=600) > 0.8).astype(int)
    return pd.DataFrame(x, columns=FEATURES).assign(y=label)


@pytest.fixture(scope="module")
def strong(frame: pd.DataFrame) -> np.ndarray:
    """Weights of the positives that turn a minority of rows into most of the population."""
    return np.where(frame["y"] == 1, 9000.0, 1000.0)


def trainer(frame: pd.DataFrame, weights: np.ndarray | None, **choices: object) -> automl.Trainer:
    return automl.Trainer(
        frame, "y", **{"folds": 2, "seed": 1, "fit_share": 1.0, "weights": weights, **choices}
    )


@pytest.fixture(scope="module")
def weighted(frame: pd.DataFrame, strong: np.ndarray) -> automl.Trainer:
    return trainer(frame, strong)


def mean(candidate: automl.Fitted, frame: pd.DataFrame) -> float:
    """Return the mean probability of rows, by the weights of `strong`."""
    by = np.where(frame["y"] == 1, 9.0, 1.0)
    return float(np.average(candidate.estimator.predict_proba(frame[FEATURES])[:, 1], weights=by))


def holds(candidate: automl.Fitted, frame: pd.DataFrame, strong: np.ndarray) -> None:
    """Check that a candidate's mean prediction is the base rate of the population."""
    population = np.average(frame["y"], weights=strong)
    assert mean(candidate, frame) == pytest.approx(population, abs=0.03), candidate.id
    assert candidate.unweighted == ()
    # the folds are measured by weight too: always predicting the base rate has no skill
    assert candidate.folds["accuracy"].mean() > population - 0.05


def test_the_mean_prediction_is_the_weighted_base_rate_not_that_of_the_rows(
    frame: pd.DataFrame, strong: np.ndarray, weighted: automl.Trainer
) -> None:
    base, population = frame["y"].mean(), np.average(frame["y"], weights=strong)
    assert population - base > 0.3
    holds(weighted.fit("lr"), frame, strong)
    holds(weighted.calibrate("lr", "isotonic"), frame, strong)
    plain = trainer(frame, None).fit("lr")
    assert mean(plain, frame) < population - 0.1


@pytest.mark.long
def test_so_it_is_however_a_candidate_is_fitted(frame: pd.DataFrame, strong: np.ndarray) -> None:
    own = trainer(frame, strong)
    fits = [own.fit(model, params) for model, params in (("lr", {}), ("dt", {"max_depth": 2}))]
    fits += [own.fit("lightgbm", {"n_estimators": 20}), own.fit("dummy")]
    fits += [own.blend("blend", ["lr", "dt"]), own.stack("stack", ["lr", "dt"])]
    fits += [own.tune("dt", trials=1, seconds=20)]
    for candidate in fits:
        holds(candidate, frame, strong)


def test_a_weight_of_two_is_a_doubled_row(frame: pd.DataFrame) -> None:
    from sklearn.linear_model import LogisticRegression

    weights = 1.0 + np.arange(len(frame)) % 2
    candidate = trainer(frame, weights).fit("lr", {"C": weights.mean()})
    doubled = frame.loc[frame.index.repeat(weights.astype(int))]
    same = LogisticRegression(max_iter=1000).fit(doubled[FEATURES], doubled["y"])
    for own in (
        candidate.estimator,
        automl.refitted(candidate, frame[FEATURES], frame["y"].to_numpy(), weights),
    ):
        np.testing.assert_allclose(own.coef_, same.coef_, rtol=2e-3)
        np.testing.assert_allclose(own.intercept_, same.intercept_, rtol=2e-3)
    away = LogisticRegression(max_iter=1000).fit(frame[FEATURES], frame["y"])
    assert np.abs(away.coef_ - same.coef_).max() > 0.01


@pytest.mark.parametrize("share", [1.0, pytest.param(0.7, marks=pytest.mark.long)])
def test_equal_weights_change_nothing(frame: pd.DataFrame, share: float) -> None:
    first, second = (
        trainer(frame, by, fit_share=share).fit("lightgbm", {"n_estimators": 5})
        for by in (None, np.full(len(frame), 3.0))
    )
    pd.testing.assert_frame_equal(first.validation, second.validation)
    np.testing.assert_allclose(first.folds, second.folds, atol=6e-5)


def test_what_is_stored_is_of_the_librarys_own_class(
    frame: pd.DataFrame, strong: np.ndarray
) -> None:
    import skops.io

    numbers = frame.assign(a=frame["a"].where(frame["a"] > -1))
    before = preprocessor(FEATURES, [], impute=True)
    own = trainer(numbers, strong, preprocessor=before)
    own.fit("knn")
    own.fit("lr")
    fits = [own.stack("stack", ["lr", "knn"]), own.calibrate("knn", "sigmoid")]
    for candidate in fits:
        assert candidate.unweighted == ("knn",)
        loaded = skops.io.loads(
            skops.io.dumps(candidate.estimator), trusted=list(served_model.TRUSTED_TYPES)
        )
        rows = numbers[FEATURES]
        np.testing.assert_array_equal(
            loaded.predict_proba(rows), candidate.estimator.predict_proba(rows)
        )
        assert b"courtside_plain" not in skops.io.dumps(candidate.estimator)
    again = automl.refitted(fits[0], numbers[FEATURES], frame["y"].to_numpy(), strong)
    np.testing.assert_allclose(
        again.predict_proba(numbers[FEATURES]),
        fits[0].estimator.predict_proba(numbers[FEATURES]),
        atol=1e-6,
    )


@pytest.mark.long
def test_an_adopted_candidate_is_fitted_by_weight_in_a_blend(
    frame: pd.DataFrame, strong: np.ndarray, weighted: automl.Trainer
) -> None:
    own = trainer(frame, strong)
    own.adopt(weighted.fit("lr"))
    own.adopt(weighted.fit("nb"))
    population = np.average(frame["y"], weights=strong)
    assert mean(own.blend("blend", ["lr", "nb"]), frame) == pytest.approx(population, abs=0.03)


@pytest.mark.parametrize("kind", candidates.KINDS)
def test_the_catalogue_knows_which_models_can_be_fitted_by_weight(kind: str) -> None:
    plain = type(estimators.unfitted(kind, FEATURES, [], impute=False))
    assert candidates.KINDS[kind].takes_weights == sample_weights.is_taken(plain)


def test_a_learning_curve_is_by_weight(frame: pd.DataFrame, strong: np.ndarray) -> None:
    from sklearn.dummy import DummyClassifier

    curve = learning.learning_curve(
        DummyClassifier(strategy="prior"), frame[FEATURES], frame["y"].to_numpy(), weights=strong
    )
    rate = np.average(frame["y"], weights=strong)
    entropy = -rate * np.log(rate) - (1 - rate) * np.log(1 - rate)
    assert curve["mean"].iloc[-1] == pytest.approx(entropy, abs=0.03)
