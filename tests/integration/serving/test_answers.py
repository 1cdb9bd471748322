"""The endpoint: MLflow's contract as the bare server fulfils it, and every answer in the log."""

import gzip
import io
import json

import numpy as np
import pandas as pd
import pytest
import requests
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from core.platform.config import Settings
from core.predictions_log import log_search
from core.serving import api_keys, endpoint_status
from core.training.preprocessing import preprocessor
from tests.conftest import WITH_LONG
from tests.integration.serving import fuzzing
from tests.integration.serving.endpoints import (
    EndpointProcess,
    free_port,
    save_model,
    serving,
    until,
)

# of each of 17 kinds of hostile requests
REPEATS = 12 if WITH_LONG else 5
NUMBERS = {"distance": "number", "minutes": "number"}
MIXED = {"distance": "number", "kind": "text"}
JSON, CSV = "application/json", "text/csv"
PARQUET = "application/vnd.apache.parquet"


def toy_rows():
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {"distance": rng.integers(0, 30, 200), "minutes": rng.integers(0, 12, 200)}
    ).astype("float64")
    frame["kind"] = rng.choice(["hook", "dunk"], 200)
    return frame, (frame["distance"] + rng.normal(0, 5, 200) < 12).astype("int64")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """An endpoint of a model of two numbers that refuses missing values."""
    folder = tmp_path_factory.mktemp("numbers")
    frame, target = toy_rows()
    estimator = LogisticRegression().fit(frame[list(NUMBERS)], target)
    yield from running_endpoint(folder, estimator, NUMBERS, is_complete=True)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """An endpoint of a model of a number and a text that accepts missing values."""
    folder = tmp_path_factory.mktemp("mixed")
    frame, target = toy_rows()
    prepared = preprocessor(["distance"], ["kind"], impute=True)
    steps = [("prepare", prepared), ("fit", LogisticRegression())]
    estimator = Pipeline(steps).fit(frame[list(MIXED)], target)
    yield from running_endpoint(folder, estimator, MIXED, is_complete=False)


def running_endpoint(folder, estimator, inputs, *, is_complete):
    model = save_model(folder, estimator, inputs, is_complete=is_complete)
    with serving(model) as (bare, _):
        endpoint = EndpointProcess(
            Settings(home=folder / "home", upload_limit_mb=1), free_port(), model
        )
        endpoint.bare = f"http://127.0.0.1:{bare}"
        endpoint.keep(inputs=inputs, is_complete=is_complete, key="shot_id")
        endpoint.start()
        yield endpoint
        endpoint.end()


def split(data, columns=("distance", "minutes")):
    return {"dataframe_split": {"columns": list(columns), "data": data}}


def parquet(**columns):
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer)
    return buffer.getvalue()


def ask(url, body, content_type=JSON, method="POST", path="/invocations", **headers):
    data = json.dumps(body).encode() if isinstance(body, dict | list) else body
    type_header = {"Content-Type": content_type} if content_type else {}
    return requests.request(
        method, url + path, data=data, headers={**type_header, **headers}, timeout=30
    )


def comparable(answer):
    """Return status, type and body of an answer, without the server's stack trace."""
    content = answer.headers.get("Content-Type"), answer.content
    if answer.status_code >= 400 and b"stack_trace" in answer.content:
        body = answer.json()
        body.pop("stack_trace")
        content = content[0], body
    return answer.status_code, content


GOOD = [
    (split([[3, 5]]), JSON),
    (split([[3, 5], [20.5, 0]]), JSON),
    (split([[5, 3]], ["minutes", "distance"]), JSON),
    (split([[3, 5, 17]], ["distance", "minutes", "shot_id"]), JSON),
    (split([[3, 5, "x", None]], ["distance", "minutes", "other", "more"]), JSON),
    (split([["3", "5.5"]]), JSON),
    (split([[10**15, -4]]), JSON),
    # a truth value is 1 or 0, as in a file
    (split([[True, 5]]), JSON),
    ({"inputs": {"distance": 3, "minutes": 5}}, JSON),
    ({**split([[3, 5]]), "params": {}}, JSON),
    (
        {"dataframe_split": {"columns": ["distance", "minutes"], "data": [[1, 2]], "index": [7]}},
        JSON,
    ),
    ({"dataframe_records": [{"distance": 3, "minutes": 5}]}, JSON),
    ({"dataframe_records": [{"minutes": 5, "distance": 3}, {"distance": 1, "minutes": 2}]}, JSON),
    ({"instances": [{"distance": 3, "minutes": 5}]}, JSON),
    ({"inputs": {"distance": [3, 4], "minutes": [5, 6]}}, JSON),
    ({"inputs": [{"distance": 3, "minutes": 5}]}, JSON),
    (split([[3, 5]]), "application/json; charset=utf-8"),
    (split([[3, 5]]), "application/json;charset=UTF-8"),
    (b"distance,minutes\n3,5\n20.5,0\n", CSV),
    (b"minutes,distance,shot_id\n5,3,17\n", CSV),
    (b'distance,minutes\r\n"3",5\r\n', CSV),
    (parquet(distance=[3.0, 4.0], minutes=[5.0, 6.0]), PARQUET),
    (parquet(minutes=[5.0], distance=[3.5], shot_id=[17]), PARQUET),
]
# Natural types of parquet, most of which the bare server refuses where it wants a double.
NATURAL = [
    parquet(minutes=[5], distance=[3.5]),
    parquet(minutes=[True], distance=[3.5]),
    parquet(minutes=np.array([5], "uint8"), distance=np.array([3.5], "float32")),
    parquet(minutes=["5"], distance=pd.array([3.5], "Float64")),
]
BAD = [
    (b"", JSON),
    (b"{", JSON),
    (b"[]", JSON),
    (b'"text"', JSON),
    (b"\xff\xfe", JSON),
    ({}, JSON),
    ({"rows": [[1, 2]]}, JSON),
    ({**split([[3, 5]]), "inputs": {"distance": [1], "minutes": [2]}}, JSON),
    ({"dataframe_split": {"data": [[3, 5]]}}, JSON),
    ({"dataframe_split": [[3, 5]]}, JSON),
    ({"dataframe_split": {}}, JSON),
    ({"dataframe_records": {"distance": 3}}, JSON),
    ({"instances": [[3, 5]]}, JSON),
    ({"inputs": [[3, 5]]}, JSON),
    (split([[3, 5]]), "text/plain"),
    (split([[3, 5]]), "application/json; charset=latin-1"),
    (split([[3, 5]]), "application/json; version=2"),
    (split([[3, 5]]), None),
    (b"", CSV),
    (b"\xff", CSV),
    (b"not parquet", PARQUET),
    (gzip.compress(b"{}", mtime=0), JSON),
]
# What the bare server scores wrongly, with the words of the endpoint's refusal.
SCORED = [
    (
        split([["1_000", 5]]),
        JSON,
        "'distance' must be a number: violated in 1 row ('1_000'), row 1",
    ),
    (split([["\uff13", 5]]), JSON, "'distance' must be a number: violated in 1 row"),
    # with the first column as an index, so that each value stands for another column
    (b"distance,minutes\n3,5,9\n4,5,9\n", CSV, "2 rows have fewer or more, first row 1"),
    # by the first of two
    (b"distance,minutes,minutes\n3,5,9\n", CSV, "Repeated columns: minutes"),
]
# What it refuses in words that do not say which column or row is at fault, or repeat all rows.
NAMED = [
    (split([[1e308, 5]]), JSON, "'distance' must lie in -1e+38..1e+38"),
    (
        split([[3, 5], [float("nan"), 1]]),
        JSON,
        "'distance' must not be missing: it is empty in 1 row, row 2",
    ),
    (
        split([[3, None], [None, 1], [1, 1]]),
        JSON,
        "row, row 2. Column 'minutes' must not be missing: it is empty in 1 row, row 1",
    ),
    (
        split([[float("inf"), 5]]),
        JSON,
        "'distance' must lie in -1e+38..1e+38: violated in 1 row (inf), row 1",
    ),
    (
        split([[1e400, 5]]),
        JSON,
        "'distance' must lie in -1e+38..1e+38: violated in 1 row (inf), row 1",
    ),
    (split([["far", 5]]), JSON, "'distance' must be a number: violated in 1 row"),
    (split([[[3], 5]]), JSON, "'distance' must be a number: violated in 1 row"),
    (split([[{"a": 3}, 5]]), JSON, "'distance' must be a number: violated in 1 row"),
    (split([[3]], ["distance"]), JSON, "Missing columns: minutes"),
    (split([[3, 5]], ["Distance", "minutes"]), JSON, "Missing columns: distance"),
    (split([[3, 5, 7]], ["distance", "minutes", "distance"]), JSON, "Repeated columns: distance"),
    (split([[3, 5], [3]]), JSON, "1 row has fewer or more, row 2"),
    (split([[3, 5, 9], [3, 5]]), JSON, "1 row has fewer or more, row 1"),
    (
        {"dataframe_records": [{"distance": 3, "minutes": 5}, {"distance": 3}]},
        JSON,
        "1 row has fewer or more, row 2",
    ),
    ({"inputs": {"distance": [3, 4], "minutes": [5]}}, JSON, "distance 2, minutes 1"),
    (b"distance,minutes\n3\n", CSV, "1 row has fewer or more, row 1"),
    (b"distance,minutes\n3,\n", CSV, "'minutes' must not be missing: it is empty in 1 row, row 1"),
    (
        b"distance,minutes\n3,far\n",
        CSV,
        "'minutes' must be a number: violated in 1 row ('far'), row 1",
    ),
    (
        parquet(distance=[3.0, None], minutes=[5.0, 6.0]),
        PARQUET,
        "'distance' must not be missing: it is empty in 1 row, row 2",
    ),
    (
        parquet(distance=["far"], minutes=[5.0]),
        PARQUET,
        "'distance' must be a number: violated in 1 row",
    ),
]


@pytest.mark.parametrize(("body", "content_type"), GOOD)
def test_what_the_bare_server_scores_is_answered_alike_and_logged(numbers, body, content_type):
    bare, ours = (ask(url, body, content_type) for url in (numbers.bare, numbers.url))
    assert bare.status_code == 200
    assert comparable(ours) == comparable(bare)
    logged = of_request(numbers, ours)
    predicted = bare.json()["predictions"]
    assert logged["courtside_probability"].tolist() == [row["probability"] for row in predicted]
    assert logged["courtside_predicted"].tolist() == [row["label"] for row in predicted]
    assert logged[list(NUMBERS)].notna().all(axis=None)


@pytest.mark.parametrize("body", NATURAL)
def test_parquet_takes_its_natural_types(numbers, body):
    answer = ask(numbers.url, body, PARQUET)
    assert answer.status_code == 200
    logged = of_request(numbers, answer)
    assert logged["distance"].tolist() == [3.5]
    assert logged["minutes"].tolist() in ([5.0], [1.0])


@pytest.mark.parametrize(
    "index", [[[1, 2]], [7, 8, 9], ["a"], [[1]], {"0": 1}, [None], [[[1]]], "x", 5]
)
def test_an_index_changes_neither_the_rows_nor_their_number(numbers, index):
    body = split([[3, 5]])
    body["dataframe_split"]["index"] = index
    answer, plain = ask(numbers.url, body), ask(numbers.url, split([[3, 5]]))
    assert answer.json() == plain.json()
    assert len(of_request(numbers, answer)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"dataframe_split": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"inputs": {"distance": [' + b"9" * 5_000 + b'], "minutes": [1]}}',
        b'{"inputs": {"distance": ["\\ud800"], "minutes": [1]}}',
        b'{"inputs": {"distance": [1], "minutes": [1], "\\ud800": ["\\ud800"]}, "params": 1}',
        {"inputs": {"distance": {"a": [1]}, "minutes": [1]}},
        {"inputs": {"distance": [[1], [2]], "minutes": [1, 2]}},
        {"inputs": {"distance": 3, "minutes": [5]}},
    ],
    ids=["deep", "digits", "surrogate", "surrogate name", "object", "lists", "mixed"],
)
def test_what_breaks_parsers_never_causes_a_server_error(numbers, body):
    answer = ask(numbers.url, body)
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert "Traceback" not in answer.text
        assert answer.json()["message"].endswith(".")


@pytest.mark.parametrize(("body", "content_type"), BAD)
def test_what_the_bare_server_refuses_is_refused_alike(numbers, body, content_type):
    bare, ours = (ask(url, body, content_type) for url in (numbers.bare, numbers.url))
    assert bare.status_code >= 400
    if bare.status_code >= 500:
        # an unreadable body is the caller's error, not the server's
        assert ours.status_code == 400
        assert "be read" in ours.json()["message"]
    else:
        assert comparable(ours) == comparable(bare)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ping"),
        ("GET", "/health"),
        ("GET", "/version"),
        ("HEAD", "/ping"),
        ("POST", "/ping"),
        ("GET", "/invocations"),
        ("PUT", "/invocations"),
        ("GET", "/nothing"),
        ("POST", "/invocations/"),
        ("OPTIONS", "/invocations"),
        ("DELETE", "/version"),
    ],
)
def test_other_paths_and_methods_are_answered_alike(numbers, method, path):
    bare, ours = (ask(url, None, None, method, path) for url in (numbers.bare, numbers.url))
    if (method, path) == ("POST", "/invocations/"):
        # without a body: the bare server's own fault, here a refusal
        assert (bare.status_code, ours.status_code) == (500, 400)
    else:
        assert comparable(ours) == comparable(bare)


@pytest.mark.parametrize(("body", "content_type", "words"), SCORED + NAMED)
def test_garbage_is_refused_with_its_column_and_row(numbers, body, content_type, words):
    bare = ask(numbers.bare, body, content_type)
    assert bare.status_code == (200 if (body, content_type, words) in SCORED else 400)
    before = log_search.count(numbers.settings)
    answer = ask(numbers.url, body, content_type)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert words in answer.json()["message"]
    assert log_search.count(numbers.settings) == before


def is_number(cell):
    try:
        return np.isfinite(float(cell))
    except (TypeError, ValueError):
        return False


cells = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(-1e6, 1e6),
    st.just(None),
    st.just("3"),
    st.text(max_size=3),
)


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.lists(st.lists(cells, min_size=1, max_size=3), max_size=3))
def test_the_endpoint_answers_any_body_as_the_bare_server_or_names_the_error(numbers, data):
    body = split(data)
    bare, ours = (ask(url, body) for url in (numbers.bare, numbers.url))
    if (
        ours.status_code == 400
        and ours.json()["error_code"] == "BAD_REQUEST"
        and (ours.json()["message"].startswith(("Column", "Each row")))
    ):
        # rightly: ragged rows, or a cell that is not a finite number
        assert not all(len(row) == 2 and all(map(is_number, row)) for row in data)
        return
    assert comparable(ours) == comparable(bare)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (split([[3, "hook"], [None, "dunk"], [4, None]], MIXED), JSON),
        ({"dataframe_records": [{"distance": 3, "kind": "never seen"}]}, JSON),
        (b"distance,kind\n3,hook\n,dunk\n4,\n", CSV),
        (parquet(distance=[3.0, None], kind=["hook", None]), PARQUET),
    ],
)
def test_texts_and_missing_values_are_answered_alike_and_logged(mixed, body, content_type):
    bare, ours = (ask(url, body, content_type) for url in (mixed.bare, mixed.url))
    assert bare.status_code == 200
    assert comparable(ours) == comparable(bare)
    logged = of_request(mixed, ours)
    assert logged["courtside_probability"].tolist() == [
        row["probability"] for row in bare.json()["predictions"]
    ]


def test_a_missing_text_is_missing_in_inputs_too_where_the_bare_server_reads_none(mixed):
    plain = ask(mixed.url, split([[3.0, "hook"], [None, None]], MIXED))
    ours = ask(mixed.url, {"inputs": {"distance": [3.0, None], "kind": ["hook", None]}})
    assert ours.json() == plain.json()


def test_a_missing_text_is_logged_as_missing(mixed):
    logged = of_request(mixed, ask(mixed.url, split([[None, "hook"], [4, None]], MIXED)))
    assert logged["kind"].tolist() == ["hook", None]
    assert logged["distance"].isna().tolist() == [True, False]


def of_request(endpoint, answer):
    """Return the log's rows of an answer, once all waiting rows are written."""
    if answer.headers.get("X-Prediction-Log") == "delayed":
        until(lambda: not endpoint_status.status(endpoint.port).log.waiting)
    name = answer.headers["X-Request-Id"]
    filters = log_search.Filters(search=name)
    frame = log_search.browse(endpoint.settings, filters, limit=1000)
    return frame.sort_values("courtside_prediction_id").reset_index(drop=True)


def test_hostile_requests_get_a_message_and_no_row_is_lost(numbers):
    """A short run of `benchmarks/fuzz_endpoint.py`."""
    ranges = {"distance": (0.0, 30.0), "minutes": (0.0, 12.0)}
    generator = fuzzing.RequestGenerator(
        3, ranges, "shot_id", api_keys.create(numbers.settings, "Fuzz")
    )
    try:
        account = fuzzing.run(numbers.settings, numbers.port, generator, 17 * REPEATS)
    finally:
        [key] = api_keys.listed(numbers.settings)
        api_keys.revoke(numbers.settings, key.key_id)
    assert account.faults == []
    assert account.silent == []
    assert account.unequal == []
    assert account.lost == 0
    assert account.statuses["as documented"] == {"200": REPEATS}
    assert sum(account.answered.values()) > 4 * REPEATS
