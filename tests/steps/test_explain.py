"""What the explanation of a registered version keeps, and that it adds up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from core import project
from core.adapters import registry, tracking
from core.config import Settings
from core.errors import CourtsideError, InputError, NotReadyError
from core.record import Progress
from core.steps import acquire, explain, prepare, train
from tests.conftest import new_home

SPEC = project.load("kobe")
# with a hole in each of their columns
FEATURES = (
    "shot_distance", "angle", "home", "month", "shot_zone_basic", "opponent", "period",
)  # fmt: skip
# 1 has the six default features and was trained on the sample, 2 has texts and imputes
SAMPLE, TEXTS = "1", "2"


class Told(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.texts: list[str] = []

    def update(self, fraction: float, text: str) -> None:
        self.fractions.append(fraction)
        self.texts.append(text)


@pytest.fixture(scope="module")
def home(
    shots: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory, store_template: Path
) -> Settings:
    folder = tmp_path_factory.mktemp("explained")
    settings = new_home(folder, store_template)
    acquire.run(settings, acquire.Options(source="sample"))
    prepare.run(settings, prepare.Options())
    train.run(settings, train.Options(candidates=("lr",), folds=2))
    holes = shots.iloc[::6].reset_index(drop=True)
    for step, name in enumerate(("shot_distance", "loc_x", "matchup", "game_date", "opponent")):
        holes.loc[:: 9 + step, name] = np.nan
    holes.to_parquet(folder / "holes.parquet")
    acquire.run(settings, acquire.Options(source="file", path=folder / "holes.parquet"))
    prepare.run(settings, prepare.Options(features=FEATURES, missing="impute"))
    train.run(settings, train.Options(candidates=("lightgbm",), folds=2))
    return settings


@pytest.fixture(scope="module")
def of_texts(home: Settings) -> explain.Result:
    return explain.run(home, explain.Options(target=TEXTS, rows=40, repeats=3))


def version_of(settings: Settings, number: str) -> tracking.ModelVersion:
    return tracking.require_version(settings, SPEC.model, number)


def predictions_of(settings: Settings, number: str) -> pd.DataFrame:
    return tracking.table(settings, version_of(settings, number).run_id, "test_predictions")


def row_of(settings: Settings, number: str, place: int = 0) -> dict[str, float | str | None]:
    rows = predictions_of(settings, number)[list(version_of(settings, number).inputs)]
    return {name: None if pd.isna(value) else value for name, value in rows.iloc[place].items()}


def table(settings: Settings, result: explain.Result, name: str) -> pd.DataFrame:
    return tracking.table(settings, result.run_id, name)


def test_the_run_tells_what_was_explained(home: Settings, of_texts: explain.Result) -> None:
    run = tracking.run(home, of_texts.run_id)
    assert run is not None
    version = version_of(home, TEXTS)
    assert (run.name, run.status, run.step) == ("Explicacao", "FINISHED", "explain")
    assert run.params["version"] == of_texts.version == TEXTS
    assert run.tags["courtside.model_run"] == version.run_id
    assert run.tags["courtside.version"] == TEXTS
    assert run.tags["courtside.explained"] == "model"
    assert run.metrics["rows_explained"] == of_texts.rows == 40
    assert run.metrics["rows_background"] == 100
    assert run.metrics["base"] == of_texts.base
    assert of_texts.probability is None
    assert not run.is_sample
    figures = {path for path in tracking.artifacts(home, of_texts.run_id) if "figures" in path}
    assert {"figures/importance.svg", "figures/shap.svg"} <= figures
    assert sum(path.startswith("figures/partial_") for path in figures) == 2 * 6


def test_kept_contributions_add_up_to_the_probabilities_of_the_test_rows(
    home: Settings, of_texts: explain.Result
) -> None:
    shap = table(home, of_texts, "shap")
    rows = table(home, of_texts, "shap_rows").set_index("row")
    assert shap["feature"].unique().tolist() == list(FEATURES)
    added = of_texts.base + shap.groupby("row")["contribution"].sum()
    pd.testing.assert_series_equal(added, rows["probability"], check_names=False)
    tested = predictions_of(home, TEXTS)
    pd.testing.assert_frame_equal(rows, tested.loc[rows.index], check_names=False)
    opponents = shap[shap["feature"] == "opponent"].set_index("row")["value_shown"]
    expected = rows["opponent"].fillna("missing")
    pd.testing.assert_series_equal(opponents, expected, check_names=False)


def test_the_base_is_near_the_mean_of_the_test_set(
    home: Settings, of_texts: explain.Result
) -> None:
    assert of_texts.base == pytest.approx(
        predictions_of(home, TEXTS)["probability"].mean(), abs=0.01
    )


def test_the_strongest_feature_has_the_largest_mean_absolute_contribution(
    home: Settings, of_texts: explain.Result
) -> None:
    shap = table(home, of_texts, "shap")
    mean = shap["contribution"].abs().groupby(shap["feature"]).mean()
    run = tracking.run(home, of_texts.run_id)
    assert run is not None
    assert mean.idxmax() == of_texts.strongest
    for name in FEATURES:
        assert run.metrics[f"contribution_{name}"] == pytest.approx(mean[name])


def test_importance_and_partial_dependence_are_kept_for_every_feature(
    home: Settings, of_texts: explain.Result
) -> None:
    important = table(home, of_texts, "importance")
    assert set(important["feature"]) == set(FEATURES)
    assert important["mean"].is_monotonic_decreasing
    assert (important["low"] <= important["mean"]).all()
    partial = table(home, of_texts, "partial")
    assert set(partial["feature"]) == set(FEATURES)
    by_kind = partial.groupby("feature")["value"].apply(lambda values: values.isna().all())
    assert set(by_kind[by_kind].index) == {"month", "shot_zone_basic", "opponent"}
    assert partial[["low", "mean", "high"]].apply(lambda one: one.between(0, 1).all()).all()


def test_the_same_seed_explains_the_same(home: Settings, of_texts: explain.Result) -> None:
    options = explain.Options(target=TEXTS, rows=40, repeats=3)
    again = explain.run(home, options)
    other = explain.run(home, options.model_copy(update={"seed": 7}))
    for name in ("importance", "shap", "partial"):
        pd.testing.assert_frame_equal(table(home, of_texts, name), table(home, again, name))
    assert set(table(home, other, "shap")["row"]) != set(table(home, again, "shap")["row"])


def test_few_rows_explain_all_of_them(few_file: Path, settings: Settings) -> None:
    acquire.run(settings, acquire.Options(source="file", path=few_file))
    prepare.run(settings, prepare.Options())
    train.run(settings, train.Options(candidates=("dt",), folds=2))
    tested = predictions_of(settings, "1")
    assert len(tested) < 300
    told = Told()
    found = explain.run(settings, explain.Options(repeats=2), told)
    assert found.rows == len(tested)
    assert set(table(settings, found, "shap")["row"]) == set(tested.index)
    assert told.fractions == sorted(told.fractions)
    assert told.fractions[-1] == 1.0
    assert f"Contributions: {found.rows} of {found.rows} rows" in told.texts
    assert "Shuffling features: 6 of 6" in told.texts
    assert "Partial dependence: 6 of 6 features" in told.texts


def test_what_was_trained_on_the_sample_is_marked(home: Settings) -> None:
    found = explain.run(home, explain.Options(target=SAMPLE, rows=10))
    run = tracking.run(home, found.run_id)
    assert run is not None
    assert run.is_sample


def test_a_logistic_regression_pushes_each_feature_one_way(home: Settings) -> None:
    # the further, the lower the probability, whatever the other features are
    found = explain.run(home, explain.Options(target=SAMPLE, rows=100, repeats=2))
    shap = table(home, found, "shap")
    far = shap[shap["feature"] == "shot_distance"].sort_values("value")
    assert far["contribution"].iloc[:20].min() > 0 > far["contribution"].iloc[-20:].max()
    partial = table(home, found, "partial")
    line = partial[partial["feature"] == "shot_distance"]
    assert line["value"].is_monotonic_increasing
    assert line["mean"].is_monotonic_decreasing


@pytest.mark.parametrize("place", [0, 1])
def test_a_single_row_is_explained_up_to_its_probability(home: Settings, place: int) -> None:
    row = row_of(home, TEXTS, place)
    found = explain.run(home, explain.Options(target=TEXTS, row=row))
    steps = table(home, found, "contributions")
    assert found.probability == pytest.approx(
        predictions_of(home, TEXTS)["probability"].iloc[place]
    )
    assert found.base + steps["contribution"].sum() == pytest.approx(found.probability)
    assert set(steps["feature"]) == set(FEATURES)
    assert steps["contribution"].abs().is_monotonic_decreasing
    assert found.strongest == steps["feature"].iloc[0]
    run = tracking.run(home, found.run_id)
    assert run is not None
    assert run.metrics["base"] == found.base
    assert run.metrics["probability"] == found.probability
    assert run.tags["courtside.explained"] == "row"
    paths = tracking.artifacts(home, found.run_id)
    assert [path for path in paths if path.startswith(("tables", "figures"))] == [
        "figures/contributions.json", "figures/contributions.svg", "tables/contributions.parquet",
    ]  # fmt: skip


def test_a_row_and_all_rows_are_explained_from_the_same_base(
    home: Settings, of_texts: explain.Result
) -> None:
    found = explain.run(home, explain.Options(target=TEXTS, row=row_of(home, TEXTS)))
    assert found.base == of_texts.base


def test_holes_of_a_row_are_explained_where_the_model_imputes(home: Settings) -> None:
    row = {**row_of(home, TEXTS), "opponent": None, "shot_distance": None}
    found = explain.run(home, explain.Options(target=TEXTS, row=row))
    shown = table(home, found, "contributions").set_index("feature")["value_shown"]
    assert shown["opponent"] == shown["shot_distance"] == "missing"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lat": None}, "no value for lat"),
        ({"lat": "north"}, "'lat' must be a number"),
        ({"lat": float("inf")}, "'lat' must be a number"),
        ({"lat": 90.0}, "'lat' must lie in"),
        ({"period": 1.5}, "'period' must be a whole number"),
        ({"weather": "fine"}, "takes no weather"),
    ],
    ids=str,
)
def test_a_bad_row_is_refused_in_a_sentence(
    home: Settings, last_error, change: dict[str, float | str | None], told: str
) -> None:
    row = {**row_of(home, SAMPLE), **change}
    with pytest.raises(InputError, match=told):
        explain.run(home, explain.Options(target=SAMPLE, row=row))
    status, error = last_error(home, "explain")
    assert status == "FAILED"
    assert told in error


def test_an_empty_row_tells_all_that_is_missing(home: Settings) -> None:
    with pytest.raises(InputError) as caught:
        explain.run(home, explain.Options(target=SAMPLE, row={}))
    assert ", ".join(version_of(home, SAMPLE).inputs) in caught.value.message


@pytest.mark.parametrize("target", ["champion", "7", "previous"])
def test_a_version_that_is_not_there_is_told(settings: Settings, last_error, target: str) -> None:
    with pytest.raises(NotReadyError, match="Train a model first"):
        explain.run(settings, explain.Options(target=target))
    assert last_error(settings, "explain")[0] == "FAILED"


def test_a_run_that_kept_no_test_set_is_told(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_run = tracking.last_run(home, "train")
    assert train_run is not None
    version = replace(version_of(home, TEXTS), run_id=train_run.run_id)
    monkeypatch.setattr(tracking, "require_version", lambda *_: version)
    with pytest.raises(NotReadyError, match="kept no tables/test_predictions"):
        explain.run(home, explain.Options())


def test_a_row_is_explained_by_what_is_served_and_all_else_by_what_was_evaluated(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def load(settings: Settings, version: tracking.ModelVersion, *, evaluated: bool):
        asked.append(evaluated)
        raise CourtsideError("enough")

    row = row_of(home, SAMPLE)
    monkeypatch.setattr(registry, "load", load)
    for options in (explain.Options(), explain.Options(target=SAMPLE, row=row)):
        with pytest.raises(CourtsideError, match="enough"):
            explain.run(home, options)
    assert asked == [True, False]


@pytest.mark.parametrize(
    "bad",
    [
        {"rows": 9}, {"rows": 2001}, {"repeats": 1}, {"orders": 0}, {"seed": -1},
        {"target": "0"}, {"target": "Champion!"}, {"row": {"lat": [1.0]}}, {"color": "red"},
    ],
    ids=str,
)  # fmt: skip
def test_options_out_of_their_bounds_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        explain.Options(**bad)
