"""Rows of large files: cut the same way each time, read back whole, and refused in a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.platform.csv_dialect import Dialect, DialectError, Given
from core.platform.errors import InputError
from core.scoring import batches


def rows(count: int = 1000) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"id": np.arange(count), "x": rng.normal(size=count)})
    frame["name"] = np.where(frame["id"] % 3 == 0, None, 'a, "b"\nc' + frame["id"].astype(str))
    frame["code"] = frame["id"].map("{:03d}".format)
    frame.loc[frame["id"] % 5 == 0, "x"] = np.nan
    return frame


def read_back(source: batches.Source, frame: pd.DataFrame) -> None:
    rows_read = 0
    for part in source.parts:
        assert part.first_row == rows_read
        for batch in batches.read(
            source, part, ["x", "name", "code"], texts=["name", "code"], key="id", batch_rows=64
        ):
            expected = frame.iloc[batch.first_row : batch.first_row + len(batch.frame)]
            assert batch.first_row == rows_read
            assert len(batch.frame) <= 64
            np.testing.assert_array_equal(batch.frame["x"], expected["x"])
            for name in ("name", "code"):
                values = batch.frame[name].where(batch.frame[name].notna(), None)
                assert values.tolist() == expected[name].tolist()
            assert batch.keys.to_pylist() == expected["id"].astype(str).tolist()
            rows_read += len(batch.frame)
    assert rows_read == source.rows == len(frame)


def test_parquet_is_cut_at_row_groups(tmp_path: Path) -> None:
    frame = rows()
    frame.to_parquet(tmp_path / "a.parquet", index=False, row_group_size=130)
    source = batches.inspect(str(tmp_path / "a.parquet"), part_rows=300)
    assert [len(part.groups) for part in source.parts] == [2, 2, 2, 2]
    read_back(source, frame)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_csv_is_cut_outside_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, bom: str
) -> None:
    monkeypatch.setattr(batches, "_BLOCK", 1 << 10)
    frame = rows()
    text = frame.to_csv(index=False, lineterminator=end)
    # blank lines are not rows
    (tmp_path / "a.csv").write_bytes((bom + text + end + end).encode())
    source = batches.inspect(str(tmp_path / "a.csv"), part_rows=300)
    assert len(source.parts) > 2
    read_back(source, frame)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("delimiter", "decimal", "encoding"),
    [("semicolon", "comma", "windows-1252"), ("tab", "comma", "utf-8"), ("bar", "point", "utf-8")],
)
def test_csv_is_read_in_the_dialect_it_is_written_in(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    delimiter: str,
    decimal: str,
    encoding: str,
) -> None:
    monkeypatch.setattr(batches, "_BLOCK", 1 << 10)
    frame = rows()
    frame["name"] = "ação " + frame["id"].astype(str)
    dialect = Dialect(delimiter, decimal, encoding)
    text = frame.to_csv(index=False, sep=dialect.sign, decimal=dialect.point, lineterminator=end)
    (tmp_path / "a.csv").write_bytes(text.encode(dialect.codec))
    source = batches.inspect(str(tmp_path / "a.csv"), part_rows=300)
    assert len(source.parts) > 2
    assert source.written == (dialect.code,)
    read_back(source, frame)
    names, first, detected = batches.peek(str(tmp_path / "a.csv"), 50)
    assert names == tuple(frame.columns)
    assert detected is not None
    assert detected.describe() == dialect.describe()
    assert first["name"].tolist() == frame["name"].head(50).tolist()


def test_what_a_csv_leaves_ambiguous_is_asked_and_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x;y\n1,234;a\n")
    with pytest.raises(DialectError) as caught:
        batches.inspect(str(tmp_path / "a.csv"))
    assert caught.value.asks == "decimal"
    for decimal, value in (("comma", 1.234), ("point", 1234.0)):
        source = batches.inspect(str(tmp_path / "a.csv"), given=Given(decimal=decimal))
        (batch,) = batches.read(source, source.parts[0], ["x"])
        assert batch.frame["x"].tolist() == [value]


def test_long_texts_of_a_small_file_are_refused_before_each_row_has_its_own(tmp_path: Path) -> None:
    texts = pa.DictionaryArray.from_arrays(np.zeros(100_000, "int32"), ["x" * 100_000])
    pq.write_table(pa.table({"x": texts}), tmp_path / "a.parquet")
    source = batches.inspect(str(tmp_path / "a.parquet"))
    with pytest.raises(InputError, match=r"6,553.6 MB of data"):
        list(batches.read(source, source.parts[0], ["x"], texts=["x"]))
    with pytest.raises(InputError, match="MB of data"):
        batches.peek(str(tmp_path / "a.parquet"), 100_000)


def test_a_folder_and_an_address_of_fsspec(tmp_path: Path) -> None:
    frame = rows()
    memory = fsspec.filesystem("memory")
    for place, name in ((frame.head(400), "b"), (frame.tail(600), "c")):
        place.to_parquet(tmp_path / f"{name}.parquet", index=False)
        memory.pipe_file(f"/big/{name}.parquet", (tmp_path / f"{name}.parquet").read_bytes())
    (tmp_path / "_notes.csv").write_text("x")
    local, remote = batches.inspect(str(tmp_path)), batches.inspect("memory://big")
    for source in (local, remote):
        assert len(source.files) == 2
        read_back(source, frame)
    os.utime(tmp_path / "b.parquet", (1, 1))
    assert batches.inspect(str(tmp_path)).digest != local.digest


def test_first_rows_are_read_without_counting_all(tmp_path: Path) -> None:
    frame = rows()
    frame.to_parquet(tmp_path / "a.parquet", index=False, row_group_size=130)
    frame.to_csv(tmp_path / "b.csv", index=False)
    names, first, _ = batches.peek(str(tmp_path / "a.parquet"), 50)
    assert names == tuple(frame.columns)
    pd.testing.assert_frame_equal(first, frame.head(50))
    names, first, _ = batches.peek(str(tmp_path / "b.csv"), 50)
    assert (names, len(first)) == (tuple(frame.columns), 50)
    assert first["id"].tolist() == frame["id"].head(50).astype(str).tolist()
    with pytest.raises(InputError, match="does not exist"):
        batches.peek(str(tmp_path / "c.csv"))


def test_a_value_that_is_no_number_is_left_to_the_caller(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\nNA\nfar\n")
    source = batches.inspect(str(tmp_path / "a.csv"))
    (batch,) = batches.read(source, source.parts[0], ["x"])
    assert batch.frame["x"].tolist() == ["1", "NA", "far"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("rows.parquet", "is neither an absolute path"),
        ("/nowhere/rows.parquet", "does not exist"),
        ("/dev/null", "contains no CSV or parquet file"),
        ("s3://ann:pw@bucket/x", "must not hold a password or key"),
        ("s3://bucket/x?X-Amz-Signature=1", "must not hold a password or key"),
        ("gopher://x/y", "'gopher://' is neither an absolute path"),
        ("simplecache::s3://bucket/x", "is neither an absolute path"),
        ("sftp://host/x.parquet", r"paramiko is not installed.*pip install paramiko"),
    ],
)
def test_what_cannot_be_read_is_reported(address: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        batches.inspect(address)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no line with the names"),
        ("a,b\n", "has no rows"),
        ("a;b,c\n1;2,3\n", "may be separated by `,` and `;`"),
        (",".join(f"c{i}" for i in range(100_000)), "100,000 columns; the limit is 2,000"),
        ("a,b\n" + "9" * 1_100_000 + ",1\n", "a line of more than 1,000,000"),
        ('a,b\n1,"' + "9\n" * 600_000 + '"\n', "a line of more than 1,000,000"),
        ("a,a\n1,2\n", "repeated columns"),
        ('a,b\n1,"2\n', "is never closed"),
        ("a,b\n1,2,3\n", "Expected 2 columns"),
        (b"a,b\n1,\x81\xfe\n", "is not UTF-8 text"),
        (b"a,b\n\xc3\xa9,\xff\xfe\n", "is not UTF-8 text"),
        (b"a,b\n1,\0\n", "is not a CSV or parquet file"),
    ],
)
def test_a_broken_csv_is_reported(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)

    def read_all() -> None:
        source = batches.inspect(str(path))
        list(batches.read(source, source.parts[0], ["a", "b"], texts=["b"]))

    with pytest.raises(InputError, match=words):
        read_all()


def test_a_broken_parquet_and_a_mixed_folder_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(InputError, match="cannot be read"):
        batches.inspect(str(tmp_path / "a.parquet"))
    (tmp_path / "b.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match="Keep one kind"):
        batches.inspect(str(tmp_path))
    pd.DataFrame({"a": [[1], [2]]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="lists, structures or bytes"):
        batches.inspect(str(tmp_path / "a.parquet"))


def test_a_link_to_something_else_than_a_file_of_rows(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.parquet")
    (tmp_path / "link.parquet").symlink_to(tmp_path / "pipe.parquet")
    with pytest.raises(InputError, match="is not a CSV or parquet file"):
        batches.inspect(str(tmp_path / "link.parquet"))
