"""Documents filled from runs: their numbers are those of the runs, and each link leads to one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.documents import gather as documents
from core.documents.dossier import (
    Block,
    Bullets,
    Code,
    Document,
    Figure,
    Heading,
    Missing,
    Paragraph,
    Table,
)
from core.platform import steps, tracking
from core.platform.config import Settings
from core.training import train
from tests.conftest import copy_home

LINK = re.compile(r"\]\(run:([0-9a-f]+)\)")


def texts_of(block: Block) -> list[str]:
    if isinstance(block, Heading | Paragraph | Missing | Code):
        return [block.text]
    if isinstance(block, Bullets):
        return list(block.items)
    if isinstance(block, Table):
        return [block.caption, *block.columns, *(cell for row in block.rows for cell in row)]
    return [block.caption]


def text_of(document: Document) -> str:
    return "\n".join(text for block in document.blocks for text in texts_of(block))


def document_named(among: tuple[Document, ...], name: str) -> Document:
    (match,) = [document for document in among if document.name == name]
    return match


@pytest.fixture(scope="module")
def filled(scored_few: Settings) -> tuple[Document, ...]:
    return documents.build(scored_few)


def test_an_empty_home_says_of_each_document_what_would_fill_it(settings: Settings) -> None:
    built = documents.build(settings)
    assert len(built) == 8
    for document in built:
        missing = {block.step for block in document.blocks if isinstance(block, Missing)}
        assert missing <= set(steps.RUN_NAMES)
        assert missing or document.name == "artifacts"
    assert not LINK.findall("\n".join(map(text_of, built)))


@pytest.mark.long
@pytest.mark.parametrize("home", ["settings", "scored_few"])
def test_no_section_is_empty(home: str, request: pytest.FixtureRequest) -> None:
    for document in documents.build(request.getfixturevalue(home)):
        below = [*document.blocks[1:], Heading("the end")]
        for block, following in zip(document.blocks, below, strict=True):
            if isinstance(block, Heading) and isinstance(following, Heading):
                assert following.level > block.level, (document.name, block.text)
            for text in texts_of(block):
                assert not re.search(r"\bnan\b|[:=(] ?None\b", text), (document.name, text)


def test_each_link_leads_to_a_run_of_this_store(
    filled: tuple[Document, ...], scored_few: Settings
) -> None:
    run_ids = {run_id for document in filled for run_id in LINK.findall(text_of(document))}
    assert len(run_ids) >= 6
    assert all(tracking.run(scored_few, run_id) for run_id in run_ids)


def test_the_figures_are_those_of_the_runs(
    filled: tuple[Document, ...], scored_few: Settings
) -> None:
    last = {step: tracking.last_run(scored_few, step) for step in ("acquire", "prepare", "train")}
    metrics = {step: run.metrics for step, run in last.items() if run is not None}
    report = text_of(document_named(filled, "data_report"))
    for value in (metrics["acquire"]["rows_raw"], metrics["prepare"]["rows_train"]):
        assert f"{value:,.0f}" in report
    prepared = metrics["prepare"]
    dimension = f"({prepared['rows_filtered']:.0f}, {prepared['columns_filtered']:.0f})"
    assert dimension in report
    model = text_of(document_named(filled, "model_report"))
    for name in ("log_loss_test", "roc_auc_test", "f1_test"):
        assert f"{metrics['train'][name]:.4f}" in model
    base = metrics["train"]["log_loss_test"] / (1 - metrics["train"]["skill_test"])
    assert f"{base:.4f} nats" in model


@pytest.mark.long
def test_the_documents_are_of_the_champion_not_of_the_newest_training(
    scored_few: Settings, tmp_path: Path
) -> None:
    settings = copy_home(scored_few, tmp_path / "home")
    champion = tracking.last_run(settings, "train")
    train.run(settings, train.Options(candidates=("dt",), folds=2, learning_seconds=0))
    newer = tracking.last_run(settings, "train")
    facts = documents.gather(settings)
    assert champion is not None
    assert newer is not None
    assert facts.runs["train"].run_id == champion.run_id != newer.run_id
    assert [version.version for version in facts.versions] == ["2", "1"]
    assert facts.champion is not None
    assert facts.champion.version == "1"
    built = documents.of(facts)
    assert [document.name for document in built][-2:] == ["model_card_v2", "model_card_v1"]
    assert newer.run_id not in text_of(document_named(built, "model_report"))


def test_every_column_of_the_project_is_in_the_dictionary(
    filled: tuple[Document, ...], scored_few: Settings
) -> None:
    facts = documents.gather(scored_few)
    tables = [
        block
        for block in document_named(filled, "data_dictionary").blocks
        if isinstance(block, Table)
    ]
    table = next(entry for entry in tables if "Role" in entry.columns)
    computed = next(entry for entry in tables if entry.columns[0] == "Feature")
    assert [row[0] for row in table.rows] == [f"`{name}`" for name in facts.spec.columns]
    assert [row[0] for row in computed.rows] == [f"`{name}`" for name in facts.spec.engineered]
    roles = {row[0].strip("`"): row[table.columns.index("Role")] for row in table.rows}
    assert roles[facts.spec.target] == "Target"
    assert {name for name, role in roles.items() if role == "Feature"} == set(facts.spec.features)


def test_text_from_people_is_not_markup(filled: tuple[Document, ...], scored_few: Settings) -> None:
    """A reason with signs of Markdown in it makes no link and no picture."""
    facts = documents.gather(scored_few)
    run = facts.runs["train"]
    tags = {**run.tags, "courtside.decided_by": "[x](http://a)", "courtside.reason": "![y](z)"}
    odd = type(run)(**{**vars(run), "tags": tags})
    changed = type(facts)(**{**vars(facts), "runs": {**facts.runs, "train": odd}})
    charter = text_of(document_named(documents.of(changed), "project_charter"))
    assert r"\[x\]" in charter
    assert "![y](z)" not in charter


def test_figures_have_charts_and_names_of_files(filled: tuple[Document, ...]) -> None:
    figures = [
        block for document in filled for block in document.blocks if isinstance(block, Figure)
    ]
    assert figures
    for figure in figures:
        assert re.fullmatch(r"[a-z0-9_]+", figure.name)
        assert "$schema" in figure.chart
