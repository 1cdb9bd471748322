"""Reports show the facts measured on the real rows, also season by season."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.data import prepare
from core.monitoring import monitor
from core.monitoring.records import ReportRun
from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.registry import promote
from core.scoring import score
from core.training import train
from tests.conftest import copy_home

pytestmark = pytest.mark.long

SPEC = project.load("kobe")
FIRST = ("1996-97", "1997-98", "1998-99", "1999-00", "2000-01")
TRAINED = train.Options(candidates=("lr", "nb"), folds=3, learning_seconds=0)


def report(settings: Settings, **options: object) -> tuple[tracking.RunInfo, pd.DataFrame]:
    result = monitor.run(settings, monitor.Options(**options))
    run = tracking.run(settings, result.run_id)
    assert run is not None
    checks = tracking.table(settings, result.run_id, "checks").set_index("code")
    for warning, alert, sign in (
        ("warning_high", "alert_high", 1),
        ("warning_low", "alert_low", -1),
    ):
        both = checks.dropna(subset=[warning, alert])
        assert (sign * both[alert] >= sign * both[warning]).all()
    return run, checks


@pytest.fixture(scope="module")
def of_all(operated_real: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return copy_home(operated_real, tmp_path_factory.mktemp("seasons") / "home")


def test_the_production_rows_leave_the_support_and_the_model_does_not_fit(of_all: Settings) -> None:
    run, checks = report(of_all)
    tags = run.tags
    assert tags["courtside.verdict"] == "does_not_fit"
    assert checks.loc["domain_auc", "low"] > 0.99
    assert checks.loc["outside_support", "value"] == pytest.approx(0.6, abs=0.05)
    assert checks.loc["outside_support", "reference"] < 0.02
    assert checks.loc["f1", ["value", "verdict"]].tolist() == [0.0, "alert"]
    assert 0 < checks.loc["skill", "value"] < checks.loc["skill", "reference"] / 2 < 0.01
    loss = checks.loc["log_loss"]
    assert loss["value"] == pytest.approx(0.629, abs=0.001)
    assert loss["reference"] == pytest.approx(0.678, abs=0.001)
    assert loss["verdict"] == "not_applicable"
    assert str(loss["text"]).startswith("Log loss is lower, but that is not an improvement")
    assert "Always predicting the base rate gives 0.6337" in str(loss["text"])
    assert checks.loc["psi.shot_distance", "value"] == pytest.approx(8.0, abs=0.1)
    assert "outside the data" in str(checks.loc["estimated_log_loss", "text"])
    positive = str(project.words(SPEC.positive))
    for words in (
        f"predicted {positive}",
        "Log loss is lower",
        "outside the data",
        "shot_distance",
    ):
        assert words in str(ReportRun.of(run).verdict_text)
    assert ReportRun.of(run).verdict_action == "train_rows"
    assert run.metrics["rows_trained_on"] == 0
    assert run.metrics["false_alarms"] <= run.metrics["false_alarms_target"]


def test_the_test_set_against_the_training_set_is_all_ok(of_all: Settings) -> None:
    run, checks = report(of_all, window="test")
    assert run.tags["courtside.verdict"] == "fits"
    assert set(checks["verdict"]) == {"ok"}


def test_two_seasons_ask_to_investigate_the_input_and_none_to_retrain(
    of_all: Settings, real_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = of_all  # after the tests above: another champion takes over
    kind = {SPEC.rows.column: (SPEC.rows.development,)}
    prepare.run(settings, prepare.Options(rows={**kind, "season": FIRST}))
    trained = train.run(settings, TRAINED)
    later = pd.read_parquet(real_dir / "dataset_kobe_dev.parquet")
    later = later[~later["season"].isin(FIRST)]
    path = tmp_path_factory.mktemp("later") / "later.parquet"
    later.to_parquet(path)
    registered = model_store.require_version(settings, SPEC.model, trained.version)
    if "champion" not in registered.aliases:
        promote.run(
            settings,
            promote.Options(
                action="override", reason="trained on the first five seasons, to be watched"
            ),
        )
    score.run(settings, score.Options(source="path", path=str(path), way="in_process", keep="rows"))
    verdicts, alarmed = {}, {}
    for season in ("2004-05", "2007-08", "2010-11"):
        run, checks = report(settings, window="log", where={"season": (season,)})
        verdicts[season] = run.tags["courtside.verdict"]
        alarmed[season] = set(checks.index[(checks["verdict"] == "alert")])
        performance = checks[checks["group"] == "performance"]
        assert "alert" not in set(performance["verdict"]), season
    assert "does_not_fit" not in verdicts.values()
    assert verdicts["2004-05"] == verdicts["2010-11"] == "investigate"
    assert "psi.playoffs" in alarmed["2004-05"]
    assert "psi.lat" in alarmed["2010-11"]
