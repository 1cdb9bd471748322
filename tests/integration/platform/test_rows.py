"""One row contract: the same rows get one answer, or one refusal, on every path."""

import csv
import dataclasses
import datetime
import decimal
import io
import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from core.data import profile
from core.platform import model_files, rows, schema, served_model, tables
from core.platform.config import CODE_ROOT, Settings
from core.platform.csv_dialect import Given
from core.platform.errors import InputError
from core.platform.project import Column
from core.platform.rows import Rule
from core.retraining import row_stream
from core.scoring import batches
from core.serving import client, contract
from core.training.preprocessing import preprocessor
from tests.conftest import WITH_LONG
from tests.integration.serving.endpoints import EndpointProcess, free_port, save_model

OWN_MARKS = ("n/d", "--")
COLUMNS = {
    "x": Column(type="number", about="x", min=-1000.0, missing_values=OWN_MARKS),
    "n": Column(type="integer", about="n", missing_values=OWN_MARKS),
    "flag": Column(type="integer", about="flag", min=0, max=1),
    "place": Column(type="text", about="place"),
    "day": Column(type="date", about="day", missing_values=(*OWN_MARKS, "1900-01-01")),
}
KINDS = {name: "text" if column.is_text else "number" for name, column in COLUMNS.items()}
RULES = {name: column.rule for name, column in COLUMNS.items()}
CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
MARKS = st.sampled_from(["NA", "", "null", "NaN", "n/a", "nan", "#N/A", None, "n/d", " N/D", "--"])
ODD = st.sampled_from(
    [
        "1_000",
        "\uff13",
        "\u0663",
        "1e400",
        "inf",
        "-Infinity",
        "1e39",
        "0x1f",
        "1,5",
        "far",
        "--1",
        " 7 ",
        "+7",
        "007",
        "7.0",
        "1e2",
        ".5",
        "5.",
        "true",
        "FALSE",
        "NA ",
        "+nan",
    ]
)
NUMBERS = st.one_of(
    st.floats(-1e6, 1e6),
    st.integers(-(10**6), 10**6),
    st.sampled_from([1e300, -1e300, 1e38, 2.0**60]),
)
CELLS = {
    "x": st.one_of(NUMBERS, MARKS, ODD, st.booleans()),
    "n": st.one_of(st.integers(-(2**53) + 1, 2**53 - 1), NUMBERS, MARKS, ODD, st.booleans()),
    "flag": st.one_of(st.sampled_from([0, 1, True, False, "true", "0", 2, 0.5]), MARKS),
    # a whole number with a decimal point differs as text between a file and JSON, so there are none
    "place": st.one_of(
        st.sampled_from(["NA", "None", "null", "nan", "NL", "007", "12.0", "true", "=1+1", "-3"]),
        st.text("aé \u0663\uff13,\"'=-7", max_size=4),
        st.integers(0, 99),
        st.booleans(),
        st.none(),
    ),
    "day": st.one_of(
        st.dates(datetime.date(1600, 1, 1), datetime.date(2400, 1, 1)).map(str),
        st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)).map(str),
        st.sampled_from(
            [
                "2000-10-31T19:30:00-05:00",
                "2000-10-31T00:00:00Z",
                "2000-02-30",
                "148000-01-01",
                "20001031",
                "31/10/2000",
                7,
                "NaT",
                "9999-12-31",
                "1900-01-01",
            ]
        ),
        MARKS,
    ),
}
TABLES = st.lists(
    st.fixed_dictionaries(CELLS).map(lambda row: {name: row[name] for name in CELLS}),
    min_size=1,
    max_size=4,
)
PLAIN = {"x": 1.5, "n": 3, "flag": 1, "place": "NL", "day": "2000-10-31"}


@pytest.fixture(scope="module")
def running_endpoint(tmp_path_factory):
    """An endpoint of a model of every type of column, and that model."""
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "x": rng.normal(0, 500, 200),
            "n": rng.integers(-9, 9, 200).astype("float64"),
            "flag": rng.integers(0, 2, 200).astype("float64"),
            "place": rng.choice(["NA", "NL", "None", "007", "7"], 200),
            "day": rng.choice(["2000-10-31", "2000-10-31T19:30:00"], 200),
        }
    )
    target = (frame["x"] + 300 * (frame["place"] == "NA") + rng.normal(0, 99, 200) > 0).astype(int)
    prepared = preprocessor(["x", "n", "flag"], ["place", "day"], impute=True)
    estimator = Pipeline([("prepare", prepared), ("fit", LogisticRegression())]).fit(frame, target)
    rules = {name: asdict(rule) for name, rule in RULES.items()}
    model = save_model(folder, estimator, KINDS, is_complete=False, rules=rules)
    endpoint = EndpointProcess(Settings(home=folder / "home"), free_port(), model)
    key = asdict(Rule("integer"))
    endpoint.keep(inputs=KINDS, is_complete=False, key="id", rules={**rules, "id": key})
    endpoint.start()
    yield endpoint, estimator, folder
    endpoint.end()


def as_csv(table):
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(table[0])
    writer.writerows([["" if cell is None else cell for cell in row.values()] for row in table])
    return sink.getvalue().encode()


def as_parquet(table):
    columns = {}
    for name in table[0]:
        cells = [row[name] for row in table]
        if len({type(cell) for cell in cells if cell is not None}) > 1:
            cells = [None if cell is None else str(cell) for cell in cells]
        columns[name] = cells
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def requests_of(table):
    names = list(table[0])
    split = {"columns": names, "data": [list(row.values()) for row in table]}
    lists = {name: [row[name] for row in table] for name in names}
    for body in (
        {"dataframe_split": split},
        {"dataframe_records": table},
        {"instances": table},
        {"inputs": lists},
    ):
        yield next(iter(body)), json.dumps(body).encode(), "application/json"
    yield "csv", as_csv(table), CSV
    yield "parquet", as_parquet(table), PARQUET


def answered(url, body, kind):
    answer = requests.post(f"{url}/invocations", data=body, headers={"Content-Type": kind})
    if answer.status_code == 400:
        return answer.json()["message"]
    assert answer.status_code == 200, answer.text
    return [row["probability"] for row in answer.json()["predictions"]]


def scored(estimator, frame):
    """Score as the served model's own code does; or return the refusal."""
    model = served_model.ServedModel()
    model.estimator, model.config = (
        estimator,
        {
            "inputs": KINDS,
            "rules": {name: asdict(rule) for name, rule in RULES.items()},
            "features": list(KINDS),
            "engineered": {},
            "is_complete": False,
            "threshold": 0.5,
        },
    )
    try:
        return model.predict(None, frame)["probability"].tolist()
    except MlflowException as error:
        return str(error)


# the format of a file is another question than its values
WRITTEN = Given("comma", "point", "utf-8")


def acquired(estimator, path):
    inspected = schema.inspect(tables.read(path, path.name, COLUMNS, WRITTEN), COLUMNS)
    return (
        " ".join(map(str, inspected.errors))
        if inspected.errors
        else scored(estimator, inspected.frame)
    )


def by_path(estimator, path):
    source = batches.inspect(str(path), given=WRITTEN)
    texts = [name for name, column in COLUMNS.items() if column.is_text]
    (batch,) = batches.read(source, source.parts[0], list(COLUMNS), texts=texts)
    clean, refused = schema.usable(batch.frame, COLUMNS)
    sentences = [rows.sentence(refusal.fault) for refusal in refused]
    return " ".join(sentences) if sentences else scored(estimator, clean)


def by_client(url, frame):
    try:
        result = client.score(url, frame, KINDS, is_complete=False, rules=RULES)
    except InputError as error:
        return str(error)
    return result.probabilities.tolist()


@hypothesis_settings(
    max_examples=40 if WITH_LONG else 20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(table=TABLES)
@example(table=[{**PLAIN, "place": "NA"}])
@example(table=[{**PLAIN, "x": "1_000"}])
@example(table=[{**PLAIN, "x": 1e308}, {**PLAIN, "n": 1e300}])
@example(table=[{**PLAIN, "flag": True}, {**PLAIN, "flag": None}])
@example(table=[{**PLAIN, "day": "148000-01-01"}])
@example(table=[PLAIN, {"x": "n/d", "n": "N/D", "flag": 0, "place": "NL", "day": "1900-01-01"}])
@example(table=[{**PLAIN, "flag": "n/d"}])
def test_one_row_has_one_answer_or_one_refusal_on_every_path(running_endpoint, table):
    endpoint, estimator, folder = running_endpoint
    (folder / "rows.csv").write_bytes(as_csv(table))
    (folder / "rows.parquet").write_bytes(as_parquet(table))
    given_frame = pd.DataFrame(
        {name: pd.Series([row[name] for row in table], dtype="object") for name in COLUMNS}
    )
    answers = {name: answered(endpoint.url, body, kind) for name, body, kind in requests_of(table)}
    answers["acquire csv"] = acquired(estimator, folder / "rows.csv")
    answers["acquire parquet"] = acquired(estimator, folder / "rows.parquet")
    answers["path csv"] = by_path(estimator, folder / "rows.csv")
    answers["path parquet"] = by_path(estimator, folder / "rows.parquet")
    answers["client"] = by_client(endpoint.url, given_frame)
    answers["served model"] = scored(estimator, given_frame)
    first = answers["dataframe_split"]
    assert {name: answer for name, answer in answers.items() if answer != first} == {}


def test_a_missing_value_gets_one_refusal_where_none_may_be_missing(running_endpoint):
    frame = pd.DataFrame([PLAIN, {**PLAIN, "x": "NA", "place": ""}])
    words = (
        "Column 'x' must not be missing: it is empty in 1 row, row 2. "
        "Column 'place' must not be missing: it is empty in 1 row, row 2."
    )
    with pytest.raises(InputError) as caught:
        client.score("http://127.0.0.1:9", frame, KINDS, rules=RULES)
    assert str(caught.value) == words
    with pytest.raises(InputError) as caught:
        schema.validate(frame, COLUMNS, complete=list(COLUMNS))
    assert str(caught.value) == words
    with pytest.raises(MlflowException) as refused:
        served_model.checked(frame, RULES)
    assert str(refused.value) == words
    endpoint, _, _ = running_endpoint
    endpoint.keep(inputs=KINDS, rules={name: asdict(rule) for name, rule in RULES.items()})
    try:
        for _, body, kind in requests_of(frame.to_dict("records")):
            assert answered(endpoint.url, body, kind) == words
    finally:
        rules = {**RULES, "id": Rule("integer")}
        endpoint.keep(
            inputs=KINDS,
            is_complete=False,
            key="id",
            rules={name: asdict(rule) for name, rule in rules.items()},
        )


@pytest.mark.parametrize("key", [12, 12.0, "12", "12.0", "012", " 12 "])
def test_an_integer_key_is_one_text_in_every_form(tmp_path, key):
    table = [{**PLAIN, "id": key}, {**PLAIN, "id": None}]
    server_rules = {**RULES, "id": Rule("integer")}
    for _, body, kind in requests_of(table):
        request_rows = contract.read(body, kind, KINDS, server_rules, is_complete=False, key="id")
        assert request_rows.keys == ["12", None]
    for name, body in (("a.csv", as_csv(table)), ("a.parquet", as_parquet(table))):
        (tmp_path / name).write_bytes(body)
        source = batches.inspect(str(tmp_path / name))
        (batch,) = batches.read(source, source.parts[0], ["x"], key="id", key_rule=Rule("integer"))
        assert (batch.keys.to_pylist(), batch.key_fault) == (["12", None], None)
        wanted = {"id": Column(type="integer", about="id")}
        frame = schema.usable(tables.read(tmp_path / name, name, wanted), wanted)[0]
        assert [rows.key_text(cell, "integer") for cell in frame["id"]] == ["12", None]


def test_an_invalid_key_is_refused_as_acquire_refuses_it(running_endpoint):
    endpoint, _, _ = running_endpoint
    words = "Column 'id' must be a whole number: violated in 1 row ('x'), row 1."
    for _, body, kind in requests_of([{**PLAIN, "id": "x"}]):
        assert answered(endpoint.url, body, kind) == words


def test_a_model_carries_the_row_contract_of_the_app():
    text = model_files.served_code()
    for name in ("faults", "rules", "values"):
        own = (CODE_ROOT / "core" / "platform" / "rows" / f"{name}.py").read_text(encoding="utf-8")
        body = own[own.index("\n\n", own.rindex("\nfrom ")) :]
        assert body in text
    assert "from core" not in text
    compile(text, "served_model.py", "exec")


def test_column_types_accept_their_natural_widths():
    numbers = Rule("number", min=0.0, max=300.0)
    for width in ("int8", "uint8", "int16", "uint64", "float32", "Int64", "Float64", "boolean"):
        read = rows.read(pd.Series([0, 1], name="a").astype(width), numbers)
        assert (read.values.tolist(), read.values.dtype, read.faults) == ([0.0, 1.0], "f8", ())
    for cells in ([decimal.Decimal("1.50"), None], pd.Categorical(["1.5", None])):
        read = rows.read(pd.Series(cells, name="a"), numbers)
        assert (read.values[0], read.values.isna()[1], read.faults) == (1.5, True, ())
    integers = rows.read(pd.Series([-(2**40), 2**40]), Rule("integer"))
    assert (integers.values.dtype, integers.faults) == ("int64", ())


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (datetime.date(2000, 10, 31), "2000-10-31"),
        (datetime.datetime(2000, 10, 31), "2000-10-31"),
        (pd.Timestamp("2000-10-31T19:30:00.25"), "2000-10-31T19:30:00.25"),
        (pd.Timestamp("2000-10-31T19:30:00", tz="America/New_York"), "2000-11-01T00:30:00Z"),
        ("2000-10-31 19:30", "2000-10-31T19:30:00"),
        ("2000-10-31T19:30:00-05:00", "2000-11-01T00:30:00Z"),
        (np.datetime64("2000-10-31T19:30"), "2000-10-31T19:30:00"),
    ],
)
def test_the_time_of_day_and_the_zone_are_never_dropped(value, stored):
    read = rows.read(pd.Series([value, None], name="a"), Rule("date"))
    assert (read.values.tolist(), read.faults) == ([stored, None], ())


def test_a_day_is_read_in_the_form_of_its_source_and_as_iso(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a;b\n31/12/2000;1\n2000-10-31 19:30;2\n05.06.2001 8:30;3\n12/31/2000;4\n;5\n")
    wanted = {"a": Column(type="date", date_form="day-month-year"), "b": Column(type="integer")}
    inspected = schema.inspect(tables.read(path, "a.csv", wanted), wanted)
    assert inspected.frame["a"].tolist()[:3] == [
        "2000-12-31",
        "2000-10-31T19:30:00",
        "2001-06-05T08:30:00",
    ]
    # what is no day in that form is refused, not read in another
    (finding,) = (each for each in inspected.findings if each.severity == "error")
    assert (finding.column, finding.rows) == ("a", 1)
    cells = ("31/12/2000", "2000-12-31")
    rule = wanted["a"].rule
    assert rows.clean_cells(cells, rule) == ["2000-12-31", "2000-12-31"]
    assert rows.rule_of(dataclasses.asdict(rule)) == rule


def test_marks_of_the_project_are_missing_but_in_texts_and_where_they_are_a_label():
    cells = pd.Series(["n/d", "N/D ", "1", None, "NA"])
    marks = ("n/d", "não informado")
    for kind in ("number", "integer", "boolean", "label"):
        read = rows.read(cells, Rule(kind, missing=marks))
        assert (read.values.notna().tolist(), read.faults) == (
            [False, False, True, False, False],
            (),
        )
    assert rows.read(cells, Rule("text", missing=marks)).values.tolist()[:2] == ["n/d", "N/D "]
    days = pd.Series(["Não informado", "2000-10-31"])
    assert rows.read(days, Rule("date", missing=marks)).values.tolist() == [None, "2000-10-31"]
    # without negative values, every other value of a label is 0, but not a mark
    words = Rule("label", positive=("sim",), missing=marks)
    read = rows.read(pd.Series(["Sim", "n/d", "talvez"]), words).values
    assert read.tolist()[::2] == [1.0, 0.0]
    assert np.isnan(read[1])
    of_mark = Rule("label", positive=("n/d",), negative=("não",), missing=marks)
    assert rows.read(pd.Series(["n/d", "não"]), of_mark).values.tolist() == [1.0, 0.0]
    assert rows.rule_of(dataclasses.asdict(words)) == words


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2**62], pa.timestamp("us")),
        pa.array([146_000 * 366], pa.date32()),
        pa.array(["148000-01-01"]),
        pa.array([2**62 // 10**6], pa.timestamp("s", tz="UTC")),
    ],
)
def test_moments_that_no_timestamp_holds_are_refused_with_a_message(values, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": values}), path)
    wanted = {"a": Column(type="date", about="a")}
    inspected = schema.inspect(tables.read(path, "a.parquet", wanted), wanted)
    (text,) = inspected.errors
    assert str(text).startswith(
        "Column 'a' must lie in the years 1678 to 2261: violated in 1 row ("
    )


def test_booleans_of_a_file_are_the_same_texts_as_those_of_a_request(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [True, None, False]}), path)
    for kind, expected in (("text", ["True", None, "False"]), ("integer", [1.0, None, 0.0])):
        wanted = {"a": Column(type=kind, about="a")}
        read = schema.inspect(tables.read(path, "a.parquet", wanted), wanted).frame["a"]
        assert read.astype(object).where(read.notna(), None).tolist() == expected


def test_days_and_moments_mix_in_charts_and_windows():
    values = pd.Series(["2000-10-31", "2000-10-31T19:30:00", "2000-11-01T00:30:00Z"], name="day")
    assert np.diff(row_stream.moments_of(values)).tolist() == [19.5 * 3600, 5 * 3600]
    assert np.diff(profile._days(values)).tolist() == pytest.approx([19.5 / 24, 5 / 24])
    assert values.is_monotonic_increasing


@pytest.mark.parametrize("limits", [{}, {"max": 10}, {"min": -10}])
def test_a_whole_number_needs_no_limits_to_be_scored(limits):
    column = Column(type="integer", about="a", **limits)
    frame = pd.DataFrame({"a": [1, -(2**40) if "min" not in limits else 2]})
    clean, refused = schema.usable(frame, {"a": column})
    assert (clean["a"].tolist(), refused) == (frame["a"].tolist(), [])


@pytest.mark.parametrize("value", [1e300, -1e300, 1.1e38, float("inf")])
@pytest.mark.parametrize("kind", ["number", "integer"])
def test_a_number_that_would_break_the_statistics_is_refused(value, kind):
    (fault,) = rows.read(pd.Series([1.0, value], name="a"), Rule(kind)).faults
    assert fault.rows.tolist() == [1]
    assert fault.code in ("magnitude", "digits", "type")


@pytest.mark.parametrize("kind", ["number", "integer"])
@pytest.mark.parametrize("digits", [308, 400, 4000])
def test_a_number_beyond_all_floats_is_refused(kind: str, digits: int) -> None:
    body = b'{"inputs": {"a": [1' + b"0" * digits + b"]}}"
    with pytest.raises(contract.RefusedError, match="Column 'a' must"):
        contract.read(body, "application/json", ["a"], {"a": Rule(kind)}, is_complete=True)
