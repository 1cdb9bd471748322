"""Candidates as PyCaret fits them: their folds, their forecasts, and candidates built from them."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from core.platform import served_model
from core.platform.errors import InputError
from core.training import automl, candidates

METRICS = ("log_loss", "roc_auc", "accuracy")
# one of each way to be saved; the others are long
FAST_KINDS = ("lr", "knn", "lightgbm", "dummy")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(600, 3))
    label = (x[:, 0] + 0.5 * x[:, 1] ** 2 + rng.normal(size=600) > 0.4).astype(int)
    return pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=label)


def trainer(frame: pd.DataFrame, **choices: object) -> automl.Trainer:
    options = {"folds": 3, "seed": 42, "fit_share": 1.0, **choices}
    return automl.Trainer(frame, "y", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def three(frame: pd.DataFrame) -> automl.Trainer:
    """A trainer with three folds; PyCaret's set-up takes as long as some fits."""
    return trainer(frame)


@pytest.fixture(scope="module")
def two(frame: pd.DataFrame) -> automl.Trainer:
    """A trainer with two folds, for tests that do not depend on their number."""
    return trainer(frame, folds=2)


@pytest.fixture(scope="module")
def fitted(two: automl.Trainer) -> dict[str, automl.Fitted]:
    base = two
    return {
        "lr": base.fit("lr"),
        "lightgbm": base.fit("lightgbm", {"n_estimators": 20, "num_leaves": 4}),
        "blend": base.blend("blend", ["lr", "lightgbm"]),
        "stack": base.stack("stack", ["lr", "lightgbm"]),
        "lr.isotonic": base.calibrate("lr", "isotonic"),
        "lightgbm.tuned": base.tune("lightgbm", trials=2, seconds=30),
    }


@pytest.mark.parametrize("share", [1.0, pytest.param(0.7, marks=pytest.mark.long)])
def test_every_training_row_is_forecast_once_by_a_fit_that_had_not_seen_it(
    frame: pd.DataFrame, share: float
) -> None:
    from sklearn.metrics import log_loss

    candidate = trainer(frame, fit_share=share).fit("lr")
    validation = candidate.validation
    assert (
        len(validation)
        == validation["row"].nunique()
        == candidate.rows_fit
        == round(share * len(frame))
    )
    assert validation["courtside_label"].tolist() == frame["y"].iloc[validation["row"]].tolist()
    by_fold = validation.groupby("fold")[["courtside_label", "courtside_probability"]].apply(
        lambda part: log_loss(part["courtside_label"], part["courtside_probability"])
    )
    # PyCaret rounds its table to four digits
    np.testing.assert_allclose(by_fold, candidate.folds["log_loss"], atol=6e-5)


@pytest.mark.long
def test_parameters_are_used(fitted: dict[str, automl.Fitted]) -> None:
    assert fitted["lightgbm"].params["n_estimators"] == 20
    assert fitted["lightgbm"].estimator.n_estimators_ == 20


def test_a_blend_is_the_mean_of_its_members(frame: pd.DataFrame, two: automl.Trainer) -> None:
    members = [two.fit("lr"), two.fit("dt", {"max_depth": 3})]
    fits = [*members, two.blend("blend", [member.id for member in members])]
    rows = frame[["a", "b", "c"]]
    first, second, blend = (fit.estimator.predict_proba(rows)[:, 1] for fit in fits)
    np.testing.assert_allclose(blend, (first + second) / 2, atol=1e-12)
    forecasts = [fit.validation.set_index("row")["courtside_probability"] for fit in fits]
    np.testing.assert_allclose(forecasts[2], (forecasts[0] + forecasts[1]) / 2, atol=1e-12)


@pytest.mark.long
def test_combined_candidates_have_libraries_folds_and_one_forecast_per_row(
    frame: pd.DataFrame, fitted: dict[str, automl.Fitted]
) -> None:
    for name, candidate in fitted.items():
        assert candidate.id == name
        assert (len(candidate.folds), candidate.validation["row"].nunique()) == (2, len(frame))
        assert ("lightgbm" in candidate.libraries) == (name not in ("lr", "lr.isotonic"))
        assert all(not isinstance(value, dict | list) for value in candidate.params.values())
    # what the search found is cross-validated on the same folds
    assert (fitted["lightgbm.tuned"].validation["row"] == fitted["lr"].validation["row"]).all()


def assert_loads(candidate: automl.Fitted, rows: pd.DataFrame) -> None:
    """Check that the server can load the saved model, and that it answers the same."""
    import skops.io

    saved = skops.io.dumps(candidate.estimator)
    loaded = skops.io.loads(saved, trusted=list(served_model.TRUSTED_TYPES))
    np.testing.assert_array_equal(
        loaded.predict_proba(rows), candidate.estimator.predict_proba(rows), strict=True
    )


@pytest.mark.long
def test_combined_candidates_can_be_loaded_by_the_server(
    frame: pd.DataFrame, two: automl.Trainer, fitted: dict[str, automl.Fitted]
) -> None:
    two.fit("lightgbm", {"n_estimators": 5})
    two.fit("knn")
    two.blend("blend", ["lightgbm", "knn"])
    more = [
        two.stack("stack", ["lightgbm", "knn"]),
        two.calibrate("blend", "sigmoid"),
        two.calibrate("blend", "isotonic"),
    ]
    for candidate in [*fitted.values(), *more]:
        assert_loads(candidate, frame[["a", "b", "c"]])


@pytest.mark.long
def test_the_figures_are_those_of_compare_models(three: automl.Trainer) -> None:
    own_figures = pd.DataFrame(
        {name: three.fit(name).folds.mean() for name in ("lr", "dt", "nb")}
    ).T
    three._experiment.compare_models(include=["lr", "dt", "nb"], verbose=False)
    pycaret_figures = three._experiment.pull().rename(columns=automl.FOLD_METRICS)
    for name in METRICS:
        np.testing.assert_allclose(
            own_figures[name], pycaret_figures.loc[own_figures.index, name], atol=1.1e-4
        )


def test_neighbours_predict_the_same_class_by_counted_votes() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.default_rng(0)
    # few places, so that votes are equal and distances too
    x, y = rng.integers(0, 4, (400, 2)), rng.integers(0, 2, 400)
    predict = KNeighborsClassifier.predict
    for options in ({"n_neighbors": 4}, {"n_neighbors": 5}, {"weights": "distance"}):
        model = KNeighborsClassifier(**options).fit(x, y)
        by_mode = model.predict(x)
        with automl._votes_are_counted():
            assert model.predict(x).tolist() == by_mode.tolist()
    assert KNeighborsClassifier.predict is predict


def test_nothing_goes_on_after_the_deadline(frame: pd.DataFrame) -> None:
    folds = []
    late = trainer(frame, deadline=time.monotonic(), on_fold=lambda: folds.append(1))
    with pytest.raises(automl.OutOfTime):
        late.fit("lr")
    assert len(folds) == 1


def test_a_candidate_that_cannot_be_fitted_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="'lr' cannot be fitted"):
        trainer(frame).fit("lr", {"solver": "magic"})


@pytest.mark.parametrize(
    "model",
    [
        kind if kind in FAST_KINDS else pytest.param(kind, marks=pytest.mark.long)
        for kind in candidates.KINDS
    ],
)
def test_each_kind_is_one_of_pycarets_and_answers_with_probabilities(
    frame: pd.DataFrame, two: automl.Trainer, model: str
) -> None:
    weights = {"class_weight": "balanced"} if candidates.KINDS[model].weighs else {}
    candidate = two.fit(model, weights)
    answers = candidate.estimator.predict_proba(frame[["a", "b", "c"]])
    assert answers.shape == (len(frame), 2)
    assert ((answers >= 0) & (answers <= 1)).all()
    assert_loads(candidate, frame[["a", "b", "c"]])
