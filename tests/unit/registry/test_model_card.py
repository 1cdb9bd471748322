"""The card says what is known, what is not, and how to call the model."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from core.registry import model_card

FACTS = {
    "model": "m",
    "version": "4",
    "created": 1_700_000_000.0,
    "aliases": ("champion",),
    "question": "Does it rain tomorrow?",
    "positive": "wet",
    "negative": "dry",
    "candidate": "Logistic regression",
    "run_id": "a" * 32,
    "train_run": "b" * 32,
    "digest": "c" * 64,
    "sha256": "d" * 64,
    "source": "upload",
    "features": ("pressure", "month"),
    "inputs": {"pressure": "number", "date": "text"},
    "formulas": {"month": "date.str.slice(5, 7)"},
    "rows_name": "coast days",
    "rows_train": 16_000,
    "rows_test": 4000,
    "split": {"split": "random", "seed": "42"},
    "metrics": [("log_loss", 0.6123, 0.6, 0.62), ("f1", 0.5, None, None)],
    "slices": ["place = north|west: log loss 0.7 on 90 rows"],
    "threshold": 0.3,
    "metrics_threshold": 0.3,
    "aim": "The highest F1 is 0.612, at 0.300.",
    "decisions": ["promote, by ann: Better. (run 01234567)"],
    "example": {"pressure": 1012.5, "date": "it's 2000-10-31"},
    "url": "http://127.0.0.1:5001",
}


def test_the_card_has_all_that_a_reader_asks_for() -> None:
    text = model_card.card(FACTS)
    for part in (
        "# m, version 4",
        "| Registered | 2023-11-14 22:13 UTC |",
        "| Alias | champion |",
        "**Does it rain tomorrow?**",
        "1 is wet, 0 is dry.",
        "| Training set | 16,000 |",
        "| Split | at random |",
        f"`{'c' * 64}`",
        f"`{'d' * 64}`",
        "| `month` | `date.str.slice(5, 7)` | no |",
        "| `pressure` | – | no |",
        "| Log loss | 0.6123 | 0.6000 to 0.6200 |",
        "| F1 | 0.5000 | – |",
        "- place = north|west: log loss 0.7 on 90 rows",
        "A row with a probability of at least 0.3 is labelled wet.",
        "The highest F1 is 0.612",
        "split at random: the test metrics say nothing about later rows",
        "- promote, by ann: Better.",
    ):
        assert part in text
    assert "built-in" not in text
    assert "refitted" not in text
    assert "This was not recorded." not in text.replace(
        "| Run: Prepare | This was not recorded. |", ""
    ).replace("| Code | This was not recorded. |", "")


def test_the_call_survives_a_shell_and_the_server_accepts_it() -> None:
    text = model_card.card(FACTS)
    command = text[text.index("curl") : text.index("```\n\n`{")]
    words = shlex.split(command)
    assert words[2] == "http://127.0.0.1:5001/invocations"
    body = json.loads(words[words.index("-d") + 1])
    assert body == {
        "dataframe_split": {"columns": ["pressure", "date"], "data": [[1012.5, "it's 2000-10-31"]]}
    }


def test_what_is_not_known_is_stated() -> None:
    text = model_card.card({"model": "m", "version": "1", "created": 0.0})
    assert text.count("This was not recorded.") >= 10
    assert "## Slices\n\nThis was not recorded." in text
    assert "## Call\n\nThis was not recorded." in text
    assert "## Decisions\n\nNone." in text


@pytest.mark.parametrize(("slices", "words"), [((), "## Slices\n\nNone."), (["x"], "- x")])
def test_no_flag_differs_from_not_evaluated(slices: list[str], words: str) -> None:
    assert words in model_card.card({**FACTS, "slices": slices})


def test_what_was_evaluated_and_what_is_served_are_not_confused() -> None:
    text = model_card.card({**FACTS, "rows_served": 20_000})
    assert "Refitted for serving on all 20,000 labelled rows" in text
    assert "the metrics are of the fit on the training rows" in text


def test_a_copy_says_which_threshold_its_figures_had() -> None:
    text = model_card.card({**FACTS, "copied_from": "2", "threshold": 0.45})
    assert "the classifier of version 2 with another threshold" in text
    assert "are for 0.3, not for 0.45" in text
    assert "labelled wet. A person chose it when the version was promoted." in text


def test_warnings_appear_where_they_apply() -> None:
    text = model_card.card(
        {**FACTS, "is_sample": True, "late": ["month"], "is_complete": False, "split": {}}
    )
    assert "**Built-in sample" in text
    assert "It needs month, recorded only after the event: it cannot predict in advance." in text
    assert "| `month` | `date.str.slice(5, 7)` | yes |" in text
    assert "| Missing values are imputed | yes |" in text
    assert "the test metrics say nothing about" not in text


def test_a_fact_that_no_card_has_is_a_mistake() -> None:
    with pytest.raises(TypeError):
        model_card.card({**FACTS, "colour": "red"})


def test_texts_of_people_and_data_are_not_markdown() -> None:
    evil = "![x](http://evil.test/a.png)\n\n# Heading\n<img src=x> | $a$ `b` www.evil.test"
    named = ("source", "aim", "question", "positive", "negative", "rows_name", "candidate")
    text = model_card.card(
        {
            **FACTS,
            **dict.fromkeys(named, evil),
            "decisions": [evil],
            "slices": [evil],
            "split": {"split": evil},
        }
    )
    assert text.count("evil") == 2 * text.count("\\[x\\]")
    for live in ("![", "](", "http://evil", "\n# Heading", "<img", "|  $", " www.evil"):
        assert live not in text.replace("\\" + live.strip(), "")
    # a table's lines keep their two or three cells
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {3, 4}
