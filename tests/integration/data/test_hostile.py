"""Hostile files, brought in as a browser would: each gets a sentence, and nothing changes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data import acquire, snapshots
from core.platform import project, storage, tracking
from core.platform.config import Settings
from core.platform.errors import CourtsideError
from tests.conftest import copy_home
from tests.zips import zipped

SPEC = project.load("kobe")


@pytest.fixture(scope="module")
def standing(acquired_few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a low limit and good data, which no file here may change."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    return copy_home(acquired_few, home, upload_limit_mb=10)


def bring(settings: Settings, files: dict[str, bytes]) -> acquire.Result:
    uploads = tuple(storage.stage_upload(settings, *file) for file in files.items())
    return acquire.run(settings, acquire.Options(source="upload", uploads=uploads))


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def csv(frame: pd.DataFrame, **options: object) -> bytes:
    return frame.to_csv(index=False, **options).encode()


def parquet(table: pa.Table | pd.DataFrame) -> bytes:
    held = io.BytesIO()
    table.to_parquet(held) if isinstance(table, pd.DataFrame) else pq.write_table(table, held)
    return held.getvalue()


def with_cell(frame: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    changed = frame.astype({column: "object"})
    changed.loc[3, column] = value
    return changed


# name -> the file's name, its bytes from good rows, and words of the sentence
HOSTILE: dict[str, tuple[str, Callable[[pd.DataFrame], bytes], str]] = {
    "csv bomb": (
        "bomb.zip",
        lambda good: zipped({"data.csv": csv(good) + b"0" * 60_000_000}),
        "or more once it is unpacked; at most 50.0 are taken",
    ),
    "csv bomb of one line": (
        "bomb.zip",
        lambda good: zipped({"data.csv": csv(good) + b"0" * 40_000_000}),
        "a line of more than 1,000,000 characters",
    ),
    "csv bomb of columns": (
        "bomb.csv",
        lambda good: (",".join(f"c{i}" for i in range(100_000)) + "\n").encode(),
        "has 100,000 columns; at most 2,000 are taken",
    ),
    "csv bomb of rows": (
        "bomb.zip",
        lambda good: zipped({"data.csv": csv(good) + b"," * 24 + b"\n" * 9_000_000}),
        "at most 6,500,000 cells are taken",
    ),
    "wrong encoding": (
        "latin.csv",
        # of Windows-1252 and UTF-8 both, so it is neither
        lambda good: csv(good).replace(b"LAL", b"L\xc1L") + b"\xc3\xa9",
        "is not UTF-8 text: it is damaged",
    ),
    "UTF-16": (
        "wide.csv",
        lambda good: good.to_csv(index=False).encode("utf-16"),
        "is UTF-16 text. Save it as CSV UTF-8",
    ),
    "semicolons": (
        "brazil.csv",
        lambda good: b"a;b,c\n1;2,3\n",
        "may be divided by commas or semicolons: its lines fit each of them",
    ),
    "quoted newlines": (
        "lines.csv",
        lambda good: csv(with_cell(good, "shot_zone_area", "Left Side(L)\nRight")),
        "Column 'shot_zone_area' must be one of",
    ),
    "open quote": (
        "quote.csv",
        lambda good: csv(good).replace(b"LAL", b'"LAL', 1),
        "cannot be read as CSV",
    ),
    "2 GB claim of an upload": (
        "large.csv",
        lambda good: b"x" * 11_000_000,
        "holds 11.0 MB; at most 10.0 MB are taken",
    ),
    "zip with paths": (
        "paths.zip",
        lambda good: zipped({"../../data/01_raw/current.json": b"{}", "data.csv": csv(good)}),
        "holds a path that leads out of it",
    ),
    "formula cells": (
        "formula.csv",
        lambda good: csv(with_cell(good, "action_type", "=cmd|' /C calc'!A0")),
        "'action_type' has cells that a spreadsheet would run as a formula",
    ),
    "formula in a number": (
        "formula.csv",
        lambda good: csv(with_cell(good, "period", "=1+1")),
        "'period' must be a whole number: not so in 1 row ('=1+1')",
    ),
    "nested parquet": (
        "nested.parquet",
        lambda good: parquet(
            pa.Table.from_pandas(good).append_column("more", pa.array([[1]] * len(good)))
        ),
        "holds lists or structures in 'more'",
    ),
    "duplicate column names in CSV": (
        "twice.csv",
        lambda good: csv(good.set_axis([*good.columns[:-1], "lat"], axis="columns")),
        "'lat' stands there more than once",
    ),
    "duplicate column names in parquet": (
        "twice.parquet",
        lambda good: parquet(
            pa.Table.from_arrays(
                [*pa.Table.from_pandas(good).columns, pa.array(good["lat"])],
                names=[*good.columns, "lat"],
            )
        ),
        "'lat' stands there more than once",
    ),
    "column and its alias": (
        "both.csv",
        lambda good: csv(good.assign(lng=good["lon"]).rename(columns={"lon": "long"})).replace(
            b"long", b"lng", 1
        ),
        "'lng' stands there more than once",
    ),
    "text named parquet": ("text.parquet", csv, "is not a parquet file, whatever its name says"),
    "parquet named CSV": ("renamed.csv", parquet, "is a parquet file. Rename it to .parquet"),
    "text named zip": ("text.zip", csv, "is not a zip file, or a broken one"),
    "binary named CSV": ("image.csv", lambda good: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary data"),
    "another table": (
        "titanic.csv",
        lambda good: csv(pd.DataFrame({"Name": ["a"], "Age": [1], "Survived": [0]})),
        "25 of 25 columns are missing",
    ),
    "times for numbers": (
        "times.parquet",
        lambda good: parquet(good.assign(period=pd.Timestamp("2000-01-01"))),
        "'period' must be a whole number",
    ),
    "numbers for days": (
        "days.parquet",
        lambda good: parquet(good.assign(game_date=20_001_031)),
        "'game_date' must be a day like 2000-10-31",
    ),
    "bytes for texts": (
        "bytes.parquet",
        lambda good: parquet(good.assign(opponent=[b"\xff\xfe"] * len(good))),
        "holds bytes in 'opponent'. Write them as text",
    ),
    "parquet bomb of bytes": (
        "bomb.parquet",
        lambda good: parquet(
            pa.table({name: good[name] for name in good if name != "opponent"}).append_column(
                "opponent",
                pa.DictionaryArray.from_arrays(np.zeros(len(good), "int32"), [b"x" * 1_000_000]),
            )
        ),
        "holds bytes in 'opponent'",
    ),
    "blank line before a column that stands twice": (
        "blank.csv",
        lambda good: b"\n  \n" + csv(good.set_axis([*good.columns[:-1], "lat"], axis="columns")),
        "'lat' stands there more than once",
    ),
    "nothing but commas": (
        "commas.csv",
        lambda good: b",,,\n,,,\n",
        "has no line with the names of its columns",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_a_sentence_and_changes_nothing(
    name: str, standing: Settings, few_shots: pd.DataFrame, last_error
) -> None:
    file, make, words = HOSTILE[name]
    before = all_bytes(standing.data_dir)
    with pytest.raises(CourtsideError) as caught:
        bring(standing, {file: make(few_shots)})
    told = caught.value.message
    assert words in told
    assert len(told) < 700
    assert all_bytes(standing.data_dir) == before
    if "upload" not in name:  # one that is too large comes to no run at all
        assert last_error(standing, "acquire") == ("FAILED", told)


def test_a_mark_at_the_start_and_newlines_in_unused_cells_do_no_harm(
    settings: Settings, few_shots: pd.DataFrame
) -> None:
    odd = few_shots.assign(note=['a\n"b",\nc'] * len(few_shots))
    found = bring(settings, {"excel.csv": b"\xef\xbb\xbf" + csv(odd)})
    assert found.rows == len(few_shots)
    assert [text.split("'")[1] for text in found.warnings] == ["note", "excel.csv"]
    assert "starts with a byte-order mark" in found.warnings[1]
    snapshot = snapshots.current(settings)
    assert snapshot is not None
    rows = snapshots.read(settings, snapshot, SPEC.columns)
    pd.testing.assert_frame_equal(rows[list(few_shots)], few_shots)


def test_all_that_is_wrong_is_in_the_run_of_the_failure(
    standing: Settings, few_shots: pd.DataFrame
) -> None:
    bad = few_shots.astype({"period": "object", "lat": "object"})
    bad.loc[[1, 2, 3], "period"] = "first"
    bad.loc[4, "lat"] = 99.0
    bad.loc[[5, 6], "shot_type"] = "4PT Field Goal"
    bad.loc[7, "shot_id"] = bad.loc[8, "shot_id"]
    bad.loc[9, "shot_made_flag"] = 2
    bad.loc[10, "loc_x"] += 1
    with pytest.raises(CourtsideError):
        bring(standing, {"bad.csv": csv(bad.assign(extra=1))})
    run = tracking.last_run(standing, "acquire", status=None)
    assert run is not None
    assert (run.status, run.metrics["errors"]) == ("FAILED", 5)
    found = tracking.table(standing, run.run_id, "validation").set_index(["check", "column"])
    assert found["rows"].dropna().to_dict() == {
        ("type", "period"): 3,
        ("range", "lat"): 1,
        ("category", "shot_type"): 2,
        ("unique", "shot_id"): 1,
        ("type", "shot_made_flag"): 1,
        ("identity", "lon"): 1,
        ("identity", "lat"): 1,
    }
    assert found.loc[("type", "period"), "examples"] == "'first'"
    assert found.loc[("category", "shot_type"), "where"] == (
        f"shot_id {bad.loc[5, 'shot_id']}, {bad.loc[6, 'shot_id']}"
    )
    severities = found.reset_index().set_index("check")["severity"]
    assert set(severities[["identity", "extra_column"]]) == {"warning"}
    assert set(severities.drop(["identity", "extra_column"])) == {"error"}


def test_every_bad_file_of_several_is_told(standing: Settings, few_shots: pd.DataFrame) -> None:
    files = {
        "good.csv": csv(few_shots.head(400)),
        "a.csv": b"\xff\xfe\x00",
        "b.parquet": b"no parquet",
    }
    with pytest.raises(CourtsideError) as caught:
        bring(standing, files)
    assert "'a.csv'" in caught.value.message
    assert "'b.parquet'" in caught.value.message
    assert "'good.csv'" not in caught.value.message


@pytest.mark.long
def test_kaggles_zip_gives_the_rows_and_the_digest_of_its_csv(
    settings: Settings, few_shots: pd.DataFrame
) -> None:
    sample = pd.DataFrame({"shot_id": [1, 8], "shot_made_flag": 0.5})
    kaggle = zipped(
        {
            "data.csv.zip": zipped({"data.csv": csv(few_shots)}),
            "sample_submission.csv.zip": zipped({"sample_submission.csv": csv(sample)}),
        }
    )
    found = bring(settings, {"kobe-bryant-shot-selection.zip": kaggle})
    assert found.rows == len(few_shots)
    assert found.warnings == (
        "'sample_submission.csv' in 'kobe-bryant-shot-selection.zip' was left out: it has other "
        "columns.",
    )
    snapshot = snapshots.current(settings)
    assert snapshot is not None
    assert [(one.name, one.origin) for one in snapshot.files] == [
        ("data.csv", "kobe-bryant-shot-selection.zip")
    ]
    again = bring(settings, {"data.csv": csv(few_shots)})
    assert again.snapshot == found.snapshot
    assert len(snapshots.listed(settings)) == 1


def test_a_name_from_a_person_never_becomes_a_path(
    settings: Settings, few_shots: pd.DataFrame
) -> None:
    bring(settings, {"../../../tmp/evil.csv": csv(few_shots)})
    snapshot = snapshots.current(settings)
    assert snapshot is not None
    assert snapshot.files[0].name == "evil.csv"
    assert [path.name for path in snapshots.paths(settings, snapshot)] == ["part-0.csv"]


@pytest.mark.long
@pytest.mark.real
def test_the_real_rows_come_in_alike_as_parquet_csv_or_zip(
    settings: Settings, real_dir: Path
) -> None:
    files = {path.name: path.read_bytes() for path in sorted(real_dir.glob("*.parquet"))}
    frames = {name: pd.read_parquet(io.BytesIO(content)) for name, content in files.items()}
    ways = [
        files,
        {name.replace("parquet", "csv"): csv(frame) for name, frame in frames.items()},
        {"data.csv.zip": zipped({"data.csv": csv(pd.concat(frames.values()))})},
    ]
    rows = []
    for way in ways:
        found = bring(settings, way)
        assert (found.rows, found.columns, found.warnings) == (30697, 25, ())
        snapshot = snapshots.current(settings)
        assert snapshot is not None
        frame = snapshots.read(settings, snapshot, SPEC.columns)
        rows.append(frame.sort_values("shot_id").reset_index(drop=True))
    for other in rows[1:]:
        pd.testing.assert_frame_equal(other, rows[0])
    assert len(snapshots.listed(settings)) == 3
    assert np.isclose(rows[0]["shot_made_flag"].mean(), 0.446161, atol=1e-6)
