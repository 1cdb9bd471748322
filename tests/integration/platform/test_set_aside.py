"""A bad item in each background loop: the others are processed, and the bad one is reported."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import requests
import sqlalchemy as sql

from core.jobs import chains, jobs, leftovers, schedules, supervision
from core.jobs.schedules import Schedule
from core.monitoring import alert_rules, alert_tables, alerts, channels, deliver
from core.monitoring.alerting import Subject
from core.monitoring.channels import Channels, Webhook
from core.platform import clock, mlflow_client, set_aside, state, storage, tracking
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import StoreError
from core.predictions_log import (
    gap_journal,
    known_labels,
    labels,
    log_search,
    log_store,
    predictions,
)
from core.predictions_log.labels import Report
from core.retraining import decision_basis, replay_store
from core.runtime.fork_server import ForkServer
from core.runtime.supervisor import Supervisor
from core.serving import api_keys, contract, endpoint_status, restarts, server, versions
from core.serving import prediction_log as recording
from core.serving.app import App
from tests.integration.serving.endpoints import damage, in_process, until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def noted(settings: Settings, queue: str) -> list[tuple[str, str]]:
    """Return the items set aside from a queue, each with its code, oldest first."""
    return [(entry.item, entry.code) for entry in reversed(set_aside.entries(settings, (queue,)))]


def answer(rows: int = 1, **values: object) -> predictions.Answer:
    default = predictions.Answer(
        request_id=uuid.uuid4().hex,
        model="toy",
        version="3",
        alias=None,
        source="api",
        scored_at=time.time(),
        latency_ms=1.0,
        features=[{"a": 1.0}] * rows,
        probabilities=[0.5] * rows,
        predicted=[1] * rows,
    )
    return replace(default, **values)


def refuse(settings: Settings, table: str, condition: str) -> None:
    """Make the database itself refuse rows."""
    with sqlite3.connect(settings.state_dir / "predictions.db") as log:
        log.execute(
            f"CREATE TRIGGER refused BEFORE INSERT ON {table} WHEN {condition} "
            "BEGIN SELECT RAISE(ABORT, 'this one never'); END"
        )
    log.close()


def worker(settings: Settings) -> Supervisor:
    return Supervisor(settings, target="", clean_up="", preload=(), idle=-1.0)


# --- what is set aside --------------------------------------------------------------------------


def test_an_entry_is_bounded_private_and_without_secrets(settings: Settings) -> None:
    detail = "postgresql://ann:s3cret@db/x " + "y" * 9000 + "\ud800"
    assert set_aside.put(settings, "predictions", "z" * 9000, "unwritable", rows=3, error=detail)
    [entry] = set_aside.entries(settings)
    assert len(entry.item) == set_aside.ITEM_CHARACTERS
    assert len(entry.detail) == set_aside.DETAIL_CHARACTERS
    assert "s3cret" not in str(entry.detail)
    path = settings.state_dir / "set_aside.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lasting_fault_is_noted_once_and_again_after_it_was_dismissed(settings: Settings) -> None:
    for _ in range(3):
        set_aside.put(settings, "schedules", "Daily", "unreadable")
    set_aside.put(settings, "jobs", "7", "unreadable")
    assert len(set_aside.entries(settings)) == 2
    set_aside.dismiss(settings, ("schedules",))
    assert noted(settings, "schedules") == []
    assert noted(settings, "jobs") == [("7", "unreadable")]
    set_aside.put(settings, "schedules", "Daily", "unreadable")
    assert len(set_aside.entries(settings)) == 2


def test_a_flood_is_folded_and_every_row_still_counts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_aside, "LIMIT_BYTES", 4000)
    monkeypatch.setattr(set_aside, "KEPT", 5)
    for number in range(120):
        set_aside.put(settings, "predictions", f"request {number}", "unwritable", rows=2)
    entries = set_aside.entries(settings)
    assert sum(entry.rows for entry in entries) == 240
    assert sum(entry.count for entry in entries) == 120
    assert entries[0].item == "request 119"
    assert (settings.state_dir / "set_aside.jsonl").stat().st_size < 8000


def test_a_truncated_line_does_not_hide_others(settings: Settings) -> None:
    set_aside.put(settings, "jobs", "1", "unreadable")
    with (settings.state_dir / "set_aside.jsonl").open("ab") as file:
        file.write(b'{"at": 1, "que\n')
    set_aside.put(settings, "jobs", "2", "unreadable")
    assert [entry.item for entry in set_aside.entries(settings)] == ["2", "set_aside.jsonl", "1"]


def test_the_loop_goes_on_where_nothing_can_be_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert not set_aside.put(settings, "jobs", "1", "unreadable")


# --- the predictions log ------------------------------------------------------------------------


def keep(settings: Settings, answers: list[predictions.Answer]) -> list[str]:
    """Give answers to a recorder all at once, and return the outcome of each."""

    async def scenario() -> list[str]:
        recorder = recording.Recorder(settings)
        recorder.start()
        outcomes = await asyncio.gather(*(recorder.keep(answer) for answer in answers))
        # a slow machine answers before it has written
        while recorder.state().waiting:
            await asyncio.sleep(0.01)
        recorder.close()
        assert recorder.state().ok
        aside = sum(entry.rows for entry in set_aside.entries(settings, ("predictions",)))
        assert recorder.state().set_aside == aside
        return list(outcomes)

    return asyncio.run(scenario())


POISON = {
    "more answers than rows": {"features": [{"a": 1.0}]},
    "no probability": {"probabilities": [float("nan"), 0.5]},
    "half a character": {"version": "\ud800"},
    "too large": {"predicted": [2**70, 1]},
    "no number": {"latency_ms": "soon"},
}


@pytest.mark.parametrize("values", POISON.values(), ids=POISON.keys())
def test_one_bad_answer_does_not_keep_others_out_of_the_log(
    settings: Settings, values: dict[str, object]
) -> None:
    faulty = answer(2, **values)
    sound = [answer(3) for _ in range(7)]
    outcomes = keep(settings, [*sound[:4], faulty, *sound[4:]])
    assert log_search.count(settings) == 21
    [(name, code)] = noted(settings, "predictions")
    assert name == faulty.request_id
    assert code in ("not_an_answer", "unwritable")
    assert outcomes[4] in ("set_aside", "delayed")
    assert predictions.gaps(settings) == []


def test_rows_that_the_database_refuses_are_set_aside(settings: Settings) -> None:
    predictions.write(settings, [answer()])
    refuse(settings, "predictions", "NEW.row_key = '66'")
    keep(settings, [answer(row_keys=[str(key)]) for key in range(60, 70)])
    assert log_search.count(settings) == 10
    [entry] = set_aside.entries(settings)
    assert (entry.code, entry.rows) == ("unwritable", 1)
    assert "this one never" in str(entry.detail)


def test_a_log_that_is_down_sets_no_answer_aside(settings: Settings) -> None:
    predictions.write(settings, [answer()])

    async def scenario() -> None:
        recorder = recording.Recorder(settings)
        recorder.start()
        with sqlite3.connect(settings.state_dir / "predictions.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await recorder.keep(answer(2)) == "delayed"
            until(lambda: not recorder.state().ok)
            other.execute("ROLLBACK")
        other.close()
        until(lambda: recorder.state() == recording.LogState())
        recorder.close()

    asyncio.run(scenario())
    assert log_search.count(settings) == 3
    assert set_aside.entries(settings) == []
    assert not list((settings.state_dir / "gaps").glob("*"))


KILLED = """
import asyncio, os, signal, sqlite3, sys, time, uuid
from pathlib import Path
from core.serving import prediction_log as recording
from core.predictions_log import log_writer
from core.platform.config import Settings

def answer(rows=1):
    return log_writer.Answer(
        uuid.uuid4().hex, "toy", "3", None, "api", time.time(), 1.0, [{"a": 1.0}] * rows,
        [0.5] * rows, [1] * rows,
    )

settings = Settings(home=Path(sys.argv[1]))
log_writer.write(settings, [answer()])

async def scenario():
    recorder = recording.Recorder(settings, limit=10)
    recorder.start()
    other = sqlite3.connect(settings.state_dir / "predictions.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    # 12 rows: the last 4 no longer fit in memory
    how = [await recorder.keep(answer(4)) for _ in range(3)]
    assert how == ["delayed"] * 3, how
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.to_thread(recorder.close)
    os._exit(0)

asyncio.run(scenario())
"""


@pytest.mark.parametrize("way", ["kill", "end"])
def test_an_endpoint_that_ends_while_the_log_is_down_leaves_a_gap(
    settings: Settings, way: str
) -> None:
    begun = time.time()
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(settings.home), way],
        cwd=CODE_ROOT,
        check=False,
        timeout=600,
    )
    assert ended.returncode == (-signal.SIGKILL if way == "kill" else 0)
    [path] = (settings.state_dir / "gaps").glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    # reported at once, whether or not an endpoint is started again
    [gap] = predictions.gaps(settings)
    assert (gap.rows, gap.reason) == (12, gap_journal.ENDED)
    assert begun <= gap.begun <= gap.ended <= time.time()
    keep(settings, [answer()])
    assert not path.exists()
    assert predictions.gaps(settings) == [gap]
    # an endpoint that died between the two does not record it twice
    predictions.note_gap(settings, gap.begun, gap.ended, gap.rows, gap.reason)
    assert predictions.gaps(settings) == [gap]


def test_a_damaged_note_of_a_gap_does_not_hide_others(settings: Settings) -> None:
    journal = gap_journal.Journal(settings)
    journal.note(1.0, 5, is_closed=True)
    (settings.state_dir / "gaps" / "1-damaged.json").write_text("{", encoding="utf-8")
    keep(settings, [answer()])
    assert [gap.rows for gap in predictions.gaps(settings)] == [5]
    assert noted(settings, "predictions") == [("1-damaged.json", "unreadable")]


# --- the endpoint -------------------------------------------------------------------------------


def test_an_unforeseen_fault_gets_a_message_with_an_id_and_is_noted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no rule for this")

    monkeypatch.setattr(contract, "read", fail)
    described = server.Server(
        port=1,
        pid=os.getpid(),
        create_time=0.0,
        model="toy",
        version="1",
        alias=None,
        run_id="0" * 32,
        state="ready",
        started=0.0,
        log_path=settings.logs_dir / "x.log",
        job_id=None,
        sample=False,
        inputs={"a": "number"},
    )
    server.keep(settings, described)
    loaded = versions.Versions(lambda _: versions.Version("1", None, None, 60.0))
    with in_process(App(settings, 1, versions=loaded)) as port:
        for _ in range(2):
            url = f"http://127.0.0.1:{port}/invocations"
            refused = requests.post(url, json={}, timeout=60)
            assert refused.status_code == 500
            name = refused.headers["X-Request-Id"]
            assert name in refused.json()["message"]
        status = endpoint_status.status(port)
        assert status is not None
        assert status.counts.errors == {"500": 2}
        assert noted(settings, "endpoint")[-1] == (name, "unexpected")
        assert any(name in text and "no rule for this" in text for text in caplog.messages)


def test_undecodable_bytes_are_not_a_key(settings: Settings) -> None:
    api_keys.create(settings, "Ann")
    assert not api_keys.accepts(settings, b"\xff\xfe".decode("utf-8", "surrogateescape"))


# --- labels -------------------------------------------------------------------------------------


def test_one_label_that_the_log_refuses_does_not_keep_others_out(settings: Settings) -> None:
    predictions.write(settings, [answer(9, row_keys=[str(key) for key in range(9)])])
    refuse(settings, "labels", "NEW.name = '6'")
    counts = labels.report(
        settings, [Report(label=key % 2, key=str(key)) for key in range(9)], source="api"
    )
    assert (counts.new, counts.unmatched, counts.rejected) == (8, 0, 1)
    assert [refusal.index for refusal in counts.refusals] == [6]
    assert noted(settings, "labels") == [("6", "unwritable")]
    rows = log_search.browse(settings, limit=20).set_index("courtside_row_key")
    labelled = rows["courtside_label"].sort_index()
    assert labelled.drop("6").tolist() == [key % 2 for key in range(9) if key != 6]


def scored(settings: Settings, path: Path, at: float) -> str:
    run_id = uuid.uuid4().hex
    line = predictions.Scoring(run_id, "file", "toy", "1", at, 2, 0, path=str(path))
    predictions.finish(settings, line)
    return run_id


def test_scorings_with_missing_or_damaged_files_do_not_hide_others(settings: Settings) -> None:
    rows = pd.DataFrame({"prediction_id": ["x-0", "x-1"], "row_key": ["1", "2"], "label": [1, 0]})
    rows[["probability", "predicted"]] = 0.5, 1
    rows = rows.add_prefix("courtside_")
    paths = [settings.home / f"{name}.parquet" for name in ("good", "gone", "damaged", "other")]
    rows.to_parquet(paths[0])
    paths[2].write_bytes(b"PAR1")
    rows[["courtside_label"]].to_parquet(paths[3])
    names = [scored(settings, path, at) for at, path in enumerate(paths)]
    assert known_labels.of_scored(settings, is_sample=False).to_dict() == {"1": 1.0, "2": 0.0}
    expected = {
        (f"scoring:{name}", code)
        for name, code in zip(names[1:], ("gone", "unreadable", "unreadable"), strict=True)
    }
    assert set(noted(settings, "labels")) == expected
    labels.report(settings, [Report(label=1, key="2")], source="api")
    predictions.recount(settings)
    assert {scoring.run_id: scoring.labels for scoring in predictions.scorings(settings)}[
        names[0]
    ] == 2


# --- messages -----------------------------------------------------------------------------------


def test_a_message_that_cannot_be_built_is_given_up_and_the_next_is_sent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    monkeypatch.setattr(deliver, "_post", lambda to, secret, name, body: sent.append(body))
    monkeypatch.setattr(
        channels, "load", lambda _: Channels(webhook=Webhook(url="http://127.0.0.1:9/"))
    )
    bodies = ("{", "[]", '{"kind": "test"}', None)
    names = [deliver.send_test(settings, "webhook") for _ in bodies]
    with state.transaction(settings) as connection:
        for name, body in zip(names, bodies, strict=True):
            if body is not None:
                delivery_id = alert_tables.outbox.c.delivery_id
                change = (
                    sql.update(alert_tables.outbox).where(delivery_id == name).values(body=body)
                )
                connection.execute(change)
    deliver.drain(settings)
    assert json.loads(sent[-1])["delivery_id"] == names[-1]
    states = {delivery.delivery_id: delivery.state for delivery in deliver.deliveries(settings)}
    assert states[names[0]] == states[names[1]] == deliver.GIVEN_UP
    assert states[names[-1]] == deliver.SENT
    assert noted(settings, "messages") == [(names[0], "unreadable"), (names[1], "unreadable")]
    assert not deliver.is_due(settings)


# --- schedules ----------------------------------------------------------------------------------


def test_a_damaged_and_a_failing_schedule_do_not_delay_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [0.0]
    monkeypatch.setattr(clock, "now", lambda _: moment[0])
    for name in ("a damaged", "b failing", "c good"):
        options = {"scheduled": name}
        schedules.save(
            settings, Schedule(name=name, step="monitor", options=options, every_seconds=3600)
        )
    with state.transaction(settings) as connection:
        is_damaged = schedules._table.c.name == "a damaged"
        connection.execute(sql.update(schedules._table).where(is_damaged).values(body="{"))
    put = jobs.put

    def failing(connection: sql.Connection, step: str, options: dict[str, str]) -> jobs.Job:
        if options["scheduled"] == "b failing":
            raise KeyError("what no rule foresaw")
        return put(connection, step, options)

    monkeypatch.setattr(jobs, "put", failing)
    moment[0] = 3600.0
    due: list[int] = []
    monkeypatch.setattr(deliver, "is_due", lambda _: due.append(1))
    for _ in range(2):
        worker(settings)._tick()
    assert [job.options["scheduled"] for job in jobs.latest(settings)] == ["c good"]
    assert len(due) == 2
    assert noted(settings, "schedules") == [
        ("a damaged", "unreadable"),
        ("b failing", "unexpected"),
    ]
    assert [schedule.schedule.name for schedule in schedules.schedules(settings)] == [
        "b failing",
        "c good",
    ]
    # saving it again under its name repairs it
    schedules.save(settings, Schedule(name="a damaged", step="monitor", every_seconds=60))
    assert len(schedules.schedules(settings)) == 3


def test_a_locked_table_of_schedules_does_not_delay_messages(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Settings) -> None:
        raise StoreError("It is locked.")

    due: list[int] = []
    monkeypatch.setattr(schedules, "tick", fail)
    monkeypatch.setattr(deliver, "is_due", lambda _: due.append(1))
    worker(settings)._tick()
    assert due
    assert set_aside.entries(settings) == []


# --- alerts -------------------------------------------------------------------------------------

SUBJECT = Subject("kobe", "m", "1", is_sample=False)


def test_a_damaged_state_of_a_check_and_a_damaged_rule_do_not_hide_others(
    settings: Settings,
) -> None:
    alert_rules.save(settings, alert_rules.load(settings))
    with state.transaction(settings) as connection:
        rules = state.document(connection, alert_rules.RULES)
        state.keep_document(connection, alert_rules.RULES, [*rules, {"name": 3}])
        # its state says open, but there is no open alert
        connection.execute(
            sql.insert(alert_tables.states).values(
                subject=SUBJECT.key,
                code="f1",
                is_open=True,
                bad=1,
                good=0,
                is_told=True,
                is_acknowledged=False,
            )
        )
    checks = ("f1", "roc_auc")
    alerts.report(
        settings,
        "run-1",
        dict.fromkeys(checks, "alert"),
        {},
        dict.fromkeys(checks, 0.1),
        subject=SUBJECT,
        verdict_title="It does not fit",
        now=0.0,
        drain_seconds=0,
        groups=dict.fromkeys(checks, "performance"),
    )
    assert {alert.code for alert in alerts.open_alerts(settings)} == {"roc_auc", "verdict"}
    position = len(alert_rules.load(settings)) + 1
    assert noted(settings, "alerts") == [
        (f"rule:{position}", "unreadable"),
        ("f1:run-1", "unexpected"),
    ]


# --- jobs, the supervisor -----------------------------------------------------------------------


def test_a_job_that_cannot_be_read_fails_and_the_next_one_begins(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [jobs.submit(settings, "monitor", {"n": number}).job_id for number in range(4)]
    with state.transaction(settings) as connection:
        is_first = jobs._table.c.job_id == names[0]
        connection.execute(sql.update(jobs._table).where(is_first).values(options="{"))
    begun: list[str] = []

    def fork(_: ForkServer, target: str, environ: object, job_id: str, *more: object) -> object:
        if job_id == names[1] and target.endswith("run_job"):
            raise KeyError("what no rule foresaw")
        begun.append(job_id)
        return SimpleNamespace(pid=None, exitcode=None, sentinel=None)

    monkeypatch.setattr(ForkServer, "start", fork)
    supervisor = worker(settings.model_copy(update={"workers": 2}))
    supervisor._turn()
    assert begun == names[2:]
    assert set(noted(settings, "jobs")) == {(names[0], "unreadable"), (names[1], "unexpected")}
    damaged = jobs.get(settings, names[0])
    assert damaged is not None
    assert (damaged.status, damaged.options) == (jobs.FAILED, {})
    assert "cannot be read" in str(damaged.error)
    # a page can list them all
    assert len(jobs.latest(settings)) == 4
    # a job without a process ends with the next sweep
    supervisor._sweep()
    assert [(item.job_id, item.outcome) for item in supervisor.cleaning] == [
        (names[1], jobs.FAILED)
    ]


def test_a_fault_of_one_duty_ends_neither_the_supervisor_nor_its_other_duties(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.state_dir.mkdir()
    supervisor = worker(settings)
    supervisor.idle = 1e9
    turns: list[int] = []

    def sweep() -> None:
        raise KeyError("what no rule foresaw")

    def turn() -> None:
        turns.append(1)
        supervisor.stopping = len(turns) == 2

    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(supervisor, "_warm_up", lambda: None)
    monkeypatch.setattr(supervisor, "_sweep", sweep)
    monkeypatch.setattr(supervisor, "_turn", turn)
    supervisor.run()
    assert len(turns) == 2
    assert noted(settings, "jobs") == [("supervisor", "unexpected")]


def test_a_damaged_chain_is_noted_and_can_be_started_again(settings: Settings) -> None:
    steps = [("monitor", {})]
    for body in ("{", "[]", '{"chain_id": "a", "steps": [], "jobs": []}'):
        chains.start(settings, steps, "All of it")
        with state.transaction(settings) as connection:
            connection.exec_driver_sql("UPDATE documents SET body = ?", (body,))
        worker(settings)._sweep()
        with pytest.raises(StoreError, match="cannot be read"):
            chains.current(settings)
    assert noted(settings, "chain") == [("chain", "unreadable")]
    chains.start(settings, steps, "All of it")
    assert chains.current(settings).state == "running"


def test_the_keeper_of_the_supervisor_outlives_a_fault(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    done = threading.Event()

    def ensure(*_: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise KeyError("what no rule foresaw")
        done.set()

    monkeypatch.setattr(supervision, "ensure_supervisor", ensure)
    supervision.keep_supervisor(settings, every=0.01)
    assert done.wait(60)
    thread = supervision._keepers.pop(settings.home)
    thread.join(60)
    assert noted(settings, "jobs") == [("worker", "unexpected")]


def test_a_run_that_cannot_be_ended_leaves_no_other_open(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    class Client:
        def search_runs(self, *_: object) -> list[SimpleNamespace]:
            return [SimpleNamespace(info=SimpleNamespace(run_id=name)) for name in "abc"]

        def log_batch(self, name: str, **_: object) -> None:
            if name == "a":
                raise KeyError("what no rule foresaw")

        def set_terminated(self, name: str, _: str) -> None:
            ended.append(name)

    monkeypatch.setattr(mlflow_client, "client", lambda _: Client())
    monkeypatch.setattr(mlflow_client, "experiment_id", lambda _: "1")
    tracking.end_runs(settings, "job", "failed", "It was killed.")
    assert ended == ["b", "c"]
    assert noted(settings, "jobs") == [("run:a", "unexpected")]


# --- sweeps, servers, retraining ----------------------------------------------------------------


def test_a_file_that_cannot_be_removed_does_not_save_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = settings.state_dir / "uploads"
    folder.mkdir(parents=True)
    for name in "abc":
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (0, 0))
    unlink = Path.unlink

    def refusing(path: Path, **options: bool) -> None:
        if path.name == "a":
            raise PermissionError(13, "Permission denied")
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refusing)
    storage.stage_upload(settings, "x.csv", b"a\n1\n")
    leftovers.sweep(settings)
    assert {path.suffix or path.name for path in folder.iterdir()} == {"a", ".csv"}
    assert noted(settings, "sweep") == [("a", "undeletable")]


def test_a_replay_without_an_owner_stays_and_dead_ones_are_removed(settings: Settings) -> None:
    folders = [settings.state_dir / "replays" / (letter * 32) for letter in "abcd"]
    texts = ("{", "{}", '{"pid": "x"}', '{"pid": 1, "created": 1}')
    for folder, text in zip(folders, texts, strict=True):
        folder.mkdir(parents=True)
        (folder / "owner.json").write_text(text, encoding="utf-8")
    replay_store.sweep(settings)
    left = {path.name[0] for path in (settings.state_dir / "replays").iterdir()}
    assert left == {"a", "c"}
    assert {item[0] for item, _ in noted(settings, "sweep")} == {"a", "c"}
    assert {store.is_open for store in replay_store.stores(settings)} == {True}
    replay_store.remove(settings, "a" * 32)
    assert not folders[0].exists()


def test_a_damaged_server_record_does_not_keep_others_down(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for port in (5001, 5002):
        server.keep(
            settings,
            server.Server(
                port=port,
                pid=1,
                create_time=1.0,
                model="toy",
                version="1",
                alias=None,
                run_id="0" * 32,
                state="ready",
                started=0.0,
                log_path=settings.logs_dir / "x",
                job_id=None,
                sample=False,
                is_live=True,
            ),
        )
    server.keep(settings, replace(server.kept(settings)[0], port=4999))
    damage(settings, 4999)
    begun: list[int] = []

    def begin(_: Settings, port: int) -> None:
        if port == 5001:
            raise KeyError("what no rule foresaw")
        begun.append(port)

    monkeypatch.setattr(restarts, "begin", begin)
    restarts.Endpoints().tend(settings)
    assert begun == [5002]
    assert noted(settings, "servers") == [("port:4999", "unreadable"), ("port:5001", "unexpected")]


def test_an_unreadable_report_does_not_hide_others_from_a_policy(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = pd.DataFrame(
        {"code": ["f1"], "value": [0.5], "verdict": ["ok"], "group": ["performance"]}
    )
    tables: dict[str, pd.DataFrame] = {"a": checks.drop(columns="code"), "b": checks}

    def run(name: str) -> SimpleNamespace:
        tags = {"courtside.version": "1", "courtside.model": "toy"}
        return SimpleNamespace(
            run_id=name, tags=tags, params={}, metrics={}, started=1.0, is_sample=False
        )

    monkeypatch.setattr(tracking, "runs", lambda *_, **__: [run("b"), run("a")])
    monkeypatch.setattr(tracking, "table", lambda _, name, __: tables[name])
    champion: Callable[..., SimpleNamespace] = SimpleNamespace
    windows = decision_basis.windows(settings, champion(name="toy", version="1", is_sample=False))
    assert [window.run_id for window in windows] == ["b"]
    assert noted(settings, "retraining") == [("report:a", "unreadable")]


def test_lone_surrogates_do_not_fail_a_job(settings: Settings) -> None:
    job_id = jobs.submit(settings, "monitor", {}).job_id
    jobs.claim(settings, job_id)
    jobs.finish(settings, job_id, jobs.FAILED, error="'\ud800.csv' cannot be read.")
    job = jobs.get(settings, job_id)
    assert job is not None
    assert job.error == "'?.csv' cannot be read."


def test_the_log_store_distinguishes_its_own_faults_from_those_of_a_row(settings: Settings) -> None:
    predictions.write(settings, [answer()])
    refuse(settings, "predictions", "1")
    with pytest.raises(StoreError) as refusal:
        predictions.write(settings, [answer()])
    assert not log_store.is_down(refusal.value)
    with sqlite3.connect(settings.state_dir / "predictions.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as locked:
            predictions.write(settings, [answer()], wait_seconds=0.01)
        other.execute("ROLLBACK")
    other.close()
    assert log_store.is_down(locked.value)
