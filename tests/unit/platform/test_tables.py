"""Files are inspected before they are read; what is not a table is refused in a sentence."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.platform import bounds, csv_dialect, project, tables
from core.platform.errors import InputError
from core.platform.project import Column

TEXT = {"code": Column(type="text", about="x"), "n": Column(type="integer", about="x")}


def csv(folder: Path, content: str | bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path) -> str:
    """Return the error message, which is the same for a preview and a full read."""
    with pytest.raises(InputError) as caught:
        tables.read_head(path)
    with pytest.raises(InputError) as again:
        tables.read(path)
    assert str(again.value) == str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_a_folder_lists_the_files_that_can_be_acquired(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"contains no CSV or parquet file"):
        tables.list_sources(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        tables.list_sources(tmp_path / "nowhere")
    for name in ("b.parquet", "a.CSV", "c.zip", "d.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in tables.list_sources(tmp_path)] == ["a.CSV", "b.parquet", "c.zip"]


def test_a_csv_with_a_byte_order_mark_keeps_its_first_column_and_says_so(tmp_path: Path) -> None:
    path = csv(tmp_path, b"\xef\xbb\xbfx,y\n1,2\n")
    head = tables.read_head(path)
    assert head.columns == ("x", "y")
    assert not head.notes
    assert list(tables.read(path).columns) == ["x", "y"]


@pytest.mark.parametrize("text", ["x,y\n1,2,\n3,4,\n", "x,y\n1,2,\n3,4\n", "x,y\n1,2,,\n3,4,,\n"])
def test_a_trailing_comma_moves_no_column(tmp_path: Path, text: str) -> None:
    assert tables.read(csv(tmp_path, text)).to_dict("list") == {"x": [1, 3], "y": [2, 4]}


def test_values_beyond_the_columns_are_reported_and_not_dropped(tmp_path: Path) -> None:
    path = csv(tmp_path, "x,y\n1,2,\n3,4,5\n")
    with pytest.raises(InputError, match=r"'a.csv' has rows with more values than it has columns"):
        tables.read(path)


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("x;y\n1;2\n", "separator `;`, numbers like `1234.5`, UTF-8"),
        ("x;y\n1,5;2,5\n", "separator `;`, numbers like `1234,5`, UTF-8"),
        ("x\ty\n1\t2\n", "separator `\\t`, numbers like `1234.5`, UTF-8"),
        ("x|y\n1.5|2\n", "separator `|`, numbers like `1234.5`, UTF-8"),
    ],
)
def test_the_dialect_of_a_csv_is_detected_reported_and_read(
    tmp_path: Path, text: str, description: str
) -> None:
    path = csv(tmp_path, text)
    head = tables.read_head(path)
    assert str(head.dialect.describe()) == description
    assert list(map(str, head.notes)) == [f"'a.csv' was read with {description}."]
    frame = tables.read(path)
    assert frame.columns.tolist() == ["x", "y"]
    assert frame["x"].tolist() in ([1], [1.5])


def test_windows_1252_is_read_wherever_in_the_file_it_begins(tmp_path: Path) -> None:
    path = csv(tmp_path, b"name,x\n" + b"a,1\n" * 400_000 + "ação,1\n".encode("cp1252"))
    assert tables.read_head(path).dialect.encoding == "windows-1252"
    assert tables.read(path)["name"].iloc[-1] == "ação"


def test_a_number_with_another_decimal_sign_is_not_a_number(tmp_path: Path) -> None:
    number = {"x": Column(type="number", about="x"), "y": Column(type="number", about="y")}
    path = csv(tmp_path, "x;y\n1,5;1\n2.5;2\n")
    with pytest.raises(InputError) as caught:
        tables.read(path, columns=number)
    assert caught.value.asks == "decimal"
    dialect = csv_dialect.Given(decimal="comma")
    frame = tables.read(path, columns=number, given=dialect)
    assert frame["x"].tolist() == ["1.5", "2.5?"]
    grouped = csv(tmp_path, "x;y\n1.234,5;1\n2,5;2\n")
    assert tables.read(grouped, columns=number)["x"].tolist() == [1234.5, 2.5]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no rows"),
        (b"name,x\n\xc3\xa9,1\n\xe9,1\n", "is not UTF-8 text"),
        (b"name,x\n" + b"a,1\n" * 400_000 + b"\x81,1\n", "is not UTF-8 text"),
        (b"name,x\na,1\n\xc3", "is not UTF-8 text"),
        ("name,x\na,1\n".encode("utf-16"), "is not UTF-8 text"),
        (b"name,x\na,\0\n", "is not a CSV or parquet file"),
        (b"x,y\n1,2\n" + b"9" * 1_100_000 + b",1\n", "a line of more than 1,000,000"),
        (b"9" * 3_000_000, "a line of more than 1,000,000"),
        (",".join(f"c{i}" for i in range(3000)) + "\n", "3,000 columns; the limit is 2,000"),
        ("x,y,x\n1,2,3\n", "'a.csv' has repeated columns: 'x'"),
        ("x,y,x,y\n1,2,3,4\n", "repeated columns: 'x' and 'y'"),
        ('"' + "x" * 200_000, "cannot be read"),
    ],
    ids=[
        "empty",
        "two encodings",
        "no encoding far down",
        "is not UTF-8 text",
        "UTF-16",
        "binary",
        "long line",
        "one line",
        "many columns",
        "column twice",
        "two columns twice",
        "open quote",
    ],
)
def test_what_is_no_csv_is_refused_before_it_is_read(
    tmp_path: Path, content: bytes | str, words: str
) -> None:
    assert words in refused(csv(tmp_path, content))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('x,y\n"1,2\n3,4\n', 'a quote (") opens in row 1 below the header and is never closed'),
        ('x,y\n1,2\n3,"4\n', 'a quote (") opens in row 2 below the header and is never closed'),
        ("x,y\n1,2\n3,4,5\n", "line 3 has 3 values instead of 2"),
    ],
)
def test_an_ambiguous_row_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        tables.read(csv(tmp_path, text))
    assert str(caught.value) == f"'a.csv' cannot be read: {words}."


def test_quoted_newlines_commas_and_quotes_belong_to_their_cell(tmp_path: Path) -> None:
    path = csv(tmp_path, 'code,n\n"a\nb",1\n"c, ""d""",2\n')
    assert tables.read_head(path).columns == ("code", "n")
    assert tables.read(path)["code"].tolist() == ["a\nb", 'c, "d"']
    head = tables.read_head(csv(tmp_path, '"two\nlines",n\n1,2\n'))
    assert head.columns == ("two\nlines", "n")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_line_endings_are_read(tmp_path: Path, end: str) -> None:
    path = csv(tmp_path, end.join(["x,y", "1,2", "3,4", ""]))
    assert tables.read_head(path).rows == 2
    assert tables.read(path).to_dict("list") == {"x": [1, 3], "y": [2, 4]}


def test_texts_are_read_unchanged_where_texts_are_expected(tmp_path: Path) -> None:
    path = csv(tmp_path, "code,n,other\n007,1,007\n1e5,2,8\n")
    frame = tables.read(path, columns=TEXT)
    assert frame["code"].tolist() == ["007", "1e5"]
    assert frame["n"].tolist() == [1, 2]
    assert list(frame) == ["code", "n"]
    assert tables.read(path)["other"].tolist() == [7, 8]


def test_a_text_is_missing_where_its_cell_is_empty_and_nowhere_else(tmp_path: Path) -> None:
    path = csv(tmp_path, "code,n,other\nNA,NA,NA\nNone,1,x\n,,\nnull,2,null\n")
    frame = tables.read(path, columns=TEXT)
    assert frame["code"].where(frame["code"].notna(), None).tolist() == ["NA", "None", None, "null"]
    assert frame["n"].isna().tolist() == [True, False, True, False]


@pytest.mark.parametrize("start", ["\n", "\r\n\r\n", "  \n"])
def test_blank_lines_before_the_header_hide_nothing(tmp_path: Path, start: str) -> None:
    path = csv(tmp_path, start + "x,y\n1,2\n")
    assert tables.read_head(path).columns == ("x", "y")
    assert tables.read(path).to_dict("list") == {"x": [1], "y": [2]}
    assert "repeated columns: 'x'" in refused(csv(tmp_path, start + "x,x\n1,2\n"))


def test_more_cells_than_the_limit_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_CELLS", 1000)
    assert "1,002 values; the limit is 1,000" in refused(csv(tmp_path, "x,y\n" + "1,2\n" * 501))
    path = tmp_path / "b.parquet"
    pd.DataFrame({"x": range(600), "y": 1}).to_parquet(path)
    assert "1,200 values; the limit is 1,000" in refused(path)
    monkeypatch.setattr(bounds, "MAX_BYTES", 100)
    assert "MB of data; the limit is 0.0 MB" in refused(csv(tmp_path, "x,y\n" + "1,2\n" * 100))


def test_previewing_a_large_csv_needs_little_memory(tmp_path: Path) -> None:
    path = csv(tmp_path, b"x,y\n" + b"123456,abcdefgh\n" * 1_500_000)
    tracemalloc.start()
    assert tables.read_head(path).rows == 1_500_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 2


# --- parquet ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no rows"),
        (b"x,y\n1,2\n", "do not match its extension"),
        (b"PAR1" + b"\0" * 40, "cannot be read: "),
        (b"PAR1" + b"\xff" * 4000 + b"PAR1", "cannot be read: "),
    ],
    ids=["empty", "text", "zeros", "noise"],
)
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in refused(csv(tmp_path, content, "a.parquet"))


def test_a_parquet_file_cut_short_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rng = np.random.default_rng(0)
    pd.DataFrame({"x": rng.normal(size=5000), "t": "abc"}).to_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "cannot be read: " in refused(path)
    refusals = []
    for place in rng.integers(4, len(content), 60):
        harmed = bytearray(content)
        harmed[place : place + 8] = rng.bytes(8)
        path.write_bytes(bytes(harmed))
        try:
            tables.read(path)
        except InputError as error:
            refusals.append(str(error))
    assert refusals
    assert all("'a.parquet'" in message for message in refusals)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1], [2]]),
        pa.array([{"a": 1}, {"a": 2}]),
        pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    ],
    ids=["list", "struct", "map"],
)
def test_nested_columns_are_refused_by_name(tmp_path: Path, values: pa.Array) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1, 2], "inner": values}), path)
    assert "has lists, structures or bytes in 'inner'" in refused(path)


def test_a_duplicate_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]), path)
    assert "repeated columns: 'x'" in refused(path)


def test_a_small_file_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    zeros = pa.table({f"c{i}": pa.array(np.zeros(1_250_000, "int64")) for i in range(26)})
    pq.write_table(zeros, path, compression="zstd")
    assert path.stat().st_size < 1_000_000
    assert "32,500,000 values; the limit is 32,000,000" in refused(path)
    plain = pa.table({"c": pa.array(np.zeros(30_000_000, "int64"))})
    with pq.ParquetWriter(path, plain.schema, compression="zstd", use_dictionary=False) as writer:
        for _ in range(2):
            writer.write_table(plain)
    assert path.stat().st_size < 5_000_000
    assert re.search(r"48\d\.\d MB of data; the limit is 400.0 MB", refused(path))


def test_a_long_text_in_a_million_rows_is_refused_before_it_is_a_million_texts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.parquet"
    texts = pa.DictionaryArray.from_arrays(np.zeros(1_000_000, "int32"), ["x" * 100_000])
    pq.write_table(pa.table({"code": texts}), path)
    assert path.stat().st_size < 1_000_000
    # decoding the column takes 100 GB
    with pytest.raises(InputError, match=r"100,000.0 MB of data"):
        tables.read(path, columns=TEXT)
    with pytest.raises(InputError, match=r"10,000.0 MB of data"):
        tables.preview(path, rows=100_000)
    short = pa.DictionaryArray.from_arrays(np.zeros(1_000_000, "int32"), ["x" * 100])
    pq.write_table(pa.table({"code": short}), path)
    frame = tables.read(path, columns=TEXT)
    assert frame["code"].map(id).nunique() == 1
    assert frame["code"].dtype == "object"


def test_only_columns_that_are_expected_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {"lon": Column(type="number", about="x", aliases=("lng",))}
    pd.DataFrame({"lng": [1.0], "other": ["x"]}, index=[7]).to_parquet(path)
    assert tables.read_head(path).columns == ("lng", "other")
    assert tables.read(path, columns=columns).columns.tolist() == ["lng"]
    assert tables.read(path).columns.tolist() == ["lng", "other"]


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.csv.gz", "a.pkl"])
def test_other_kinds_of_files_are_refused(tmp_path: Path, name: str) -> None:
    assert "is not a CSV or parquet file" in refused(csv(tmp_path, "x", name))


def test_a_parquet_file_named_csv_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    pd.DataFrame({"x": [1]}).to_parquet(path)
    assert "do not match its extension" in refused(path)


@pytest.mark.real
def test_the_real_files_are_read_as_pandas_does(real_dir: Path) -> None:
    columns = project.load("kobe").columns
    for path in real_dir.glob("*.parquet"):
        assert tables.read(path, columns=columns).equals(
            pd.read_parquet(path).reset_index(drop=True)
        )
