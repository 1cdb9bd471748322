"""The predictions log keeps each answer once, on SQLite and PostgreSQL, and reports what fails."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError, StoreError
from core.predictions_log import labels, predictions
from core.predictions_log.labels import Report
from core.predictions_log.predictions import Answer, Filters, Gap, Scoring
from tests.postgresql import PASSWORD, QUOTED, Server

RUN, OTHER = "a" * 32, "b" * 32
_databases = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = None
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("postgresql")
        url = server.new_database(f"log_{next(_databases)}")
    return Settings(home=tmp_path, predictions_url=url)


@pytest.fixture
def file_log(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def answer(rows: int = 3, **values: object) -> Answer:
    default = Answer(
        request_id=uuid.uuid4().hex,
        model="m",
        version="1",
        alias="champion",
        source="api",
        scored_at=1000.0,
        latency_ms=2.5,
        features=[{"a": 0.1 * i, "b": i, "c": f"t{i}"} for i in range(rows)],
        probabilities=[(i + 0.5) / rows for i in range(rows)],
        predicted=[i % 2 for i in range(rows)],
        row_keys=[str(100 + i) for i in range(rows)],
    )
    return replace(default, **values)


def finish(log: Settings, run_id: str, at: float = 1.0, **values: object) -> None:
    scoring = Scoring(run_id, "production", "m", "1", at, 0, 0)
    predictions.finish(log, replace(scoring, **values))


def test_answers_are_read_back_in_order_and_to_the_last_digit(log: Settings) -> None:
    awkward = [
        {"a": 0.1 + 0.2, "b": 2**53 - 1, "c": "Ü =1+1 \0 '\\t"},
        {"a": math.nan, "b": -1, "c": None},
        {"a": 5e-324, "b": 0, "c": ""},
    ]
    first = answer(features=awkward, probabilities=[0.0, 1 / 3, 1.0], run_id=RUN)
    second = answer(2, row_keys=["x\ty", None], run_id=RUN)
    assert predictions.write(log, [first, second]) == [3, 2]
    logged = predictions.read(log, RUN)
    assert logged["courtside_prediction_id"].tolist() == [
        f"{sent.request_id}-{i}" for sent in (first, second) for i in range(len(sent.features))
    ]
    pd.testing.assert_frame_equal(
        logged[["a", "b", "c"]], pd.DataFrame([*awkward, *second.features])
    )
    assert logged["courtside_probability"].tolist() == [0.0, 1 / 3, 1.0, 0.25, 0.75]
    assert logged["courtside_row_key"].tolist() == ["100", "101", "102", "x\ty", None]
    assert logged["courtside_predicted"].tolist() == [0, 1, 0, 0, 1]
    assert logged["courtside_label"].isna().all()
    assert set(logged["courtside_latency_ms"]) == {2.5}
    assert len(predictions.read(log, OTHER)) == 0


def test_a_repeated_request_is_logged_once(log: Settings) -> None:
    first, second = answer(), answer(2)
    assert predictions.write(log, [first, first]) == [3, 0]
    # another version answers it now; the rows are the same
    again = replace(first, version="2", probabilities=[0.1, 0.1, 0.1])
    assert predictions.write(log, [again, second]) == [0, 2]
    assert predictions.count(log) == 5
    logged = predictions.browse(log, Filters(search=first.request_id))
    assert logged["courtside_version"].tolist() == ["1"] * 3


def test_an_id_that_was_used_for_other_rows_is_refused_and_the_rest_is_logged(
    log: Settings,
) -> None:
    first, second = answer(), answer(2)
    predictions.write(log, [first])
    other = replace(first, features=[{"a": 9.0, "b": i, "c": ""} for i in range(3)])
    with pytest.raises(predictions.ConflictError, match=first.request_id) as refused:
        predictions.write(log, [other, second])
    assert (refused.value.request_ids, refused.value.kept) == ((first.request_id,), [0, 2])
    # the same holds within one call
    third = answer()
    with pytest.raises(predictions.ConflictError):
        predictions.write(log, [third, replace(third, row_keys=["1", "2", "3"])])
    assert predictions.count(log) == 8


def test_an_invalid_answer_is_refused_with_its_whole_call(log: Settings) -> None:
    for broken in (
        answer(probabilities=[0.1, math.nan, 0.2]),
        answer(probabilities=[0.1, 1.2, 0.2]),
        answer(probabilities=[0.1]),
        answer(row_keys=["1"]),
        answer(request_id="no id"),
    ):
        with pytest.raises(InputError):
            predictions.write(log, [answer(), broken])
    assert predictions.browse(log).empty
    assert predictions.scorings(log) == []


def test_a_shadow_has_its_own_answer_and_is_not_part_of_the_run(log: Settings) -> None:
    own = answer(run_id=RUN)
    shadow = replace(
        own, is_shadow=True, version="2", alias="challenger", probabilities=[0.9, 0.9, 0.9]
    )
    predictions.write(log, [shadow])
    predictions.write(log, [own])
    finish(log, RUN)
    assert predictions.read(log, RUN)["courtside_probability"].tolist() == list(own.probabilities)
    assert [scoring.rows for scoring in predictions.scorings(log)] == [3]
    labels.report(log, [Report(label=1, key="101")], source="api")
    pairs = predictions.pairs(log).sort_values("champion")
    assert pairs["champion"].tolist() == list(own.probabilities)
    assert set(pairs["challenger"]) == {0.9}
    assert pairs["label"].tolist()[1] == 1.0
    assert [scoring.labels for scoring in predictions.scorings(log)] == [1]
    assert predictions.by_source(log, 0.0) == {"api": 3}
    assert {tally.is_shadow: (tally.rows, tally.labels) for tally in predictions.tallies(log)} == {
        False: (3, 1),
        True: (3, 1),
    }


def test_scorings_are_counted_newest_first_and_stay_up_to_date(log: Settings) -> None:
    labels.report(log, [Report(label=0, key="100")], source="file")
    predictions.write(log, [answer(120, run_id=RUN), answer(run_id=OTHER, source="file")])
    finish(log, RUN, at=1.0)
    finish(log, OTHER, at=2.0, source="file")
    listed = predictions.scorings(log)
    assert [(scoring.run_id, scoring.rows, scoring.labels) for scoring in listed] == [
        (OTHER, 3, 1),
        (RUN, 120, 1),
    ]
    assert [scoring.run_id for scoring in predictions.scorings(log, min_rows=100)] == [RUN]
    assert predictions.scorings(log, run_id="none") == []
    # rows that the log gets late, and labels
    predictions.write(log, [answer(2, run_id=OTHER)])
    labels.report(log, [Report(label=1, key="101")], source="file")
    updated = predictions.scorings(log, run_id=OTHER)[0]
    assert (updated.rows, updated.labels) == (5, 4)
    assert predictions.read(log, OTHER)["courtside_label"].notna().sum() == 4
    finish(log, OTHER, at=2.0)
    assert predictions.scorings(log, run_id=OTHER)[0].rows == 5


def test_rows_that_are_kept_as_a_file_get_their_labels_too(log: Settings, tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "courtside_prediction_id": [f"{RUN}-{i}" for i in range(4)],
            "courtside_row_key": ["1", "2", None, "4"],
            "a": [0.5, 1.5, 2.5, 3.5],
            "courtside_probability": [0.1, 0.2, 0.3, 0.4],
            "courtside_predicted": [0, 0, 1, 1],
            "courtside_label": [1.0, None, None, None],
        }
    )
    path = tmp_path / "kept.parquet"
    rows.to_parquet(path, index=False)
    finish(log, RUN, rows=4, labels=1, path=str(path))
    reports = [Report(label=0, prediction_id=f"{RUN}-1"), Report(label=1, key="2")]
    labels.report(log, [*reports, Report(label=1, key="4")], source="api")
    logged = predictions.read(log, RUN)
    assert logged["courtside_label"].fillna(-1).tolist() == [1, 0, -1, 1]
    assert logged["a"].tolist() == rows["a"].tolist()
    predictions.recount(log)
    assert [(scoring.rows, scoring.labels) for scoring in predictions.scorings(log)] == [(4, 3)]
    path.unlink()
    with pytest.raises(StoreError, match=r"kept\.parquet is damaged"):
        predictions.read(log, RUN)
    predictions.recount(log)


def test_the_log_is_browsed_page_by_page(log: Settings) -> None:
    predictions.write(log, [answer(7, scored_at=1.0), answer(5, scored_at=2.0, source="page")])
    predictions.write(log, [answer(2, scored_at=3.0, version="2", row_keys=["7", None])])
    labels.report(log, [Report(label=1, key="7"), Report(label=1, key="103")], source="api")
    ids = []
    before = None
    while not (page := predictions.browse(log, before=before, limit=4)).empty:
        ids += page["courtside_prediction_id"].tolist()
        before = (int(page["courtside_request"].iloc[-1]), int(page["courtside_position"].iloc[-1]))
    all_rows = predictions.browse(log, limit=1000)
    assert ids == all_rows["courtside_prediction_id"].tolist()
    assert len(set(ids)) == 14
    assert all_rows["courtside_scored_at"].is_monotonic_decreasing
    for filters, rows in (
        (Filters(source="page"), 5),
        (Filters(version="2"), 2),
        (Filters(since=2.0), 7),
        (Filters(until=2.0), 7),
        (Filters(is_labelled=True), 3),
        (Filters(is_labelled=False, source="api"), 7),
        (Filters(low=0.5, high=0.75), 5),
        (Filters(search="103"), 2),
        (Filters(search=ids[3]), 1),
        (Filters(search=ids[3].partition("-")[0]), 5),
        (Filters(search="' OR 1=1 --"), 0),
        (Filters(is_shadow=True), 0),
    ):
        assert len(predictions.browse(log, filters)) == rows, filters
        assert predictions.count(log, filters) == rows, filters
    assert predictions.count(log, Filters(low=0.01), at_most=3) == 3


def test_gaps_are_recorded(log: Settings) -> None:
    assert predictions.gaps(log) == []
    predictions.note_gap(log, 1.0, 2.0, 17, "the disk was full")
    predictions.note_gap(log, 3.0, 4.0, 1, "x" * 10_000)
    assert predictions.gaps(log)[1] == Gap(1.0, 2.0, 17, "the disk was full")


def _write_some(log: Settings, answers: list[Answer]) -> None:
    for entry in answers:
        predictions.write(log, [entry])


def test_several_processes_write_each_answer_once(log: Settings) -> None:
    answers = [answer(2, run_id=RUN) for _ in range(12)]
    predictions.write(log, answers[:1])  # an engine exists before the processes are forked
    fork = multiprocessing.get_context("fork")
    orders = [answers, answers[::-1], answers[6:] + answers[:6]]
    workers = [fork.Process(target=_write_some, args=(log, some)) for some in orders]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert predictions.count(log) == 24
    assert len(predictions.read(log, RUN)) == 24


def test_a_locked_log_is_reported_and_can_be_read_meanwhile(log: Settings) -> None:
    predictions.write(log, [answer()])
    if log.predictions_url is None:
        other = sqlite3.connect(log.state_dir / "predictions.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
    else:
        import psycopg

        other = psycopg.connect(log.predictions_url.replace("+psycopg", ""))
        other.execute("LOCK TABLE requests IN EXCLUSIVE MODE")
    try:
        with pytest.raises(StoreError, match=r"Another program locks"):
            predictions.write(log, [answer()], wait_seconds=0.05)
        assert len(predictions.browse(log)) == 3
    finally:
        other.close()
    assert predictions.write(log, [answer()]) == [3]


FILL = """
import sys
from core.platform.config import Settings
from core.platform.errors import StoreError
from core.predictions_log import predictions
from tests.integration.predictions_log.test_predictions import answer
settings = Settings(home=sys.argv[1])
logged = 0
try:
    while logged < 100_000:
        logged += sum(predictions.write(settings, [answer(100)]))
except StoreError as error:
    print(str(error))
print(logged, len(predictions.browse(settings, limit=100_000)))
"""


def test_a_full_disk_is_reported_and_logged_rows_stay_readable(file_log: Settings) -> None:
    predictions.write(file_log, [answer(1)])

    def limit() -> None:
        import resource  # not on every system

        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    done = subprocess.run(
        [sys.executable, "-c", FILL, str(file_log.home)],
        preexec_fn=limit,
        cwd=CODE_ROOT,
        env={**os.environ, "PYTHONPATH": str(CODE_ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    message, counts = done.stdout.strip().splitlines()
    assert "The disk is full: " in message
    logged, readable = map(int, counts.split())
    assert 0 < logged == readable - 1
    assert predictions.write(file_log, [answer()]) == [3]
    assert predictions.count(file_log) == logged + 4


def test_a_database_that_goes_away_is_reported_and_used_again(
    postgresql: Server, tmp_path: Path
) -> None:
    log = Settings(home=tmp_path, predictions_url=postgresql.new_database("away"))
    first = answer()
    predictions.write(log, [first])
    postgresql.stop()
    try:
        for action in (lambda: predictions.write(log, [answer()]), lambda: predictions.browse(log)):
            with pytest.raises(StoreError, match=r"does not answer\. Start it again") as caught:
                action()
            assert PASSWORD not in str(caught.value)
            assert QUOTED not in str(caught.value)
    finally:
        postgresql.start()
    assert predictions.write(log, [first, answer()]) == [0, 3]


def test_a_wrong_address_is_reported_without_the_password(
    postgresql: Server, tmp_path: Path
) -> None:
    url = postgresql.url()
    for wrong, message in (
        (url.replace(QUOTED, "an0ther"), "refuses the name or the password"),
        (postgresql.url("nowhere"), "does not exist. Correct COURTSIDE_PREDICTIONS_URL"),
        (url.replace(str(postgresql.port), "1"), "does not answer"),
    ):
        log = Settings(home=tmp_path, predictions_url=wrong)
        with pytest.raises(StoreError, match=message) as error:
            predictions.browse(log)
        for secret in (PASSWORD, QUOTED, "an0ther"):
            assert secret not in str(error.value)


def test_a_damaged_log_is_reported(file_log: Settings) -> None:
    file_log.state_dir.mkdir()
    (file_log.state_dir / "predictions.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match=r"predictions\.db is damaged: .* move it away"):
        predictions.scorings(file_log)


def test_a_log_that_was_moved_away_is_recreated(file_log: Settings) -> None:
    predictions.write(file_log, [answer()])
    for path in file_log.state_dir.glob("predictions.db*"):
        path.unlink()
    assert predictions.browse(file_log).empty
    predictions.write(file_log, [answer(1)])
    assert predictions.count(file_log) == 1


def test_the_file_of_a_sample_scoring_gets_no_labels_of_real_rows(
    file_log: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "scored.parquet"
    rows = pd.DataFrame(
        {
            "prediction_id": ["a" * 32 + "-0"],
            "row_key": ["7"],
            "probability": [0.5],
            "predicted": [1],
            "label": [math.nan],
        }
    ).add_prefix("courtside_")
    rows.to_parquet(path)
    finish(file_log, RUN, rows=1, path=str(path), is_sample=True)
    finish(file_log, OTHER, 2.0, rows=1, path=str(path))
    labels.report(file_log, [Report(label=1, key="7")], source="file")
    predictions.recount(file_log)
    assert {
        scoring.run_id: (scoring.is_sample, scoring.labels)
        for scoring in predictions.scorings(file_log)
    } == {RUN: (True, 0), OTHER: (False, 1)}
    another = file_log.model_copy(update={"project": "another"})
    assert predictions.scorings(another) == []
