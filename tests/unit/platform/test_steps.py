"""The stages agree with the steps and pages, lead from one to the next, and are all drawn."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
import vl_convert

from core.documents.texts import diagram
from core.platform import messages, steps
from core.platform.steps import OUTCOMES, POLICY, REQUESTS, SOURCE, STEPS
from pages.shared import navigation

OUTSIDE = (SOURCE, REQUESTS, OUTCOMES, POLICY)
EDGES = {(stage.name, following) for stage in STEPS for following in stage.next}


def test_the_stages_are_the_steps_by_their_names() -> None:
    assert {stage.name: stage.run_name for stage in STEPS} == steps.RUN_NAMES
    assert {stage.name: str(stage.title) for stage in STEPS} == {
        step: str(title) for step, (_, title, _) in navigation.STEPS.items()
    }


def test_what_a_stage_reads_is_left_by_another_one_or_comes_from_outside() -> None:
    left = {artifact.path for step in STEPS for artifact in step.outputs}
    for stage in STEPS:
        assert stage.reads
        for path in stage.reads:
            assert path in OUTSIDE or path in left, f"{stage.name} reads {path}"
            assert (
                path in OUTSIDE
                or path not in {output.path for output in stage.outputs}
                or (
                    stage.name == "promote"  # it moves the alias that it reads
                )
            )


def test_every_stage_is_reached_from_the_first_one() -> None:
    reached = {STEPS[0].name}
    for _ in STEPS:
        reached |= {other for step, other in EDGES if step in reached}
    assert reached == {stage.name for stage in STEPS}


def test_every_artifact_has_a_purpose_and_a_composition() -> None:
    for stage in STEPS:
        paths = [artifact.path for artifact in stage.outputs]
        assert len(set(paths)) == len(paths)
        for artifact in stage.outputs:
            text = str(artifact.about)
            assert text.endswith("."), artifact.path
            assert len(text.split()) > 1, artifact.path


@pytest.mark.parametrize(
    ("text", "edge"),
    [(diagram.mermaid(), r"^  (\w+) --> (\w+)$"), (diagram.dot(), r'^  "(\w+)" -> "(\w+)"$')],
    ids=["mermaid", "dot"],
)
def test_a_text_of_the_diagram_has_every_stage_and_every_arrow(text: str, edge: str) -> None:
    assert set(re.findall(edge, text, re.MULTILINE)) == EDGES
    for stage in STEPS:
        assert str(stage.title) in text
        assert stage.run_name in text
    for name in ("data_filtered.parquet", "train_data.parquet", "predictions.db", "challenger"):
        assert name in text


def test_mermaid_escapes_markup_in_names() -> None:
    text = diagram.mermaid()
    assert set(re.findall(r"<[^>]*>", text)) == {"<b>", "</b>", "<br/>"}
    assert "#lt;snapshot#gt;" in text
    assert "@" not in text


def test_the_picture_draws_boxes_that_do_not_lie_over_each_other() -> None:
    drawn = diagram.chart()
    rows = next(data for data in drawn["datasets"].values() if data and "run_name" in data[0])
    assert [item["step"] for item in rows] == [item.name for item in STEPS]
    for above, below in pairwise(rows):
        assert above["below"] < below["y"]
    svg = vl_convert.vegalite_to_svg(json.dumps(drawn))
    for item in STEPS:
        assert item.run_name in svg
    assert "data_filtered.parquet" in svg
    assert svg.count("<path") > len(EDGES)


@pytest.mark.parametrize(
    "draw", [diagram.mermaid, diagram.dot, lambda: json.dumps(diagram.chart(), ensure_ascii=False)]
)
def test_words_of_the_diagram_are_of_the_current_language(draw: Callable[[], str]) -> None:
    english = draw()
    with messages.speaking("pt"):
        portuguese = draw()
    for text, words in ((english, "artifacts in its run"), (portuguese, "Desenvolvimento")):
        assert words in text
        assert "AquisicaoDados" in text
    assert "Development" not in portuguese
    assert draw() == english
