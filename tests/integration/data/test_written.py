"""A file as Excel writes it in Brazil is acquired; the run and the snapshot record its format."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from core.data import acquire, snapshots
from core.platform import project, tracking
from core.platform.config import Settings
from core.platform.errors import InputError

CODE = "semicolon comma windows-1252"


def test_semicolons_and_decimal_commas_are_read_and_recorded(
    settings: Settings, few_shots: pd.DataFrame, tmp_path: Path
) -> None:
    columns = project.load(settings.project).columns
    plain, brazil = tmp_path / "plain.csv", tmp_path / "brasil.csv"
    few_shots.to_csv(plain, index=False)
    few_shots.assign(nota="ação").to_csv(
        brazil, index=False, sep=";", decimal=",", encoding="cp1252"
    )
    acquire.run(settings, acquire.Options(source="file", path=plain))
    first = snapshots.current(settings)
    result = acquire.run(settings, acquire.Options(source="file", path=brazil))
    second = snapshots.current(settings)
    assert first is not None
    assert second is not None
    assert result.dialects == (CODE,)
    assert [file.dialect for file in second.files] == [CODE]
    run = tracking.last_run(settings, "acquire")
    assert run is not None
    assert run.tags["courtside.csv_dialect"] == CODE
    pd.testing.assert_frame_equal(
        snapshots.Archive.of(settings).read(second, columns),
        snapshots.Archive.of(settings).read(first, columns),
    )


def test_a_path_must_name_a_file_of_an_allowed_size(settings: Settings, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with (tmp_path / "sparse.csv").open("wb") as file:
        file.truncate(2_000_000_000)
    for name, words in (
        ("pipe.csv", "is not a CSV or parquet file"),
        ("sparse.csv", "2,000.0 MB of data; the limit"),
    ):
        with pytest.raises(InputError, match=words):
            acquire.run(settings, acquire.Options(source="file", path=tmp_path / name))
