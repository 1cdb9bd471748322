"""Serving: one real endpoint, and stand-ins for what would take it too long."""

import json
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import requests
from sklearn.linear_model import LogisticRegression

from core.platform import messages, process, tracking
from core.platform.config import Options, Settings
from core.platform.errors import InputError, NotReadyError, ServerError
from core.platform.run_record import ModelRecord, Progress, Record
from core.registry import registry, version_files
from core.serving import client, external_servers, mlflow_ui, server, server_process
from tests.integration.serving.endpoints import damage

pytestmark = pytest.mark.long

FEATURES = ("distance", "minutes", "playoffs")
INPUTS = dict.fromkeys(FEATURES, "number")
DESCRIBED = server.Server(
    0, 0, 0.0, "shots", "3", None, "run3", "starting", 0.0, Path("serve.log"), None, False
)
# Answers /ping as MLflow does, from a child process; with a file named `deaf` beside it, not yet.
STAND_IN = """
import http.server, os, subprocess, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

if len(sys.argv) == 2:
    sys.exit(subprocess.run([sys.executable, sys.argv[0], sys.argv[1], "worker"]).returncode)
while os.path.exists("deaf"):
    time.sleep(0.01)
if os.path.exists("broken"):
    print("Traceback (most recent call last):")
    sys.exit("OSError: no such model")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_the_alias_of_a_server_is_in_the_language():
    with messages.speaking("pt"):
        assert str(replace(DESCRIBED, alias="champion").name).endswith(", campeão")


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def living(pid):
    """Return the pids of a session that are not zombies."""
    alive = []
    for member in psutil.pids():
        try:
            if os.getsid(member) == pid and psutil.Process(member).status() != psutil.STATUS_ZOMBIE:
                alive.append(member)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return alive


# --- a real one -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy_model():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "distance": rng.integers(0, 30, 300),
            "minutes": rng.integers(0, 12, 300),
            "playoffs": rng.integers(0, 2, 300),
        }
    )
    target = (frame["distance"] + rng.normal(0, 5, 300) < 12).astype("int64")
    return frame, LogisticRegression().fit(frame.astype("float64"), target)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    first = process.free_port(21000 + os.getpid() % 9000)
    return Settings(home=tmp_path_factory.mktemp("served"), serve_port=first)


@pytest.fixture(scope="module")
def version(home, toy_model):
    frame, estimator = toy_model
    model = ModelRecord(estimator, FEATURES, INPUTS, 0.4, frame.head(3).astype("float64"))
    with tracking.step_run(home, "train", Options(), Progress()) as run_id:
        model_id = tracking.log(home, run_id, Record(model=model))
    return registry.register(home, "shots", model_id, run_id, {})


@pytest.fixture(scope="module")
def described(home, version):
    files = version_files.servable(home, version)
    return replace(
        DESCRIBED,
        version="1",
        alias="champion",
        run_id=version.run_id,
        job_id="job1",
        folder=files.folder,
        inputs=files.inputs,
        threshold=files.threshold,
        digests=files.digests,
    )


@pytest.fixture(scope="module")
def served(home, described):
    waited = []
    try:
        begun = begin(home, **vars(described))
        assert begun.state == "starting"
        with pytest.raises(InputError, match="is in use"):
            server_process.check_port(home, begun.port)
        ready = server_process.wait_until_ready(home, begun, on_wait=waited.append)
        assert waited == sorted(waited)
        assert waited
        yield ready
    finally:
        for left in server.servers(home):
            server_process.stop(home, left.port)


def test_a_served_model_is_listed(home, served, version):
    assert client.ping(served.url)
    (listed,) = server.servers(home)
    assert listed == served
    assert (listed.state, listed.model, listed.version, listed.run_id) == (
        "ready",
        "shots",
        "1",
        version.run_id,
    )
    assert listed.job_id == "job1"
    assert not listed.sample
    assert (dict(listed.inputs), listed.threshold) == (INPUTS, 0.4)
    assert server_process.stop_unfinished(home, "job1") == []
    assert "Started server process" in server_process.log_tail(home, served.port)


def test_it_scores_as_the_estimator_does(served, toy_model):
    frame, estimator = toy_model
    shuffled = frame[list(FEATURES[::-1])].assign(other="x")
    scored = client.score(served.url, shuffled, INPUTS, batch_rows=128)
    expected = estimator.predict_proba(frame.astype("float64"))[:, 1]
    assert scored.probabilities == pytest.approx(expected, abs=1e-12)
    assert scored.labels.tolist() == (expected >= 0.4).astype(int).tolist()
    assert scored.sizes.tolist() == [128, 128, 44]


@pytest.mark.parametrize("value", ["NaN", "null", "Infinity"])
def test_it_refuses_values_that_are_not_numbers(served, value):
    columns = json.dumps(FEATURES)
    body = f'{{"dataframe_split": {{"columns": {columns}, "data": [[1, {value}, 0]]}}}}'
    answer = requests.post(
        f"{served.url}/invocations",
        data=body,
        headers={"Content-Type": "application/json"},
        timeout=10,
    )
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert "Column 'minutes' must" in answer.json()["message"]
    assert "row 1." in answer.json()["message"]


def test_it_refuses_other_columns(served, toy_model):
    frame = toy_model[0].rename(columns={"minutes": "seconds"})
    with pytest.raises(ServerError, match=r"refused the rows: .*minutes") as caught:
        client.score(
            served.url, frame, dict.fromkeys(["distance", "seconds", "playoffs"], "number")
        )
    assert "enforce" not in str(caught.value)


def test_its_port_is_taken(home, served, described):
    with pytest.raises(InputError, match="is in use"):
        server_process.reserve(home, replace(described, port=served.port))
    assert server_process.free_port(home) > served.port
    with pytest.raises(InputError, match="runs on port"):
        server_process.dismiss(home, served.port)


def test_stop_leaves_nothing(home, served):
    assert living(served.pid)
    assert server_process.stop(home, served.port).state == "stopped"
    assert living(served.pid) == []
    assert process.port_is_free(served.port)
    assert server.servers(home) == []
    with pytest.raises(NotReadyError, match="stopped already"):
        server_process.stop(home, served.port)


# --- stand-ins --------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path, monkeypatch):
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN, encoding="utf-8")
    monkeypatch.setattr(
        server_process, "_command", lambda front: [sys.executable, str(script), str(front.port)]
    )
    monkeypatch.setattr(server_process, "POLL_SECONDS", 0.01)
    first = process.free_port(22000 + os.getpid() % 9000)
    settings = Settings(home=tmp_path / "home", serve_port=first)
    settings.state_dir.mkdir(parents=True)
    yield settings
    for left in server.servers(settings):
        server_process.stop(settings, left.port)


def begin(settings, **values):
    """Reserve a port for an endpoint, and start its process."""
    front = server_process.reserve(settings, replace(DESCRIBED, **values))
    return server_process.start(settings, front)


def ready(settings, **values):
    return server_process.wait_until_ready(settings, begin(settings, **values), timeout=60)


def test_a_dead_server_is_noticed_and_can_be_dismissed(settings):
    served = ready(settings)
    os.killpg(served.pid, signal.SIGKILL)
    until(lambda: server.servers(settings)[0].state == "restarting" and not living(served.pid))

    server_process.check_port(settings, served.port)
    server_process.dismiss(settings, served.port)

    assert server.servers(settings) == []
    server_process.dismiss(settings, served.port)


def test_a_later_process_with_its_pid_is_not_mistaken_for_it(settings):
    served = ready(settings)
    server.keep(settings, replace(served, create_time=served.create_time - 60))

    assert server.servers(settings)[0].state == "restarting"
    server_process.stop(settings, served.port)
    assert living(served.pid)

    server.keep(settings, served)
    assert server.servers(settings) == [served]


def test_its_port_can_be_reused_after_it_died(settings):
    served = ready(settings)
    os.kill(served.pid, signal.SIGKILL)
    until(lambda: server.servers(settings)[0].state == "restarting")
    # by its child, which has outlived it
    assert not process.port_is_free(served.port)
    again = server_process.start(settings, served)
    assert server_process.wait_until_ready(settings, again).state == "ready"
    assert [served.pid for served in server.servers(settings)] == [again.pid]


def test_a_server_that_ends_while_it_starts_is_reported_with_its_reason(settings):
    (settings.state_dir / "broken").touch()
    begun = begin(settings, alias="champion")
    with pytest.raises(ServerError) as caught:
        server_process.wait_until_ready(settings, begun)
    assert str(caught.value).startswith("shots, version 3, champion did not start on port ")
    assert ": OSError: no such model. Its log is " in str(caught.value)


def test_a_server_that_never_answers_is_reported(settings):
    (settings.state_dir / "deaf").touch()
    begun = begin(settings)
    with pytest.raises(ServerError, match=r"no answer within 0\.2 seconds"):
        server_process.wait_until_ready(settings, begun, timeout=0.2)


def test_foreign_servers_are_listed_and_left_alone(settings, tmp_path):
    served = ready(settings)
    script = str(tmp_path / "stand_in.py")
    inside, outside = settings.serve_port + 3, process.free_port(settings.serve_port + 300)
    far = process.free_port(outside + 1)
    arguments = {
        inside: ["--db-password", "hush"],
        outside: ["mlflow.pyfunc.scoring_server.app:app"],
        far: ["worker"],
    }
    started = [
        process.start(
            [sys.executable, script, str(port), *more], tmp_path / f"{port}.log", {}, tmp_path
        )
        for port, more in arguments.items()
    ]
    try:
        until(lambda: not any(process.port_is_free(port) for port in arguments))
        listed = {foreign.port: foreign for foreign in external_servers.listed(settings)}
        # neither our own server nor unrelated programs
        assert served.port not in listed
        assert far not in listed
        assert (listed[inside].pid, listed[inside].is_model) == (started[0].pid, False)
        assert listed[inside].since == pytest.approx(started[0].create_time)
        assert listed[inside].command.endswith(f"{inside} --db-password ***")
        assert listed[outside].is_model
        # what is not ours cannot be stopped
        with pytest.raises(NotReadyError, match="There is no endpoint on port"):
            server_process.stop(settings, inside)
        assert living(started[0].pid)
    finally:
        for child in started:
            process.stop(child)


def test_another_program_that_answers_is_not_mistaken_for_it(settings, tmp_path):
    (settings.state_dir / "deaf").touch()
    begun = begin(settings)
    other = process.start(
        [sys.executable, str(tmp_path / "stand_in.py"), str(begun.port)],
        tmp_path / "other.log",
        {},
        tmp_path / "elsewhere",
    )
    try:
        until(lambda: client.ping(begun.url))
        with pytest.raises(ServerError, match="no answer within"):
            server_process.wait_until_ready(settings, begun, timeout=0.2)
        assert client.ping(begun.url)
    finally:
        process.stop(other)


def test_only_unfinished_servers_of_the_job_are_stopped(settings):
    finished = ready(settings, job_id="job1")
    (settings.state_dir / "deaf").touch()
    waiting = begin(settings, job_id="job1")
    others = begin(settings, job_id="job2")
    assert len({finished.port, waiting.port, others.port}) == 3

    (stopped,) = server_process.stop_unfinished(settings, "job1")

    assert (stopped.port, stopped.state) == (waiting.port, "stopped")
    assert living(waiting.pid) == []
    assert [served.port for served in server.servers(settings)] == sorted(
        [finished.port, others.port]
    )


def test_two_endpoints_that_start_at_once_get_ports_of_their_own(settings):
    (settings.state_dir / "deaf").touch()
    # neither has bound its port yet
    begun = [begin(settings, alias=alias) for alias in "ab"]
    assert len({started.port for started in begun}) == 2
    with pytest.raises(InputError, match="is in use"):
        server_process.check_port(settings, begun[0].port)
    for front in begun:
        server_process.stop(settings, front.port)
    assert not any(living(started.pid) for started in begun)


def test_a_port_of_another_program_is_refused(settings):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        with pytest.raises(InputError, match="is in use"):
            server_process.reserve(settings, replace(DESCRIBED, port=busy.getsockname()[1]))
    with pytest.raises(InputError, match="from 1024 to 65535"):
        server_process.check_port(settings, 80)
    assert server.servers(settings) == []


def test_the_first_port_is_kept_for_the_live_endpoint(settings):
    assert server_process.free_port(settings) == settings.serve_port + 1
    front = server_process.reserve(settings, replace(DESCRIBED, is_live=True))
    assert front.port == settings.serve_port
    server_process.stop(settings, front.port)
    assert server_process.free_port(settings, offset=0) == settings.serve_port
    last = settings.model_copy(update={"serve_port": 65535})
    assert 65436 <= server_process.free_port(last) <= 65535


def test_a_record_that_cannot_be_read_is_skipped(settings):
    served = ready(settings)
    server.keep(settings, replace(served, port=5001))
    damage(settings, 5001)
    assert server.servers(settings) == [served]


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", "–"),
        ("what\n  else \n", "else"),
        (
            "mlflow.exceptions.RestException: RESOURCE_DOES_NOT_EXIST: no version\nException: "
            "Command 'x' returned non zero return code. Return code = 1",
            "mlflow.exceptions.RestException: RESOURCE_DOES_NOT_EXIST: no version",
        ),
        ("ERROR: [Errno 98] address already in use", "ERROR: [Errno 98] address already in use"),
    ],
)
def test_the_reason_in_a_log(log, reason):
    assert server_process._reason(log).startswith(reason)


# --- MLflow's own pages -----------------------------------------------------------------------


def test_mlflows_pages_are_started_once_recognised_and_stopped(settings, monkeypatch, tmp_path):
    monkeypatch.setattr(
        mlflow_ui,
        "_command",
        lambda port: [sys.executable, str(tmp_path / "stand_in.py"), str(port)],
    )
    assert mlflow_ui.running(settings) is None
    assert not mlflow_ui.starting(settings)
    (settings.state_dir / "deaf").touch()
    url = mlflow_ui.start(settings)
    assert mlflow_ui.starting(settings)
    assert mlflow_ui.start(settings) == url
    (settings.state_dir / "deaf").unlink()
    until(lambda: mlflow_ui.running(settings) == url)
    assert not mlflow_ui.starting(settings)

    mlflow_ui.stop(settings)

    assert mlflow_ui.running(settings) is None
    assert process.port_is_free(int(url.rpartition(":")[2]))
    mlflow_ui.stop(settings)


def test_a_store_that_is_a_server_shows_its_own_pages(tmp_path):
    settings = Settings(home=tmp_path, tracking_uri="http://mlflow.example:5000")
    assert mlflow_ui.start(settings) == "http://mlflow.example:5000"
    assert mlflow_ui.running(settings) == "http://mlflow.example:5000"
    assert not mlflow_ui.starting(settings)
    mlflow_ui.stop(settings)
    assert list(tmp_path.iterdir()) == []
