"""Frames at the borders of the schema pass acquire and prepare, or get a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from core.data import acquire, prepare, snapshots
from core.platform import project, schema, storage, tracking
from core.platform.config import Settings
from core.platform.errors import InputError
from core.platform.project import Column, ProjectSpec
from core.projects.kobe import sample
from tests.conftest import WITH_LONG

pytestmark = pytest.mark.long

SPEC = project.load("kobe")
GOOD = sample.generate(project.sample_tables("kobe")).iloc[::400].head(70).reset_index(drop=True)
ODD = (
    None,
    np.nan,
    np.inf,
    -np.inf,
    "",
    " ",
    "x",
    "=1+1",
    "-",
    "007",
    "1e400",
    True,
    2**53,
    2**64,
    -(2**63),
    0.1,
    "NaN",
    "\u0663",
    "a\nb",
    '"',
    "\0",
)


def at_the_borders(column: Column) -> st.SearchStrategy[Any]:
    """Draw a value on, just inside or just beyond a border of a column, or of another kind."""
    inside: list[Any] = [*column.categories[:2], *([7] if column.type == "integer" else [])]
    beyond: list[Any] = [0, 1, -1, 2, *(f"{category} " for category in column.categories[:1]), *ODD]
    for end, step in ((column.min, 1), (column.max, -1)):
        if end is not None:
            inside += [end, end + step]
            beyond += [end - step, np.nextafter(end, -np.inf), np.nextafter(end, np.inf)]
    if column.type == "date":
        inside += ["2000-02-29", "9999-12-31", None]
        beyond += ["2001-02-29", "2000-1-1", "2000-10-31 ", "0001-01-01"]
    if column.type == "label":
        inside += [0, 1, None, "1", True]
    if column.type == "text":
        inside.append(None)
    return st.one_of(st.sampled_from(inside), st.sampled_from(inside), st.sampled_from(beyond))


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Draw valid rows with a few cells, columns or rows that may be invalid."""
    frame = GOOD.astype("object")
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        name = draw(st.sampled_from(list(SPEC.columns)))
        value = draw(at_the_borders(SPEC.columns[name]))
        some = draw(st.sampled_from([slice(0, 1), slice(3, 9), slice(None)]))
        frame.loc[frame.index[some], name] = value
    harm = draw(
        st.sampled_from(["none"] * 9 + ["drop", "alias", "extra", "twice", "rows", "label"])
    )
    if harm == "drop":
        frame = frame.drop(columns=draw(st.sampled_from(list(SPEC.columns))))
    elif harm == "alias":
        frame = frame.rename(columns={"lon": "lng"})
    elif harm == "extra":
        frame["extra"] = draw(st.sampled_from(ODD))
    elif harm == "twice":
        frame = pd.concat([frame, frame.head(2)], ignore_index=True)
    elif harm == "rows":
        frame = frame.head(draw(st.integers(0, 3)))
    elif harm == "label":
        frame[SPEC.target] = draw(st.sampled_from([0, 1, None]))
    return frame


def as_parquet(frame: pd.DataFrame) -> pa.Table:
    """Return the frame as parquet can hold it: a column of mixed kinds as texts."""
    arrays = []
    for name in frame:
        try:
            arrays.append(pa.array(frame[name], from_pandas=True))
        except (pa.ArrowException, OverflowError):
            texts = [None if pd.isna(cell) else str(cell) for cell in frame[name]]
            arrays.append(pa.array(texts, pa.string()))
    return pa.Table.from_arrays(arrays, names=list(frame))


def choices() -> st.SearchStrategy[prepare.Options]:
    features = [*SPEC.columns, *SPEC.engineered]
    sound = [name for name in features if name not in (SPEC.id, SPEC.target)]
    chosen = st.lists(
        st.one_of(st.sampled_from(sound), st.sampled_from(sound), st.sampled_from(features)),
        min_size=1,
        max_size=4,
        unique=True,
    ).map(tuple)
    return st.builds(
        prepare.Options,
        features=st.one_of(st.none(), chosen),
        rows=st.sampled_from([None, None, {}, {}, {"playoffs": ("0",)}, {"period": ("9",)}]),
        missing=st.sampled_from(["drop", "drop_inputs", "impute"]),
        split=st.sampled_from(["random", "time", "group"]),
        test_share=st.sampled_from([0.01, 0.2, 0.2, 0.5, 0.99]),
        seed=st.sampled_from([0, 42, 2**32 - 1]),
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, store_template: Path) -> Settings:
    folder = tmp_path_factory.mktemp("borders")
    (folder / "mlflow.db").write_bytes(store_template.read_bytes())
    return Settings(home=folder)


def passes(home: Settings, step: str, call: Any) -> bool:
    """Return whether a step succeeded; if not, check that it said why and changed nothing."""
    before = snapshots.current(home), storage.current_prepared(home)
    message = None
    try:
        call()
    except InputError as error:
        message = str(error)
    assert not list(home.data_dir.rglob("*.tmp"))
    if message is None:
        return True
    assert 10 < len(message) < 2500
    run = tracking.last_run(home, step, status=None)
    assert run is not None
    assert (run.status, run.error) == ("FAILED", message)
    assert (snapshots.current(home), storage.current_prepared(home)) == before
    return False


def assert_sets_are_sound(home: Settings, options: prepare.Options, rows: int) -> None:
    prepared, train, test = storage.read_prepared(home)
    filtered = pd.read_parquet(storage.prepared_paths(home)[0])
    features = options.features or SPEC.features
    assert prepared.features == features
    assert list(filtered) == [*SPEC.inputs_of(features), SPEC.target]
    assert len(train) + len(test) == len(filtered) <= rows
    together = pd.concat([train, test]).sort_values(list(filtered)).reset_index(drop=True)
    expected = filtered.sort_values(list(filtered)).reset_index(drop=True)
    pd.testing.assert_frame_equal(together, expected)
    for part in (train, test):
        assert set(part[SPEC.target]) == {0, 1}
        assert part[SPEC.target].dtype == "int64"
        if options.missing != "impute":
            assert part.notna().all(axis=None)


@settings(
    # each example acquires and prepares a file, which takes long
    max_examples=60 if WITH_LONG else 12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(frame=frames(), as_csv=st.booleans(), options=choices())
def test_a_frame_at_the_borders_is_acquired_completely_or_refused_with_a_message(
    home: Settings,
    tmp_path_factory: pytest.TempPathFactory,
    frame: pd.DataFrame,
    as_csv: bool,
    options: prepare.Options,
) -> None:
    path = tmp_path_factory.mktemp("frame") / ("a.csv" if as_csv else "a.parquet")
    if as_csv:
        frame.to_csv(path, index=False)
    else:
        pq.write_table(as_parquet(frame), path)
    source = acquire.Options(source="file", path=path)
    if not passes(home, "acquire", lambda: acquire.run(home, source)):
        event("acquire refused")
        return
    snapshot = snapshots.current(home)
    assert snapshot is not None
    raw = snapshots.Archive.of(home).validated(snapshot, SPEC)
    assert_within_the_schema(raw, SPEC)
    if passes(home, "prepare", lambda: prepare.run(home, options)):
        event("prepared")
        assert_sets_are_sound(home, options, len(raw))
        before = [path.read_bytes() for path in storage.prepared_paths(home)]
        prepare.run(home, options)
        assert [path.read_bytes() for path in storage.prepared_paths(home)] == before
    else:
        event("prepare refused")


def assert_within_the_schema(frame: pd.DataFrame, spec: ProjectSpec) -> None:
    """Check what the project file says, without the code that validates."""
    assert list(frame) == list(spec.columns)
    assert len(frame) > 0
    assert frame[spec.id].is_unique
    assert frame[spec.id].is_monotonic_increasing
    assert frame[spec.id].notna().all()
    for name, column in spec.columns.items():
        values = frame[name].dropna()
        if column.type in ("integer", "number"):
            assert np.isfinite(values.astype(float)).all()
            assert column.min is None or (values >= column.min).all()
            assert column.max is None or (values <= column.max).all()
            assert column.type == "number" or (values.astype(float) % 1 == 0).all()
        elif column.type == "label":
            assert set(values) <= {0.0, 1.0}
        else:
            assert values.map(type).eq(str).all()
            assert not column.categories or set(values) <= set(column.categories)
            assert not values.str.startswith(("=", "@")).any()


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(ODD),
    st.dates(),
    st.binary(max_size=3),
    st.lists(st.integers(), max_size=2),
)
MARKS = ("", "nan", "+nan", "-nan", "nat", "na", "n/a", "#na", "#n/a", "<na>", "null", "none")
COLUMNS = st.one_of(
    st.builds(Column, type=st.just("label"), about=st.just("x")),
    st.builds(Column, type=st.just("date"), about=st.just("x")),
    st.builds(
        Column,
        type=st.sampled_from(["integer", "number"]),
        about=st.just("x"),
        min=st.sampled_from([None, -5, 0]),
        max=st.sampled_from([None, 0, 2**53]),
    ),
    st.builds(
        Column,
        type=st.just("text"),
        about=st.just("x"),
        categories=st.sampled_from([(), ("x", "007")]),
        pattern=st.sampled_from([None, "[a-z]*"]),
    ),
)


def is_missing(cell: object, type_: str) -> bool:
    """Apply the row contract's rule for missing cells, without the code that reads."""
    if not isinstance(cell, str):
        return cell is None or (isinstance(cell, float) and np.isnan(cell))
    # a column of texts keeps its texts: a country may be called NA
    return cell == "" or (type_ != "text" and cell.strip(" \t\r\n").casefold() in MARKS)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(column=COLUMNS, cells=st.lists(CELLS, min_size=1, max_size=5))
def test_any_cells_are_read_within_their_column_or_refused(column: Column, cells: list) -> None:
    frame = pd.DataFrame({"a": pd.Series(cells, dtype="object")})
    inspected = schema.inspect(frame, {"a": column})
    errors = [finding for finding in inspected.findings if finding.severity == "error"]
    for error in errors:
        assert error.rows is not None
        assert 1 <= error.rows <= len(cells)
        assert error.text.startswith("Column 'a' ")
    # no two of these point at one cell
    assert sum(error.rows or 0 for error in errors) <= len(cells)
    if errors:
        with pytest.raises(InputError):
            inspected.required()
        return
    settled = inspected.required().frame["a"]
    assert settled.isna().tolist() == [is_missing(cell, column.type) for cell in cells]
    values = settled.dropna()
    if column.type in ("integer", "number", "label"):
        assert np.isfinite(values.astype(float)).all()
    else:
        assert values.map(type).eq(str).all()
