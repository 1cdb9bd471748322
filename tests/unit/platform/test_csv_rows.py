"""A CSV file has the same values whatever reads it, and in whatever parts."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.platform import bounds, csv_rows, tables
from core.platform.bounds import FileError
from core.platform.errors import InputError
from core.platform.project import Column

# cells of columns that pandas infers in many ways
CELLS = (
    ["1", "2", "-3", "007", "40"],
    ["1", "", "2", "NA", "3"],
    ["1.5", "2", "1e5", "nan", ".5"],
    ["0.1", "0.30000000000000004", "1e-5", "123.456", "7"],
    ["yes", "no", "", "no", "NULL"],
    ["True", "False", "true", "FALSE", "True"],
    ["True", "", "False", "NA", "True"],
    ["1", "2", "x", "NA", "4"],
    ["1", "2", "3", "4", "inf"],
    ["1", " 2", "+3", "4 ", "0x10"],
    ["1_000", "2013-01-01", "\u00b2", "-", "1"],
    ["9007199254740993", "1", "2", "3", "4"],
    ["9007199254740993", "1.5", "2", "3", "4"],
    ["n", "y", "", "n", "i"],
    ["", "", "", "", ""],
    ["", "", "", "1", "x"],
    ["x", "", "", "", ""],
    ["1", "", "", "", "True"],
)


def write(folder: Path, end: str = "\n") -> Path:
    path = folder / "a.csv"
    names = [f"c{place}" for place in range(len(CELLS))]
    lines = [",".join(names), *(",".join(row) for row in zip(*CELLS, strict=True))]
    path.write_text(end.join([*lines, ""]), newline="")
    return path


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    for name in one:
        kinds = [[type(cell) for cell in frame[name]] for frame in (one, other)]
        assert kinds[0] == kinds[1], name


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", [None, "text", "number", "label"])
def test_arrow_gives_what_pandas_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, end: str
) -> None:
    path = write(tmp_path, end)
    columns = kind and {f"c{place}": Column(type=kind) for place in range(1, len(CELLS))}
    head = tables.read_head(path)
    assert head.is_bare
    quoted = dataclasses.replace(head, is_bare=False)
    at_once = tables.read(path, columns=columns, head=quoted)
    same(tables.read(path, columns=columns, head=head), at_once)
    # the longest line
    monkeypatch.setattr(csv_rows, "_BLOCK", 200)
    same(tables.read(path, columns=columns, head=head), at_once)


@pytest.mark.parametrize(
    "text", ['x,y\n"1",2\n', "x,y\r1,2\r", "x,y\n1\r2,3\n", 'x,y\n1,a"b\n'], ids=repr
)
def test_quotes_and_lone_returns_are_left_to_pandas(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, newline="")
    assert not tables.read_head(path).is_bare


def test_a_return_between_two_blocks_is_the_end_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x,y\r\n" + b"1,2\r\n" * 20)
    for size in (4, 5, 7):
        monkeypatch.setattr(tables, "_BLOCK", size)
        head = tables.read_head(path)
        assert (head.rows, head.is_bare) == (20, True)


@pytest.mark.parametrize("name", ["x", '"x"'], ids=["Arrow", "pandas"])
def test_rows_that_are_too_long_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(csv_rows, "_BLOCK", 20)
    path = tmp_path / "a.csv"
    for row in range(1, 6):
        lines = ["1,2"] * 6
        lines[row] = "1,2,3"
        path.write_text("\n".join([f"{name},y", *lines, ""]))
        with pytest.raises(InputError, match="has 3 values instead of 2"):
            tables.read(path)
    path.write_text(f"{name},y\n" + "1,2,\n" * 9)
    assert tables.read(path).to_dict("list") == {"x": [1] * 9, "y": [2] * 9}


def test_what_pandas_reads_at_once_has_a_limit_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_AT_ONCE", 100)
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "1,2\n" * 51)
    assert len(tables.read(path)) == 51
    path.write_text('"x",y\n' + "1,2\n" * 51)
    with pytest.raises(FileError) as caught:
        tables.read(path)
    assert caught.value.code == "cells"


def test_texts_that_take_too_much_memory_are_refused_while_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "_BLOCK", 2000)
    monkeypatch.setattr(bounds, "MAX_HELD", 30_000)
    path, columns = tmp_path / "a.csv", {name: Column(type="text") for name in "xy"}
    path.write_text("x,y\n" + "same text,again\n" * 1000)
    assert tables.read(path, columns=columns)["x"].map(id).nunique() == 1
    path.write_text("x,y\n" + "".join(f"text {place},again\n" for place in range(1000)))
    with pytest.raises(FileError) as caught:
        tables.read(path, columns=columns)
    assert caught.value.code == "text"


def test_a_parquet_file_with_too_many_texts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_HELD", 30_000)
    path, columns = tmp_path / "a.parquet", {name: Column(type="text") for name in "xy"}
    pd.DataFrame({"x": ["same text"] * 1000, "y": "again"}).to_parquet(path)
    assert len(tables.read(path, columns=columns)) == 1000
    pd.DataFrame({"x": [f"text {place}" for place in range(1000)], "y": 1}).to_parquet(path)
    with pytest.raises(FileError) as caught:
        tables.read(path, columns=columns)
    assert caught.value.code == "text"


def test_a_parquet_file_is_read_in_parts_of_its_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    rng = np.random.default_rng(0)
    names = ["a", "a.b", "b", "c"]
    kinds = itertools.cycle([rng.normal(size=50), rng.integers(0, 9, 50), ["t", None] * 25])
    frame = pd.DataFrame(dict(zip(names, kinds, strict=False)))
    frame.to_parquet(path)
    whole = tables.read(path)
    for cells in (1, 100, 150):
        monkeypatch.setattr(tables, "_CELLS", cells)
        same(tables.read(path), whole)
    assert whole.columns.tolist() == names
