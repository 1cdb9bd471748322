"""Charter, data report, dictionary, model report and cards: from facts alone, and never empty."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from core.data import profile
from core.documents import texts as documents
from core.documents.dossier import (
    Bullets,
    Code,
    Document,
    Facts,
    Heading,
    Missing,
    Paragraph,
    RunFacts,
    Table,
)
from core.documents.texts import charter, data_dictionary, data_report, model_report, version_card
from core.platform import project
from core.platform.steps import STEPS
from tests.conftest import few_of
from tests.unit.documents import made_facts
from tests.unit.documents.made_facts import SPEC, changed, without
from tests.unit.documents.test_operation_documents import section, texts

MAKERS: dict[str, Callable[[Facts], Document]] = {
    "project_charter": charter.build,
    "data_report": data_report.build,
    "data_dictionary": data_dictionary.build,
    "model_report": model_report.build,
}
SHAPE = {
    "project_charter": [
        "Business background",
        "Scope",
        "Personnel",
        "Metrics",
        "Plan",
        "Architecture",
        "Communication",
    ],
    "data_report": [
        "General summary of the data",
        "Data quality summary",
        "Target variable",
        "Individual variables, and how they stand to the target",
        "Preparation",
        "Training and test set",
    ],
    "data_dictionary": ["Raw columns", "What the source holds", "Computed features"],
    "model_report": [
        "Baseline",
        "Approaches",
        "Candidates",
        "Whether the differences are more than chance",
        "Final model",
        "Threshold",
        "Where it errs",
        "Limits",
    ],
}


@pytest.fixture(scope="module")
def whole(shots: pd.DataFrame) -> Facts:
    """The made-up life cycle, with the tables that these documents read."""
    rows, facts = few_of(shots), made_facts.whole()
    comparison = pd.DataFrame(
        {"run_id": one.run_id, "name": one.name, **one.params, **one.metrics}
        for one in facts.candidates
    )
    paired = pd.DataFrame(
        {
            "model": ["K nearest neighbours"],
            "log_loss": [2.0],
            "difference": [1.3],
            "low": [1.1],
            "high": [1.5],
            "better": ["best"],
            "text": ["Worse by 1.3000."],
        }
    )
    slices = pd.DataFrame(
        {
            "column": ["period", "period"],
            "value": ["1", "2"],
            "rows": [60, 70],
            "base_rate": [0.4, 0.5],
            "mean_probability": [0.6, 0.5],
            "gap": [0.2, 0.0],
            "finding": ["biased", "ok"],
            "text": ["Too high.", "Nothing wrong beyond chance."],
        }
    )
    columns = profile.columns(rows, SPEC).assign(auc_alone=0.6)
    leaks = pd.DataFrame({"text": ["'action_type' is noted only after what is predicted."]})
    runs = {
        **facts.runs,
        "acquire": with_tables(facts.runs["acquire"], columns=columns, leakage=leaks),
        "train": with_tables(facts.runs["train"], comparison=comparison, paired=paired),
    }
    best = with_tables(facts.candidates[0], slices=slices)
    return replace(facts, runs=runs, candidates=(best, *facts.candidates[1:]))


def with_tables(run: RunFacts, **tables: pd.DataFrame) -> RunFacts:
    return replace(run, tables={**run.tables, **tables})


def earlier(whole: Facts, moment: str) -> Facts:
    """Return the facts as they are at a moment of the life cycle."""
    return {
        "nothing": Facts(SPEC),
        "acquired": replace(
            without(whole, *(set(whole.runs) - {"acquire"})),
            candidates=(),
            champion=None,
            versions=(),
            reports=(),
        ),
        "no champion": replace(whole, champion=None),
        "tables of runs gone": replace(
            whole, runs={step: replace(run, tables={}) for step, run in whole.runs.items()}
        ),
        "candidates gone": replace(whole, candidates=()),
        "everything": whole,
    }[moment]


def said(document: Document, title: str) -> str:
    """Return all that a section says."""
    return " ".join(texts(Document("", "", "", tuple(section(document, title)))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "moment",
    ["nothing", "acquired", "no champion", "tables of runs gone", "candidates gone", "everything"],
)
@pytest.mark.parametrize("name", MAKERS)
def test_no_section_is_empty_and_what_is_missing_names_a_step(
    whole: Facts, name: str, moment: str
) -> None:
    found = MAKERS[name](earlier(whole, moment))
    assert found.name == name
    for block, after in zip(found.blocks, (*found.blocks[1:], None), strict=True):
        if isinstance(block, Heading):
            assert after is not None, block.text
            assert not isinstance(after, Heading) or after.level > block.level, block.text
        if isinstance(block, Missing):
            assert block.step in {one.name for one in STEPS}
        if isinstance(block, Bullets):
            assert block.items
        if isinstance(block, Table):
            assert block.rows
            assert {len(row) for row in block.rows} == {len(block.columns)}
    for text in texts(found):
        assert not re.search(r"\bnan\b|\bNone\b", text), text
    missing = [block.text for block in found.blocks if isinstance(block, Missing)]
    if moment == "everything":
        assert missing == []
    if moment == "nothing":
        assert missing


@pytest.mark.parametrize("name", MAKERS)
def test_the_headings_are_those_of_the_template(whole: Facts, name: str) -> None:
    found = MAKERS[name](whole)
    assert [one.text for one in found.blocks if isinstance(one, Heading)] == SHAPE[name]


@pytest.mark.parametrize("name", MAKERS)
def test_every_figure_stands_in_a_text_that_links_to_its_run(whole: Facts, name: str) -> None:
    known = {one.run_id for one in (*whole.runs.values(), *whole.candidates, *whole.reports)}
    before = ""
    for block in MAKERS[name](whole).blocks:
        told = [block.text] if isinstance(block, Paragraph) else []
        if isinstance(block, Bullets):
            # the sentence that leads to a list may link for all of it
            told += [f"{before} {item}" for item in block.items]
        if isinstance(block, Table):
            told.append(" ".join([block.caption, *(cell for row in block.rows for cell in row)]))
        for text in told:
            links = re.findall(r"\]\(run:(\w+)\)", text)
            assert set(links) <= known, text
            if re.search(r"\d\.\d{3,}", text) and "Computed as" not in getattr(
                block, "columns", ()
            ):
                assert links, text
        before = block.text if isinstance(block, Paragraph) else ""


@pytest.mark.parametrize(
    ("low", "error", "reached"), [(0.01, 0.02, 2), (-0.01, 0.02, 1), (0.01, 0.05, 1)]
)
def test_the_charter_says_which_part_of_the_goal_was_reached(
    whole: Facts, low: float, error: float, reached: int
) -> None:
    best = whole.candidates[0]
    metrics = {
        **best.metrics,
        "skill_test_low": low,
        "calibration_error_test": error,
        "calibration_floor_test": 0.03,
    }
    facts = replace(whole, candidates=(replace(best, metrics=metrics), *whole.candidates[1:]))
    goals = [
        text for text in texts(charter.build(facts)) if re.match("(Reached|Not reached): ", text)
    ]
    assert len(goals) == 2
    assert sum(text.startswith("Reached") for text in goals) == reached
    assert f"{low:.4f} to {metrics['skill_test_high']:.4f}" in goals[0]
    assert f"{error:.4f}" in goals[1]


def test_the_baseline_is_the_base_rate(whole: Facts) -> None:
    facts = changed(whole, "train", metrics={"log_loss_test": 0.45, "skill_test": 0.25})
    assert "0.6000 nats" in said(model_report.build(facts), "Baseline")


def test_both_approaches_are_told_apart_and_the_best_of_the_folds_is_first(whole: Facts) -> None:
    table = next(
        block
        for block in section(model_report.build(whole), "Candidates")
        if isinstance(block, Table)
    )
    assert [row[1] for row in table.rows] == ["regression", "classification", "classification"]
    folds = [float(row[2]) for row in table.rows]
    assert folds == sorted(folds)
    assert [re.findall(r"run:(\w+)", row[0]) for row in table.rows] == [
        [one.run_id] for one in whole.candidates
    ]


def test_the_report_is_of_the_champion_and_tells_its_own_threshold(whole: Facts) -> None:
    assert whole.champion is not None
    other = whole.candidates[2]
    facts = replace(
        whole,
        champion=replace(whole.champion, run_id=other.run_id, tags={"courtside.threshold": "0.4"}),
    )
    told = said(model_report.build(facts), "Final model")
    assert f"**{other.name}** was chosen" in told
    assert "another threshold, 0.4" in told
    assert "another threshold" not in said(model_report.build(whole), "Final model")


def test_a_champion_from_elsewhere_is_not_taken_for_the_best_of_the_training(whole: Facts) -> None:
    assert whole.champion is not None
    facts = replace(whole, champion=replace(whole.champion, run_id="f" * 32))
    found = section(model_report.build(facts), "Final model")
    assert any(isinstance(block, Missing) and block.step == "promote" for block in found)


@pytest.mark.parametrize(
    ("split", "word"), [("random", "random"), ("time", "by time"), ("group", "by group")]
)
def test_the_limits_are_those_of_the_split_that_was_made(
    whole: Facts, split: str, word: str
) -> None:
    facts = changed(whole, "prepare", params={"split": split})
    told = said(model_report.build(facts), "Limits")
    assert word in told
    assert sum(one in told for one in model_report.SPLITS.values()) == 1


def test_a_model_that_uses_what_is_noted_afterwards_cannot_forecast(whole: Facts) -> None:
    late = changed(whole, "train", tags={"courtside.features": "lat,action_type"})
    assert "`action_type`, noted only after" in said(model_report.build(late), "Limits")
    early = changed(whole, "train", tags={"courtside.features": "lat,angle"})
    assert "noted only after" not in said(model_report.build(early), "Limits")


def test_the_dimension_and_the_sizes_of_both_sets_are_told(whole: Facts) -> None:
    found = data_report.build(whole)
    assert "**(20285, 7)**" in said(found, "Preparation")
    assert {"16,228", "4,057"} <= set(texts(found))


def test_the_dictionary_has_every_column_with_what_it_may_hold_and_what_it_holds(
    whole: Facts, shots: pd.DataFrame
) -> None:
    found = data_dictionary.build(whole)
    may, holds, computed = (one for one in found.blocks if isinstance(one, Table))
    names = [f"`{name}`" for name in SPEC.columns]
    assert [row[0] for row in may.rows] == names
    assert sorted(row[0] for row in holds.rows) == sorted(names)
    assert [row[0] for row in computed.rows] == [f"`{name}`" for name in SPEC.engineered]
    by_name = {row[0]: dict(zip(may.columns, row, strict=True)) for row in may.rows}
    assert by_name[f"`{SPEC.target}`"]["Role"] == "Target"
    assert by_name[f"`{SPEC.target}`"]["Known"] == "–"
    gone = few_of(shots)[SPEC.target].isna().mean()
    assert by_name[f"`{SPEC.target}`"]["Missing"] == f"{gone:.1%}"
    assert by_name["`action_type`"]["Known"] == "**after**"
    assert by_name["`season`"]["May hold"] == f"`{SPEC.columns['season'].pattern}`"
    held = {row[0]: row for row in holds.rows}
    place = few_of(shots)["loc_x"]
    assert held["`loc_x`"][2:4] == (f"`{place.min()}`", f"`{place.max()}`")
    assert held[f"`{SPEC.id}`"][4] == "–"


def test_what_files_and_people_wrote_stands_as_it_is(whole: Facts) -> None:
    typed = "see ![pixel](http://x.example/p.png)"
    facts = changed(whole, "train", tags={"courtside.reason": typed, "courtside.rows_name": typed})
    facts = changed(facts, "prepare", params={"rows_kept": typed})
    files = pd.DataFrame({"name": ["a`b.csv"], "bytes": [5], "sha256": ["ab" * 32]})
    found = pd.DataFrame({"severity": ["warning"], "rows": [3], "text": [typed]})
    acquired = with_tables(facts.runs["acquire"], files=files, validation=found)
    facts = replace(facts, runs={**facts.runs, "acquire": acquired})
    told = "\n".join(text for make in MAKERS.values() for text in texts(make(facts)))
    assert told.count("pixel") >= 4
    # within code no sign means anything
    assert "![pixel](" not in re.sub(r"`[^`]*`", "", told)
    assert "`a'b.csv`" in told


def test_a_card_becomes_blocks_with_links_and_code_that_runs(whole: Facts) -> None:
    version = whole.versions[0]
    run_id = version.run_id
    known = {
        "model": version.name,
        "version": version.version,
        "created": 0.0,
        "run_id": "ab" * 16,
        "features": SPEC.features,
        "inputs": {"lat": "number"},
        "example": {"lat": 34.0},
        "metrics": (("log_loss", 0.6785, 0.67, 0.68),),
        "slices": (),
        "positive": "a*b",
    }
    found = version_card.build(replace(whole, cards={"1": known}), version)
    assert found.name == "model_card_v1"
    assert f"[{'ab' * 4}](run:{'ab' * 16})" in " ".join(texts(found))
    (code,) = [block for block in found.blocks if isinstance(block, Code)]
    assert code.language == "bash"
    assert code.text.startswith("curl ")
    headings = [block.text for block in found.blocks if isinstance(block, Heading)]
    assert headings[0] == "What it is for"
    assert headings[-1] == "How to call it"
    assert ("Log loss", "0.6785", "0.6700 to 0.6800") in {
        row for block in found.blocks if isinstance(block, Table) for row in block.rows
    }
    unknown = version_card.build(whole, replace(version, run_id=run_id))
    assert [type(block) for block in unknown.blocks] == [Missing]


def test_documents_of_another_project_know_nothing_of_this_one(tmp_path: Path) -> None:
    text = (Path("tests") / "rain.toml").read_text(encoding="utf-8")
    (tmp_path / "rain.toml").write_text(text, encoding="utf-8")
    facts = Facts(project.load("rain", tmp_path))
    for make in MAKERS.values():
        told = " ".join(texts(make(facts))).lower()
        assert not re.search(r"(?<!snap)shot|kobe|basketball|[23]-point", told)


@pytest.mark.parametrize("is_sample", [True, False])
def test_each_document_says_first_whether_its_figures_are_of_the_sample(is_sample: bool) -> None:
    tags = {"sample": "true"} if is_sample else {}
    facts = Facts(SPEC, runs={"label": made_facts.run("label", "RecepcaoRotulos", tags=tags)})
    for document in documents.build(facts):
        first = document.blocks[0]
        is_marked = isinstance(first, Paragraph) and first.text.startswith(
            "**All figures are of the built-in sample, not of real data.** Its runs: Recepcao"
        )
        assert is_marked == is_sample
