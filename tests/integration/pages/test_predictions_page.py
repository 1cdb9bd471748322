"""Predictions log and labels on Score: the answers, their outcomes, and labels from a file."""

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
from tests import nonsense


@pytest.fixture(scope="module")
def home(module_settings: Settings) -> Settings:
    """A log of 240 answers, 20 of them shadowed, a gap, and an uploaded file of labels."""
    now = time.time()
    inputs = [{"lat": 34.0 + i / 100, "lon": -118.2} for i in range(20)]
    for batch in range(12):
        answer = Answer(
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
        predictions.write(module_settings, [answer])
    shadow = replace(
        answer,
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
    app = open_page(settings, "score", view="log")
    assert not app.exception
    assert "There are no predictions yet." in text_of(app)
    app = open_page(settings, "score", view="labels")
    assert not app.exception
    assert app.button(key="take").label == "Add labels"


def test_entries_set_aside_are_shown_on_their_page_and_can_be_dismissed(
    open_page, text_of, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_aside.put(settings, "predictions", "ab" * 16, "unwritable", rows=3, error="`odd` *text*")
    set_aside.put(settings, "schedules", "Daily", "unreadable")
    journal = gap_journal.Journal(settings)
    journal.note(time.time(), 12, is_closed=True)
    app = open_page(settings, "score", view="log")
    assert not app.exception
    text = text_of(app)
    assert "**1 item could not be processed**" in text
    assert app.table[0].value["Rows"].tolist() == ["3"]
    assert "**12 predictions are missing from the log.**" in text
    assert "**2 items could not be processed**" in text_of(open_page(settings, "overview"))
    nonsense.speak(monkeypatch)
    foreign = text_of(open_page(settings, "monitor", view="alerts", lang="pt"))
    assert nonsense.nonsense("1 item could not be processed") in foreign
    app = open_page(settings, "score", view="log")
    [button] = [button for button in app.button if button.label == "Dismiss"]
    assert "set aside" not in text_of(button.click().run())
    assert [entry.queue for entry in set_aside.entries(settings)] == ["schedules"]


def test_the_page_shows_counts_gaps_shadows_and_the_last_file(open_page, text_of, home) -> None:
    app = open_page(home, "score", view="log")
    assert not app.exception
    text = text_of(app)
    assert "Predictions: 240 (since" in text
    assert "With label: 61 (25.4%)" in text
    assert "API 220" in text
    assert "Shadow answers: 20" in text
    assert "**17 predictions are missing from the log.**" in text
    assert "Champion: 1 · Challenger: 2 · Newest rows: 20" in text
    assert "Classes that differ: 80.0% (of 20 rows)" in text
    app = open_page(home, "score", view="labels")
    assert not app.exception
    text = text_of(app)
    assert "With label: 61 of 240 rows" in text
    assert "New: 60" in text
    assert "Rejected: 1" in text
    assert (
        f"RecepcaoRotulos {tracking.last_run(home, 'label').run_id[:8]}"
        in [json.loads(json.dumps(link.label)) for link in app.get("page_link")]
        or "RecepcaoRotulos" in text
    )


def test_the_table_has_the_labels_in_words_and_a_latency_once_per_request(open_page, home) -> None:
    app = open_page(home, "score", view="log")
    app.selectbox(key="who").set_value("answers").run()
    rows = app.dataframe[0].value
    assert set(rows["courtside_predicted"]) == {"made", "missed"}
    assert set(rows["courtside_label"].dropna()) <= {"made", "missed"}
    assert rows["courtside_latency_ms"].notna().sum() == 100 // 20
    shown = json.loads(app.dataframe[0].proto.columns)
    assert "courtside_version" in shown
    order = list(app.dataframe[0].proto.column_order)
    assert len(order) == 6
    app.toggle(key="all-columns").set_value(True).run()
    order = list(app.dataframe[0].proto.column_order)
    assert {"lat", "lon", "courtside_latency_ms", "courtside_prediction_id"} <= set(order)


def test_filters_and_pages_show_every_prediction_once(open_page, press, text_of, home) -> None:
    app = open_page(home, "score", view="log")
    app.selectbox(key="who").set_value("answers").run()
    shown: list[str] = []
    while True:
        shown += app.dataframe[0].value["courtside_prediction_id"].tolist()
        if next(button for button in app.button if button.label == "Older").disabled:
            break
        press(app, "Older")
    assert len(shown) == len(set(shown)) == 240
    assert "201–240 / 240" in text_of(app)
    app.selectbox(key="known").set_value("known").run()
    assert "1–61 / 61" in text_of(app)  # back at the newest page
    app.slider(key="range").set_value((0.95, 1.0)).run()
    assert "Nothing to show" in text_of(app)


def test_a_prediction_shows_the_history_of_its_label(open_page, text_of, home) -> None:
    app = open_page(home, "score", view="log")
    app.selectbox(key="who").set_value("answers")
    app.text_input(key="search").set_value("220").run()
    assert not app.exception
    history = next(table.value for table in app.table if "Received" in table.value)
    assert history["What"].tolist() == ["Changed", "New"]
    assert "1–1 / 1" in text_of(app)


def test_a_file_of_labels_becomes_a_job(open_page, text_of, home) -> None:
    app = open_page(home, "score", view="labels")
    app.button(key="take").click().run()
    assert "Required: Labels." in text_of(app)
    assert not jobs.active(home)
    app = open_page(home, "score", view="labels")
    app.file_uploader(key="labels").set_value(("l.csv", b"shot_id,label\n1,1\n", "text/csv")).run()
    assert "`l.csv`: separator `,`, numbers like `1234.5`, UTF-8" in text_of(app)
    first = next(table.value for table in app.dataframe if "shot_id" in table.value)
    assert first.to_dict("list") == {"shot_id": ["1"], "label": ["1"]}
    app.button(key="take").click().run()
    assert [job.step for job in jobs.active(home)] == ["label"]
