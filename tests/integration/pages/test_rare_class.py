"""A project with a rare positive class: what New project offers, and what pages show first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.data import acquire, guess, prepare
from core.platform import project, projects, tracking
from core.platform.config import Settings
from core.platform.errors import InputError
from core.registry import promote
from core.training import train
from core.training.records import TrainingRun
from pages.overview import tiles

OpenPage = Callable[..., AppTest]
MODEL = "fraud"


def frauds(rows: int = 3000) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    amount = rng.gamma(2, 100, rows).round(2)
    hour = rng.integers(0, 24, rows)
    fraud = rng.random(rows) < 0.02 + 0.3 * (amount > 400)
    return pd.DataFrame(
        {"amount": amount, "hour": hour, "shop": rng.choice(list("abc"), rows), "fraud": fraud * 1}
    )


@pytest.fixture(scope="module")
def lived(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with the project, as New project writes it with one click more, trained twice."""
    path = tmp_path_factory.mktemp("source") / "fraud.csv"
    frauds().to_csv(path, index=False)
    guesses = guess.guess(frauds(), target="fraud").with_(balanced=True)
    text = guesses.project_file("fraud", "Frauds")
    settings = projects.create(module_settings, text)
    acquire.run(settings, acquire.Options(source="file", path=path))
    prepare.run(settings, prepare.Options())
    fast = {"folds": 2, "learning_seconds": 0}
    train.run(settings, train.Options(candidates=("lr",), balanced=False, **fast))
    train.run(settings, train.Options(candidates=("lr", "dt"), **fast))
    promote.run(settings, promote.Options(challenger="2", against="1", dry_run=True))
    return settings


def test_the_project_file_decides_about_class_weights_unless_the_training_does(
    lived: Settings,
) -> None:
    for version, weights in (("1", "None"), ("2", "balanced")):
        runs = tracking.runs(lived, step="train")
        run = next(run for run in runs if run.params["best"] and _version_of(lived, run) == version)
        best = tracking.run(lived, TrainingRun.of(run).best_run)
        assert best is not None
        assert best.params["model.class_weight"] == weights
        assert run.params["balanced"] == str(weights == "balanced")


def _version_of(settings: Settings, run: tracking.RunInfo) -> str:
    from core.platform import model_store

    listed = model_store.versions(settings, project.of(settings).model)
    return next(each.version for each in listed if each.about.train_run == run.run_id)


def test_pages_show_average_precision_first_and_say_what_chooses(
    lived: Settings, open_page: OpenPage, text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(lived, "train?view=results")
    assert app.metric[0].label == "Average precision, test"
    # the interval, and what chance gives
    assert "–" in app.metric[0].delta
    assert "no skill: 0." in app.metric[0].delta
    text = text_of(app)
    assert "The best has the lowest log loss in the folds" in text
    assert "lowest log loss in the folds" in text
    (board,) = (frame for frame in app.dataframe if "average_precision_test" in frame.value)
    shown = [name for name in board.proto.column_order if name.endswith(("_test", "_cv"))]
    assert shown[:2] == ["average_precision_test", "log_loss_cv"]
    overview = text_of(open_page(lived, "overview"))
    assert "Average precision, test · no skill: 0." in overview
    versions = open_page(lived, "registry?view=versions").dataframe[0]
    assert "average_precision" in versions.proto.column_order
    app = open_page(lived, "registry?view=compare")
    assert app.table[0].value.iloc[0, 0] == "Average precision"


def test_a_tile_of_a_scoring_shows_the_metric_of_the_project(lived: Settings) -> None:
    spec = project.of(lived)
    values = {"rows_scored": 9.0, "f1_upload": 0.25, "average_precision_upload": 0.625}
    trained = tracking.last_run(lived, "train")
    assert trained is not None
    run = replace(trained, metrics=values, params={"source": "upload"})
    _rows, meaning = tiles.key_figure(lived, spec, "score", run)
    assert "0.625" in meaning
    ordinary = spec.model_copy(update={"metric": "log_loss"})
    _rows, meaning = tiles.key_figure(lived, ordinary, "score", run)
    assert "0.250" in meaning


def test_an_ordinary_project_shows_log_loss_first(lived: Settings, open_page: OpenPage) -> None:
    path = lived.home / "project.toml"
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace('metric = "average_precision"\n', ""), encoding="utf-8")
    try:
        app = open_page(lived, "train?view=results")
        assert app.metric[0].label == "Log loss, test"
        assert not any("lowest log loss in the folds" in caption.value for caption in app.caption)
    finally:
        path.write_text(before, encoding="utf-8")


def test_train_begins_with_the_class_weights_of_the_project(
    lived: Settings, open_page: OpenPage
) -> None:
    app = open_page(lived, "train?view=candidates")
    assert app.checkbox(key="balanced").value is True
    assert app.checkbox(key="balanced").uncheck().run().checkbox(key="balanced").value is False


def test_new_project_offers_them_for_a_rare_class_only(tmp_path: Path, open_page: OpenPage) -> None:
    home = Settings(home=tmp_path / "home")
    app = open_page(home, "projects", view="new")
    app.file_uploader(key="new-table").upload("fraud.csv", frauds().to_csv(index=False).encode())
    app = app.run()
    app = app.selectbox(key="new-target").select("fraud").run()
    assert app.selectbox(key="new-metric").value == "average_precision"
    app = app.checkbox(key="new-balanced").check().run()
    # the other class is common
    common = app.selectbox(key="new-positive").select("0").run()
    assert "new-balanced" not in {box.key for box in common.checkbox}
    app = common.selectbox(key="new-positive").select("1").run()
    assert app.checkbox(key="new-balanced").value is False
    app = app.checkbox(key="new-balanced").check().run()
    app.button(key="create-only").click().run()
    spec = projects.listed(home)[1].spec
    assert spec is not None
    assert (spec.metric, spec.balanced, spec.threshold_by) == ("average_precision", True, "f1")


def test_training_options_of_the_file_change_no_prepared_set(lived: Settings) -> None:
    spec = project.of(lived)
    plain = spec.model_copy(update={"balanced": False})
    assert spec.digest == plain.digest
    assert projects.outdated(spec, plain)[0] == "train"
    assert projects.outdated(spec, spec.model_copy(update={"metric": "log_loss"})) == ()
    wrong = projects.text_of(lived).replace("average_precision", "accuracy")
    with pytest.raises(InputError, match="metric"):
        project.parse(wrong.encode(), "fraud.toml")
