"""Hostile files, uploaded as a browser would: each gets a message, and nothing changes."""

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
def acquired_home(acquired_few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a low upload limit and valid data, which no file here may change."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    return copy_home(acquired_few, home, upload_limit_mb=10)


def upload_all(settings: Settings, files: dict[str, bytes]) -> acquire.Result:
    uploads = tuple(storage.stage_upload(settings, *file) for file in files.items())
    return acquire.run(settings, acquire.Options(source="upload", uploads=uploads))


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def csv(frame: pd.DataFrame, **options: object) -> bytes:
    return frame.to_csv(index=False, **options).encode()


def parquet(table: pa.Table | pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer) if isinstance(table, pd.DataFrame) else pq.write_table(table, buffer)
    return buffer.getvalue()


def with_cell(frame: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    changed = frame.astype({column: "object"})
    changed.loc[3, column] = value
    return changed


# name -> the file's name, its bytes made from valid rows, and words of the message
HOSTILE: dict[str, tuple[str, Callable[[pd.DataFrame], bytes], str]] = {
    "csv bomb": (
        "bomb.zip",
        lambda rows: zipped({"data.csv": csv(rows) + b"0" * 60_000_000}),
        "MB of data; the limit is 50.0 MB",
    ),
    "csv bomb of one line": (
        "bomb.zip",
        lambda rows: zipped({"data.csv": csv(rows) + b"0" * 40_000_000}),
        "a line of more than 1,000,000 characters",
    ),
    "csv bomb of columns": (
        "bomb.csv",
        lambda rows: (",".join(f"c{i}" for i in range(100_000)) + "\n").encode(),
        "100,000 columns; the limit is 2,000",
    ),
    "csv bomb of rows": (
        "bomb.zip",
        lambda rows: zipped({"data.csv": csv(rows) + b"," * 24 + b"\n" * 9_000_000}),
        "at most 6,500,000 cells are taken",
    ),
    "wrong encoding": (
        "latin.csv",
        # bytes of both Windows-1252 and UTF-8, so it is neither
        lambda rows: csv(rows).replace(b"LAL", b"L\xc1L") + b"\xc3\xa9",
        "is not UTF-8 text",
    ),
    "UTF-16": (
        "wide.csv",
        lambda rows: rows.to_csv(index=False).encode("utf-16"),
        "is not UTF-8 text. Save it as CSV UTF-8",
    ),
    "semicolons": ("brazil.csv", lambda rows: b"a;b,c\n1;2,3\n", "may be separated by `,` and `;`"),
    "quoted newlines": (
        "lines.csv",
        lambda rows: csv(with_cell(rows, "shot_zone_area", "Left Side(L)\nRight")),
        "Column 'shot_zone_area' must be one of",
    ),
    "open quote": (
        "quote.csv",
        lambda rows: csv(rows).replace(b"LAL", b'"LAL', 1),
        "cannot be read",
    ),
    "2 GB claim of an upload": (
        "large.csv",
        lambda rows: b"x" * 11_000_000,
        "11.0 MB of data; the limit is 10.0 MB",
    ),
    "zip with paths": (
        "paths.zip",
        lambda rows: zipped({"../../data/01_raw/current.json": b"{}", "data.csv": csv(rows)}),
        "has paths that lead out of it",
    ),
    "formula cells": (
        "formula.csv",
        lambda rows: csv(with_cell(rows, "action_type", "=cmd|' /C calc'!A0")),
        "'action_type' must not be a formula that a spreadsheet would run",
    ),
    "formula in a number": (
        "formula.csv",
        lambda rows: csv(with_cell(rows, "period", "=1+1")),
        "'period' must be a whole number: violated in 1 row ('=1+1')",
    ),
    "nested parquet": (
        "nested.parquet",
        lambda rows: parquet(
            pa.Table.from_pandas(rows).append_column("more", pa.array([[1]] * len(rows)))
        ),
        "has lists, structures or bytes in 'more'",
    ),
    "duplicate column names in CSV": (
        "twice.csv",
        lambda rows: csv(rows.set_axis([*rows.columns[:-1], "lat"], axis="columns")),
        "repeated columns: 'lat'",
    ),
    "duplicate column names in parquet": (
        "twice.parquet",
        lambda rows: parquet(
            pa.Table.from_arrays(
                [*pa.Table.from_pandas(rows).columns, pa.array(rows["lat"])],
                names=[*rows.columns, "lat"],
            )
        ),
        "repeated columns: 'lat'",
    ),
    "column and its alias": (
        "both.csv",
        lambda rows: csv(rows.assign(lng=rows["lon"]).rename(columns={"lon": "long"})).replace(
            b"long", b"lng", 1
        ),
        "repeated columns: 'lng'",
    ),
    "text named parquet": ("text.parquet", csv, "do not match its extension"),
    "parquet named CSV": ("renamed.csv", parquet, "do not match its extension"),
    "text named zip": ("text.zip", csv, "is not a CSV or parquet file"),
    "binary named CSV": (
        "image.csv",
        lambda rows: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "is not a CSV or parquet file",
    ),
    "another table": (
        "titanic.csv",
        lambda rows: csv(pd.DataFrame({"Name": ["a"], "Age": [1], "Survived": [0]})),
        "25 of 25 columns are missing",
    ),
    "times for numbers": (
        "times.parquet",
        lambda rows: parquet(rows.assign(period=pd.Timestamp("2000-01-01"))),
        "'period' must be a whole number",
    ),
    "numbers for days": (
        "days.parquet",
        lambda rows: parquet(rows.assign(game_date=20_001_031)),
        "'game_date' must be a date like 2000-10-31",
    ),
    "bytes for texts": (
        "bytes.parquet",
        lambda rows: parquet(rows.assign(opponent=[b"\xff\xfe"] * len(rows))),
        "bytes in 'opponent'",
    ),
    "parquet bomb of bytes": (
        "bomb.parquet",
        lambda rows: parquet(
            pa.table({name: rows[name] for name in rows if name != "opponent"}).append_column(
                "opponent",
                pa.DictionaryArray.from_arrays(np.zeros(len(rows), "int32"), [b"x" * 1_000_000]),
            )
        ),
        "bytes in 'opponent'",
    ),
    "blank line before a column that stands twice": (
        "blank.csv",
        lambda rows: b"\n  \n" + csv(rows.set_axis([*rows.columns[:-1], "lat"], axis="columns")),
        "repeated columns: 'lat'",
    ),
    "nothing but commas": (
        "commas.csv",
        lambda rows: b",,,\n,,,\n",
        "has no line with the names of its columns",
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long) if name == "csv bomb of rows" else name
        for name in HOSTILE
    ],
)
def test_a_hostile_file_gets_a_message_and_changes_nothing(
    name: str, acquired_home: Settings, few_shots: pd.DataFrame, last_error
) -> None:
    file, content_of, words = HOSTILE[name]
    before = all_bytes(acquired_home.data_dir)
    with pytest.raises(CourtsideError) as caught:
        upload_all(acquired_home, {file: content_of(few_shots)})
    message = str(caught.value)
    assert words in message
    assert len(message) < 700
    assert all_bytes(acquired_home.data_dir) == before
    if "upload" not in name:  # an upload that is too large starts no run
        assert last_error(acquired_home, "acquire") == ("FAILED", message)


def test_a_byte_order_mark_and_newlines_in_unused_cells_do_no_harm(
    settings: Settings, few_shots: pd.DataFrame
) -> None:
    odd = few_shots.assign(note=['a\n"b",\nc'] * len(few_shots))
    result = upload_all(settings, {"excel.csv": b"\xef\xbb\xbf" + csv(odd)})
    assert result.rows == len(few_shots)
    assert [str(text).split("'")[1] for text in result.warnings] == ["note"]
    snapshot = snapshots.current(settings)
    assert snapshot is not None
    rows = snapshots.Archive.of(settings).read(snapshot, SPEC.columns)
    pd.testing.assert_frame_equal(rows[list(few_shots)], few_shots)


def test_the_failed_run_lists_all_findings(
    acquired_home: Settings, few_shots: pd.DataFrame
) -> None:
    faulty = few_shots.astype({"period": "object", "lat": "object"})
    faulty.loc[[1, 2, 3], "period"] = "first"
    faulty.loc[4, "lat"] = 99.0
    faulty.loc[[5, 6], "shot_type"] = "4PT Field Goal"
    faulty.loc[7, "shot_id"] = faulty.loc[8, "shot_id"]
    faulty.loc[9, "shot_made_flag"] = 2
    faulty.loc[10, "loc_x"] += 1
    with pytest.raises(CourtsideError):
        upload_all(acquired_home, {"bad.csv": csv(faulty.assign(extra=1))})
    run = tracking.last_run(acquired_home, "acquire", status=None)
    assert run is not None
    assert (run.status, run.metrics["errors"]) == ("FAILED", 5)
    findings = tracking.table(acquired_home, run.run_id, "validation").set_index(
        ["check", "column"]
    )
    assert findings["rows"].dropna().to_dict() == {
        ("type", "period"): 3,
        ("range", "lat"): 1,
        ("category", "shot_type"): 2,
        ("unique", "shot_id"): 1,
        ("type", "shot_made_flag"): 1,
        ("identity", "lon"): 1,
        ("identity", "lat"): 1,
    }
    assert findings.loc[("type", "period"), "examples"] == "'first'"
    assert findings.loc[("category", "shot_type"), "where"] == (
        f"shot_id {faulty.loc[5, 'shot_id']}, {faulty.loc[6, 'shot_id']}"
    )
    severities = findings.reset_index().set_index("check")["severity"]
    assert set(severities[["identity", "extra_column"]]) == {"warning"}
    assert set(severities.drop(["identity", "extra_column"])) == {"error"}


def test_every_bad_file_of_several_is_named(
    acquired_home: Settings, few_shots: pd.DataFrame
) -> None:
    files = {
        "good.csv": csv(few_shots.head(400)),
        "a.csv": b"\xff\xfe\x00",
        "b.parquet": b"no parquet",
    }
    with pytest.raises(CourtsideError) as caught:
        upload_all(acquired_home, files)
    assert "'a.csv'" in str(caught.value)
    assert "'b.parquet'" in str(caught.value)
    assert "'good.csv'" not in str(caught.value)


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
    result = upload_all(settings, {"kobe-bryant-shot-selection.zip": kaggle})
    assert result.rows == len(few_shots)
    assert result.warnings == (
        "'sample_submission.csv' in 'kobe-bryant-shot-selection.zip' was left out: it has other "
        "columns.",
    )
    snapshot = snapshots.current(settings)
    assert snapshot is not None
    assert [(file.name, file.origin) for file in snapshot.files] == [
        ("data.csv", "kobe-bryant-shot-selection.zip")
    ]
    again = upload_all(settings, {"data.csv": csv(few_shots)})
    assert again.snapshot == result.snapshot
    assert len(snapshots.listed(settings)) == 1


def test_an_uploaded_name_never_becomes_a_path(settings: Settings, few_shots: pd.DataFrame) -> None:
    upload_all(settings, {"../../../tmp/evil.csv": csv(few_shots)})
    snapshot = snapshots.current(settings)
    assert snapshot is not None
    assert snapshot.files[0].name == "evil.csv"
    assert [path.name for path in snapshots.Archive.of(settings).paths(snapshot)] == ["part-0.csv"]


@pytest.mark.long
@pytest.mark.real
def test_the_real_rows_are_the_same_from_parquet_csv_or_zip(
    settings: Settings, real_dir: Path
) -> None:
    files = {path.name: path.read_bytes() for path in sorted(real_dir.glob("*.parquet"))}
    frames = {name: pd.read_parquet(io.BytesIO(content)) for name, content in files.items()}
    uploads = [
        files,
        {name.replace("parquet", "csv"): csv(frame) for name, frame in frames.items()},
        {"data.csv.zip": zipped({"data.csv": csv(pd.concat(frames.values()))})},
    ]
    rows = []
    for files_of in uploads:
        result = upload_all(settings, files_of)
        assert (result.rows, result.columns, result.warnings) == (30697, 25, ())
        snapshot = snapshots.current(settings)
        assert snapshot is not None
        frame = snapshots.Archive.of(settings).read(snapshot, SPEC.columns)
        rows.append(frame.sort_values("shot_id").reset_index(drop=True))
    for other in rows[1:]:
        pd.testing.assert_frame_equal(other, rows[0])
    assert len(snapshots.listed(settings)) == 3
    assert np.isclose(rows[0]["shot_made_flag"].mean(), 0.446161, atol=1e-6)
