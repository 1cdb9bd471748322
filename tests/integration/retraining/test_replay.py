"""A replay as a run: its artifacts, what it may know, and its findings where the truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from core.jobs import jobs
from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError
from core.platform.messages import loads
from core.predictions_log import predictions
from core.retraining import policy_comparison, replay, replay_rows, replay_store
from core.retraining.injection import DAY, Injection, seconds
from core.retraining.policy import Policy
from tests.conftest import copy_home

pytestmark = pytest.mark.long

SPEC = project.load("kobe")
SIX, ALL = SPEC.features, SPEC.features_called("All, with the kind of shot")
NONE, REACTIVE = Policy(), Policy(strategy="reactive", k=2, n=3)
CALENDAR = Policy(strategy="calendar", every_days=180)
FLIP = Injection(kind="label_flip", size=1.0, begin="2008-01-01")


@pytest.fixture(scope="module")
def home(acquired_sample: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return copy_home(acquired_sample, tmp_path_factory.mktemp("replay") / "home")


def tables(home: Settings, run_id: str) -> dict[str, pd.DataFrame]:
    return {
        name: tracking.table(home, run_id, name) for name in ("windows", "policies", "decisions")
    }


@pytest.fixture(scope="module")
def flipped(home: Settings) -> replay.Result:
    """All labels of the sample flipped from a day on, and labels that arrive late."""
    return replay.run(
        home,
        replay.Options(
            features=SIX,
            window="rows",
            window_rows=900,
            train_share=0.4,
            injection=FLIP,
            label_delay_days=20,
            label_share=0.8,
            policies=(NONE, REACTIVE),
        ),
    )


def test_flipped_labels_are_detected_and_the_reactive_policy_gains(
    home: Settings, flipped: replay.Result
) -> None:
    policies = tables(home, flipped.run_id)["policies"].set_index("policy")
    never, reactive = policies.loc[policy_comparison.BASELINE], policies.loc["reactive:2:3"]
    assert never["retrainings"] == 0
    assert reactive["retrainings"] >= 1
    # the drift can be seen once the labels of a whole window have arrived
    assert 20 <= reactive["detection_days"] < 400
    assert reactive["false_alarms"] == never["false_alarms"] == 0
    assert reactive["gain_low"] > 0
    assert str(flipped.answer).startswith("Reactive (2 of 3) is better than never retraining")


def test_a_run_leaves_windows_decisions_figures_and_metrics(
    home: Settings, flipped: replay.Result
) -> None:
    run = tracking.run(home, flipped.run_id)
    assert run is not None
    assert (run.name, run.status, run.is_sample) == ("Simulacao", "FINISHED", True)
    assert loads(run.tags["courtside.answer"]) == flipped.answer
    recorded = tables(home, flipped.run_id)
    windows = recorded["windows"]
    assert len(windows) == len(recorded["decisions"]) == 2 * flipped.windows
    never = windows[windows["policy"] == policy_comparison.BASELINE]
    assert never["rows"].sum() == flipped.rows == run.metrics["rows_replayed"]
    assert run.metrics["retrainings_reactive"] == flipped.retrainings["reactive:2:3"]
    assert run.metrics["rows_changed"] > 0
    weighed = np.average(never["log_loss"], weights=never["rows"])
    assert flipped.log_losses[policy_comparison.BASELINE] == pytest.approx(weighed)
    assert {"figures/log_loss.svg", "figures/gain.svg"} <= set(
        tracking.artifacts(home, flipped.run_id)
    )
    retrained = recorded["decisions"][recorded["decisions"]["is_retrained"]]
    assert retrained["reasons"].map(str).str.len().gt(0).all()


def test_a_report_counts_only_labels_that_had_arrived(
    home: Settings, flipped: replay.Result
) -> None:
    windows = tables(home, flipped.run_id)["windows"]
    never = windows[windows["policy"] == policy_comparison.BASELINE].reset_index(drop=True)
    # 80% arrive at all; those of the last 20 days had not arrived yet
    assert never["labels"].sum() < 0.82 * never["rows"].sum()
    assert never["labels"].iloc[0] < 0.8 * never["rows"].iloc[0]
    # a model that was trained in between is judged by its own answers only
    after = windows[(windows["policy"] != policy_comparison.BASELINE) & (windows["version"] > 1)]
    assert after["labels"].iloc[0] < never["labels"].mean()


def test_a_replay_has_its_own_log_and_leaves_the_main_log_empty(
    home: Settings, flipped: replay.Result
) -> None:
    assert not predictions.count(home)
    assert model_store.versions(home, SPEC.model) == []
    (store,) = [entry for entry in replay_store.stores(home) if entry.run_id == flipped.run_id]
    own = home.model_copy(update={"home": home.state_dir / "replays" / store.run_id})
    tallies = {tally.version: tally.rows for tally in predictions.tallies(own)}
    windows = tables(home, flipped.run_id)["windows"]
    once = windows.drop_duplicates(["version", "window"]).groupby("version")["rows"].sum()
    assert tallies == {str(version): rows for version, rows in once.items()}


def test_later_rows_change_nothing_before_them(home: Settings, flipped: replay.Result) -> None:
    """The same replay without the drift is identical until the drift begins."""
    plain = replay.run(
        home,
        replay.Options(
            features=SIX,
            window="rows",
            window_rows=900,
            train_share=0.4,
            speed=100,
            label_delay_days=20,
            label_share=0.8,
            policies=(REACTIVE,),
        ),
    )
    with_drift, without_drift = (tables(home, run.run_id)["windows"] for run in (flipped, plain))
    before = [frame[frame["end"] < seconds(FLIP.begin)] for frame in (with_drift, without_drift)]
    assert len(before[0]) > 4
    pd.testing.assert_frame_equal(*(frame.drop(columns="seconds") for frame in before))
    after = [
        frame.loc[frame["begin"] > seconds(FLIP.begin) + 900 * DAY]
        for frame in (with_drift, without_drift)
    ]
    assert (after[0]["log_loss"].to_numpy() != after[1]["log_loss"].to_numpy()).any()
    policies = tables(home, plain.run_id)["policies"]
    assert policies["policy"].tolist() == [
        policy_comparison.BASELINE,
        "reactive:2:3",
    ]  # it is always included
    assert policies["false_alarms"].isna().all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"injection": {"kind": "shift", "column": "season", "size": 1, "begin": "2008-01-01"}},
            "'season' does not exist",
        ),
        (
            {"injection": {"kind": "shift", "column": "lat", "size": 1, "begin": "1990-01-01"}},
            "leaves no rows on one side",
        ),
        ({"train_share": 0.01, "window": "month"}, "needs 200, and 5 of each class"),
        ({"train_until": "1990-01-01"}, "leaves no rows on one side"),
        ({"window_column": "period"}, "'period' does not divide time"),
        ({"window_column": "gone"}, "no column 'gone'"),
        ({"features": ("lat", "gone")}, "These features cannot be used"),
        ({"params": {"leaves": 3}}, "'lr' cannot be fitted"),
    ],
)
def test_an_impossible_replay_fails_with_a_message_and_leaves_no_store(
    home: Settings, last_error: Callable, values: dict, message: str
) -> None:
    before = len(replay_store.stores(home))
    with pytest.raises(InputError, match=message):
        replay.run(home, replay.Options(**{"features": SIX, **values}))
    status, error = last_error(home, "replay")
    assert status == "FAILED"
    assert message in str(error)
    assert len(replay_store.stores(home)) == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"candidate": "gone"}, "not in candidates: gone"),
        ({"train_share": 0.5, "train_until": "2001-01-01"}, "give one of `train_share`"),
        ({"train_until": "soon"}, "use a form like 2004-11-02"),
        ({"policies": (REACTIVE, REACTIVE)}, "used more than once"),
        ({"label_share": 0}, "greater than or equal to 0.01"),
    ],
)
def test_options_that_make_no_sense_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replay.Options(**values)


def test_without_rows_it_says_what_to_do_first(settings: Settings) -> None:
    assert replay_rows.outlook(settings) is None
    with pytest.raises(NotReadyError, match="Acquire"):
        replay.run(settings, replay.Options())


def test_it_can_be_submitted_as_a_step(settings: Settings) -> None:
    job = jobs.submit(settings, "replay", replay.Options().model_dump(mode="json"))
    assert replay.Options(**job.options) == replay.Options()


# --- the real rows --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(acquired_real: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return copy_home(acquired_real, tmp_path_factory.mktemp("replay-real") / "home")


def test_logistic_regression_of_six_needs_no_retraining_in_fifteen_seasons(real: Settings) -> None:
    result = replay.run(real, replay.Options(features=SIX, policies=(REACTIVE, CALENDAR)))
    assert result.windows == 15
    assert result.retrainings["reactive:2:3"] == 0
    recorded = tables(real, result.run_id)
    policies = recorded["policies"].set_index("policy")
    assert policies.loc[policy_comparison.BASELINE, "alarms"] == 0
    # retraining fourteen times gains nothing beyond chance
    assert policies.loc["calendar:180", "retrainings"] == 14
    assert policies.loc["calendar:180", "gain_low"] < 0
    windows = recorded["windows"]
    never = windows[windows["policy"] == policy_comparison.BASELINE].set_index("window")
    # a season's loss against the reference's, relative to the error of so few rows
    run = tracking.run(real, result.run_id)
    assert run is not None
    reference = run.metrics["log_loss_reference"]
    error = never["log_loss_error"]
    first = float(
        error.iloc[0] * np.sqrt(never["rows"].iloc[0] / run.metrics["rows_first_training"])
    )
    z = (never["log_loss"] - reference) / np.hypot(error, first)
    assert z.max() < 3
    # the recording change, and a season without playoffs: investigate, do not retrain
    for season in ("2004-05", "2010-11"):
        assert never.loc[season, "verdict"] == "investigate"
        assert never.loc[season, "input_alerts"] != ""
    assert "psi.playoffs" in never.loc["2004-05", "input_alerts"]
    assert "psi.lat" in never.loc["2010-11", "input_alerts"]


def test_boosting_of_all_columns_gains_from_retraining_each_season(real: Settings) -> None:
    """About 0.012 with few leaves, more with less regularisation: see benchmarks/replay.py."""
    result = replay.run(
        real,
        replay.Options(
            features=ALL,
            candidate="lightgbm",
            policies=(CALENDAR,),
            params={
                "n_estimators": 50,
                "num_leaves": 7,
                "learning_rate": 0.06,
                "min_child_samples": 100,
                "reg_lambda": 10.0,
            },
        ),
    )
    gain = tables(real, result.run_id)["policies"].set_index("policy").loc["calendar:180"]
    assert gain["retrainings"] == 14
    assert 0.008 < gain["gain"] < 0.016
    assert gain["gain_low"] > 0.005


def test_an_input_that_shifts_alone_is_investigated_and_retrains_nothing(real: Settings) -> None:
    """The model hardly uses the minutes left: its forecasts stay right when they shift."""
    shift = Injection(kind="shift", column="minutes_remaining", size=1.5, begin="2005-10-01")
    result = replay.run(real, replay.Options(features=SIX, injection=shift, policies=(REACTIVE,)))
    assert result.retrainings["reactive:2:3"] == 0
    recorded = tables(real, result.run_id)
    after = recorded["windows"][recorded["windows"]["begin"] > seconds(shift.begin)]
    assert after["input_alerts"].str.contains("psi.minutes_remaining").all()
    assert not after["is_alarm"].any()
    decided = recorded["decisions"][
        (recorded["decisions"]["policy"] != policy_comparison.BASELINE)
        & (recorded["decisions"]["at"] > seconds(shift.begin))
    ]
    assert set(decided["decision"]) == {"investigate"}
    noticed = recorded["policies"].set_index("policy").loc["reactive:2:3"]
    assert np.isnan(noticed["detection_days"])
    assert 0 < noticed["noticed_days"] < 365
