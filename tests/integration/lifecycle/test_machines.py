"""The life cycle on the parts of compose.yaml: PostgreSQL, an MLflow server, S3-compatible storage.

Each is a process of this machine. S3 is a double, moto's server:
`pip install "moto[server]" boto3 -c requirements.txt`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.data import acquire, prepare
from core.jobs import jobs
from core.monitoring import monitor
from core.platform import model_store, process, project, state, tracking
from core.platform.config import Settings
from core.predictions_log import predictions
from core.scoring import score
from core.serving import client, endpoint, serve, server
from core.training import train
from tests.integration.jobs.test_jobs import until
from tests.postgresql import Server

pytestmark = pytest.mark.long
BUCKET = "mlflow"
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of an S3 double with an empty bucket."""
    moto = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    double = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=process.free_port(6900))
    double.start()
    address = f"http://127.0.0.1:{double.get_host_and_port()[1]}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ACCOUNT.items():
            patch.setenv(name, value)
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
    yield address
    double.stop()


@pytest.fixture(params=["folder", "s3"])
def settings(
    request: pytest.FixtureRequest, postgresql: Server, tmp_path: Path, module_port: int
) -> Iterator[Settings]:
    """Settings as in compose.yaml; artifacts are in a folder, or in S3."""
    place, more = f"{tmp_path / 'artifacts'}", {}
    if request.param == "s3":
        place = f"s3://{BUCKET}"
        more = {**ACCOUNT, "MLFLOW_S3_ENDPOINT_URL": request.getfixturevalue("s3")}
    port = process.free_port(6800)
    name = f"machines_{request.param}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}"),
        *("--workers=1", f"--backend-store-uri={postgresql.new_database(f'{name}_mlflow')}"),
        f"--artifacts-destination={place}",
    ]
    with (tmp_path / "mlflow.log").open("wb") as log:
        running = subprocess.Popen(
            command,
            env={**os.environ, **more, "MLFLOW_DISABLE_TELEMETRY": "true"},
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    known = process.known(running.pid)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert running.poll() is None, (tmp_path / "mlflow.log").read_text()
        try:
            return bool(urllib.request.urlopen(f"{address}/health", timeout=2).status == 200)
        except OSError:
            return False

    database = postgresql.new_database(name)
    values = {"state_url": database, "predictions_url": database, "tracking_uri": address}
    settings = Settings(home=tmp_path / "home", serve_port=module_port, **values)
    settings.home.mkdir()
    try:
        until(answers)
        yield settings
    finally:
        for served in server.servers(settings):
            endpoint.stop(settings) if served.is_live else None
        state.close(settings)
        process.stop(known)
        running.wait(30)


def test_the_life_cycle_without_a_database_in_the_home(
    request: pytest.FixtureRequest, settings: Settings, few_file: Path
) -> None:
    acquire.run(settings, acquire.Options(source="file", path=few_file))
    prepare.run(settings, prepare.Options())
    train.run(settings, train.Options(candidates=("lr",), folds=2, learning_seconds=0))
    model = project.of(settings).model
    champion = model_store.require_version(settings, model, model_store.CHAMPION)
    ready = serve.run(settings, serve.Options())
    assert client.ping(ready.url)
    score.run(settings, score.Options())
    monitor.run(settings, monitor.Options())
    job = jobs.submit(settings, "monitor", {})

    for step in ("acquire", "prepare", "train", "serve", "score", "monitor"):
        run = tracking.last_run(settings, step)
        assert run is not None
        assert run.status == "FINISHED"
    assert champion.version == ready.version
    assert sum(tally.rows for tally in predictions.tallies(settings)) > 0
    assert [served.state for served in server.servers(settings)] == ["ready"]
    assert [each.job_id for each in jobs.active(settings)] == [job.job_id]
    assert list(settings.home.rglob("*.db")) == []
    if "s3" in request.node.name:
        import boto3

        with pytest.MonkeyPatch.context() as patch:
            for name, value in ACCOUNT.items():
                patch.setenv(name, value)
            address = request.getfixturevalue("s3")
            stored = boto3.client("s3", endpoint_url=address).list_objects_v2(Bucket=BUCKET)
        assert stored["KeyCount"] > 10
