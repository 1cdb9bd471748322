"""Parts of a large file: in order, whole or not at all, and with the figures of what they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from core.platform import own_columns, served_model
from core.platform.errors import InputError, StoreError
from core.platform.project import Column
from core.platform.rows import Rule, read
from core.scoring import (
    batches,
    label_sums,
    output_parts,
    part_records,
    part_scoring,
    result_writer,
    scorer,
)
from core.scoring.scorer import Answered

COLUMNS = {
    "x": Column(type="number", about="x", min=-10, max=10),
    "count": Column(type="integer", about="count"),
    "kind": Column(type="text", about="kind"),
    "won": Column(type="label", about="won"),
}
INPUTS = ("x", "count", "kind")


def rows(count: int = 1000) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"id": np.arange(count), "x": rng.normal(size=count)})
    frame["count"] = rng.integers(0, 5, count)
    frame["kind"] = rng.choice(["a", "b"], count)
    frame["won"] = rng.integers(0, 2, count).astype("float64")
    frame.loc[::7, "won"] = np.nan
    return frame


def work_of(folder: Path, frame: pd.DataFrame, **values: Any) -> part_records.Work:
    frame.to_parquet(folder / "rows.parquet", index=False, row_group_size=100)
    source = batches.inspect(str(folder / "rows.parquet"), part_rows=250)
    place = output_parts.place(str(folder / "result"), "0" * 32)
    place.begin({})
    given: dict[str, Any] = {
        "features": ("x", "count", "kind"),
        "formulas": {},
        "is_complete": True,
        **values,
    }
    return part_records.Work(
        scoring="0" * 32,
        source=source,
        columns=COLUMNS,
        names={name: name for name in (*COLUMNS, "id")},
        inputs=INPUTS,
        target="won",
        key="id",
        place=place,
        keeps_inputs=False,
        batch_rows=70,
        **given,
    )


def answer(frame: pd.DataFrame, keys: Any, request_id: str) -> Answered:
    probabilities = 1 / (1 + np.exp(-frame["x"].to_numpy()))
    return Answered(probabilities, (probabilities >= 0.5).astype(np.int64), 1.0)


def written(work: part_records.Work) -> pd.DataFrame:
    return pa.concat_tables(work.place.read()).to_pandas()


@pytest.mark.parametrize("in_flight", [1, 3])
def test_parts_in_one_go_are_those_of_one_at_a_time(tmp_path: Path, in_flight: int) -> None:
    results = []
    for name in ("together", "apart"):
        (tmp_path / name).mkdir()
        work = work_of(tmp_path / name, rows())
        parts = work.source.parts
        assert len(parts) == 5
        if name == "together":
            done = part_scoring.score_parts(work, parts, answer, in_flight=in_flight)
        else:
            done = [part_scoring.score_part(work, part, answer) for part in parts]
        results.append((written(work), [vars(part) for part in done], work.place.notes()))
    pd.testing.assert_frame_equal(results[0][0], results[1][0], check_exact=True)
    assert results[0][1:] == results[1][1:]
    frame = results[0][0]
    assert frame[own_columns.ROW].tolist() == list(range(1000))
    # a part of 200 rows has batches of 70 rows
    ids = [f"{part_records.request_id('0' * 32, 270)}-{place}" for place in range(70)]
    assert frame[own_columns.PREDICTION_ID][270:340].tolist() == ids


@pytest.mark.parametrize("rows_written", [0, 1, 9, 10, 11, 101, 70_001])
def test_ids_are_the_request_and_the_position(rows_written: int) -> None:
    request = part_records.request_id("0" * 32, 5)
    ids = result_writer._ids(request, rows_written)
    ids.validate(full=True)
    assert ids.to_pylist() == [f"{request}-{place}" for place in range(rows_written)]
    # the next ones do not overwrite them
    result_writer._ids("f" * 32, rows_written)
    assert ids.to_pylist() == [f"{request}-{place}" for place in range(rows_written)]


def test_parts_before_a_failed_one_are_finished_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    work = work_of(tmp_path, rows())

    def fails(frame: pd.DataFrame, keys: Any, request_id: str) -> Answered:
        if request_id == part_records.request_id("0" * 32, 540):
            raise OSError(28, "No space left on device")
        return answer(frame, keys, request_id)

    with pytest.raises(StoreError, match="disk is full"):
        part_scoring.score_parts(work, work.source.parts, fails)
    assert list(work.place.notes()) == [0, 1]
    left = sorted(path.name for path in Path(work.place.staging).iterdir())
    assert [name for name in left if "part-" in name] == [
        "_part-00000.json",
        "_part-00001.json",
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    assert len(written(work)) == 400


def test_nothing_is_written_after_a_write_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = work_of(tmp_path, rows())
    real = result_writer._written

    def full(work: part_records.Work, request: Any, *others: Any) -> Any:
        if request.places[0] == 270:
            raise OSError(28, "No space left on device")
        return real(work, request, *others)

    monkeypatch.setattr(result_writer, "_written", full)
    with pytest.raises(StoreError, match="disk is full"):
        part_scoring.score_parts(work, work.source.parts, answer)
    assert list(work.place.notes()) == [0]
    assert not list(Path(work.place.staging).glob(".part-*"))
    assert len(written(work)) == 200


def test_figures_while_scoring_are_those_of_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_sums, "every", lambda rows: -(-rows // 300))
    work = work_of(tmp_path, rows())
    tally = label_sums.Tally(0.5, None)
    done = part_records.total(
        part_scoring.score_parts(work, work.source.parts, answer, on_scored=tally.add)
    )
    given = (work.place, done.labelled, 0.5, None, "path")
    again = label_sums.of_result(*given)
    assert label_sums.of_result(*given, tally) == again
    assert {"log_loss_path", "roc_auc_path_low"} <= again.keys()
    few = label_sums.Tally(0.5, None)
    monkeypatch.setattr(label_sums, "KEPT_ROWS", 500)
    frame = written(work)
    few.add(
        *(
            frame[name].to_numpy()
            for name in (own_columns.ROW, own_columns.LABEL, own_columns.PROBABILITY)
        )
    )
    assert not few.is_complete
    assert label_sums.of_result(*given, few) == again


def test_a_row_with_a_fault_and_a_computed_feature_is_left_out_alone(tmp_path: Path) -> None:
    frame = rows()
    frame.loc[4, "kind"] = "=1+1"
    frame["x"] = frame["x"].astype("object")
    frame.loc[5, "x"] = 0.0
    frame.loc[6, "x"] = 99.0
    frame["x"] = frame["x"].astype("float64")
    formulas = {"share": ("count / x", "number")}
    work = work_of(tmp_path, frame, features=("share", "kind"), formulas=formulas)
    done = part_records.total(part_scoring.score_parts(work, work.source.parts, answer))
    assert (done.rows, done.rejected) == (997, 3)
    assert sorted((row, column) for row, column, *_ in done.listed) == [
        (4, "kind"),
        (5, "share"),
        (6, "x"),
    ]
    assert all(json.loads(reason) for *_, reason in done.listed)


RULES = [
    Rule("number", min=-5, max=1e6),
    Rule("integer"),
    Rule("boolean"),
    Rule("label"),
    Rule("text", categories=("a", "NA", "7")),
    Rule("text", pattern="[a-z0-9 ]+"),
    Rule("text"),
    Rule("date"),
    Rule("date", date_form="day-month-year"),
]
CELLS = [
    None,
    float("nan"),
    0,
    1,
    7,
    7.5,
    -1e30,
    1e39,
    2**60,
    True,
    "1",
    "0",
    "7",
    "7.0",
    " 7 ",
    "NA",
    "",
    "a",
    "=1+1",
    "yes",
    "no",
    "2000-10-31",
    "31/12/2024",
    "12/31/2024 8:30",
    "2024-02-30",
    "2000-10-31T19:30:00+02:00",
    pd.Timestamp("2001-01-01"),
    pd.Timestamp("2001-01-01 05:00"),
    "\ud800",
    "x\0y",
    "é",
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_what_was_read_is_read_unchanged_by_the_same_rule(rule: Rule) -> None:
    rng = np.random.default_rng(1)
    columns = [pd.Series([cell], name="v", dtype="object") for cell in CELLS]
    columns += [
        pd.Series(
            [CELLS[place] for place in rng.integers(0, len(CELLS), 40)], name="v", dtype="object"
        )
        for _ in range(100)
    ]
    columns += [pd.Series([0.0, 1.0, np.nan], name="v"), pd.Series([0, 1, 1], name="v")]
    for cells in columns:
        values, faults = read(cells, rule)
        keeps = np.ones(len(cells), dtype=bool)
        for fault in faults:
            keeps[fault.rows] = False
        valid = values[keeps]
        again, none = served_model.settled(valid.to_frame(), {"v": rule}, is_complete=False)
        assert not none
        unread = scorer._as_checked(valid.to_frame(), ["v"])
        assert unread["v"].dtype == again["v"].dtype
        pd.testing.assert_series_equal(
            unread["v"].reset_index(drop=True), again["v"].reset_index(drop=True), check_exact=True
        )


def test_values_are_read_again_where_the_models_rules_are_others() -> None:
    frame = pd.DataFrame({"x": [0.5, 20.0], "count": [1, 2]})
    classifier = LogisticRegression().fit(frame, [0, 1])
    config = {
        "rules": {"x": {"type": "number", "min": -10, "max": 10}, "count": "number"},
        "engineered": {},
        "features": ["x", "count"],
        "is_complete": True,
        "threshold": 0.5,
    }
    model = scorer.Scorer(classifier, config)
    columns = {"x": COLUMNS["x"], "count": Column(type="number", about="count")}
    assert model.without_checks(columns).is_given_valid
    assert not model.without_checks({**columns, "count": COLUMNS["count"]}).is_given_valid
    with pytest.raises(InputError, match=r"must lie in -10\.\.10"):
        model.score(frame)
    valid = frame.head(1)
    np.testing.assert_array_equal(
        model.without_checks(columns).score(valid).probabilities, model.score(valid).probabilities
    )
