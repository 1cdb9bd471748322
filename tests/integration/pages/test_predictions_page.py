"""Predictions page: what was answered, what became of it, and labels from a file."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace

import pytest

from core.jobs import jobs
from core.platform import set_aside, storage, tracking
from core.platform.config import Settings
from core.predictions_log import gap_journal, labels, predictions
from core.predictions_log.labels import Report
from core.predictions_log.predictions import Answer
from core.scoring import label


@pytest.fixture(scope="module")
def home(module_settings: Settings) -> Settings:
    """A log of 240 answers, 20 of them shadowed, a gap, and a file of labels that was taken in."""
    now = time.time()
    inputs = [{"lat": 34.0 + i / 100, "lon": -118.2} for i in range(20)]
    for batch in range(12):
        one = Answer(
            uuid.uuid4().hex,
            "kobe",
            "1",
            "champion",
            "api" if batch else "production",
            now - 60 * (12 - batch),
            3.0,
            inputs,
            [0.2 + i / 50 for i in range(20)],
            [int(i > 15) for i in range(20)],
            [str(20 * batch + i) for i in range(20)],
        )
        predictions.write(module_settings, [one])
    shadow = replace(
        one,
        version="2",
        alias="challenger",
        is_shadow=True,
        probabilities=[0.5] * 20,
        predicted=[1] * 20,
    )
    predictions.write(module_settings, [shadow])
    predictions.note_gap(module_settings, now - 900, now - 800, 17, "the [disk](x) was full")
    rows = "\n".join(f"{i},{i % 2}" for i in range(60))
    staged = storage.stage_upload(
        module_settings, "late.csv", f"shot_id,label\n{rows}\n7,9\n".encode()
    )
    label.run(module_settings, label.Options(upload=staged))
    labels.report(module_settings, [Report(label=1, key="220", labelled_at=now - 5)], source="api")
    labels.report(module_settings, [Report(label=0, key="220", labelled_at=now)], source="api")
    return module_settings


def test_an_empty_log_says_what_to_do(open_page, text_of, settings: Settings) -> None:
    app = open_page(settings, "predictions")
    assert not app.exception
    assert "Nothing was predicted yet" in text_of(app)
    assert app.button(key="take").label == "Take labels in"


def test_what_was_set_aside_is_seen_where_it_belongs_and_can_be_dismissed(
    open_page, text_of, settings: Settings
) -> None:
    set_aside.put(settings, "predictions", "ab" * 16, "unwritable", rows=3, error="`odd` *text*")
    set_aside.put(settings, "schedules", "Daily", "unreadable")
    journal = gap_journal.Journal(settings)
    journal.note(time.time(), 12, is_closed=True)
    app = open_page(settings, "predictions")
    assert not app.exception
    told = text_of(app)
    assert "**Set aside: 1.**" in told
    assert "They held 3 rows." in told
    assert "**12 predictions are missing in the log.**" in told
    assert "**Set aside: 2.**" in text_of(open_page(settings, "overview"))
    assert "Deixados de lado: 1." in text_of(open_page(settings, "alerts", lang="pt"))
    app = open_page(settings, "predictions")
    [button] = [one for one in app.button if one.label == "Dismiss"]
    assert "Set aside" not in text_of(button.click().run())
    assert [one.queue for one in set_aside.entries(settings)] == ["schedules"]


def test_the_page_counts_and_tells_gaps_shadows_and_the_last_file(open_page, text_of, home) -> None:
    app = open_page(home, "predictions")
    assert not app.exception
    told = text_of(app)
    assert "Predictions: 240 (since" in told
    assert "With label: 61 (25.4% of them)" in told
    assert "API 220" in told
    assert "Shadow answers: 20" in told
    assert "**17 predictions are missing in the log.**" in told
    assert "The newest 20 rows that version 1 answered and version 2" in told
    assert "Labels that differ: 80.0% (of 20 rows)" in told
    assert "New: 60" in told
    assert "Rejected: 1" in told
    assert (
        f"RecepcaoRotulos {tracking.last_run(home, 'label').run_id[:8]}"
        in [json.loads(json.dumps(link.label)) for link in app.get("page_link")]
        or "RecepcaoRotulos" in told
    )


def test_filters_and_pages_show_every_prediction_once(open_page, press, text_of, home) -> None:
    app = open_page(home, "predictions")
    app.selectbox(key="who").set_value("Answers").run()
    seen: list[str] = []
    while True:
        seen += app.dataframe[0].value["courtside_prediction_id"].tolist()
        if next(one for one in app.button if one.label == "Older").disabled:
            break
        press(app, "Older")
    assert len(seen) == len(set(seen)) == 240
    assert "201 to 240 of 240" in text_of(app)
    app.selectbox(key="known").set_value("With label").run()
    assert "1 to 61 of 61" in text_of(app)  # and begins at the newest again
    app.slider(key="range").set_value((0.95, 1.0)).run()
    assert "No prediction is like that" in text_of(app)


def test_a_prediction_that_is_looked_up_tells_its_labels_history(open_page, text_of, home) -> None:
    app = open_page(home, "predictions")
    app.selectbox(key="who").set_value("Answers")
    app.text_input(key="search").set_value("220").run()
    assert not app.exception
    history = next(one.value for one in app.table if "What it did" in one.value)
    assert history["What it did"].tolist() == [
        "Changed: replaced an older label",
        "New: had no label before",
    ]
    assert "1 to 1 of 1" in text_of(app)


def test_a_file_of_labels_becomes_a_job(open_page, text_of, home) -> None:
    app = open_page(home, "predictions")
    app.button(key="take").click().run()
    assert "No file is chosen yet" in text_of(app)
    assert not jobs.active(home)
    app = open_page(home, "predictions")
    app.file_uploader(key="labels").set_value(("l.csv", b"shot_id,label\n1,1\n", "text/csv")).run()
    assert "`l.csv` is read with commas, decimal points, UTF-8." in text_of(app)
    first = next(one.value for one in app.dataframe if "shot_id" in one.value)
    assert first.to_dict("list") == {"shot_id": ["1"], "label": ["1"]}
    app.button(key="take").click().run()
    assert [job.step for job in jobs.active(home)] == ["label"]
