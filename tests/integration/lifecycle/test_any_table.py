"""A table without id, time and rows goes through the whole life cycle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.data import acquire, prepare, snapshots
from core.data.snapshots import Archive
from core.monitoring import monitor
from core.monitoring.records import ReportRun
from core.platform import own_columns, project, storage, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError
from core.platform.project import ProjectSpec
from core.retraining import replay_rows
from core.scoring import label, score
from core.scoring.records import ScoringRun
from core.training import train
from core.training.records import TrainingRun
from tests import any_table
from tests.any_table import loans, penguins


@pytest.fixture(autouse=True, scope="module")
def _added(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("projects")
    any_table.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project, "FOLDER", folder)
        yield


def through(settings: Settings, rows: pd.DataFrame, folder: Path) -> train.Result:
    path = folder / "rows.csv"
    rows.to_csv(path, index=False)
    acquire.run(settings, acquire.Options(source="file", path=path))
    prepare.run(settings, prepare.Options())
    return train.run(settings, train.Options(candidates=("lr",), folds=2, learning_seconds=0))


def raw(settings: Settings, spec: ProjectSpec) -> pd.DataFrame:
    return Archive.of(settings).validated(snapshots.Archive.of(settings).require_current(), spec)


def test_a_table_without_id_time_and_rows(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"project": "plain"})
    spec, rows = project.load("plain"), loans()
    through(settings, rows, tmp_path)

    kept = raw(settings, spec)
    # in the order of the file, each row with an id of its own
    assert kept["amount"].tolist() == rows["amount"].tolist()
    assert kept[own_columns.ID].is_unique
    assert kept[own_columns.ID].iloc[11].startswith("0000012-")
    assert kept["owner"].tolist() == (rows["owner"] == "Yes").astype(float).tolist()
    parts = kept[own_columns.PART]
    assert set(parts) == {"reference", "current"}
    assert 0.3 < (parts == "current").mean() < 0.5

    scored = score.run(settings, score.Options(source="production", way="in_process"))
    assert scored.rows == scored.rows_labelled == (parts == "current").sum()
    result = monitor.run(settings, monitor.Options())
    report = tracking.document(settings, result.run_id, "report")
    assert report["rows"]["current"] == report["rows"]["labelled"] == scored.rows
    # labels join by the derived id
    sent = kept.loc[parts == "current", [own_columns.ID, "paid"]].head(20)
    sent.to_csv(tmp_path / "labels.csv", index=False)
    upload = storage.stage_upload(settings, "labels.csv", (tmp_path / "labels.csv").read_bytes())
    told = label.run(settings, label.Options(upload=upload))
    assert told.rejected == told.unmatched == 0
    # what needs a time says so
    for step in (
        lambda: prepare.run(settings, prepare.Options(split="time")),
        lambda: replay_rows.outlook(settings),
    ):
        with pytest.raises(InputError, match="names no column as `time`"):
            step()


def test_ids_and_parts_stay_when_rows_are_added(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"project": "plain"})
    spec, rows = project.load("plain"), loans(300)
    for count in (200, 300):
        path = tmp_path / f"rows-{count}.csv"
        rows.head(count).to_csv(path, index=False)
        acquire.run(settings, acquire.Options(source="file", path=path))
        kept = raw(settings, spec).set_index(own_columns.ID)
        if count == 200:
            before = kept
    assert kept.head(200).equals(before)


def test_rows_without_any_that_are_current(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"project": "alone"})
    through(settings, loans(), tmp_path)
    with pytest.raises(NotReadyError, match="no current rows"):
        score.run(settings, score.Options(source="production", way="in_process"))
    with pytest.raises(NotReadyError, match="There are no predictions yet"):
        monitor.run(settings, monitor.Options())


def test_names_classes_and_holes_as_people_have_them(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"project": "odd"})
    spec, rows = project.load("odd"), penguins()
    trained = through(settings, rows, tmp_path)
    assert trained.log_loss_test < 0.65

    kept = raw(settings, spec)
    # stored in UTC, with the time of day
    assert kept["seen at"].iloc[0] == "2007-01-01T09:30:00Z"
    labels = (rows["espécie [nome]"] == "Adélie").astype(float)
    labels[rows["espécie [nome]"].isna()] = np.nan
    pd.testing.assert_series_equal(kept[spec.target], labels, check_names=False)
    assert kept["tagged?"].isna().sum() == rows["tagged?"].isna().sum()
    current = rows["seen at"] >= "2008-12-31T21:00:00"
    assert (kept[own_columns.PART] == "current").tolist() == current.tolist()

    prepared = tracking.last_run(settings, "prepare")
    assert prepared is not None
    assert prepared.params["missing"] == "impute"
    assert prepared.metrics["rows_unlabelled"] == rows.loc[~current, "espécie [nome]"].isna().sum()
    scored = score.run(settings, score.Options(source="production", way="in_process"))
    assert (scored.rows, scored.rows_rejected) == (current.sum(), 0)
    # brackets are refused by models: the column is called without them
    assert spec.target == "espécie (nome)"
    # a new level is counted, and no fault
    run = tracking.run(settings, scored.run_id)
    assert run is not None
    assert run.metrics["rows_new_levels"] == 40
    table = tracking.table(settings, scored.run_id, "new_levels")
    assert table.to_dict("records") == [{"column": "ilha", "rows": 40, "example": "Biscoe"}]
    result = monitor.run(settings, monitor.Options())
    checks = tracking.table(settings, result.run_id, "checks")
    for name in spec.features:
        assert f"psi.{name}" in set(checks["code"])
    assert_by_weight(settings, spec, rows, current)


def assert_by_weight(
    settings: Settings, spec: ProjectSpec, rows: pd.DataFrame, current: pd.Series
) -> None:
    """Check that training, scoring and the report count rows by their sampling weight."""
    trained, scored, report = (
        tracking.last_run(settings, step) for step in ("train", "score", "monitor")
    )
    assert trained is not None
    assert scored is not None
    assert report is not None
    assert TrainingRun.of(trained).weights == ScoringRun.of(scored).weights == spec.weights
    assert ReportRun.of(report).weights
    kept = pd.read_parquet(Path(scored.params["output"]))
    by = rows.loc[current, "weight"].to_numpy()[kept[own_columns.ROW]]
    known = kept[own_columns.LABEL].notna().to_numpy()
    label = kept[own_columns.LABEL][known].to_numpy()
    assert scored.metrics["base_rate_production"] == pytest.approx(
        np.average(label, weights=by[known])
    )
    for end in ("", "_low", "_high"):
        assert f"log_loss_production{end}" in scored.metrics
    assert report.metrics["log_loss_current"] == pytest.approx(
        scored.metrics["log_loss_production"]
    )
    assert abs(np.average(label, weights=by[known]) - label.mean()) > 1e-4
    best = tracking.run(settings, TrainingRun.of(trained).best_run)
    assert best is not None
    assert report.metrics["log_loss_reference"] == pytest.approx(best.metrics["log_loss_test"])
    # a file may have weights or not, and one that is read in parts is not by weight
    for sent, way in ((rows, "upload"), (rows.drop(columns="weight"), "upload"), (rows, "path")):
        content = sent.to_csv(index=False).encode()
        source: dict[str, object] = {"upload": storage.stage_upload(settings, "a.csv", content)}
        if way == "path":
            path = settings.home / "a.csv"
            path.write_bytes(content)
            source = {"path": str(path)}
        result = score.run(settings, score.Options(source=way, way="in_process", **source))
        run = tracking.run(settings, result.run_id)
        assert run is not None
        by_weight = way == "upload" and "weight" in sent
        assert ScoringRun.of(run).weights == (spec.weights if by_weight else "")
