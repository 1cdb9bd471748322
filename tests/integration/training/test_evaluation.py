"""What a training records of its candidates: intervals, threshold, slices, and the served model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from core.platform import model_store, project, storage, tracking
from core.platform.config import Settings
from core.platform.runs import ModelVersion
from core.registry import version_files
from core.stats import calibration, figure_intervals, metrics, thresholds
from core.training import train
from tests.conftest import copy_home

pytestmark = pytest.mark.long

SPEC = project.load("kobe")


@pytest.fixture(scope="module")
def home(prepared_seasons: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with prepared sets of a part of the sample."""
    return copy_home(prepared_seasons, tmp_path_factory.mktemp("evaluation") / "home")


@pytest.fixture(scope="module")
def result(home: Settings) -> train.Result:
    """Two candidates, the threshold by F1, the best one refitted on all rows and served."""
    options = train.Options(candidates=("lr", "knn"), folds=3, aim="f1", refit=True)
    return train.run(home, options)


@pytest.fixture(scope="module")
def version(home: Settings, result: train.Result) -> ModelVersion:
    return model_store.require_version(home, SPEC.model, result.version)


def test_every_figure_has_an_interval_that_holds_it(home: Settings, version) -> None:
    run = tracking.run(home, version.run_id)
    assert run is not None
    for name in (*metrics.TITLES, "calibration", "calibration_error"):
        value, low, high = (run.metrics[f"{name}_test{end}"] for end in ("", "_low", "_high"))
        assert low <= value <= high, name
    tested = tracking.table(home, version.run_id, "test_predictions")
    labels = tested["courtside_label"].to_numpy()
    forecast = tested["courtside_probability"].to_numpy()
    threshold = float(run.params["threshold"])
    expected = figure_intervals.of(labels, forecast, threshold)
    assert run.metrics["f1_test_low"] == pytest.approx(expected["f1"][0])
    parts = [run.metrics[f"brier_{part}_test"] for part in ("reliability", "resolution")]
    assert run.metrics["brier_score_test"] == pytest.approx(
        parts[0] - parts[1] + run.metrics["brier_uncertainty_test"]
    )
    floor = calibration.calibration_floor(forecast)
    assert run.metrics["calibration_floor_test"] == pytest.approx(floor[1])


def test_the_threshold_is_chosen_on_the_validation_folds_and_kept_with_the_model(
    home: Settings, version
) -> None:
    validation = tracking.table(home, version.run_id, "validation")
    chosen = thresholds.choose(
        validation["courtside_label"].to_numpy(),
        validation["courtside_probability"].to_numpy(),
        "f1",
    )
    tested = tracking.table(home, version.run_id, "test_predictions")
    on_test = thresholds.choose(
        tested["courtside_label"].to_numpy(), tested["courtside_probability"].to_numpy(), "f1"
    )
    assert version.threshold == chosen.threshold != on_test.threshold
    assert version.threshold != SPEC.threshold
    assert version.about.threshold_aim == chosen.text
    assert version_files.load(home, version).threshold == chosen.threshold
    assert (
        tested["courtside_predicted"] == (tested["courtside_probability"] >= chosen.threshold)
    ).all()


def test_other_aims_choose_other_thresholds(home: Settings) -> None:
    dear = train.Options(
        candidates=("lr",), folds=3, aim="cost", cost_false_positive=3.0, learning_seconds=0
    )
    trained = train.run(home, dear)
    registered = model_store.require_version(home, SPEC.model, trained.version)
    # a false positive costs three false negatives: the probability must be above 3/4
    assert registered.threshold > 0.6
    run = tracking.run(home, registered.run_id)
    assert run is not None
    assert run.params["threshold_aim"] == "cost"
    assert "lowest cost" in run.tags["courtside.threshold_choice"].lower()
    with pytest.raises(ValidationError, match="neither kind of error costs anything"):
        train.Options(aim="cost", cost_false_positive=0.0, cost_false_negative=0.0)


def test_the_evaluated_and_the_served_model_are_two_models(
    home: Settings, version, result: train.Result
) -> None:
    prepared, train_set, test_set = storage.read_prepared(home)
    tested = tracking.table(home, version.run_id, "test_predictions")
    evaluated = version_files.load(home, version, evaluated=True)
    served = version_files.load(home, version)
    inputs = tested[list(prepared.inputs)]
    np.testing.assert_allclose(
        evaluated.predict(inputs), tested["courtside_probability"], atol=1e-12
    )
    assert np.abs(served.predict(inputs) - tested["courtside_probability"]).max() > 1e-4
    assert version.tags["courtside.rows_served"] == str(len(train_set) + len(test_set))
    assert version.tags["courtside.train_run"] == result.run_id
    from sklearn.base import clone

    both = pd.concat([train_set, test_set], ignore_index=True)
    again = clone(evaluated.estimator).fit(both[list(prepared.features)], both[SPEC.target])
    expected = again.predict_proba(inputs)[:, 1]
    np.testing.assert_allclose(served.predict(inputs), expected, atol=1e-9)


def test_without_a_refit_one_model_is_both(home: Settings) -> None:
    trained = train.run(home, train.Options(candidates=("lr",), folds=3, learning_seconds=0))
    registered = model_store.require_version(home, SPEC.model, trained.version)
    assert "courtside.evaluated_model" not in registered.tags
    assert registered.threshold == SPEC.threshold
    with pytest.raises(Exception, match="kept no tables/learning"):
        tracking.table(home, trained.run_id, "learning")


def test_slices_court_and_trade_off_are_of_the_test_rows(
    home: Settings, version, result: train.Result
) -> None:
    rows = tracking.table(home, result.run_id, "test_rows")
    slices = tracking.table(home, version.run_id, "slices")
    assert set(slices["column"]) == set(SPEC.slice_columns)
    for column in SPEC.slice_columns:
        assert slices.loc[slices["column"] == column, "rows"].sum() == len(rows)
    table = tracking.table(home, version.run_id, "thresholds")
    for name, count in (("validation", 0), ("test", len(rows))):
        of_set = table[table["set"] == name]
        total = of_set[["tp", "fp", "fn", "tn"]].sum(axis=1)
        assert total.nunique() == 1
        assert count in (0, total.iloc[0])
    cells = tracking.table(home, version.run_id, "court")
    assert 0 < cells["shots"].sum() <= len(rows)


def test_candidates_are_compared_in_pairs_with_the_best(
    home: Settings, result: train.Result
) -> None:
    paired = tracking.table(home, result.run_id, "paired")
    comparison = tracking.table(home, result.run_id, "comparison").set_index("model", drop=False)
    (other,) = paired.itertuples()
    assert other.model != comparison.index[comparison["model"] == result.best][0]
    loss = comparison["log_loss_test"]
    assert other.difference == pytest.approx(loss[other.model] - loss.drop(other.model).iloc[0])
    assert other.low < other.difference < other.high
    curve = tracking.table(home, result.run_id, "learning")
    assert curve["rows"].is_monotonic_increasing
    assert curve["rows"].max() <= 2 / 3 * len(storage.read_prepared(home)[1]) + 1
