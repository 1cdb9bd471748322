"""Guesses about small tables: kinds of columns, target, roles, leaks, and the project file."""

from __future__ import annotations

import tomllib
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.data import guess_json, guess_project, guess_sample
from core.data.guess import Guesses, guess
from core.data.guess_columns import profile
from core.data.guess_roles import Cut
from core.platform import messages, project, schema, tables
from core.platform.errors import InputError
from core.platform.project import Column
from core.platform.rows import Rule, read

ROWS = 600


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_years_have_no_separator_and_weights_no_exponent(rng: np.random.Generator) -> None:
    guesses = guess(
        pd.DataFrame(
            {
                "year": rng.integers(1990, 2006, ROWS),
                "income": rng.integers(1000, 50_001, ROWS),
                "sampling_weight": rng.uniform(100, 57_871.6, ROWS),
                "churn": rng.choice(["yes", "no"], ROWS),
            }
        )
    )
    assert "1990" in str(guesses.types["year"].reason)
    assert "1,0" in str(guesses.types["income"].reason)
    assert guesses.weights.value == "sampling_weight"
    assert "e+" not in str(guesses.weights.reason)


@pytest.fixture
def table(rng: np.random.Generator) -> pd.DataFrame:
    """Two honest features and a label that depends on one of them."""
    age = rng.integers(18, 80, ROWS)
    return pd.DataFrame(
        {
            "age": age,
            "city": rng.choice(["Recife", "Natal", "Olinda"], ROWS),
            "churn": np.where(rng.random(ROWS) < 0.2 + age / 200, "yes", "no"),
        }
    )


def codes(guesses: Guesses) -> dict[str, str]:
    return {name: out.code for name, out in guesses.left_out.items()}


# --- kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["true", "false"], "boolean"),
        (["TRUE", "False", "true"], "boolean"),
        (["yes", "No", "YES", "no "], "boolean"),
        (["Y", "N"], "boolean"),
        (["0", "1"], "boolean"),
        ([0, 1], "boolean"),
        ([0.0, 1.0, None], "boolean"),
        (["1", "2"], "boolean"),
        ([1, 2], "boolean"),
        (["sim", "não"], "boolean"),
        (["SIM", "NAO"], "boolean"),
        (["S", "N"], "boolean"),
        (["V", "F"], "boolean"),
        ([True, False], "boolean"),
        ([True, None, False], "boolean"),
        (["yes", "no", "NA"], "boolean"),
        (["f", "m"], "category"),
        (["yes", "no", "unknown"], "category"),
        ([3, 1, 7, None], "integer"),
        (["3", "1", "7", "NA"], "integer"),
        ([3.5, 1, None, 2], "number"),
        ([1e300, 2.5, np.inf], "number"),
        (["007", "010", "010"], "category"),
        (["2013-01-01", "2014-02-03", None], "date"),
        ([date(2013, 1, 1), date(2013, 1, 2)], "date"),
        (["2013-01-01T10:00:00Z", "2013-06-01T11:30:00Z"], "timestamp"),
        (["2013-01-01 10:00:00-03:00", "2013-06-01 11:30:00+02:00"], "timestamp"),
        (["9999-12-31", "2014-02-03"], "date"),
        (["31/12/2013", "01/02/2014", "NA"], "date"),
        (["12/31/2013 8:30", "2/1/2014 18:30"], "timestamp"),
        (["05/06/2013", "06/05/2013"], "odd_date"),
        (["31/12/13", "01/02/14"], "odd_date"),
        (["30/02/2013", "01/02/2014"], "odd_date"),
        (["2013-13-45", "2014-02-03"], "category"),
        ([None, None], "empty"),
        (["", " ", "NA"], "empty"),
        ([7, 7, 7], "constant"),
        (["a", "a"], "constant"),
        (["a", "a", None, None], "category"),
        (["NA", "BR", "NA"], "category"),
    ],
    ids=str,
)
def test_a_columns_kind_follows_from_its_values(cells: list[object], kind: str) -> None:
    assert profile(pd.Series(cells, name="x")).kind == kind


@pytest.mark.parametrize(
    ("cells", "type_"),
    [
        (["sim", "não", None], "boolean"),
        (["TRUE", "f"], "boolean"),
        (["V", "F"], "text"),
        (["sí", "no"], "text"),
        (["Ja", "Nein"], "text"),
    ],
    ids=str,
)
def test_a_column_of_truth_values_gets_a_type_that_reads_them(cells: list[str], type_: str) -> None:
    column = profile(pd.Series(cells, name="x"))
    assert (column.kind, guess_project.type_of(column)) == ("boolean", type_)
    assert not read(pd.Series(cells, name="x"), Rule(type_)).faults


def test_native_types_have_kinds_too() -> None:
    zoned = pd.Series(pd.date_range("2013-01-01 22:00", periods=3, freq="h", tz="America/Recife"))
    of_zone = profile(zoned.rename("x"))
    assert of_zone.kind == "timestamp"
    # in UTC
    assert (of_zone.low, of_zone.high) == ("2013-01-02T01:00:00", "2013-01-02T03:00:00")
    kinds = {
        "integer": pd.Series([1, None, 5], dtype="Int64"),
        "boolean": pd.Series([True, None, False], dtype="boolean"),
        # digits that a source keeps as categories are codes
        "category": pd.Series(["16", "21", "16"], dtype="category"),
        "date": pd.Series(pd.to_datetime(["2013-01-01", None, "2013-01-02"])),
    }
    assert {kind: profile(cells.rename("x")).kind for kind, cells in kinds.items()} == {
        kind: kind for kind in kinds
    }


def test_rows_are_identified_by_numbers_in_order_or_by_a_key(rng: np.random.Generator) -> None:
    incomes = rng.choice(np.arange(10_000, 90_000), ROWS, replace=False)
    columns = {
        "number": pd.Series(range(1, ROWS + 1)),
        "gaps": pd.Series(np.arange(ROWS) * 3 + 5),
        "customer_id": pd.Series(incomes),
        "income": pd.Series(incomes),
        "uuid": pd.Series([f"{value:08x}-{value * 7:x}" for value in incomes]),
        "measure": pd.Series(rng.normal(size=ROWS)),
    }
    kinds = {name: profile(cells.rename(name)).kind for name, cells in columns.items()}
    assert kinds == {
        "number": "identifier",
        "gaps": "identifier",
        "customer_id": "identifier",
        # another one in every row, yet a quantity
        "income": "integer",
        "uuid": "identifier",
        "measure": "number",
    }


def test_text_of_thousands_of_levels_is_a_feature_and_free_text_is_not(
    table: pd.DataFrame, rng: np.random.Generator
) -> None:
    words = np.array([f"w{number}" for number in range(300)])
    table["title"] = [f"title {number}" for number in rng.integers(0, 250, ROWS)]
    table["comment"] = [" ".join(rng.choice(words, 9)) for _ in range(ROWS)]
    table["when"] = [f"{day:02d}/03/24" for day in rng.integers(1, 28, ROWS)]
    guesses = guess(table)
    assert codes(guesses) == {"comment": "free_text", "when": "free_text"}
    assert "title" in guesses.features
    assert guesses.left_out["comment"].numbers["values"] == ROWS


# --- the target -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "positive"),
    [
        (["no", "yes"], "yes"),
        (["Não", "Sim"], "Sim"),
        ([0, 1], "1"),
        ([False, True], "True"),
        (["good", "bad"], "bad"),
        (["alive", "dead"], "dead"),
        (["Remote", "Not remote"], "Remote"),
        (["benign", "malignant"], "malignant"),
        (["Down", "Up"], "Up"),
        (["female", "male"], "male"),
        (["alpha", "alpha", "alpha", "alpha", "beta"], "beta"),
    ],
    ids=str,
)
def test_the_positive_class_is_what_is_asked_about(
    table: pd.DataFrame, cells: list[object], positive: str
) -> None:
    table["target"] = (cells * ROWS)[:ROWS]
    guesses = guess(table.drop(columns="churn"))
    assert (guesses.target.value, guesses.positive.value) == ("target", positive)
    share = (table["target"].astype(str) == positive).mean()
    assert guesses.share == pytest.approx(share)


def test_the_target_is_chosen_by_name_and_place(table: pd.DataFrame) -> None:
    table.insert(0, "gender", np.tile(["f", "m"], ROWS // 2))
    assert guess(table[["gender", "churn", "age", "city"]]).target.value == "churn"
    # by its place, where no name says it
    assert guess(table.rename(columns={"churn": "xyz"})).target.value == "xyz"
    guesses = guess(table)
    assert guesses.target.alternatives[0] == "gender"
    assert str(guesses.target.reason).startswith("'churn' has 2 values; ")


def test_of_three_classes_a_chosen_one_is_predicted_against_the_rest(table: pd.DataFrame) -> None:
    guesses = guess(table.drop(columns="churn"), target="city", positive="Natal")
    assert set(guesses.positive.alternatives) == {"Recife", "Olinda"}
    spec = tomllib.loads(guesses.project_file("towns", "Towns"))
    assert spec["columns"]["city"] == {"type": "label", "positive_values": ["Natal"]}
    assert (spec["positive"], spec["negative"]) == ("Natal", "other than Natal")
    with messages.speaking("pt"):
        assert tomllib.loads(guesses.project_file("towns", "x"))["negative"] == (
            "diferente de Natal"
        )


def test_missing_labels_are_counted_and_may_be_the_current_rows(table: pd.DataFrame) -> None:
    few = table.assign(churn=table["churn"].mask(table.index < 6))
    guesses = guess(few)
    assert (guesses.labelled, guesses.sampled) == (ROWS - 6, ROWS)
    assert guesses.current.value.by == "random"
    assert Cut("labels") in guesses.current.alternatives
    many = table.assign(churn=table["churn"].mask(table.index < 100))
    assert guess(many).current.value == Cut("labels")


def test_a_target_that_cannot_be_one_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="A target needs two or a few distinct values"):
        guess(table, target="age")
    with pytest.raises(InputError, match=r"'chrun' does not exist\. Choose from: churn"):
        guess(table, target="chrun")
    with pytest.raises(InputError, match=r"No row has churn = maybe\. Its values are: "):
        guess(table, target="churn", positive="maybe")
    nothing = guess(table[["age"]].assign(twice=2 * table["age"]))
    assert nothing.target.value == ""
    with pytest.raises(InputError, match="A target needs two or a few distinct values"):
        nothing.project_file("x", "X")
    with pytest.raises(InputError, match="has no rows"):
        guess(table.head(0))


# --- roles ----------------------------------------------------------------------------------------


def test_roles_are_guessed_and_are_no_features(
    table: pd.DataFrame, rng: np.random.Generator
) -> None:
    table["row"] = range(ROWS)
    table["order_id"] = [f"o-{number:05d}" for number in range(ROWS)]
    table["customer_id"] = rng.integers(0, 150, ROWS)
    table["created_at"] = pd.date_range("2023-01-01", periods=ROWS, freq="12h", tz="UTC")
    table["born"] = pd.to_datetime("1990-01-01") + pd.to_timedelta(
        rng.integers(0, 9000, ROWS), unit="D"
    )
    table["weight"] = np.exp(rng.normal(3, 2, ROWS))
    guesses = guess(table)
    roles = ("id", "group", "time", "weights")
    assert [getattr(guesses, role).value for role in roles] == [
        "order_id",
        "customer_id",
        "created_at",
        "weight",
    ]
    assert guesses.features == ("age", "city")
    assert codes(guesses) == dict.fromkeys(("row", "customer_id", "born"), "identifier")
    # the beginning of the month nearest to the last 30%
    assert guesses.current.value == Cut("date", column="created_at", start="2023-08-01")
    spec = tomllib.loads(guesses.project_file("orders", "Orders"))
    assert spec["rows"] == {"by": "date", "column": "created_at", "start": "2023-08-01"}
    assert spec["columns"]["created_at"] == {"type": "date"}
    none = guesses.with_(id="", time="", group="", weights="")
    assert [getattr(none, role).value for role in roles] == [""] * 4
    assert "weight" in none.features
    assert not {"id", "time", "group", "weights"} & set(tomllib.loads(none.project_file("a", "A")))


def test_a_bodys_weight_is_a_feature(table: pd.DataFrame, rng: np.random.Generator) -> None:
    table["weight"] = rng.normal(75, 12, ROWS)
    guesses = guess(table)
    assert (guesses.weights.value, guesses.weights.alternatives) == ("", ("weight",))
    assert "weight" in guesses.features


def test_a_column_that_says_what_rows_are_for_is_the_cut(table: pd.DataFrame) -> None:
    table.insert(0, "split", np.where(table.index < 400, "train", "test"))
    guesses = guess(table)
    assert guesses.current.value == Cut(
        "value", column="split", production="test", development="train"
    )
    assert "split" not in guesses.features
    assert {cut.by for cut in guesses.current.alternatives} == {"random", "none"}


def test_dates_of_other_forms_are_a_time_and_cut_the_rows(table: pd.DataFrame) -> None:
    days = pd.Timestamp(2024, 1, 1) + pd.to_timedelta(np.arange(len(table)) % 300, "D")
    iso = guess(table.assign(when=days.strftime("%Y-%m-%d")))
    for form, pattern in (("day-month-year", "%d/%m/%Y"), ("month-day-year", "%m.%d.%Y")):
        guesses = guess(table.assign(when=days.strftime(pattern)))
        assert guesses.time.value == "when"
        assert guesses.current.value == iso.current.value
        spec = project.parse(guesses.project_file("one", "One"))
        assert (spec.columns["when"].type, spec.columns["when"].date_form) == ("date", form)


def test_an_id_with_repeated_values_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="'city' has repeated or missing values"):
        guess(table, id="city")
    with pytest.raises(InputError, match="'city' has neither numbers nor dates"):
        guess(table, time="city")


# --- leaks ----------------------------------------------------------------------------------------


def test_leaks_are_left_out_and_one_choice_allows_them(
    table: pd.DataFrame, rng: np.random.Generator
) -> None:
    positive = (table["churn"] == "yes").to_numpy()
    half = rng.random(ROWS) < 0.5
    table["copy"] = np.where(positive, "gone", "here")
    table["last_call"] = np.where(positive, rng.integers(1, 9, ROWS), np.nan)
    # filled for half of the positive rows only
    table["complaint"] = np.where(positive & half, rng.choice(["a", "b"], ROWS), None)
    table["state"] = np.where(positive & half, "closed", rng.choice(["new", "old"], ROWS))
    table["due"] = rng.normal(size=ROWS)
    table["done"] = table["due"] + np.where(positive, 1.0, -1.0) * rng.random(ROWS) * 0.1
    table["prediction"] = positive * 0.5 + rng.random(ROWS)
    table["churn_reason"] = np.where(rng.random(ROWS) < 0.8, positive, ~positive).astype(int)
    guesses = guess(table[[*table.columns.drop("churn"), "churn"]])
    assert codes(guesses) == {
        "copy": "too_good",
        "last_call": "holes",
        "complaint": "holes",
        "state": "one_class",
        "done": "too_good",
        "prediction": "afterwards",
        "churn_reason": "afterwards",
    }
    assert guesses.left_out["done"].numbers["other"] == "due"
    assert guesses.left_out["state"].numbers["values"] == ["closed"]
    # a class is called as the table calls it
    assert "only for label 'yes'" in str(guesses.left_out["last_call"].reason)
    allowed = guesses.with_(allowed=["state"])
    assert allowed.allowed == ("state",)
    assert "state" in allowed.features
    spec = tomllib.loads(allowed.project_file("x", "X"))
    assert spec["allowed"] == ["state"]
    assert spec["left_out"]["copy"] == "too_good"
    assert "state" not in spec["left_out"]


def test_strong_features_and_honest_holes_are_no_leaks(rng: np.random.Generator) -> None:
    rows = 4000
    signal = rng.normal(size=rows)
    label = (signal + rng.normal(0, 0.8, rows) > 1).astype(int)
    table = pd.DataFrame(
        {
            # alone a ROC AUC of 0.9
            "strong": signal,
            "weak": signal + rng.normal(0, 3, rows),
            "holes": np.where(rng.random(rows) < 0.4, np.nan, rng.normal(size=rows)),
            # missing more often for the negative rows
            "tilted": np.where(rng.random(rows) < 0.6 - 0.4 * label, np.nan, 1.5),
            "rare": np.where(rng.random(rows) < 0.004, "rare", "usual"),
            "label": label,
        }
    )
    guesses = guess(table)
    assert guesses.alone["strong"] > 0.85
    assert codes(guesses) == {}


def test_alike_columns_that_separate_the_classes_are_no_leaks(rng: np.random.Generator) -> None:
    size = rng.normal(size=2000)
    label = (size + rng.normal(0, 0.15, 2000) > 0).astype(int)
    table = pd.DataFrame(
        {name: size + rng.normal(0, 0.1, 2000) for name in ("radius", "perimeter", "area")}
    ).assign(label=label)
    guesses = guess(table)
    assert min(guesses.alone.values()) > 0.95
    assert codes(guesses) == {}


def test_few_rows_suspect_nothing(table: pd.DataFrame) -> None:
    table["copy"] = table["churn"]
    assert codes(guess(table.head(60), target="churn")) == {}


# --- what follows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "way"), [(0.05, "f1"), (0.4, "fixed"), (0.9, "fixed")])
def test_rare_positives_change_threshold_and_metric(
    table: pd.DataFrame, rng: np.random.Generator, share: float, way: str
) -> None:
    table["churn"] = np.where(rng.random(ROWS) < share, 1, 0)
    guesses = guess(table)
    assert guesses.threshold_by.value == way
    assert guesses.metric.value == ("average_precision" if way == "f1" else "log_loss")
    assert guesses.with_(threshold_by="cost").threshold_by.value == "cost"
    assert guesses.is_rare == (way == "f1")
    spec = project.parse(guesses.project_file("rare", "Rare").encode(), "rare.toml")
    assert (spec.metric, spec.balanced) == (guesses.metric.value, False)
    other = guesses.with_(metric="roc_auc", balanced=True)
    assert other.metric.alternatives[0] == guesses.metric.value
    spec = project.parse(other.project_file("rare", "Rare").encode(), "rare.toml")
    assert (spec.metric, spec.balanced) == ("roc_auc", True)


def test_names_may_be_any_text(table: pd.DataFrame) -> None:
    names = ['a "quoted" name', "um espaço e acentuação", "back\\slash", "per.cent %", "x=1", "é\n"]
    for place, name in enumerate(names):
        table[name] = (np.arange(ROWS) * (place + 2)) % (place + 7)
    table["courtside_id"] = range(ROWS)
    guesses = guess(table[[*table.columns.drop("churn"), "churn"]])
    assert guesses.features == ("age", "city", *names)
    spec = tomllib.loads(guesses.project_file("names", 'A "title"'))
    assert spec["features"] == ["age", "city", *names]
    assert set(spec["columns"]) == {"age", "city", *names, "churn"}
    assert spec["title"] == 'A "title"'


def test_a_person_changes_a_guess_and_the_rest_follows(table: pd.DataFrame) -> None:
    table["member"] = np.tile(["Y", "N", "N"], ROWS // 3)
    guesses = guess(table)
    other = guesses.with_(target="member", types={"age": "text"}, left_out=["city"])
    assert (other.target.value, other.positive.value) == ("member", "Y")
    assert (other.types["age"].value, codes(other)) == ("text", {"city": "chosen"})
    assert other.features == ("age", "churn")
    spec = tomllib.loads(other.project_file("x", "X"))
    assert spec["columns"]["member"] == {
        "type": "label",
        "positive_values": ["Y"],
        "negative_values": ["N"],
    }
    assert spec["columns"]["churn"] == {"type": "boolean"}
    # what was chosen before is kept
    assert other.with_(id="").choices.target == "member"


def test_a_derived_target_gives_its_source_away(rng: np.random.Generator) -> None:
    planned = rng.integers(0, 1000, 3000).astype(float)
    delay = rng.normal(0, 20, 3000)
    table = pd.DataFrame(
        {"sched_arr": planned, "arr": planned + delay, "delay": delay, "late": delay > 15}
    )
    guesses = guess(table, target="late")
    assert guesses.positive.value == "True"
    assert codes(guesses) == {"arr": "too_good", "delay": "too_good"}


def test_guesses_are_json_in_the_current_language(table: pd.DataFrame) -> None:
    with messages.speaking("pt"):
        guesses = guess_json.of(guess(table))
    assert guesses["target"]["value"] == "churn"
    assert guesses["current"]["value"] == {"by": "random", "share": 0.3, "seed": 24}
    assert guesses["labels"]["labelled"] == ROWS
    assert guesses["target"]["reason"].startswith("'churn' tem 2 valores; ")
    assert [column["column"] for column in guesses["columns"]] == ["age", "city", "churn"]


# --- reading --------------------------------------------------------------------------------------


def test_rows_are_spread_over_the_file(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "key": np.arange(50_000),
            "note": [f'line "{number}"\nand, more' for number in range(50_000)],
            "value": np.arange(50_000) / 4,
        }
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        some = guess_sample.read_some(tmp_path / name, rows=5000)
        # a text of two lines counts as two rows before it is read
        assert 2000 <= len(some) <= 5000
        assert some["key"].is_monotonic_increasing
        # from each tenth of the file
        assert (np.bincount(some["key"] // 5000, minlength=10) > 150).all()
        # no row is cut, though texts hold line ends
        assert (some["value"] == some["key"] / 4).all()
        assert (some["note"].astype(str) == frame["note"].loc[some["key"]].to_numpy()).all()
        assert some.attrs["unique"][0] == "key"
    assert guess_sample.is_unique(tmp_path / "a.csv", "key")
    whole = guess_sample.read_some(tmp_path / "a.parquet")
    assert (len(whole), whole.attrs["rows"]) == (50_000, 50_000)


def test_a_key_that_repeats_beyond_the_sample_is_none(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [*range(4999), 1], "x": 1.5})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv", index=False)
    some = guess_sample.read_some(tmp_path / "a.parquet", rows=100)
    assert some["id"].is_unique
    assert some.attrs["unique"] == []
    assert not guess_sample.is_unique(tmp_path / "a.csv", "id")


def test_dialects_and_marks_of_missing_values_are_read(tmp_path: Path) -> None:
    text = "código;valor;quando;nota\n007;1.234,5;2024-01-02;ação\n010;NA;2024-02-02;NA\n"
    (tmp_path / "a.csv").write_bytes(text.encode("cp1252"))
    some = guess_sample.read_some(tmp_path / "a.csv")
    assert some["código"].tolist() == ["007", "010"]
    assert some["valor"].tolist()[0] == 1234.5
    assert np.isnan(some["valor"].tolist()[1])
    # in text NA may be a country
    assert some["nota"].tolist() == ["ação", "NA"]
    (tmp_path / "b.csv").write_text("a,b,\n1,x,\n2,,\n")
    assert guess_sample.read_some(tmp_path / "b.csv").columns.tolist() == ["a", "b"]
    (tmp_path / "c.csv").write_text("a\rb c\rd\r")
    assert guess_sample.read_some(tmp_path / "c.csv")["a"].tolist() == ["b c", "d"]


def test_a_zip_holds_a_single_table(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.writestr("table.csv", "a,b\n1,x\n2,y\n")
    some = guess_sample.read_some(tmp_path / "one.zip")
    assert (some.shape, some.attrs["file"]) == ((2, 2), "table.csv")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
        archive.writestr("b.csv", "a\n1\n")
    with pytest.raises(InputError, match=r"contains 2 tables: 'a.csv' and 'b.csv'"):
        guess_sample.read_some(tmp_path / "two.zip")
    with pytest.raises(InputError, match="not a CSV or parquet file"):
        guess_sample.read_some(tmp_path / "table.xlsx")


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (("lat", "lon"), ("lon", "lat")),
        (("Latitude", "Longitude"), ("Longitude", "Latitude")),
        (("loc_x", "loc_y"), ("loc_x", "loc_y")),
        (("X", "Y"), ("X", "Y")),
        (("start_station_latitude", "start_station_longitude"), None),
        (("startLat", "startLng"), ("startLng", "startLat")),
        (("easting", "northing"), ("easting", "northing")),
        (("lat", "y"), ()),
        (("plateau", "long_name"), ()),
    ],
)
def test_coordinates_are_a_place(
    table: pd.DataFrame, rng: np.random.Generator, names: tuple[str, str], place: tuple[str, ...]
) -> None:
    table = table.assign(**{name: rng.normal(40, 5, ROWS).round(4) for name in names})
    guesses = guess(table)
    expected = names[::-1] if place is None else place
    assert guesses.place.value == expected
    spec = project.parse(guesses.project_file("places", "Places"))
    assert (spec.place is None) == (not expected)
    if expected:
        assert (spec.place.x, spec.place.y) == expected
        assert guesses.with_(place=()).place.alternatives == (expected,)
        assert project.parse(guesses.with_(place=()).project_file("places", "P")).place is None


def test_coordinates_of_few_values_are_none(table: pd.DataFrame, rng: np.random.Generator) -> None:
    table = table.assign(x=rng.integers(0, 3, ROWS), y=rng.integers(0, 3, ROWS))
    assert guess(table, target="churn").place.value == ()


def test_a_chosen_time_offers_a_cut_by_date() -> None:
    days = pd.date_range("2024-01-01", periods=600).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"day": days, "x": range(600), "churn": ["no", "yes", "no"] * 200})
    guesses = guess(frame).with_(time="day")
    assert guesses.current.value.by == "date"
    # a number has an order too, and no day to cut at
    assert guess(frame).with_(time="x").time.value == "x"


def test_a_part_of_time_that_only_says_when_a_row_is_is_no_feature(
    rng: np.random.Generator,
) -> None:
    moments = pd.date_range("2023-07-03", "2024-06-30", periods=ROWS)
    # another zone has the month of before for some hours
    local = moments - pd.Timedelta(hours=14)
    table = pd.DataFrame(
        {
            "seen": moments.strftime("%Y-%m-%d"),
            "month": local.month,
            "weekday": moments.weekday,
            "size": rng.normal(size=ROWS),
            "late": rng.choice(["yes", "no"], ROWS),
        }
    )
    guesses = guess(table, rows=Cut("date", column="seen", start="2024-01-01"))
    assert codes(guesses)["month"] == "identifier"
    assert {"weekday", "size"} <= set(guesses.features)
    # its values are in both parts of the rows now
    assert "month" in guesses.with_(rows=Cut("random", share=0.3, seed=24)).features
    assert "month" in guesses.with_(allowed=("month",)).features


def test_a_file_of_one_column_is_said_to_be_no_table() -> None:
    lines = pd.DataFrame({"minutes of the meeting": [f"sentence {n}" for n in range(40)]})
    assert "Only one column was read" in str(guess(lines).target.reason)


def bookings(rng: np.random.Generator, marks: tuple[str, str] = ("n/d", "n/d")) -> str:
    """Return hotel bookings as a spreadsheet in Brazil exports them, 4% of the numbers missing."""
    ahead = rng.gamma(1.5, 30, ROWS).astype(int)
    price = rng.lognormal(5.7, 0.35, ROWS).round(2)
    cancelled = rng.random(ROWS) < 0.1 + ahead / 400
    lines = ["Nº da reserva;Dia;Antecedência (dias);Diária média (R$);Área do quarto;Cancelou?"]
    for row in range(ROWS):
        money = f"{price[row]:,.2f}".translate(str.maketrans(",.", ".,"))
        cells = [f"R{10_000 + row}", f"{row % 28 + 1:02d}/{row // 50 + 1:02d}/2024"]
        cells += [marks[0] if row % 25 == 3 else str(ahead[row])]
        cells += [marks[1] if row % 25 == 7 else money]
        cells += [f"{20 + row % 170 / 10:.1f} m²".replace(".", ",")]
        lines.append(";".join([*cells, "sim" if cancelled[row] else "não"]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("marks", "written"),
    [
        (("n/d", "n/d"), ["n/d"]),
        (("-", "--"), ["-", "--"]),
        (("ND", "Não informado"), ["ND", "Não informado"]),
        (("?", "s/d"), ["?", "s/d"]),
        # what is repeated among so many numbers stands for no number either
        (("a combinar", "N/D"), ["a combinar", "N/D"]),
    ],
)
def test_texts_for_missing_numbers_are_read_as_missing_and_named_in_the_project_file(
    marks: tuple[str, str], written: list[str], rng: np.random.Generator, tmp_path: Path
) -> None:
    path = tmp_path / "reservas.csv"
    path.write_text(bookings(rng, marks), encoding="utf-8")
    guesses = guess(guess_sample.read_some(path))
    types = {name: line.value for name, line in guesses.types.items()}
    names = ("Antecedência (dias)", "Diária média (R$)")
    assert [types[name] for name in names] == ["integer", "number"]
    for name, mark in zip(names, marks, strict=True):
        assert f"96% of the values are of type number; read as missing: '{mark}'." in str(
            guesses.types[name].reason
        )
    spec = project.parse(guesses.project_file("reservas", "Reservas").encode(), "a.toml")
    assert list(spec.missing_values) == written
    frame = tables.read(path, columns=spec.source_columns)
    found = schema.inspect(frame, spec.source_columns)
    assert not found.errors
    assert found.frame[list(names)].isna().mean().tolist() == [0.04, 0.04]
    # kept as text, a mark is a value
    kept = guesses.with_(types={names[0]: "text"})
    of_text = project.parse(kept.project_file("reservas", "Reservas").encode(), "a.toml")
    assert list(of_text.missing_values) == written[len(written) - 1 :]
    assert names[1] in guesses.features


def test_numbers_with_few_or_telling_texts_stay_text(tmp_path: Path) -> None:
    def of(cells: list[str]) -> Guesses:
        labels = ["yes", "no"] * (len(cells) // 2)
        lines = [f"{cell},{label}" for cell, label in zip(cells, labels, strict=True)]
        (tmp_path / "a.csv").write_text("\n".join(["x,y", *lines]), encoding="utf-8")
        return guess(guess_sample.read_some(tmp_path / "a.csv"))

    numbers = [str(number / 4) for number in range(96)]
    for others in (["10+"] * 4, ["many", "few", "n/d", "n/d"], ["a", "b", "c", "d"] * 6):
        guesses = of(numbers + others)
        line = guesses.types["x"]
        assert (line.value, "number" in line.alternatives) == ("text", False)
        with pytest.raises(InputError, match="of 'x' cannot be read as type number: "):
            guesses.with_(types={"x": "number"})
    assert of(["7.5", "n/d"] * 40).types["x"].value == "number"
    # codes keep their zeros, but may be numbers; unknown among words is a value
    codes = of(["007", "008"] * 40).types["x"]
    assert (codes.value, codes.alternatives) == ("text", ("number", "integer"))
    assert of(["red", "unknown", "n/d", "blue"] * 20).columns[0].missing == 0


def test_yes_and_no_with_marks_are_truth_values(tmp_path: Path, rng: np.random.Generator) -> None:
    def of(words: list[str]) -> tuple[Guesses, Path]:
        path = tmp_path / "a.csv"
        cells = rng.permutation(words * 25)
        lines = [f"{cell},{row / 8},{rng.integers(2)}" for row, cell in enumerate(cells)]
        path.write_text("\n".join(["paid,x,y", *lines]) + "\n", encoding="utf-8")
        return guess(guess_sample.read_some(path), target="y"), path

    guesses, path = of(["sim", "não", "sim", "n/d", ""])
    line = guesses.types["paid"]
    column = guesses.columns[0]
    assert (line.value, column.missing, column.distinct) == ("boolean", 50, 2)
    assert "75% of the values are of type yes or no; read as missing: 'n/d'." in str(line.reason)
    spec = project.parse(guesses.project_file("paid", "Paid").encode(), "a.toml")
    assert list(spec.missing_values) == ["n/d"]
    inspected = schema.inspect(tables.read(path, columns=spec.source_columns), spec.source_columns)
    assert not inspected.errors
    paid = inspected.frame["paid"]
    assert ((paid == 1).sum(), (paid == 0).sum(), paid.isna().sum()) == (50, 25, 50)
    # another text may say more than that the value is missing, as may marks of most rows
    for words in (["yes", "no", "no service"], ["yes", "no", "n/d", "n/d", "?", "?"]):
        assert of(words)[0].types["paid"].value == "text"


def test_dates_with_marks_are_dates(tmp_path: Path) -> None:
    days = [f"{day % 28 + 1:02d}/{day % 12 + 1:02d}/2024" for day in range(96)]
    for cells in (days, [f"2024-{day % 12 + 1:02d}-{day % 28 + 1:02d}" for day in range(96)]):
        column = profile(pd.Series([*cells, "s/d", "s/d", "-", "?"], name="when"))
        assert (column.kind, column.missing, sum(column.marks.values())) == ("date", 4, 4)
        # the same from the categories of a file
        column = profile(pd.Series([*cells, "s/d", "s/d"], name="when", dtype="category"))
        assert (column.kind, dict(column.marks)) == ("date", {"s/d": 2})
    assert profile(pd.Series([*days, "one", "two", "three"], name="when")).kind != "date"


def test_a_type_is_offered_where_the_values_have_it(rng: np.random.Generator) -> None:
    table = pd.DataFrame(
        {
            "count": rng.integers(0, 3, ROWS),
            "flag": rng.integers(0, 2, ROWS),
            "share": rng.random(ROWS),
            "day": pd.date_range("2024-01-01", periods=ROWS).strftime("%Y-%m-%d"),
            "word": rng.choice(["yes", "maybe"], ROWS),
            "churn": rng.choice(["yes", "no"], ROWS),
        }
    )
    guesses = guess(table, target="churn")
    able = {name: {line.value, *line.alternatives} for name, line in guesses.types.items()}
    assert able == {
        "count": {"text", "number", "integer"},
        "flag": {"text", "number", "integer", "boolean"},
        "share": {"text", "number"},
        "day": {"text", "date"},
        "word": {"text"},
        "churn": {"label"},
    }


def test_a_unit_that_keeps_numbers_text_is_named(rng: np.random.Generator, tmp_path: Path) -> None:
    path = tmp_path / "reservas.csv"
    path.write_text(bookings(rng), encoding="utf-8")
    guesses = guess(guess_sample.read_some(path))
    assert guesses.types["Área do quarto"].value == "text"
    assert "'m²'" in str(guesses.types["Área do quarto"].reason)


@pytest.mark.parametrize(
    ("target", "classes", "positive", "english", "portuguese"),
    [
        ("Cancelou?", ["não", "sim"], "sim", "Cancelou?", "Cancelou?"),
        ("churn", ["no", "yes"], "yes", "Churn?", "Churn?"),
        ("y", ["no", "yes"], "yes", "Is y yes?", "y é yes?"),
        ("grade", ["reject", "premium"], "premium", "Is grade premium?", "grade é premium?"),
        (
            "Qual é a nota?",
            ["A", "B"],
            "A",
            "Is the answer to “Qual é a nota?” A?",
            "A resposta a “Qual é a nota?” é A?",
        ),
    ],
)
def test_the_question_suits_the_name_of_the_target(
    target: str, classes: list[str], positive: str, english: str, portuguese: str
) -> None:
    table = pd.DataFrame({"x": range(100), target: classes * 50})
    guesses = guess(table, target=target, positive=positive)
    assert guesses.question == english
    with messages.speaking("pt"):
        assert guesses.question == portuguese


def test_a_row_with_too_many_values_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "ragged.csv"
    path.write_text("a,b,grade\n" + "1,2,good\n" * 18 + "1,2,good,extra,7\n" + "1,2\n")
    with pytest.raises(InputError, match=r"line 20 has 5 values instead of 3\.$"):
        guess_sample.read_some(path)
    path.write_text("a,b,grade\n" + "1,2,good\n" * 90_000 + "1,2,good,extra,7\n" * 30_000)
    with pytest.raises(InputError, match=r": a line has 5 values instead of 3\.$"):
        guess_sample.read_some(path, rows=1000)


def test_a_number_with_thousands_is_one_wherever_it_first_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x;y\n" + "348,78;1\n" * 1500 + "1.212,60;0\n1.212;0\n", encoding="utf-8")
    column = {"x": Column(type="number"), "y": Column(type="integer")}
    found = schema.inspect(tables.read(path, columns=column), column)
    assert found.frame["x"].iloc[1500] == 1212.6
    # which of both signs this has is open
    assert [finding.rows for finding in found.findings] == [1]
