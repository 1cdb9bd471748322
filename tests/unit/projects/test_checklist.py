"""The checklist is computed: without facts it is open, and each missing fact opens its line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.documents.dossier import Facts
from core.projects.kobe import checklist
from tests.unit.documents.sample_facts import SPEC, changed, complete_facts, report, without

PAGES = {path.parent.name for path in Path("pages").glob("*/page.py")}


def states(facts: Facts) -> dict[str, str]:
    return {line.number: line.state for line in checklist.inspect(facts)}


@functools.cache
def complete_states() -> dict[str, str]:
    return states(complete_facts())


def test_a_life_cycle_that_meets_the_brief_has_no_open_line() -> None:
    lines = checklist.inspect(complete_facts())
    assert [(item.number, item.evidence) for item in lines if item.state != "met"] == []
    assert not any(item.todo for item in lines)
    run_ids = {item.run_id for item in complete_facts().runs.values()} | {
        item.run_id for item in complete_facts().candidates
    }
    assert {item.run_id for item in lines} - {""} <= run_ids
    assert sum(bool(item.run_id) for item in lines) > len(lines) / 2


def test_an_empty_home_meets_nothing_that_needs_a_run_and_says_what_to_do() -> None:
    lines = checklist.inspect(Facts(SPEC))
    # the diagram is drawn from the code
    assert {line.number for line in lines if line.state == "met"} == {"2.1"}
    for line in lines:
        assert line.page in PAGES, line.number
        assert str(line.evidence).endswith(".")
        assert str(line.todo).endswith(".") == (line.state != "met")
        assert not line.run_id
        assert not line.path


def test_the_lines_have_numbers_of_their_own_and_answer_every_point_of_the_grader() -> None:
    lines = checklist.inspect(Facts(SPEC))
    numbers = [line.number for line in lines]
    assert len(set(numbers)) == len(numbers)
    order = [tuple(map(int, number.split("."))) for number in numbers]
    assert order == sorted(order)
    assert len(checklist.POINTS) == 23
    assert {point for line in lines for point in line.graded} == set(range(1, 24))
    assert {paragraph for paragraph, _line in order} == set(range(1, 11))


CASES: dict[str, tuple[str, str, Callable[[Facts], Facts]]] = {
    "other rows": (
        "6.8",
        "`(20280, 7)` instead of `(20285, 7)`.",
        lambda facts: replace(
            changed(facts, "prepare", metrics={"rows_filtered": 20_280.0}),
            files={
                **facts.files,
                "data/03_primary/data_filtered.parquet": replace(
                    facts.files["data/03_primary/data_filtered.parquet"], rows=20_280
                ),
            },
        ),
    ),
    "another file": (
        "6.8",
        "`(9, 7)` instead of `(20285, 7)`.",
        lambda facts: replace(
            facts,
            files={
                **facts.files,
                "data/03_primary/data_filtered.parquet": replace(
                    facts.files["data/03_primary/data_filtered.parquet"], rows=9
                ),
            },
        ),
    ),
    "imputed": (
        "6.5",
        "`impute` instead of `drop`.",
        lambda facts: changed(facts, "prepare", params={"missing": "impute"}),
    ),
    "other features": (
        "6.6",
        "`features`: `lat` instead of",
        lambda facts: changed(facts, "prepare", params={"features": "lat"}),
    ),
    "all rows": (
        "6.7",
        "`rows_kept`: `–` instead of",
        lambda facts: changed(facts, "prepare", params={"rows_kept": ""}),
    ),
    "in time": (
        "6.9",
        "`time` instead of `random`.",
        lambda facts: changed(facts, "prepare", params={"split": "time"}),
    ),
    "not stratified": (
        "6.9",
        "`base_rate_test`: `0.5` instead of",
        lambda facts: changed(facts, "prepare", metrics={"base_rate_test": 0.5}),
    ),
    "another share": (
        "6.10",
        "`0.3` instead of `0.2`.",
        lambda facts: changed(facts, "prepare", params={"test_share": "0.3"}),
    ),
    "another source": (
        "6.3",
        "instead of `xyz`.",
        lambda facts: changed(facts, "acquire", tags={"courtside.snapshot": "xyz"}),
    ),
    "no tree": (
        "2.4",
        "Missing: Decision tree.",
        lambda facts: replace(facts, candidates=facts.candidates[:2]),
    ),
    "in process": (
        "8.3",
        "`in_process` instead of `endpoint`.",
        lambda facts: changed(facts, "score", params={"way": "in_process", "served_port": ""}),
    ),
    "results gone": (
        "8.4",
        "Missing: `data/07_model_output/",
        lambda facts: replace(
            facts, files={path: file for path, file in facts.files.items() if "07_" not in path}
        ),
    ),
    "no labels": (
        "8.7",
        "The input has changed.",
        lambda facts: replace(facts, runs={**facts.runs, "monitor": report(labels=False)}),
    ),
    "no labels, both ways": (
        "8.8",
        "Missing: `performance`.",
        lambda facts: replace(facts, runs={**facts.runs, "monitor": report(labels=False)}),
    ),
    "few labels": (
        "10.2",
        "`99` instead of `100`.",
        lambda facts: changed(facts, "label", metrics={"rows": 99.0}),
    ),
    "nothing shipped": (
        "1.1",
        "Missing: `requirements.txt`.",
        lambda facts: replace(facts, shipped=facts.shipped - {"requirements.txt"}),
    ),
    "no replay": (
        "8.9",
        "The step Replay has not run yet.",
        lambda facts: without(facts, "replay"),
    ),
    "the test set was not compared": (
        "10.5",
        "Missing: `window = test`.",
        lambda facts: replace(facts, reports=facts.reports[:1]),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_fact_opens_its_line(case: str) -> None:
    number, words, change = CASES[case]
    by_number = {line.number: line for line in checklist.inspect(change(complete_facts()))}
    assert by_number[number].state == "partly"
    assert words in str(by_number[number].evidence)
    assert by_number[number].todo
    # and not all the others with it
    assert sum(line.state != "met" for line in by_number.values()) <= 6


@pytest.mark.parametrize("step", sorted(complete_facts().runs))
def test_without_a_run_its_own_lines_are_not_met(step: str) -> None:
    gone = without(complete_facts(), step)
    if step == "train":
        gone = replace(gone, candidates=(), versions=(), champion=None)
    before, after = complete_states(), states(gone)
    opened = {number for number, state in after.items() if state != before[number]}
    expected = {
        "acquire": {"6.1", "6.2", "6.3"},
        "prepare": {"6.4", "6.8", "6.9"},
        "train": {"2.2", "2.5", "7.1", "7.2", "8.1"},
        "promote": {"10.1"},
        "explain": set(),
        "serve": {"8.2"},
        "score": {"8.3", "8.4", "8.5"},
        "label": {"10.2"},
        "monitor": {"8.6", "8.7", "8.8", "10.3", "10.4"},
        "retrain": {"8.10"},
        "replay": {"8.9"},
    }[step]
    assert expected <= opened
    assert all(after[number] != "met" for number in opened)


def test_rows_of_the_sample_do_not_meet_the_requirements_for_real_rows() -> None:
    facts = complete_facts()
    for step in ("acquire", "prepare"):
        facts = changed(facts, step, tags={"courtside.sample": "true"})
    by_number = {line.number: line for line in checklist.inspect(facts) if line.state != "met"}
    assert by_number.keys() == {"6.1", "6.8"}
    assert all("built-in sample" in str(line.evidence) for line in by_number.values())
    assert all("real data" in str(line.todo) for line in by_number.values())
