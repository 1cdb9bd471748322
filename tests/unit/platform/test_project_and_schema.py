"""Settings, the project file and validation: errors are reported in a sentence."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from core.platform import config, project, rows, schema, served_model
from core.platform.config import Settings
from core.platform.errors import InputError
from core.platform.project import Column
from core.training import train

NUMBER = Column(type="number", about="x", min=0, max=10)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"COURTSIDE_WORKERS": "many"}, "COURTSIDE_WORKERS: input should be a valid integer"),
        ({"COURTSIDE_WORKERS": "0"}, "greater than or equal to 1"),
        ({"COURTSIDE_SERVE_PORT": "80"}, "COURTSIDE_SERVE_PORT"),
        ({"COURTSIDE_PROJECT": "../etc"}, "COURTSIDE_PROJECT"),
        ({"COURTSIDE_HOM": "/x"}, "Did you mean COURTSIDE_HOME?"),
        ({"COURTSIDE_ZZZ": "1"}, "'COURTSIDE_ZZZ' does not exist. Choose from:"),
    ],
)
def test_an_unusable_setting_is_reported(environ: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings.load(environ)
    assert words in str(caught.value)


def test_settings_do_not_change_and_do_not_hide_a_typing_mistake() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.workers = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Settings(wokers=3)  # type: ignore[call-arg]


def test_state_lives_under_one_home(tmp_path: Path) -> None:
    settings = Settings.load({"COURTSIDE_HOME": str(tmp_path)})
    for place in (settings.data_dir, settings.state_dir, settings.logs_dir):
        assert place.parent == tmp_path
    assert settings.mlflow_uri == f"sqlite:///{tmp_path.as_posix()}/mlflow.db"
    assert list(tmp_path.iterdir()) == []


def test_the_store_can_come_from_mlflows_own_variable() -> None:
    settings = Settings.load({"MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"})
    assert settings.mlflow_uri == "http://127.0.0.1:5000"


def test_a_relative_store_is_the_same_one_for_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.load({"MLFLOW_TRACKING_URI": "sqlite:///runs.db"})
    assert settings.mlflow_uri == f"sqlite:///{tmp_path.as_posix()}/runs.db"
    assert Settings.load(settings.environment()) == settings


SECOND = """
name = "rain"
title = "Rain"
question = "Does it rain?"
model = "rain"
target = "rained"
positive = "rain"
negative = "dry"
id = "day"
time = "date"
threshold = 0.3
features = ["pressure"]
[rows]
column = "place"
development = "coast"
development_name = "coast days"
production = "hills"
production_name = "hill days"
[columns]
rained = { type = "label", about = "x" }
day = { type = "integer", about = "x" }
date = { type = "text", about = "x" }
place = { type = "text", about = "x" }
pressure = { type = "number", about = "x" }
"""


def test_a_second_project_is_a_second_file(tmp_path: Path) -> None:
    (tmp_path / "rain.toml").write_text(SECOND)
    spec = project.load("rain", tmp_path)
    assert (spec.target, spec.threshold, spec.court) == ("rained", 0.3, None)
    with pytest.raises(InputError, match="has no built-in sample"):
        project.sample_tables("rain", tmp_path)


@pytest.mark.parametrize(
    ("text", "replacement", "words"),
    [
        ('features = ["pressure"]', 'features = ["wind"]', r"not in \[columns\]: wind"),
        ('target = "rained"', 'target = "place"', "must be of type label"),
        (
            'pressure = { type = "number"',
            'pressure = { pattern = "x", type = "number"',
            "categories and pattern do not apply to type number",
        ),
        (
            'place = { type = "text"',
            'place = { max = 3, type = "text"',
            "min and max do not apply to type text",
        ),
        ("place = { type", 'place = { pattern = "(", type', "`(` cannot be used"),
        ("rained = { type", 'rained = { aliases = ["date"], type', "used more than once: date"),
        ("[rows]", '[engineered]\nx = { formula = "wind", about = "x" }\n[rows]', "wind"),
        (
            "[rows]",
            '[engineered]\nx = { formula = "open(1)", about = "x" }\n[rows]',
            "'open(1)' is not a valid formula: open is not allowed",
        ),
        (
            "[rows]",
            '[[feature_sets]]\ntitle = "x"\nabout = "x"\nfeatures = ["day"]\n[rows]',
            "features and id must differ: day",
        ),
        (
            "[rows]",
            '[[downloads]]\nname = "../x.csv"\nurl = "http://x"\nsize = 1\n[rows]',
            "downloads.0.name",
        ),
        ("[columns]", '[columns]\n"a\\tb" = { type = "text", about = "x" }', "control characters"),
        ("[rows]", 'slices = ["wind"]\n[rows]', r"not in \[columns\]: wind"),
        ("[rows]", 'group = "wind"\n[rows]', r"not in \[columns\]: wind"),
        ("threshold = 0.3", "threshold = 3", "threshold"),
        ('name = "rain"', 'nane = "rain"', "rain.toml cannot be used"),
        ('name = "rain"', "name = ", "rain.toml cannot be used in line 2: Invalid value"),
    ],
)
def test_an_invalid_project_file_is_reported(
    text: str, replacement: str, words: str, tmp_path: Path
) -> None:
    assert text in SECOND
    (tmp_path / "rain.toml").write_text(SECOND.replace(text, replacement, 1))
    with pytest.raises(InputError) as caught:
        project.load("rain", tmp_path)
    assert words.replace("\\", "") in str(caught.value)


def test_all_faults_of_a_frame_are_reported_at_once() -> None:
    frame = pd.DataFrame({"a": [1, 99], "b": ["x", "2"], "c": [1, 1]})
    columns = {"a": NUMBER, "b": NUMBER, "c": Column(type="integer", about="x")}
    with pytest.raises(InputError) as caught:
        schema.validate(frame, columns, unique="c")
    assert "'a' must lie in 0..10: violated in 1 row (99)" in str(caught.value)
    assert "'b' must be a number: violated in 1 row ('x')" in str(caught.value)
    assert "'c' must not repeat a value: it does in 1 row" in str(caught.value)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_are_not_numbers(value: float) -> None:
    with pytest.raises(InputError, match="must lie in"):
        schema.validate(pd.DataFrame({"a": [1.0, value]}), {"a": Column(type="number", about="x")})


def test_lists_in_a_column_are_reported() -> None:
    for value in ([1.5], {"x": 1}):
        with pytest.raises(InputError) as caught:
            schema.validate(pd.DataFrame({"a": [value, value]}), {"a": NUMBER})
        assert f"'a' must be a number: violated in 2 rows ({value})" in str(caught.value)


@pytest.mark.parametrize("kind", ["number", "integer", "label"])
@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["1970-01-01"]),
        pd.to_datetime(["1970-01-01"]).tz_localize("UTC"),
        pd.to_timedelta([1], unit="ns"),
        [1 + 2j],
        pd.Series([1 + 2j, "x"], dtype=object),
        [datetime.date(1970, 1, 1)],
    ],
    ids=["time", "time with zone", "duration", "complex", "mixed complex", "date"],
)
def test_times_and_complex_values_are_no_numbers(values: object, kind: str) -> None:
    with pytest.raises(InputError, match=r"Column 'a' must be .*: violated in [12] row"):
        schema.validate(pd.DataFrame({"a": values}), {"a": Column(type=kind, about="x")})


WHOLE = {"a": Column(type="integer", about="x")}
BIG = 2**53 + 1


@pytest.mark.parametrize(
    "values",
    [
        [BIG, BIG + 1],
        [str(BIG), str(BIG + 1)],
        pd.array([BIG, BIG + 1], dtype="Int64"),
        np.array([BIG, BIG + 1], dtype="uint64"),
    ],
    ids=["int64", "text", "Int64", "uint64"],
)
def test_whole_numbers_keep_all_their_digits(values: object) -> None:
    validated = schema.validate(pd.DataFrame({"a": values}), WHOLE, unique="a").frame["a"]
    assert (validated.tolist(), validated.dtype) == ([BIG, BIG + 1], "int64")


@pytest.mark.parametrize(
    "values",
    [[float(2**53)], [-float(BIG)], pd.array([BIG, None], dtype="Int64"), [2**63], [2**70]],
    ids=["float", "negative", "missing", "uint64", "endless"],
)
def test_whole_numbers_that_lost_digits_are_reported(values: object) -> None:
    with pytest.raises(InputError, match="'a' must be a whole number below 9,007,199,254,740,992"):
        schema.validate(pd.DataFrame({"a": values}), WHOLE)


def test_a_missing_id_is_reported_as_missing() -> None:
    for values, words in (
        ([1, None, None], "it is empty in 2 rows, first row 2"),
        ([1, None], "it is empty in 1 row, row 2"),
    ):
        with pytest.raises(InputError) as caught:
            schema.validate(pd.DataFrame({"a": values}), WHOLE, unique="a")
        assert str(caught.value) == f"Column 'a' must not be missing: {words}."


def test_a_duplicate_column_is_reported() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(InputError, match="Repeated columns: a"):
        schema.validate(frame, {"a": NUMBER})


def test_missing_values_are_kept_and_types_settled() -> None:
    frame = pd.DataFrame({"a": ["1", None], "b": [3.0, 4.0]})
    columns = {"a": NUMBER, "b": Column(type="integer", about="x")}
    validated = schema.validate(frame, columns).frame
    assert validated["a"].isna().tolist() == [False, True]
    assert validated["b"].dtype == "int64"
    assert frame["a"].tolist() == ["1", None]


def test_an_entirely_different_file_is_reported_in_one_sentence(few_shots: pd.DataFrame) -> None:
    other = pd.DataFrame({f"column {i}": [1] for i in range(30)})
    with pytest.raises(InputError, match="25 of 25 columns are missing"):
        schema.inspect_source(other, project.load("kobe")).required()


def test_rows_come_in_the_order_of_their_id(few_shots: pd.DataFrame) -> None:
    mixed = few_shots.sample(frac=1, random_state=1)
    validated = schema.inspect_source(mixed, project.load("kobe")).required().frame
    pd.testing.assert_frame_equal(validated, few_shots, check_dtype=False)


def test_a_missing_value_of_a_column_that_is_left_out_is_no_warning(
    few_shots: pd.DataFrame,
) -> None:
    holes = few_shots.assign(opponent=None)
    spec = project.load("kobe")
    without = spec.model_copy(update={"left_out": {"opponent": "chosen"}})
    for of, warned in ((spec, ["opponent"]), (without, [])):
        findings = schema.inspect_source(holes, of).findings
        assert [each.column for each in findings if each.check == "missing"] == warned


def test_a_rule_about_several_choices_is_reported_in_a_sentence() -> None:
    with pytest.raises(ValidationError) as caught:
        train.Options(aim="cost", cost_false_positive=0.0, cost_false_negative=0.0)
    assert str(config.sentence(caught.value)) == (
        "Both error costs are 0: set at least one of them."
    )
    with pytest.raises(ValidationError) as caught:
        train.Options(candidates=("lr", "lr"))
    assert str(config.sentence(caught.value)) == (
        "candidates: used more than once: lr (given: ('lr', 'lr'))."
    )


YES_NO = Column(type="label", about="x", positive_values=("Y", 1), negative_values=("N", 2))


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["Y", "n", " y ", None], [1, 0, 1, None]),
        ([1, 2, 1], [1, 0, 1]),
        ([1.0, np.nan, 2.0], [1, None, 0]),
        (["1", "2.0", "N"], [1, 0, 0]),
    ],
)
def test_a_label_may_be_written_otherwise_where_the_project_file_says_how(
    values: list[object], labels: list[float | None]
) -> None:
    validated = schema.validate(pd.DataFrame({"a": values}), {"a": YES_NO}).frame["a"]
    assert validated.astype("object").where(validated.notna(), None).tolist() == labels
    clean, refused = schema.usable(pd.DataFrame({"a": values}), {"a": YES_NO})
    assert refused == []
    pd.testing.assert_series_equal(clean["a"], validated)


def test_true_and_false_may_stand_for_either() -> None:
    column = Column(type="label", about="x", positive_values=(False,), negative_values=(True,))
    validated = schema.validate(pd.DataFrame({"a": [True, False]}), {"a": column}).frame["a"]
    assert validated.tolist() == [0, 1]
    column = Column(type="label", about="x")
    validated = schema.validate(pd.DataFrame({"a": ["true", "False"]}), {"a": column}).frame["a"]
    assert validated.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["Y", "N"] * 50, ["holds 'N', 'Y' instead of '0', '1'", "positive_values"]),
        ([1, 2] * 50, ["holds '1', '2' instead of '0', '1'", "positive_values"]),
        (["a", "b", "c"] * 50, ["holds 'a', 'b', 'c' instead of '0', '1'"]),
        ([0, 1, 2] * 50, ["holds '0', '1', '2' instead of '0', '1'"]),
        ([*range(60)], ["holds '0', '1'", " ...", "choose another target"]),
        # a typing mistake is reported as one
        ([0, 1] * 50 + ["O"], ["must be one of '0', '1' or empty: violated in 1 row ('O')"]),
    ],
    ids=["texts", "numbers", "classes", "numbered classes", "many", "slip"],
)
def test_errors_of_a_target_name_its_values(values: list[object], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        schema.validate(pd.DataFrame({"a": values}), {"a": Column(type="label", about="x")})
    for word in words:
        assert word in str(caught.value)


def test_declared_labels_must_be_unambiguous() -> None:
    with pytest.raises(ValidationError, match="positive_values and negative_values must differ: y"):
        Column(type="label", about="x", positive_values=("Y",), negative_values=("y",))
    with pytest.raises(ValidationError, match="`negative_values` needs `positive_values`"):
        Column(type="label", about="x", negative_values=("N",))


def test_positive_values_alone_are_one_class_against_the_rest() -> None:
    rule = Column(type="label", positive_values=("Adelie", 3)).rule
    values = pd.Series(["adelie ", "Gentoo", None, "NA", "3.0", 3, True])
    read = rows.read(values, rule)
    assert read.faults == ()
    assert read.values.tolist()[:2] == [1.0, 0.0]
    assert read.values.isna().tolist() == [False, False, True, True, False, False, False]
    assert read.values.tolist()[4:] == [1.0, 1.0, 0.0]


def test_a_boolean_is_read_in_every_spelling() -> None:
    rule = Column(type="boolean").rule
    yes = ["true", "T", "Yes", "y", "1", 1, 1.0, True, "on", "Sim", " s "]
    no = ["FALSE", "f", "no", "N", "0", 0, 2, "2", False, "off", "Não", "nao"]
    read = rows.read(pd.Series([*yes, *no, None, "NA", ""]), rule)
    assert read.faults == ()
    assert read.values.tolist()[:-3] == [1.0] * len(yes) + [0.0] * len(no)
    assert read.values.isna().tolist()[-3:] == [True] * 3
    # what was read once is read the same again
    assert rows.read(read.values, rule).values.equals(read.values)
    (fault,) = rows.read(pd.Series(["maybe", 3, [1]]), rule).faults
    assert fault.rows.tolist() == [0, 1, 2]


def test_labels_in_words_are_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "rain.toml").write_text(
        SECOND.replace(
            'rained = { type = "label"',
            'rained = { type = "label", positive_values = [2], negative_values = [1]',
        )
    )
    spec = project.load("rain", tmp_path)
    first = schema.validate(pd.DataFrame({"rained": [1, 2]}), {"rained": spec.columns["rained"]})
    again = schema.validate(first.frame, schema.settled_columns(spec, ["rained"]))
    assert again.frame["rained"].tolist() == first.frame["rained"].tolist() == [0.0, 1.0]


def test_a_formula_takes_a_name_with_spaces_between_backticks(tmp_path: Path) -> None:
    text = SECOND.replace("pressure", "air pressure").replace('["air pressure"]', '["half"]')
    text = text.replace("air pressure = {", '"air pressure" = {')
    text += '[engineered]\nhalf = { formula = "`air pressure` / 2", about = "x" }\n'
    (tmp_path / "rain.toml").write_text(text)
    spec = project.load("rain", tmp_path)
    assert spec.inputs_of(["half"]) == ("air pressure",)
    rows = served_model.with_features(
        pd.DataFrame({"air pressure": [1000.0, 990.0]}), ["half"], spec.formulas_of(["half"])
    )
    assert rows["half"].tolist() == [500.0, 495.0]
    (tmp_path / "rain.toml").write_text(text.replace("`", ""))
    project._read.cache_clear()
    with pytest.raises(InputError, match="put a column name with spaces in backticks"):
        project.load("rain", tmp_path)


def test_a_file_that_is_no_toml_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "rain.toml").write_text(SECOND + "x = [1,")
    with pytest.raises(InputError, match=r"rain\.toml cannot be used: .*at"):
        project.load("rain", tmp_path)
    (tmp_path / "rain.toml").write_bytes(SECOND.encode() + b"# \xff")
    with pytest.raises(InputError, match="cannot be used: 'utf-8' codec"):
        project.load("rain", tmp_path)
