"""Reports of all kinds of windows, what they record, and whom they notify."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from core.data import prepare
from core.jobs import jobs
from core.monitoring import alerts, monitor, report_html
from core.monitoring.records import ReportRun
from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError, StoreError
from core.platform.messages import speaking
from core.platform.runs import ModelVersion
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
    """Learn limits from fewer windows; tests of the limits check what they promise."""
    monkeypatch.setattr(limits, "learn", partial(limits.learn, windows=200))


@dataclass(frozen=True)
class Scored:
    """A champion, and production rows of the built-in sample, scored in process."""

    settings: Settings
    scored: score.Result

    def report(self, **options: object) -> tracking.RunInfo:
        result = monitor.run(self.settings, monitor.Options(**options))
        run = tracking.run(self.settings, result.run_id)
        assert run is not None
        return run

    def checks(self, run: tracking.RunInfo) -> pd.DataFrame:
        return tracking.table(self.settings, run.run_id, "checks").set_index("code")


def champion_that_scored(prepared: Settings, folder: Path) -> Scored:
    settings = copy_home(prepared, folder / "home")
    train.run(settings, train.Options(candidates=("lr", "nb"), folds=3, learning_seconds=0))
    return Scored(
        settings, score.run(settings, score.Options(source="production", way="in_process"))
    )


@pytest.fixture(scope="module")
def scored(prepared_seasons: Settings, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """A champion of three seasons."""
    return champion_that_scored(prepared_seasons, tmp_path_factory.mktemp("monitor"))


@pytest.fixture(scope="module")
def production(scored: Scored) -> tracking.RunInfo:
    return scored.report()


def test_a_scoring_of_other_rows_does_not_fit_with_labels_and_without(
    operated_sample: Settings,
) -> None:
    production = tracking.last_run(operated_sample, "monitor")
    assert production is not None
    tags = production.tags
    checks = tracking.table(operated_sample, production.run_id, "checks").set_index("code")
    assert tags["courtside.verdict"] == "does_not_fit"
    text = str(ReportRun.of(production).verdict_text)
    assert "Log loss is lower, but that is not an improvement: the base rate changed" in text
    assert "outside the data" in text
    assert checks.loc["f1", ["value", "verdict"]].tolist() == [0.0, "alert"]
    assert checks.loc["log_loss", "verdict"] == "not_applicable"
    assert checks.loc["log_loss", "value"] < checks.loc["log_loss", "reference"]
    assert checks.loc["domain_auc", "value"] > 0.99
    assert checks.loc["outside_support", "verdict"] == "alert"
    for code in ("estimated_log_loss", "estimated_roc_auc", "estimated_f1"):
        assert checks.loc[code, "verdict"] == "not_applicable"
        assert "outside the data" in str(checks.loc[code, "text"])
    assert checks.loc["disagreement", "verdict"] != "not_applicable"
    groups = checks["group"].drop_duplicates().tolist()
    assert groups == ["performance", "output", "support", "input"]
    alarmed = checks[checks["verdict"].isin(["alert", "warning"])]
    # the verdict says what to do about performance, and what more labels would show is known
    todo = alarmed["todo"].map(str)
    assert todo[(alarmed["group"] == "input") | (alarmed.index == "domain_auc")].all()
    assert not todo[alarmed["group"].isin(("performance", "output"))].any()
    assert not todo["outside_support"]
    assert alarmed["text"].map(str).all()


def test_rows_of_the_training_set_are_counted_and_no_more_training_on_them_is_advised(
    acquired_sample: Settings, tmp_path: Path
) -> None:
    settings = copy_home(acquired_sample, tmp_path / "prepared")
    both = {SPEC.rows.column: (SPEC.rows.development, SPEC.rows.production)}
    prepare.run(settings, prepare.Options(rows=both))
    production = champion_that_scored(settings, tmp_path).report()
    known = production.metrics["rows_trained_on"] / production.metrics["rows_current"]
    assert 0.3 < known < 0.9
    report = ReportRun.of(production)
    assert report.verdict not in ("fits", "")
    assert report.verdict_action != "train_rows"
    assert f"{known:.0%} of these rows" in str(report.verdict_text)


def test_a_report_records_all_that_pages_and_policies_read(
    scored: Scored, production: tracking.RunInfo
) -> None:
    tags, metrics = production.tags, production.metrics
    labels = int(metrics["rows_labelled"])
    assert tags["courtside.labels"] == str(labels)
    assert labels == scored.scored.rows_labelled
    codes = scored.checks(production)
    assert tags["courtside.alerts"].split(",") == codes.index[codes["verdict"] == "alert"].tolist()
    assert float(tags["courtside.window_end"]) >= float(tags["courtside.window_begin"]) > 1e9
    assert (tags["courtside.model"], tags["courtside.version"]) == (SPEC.model, "1")
    assert metrics["psi_lat"] == codes.loc["psi.lat", "value"]
    assert metrics["log_loss_current"] == pytest.approx(codes.loc["log_loss", "value"])
    assert metrics["false_alarms_target"] == 0.01
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
    reports = scored.settings.data_dir / "08_reporting"
    assert (
        json.loads((reports / f"monitoring_{production.run_id[:12]}.json").read_text()) == document
    )
    again = tracking.document(scored.settings, production.run_id, "report")
    stored = ReportRun.of(production)
    assert again["conclusion"]["text"] == stored.verdict_text
    assert again["checks"][0]["title"] == codes["title"].iloc[0]
    assert page == report_html.render(again, codes.reset_index())
    with speaking("pt"):
        assert 'lang="pt-BR"' in report_html.render(again, codes.reset_index())


def test_the_test_set_against_the_training_set_is_all_ok(scored: Scored) -> None:
    run = scored.report(window="test")
    checks = scored.checks(run)
    assert run.tags["courtside.verdict"] == "fits"
    assert set(checks["verdict"]) == {"ok"}
    assert checks.loc["skill", "reference"] > 0


def test_the_alert_limit_lies_at_or_beyond_the_warning_limit(
    scored: Scored, production: tracking.RunInfo
) -> None:
    checks = scored.checks(production)
    both = checks.dropna(subset=["warning_high", "alert_high"])
    assert len(both) > 20
    assert (both["alert_high"] >= both["warning_high"]).all()
    both = checks.dropna(subset=["warning_low", "alert_low"])
    assert (both["alert_low"] <= both["warning_low"]).all()


def test_windows_of_the_log_by_number_time_and_value(scored: Scored) -> None:
    log = predictions.browse(scored.settings, limit=100_000)
    newest = scored.report(window="log", last=500)
    assert newest.metrics["rows_current"] == 500
    season = scored.report(window="log", where={"season": ("2005-06",)})
    raw = production_rows(scored)
    expected = raw[raw["season"] == "2005-06"]
    assert season.metrics["rows_current"] == len(expected)
    days = pd.to_datetime(expected["game_date"])
    begin = pd.Timestamp(float(season.tags["courtside.window_begin"]), unit="s")
    assert begin == days.min()
    played = pd.to_datetime(raw["game_date"])
    wanted = raw[(played >= "2005-12-01") & (played < "2006-02-01")]
    assert len(wanted) > 100
    period = {"since": "2005-12-01", "until": "2006-02-01"}
    winter = scored.report(window="log", time_of="row", **period)
    assert winter.metrics["rows_current"] == len(wanted)
    assert float(winter.tags["courtside.window_end"]) < pd.Timestamp("2006-02-01").timestamp()
    moment = float(log["courtside_scored_at"].max())
    with pytest.raises(NotReadyError, match="Too few rows: 0 predictions"):
        scored.report(window="log", until="2001-01-01")
    since = pd.Timestamp(moment - 3600, unit="s").isoformat()
    last_hour = scored.report(window="log", since=since, source="production")
    assert last_hour.metrics["rows_current"] == scored.scored.rows


def production_rows(scored: Scored) -> pd.DataFrame:
    from core.data import snapshots

    snapshot = snapshots.current(scored.settings)
    assert snapshot is not None
    raw = snapshots.Archive.of(scored.settings).read(snapshot, SPEC.columns)
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


def test_limits_of_a_person_and_the_rate_of_false_alarms_are_used(scored: Scored) -> None:
    run = scored.report(
        limits={"f1": {"alert_low": -1.0}, "psi.lat": {"alert_high": 9.0}}, false_alarms=0.05
    )
    checks = scored.checks(run)
    assert checks.loc["f1", "verdict"] == checks.loc["psi.lat", "verdict"] == "ok"
    assert "set by a person" in str(checks.loc["f1", "threshold"])
    assert run.metrics["false_alarms_target"] == 0.05


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": "test", "last": 500}, "needs `window = log`"),
        ({"window": "log", "scoring_run": "0" * 32}, "`scoring_run` needs `window = scoring`"),
        ({"window": "log", "where": {"season": ()}}, "no value is chosen"),
        ({"version": "1"}, "`version` needs `window = log`"),
        ({"false_alarms": 0.5}, "less than or equal to 0.2"),
        ({"limits": {"f1": {"alert_low": float("nan")}}}, "finite number"),
        (
            {"limits": {"f1": {"warning_low": 0.1, "alert_low": 0.3}}},
            "must not be above `warning = 0.1`",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        monitor.Options(**options)


def test_unknown_columns_and_moments_are_refused(scored: Scored) -> None:
    with pytest.raises(InputError, match="does not have these columns: colour"):
        scored.report(window="log", where={"colour": ("red",)})
    with pytest.raises(InputError, match="'tomorrow' is not a date"):
        scored.report(window="log", since="tomorrow")
    with pytest.raises(InputError, match="is not a date from 1970 to 9998"):
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
        before = {job.job_id for job in jobs.active(settings)}
        past = scored.report(window="log", where={"season": ("2005-06",)})
        assert {job.job_id for job in jobs.active(settings)} == before
        run = scored.report()
        decisions = [job for job in jobs.active(settings) if job.job_id not in before]
        assert [(job.step, job.options["report"]) for job in decisions] == [("retrain", run.run_id)]
        assert decisions[0].options["trigger"] == "report"
    finally:
        policy_store.save(settings, Policy())
    events = alerts.history(settings)
    assert run.run_id in {event.run_id for event in events} | {
        alert.last_run_id for alert in alerts.open_alerts(settings)
    }
    assert past.run_id not in {event.run_id for event in events}
    assert alerts.open_alerts(settings)


def test_a_report_survives_failed_alerts_and_damaged_candidates(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise StoreError("The alerts cannot be used: database is locked.")

    def damaged(settings: Settings, model: str, run_id: str) -> ModelVersion:
        raise StoreError(f"The files of {run_id[:8]} are not those that were logged.")

    monkeypatch.setattr(alerts, "report", locked)
    monkeypatch.setattr(version_files, "candidate", damaged)
    run = scored.report()
    assert run.status == "FINISHED"
    disagreement = scored.checks(run).loc["disagreement"]
    assert disagreement["verdict"] == "not_applicable"
    assert str(disagreement["text"]).endswith("2 candidates could not be loaded.")
