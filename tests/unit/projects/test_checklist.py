"""The checklist is looked up: on nothing it is open, and each missing fact opens its line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.documents.dossier import Facts
from core.projects.kobe import checklist
from tests.unit.documents.made_facts import SPEC, changed, report, whole, without

PAGES = {path.parent.name for path in Path("pages").glob("*/page.py")}


def states(facts: Facts) -> dict[str, str]:
    return {one.number: one.state for one in checklist.inspect(facts)}


def test_a_life_cycle_that_meets_the_brief_has_no_open_line() -> None:
    found = checklist.inspect(whole())
    assert [(one.number, one.evidence) for one in found if one.state != "met"] == []
    assert not any(one.todo for one in found)
    kept = {one.run_id for one in whole().runs.values()} | {
        one.run_id for one in whole().candidates
    }
    assert {one.run_id for one in found} - {""} <= kept
    assert sum(bool(one.run_id) for one in found) > len(found) / 2


def test_an_empty_home_meets_nothing_that_needs_a_run_and_says_what_to_do() -> None:
    found = checklist.inspect(Facts(SPEC))
    # the diagram is drawn from the code
    assert {one.number for one in found if one.state == "met"} == {"2.1"}
    for one in found:
        assert one.page in PAGES, one.number
        assert one.evidence.endswith(".")
        assert one.todo.endswith(".") == (one.state != "met")
        assert not one.run_id
        assert not one.path


def test_the_lines_have_numbers_of_their_own_and_answer_every_point_of_the_grader() -> None:
    found = checklist.inspect(Facts(SPEC))
    numbers = [one.number for one in found]
    assert len(set(numbers)) == len(numbers)
    order = [tuple(map(int, number.split("."))) for number in numbers]
    assert order == sorted(order)
    assert len(checklist.POINTS) == 23
    assert {point for one in found for point in one.graded} == set(range(1, 24))
    assert {one.group for one in found} == set(checklist.GROUPS.values())


CASES: dict[str, tuple[str, str, Callable[[Facts], Facts]]] = {
    "other rows": (
        "6.8",
        "(20280, 7) instead of (20285, 7).",
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
        "and the file has (9, 7).",
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
        "in another way: impute.",
        lambda facts: changed(facts, "prepare", params={"missing": "impute"}),
    ),
    "other features": (
        "6.6",
        "Other features were taken: `lat`.",
        lambda facts: changed(facts, "prepare", params={"features": "lat"}),
    ),
    "all rows": (
        "6.7",
        "Other rows were taken: all.",
        lambda facts: changed(facts, "prepare", params={"rows_kept": ""}),
    ),
    "in time": (
        "6.9",
        "Divided by time;",
        lambda facts: changed(facts, "prepare", params={"split": "time"}),
    ),
    "not stratified": (
        "6.9",
        "50.00% in test",
        lambda facts: changed(facts, "prepare", metrics={"base_rate_test": 0.5}),
    ),
    "another share": (
        "6.10",
        "`test_share` is 0.3.",
        lambda facts: changed(facts, "prepare", params={"test_share": "0.3"}),
    ),
    "another source": (
        "6.3",
        "the raw data in use is xyz.",
        lambda facts: changed(facts, "acquire", tags={"courtside.snapshot": "xyz"}),
    ),
    "no tree": (
        "2.4",
        "has no Decision tree",
        lambda facts: replace(facts, candidates=facts.candidates[:2]),
    ),
    "in process": (
        "8.3",
        "not through the endpoint.",
        lambda facts: changed(facts, "score", params={"way": "in_process", "served_port": ""}),
    ),
    "results gone": (
        "8.4",
        "its table of results is gone.",
        lambda facts: replace(
            facts, files={path: one for path, one in facts.files.items() if "07_" not in path}
        ),
    ),
    "no labels": (
        "8.7",
        "labels have to say it.",
        lambda facts: replace(facts, runs={**facts.runs, "monitor": report(labels=False)}),
    ),
    "no labels, both ways": (
        "8.8",
        "0 checks with labels and 5",
        lambda facts: replace(facts, runs={**facts.runs, "monitor": report(labels=False)}),
    ),
    "few labels": (
        "10.2",
        "99 labels came in;",
        lambda facts: changed(facts, "label", metrics={"rows": 99.0}),
    ),
    "nothing shipped": (
        "1.1",
        "Not there: pinned requirements",
        lambda facts: replace(facts, shipped=facts.shipped - {"requirements.txt"}),
    ),
    "no replay": ("8.9", "lacks a fact:", lambda facts: without(facts, "replay")),
    "the test set was not laid over": (
        "10.5",
        "not laid over the training",
        lambda facts: replace(facts, reports=facts.reports[:1]),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_fact_that_is_not_as_asked_opens_its_line(case: str) -> None:
    number, words, change = CASES[case]
    found = {one.number: one for one in checklist.inspect(change(whole()))}
    assert found[number].state == "partly"
    assert words in found[number].evidence
    assert found[number].todo
    # and not all the others with it
    assert sum(one.state != "met" for one in found.values()) <= 6


@pytest.mark.parametrize("step", sorted(whole().runs))
def test_without_a_run_its_own_lines_are_not_met(step: str) -> None:
    gone = without(whole(), step)
    if step == "train":
        gone = replace(gone, candidates=(), versions=(), champion=None)
    before, after = states(whole()), states(gone)
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


def test_rows_of_the_sample_do_not_meet_what_is_asked_of_the_real_ones() -> None:
    facts = whole()
    for step in ("acquire", "prepare"):
        facts = changed(facts, step, tags={"courtside.sample": "true"})
    found = {one.number: one for one in checklist.inspect(facts) if one.state != "met"}
    assert found.keys() == {"6.1", "6.8"}
    assert all("built-in sample" in one.evidence for one in found.values())
    assert all("real source" in one.todo for one in found.values())
