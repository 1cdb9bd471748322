"""The predictions log keeps all of a scoring or none, and gives it back in order."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.adapters import predictions
from core.config import Settings
from core.errors import StoreError


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def rows(count: int, label: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(count)
    return pd.DataFrame(
        {
            "a": rng.normal(size=count),
            "b": np.arange(count),
            "row_key": [str(i) if i % 2 else None for i in range(count)],
            "probability": rng.uniform(size=count),
            "predicted": rng.integers(0, 2, count),
            "label": [label if i % 3 else math.nan for i in range(count)],
        }
    )


def save(home: Settings, frame: pd.DataFrame, run_id: str, source: str = "production") -> None:
    predictions.save(
        home, frame, features=["a", "b"], run_id=run_id, source=source, model="m", version="1",
        alias="champion", latency_ms=np.full(len(frame), 2.0),
        request_sizes=np.array([len(frame) - 1, 1]),
    )  # fmt: skip


def test_predictions_come_back_in_order_and_to_the_last_digit(home: Settings) -> None:
    frame = rows(50)
    save(home, frame, "r1")
    found = predictions.read(home, "r1")
    columns = ["a", "b", "probability", "predicted", "label"]
    pd.testing.assert_frame_equal(found[columns], frame[columns])
    assert found["row_key"].tolist() == frame["row_key"].tolist()
    assert found["prediction_id"].is_unique


def test_scorings_are_counted_newest_first(home: Settings) -> None:
    assert predictions.scorings(home) == []
    save(home, rows(6), "r1")
    save(home, rows(3), "r2", source="upload")
    listed = predictions.scorings(home)
    assert [(one.run_id, one.source, one.rows, one.labels) for one in listed] == [
        ("r2", "upload", 3, 2),
        ("r1", "production", 6, 4),
    ]


def test_many_small_scorings_do_not_hide_a_large_one(home: Settings) -> None:
    save(home, rows(120), "large")
    for i in range(60):
        save(home, rows(2), f"small{i}", source="row")
    assert [one.run_id for one in predictions.scorings(home, min_rows=100)] == ["large"]
    assert [one.rows for one in predictions.scorings(home, run_id="large")] == [120]
    assert predictions.scorings(home, run_id="none") == []


def test_a_scoring_that_cannot_be_kept_whole_is_not_kept_at_all(home: Settings) -> None:
    broken = rows(6, label=1.0)
    broken.loc[5, "probability"] = math.nan
    with pytest.raises(StoreError, match="cannot be written"):
        save(home, broken, "r1")
    assert predictions.scorings(home) == []


def test_a_run_that_is_not_there_has_no_rows(home: Settings) -> None:
    assert len(predictions.read(home, "none")) == 0


def test_a_broken_log_is_told(home: Settings) -> None:
    home.state_dir.mkdir()
    (home.state_dir / "predictions.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="predictions log cannot be opened"):
        predictions.scorings(home)
