"""Candidates as PyCaret fits them: their folds, what was forecast in them, what is made of them."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from core.platform import served_model
from core.platform.errors import InputError
from core.training import automl, candidates

METRICS = ("log_loss", "roc_auc", "accuracy")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(600, 3))
    label = (x[:, 0] + 0.5 * x[:, 1] ** 2 + rng.normal(size=600) > 0.4).astype(int)
    return pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=label)


def trainer(frame: pd.DataFrame, **choices: object) -> automl.Trainer:
    given = {"folds": 3, "seed": 42, "fit_share": 1.0, **choices}
    return automl.Trainer(frame, "y", **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def three(frame: pd.DataFrame) -> automl.Trainer:
    """One of three folds; PyCaret's set-up takes as long as some fits."""
    return trainer(frame)


@pytest.fixture(scope="module")
def two(frame: pd.DataFrame) -> automl.Trainer:
    """One of two folds, where it does not depend on how many there are."""
    return trainer(frame, folds=2)


@pytest.fixture(scope="module")
def fitted(two: automl.Trainer) -> dict[str, automl.Fitted]:
    made = two
    return {
        "lr": made.fit("lr"),
        "lightgbm": made.fit("lightgbm", {"n_estimators": 20, "num_leaves": 4}),
        "blend": made.blend("blend", ["lr", "lightgbm"]),
        "stack": made.stack("stack", ["lr", "lightgbm"]),
        "lr.isotonic": made.calibrate("lr", "isotonic"),
        "lightgbm.tuned": made.tune("lightgbm", trials=2, seconds=30),
    }


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_every_row_to_fit_on_is_forecast_once_by_a_fit_that_had_not_seen_it(
    frame: pd.DataFrame, share: float
) -> None:
    from sklearn.metrics import log_loss

    found = trainer(frame, fit_share=share).fit("lr")
    kept = found.validation
    assert len(kept) == kept["row"].nunique() == found.rows_fit == round(share * len(frame))
    assert kept["courtside_label"].tolist() == frame["y"].iloc[kept["row"]].tolist()
    by_fold = kept.groupby("fold")[["courtside_label", "courtside_probability"]].apply(
        lambda part: log_loss(part["courtside_label"], part["courtside_probability"])
    )
    # PyCaret rounds its table to four digits
    np.testing.assert_allclose(by_fold, found.folds["log_loss"], atol=6e-5)


@pytest.mark.long
def test_parameters_are_taken(fitted: dict[str, automl.Fitted]) -> None:
    assert fitted["lightgbm"].params["n_estimators"] == 20
    assert fitted["lightgbm"].estimator.n_estimators_ == 20


def test_a_blend_is_the_mean_of_its_members(frame: pd.DataFrame, two: automl.Trainer) -> None:
    members = [two.fit("lr"), two.fit("dt", {"max_depth": 3})]
    fits = [*members, two.blend("blend", [member.id for member in members])]
    rows = frame[["a", "b", "c"]]
    one, other, both = (fit.estimator.predict_proba(rows)[:, 1] for fit in fits)
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-12)
    kept = [fit.validation.set_index("row")["courtside_probability"] for fit in fits]
    np.testing.assert_allclose(kept[2], (kept[0] + kept[1]) / 2, atol=1e-12)


@pytest.mark.long
def test_what_is_made_of_others_has_their_libraries_folds_and_one_row_each(
    frame: pd.DataFrame, fitted: dict[str, automl.Fitted]
) -> None:
    for name, found in fitted.items():
        assert found.id == name
        assert (len(found.folds), found.validation["row"].nunique()) == (2, len(frame))
        assert ("lightgbm" in found.libraries) == (name not in ("lr", "lr.isotonic"))
        assert all(not isinstance(value, dict | list) for value in found.params.values())
    # what the search found is cross-validated on the same folds
    assert (fitted["lightgbm.tuned"].validation["row"] == fitted["lr"].validation["row"]).all()


def assert_loads(found: automl.Fitted, rows: pd.DataFrame) -> None:
    """See that the server can load what is registered, and that it answers the same."""
    import skops.io

    kept = skops.io.dumps(found.estimator)
    loaded = skops.io.loads(kept, trusted=list(served_model.TRUSTED_TYPES))
    np.testing.assert_array_equal(
        loaded.predict_proba(rows), found.estimator.predict_proba(rows), strict=True
    )


@pytest.mark.long
def test_what_is_made_of_others_can_be_loaded_where_it_is_served(
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
    for found in [*fitted.values(), *more]:
        assert_loads(found, frame[["a", "b", "c"]])


@pytest.mark.long
def test_the_figures_are_those_of_compare_models(three: automl.Trainer) -> None:
    ours = pd.DataFrame({name: three.fit(name).folds.mean() for name in ("lr", "dt", "nb")}).T
    three._experiment.compare_models(include=["lr", "dt", "nb"], verbose=False)
    theirs = three._experiment.pull().rename(columns=automl.FOLD_METRICS)
    for name in METRICS:
        np.testing.assert_allclose(ours[name], theirs.loc[ours.index, name], atol=1.1e-4)


def test_nothing_goes_on_after_the_deadline(frame: pd.DataFrame) -> None:
    folds = []
    late = trainer(frame, deadline=time.monotonic(), on_fold=lambda: folds.append(1))
    with pytest.raises(automl.OutOfTime):
        late.fit("lr")
    assert len(folds) == 1


def test_what_cannot_be_fitted_is_told(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="'lr' cannot be fitted on these rows"):
        trainer(frame).fit("lr", {"solver": "magic"})


@pytest.mark.parametrize("model", candidates.KINDS)
def test_each_kind_is_one_of_pycarets_and_answers_with_probabilities(
    frame: pd.DataFrame, two: automl.Trainer, model: str
) -> None:
    weights = {"class_weight": "balanced"} if candidates.KINDS[model].weighs else {}
    found = two.fit(model, weights)
    answers = found.estimator.predict_proba(frame[["a", "b", "c"]])
    assert answers.shape == (len(frame), 2)
    assert ((answers >= 0) & (answers <= 1)).all()
    assert_loads(found, frame[["a", "b", "c"]])
