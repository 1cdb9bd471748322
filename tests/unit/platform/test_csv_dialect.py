"""CSV files of many dialects: detected, read back, and asked about where they are ambiguous."""

from __future__ import annotations

import csv
import io
import string
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from core.platform import csv_detection, csv_dialect, project, schema, tables
from core.platform.config import CODE_ROOT
from core.platform.csv_dialect import NOTHING, POINTS, SIGNS, Dialect, DialectError, Given
from core.platform.project import Column
from core.platform.rows import MISSING_MARKS
from core.scoring import batches

TABLES = CODE_ROOT.parent / "shared" / "data" / "tables"
ENDS = {"\n": False, "\r\n": False, "\r": True}
WAYS = list(product(SIGNS, POINTS, csv_dialect.CODECS, ENDS))


def detect(text: str | bytes, given: Given = NOTHING) -> Dialect:
    content = text.encode() if isinstance(text, str) else text
    check = csv_detection.TextCheck("a.csv", given)
    check.feed(content)
    return csv_detection.detect(
        content, "a.csv", is_whole=True, encoding=check.encoding(), given=given
    )[0]


def question_of(text: str | bytes, given: Given = NOTHING) -> DialectError:
    with pytest.raises(DialectError) as caught:
        detect(text, given)
    return caught.value


@pytest.mark.parametrize(
    ("text", "delimiter", "decimal"),
    [
        ("x,y\n1,2\n", "comma", "point"),
        ("x,y\n1.234,5.678\n", "comma", "point"),
        ('x,y\n"1,5","2,5"\n', "comma", "comma"),
        ('x,y\n"1,234.5",2\n', "comma", "point"),
        ("x;y\n1,5;2\n", "semicolon", "comma"),
        ("x;y\n1.5;2\n", "semicolon", "point"),
        ("x;y\n0,123;2\n", "semicolon", "comma"),
        ("x;y\n1234,567;2\n", "semicolon", "comma"),
        ("x;y\n1.234,5;2\n", "semicolon", "comma"),
        ("x;y\n1.234.567;2\n", "semicolon", "comma"),
        ("x;y\n1.234;0,5\n", "semicolon", "comma"),
        ("x\ty\n1\t2,5\n", "tab", "comma"),
        ("x|y\na|b\n", "bar", "point"),
        ("id,note\n1,a;b\n2,c;d\n", "comma", "point"),
        ("id;note\n1;a, b\n2;c\n", "semicolon", "point"),
        ('"id;a","b"\n1,2\n', "comma", "point"),
        ("x\n1,5\n2,25\n", "semicolon", "comma"),
        ("x\nabc\n", "comma", "point"),
        # what R adds: names of the rows, in a column without one
        ("x,y\na,1,2\nb,3,4\n", "comma", "point"),
        # a text without a digit stands for a missing value, if there are few
        ("x;y\n" + "1.234,5;2\n" * 20 + "n/d;3\n", "semicolon", "comma"),
        ("x;y\n" + "348,78;2\n" * 20 + "n.d.;3\n", "semicolon", "comma"),
        ("x;y\n" + "n.d.;3\n" * 3, "semicolon", "point"),
        # addresses and versions are no numbers
        ("ip,x\n192.168.100,1.5\n", "comma", "point"),
    ],
)
def test_what_a_file_shows_is_detected(text: str, delimiter: str, decimal: str) -> None:
    dialect = detect(text)
    assert (dialect.delimiter, dialect.decimal) == (delimiter, decimal)


@pytest.mark.parametrize(
    ("text", "code", "asks", "choices"),
    [
        ("a;b,c\n1;2,3\n", "delimiter_unclear", "delimiter", ("comma", "semicolon")),
        ("a;b,c\n", "delimiter_unclear", "delimiter", ("comma", "semicolon")),
        ("a;b\n1,234;x\n", "decimal_unclear", "decimal", ()),
        ('a,b\n"1,234",x\n', "decimal_unclear", "decimal", ()),
        ("a;b\n1.234;x\n", "decimal_unclear", "decimal", ()),
        ("a\tb\n1.234\tx\n", "decimal_unclear", "decimal", ()),
        ("a\n1,234\n", "decimal_unclear", "decimal", ()),
        ("a;b\n1,5;1.5\n", "decimal_mixed", "decimal", ()),
        ("a;b\n1,5;x\n1.5;x\n", "decimal_mixed", "decimal", ()),
        (b"a\n\xc3\xa9\n\xe9\n", "encoding_unclear", "encoding", ()),
        (b"a\nb\xc3", "encoding_unclear", "encoding", ()),
    ],
)
def test_what_a_file_leaves_ambiguous_is_asked(
    text: str | bytes, code: str, asks: str, choices: tuple[str, ...]
) -> None:
    fault = question_of(text)
    assert (fault.code, fault.asks, fault.choices) == (code, asks, choices)
    assert f"--{asks}" in str(fault)


@pytest.mark.parametrize(("decimal", "value"), [("comma", 1.234), ("point", 1234.0)])
@pytest.mark.parametrize("text", ["a;b\n1,234;x\n", 'a,b\n"1,234",x\n'])
def test_the_answer_decides_how_a_number_is_read(
    tmp_path: Path, text: str, decimal: str, value: float
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    number = {"a": Column(type="number", about="a")}
    frame = tables.read(path, columns=number, given=Given(decimal=decimal))
    assert frame["a"].tolist() == [value]


def test_a_space_after_a_carriage_return_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\rA,1\r A,2\r A,3\r")
    assert tables.read(path).to_dict("list") == {"a": ["A", " A", " A"], "b": [1, 2, 3]}
    assert tables.preview(path)[1]["b"].tolist() == ["1", "2", "3"]
    assert batches.peek(str(path))[1]["b"].tolist() == ["1", "2", "3"]


def test_columns_that_a_project_knows_show_how_numbers_are_written(tmp_path: Path) -> None:
    text = "preço;versão;quando\nn/d;1.5;1.2.24\n348,78;1.6;2.2.24\n1.200,5;1.7;n/d\n"
    assert detect(text).decimal == "point"
    columns = {
        "preço": Column(type="number", missing_values=("n/d",)),
        "versão": Column(type="text"),
        "quando": Column(type="text"),
    }
    known = detect(text, NOTHING.knowing(columns))
    assert (known.decimal, known.thousands) == ("comma", True)
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    frame = schema.validate(tables.read(path, columns=columns), columns).frame
    assert frame["preço"].tolist()[1:] == [348.78, 1200.5]
    assert frame["preço"].isna().tolist() == [True, False, False]
    assert frame["versão"].tolist() == ["1.5", "1.6", "1.7"]
    # as it was read, it is read again from a snapshot
    again = tables.read(path, columns=columns, given=Given.of(known.code))
    assert schema.validate(again, columns).frame.equals(frame)
    # a name may be an alias
    price = columns.pop("preço")
    renamed = {**columns, "price": price.model_copy(update={"aliases": ("preço",)})}
    assert detect(text, NOTHING.knowing(renamed)).decimal == "comma"
    source = batches.inspect(str(path), given=NOTHING.knowing(renamed))
    (batch,) = batches.read(source, source.parts[0], ["preço"])
    assert schema.usable(batch.frame, {"preço": price})[1] == []


def test_a_given_dialect_counts_and_one_that_contradicts_the_bytes_is_refused() -> None:
    assert detect("a;b\n1;2\n", Given(delimiter="comma")).delimiter == "comma"
    assert detect("a;b,c\n1;2,3\n", Given(delimiter="semicolon")).delimiter == "semicolon"
    assert detect(b"a\nb\xc3", Given(encoding="windows-1252")).encoding == "windows-1252"
    assert question_of(b"a\n\xe9\n", Given(encoding="utf-8")).code == "not_utf8"
    assert question_of("a,b\n".encode("utf-16")).asks is None


words = st.text(string.ascii_letters + "áçãéÕüñ€ ", min_size=1, max_size=8).filter(
    lambda word: word.strip() and word.strip() not in MISSING_MARKS
)
numbers = st.one_of(
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 2)),
    st.floats(0, 1).map(lambda value: round(value, 5)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    way=st.sampled_from(WAYS),
    rows=st.lists(st.tuples(words, numbers, st.integers(-9999, 9999)), min_size=1, max_size=12),
)
def test_a_table_written_in_any_way_is_read_back_or_asked_about(
    tmp_path_factory: pytest.TempPathFactory, way: tuple[str, str, str, str], rows: list
) -> None:
    delimiter, decimal, encoding, end = way
    frame = pd.DataFrame(rows, columns=["nome", "valor", "n"])
    # ASCII is both; and one sign divides what is not quoted
    dialect = Dialect(delimiter, decimal, encoding, old_mac=ENDS[end])
    text = frame.to_csv(
        index=False,
        sep=dialect.sign,
        decimal=dialect.point,
        lineterminator=end,
        quoting=csv.QUOTE_MINIMAL,
    )
    content = text.encode("cp1252" if encoding == "windows-1252" else "utf-8")
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(content)
    columns = {
        "nome": Column(type="text", about="x"),
        "valor": Column(type="number", about="x"),
        "n": Column(type="integer", about="x"),
    }
    given_by_person = NOTHING
    try:
        detected = tables.read_head(path).dialect
    except DialectError as error:
        # as in 1,234: it is ambiguous, and then the person says
        assume(error.asks is not None)
        given_by_person = Given(delimiter, decimal, encoding)
        detected = tables.read_head(path, given=given_by_person).dialect
    assert detected is not None
    assert (detected.delimiter, detected.old_mac) == (delimiter, ENDS[end])
    assert content.decode(detected.codec) == text
    read = tables.read(path, columns=columns, given=given_by_person)
    assert read["nome"].tolist() == frame["nome"].tolist()
    assert read["valor"].astype(float).tolist() == frame["valor"].tolist()
    assert read["n"].tolist() == frame["n"].tolist()
    source = batches.inspect(str(path), given=given_by_person)
    (batch,) = batches.read(source, source.parts[0], list(columns), texts=["nome"])
    assert batch.frame["valor"].tolist() == frame["valor"].tolist()
    assert batch.frame["nome"].tolist() == frame["nome"].tolist()


@pytest.mark.real
@pytest.mark.parametrize(
    ("delimiter", "decimal", "encoding"),
    [
        ("semicolon", "comma", "windows-1252"),
        ("tab", "comma", "utf-8"),
        ("bar", "point", "utf-8"),
        ("comma", "comma", "utf-8"),
    ],
)
def test_the_real_shots_are_read_alike_in_every_dialect(
    real_dir: Path, tmp_path: Path, delimiter: str, decimal: str, encoding: str
) -> None:
    columns = project.load("kobe").columns
    frame = pd.read_parquet(real_dir / "dataset_kobe_dev.parquet").head(1500)
    dialect = Dialect(delimiter, decimal, encoding)
    plain = tmp_path / "plain.csv"
    frame.to_csv(plain, index=False)
    expected = tables.read(plain, columns=columns)
    for end in ("\r\n", "\r"):
        buffer = io.StringIO()
        frame.to_csv(
            buffer, index=False, sep=dialect.sign, decimal=dialect.point, lineterminator=end
        )
        path = tmp_path / "a.csv"
        path.write_bytes(buffer.getvalue().encode(dialect.codec))
        detected = tables.read_head(path).dialect
        assert detected is not None
        # no letter of theirs is beyond ASCII
        assert (detected.delimiter, detected.decimal, detected.encoding) == (
            delimiter,
            decimal,
            "utf-8",
        )
        pd.testing.assert_frame_equal(tables.read(path, columns=columns), expected)


def test_other_peoples_tables_are_what_they_are() -> None:
    if not TABLES.is_dir():
        pytest.skip("../shared/data/tables is not there")
    for path in sorted(TABLES.glob("*.csv")):
        assert batches.peek(str(path), 5)[2] == csv_dialect.PLAIN, path.name
