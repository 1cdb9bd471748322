"""The same rows by each way of scoring, a resumed scoring, and rows that cannot be scored."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from core.data import prepare
from core.jobs import local_cluster
from core.platform import process, project, storage, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError, StoreError
from core.predictions_log import predictions
from core.scoring import batches, output_parts, score, scorer
from core.serving import serve, server_process
from core.training import train
from tests.conftest import copy_home

pytestmark = pytest.mark.long

SPEC = project.load("kobe")
# texts with missing values and a computed feature next to numbers
FEATURES = ("shot_zone_basic", "lat", "seconds_left", "playoffs", "action_type")


@pytest.fixture(scope="module")
def served(
    acquired_sample: Settings, module_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("ways") / "home"
    settings = copy_home(acquired_sample, home, serve_port=module_port)
    prepare.run(settings, prepare.Options(features=FEATURES, missing="impute"))
    train.run(settings, train.Options(candidates=("lr",), folds=2, learning_seconds=0))
    endpoint = serve.run(settings, serve.Options())
    yield settings
    server_process.stop(settings, endpoint.port)


@pytest.fixture(scope="module")
def folder(served: Settings, shots: pd.DataFrame, tmp_path_factory) -> Path:
    """3,000 rows in two parquet files of several row groups, with missing values and labels."""
    rows = shots.head(3000).reset_index(drop=True)
    rows.loc[rows.index % 7 == 0, "action_type"] = None
    target = tmp_path_factory.mktemp("rows")
    rows.head(2000).to_parquet(target / "a.parquet", index=False, row_group_size=500)
    rows.tail(1000).to_parquet(target / "b.parquet", index=False)
    return target


def path_of(settings: Settings, folder: Path, **values: object) -> score.Result:
    return score.run(settings, score.Options(source="path", path=str(folder), **values))


def rows_of(result: score.Result) -> pd.DataFrame:
    return pd.read_parquet(result.output).sort_values("courtside_row").reset_index(drop=True)


def test_each_way_and_each_kind_of_file_gives_the_same_answers(
    served: Settings, folder: Path, tmp_path: Path
) -> None:
    by_server = rows_of(path_of(served, folder))
    assert by_server["courtside_row"].tolist() == list(range(3000))
    local_cluster.start(served, workers=2)
    try:
        cluster = local_cluster.find(served)
        assert cluster is not None
        assert len(cluster.workers) == 2
        ways = {"dask": path_of(served, folder, way="dask", columns="all")}
        with pytest.raises(InputError, match="runs on port"):
            local_cluster.start(served)
    finally:
        local_cluster.stop(served)
    assert not any(process.is_alive(member) for member in (cluster.scheduler, *cluster.workers))
    assert local_cluster.find(served) is None
    with pytest.raises(NotReadyError, match="No Dask cluster is running"):
        path_of(served, folder, way="dask")
    ways["in_process"] = path_of(served, folder, way="in_process", batch_rows=333)
    both = pd.concat([pd.read_parquet(file) for file in sorted(folder.iterdir())])
    both.to_csv(tmp_path / "rows.csv", index=False)
    ways["csv"] = path_of(served, tmp_path / "rows.csv", way="in_process", keep="file")
    for name, result in ways.items():
        rows = rows_of(result)
        np.testing.assert_allclose(
            rows["courtside_probability"],
            by_server["courtside_probability"],
            rtol=0,
            atol=1e-12,
            err_msg=name,
        )
        for column in (
            "courtside_row",
            "courtside_row_key",
            "courtside_predicted",
            "courtside_label",
        ):
            pd.testing.assert_series_equal(rows[column], by_server[column])
    assert ways["dask"].log_loss == pytest.approx(ways["in_process"].log_loss, abs=1e-12)
    # rows are read from the log, or from the file where the log has none
    logged = predictions.read(served, ways["in_process"].scoring)
    from_file = predictions.read(served, ways["dask"].scoring)
    assert len(logged) == len(from_file) == 3000
    assert sorted(logged["courtside_probability"]) == pytest.approx(
        sorted(from_file["courtside_probability"]), abs=1e-12
    )
    assert set(FEATURES) - {"seconds_left"} < set(from_file.columns)


def test_a_scoring_resumes_after_its_last_finished_part(
    served: Settings, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.scoring.batches.PART_ROWS", 1000)
    defaults = {**batches.inspect.__kwdefaults__, "part_rows": 1000}
    monkeypatch.setattr(batches.inspect, "__kwdefaults__", defaults)
    complete = path_of(served, folder, way="in_process")
    row_counts: list[int] = []
    real = scorer.Scorer.score

    def full(self: scorer.Scorer, frame: pd.DataFrame) -> scorer.Answered:
        row_counts.append(len(frame))
        if len(row_counts) == 3:
            raise OSError(28, "No space left on device")
        return real(self, frame)

    destination = tmp_path / "march"
    monkeypatch.setattr(scorer.Scorer, "score", full)
    with pytest.raises(StoreError, match=r"disk is full.*is kept"):
        path_of(served, folder, way="in_process", destination=str(destination))
    failed = tracking.last_run(served, "score", status="FAILED")
    assert failed is not None
    assert "disk is full" in str(failed.error)
    # nothing half-written at the destination
    assert not destination.exists()
    with pytest.raises(InputError, match="exists; delete it first"):
        path_of(served, folder, way="in_process", destination=str(folder))

    row_counts.clear()
    monkeypatch.setattr(
        scorer.Scorer,
        "score",
        lambda self, frame: row_counts.append(len(frame)) or real(self, frame),
    )
    resumed = score.run(served, score.Options(resume=failed.run_id))
    assert sum(row_counts) == 1000
    assert (resumed.rows, resumed.scoring) == (3000, failed.run_id)
    pd.testing.assert_frame_equal(
        rows_of(resumed).drop(columns="courtside_prediction_id"),
        rows_of(complete)[list(rows_of(resumed).columns)].drop(columns="courtside_prediction_id"),
    )
    assert sorted(file.name for file in destination.iterdir()) == [
        "_manifest.json",
        "part-00000.parquet",
        "part-00001.parquet",
        "part-00002.parquet",
    ]
    assert len(predictions.read(served, resumed.scoring)) == 3000
    with pytest.raises(InputError, match="nothing is left of it"):
        score.run(served, score.Options(resume=failed.run_id))
    with pytest.raises(InputError, match="it is finished"):
        score.run(served, score.Options(resume=resumed.run_id))


def test_a_result_at_an_address_of_fsspec(served: Settings, folder: Path) -> None:
    result = path_of(served, folder, way="in_process", destination="memory://results/march")
    memory = fsspec.filesystem("memory")
    names = [entry["name"].rpartition("/")[2] for entry in memory.ls("/results/march")]
    assert sorted(names) == ["_manifest.json", "part-00000.parquet", "part-00001.parquet"]
    parts = [name for name in memory.find("/results/march") if "part-" in name]
    rows = pd.concat([pd.read_parquet(memory.open(part)) for part in sorted(parts)])
    assert (result.output, len(rows)) == ("memory://results/march", 3000)
    assert rows["courtside_row"].tolist() == list(range(3000))
    with pytest.raises(InputError, match="exists; delete it first"):
        path_of(served, folder, way="in_process", destination="memory://results/march")


def test_a_scoring_of_a_changed_source_is_not_resumed(
    served: Settings, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "rows.parquet"
    copy.write_bytes((folder / "b.parquet").read_bytes())

    def locked(*_: object) -> None:
        raise StoreError("The predictions log is locked by another program.")

    with monkeypatch.context() as patched:
        patched.setattr(predictions, "finish", locked)
        with pytest.raises(StoreError, match="is locked"):
            path_of(served, copy, way="in_process")
    failed = tracking.last_run(served, "score", status="FAILED")
    assert failed is not None
    os.utime(copy, (1, 1))
    with pytest.raises(InputError, match="cannot be continued"):
        score.run(served, score.Options(resume=failed.run_id))


def test_rows_that_cannot_be_scored_are_listed_and_the_others_scored(
    served: Settings, few_shots: pd.DataFrame
) -> None:
    rows = few_shots.head(40).copy()
    rows.loc[3, "lat"] = 99.0
    rows = rows.astype({"lat": "object"})
    rows.loc[5, "lat"] = "north"
    rows.loc[9, "shot_zone_basic"] = "Moon"
    upload = storage.stage_upload(
        served, "rows.csv", rows.rename(columns={"lat": "Breite"}).to_csv(index=False).encode()
    )
    options = score.Options(source="upload", upload=upload, mapping={"lat": "Breite"})
    result = score.run(served, options)
    assert (result.rows, result.rows_rejected) == (37, 3)
    listed = tracking.table(served, result.run_id, "rejected")
    assert listed[["row", "column", "value"]].to_numpy().tolist() == [
        [9, "shot_zone_basic", "Moon"],
        [3, "lat", "99.0"],
        [5, "lat", "north"],
    ] or set(listed["row"]) == {3, 5, 9}
    reasons = dict(zip(listed["row"], listed["reason"], strict=True))
    assert str(reasons[3]) == "must lie in 32..35"
    assert set(rows_of(result)["courtside_row"]) == set(range(40)) - {3, 5, 9}
    with pytest.raises(InputError, match="has no column Lon"):
        score.run(served, options.model_copy(update={"mapping": {"lat": "Lon"}}))


def test_a_scoring_records_its_figures_with_intervals_and_no_verdict(served: Settings) -> None:
    result = score.run(served, score.Options(way="in_process"))
    run = tracking.run(served, result.run_id)
    assert run is not None
    assert run.metrics["log_loss_production"] == result.log_loss
    for name in ("log_loss", "skill", "roc_auc", "f1", "precision", "recall"):
        low, value, high = (run.metrics[f"{name}_production{end}"] for end in ("_low", "", "_high"))
        assert low <= value <= high
    assert not any("fit" in name or "verdict" in name for name in run.tags)


@pytest.mark.parametrize(
    "address", ["s3://ann:secret@bucket/x", "s3://bucket/x?aws_secret_access_key=abc"]
)
def test_an_address_with_credentials_is_refused(address: str) -> None:
    for name in ("path", "destination"):
        with pytest.raises(ValidationError) as caught:
            score.Options(**{"source": "path", "path": "/x", name: address})
        assert "environment" in str(caught.value.errors()[0]["msg"])


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    target = output_parts.place(str(tmp_path / "empty"), "0" * 32)
    target.begin({})
    (tmp_path / "empty" / "mine.txt").write_text("x")
    with pytest.raises(StoreError, match="not empty"):
        target.finish()
    assert (tmp_path / "empty" / "mine.txt").read_text() == "x"
