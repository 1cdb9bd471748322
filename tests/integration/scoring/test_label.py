"""label: a file of labels is read, counted in a named run, and its faults are listed."""

from __future__ import annotations

import uuid
from pathlib import Path

import pandas as pd
import pytest

from core.platform import storage, tracking
from core.platform.config import Settings
from core.platform.errors import InputError
from core.predictions_log import predictions
from core.predictions_log.predictions import Answer, Filters
from core.scoring import label


@pytest.fixture(scope="module")
def home(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture
def ids(home: Settings) -> list[str]:
    """Five predictions of shots that no other test has; their ids."""
    name = uuid.uuid4().hex
    start = uuid.uuid4().int % 10**9
    keys = [str(start + i) for i in range(5)]
    answer = Answer(
        name, "m", "1", None, "api", 1.0, 1.0, [{"a": 1.0}] * 5, [0.5] * 5, [0] * 5, keys
    )
    predictions.write(home, [answer])
    return [f"{name}-{i}" for i in range(5)]


def report_file(home: Settings, frame: pd.DataFrame, suffix: str = "csv") -> label.Result:
    path = home.home / f"labels.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)
    staged = storage.stage_upload(home, path.name, path.read_bytes())
    return label.run(home, label.Options(upload=staged))


def state(home: Settings, ids: list[str]) -> list[float]:
    rows = predictions.browse(home, Filters(search=ids[0].partition("-")[0]))
    return rows.sort_values("courtside_position")["courtside_label"].fillna(-1).tolist()


def keys_of(home: Settings, ids: list[str]) -> list[int]:
    rows = predictions.browse(home, Filters(search=ids[0].partition("-")[0]))
    return rows.sort_values("courtside_position")["courtside_row_key"].astype(int).tolist()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_labels_by_key_are_read_and_counted(home: Settings, ids: list[str], suffix: str) -> None:
    keys = keys_of(home, ids)
    frame = pd.DataFrame(
        {
            # integers with a missing one: written as 17.0
            "shot_id": [*keys[:4], None, 7],
            "shot_made_flag": [1, 0, None, 1, 1, 3],
            "team": "LAL",
        }
    )
    result = report_file(home, frame, suffix)
    assert (result.rows, result.new, result.rejected, result.unmatched) == (6, 3, 3, 0)
    assert state(home, ids) == [1, 0, -1, 1, -1]
    run = tracking.last_run(home, "label")
    assert (run.run_id, run.name) == (result.run_id, "RecepcaoRotulos")
    assert {name: run.metrics[f"labels_{name}"] for name in ("new", "changed", "rejected")} == {
        "new": 3,
        "changed": 0,
        "rejected": 3,
    }
    rejected = tracking.table(home, result.run_id, "rejected")
    assert rejected["row"].tolist() == [3, 5, 6]
    assert rejected["reason"].map(str).tolist() == [
        "the label is neither 0 nor 1",
        "needs either a prediction id or a key",
        "the label is neither 0 nor 1",
    ]
    again = report_file(home, frame, suffix)
    assert (again.new, again.repeated, again.changed) == (0, 3, 0)


def test_times_decide_which_label_is_the_newest(home: Settings, ids: list[str]) -> None:
    frame = pd.DataFrame(
        {
            "prediction_id": [ids[0], ids[0], ids[1], ids[1], ids[2], "seven"],
            "label": [1, 0, 1, 0, 1, 1],
            "labelled_at": [
                "2026-01-02T00:00:00Z",
                "2026-01-01T23:00:00-02:00",
                "1700000000",
                "1600000000",
                "yesterday",
                "",
            ],
        }
    )
    result = report_file(home, frame)
    assert (result.new, result.changed, result.outdated, result.rejected) == (2, 1, 1, 2)
    assert state(home, ids) == [0, 1, -1, -1, -1]
    assert tracking.table(home, result.run_id, "rejected")["row"].tolist() == [5, 6]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"shot": [1], "label": [1]}), "needs a column 'prediction_id' or 'shot_id'"),
        (pd.DataFrame({"shot_id": [1], "made": [1]}), "needs a column 'shot_made_flag' or 'label'"),
        (pd.DataFrame({"shot_id": [], "label": []}), "has no rows"),
        (pd.DataFrame({"shot_id": [1], "label": [7]}), "No row of 'labels.csv' can be used. Row 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    home: Settings, frame: pd.DataFrame, message: str, last_error
) -> None:
    with pytest.raises(InputError, match=message):
        report_file(home, frame)
    status, reason = last_error(home, "label")
    assert status == "FAILED"
    assert message.split(":")[0] in reason


def test_a_broken_file_is_refused(home: Settings, tmp_path: Path) -> None:
    staged = storage.stage_upload(home, "labels.parquet", b"PAR1 and then nothing")
    with pytest.raises(InputError, match=r"'labels\.parquet' cannot be read"):
        label.run(home, label.Options(upload=staged))
