"""Guesses about tables of other people; skipped where these are absent."""

from __future__ import annotations

import functools
import os
import time
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.data import guess_sample
from core.data.guess import Guesses, guess
from core.platform.config import CODE_ROOT

# file, target, positive class, suspected columns
TABLES = [
    ("Arrests.csv", "released", "Yes", {}),
    ("Caravan.csv", "Purchase", "Yes", {}),
    ("Default.csv", "default", "Yes", {}),
    ("HealthInsurance.csv", "insurance", "yes", {}),
    ("MplsStops.csv", "personSearch", "YES", {}),
    ("Smarket.csv", "Direction", "Up", {"Today": "too_good"}),
    ("SmokeBan.csv", "smoker", "yes", {}),
    ("TitanicSurvival.csv", "survived", "yes", {}),
    ("attrition.csv", "Attrition", "Yes", {}),
    ("credit_data.csv", "Status", "bad", {}),
    ("email.csv", "spam", "1", {}),
    (
        "employment_MA_reference.parquet",
        "employed",
        "1",
        {"prediction": "afterwards", "predicted_probability": "afterwards"},
    ),
    ("flchain.csv", "death", "1", {"futime": "afterwards", "chapter": "holes"}),
    ("lending_club.csv", "Class", "bad", {}),
    (
        "loans_full_schema.csv",
        "application_type",
        "joint",
        {
            "annual_income_joint": "holes",
            "verification_income_joint": "holes",
            "debt_to_income_joint": "holes",
        },
    ),
    # recorded after the crash
    ("nassCDS.csv", "dead", "dead", {"injSeverity": "too_good"}),
    ("penguins.csv", "sex", "male", {}),
    ("resume.csv", "received_callback", "1", {}),
    ("spam7.csv", "yesno", "y", {}),
    ("stackoverflow.csv", "Remote", "Remote", {}),
    ("wa_churn.csv", "churn", "Yes", {}),
]


@pytest.fixture
def tables() -> Path:
    """The folder of the tables; skips the test where it is absent."""
    raw = os.environ.get("COURTSIDE_RAW_DIR")
    folders = [CODE_ROOT.parent / "shared" / "data" / "tables"]
    folders += [Path(raw) / "tables"] if raw else []
    for folder in folders:
        if folder.is_dir():
            return folder
    pytest.skip(f"no tables of other people in {folders[0]}")


@functools.cache
def guessed(path: Path) -> tuple[Guesses, float]:
    """Return the guesses about a table, which no test changes, and their processor time."""
    before = time.process_time()
    return guess(guess_sample.read_some(path)), time.process_time() - before


def suspected(guesses: Guesses) -> dict[str, str]:
    return {name: out.code for name, out in guesses.left_out.items() if out.is_leak}


def rank_of(guesses: Guesses, target: str) -> int:
    return [guesses.target.value, *guesses.target.alternatives].index(target)


@pytest.mark.parametrize(("name", "target", "positive", "leaks"), TABLES, ids=lambda x: str(x)[:20])
def test_target_class_and_leaks_of_a_table(
    tables: Path, name: str, target: str, positive: str, leaks: dict[str, str]
) -> None:
    guesses, taken = guessed(tables / name)
    assert rank_of(guesses, target) < 3
    guesses = guesses.with_(target=target)
    assert guesses.positive.value == positive
    # every leak, and no false alarm
    assert suspected(guesses) == leaks
    spec = tomllib.loads(guesses.project_file("x", "X"))
    assert spec["target"] == target
    assert {*spec["features"]} <= {*spec["columns"]}
    # processor time, about a third of it on a machine that does nothing else
    assert taken < 3


def test_most_targets_are_ranked_first(tables: Path) -> None:
    ranks = {name: rank_of(guessed(tables / name)[0], target) for name, target, _, _ in TABLES}
    later = {name for name, rank in ranks.items() if rank > 0}
    assert later <= {"HealthInsurance.csv", "MplsStops.csv", "loans_full_schema.csv"}


def test_columns_that_give_a_late_arrival_away(tables: Path) -> None:
    flights = guess_sample.read_some(tables / "flights.parquet")
    assert (len(flights), flights.attrs["rows"]) == (100_000, 336_776)
    delay = flights["arr_delay"]
    flights["late"] = (delay > 15).astype("object").where(delay.notna())
    guesses = guess(flights, target="late")
    assert suspected(guesses) == {"arr_time": "too_good", "arr_delay": "too_good"}
    assert guesses.left_out["arr_time"].numbers["other"] == "sched_arr_time"
    assert (guesses.time.value, guesses.id.value) == ("time_hour", "")
    assert guesses.current.value.keys == {
        "by": "date",
        "column": "time_hour",
        "start": "2013-09-01",
    }
    # unlabelled flights did not arrive
    assert guesses.sampled - guesses.labelled == int(delay.isna().sum())


def test_roles_in_tables_of_other_people(tables: Path) -> None:
    crashes, _ = guessed(tables / "nassCDS.csv")
    assert (crashes.weights.value, crashes.group.value) == ("weight", "caseid")
    assert crashes.threshold_by.value == "f1"
    stops = guessed(tables / "MplsStops.csv")[0].with_(target="personSearch")
    assert (stops.id.value, stops.time.value) == ("idNum", "date")
    assert stops.sampled - stops.labelled == 8221
    species = guessed(tables / "penguins.csv")[0].with_(target="species")
    assert species.positive.value == "Chinstrap"
    spec = tomllib.loads(species.project_file("penguins", "Penguins"))
    assert spec["columns"]["species"] == {"type": "label", "positive_values": ["Chinstrap"]}


def test_a_sample_ranks_features_as_the_whole_table_does(tables: Path) -> None:
    whole = pd.read_parquet(tables / "employment_MA_analysis.parquet")
    some = guess_sample.read_some(tables / "employment_MA_analysis.parquet")
    assert some["employed"].mean() == pytest.approx(whole["employed"].mean(), abs=0.005)
    assert np.corrcoef(some["id"], np.arange(len(some)))[0, 1] > 0.999
    assert some.attrs["unique"] == ["id"]
