"""Zip files: their tables are read, and paths that lead out of the folder are refused."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from core.data import archives
from core.platform.errors import InputError
from tests.zips import zipped

LIMIT = 1_000_000
TABLE = b"x,y\n1,2\n"


@pytest.fixture
def unpack(tmp_path: Path):
    """Return a function that unpacks bytes and asserts that nothing is written elsewhere."""
    (tmp_path / "to").mkdir()

    def run(content: bytes, limit: int = LIMIT) -> list[tuple[str, Path]]:
        (tmp_path / "a.zip").write_bytes(content)
        try:
            return archives.unpack(tmp_path / "a.zip", "kobe.zip", tmp_path / "to", limit=limit)
        finally:
            entries = {path.name for path in tmp_path.iterdir()}
            assert entries == {"a.zip", "to"}
            names = [path.name for path in (tmp_path / "to").rglob("*")]
            assert all(name.startswith("member-") for name in names)

    return run


def refused(unpack, content: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(InputError) as caught:
        unpack(content, limit)
    assert "kobe.zip" in str(caught.value)
    return str(caught.value)


def test_tables_are_unpacked_and_other_files_ignored(unpack) -> None:
    unpacked = unpack(
        zipped(
            {
                "data.csv": TABLE,
                "README.md": b"#",
                "folder/b.parquet": b"PAR1",
                "folder/": b"",
                "__MACOSX/._data.csv": b"x",
                ".hidden.csv": b"x",
            }
        )
    )
    assert [name for name, _ in unpacked] == ["data.csv", "b.parquet"]
    assert unpacked[0][1].read_bytes() == TABLE
    assert [path.suffix for _, path in unpacked] == [".csv", ".parquet"]


def test_kaggles_zip_of_zips_is_unpacked(unpack) -> None:
    inner = {f"{name}.csv.zip": zipped({f"{name}.csv": TABLE + name.encode()}) for name in "ab"}
    unpacked = unpack(zipped(inner))
    assert [(name, path.read_bytes()) for name, path in unpacked] == [
        ("a.csv", TABLE + b"a"),
        ("b.csv", TABLE + b"b"),
    ]


def test_a_zip_within_a_zip_within_a_zip_is_not_opened(unpack) -> None:
    deep = zipped({"2.zip": zipped({"1.zip": zipped({"a.csv": TABLE})})})
    assert "contains no CSV or parquet file" in refused(unpack, deep)


@pytest.mark.parametrize(
    "name",
    [
        "../data.csv",
        "a/../../data.csv",
        "/etc/data.csv",
        "..\\data.csv",
        "C:\\data.csv",
        "C:/data.csv",
        "\\\\host\\share\\data.csv",
    ],
)
def test_paths_that_lead_out_are_refused(unpack, name: str) -> None:
    message = refused(unpack, zipped({"good.csv": TABLE, name: TABLE}))
    assert "has paths that lead out of it" in message


def test_a_link_is_refused(unpack) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        link = zipfile.ZipInfo("data.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "lead out of it" in refused(unpack, held.getvalue())


def test_a_bomb_is_refused_by_what_it_claims(unpack) -> None:
    bomb = zipped({"data.csv": b"0" * 50_000_000})
    assert len(bomb) < 100_000
    assert "50.0 MB of data; the limit is 1.0 MB" in refused(unpack, bomb)


def test_a_bomb_that_claims_little_is_stopped_while_it_is_unpacked(unpack) -> None:
    bomb = bytearray(zipped({"data.csv": b"0" * 50_000_000}))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = bomb.index(mark) + place
        bomb[start : start + 4] = struct.pack("<I", 1000)
    assert refused(unpack, bytes(bomb))


def test_a_claim_of_two_gigabytes_is_refused_at_once(unpack) -> None:
    claims = bytearray(zipped({"data.csv": TABLE}))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = claims.index(mark) + place
        claims[start : start + 4] = struct.pack("<I", 2**31)
    assert "2,147.5 MB of data" in refused(unpack, bytes(claims))


def test_bombs_within_are_counted_together(unpack) -> None:
    inner = {f"{i}.zip": zipped({"data.csv": b"0" * 400_000}) for i in range(5)}
    assert "MB of data" in refused(unpack, zipped(inner))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no zip at all", "is not a CSV or parquet file"),
        (zipped({"data.csv": TABLE})[:-10], "is damaged or incomplete"),
        (zipped({"a.txt": b"x"}), "contains no CSV or parquet file"),
        (zipped({f"{i}.csv": TABLE for i in range(300)}), "300 files; the limit is 200"),
    ],
    ids=["text", "cut short", "no table", "many files"],
)
def test_what_holds_no_tables_is_refused(unpack, content: bytes, words: str) -> None:
    assert words in refused(unpack, content)


def test_a_broken_member_is_refused_by_name(unpack) -> None:
    content = bytearray(zipped({"data.csv": bytes(range(256)) * 100}))
    content[60:70] = b"\xff" * 10
    assert "'kobe.zip/data.csv' cannot be read: " in refused(unpack, bytes(content))


def test_an_encrypted_zip_is_reported(unpack) -> None:
    locked = bytearray(zipped({"data.csv": TABLE}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(mark) + place] |= 1
    assert "is encrypted" in refused(unpack, bytes(locked))
