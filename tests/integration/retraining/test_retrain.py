"""Retraining: decisions are runs, new labels go to both sets, a failure changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from core.data import acquire, prepare
from core.monitoring import monitor
from core.platform import model_store, project, state, storage, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, StoreError
from core.platform.messages import Message, loads
from core.platform.run_record import Progress
from core.predictions_log import labels
from core.retraining import decision_basis, policy_store, retrain
from core.retraining.policy_settings import Policy
from core.scoring import score
from core.training import fitting, train
from tests.conftest import copy_home, few_of

SPEC = project.load("kobe")
NOW = Policy(strategy="reactive", k=1, n=1)
REASON = "Labels of the new kind have come in"
KINDS = SPEC.rows.column


@pytest.fixture
def home(scored_few: Settings, tmp_path: Path) -> Settings:
    return copy_home(scored_few, tmp_path / "home")


@pytest.fixture(scope="module")
def retrained(
    scored_few: Settings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Settings, retrain.Result, list[float]]:
    """A retraining by a person, and its progress; tests only read it."""
    settings = copy_home(scored_few, tmp_path_factory.mktemp("retrained") / "home")
    fractions: list[float] = []

    class RecordedProgress(Progress):
        def update(self, fraction: float, text: str) -> None:
            fractions.append(fraction)

    result = retrain.run(settings, retrain.Options(reason=REASON), RecordedProgress())
    return settings, result, fractions


def run_of(settings: Settings, run_id: str) -> tracking.RunInfo:
    run = tracking.run(settings, run_id)
    assert run is not None
    return run


def test_a_retraining_is_one_run_with_three_inside(
    retrained: tuple[Settings, retrain.Result, list[float]],
) -> None:
    settings, result, fractions = retrained
    run = run_of(settings, result.run_id)
    assert (run.name, run.status, result.decision) == ("Retreinamento", "FINISHED", "retrain")
    inner = [
        run_of(settings, run.tags[key])
        for key in ("courtside.prepare_run", "courtside.train_run", "courtside.gate_run")
    ]
    assert [child.name for child in inner] == ["PreparacaoDados", "Treinamento", "Promocao"]
    assert {child.status for child in inner} == {"FINISHED"}
    assert {child.tags["mlflow.parentRunId"] for child in inner} == {result.run_id}
    assert inner[2].params["dry_run"] == "True"
    assert REASON in run.tags["courtside.reason"]
    assert run.metrics["seconds"] > 0
    assert run.metrics["rows_fit"] == inner[1].metrics["rows_train"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_the_challenger_has_the_recipe_of_the_champion_and_nothing_is_moved(
    retrained: tuple[Settings, retrain.Result, list[float]],
) -> None:
    settings, result, _ = retrained
    challenger = model_store.require_version(settings, SPEC.model, model_store.CHALLENGER)
    champion = model_store.require_version(settings, SPEC.model, model_store.CHAMPION)
    assert (challenger.version, champion.version) == (result.version, "1")
    assert challenger.tags["courtside.candidate"] == champion.tags["courtside.candidate"] == "lr"
    assert challenger.features == champion.features


def test_old_rows_stay_in_their_set_and_new_rows_go_to_both(
    retrained: tuple[Settings, retrain.Result, list[float]],
) -> None:
    settings, result, _ = retrained
    trained = run_of(settings, result.run_id).tags["courtside.train_run"]
    first_training = model_store.require_version(settings, SPEC.model, "1").tags[
        "courtside.train_run"
    ]
    new_train, old_train = (
        set(tracking.table(settings, training, "train_keys")[SPEC.id])
        for training in (trained, first_training)
    )
    rows = tracking.table(settings, trained, "test_rows")
    new_test = set(rows[SPEC.id])
    old_test = set(tracking.table(settings, first_training, "test_rows")[SPEC.id])
    assert old_train < new_train
    assert old_test < new_test
    assert not new_train & new_test
    assert set(rows[KINDS]) == {SPEC.rows.development, SPEC.rows.production}
    fresh = rows[~rows[SPEC.id].isin(old_test)]
    assert set(fresh[KINDS]) == {SPEC.rows.production}
    added = len(new_train | new_test) - len(old_train | old_test)
    assert len(fresh) / added == pytest.approx(0.2, abs=1 / added)
    assert set(fresh[SPEC.target]) == {0, 1}


def test_a_model_is_judged_by_each_kind_of_row() -> None:
    assert KINDS not in SPEC.error_slices
    assert SPEC.slice_columns.count(KINDS) == 1


def test_the_same_seed_splits_the_same_way(home: Settings) -> None:
    trained = model_store.require_version(home, SPEC.model, "1").tags["courtside.train_run"]
    digests = []
    for seed in (1, 1, 2):
        prepare.run(home, prepare.Options(continues=trained, seed=seed))
        prepared = storage.current_prepared(home)
        assert prepared is not None
        digests.append(prepared.digests)
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


@pytest.mark.long
def test_labels_that_came_later_count_also_where_the_source_has_none(
    acquired_few: Settings, shots: pd.DataFrame, tmp_path: Path
) -> None:
    settings = copy_home(acquired_few, tmp_path / "home")
    rows = few_of(shots)
    later = rows[(rows[KINDS] == SPEC.rows.development) & rows[SPEC.target].notna()].head(40)
    hidden = rows.assign(
        **{SPEC.target: rows[SPEC.target].where(~rows[SPEC.id].isin(later[SPEC.id]))}
    )
    path = tmp_path / "rows.csv"
    hidden.to_csv(path, index=False)
    acquire.run(settings, acquire.Options(source="file", path=path))
    prepare.run(settings, prepare.Options())
    first = train.run(settings, train.Options(candidates=("lr",), folds=2, learning_seconds=0))
    with pytest.raises(InputError, match="nothing new to learn from"):
        prepare.run(settings, prepare.Options(continues=first.run_id))
    labels.report(
        settings,
        [
            labels.Report(int(label), key=str(key))
            for key, label in zip(later[SPEC.id], later[SPEC.target], strict=True)
        ],
        source="api",
    )
    result = prepare.run(settings, prepare.Options(continues=first.run_id))
    assert run_of(settings, result.run_id).metrics["rows_new"] == len(later)
    prepared = storage.current_prepared(settings)
    assert prepared is not None
    both = pd.concat(storage.read_rows(settings, prepared)).set_index(SPEC.id)
    learned = both.loc[later[SPEC.id], SPEC.target].astype(int).tolist()
    assert learned == later[SPEC.target].astype(int).tolist()


def test_a_report_in_alert_starts_only_one_retraining(home: Settings) -> None:
    report = tracking.last_run(home, "monitor")
    assert report is not None
    options = retrain.Options(trigger="report", report=report.run_id, policy=NOW)
    current = decision_basis.state(home, SPEC)
    assert [window.run_id for window in current.windows] == [report.run_id]
    expected = "retrain" if current.windows[0].alerts(performance=True) else "investigate"
    first = retrain.run(home, options)
    assert first.decision == expected
    run = run_of(home, first.run_id)
    assert report.run_id in run.tags["courtside.evidence"]
    windows = tracking.table(home, first.run_id, "windows")
    assert windows["run_id"].tolist() == [report.run_id]
    again = retrain.run(home, options)
    assert again.decision == ("wait" if expected == "retrain" else expected)
    assert len(tracking.runs(home, step="train")) == 1 + (expected == "retrain")


def untrained(home: Settings) -> str:
    """Return the decision that trains nothing: a person is asked where performance is in alert."""
    newest = decision_basis.state(home, SPEC).windows[-1]
    return "person" if newest.alerts(performance=True) else "none"


def test_a_decision_without_a_policy_is_recorded_and_trains_nothing(home: Settings) -> None:
    result = retrain.run(home, retrain.Options(trigger="schedule"))
    assert result.decision == untrained(home)
    run = run_of(home, result.run_id)
    assert loads(run.tags["courtside.decision_title"]) == result.title
    assert len(tracking.runs(home, step="train")) == 1


def test_the_calendar_trains_nothing_before_its_time(home: Settings) -> None:
    calendar = Policy(strategy="calendar", every_days=1)
    options = retrain.Options(trigger="calendar", policy=calendar)
    assert retrain.run(home, options).decision == untrained(home)
    assert len(tracking.runs(home, step="train")) == 1
    champion = decision_basis.state(home, SPEC)
    late = retrain.policy.decide(
        calendar,
        champion.windows,
        trained_at=champion.champion.created,
        now=champion.champion.created + 86_401,
    )
    assert late.code == "retrain"


def test_a_training_that_fails_changes_nothing(
    home: Settings, monkeypatch: pytest.MonkeyPatch, last_error: Callable[..., tuple[str, str]]
) -> None:
    before = storage.current_prepared(home)
    versions = [version.version for version in model_store.versions(home, SPEC.model)]

    def fails(*_: object, **__: object) -> None:
        raise InputError(Message("No candidate was fitted."))

    monkeypatch.setattr(fitting, "fit_all", fails)
    with pytest.raises(InputError, match="No candidate"):
        retrain.run(home, retrain.Options(reason=REASON))
    status, error = last_error(home, "retrain")
    assert (status, str(error)) == ("FAILED", "No candidate was fitted.")
    assert last_error(home, "prepare")[0] == "FINISHED"
    assert storage.current_prepared(home) == before
    storage.read_prepared(home)
    assert [version.version for version in model_store.versions(home, SPEC.model)] == versions
    # the next step opens its own run, not one inside the failed run
    result = retrain.run(home, retrain.Options(trigger="schedule"))
    assert result.decision == untrained(home)
    newest = tracking.last_run(home, "retrain")
    assert newest is not None
    assert "mlflow.parentRunId" not in newest.tags


def test_a_person_needs_a_reason_and_others_have_none() -> None:
    with pytest.raises(ValidationError, match="10 characters"):
        retrain.Options(reason="because  ")
    with pytest.raises(ValidationError, match="`reason` needs `trigger = person`"):
        retrain.Options(trigger="report", reason=REASON)


def test_policies_are_stored_completely_and_a_damaged_one_is_reported(settings: Settings) -> None:
    assert policy_store.load(settings) == Policy()
    policy_store.save(settings, NOW)
    assert policy_store.load(settings) == NOW
    for damaged in ({"strategy": "always"}, ["none"]):
        state.save(settings, policy_store.NAME, damaged)
        with pytest.raises(StoreError, match="The entry 'policy'"):
            policy_store.load(settings)


def test_reports_of_older_apps_are_read() -> None:
    run = tracking.RunInfo(
        "a" * 32,
        "1",
        "Monitoramento",
        "FINISHED",
        100.0,
        101.0,
        {"model": "m", "version": "1"},
        {"rows_labelled": 300.0, "rows_current": 400.0},
        {},
    )
    checks = pd.DataFrame(
        {"code": ["skill"], "group": ["performance"], "value": [None], "verdict": ["alert"]}
    )
    window = decision_basis.as_window(run, checks)
    assert (window.begin, window.end, window.rows, window.labels) == (100.0, 100.0, 400, 300)
    assert window.alerts(performance=True) == ["skill"]
    assert window.limits == {"skill": (None, None)}


@pytest.mark.long
def test_on_the_real_rows_the_new_kind_is_learned_and_the_old_one_kept(
    prepared_real: Settings, tmp_path: Path
) -> None:
    settings = copy_home(prepared_real, tmp_path / "home")
    train.run(settings, train.Options(candidates=("lr",), folds=2, learning_seconds=0))
    score.run(settings, score.Options(way="in_process"))
    report = monitor.run(settings, monitor.Options())
    assert report.verdict == "does_not_fit"
    policy_store.save(settings, NOW.model_copy(update={"promotes": "itself"}))
    result = retrain.run(settings, retrain.Options(trigger="report", report=report.run_id))
    assert (result.decision, result.gate, result.is_promoted) == ("retrain", "promote", True)
    champion = model_store.require_version(settings, SPEC.model, model_store.CHAMPION)
    assert champion.version == result.version
    kinds = tracking.table(settings, result.run_id, "by_kind").set_index("value")
    old_kind, new_kind = kinds.loc[SPEC.rows.development], kinds.loc[SPEC.rows.production]
    assert old_kind["rows"] == 4057
    assert new_kind["log_loss_challenger"] < new_kind["log_loss_champion"]
    assert old_kind["log_loss_challenger"] == pytest.approx(0.678, abs=0.001)
    assert not kinds["harmed"].any()
    # the windows of the champion that was replaced are no evidence against the new one
    assert decision_basis.state(settings, SPEC).windows == ()
