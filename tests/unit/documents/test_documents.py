"""Charter, data report, dictionary, model report and cards: from facts alone, and never empty."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from core.data import profile
from core.documents import gather
from core.documents import texts as documents
from core.documents.dossier import (
    Bullets,
    Code,
    Document,
    Facts,
    Figure,
    Heading,
    Missing,
    Paragraph,
    RunFacts,
    Table,
)
from core.documents.texts import charter, data_dictionary, data_report, model_report, version_card
from core.platform import messages, project
from core.platform.errors import InputError
from core.platform.messages import Message
from core.platform.steps import STEPS
from tests.conftest import few_of
from tests.unit.documents import sample_facts
from tests.unit.documents.sample_facts import SPEC, changed, without
from tests.unit.documents.test_operation_documents import section, texts, texts_of

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
        "Source",
        "Checks",
        "Target",
        "Columns",
        "Data processing",
        "Training and test set",
    ],
    "data_dictionary": ["Columns", "Source", "Computed features"],
    "model_report": [
        "Baseline",
        "Candidates",
        "Significance of the differences",
        "Model",
        "Threshold",
        "Slices",
        "Limits",
    ],
}


@pytest.fixture(scope="module")
def complete(shots: pd.DataFrame) -> Facts:
    """The sample life cycle, with the tables that these documents read."""
    rows, facts = few_of(shots), sample_facts.complete_facts()
    comparison = pd.DataFrame(
        {"run_id": run.run_id, "name": run.name, **run.params, **run.metrics}
        for run in facts.candidates
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
    columns = profile.describe(rows, SPEC).columns.assign(auc_alone=0.6)
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


def earlier(complete: Facts, moment: str) -> Facts:
    """Return the facts as they are at a moment of the life cycle."""
    return {
        "nothing": Facts(SPEC),
        "acquired": replace(
            without(complete, *(set(complete.runs) - {"acquire"})),
            candidates=(),
            champion=None,
            versions=(),
            reports=(),
        ),
        "no champion": replace(complete, champion=None),
        "tables of runs gone": replace(
            complete, runs={step: replace(run, tables={}) for step, run in complete.runs.items()}
        ),
        "candidates gone": replace(complete, candidates=()),
        "everything": complete,
    }[moment]


def text_of(document: Document, title: str) -> str:
    """Return the text of a section."""
    return " ".join(texts_of(section(document, title)))


@pytest.mark.parametrize(
    "moment",
    ["nothing", "acquired", "no champion", "tables of runs gone", "candidates gone", "everything"],
)
@pytest.mark.parametrize("name", MAKERS)
def test_no_section_is_empty_and_what_is_missing_names_a_step(
    complete: Facts, name: str, moment: str
) -> None:
    document = MAKERS[name](earlier(complete, moment))
    assert document.name == name
    for block, after in zip(document.blocks, (*document.blocks[1:], None), strict=True):
        if isinstance(block, Heading):
            assert after is not None, block.text
            assert not isinstance(after, Heading) or after.level > block.level, block.text
        if isinstance(block, Missing):
            assert block.step in {step.name for step in STEPS}
        if isinstance(block, Bullets):
            assert block.items
        if isinstance(block, Table):
            assert block.rows
            assert {len(row) for row in block.rows} == {len(block.columns)}
    for text in texts(document):
        assert not re.search(r"\bnan\b|\bNone\b", text), text
    missing = [block.text for block in document.blocks if isinstance(block, Missing)]
    if moment == "everything":
        assert missing == []
    if moment == "nothing":
        assert missing


@pytest.mark.parametrize("name", MAKERS)
def test_the_headings_are_those_of_the_template(complete: Facts, name: str) -> None:
    document = MAKERS[name](complete)
    assert [block.text for block in document.blocks if isinstance(block, Heading)] == SHAPE[name]


@pytest.mark.parametrize("name", MAKERS)
def test_every_text_with_a_figure_links_to_its_run(complete: Facts, name: str) -> None:
    run_ids = {
        run.run_id for run in (*complete.runs.values(), *complete.candidates, *complete.reports)
    }
    before = ""
    for block in MAKERS[name](complete).blocks:
        block_texts = [block.text] if isinstance(block, Paragraph) else []
        if isinstance(block, Bullets):
            # the sentence that leads to a list may link for all of it
            block_texts += [f"{before} {item}" for item in block.items]
        if isinstance(block, Table):
            block_texts.append(
                " ".join([block.caption, *(cell for row in block.rows for cell in row)])
            )
        for text in block_texts:
            links = re.findall(r"\]\(run:(\w+)\)", text)
            assert set(links) <= run_ids, text
            if re.search(r"\d\.\d{3,}", text) and "Computed as" not in getattr(
                block, "columns", ()
            ):
                assert links, text
        before = block.text if isinstance(block, Paragraph) else ""


@pytest.mark.parametrize(
    ("low", "error", "reached"), [(0.01, 0.02, 2), (-0.01, 0.02, 1), (0.01, 0.05, 1)]
)
def test_the_charter_says_which_part_of_the_goal_was_reached(
    complete: Facts, low: float, error: float, reached: int
) -> None:
    best = complete.candidates[0]
    metrics = {
        **best.metrics,
        "skill_test_low": low,
        "calibration_error_test": error,
        "calibration_floor_test": 0.03,
    }
    facts = replace(complete, candidates=(replace(best, metrics=metrics), *complete.candidates[1:]))
    table = next(
        block for block in section(charter.build(facts), "Metrics") if isinstance(block, Table)
    )
    goals = [row for row in table.rows if row[-1] != "–"]
    assert [row[-2] for row in goals] == ["> 0", "≤ 0.0300"]
    assert sum(row[-1] == "yes" for row in goals) == reached
    assert f"{low:.4f} to {metrics['skill_test_high']:.4f}" in goals[0]
    assert f"{error:.4f}" in goals[1]


def test_the_baseline_is_the_base_rate(complete: Facts) -> None:
    facts = changed(complete, "train", metrics={"log_loss_test": 0.45, "skill_test": 0.25})
    assert "0.6000 nats" in text_of(model_report.build(facts), "Baseline")


def test_both_approaches_are_labelled_and_the_best_of_the_folds_is_first(complete: Facts) -> None:
    table = next(
        block
        for block in section(model_report.build(complete), "Candidates")
        if isinstance(block, Table)
    )
    assert [row[1] for row in table.rows] == ["regression", "classification", "classification"]
    folds = [float(row[2]) for row in table.rows]
    assert folds == sorted(folds)
    assert [re.findall(r"run:(\w+)", row[0]) for row in table.rows] == [
        [run.run_id] for run in complete.candidates
    ]


def test_the_report_describes_the_champion_with_its_own_threshold(complete: Facts) -> None:
    assert complete.champion is not None
    other = complete.candidates[2]
    facts = replace(
        complete,
        champion=replace(
            complete.champion, run_id=other.run_id, tags={"courtside.threshold": "0.4"}
        ),
    )
    text = text_of(model_report.build(facts), "Model")
    assert f"Chosen: {other.name}, " in text
    assert "another threshold" in text
    assert "not for 0.4" in text
    assert "another threshold" not in text_of(model_report.build(complete), "Model")


def test_a_champion_from_elsewhere_is_not_mistaken_for_the_best_of_the_training(
    complete: Facts,
) -> None:
    assert complete.champion is not None
    facts = replace(complete, champion=replace(complete.champion, run_id="f" * 32))
    blocks = section(model_report.build(facts), "Model")
    assert any(isinstance(block, Missing) and block.step == "promote" for block in blocks)


@pytest.mark.parametrize(
    ("split", "word"), [("random", "at random"), ("time", "by time"), ("group", "by group")]
)
def test_the_limits_are_those_of_the_split_used(complete: Facts, split: str, word: str) -> None:
    facts = changed(complete, "prepare", params={"split": split})
    text = text_of(model_report.build(facts), "Limits")
    assert f"split {word}:" in text


def test_a_model_that_uses_what_is_noted_afterwards_cannot_forecast(complete: Facts) -> None:
    late = changed(complete, "train", tags={"courtside.features": "lat,action_type"})
    assert "`action_type`, recorded only after" in text_of(model_report.build(late), "Limits")
    early = changed(complete, "train", tags={"courtside.features": "lat,angle"})
    assert "recorded only after" not in text_of(model_report.build(early), "Limits")


def test_the_report_gives_the_dimension_and_the_sizes_of_both_sets(complete: Facts) -> None:
    document = data_report.build(complete)
    assert "**(20285, 7)**" in text_of(document, "Data processing")
    assert {"16,228", "4,057"} <= set(texts(document))


def test_the_dictionary_has_every_column_with_allowed_and_actual_values(
    complete: Facts, shots: pd.DataFrame
) -> None:
    document = data_dictionary.build(complete)
    may, holds, computed = (block for block in document.blocks if isinstance(block, Table))
    names = [f"`{name}`" for name in SPEC.columns]
    assert [row[0] for row in may.rows] == names
    assert sorted(row[0] for row in holds.rows) == sorted(names)
    assert [row[0] for row in computed.rows] == [f"`{name}`" for name in SPEC.engineered]
    by_name = {row[0]: dict(zip(may.columns, row, strict=True)) for row in may.rows}
    assert by_name[f"`{SPEC.target}`"]["Role"] == "Target"
    assert by_name[f"`{SPEC.target}`"]["Known only after the event"] == "–"
    gone = few_of(shots)[SPEC.target].isna().mean()
    assert by_name[f"`{SPEC.target}`"]["Missing"] == f"{gone:.1%}"
    assert by_name["`action_type`"]["Known only after the event"] == "**yes**"
    assert by_name["`season`"]["Allowed values"] == f"`{SPEC.columns['season'].pattern}`"
    held = {row[0]: row for row in holds.rows}
    place = few_of(shots)["loc_x"]
    assert held["`loc_x`"][2] == f"`{place.min()}` … `{place.max()}`"
    assert held[f"`{SPEC.id}`"][3] == "–"


def test_what_files_and_people_wrote_stays_plain_text(complete: Facts) -> None:
    typed = "see ![pixel](http://x.example/p.png)"
    facts = changed(
        complete, "train", tags={"courtside.reason": typed, "courtside.rows_name": typed}
    )
    facts = changed(facts, "prepare", params={"rows_kept": typed})
    files = pd.DataFrame({"name": ["a`b.csv"], "bytes": [5], "sha256": ["ab" * 32]})
    validation = pd.DataFrame({"severity": ["warning"], "rows": [3], "text": [typed]})
    acquired = with_tables(facts.runs["acquire"], files=files, validation=validation)
    facts = replace(facts, runs={**facts.runs, "acquire": acquired})
    all_texts = "\n".join(text for build in MAKERS.values() for text in texts(build(facts)))
    assert all_texts.count("pixel") >= 4
    # within code no sign means anything
    assert "![pixel](" not in re.sub(r"`[^`]*`", "", all_texts)
    assert "`a'b.csv`" in all_texts


def test_a_card_becomes_blocks_with_links_and_code_that_runs(complete: Facts) -> None:
    version = complete.versions[0]
    run_id = version.run_id
    card = {
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
    document = version_card.build(replace(complete, cards={"1": card}), version)
    assert document.name == "model_card_v1"
    assert f"[{'ab' * 4}](run:{'ab' * 16})" in " ".join(texts(document))
    (code,) = [block for block in document.blocks if isinstance(block, Code)]
    assert code.language == "bash"
    assert code.text.startswith("curl ")
    headings = [block.text for block in document.blocks if isinstance(block, Heading)]
    assert headings[0] == "Purpose"
    assert headings[-1] == "Call"
    assert ("Log loss", "0.6785", "0.6700 to 0.6800") in {
        row for block in document.blocks if isinstance(block, Table) for row in block.rows
    }
    unknown = version_card.build(complete, replace(version, run_id=run_id))
    assert [type(block) for block in unknown.blocks] == [Missing]


def test_documents_of_another_project_mention_nothing_of_this_one(tmp_path: Path) -> None:
    text = (Path("tests") / "rain.toml").read_text(encoding="utf-8")
    (tmp_path / "rain.toml").write_text(text, encoding="utf-8")
    facts = Facts(project.load("rain", tmp_path))
    for build in MAKERS.values():
        words = " ".join(texts(build(facts))).lower()
        assert not re.search(r"(?<!snap)shot|kobe|basketball|[23]-point", words)


@pytest.mark.parametrize("is_sample", [True, False])
def test_each_document_says_first_whether_its_figures_are_of_the_sample(is_sample: bool) -> None:
    tags = {"sample": "true"} if is_sample else {}
    facts = Facts(SPEC, runs={"label": sample_facts.run("label", "RecepcaoRotulos", tags=tags)})
    for document in documents.build(facts):
        first = document.blocks[0]
        is_marked = isinstance(first, Paragraph) and first.text.startswith(
            "**From the built-in sample, not from real data:** Recepcao"
        )
        assert is_marked == is_sample


def test_documents_are_built_in_the_language_that_is_asked_for(complete: Facts) -> None:
    english, portuguese = gather.of(complete), gather.of(complete, "pt")
    assert [document.name for document in english] == [document.name for document in portuguese]
    for language, among in (("en", english), ("pt", portuguese)):
        sizes = {"en": "16,228", "pt": "16.228"}
        for other, size in sizes.items():
            shown = [size in set(texts(document)) for document in among]
            assert any(shown) == (other == language)
        (report,) = [document for document in among if document.name == "model_report"]
        figure = next(block for block in report.blocks if isinstance(block, Figure))
        locale = figure.chart["config"].get("locale", {}).get("number", {})
        assert locale.get("decimal", ".") == {"en": ".", "pt": ","}[language]
    assert gather.of(complete) == english
    with messages.speaking("pt"):
        assert gather.of(complete) == portuguese
    with pytest.raises(InputError, match="'xx' does not exist"):
        gather.of(complete, "xx")


def test_stored_messages_are_put_into_words_and_escaped(complete: Facts) -> None:
    reason = messages.dumps(Message("{rows:,} rows of *{name}*", rows=20285, name="[x]"))
    tags = {"courtside.reason": reason, "courtside.decided_by": "ann"}
    facts = changed(complete, "train", tags=tags)
    for language, number in (("en", "20,285"), ("pt", "20.285")):
        text = " ".join(texts(charter_in(language, facts)))
        assert rf"{number} rows of \*\[x\]\*" in text


def charter_in(language: str, facts: Facts) -> Document:
    with messages.speaking(language):
        return charter.build(facts)
