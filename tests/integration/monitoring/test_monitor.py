"""Reports of all kinds of windows, what they keep, and whom they tell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from core.jobs import jobs
from core.monitoring import alerts, monitor, report_html
from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError, StoreError
from core.predictions_log import predictions
from core.registry import version_files
from core.retraining import policy_store
from core.retraining.policy_settings import Policy
from core.scoring import score
from core.stats import limits
from core.training import train
from tests.conftest import copy_home

SPEC = project.load("kobe")


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learn limits from fewer windows: what they promise is tested where they are learned."""
    monkeypatch.setattr(limits, "learn", partial(limits.learn, windows=200))


@dataclass(frozen=True)
class Scored:
    """A champion of the built-in sample, and its production rows, scored in process."""

    settings: Settings
    scored: score.Result

    def report(self, **options: object) -> tracking.RunInfo:
        made = monitor.run(self.settings, monitor.Options(**options))
        found = tracking.run(self.settings, made.run_id)
        assert found is not None
        return found

    def checks(self, run: tracking.RunInfo) -> pd.DataFrame:
        return tracking.table(self.settings, run.run_id, "checks").set_index("code")


@pytest.fixture(scope="module")
def scored(prepared_sample: Settings, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    settings = copy_home(prepared_sample, tmp_path_factory.mktemp("monitor") / "home")
    train.run(settings, train.Options(candidates=("lr", "nb"), folds=3, learning_seconds=0))
    return Scored(
        settings, score.run(settings, score.Options(source="production", way="in_process"))
    )


@pytest.fixture(scope="module")
def production(scored: Scored) -> tracking.RunInfo:
    return scored.report()


def test_a_scoring_of_other_rows_is_told_with_labels_and_without(
    scored: Scored, production: tracking.RunInfo
) -> None:
    tags, found = production.tags, scored.checks(production)
    assert tags["courtside.verdict"] == "does_not_fit"
    assert "log loss is no comfort" in tags["courtside.verdict_text"]
    assert "where the model was never tested" in tags["courtside.verdict_text"]
    assert found.loc["f1", ["value", "verdict"]].tolist() == [0.0, "alert"]
    assert found.loc["log_loss", "verdict"] == "not_applicable"
    assert found.loc["log_loss", "value"] < found.loc["log_loss", "reference"]
    assert found.loc["domain_auc", "value"] > 0.99
    assert found.loc["outside_support", "verdict"] == "alert"
    for code in ("estimated_log_loss", "estimated_roc_auc", "estimated_f1"):
        assert found.loc[code, "verdict"] == "not_applicable"
        assert "never tested" in found.loc[code, "text"]
    assert found.loc["disagreement", "verdict"] != "not_applicable"
    groups = found["group"].drop_duplicates().tolist()
    assert groups == ["performance", "output", "support", "input"]
    alarmed = found[found["verdict"].isin(["alert", "warning"])]
    assert (alarmed["todo"] != "").all()
    assert (alarmed["text"] != "").all()


def test_a_report_keeps_all_that_pages_and_policies_read(
    scored: Scored, production: tracking.RunInfo
) -> None:
    tags, of = production.tags, production.metrics
    labels = int(of["rows_labelled"])
    assert tags["courtside.labels"] == str(labels)
    assert labels == scored.scored.rows_labelled
    codes = scored.checks(production)
    assert tags["courtside.alerts"].split(",") == codes.index[codes["verdict"] == "alert"].tolist()
    assert float(tags["courtside.window_end"]) >= float(tags["courtside.window_begin"]) > 1e9
    assert (tags["courtside.model"], tags["courtside.version"]) == (SPEC.model, "1")
    assert of["psi_lat"] == codes.loc["psi.lat", "value"]
    assert of["log_loss_current"] == pytest.approx(codes.loc["log_loss", "value"])
    assert of["false_alarms_target"] == 0.01
    for name in ("drift", "densities", "slices", "reliability", "confusion", "ranking"):
        assert len(tracking.table(scored.settings, production.run_id, name)), name
    confusion = tracking.table(scored.settings, production.run_id, "confusion")
    assert confusion.groupby("set")["rows"].sum()["current"] == labels
    path = tracking.artifact(scored.settings, production.run_id, "documents/report.json")
    document = json.loads(Path(path).read_text(encoding="utf-8"))
    page = report_html.render(document, codes.reset_index())
    assert "does not fit" in page
    promise = document["false_alarms"]
    assert 0 <= promise["rate"] <= promise["target"] == 0.01
    assert promise["rate"] <= promise["warnings"] <= 0.02
    kept = scored.settings.data_dir / "08_reporting"
    assert json.loads((kept / f"monitoring_{production.run_id[:12]}.json").read_text()) == document


def test_the_test_set_against_the_training_set_is_all_ok(scored: Scored) -> None:
    run = scored.report(window="test")
    found = scored.checks(run)
    assert run.tags["courtside.verdict"] == "fits"
    assert set(found["verdict"]) == {"ok"}
    assert found.loc["skill", "reference"] > 0


def test_the_alert_limit_lies_at_or_beyond_the_warning_limit(
    scored: Scored, production: tracking.RunInfo
) -> None:
    found = scored.checks(production)
    both = found.dropna(subset=["warning_high", "alert_high"])
    assert len(both) > 20
    assert (both["alert_high"] >= both["warning_high"]).all()
    both = found.dropna(subset=["warning_low", "alert_low"])
    assert (both["alert_low"] <= both["warning_low"]).all()


def test_windows_of_the_log_by_number_time_and_value(scored: Scored) -> None:
    log = predictions.browse(scored.settings, limit=100_000)
    newest = scored.report(window="log", last=500)
    assert newest.metrics["rows_current"] == 500
    season = scored.report(window="log", where={"season": ("2005-06",)})
    raw = production_rows(scored)
    wanted = raw[raw["season"] == "2005-06"]
    assert season.metrics["rows_current"] == len(wanted)
    days = pd.to_datetime(wanted["game_date"])
    begin = pd.Timestamp(float(season.tags["courtside.window_begin"]), unit="s")
    assert begin == days.min()
    moment = float(log["courtside_scored_at"].max())
    with pytest.raises(NotReadyError, match="Too few rows: 0 predictions"):
        scored.report(window="log", until="2001-01-01")
    since = pd.Timestamp(moment - 3600, unit="s").isoformat()
    whole = scored.report(window="log", since=since, source="production")
    assert whole.metrics["rows_current"] == scored.scored.rows


def production_rows(scored: Scored) -> pd.DataFrame:
    from core.data import snapshots

    snapshot = snapshots.current(scored.settings)
    assert snapshot is not None
    raw = snapshots.read(scored.settings, snapshot, SPEC.columns)
    return raw[raw[SPEC.rows.column] == SPEC.rows.production]


def test_a_row_that_was_scored_again_counts_once(scored: Scored) -> None:
    version = model_store.require_version(scored.settings, SPEC.model, "champion")
    again = predictions.browse(scored.settings, limit=200)
    answer = predictions.Answer(
        request_id="a" * 32,
        model=version.name,
        version=version.version,
        alias="champion",
        source="api",
        scored_at=float(again["courtside_scored_at"].max()) + 1,
        latency_ms=1.0,
        features=again[list(SPEC.features)].to_dict("records"),
        probabilities=[0.9] * 200,
        predicted=[1] * 200,
        row_keys=again["courtside_row_key"].tolist(),
    )
    predictions.write(scored.settings, [answer])
    run = scored.report(window="log", last=scored.scored.rows)
    assert run.metrics["rows_current"] == scored.scored.rows


def test_limits_of_a_person_and_the_rate_of_false_alarms_are_taken(scored: Scored) -> None:
    run = scored.report(
        limits={"f1": {"alert_low": -1.0}, "psi.lat": {"alert_high": 9.0}}, false_alarms=0.05
    )
    found = scored.checks(run)
    assert found.loc["f1", "verdict"] == found.loc["psi.lat", "verdict"] == "ok"
    assert "set by a person" in found.loc["f1", "threshold"]
    assert run.metrics["false_alarms_target"] == 0.05


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": "test", "last": 500}, "are for the log"),
        ({"window": "log", "scoring_run": "0" * 32}, "other rows are asked for"),
        ({"window": "log", "where": {"season": ()}}, "no value is chosen"),
        ({"version": "1"}, "a scoring has its version"),
        ({"false_alarms": 0.5}, "less than or equal to 0.2"),
        ({"limits": {"f1": {"alert_low": float("nan")}}}, "finite number"),
        ({"limits": {"f1": {"warning_low": 0.1, "alert_low": 0.3}}}, "never be seen"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        monitor.Options(**options)


def test_what_does_not_exist_is_told(scored: Scored) -> None:
    with pytest.raises(InputError, match="no column colour"):
        scored.report(window="log", where={"colour": ("red",)})
    with pytest.raises(InputError, match="'tomorrow' is no moment"):
        scored.report(window="log", since="tomorrow")
    with pytest.raises(InputError, match="outside of the years"):
        scored.report(window="log", since="0001-01-01T00:00:00+14:00")
    failed = tracking.last_run(scored.settings, "monitor", status=None)
    assert failed is not None
    assert failed.status == "FAILED"


def test_a_report_raises_alerts_and_asks_for_the_decision_only_of_the_present(
    scored: Scored,
) -> None:
    settings = scored.settings
    policy_store.save(settings, Policy(strategy="reactive"))
    try:
        before = {one.job_id for one in jobs.active(settings)}
        past = scored.report(window="log", where={"season": ("2005-06",)})
        assert {one.job_id for one in jobs.active(settings)} == before
        run = scored.report()
        asked = [one for one in jobs.active(settings) if one.job_id not in before]
        assert [(one.step, one.options["report"]) for one in asked] == [("retrain", run.run_id)]
        assert asked[0].options["trigger"] == "report"
    finally:
        policy_store.save(settings, Policy())
    told = alerts.history(settings)
    assert run.run_id in {one.run_id for one in told} | {
        one.last_run_id for one in alerts.open_alerts(settings)
    }
    assert past.run_id not in {one.run_id for one in told}
    assert alerts.open_alerts(settings)


def test_a_report_stands_where_alerts_cannot_be_raised_and_a_candidate_is_lost(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise StoreError("The alerts cannot be used: database is locked.")

    def damaged(settings: Settings, model: str, run_id: str) -> model_store.ModelVersion:
        raise StoreError(f"The files of {run_id[:8]} are not those that were logged.")

    monkeypatch.setattr(alerts, "report", locked)
    monkeypatch.setattr(version_files, "candidate", damaged)
    run = scored.report()
    assert run.status == "FINISHED"
    apart = scored.checks(run).loc["disagreement"]
    assert apart["verdict"] == "not_applicable"
    assert apart["text"].endswith("2 candidates could not be loaded.")
