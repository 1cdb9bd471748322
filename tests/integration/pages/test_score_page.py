"""The page Score: one row on the court, a file and its columns, earlier scorings, filters."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import jobs
from core.platform import model_store, project, storage, tracking
from core.platform.config import Settings
from core.platform.messages import loads
from core.predictions_log import predictions
from core.projects.kobe import court_map
from core.scoring import score
from core.training import explain

SPEC = project.load("kobe")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Nine rows as a scoring keeps them."""
    return pd.DataFrame(
        {
            "courtside_prediction_id": [f"{'a' * 32}-{i}" for i in range(9)],
            "courtside_row_key": [str(100 + i) for i in range(9)],
            "courtside_probability": [0.1, 0.9, 0.5, 0.4, 0.6, 0.7, 0.2, 0.3, 0.8],
            "courtside_predicted": [0, 1, 1, 0, 1, 1, 0, 0, 1],
            "courtside_label": [0, 1, 0, 1, None, None, 0, 0, 1],
        }
    ).astype({"courtside_label": "float64"})


def filtered(rows: pd.DataFrame, **values: object) -> list[int]:
    """Return the positions of the rows that pass the filters, drawn by their own script."""

    def script(rows):  # only its source is run: imports of this file do not exist there
        import streamlit as st

        from core.platform import project
        from pages.score import result_view

        positions = result_view.rows_chosen(project.load("kobe"), rows, "run")
        st.code(",".join(map(str, positions)))

    app = AppTest.from_function(script, kwargs={"rows": rows}, default_timeout=60)
    for name, value in values.items():
        app.session_state[f"{name}-run"] = value
    app.run()
    assert not app.exception
    return [int(position) for position in app.code[0].value.split(",") if position]


@pytest.mark.parametrize(
    ("values", "positions"),
    [
        ({}, list(range(9))),
        ({"between": (40, 60)}, [2, 3, 4]),
        ({"called": 1, "known": "known"}, [1, 2, 8]),
        ({"known": "unknown"}, [4, 5]),
        ({"known": "wrong"}, [2, 3]),
        ({"sought": "107"}, [7]),
        ({"sought": "-3"}, [3]),
        ({"called": 0, "order": "highest"}, [3, 7, 6, 0]),
    ],
)
def test_filters_leave_the_rows_that_they_name(rows, values, positions) -> None:
    assert filtered(rows, **values) == positions


def log_as_its_endpoint_would(settings: Settings, run: tracking.RunInfo) -> None:
    """Log the one answer of a run here; the shared endpoint has its own log."""
    name = score.output_name("row", run.run_id, is_sample=run.is_sample)
    rows = pd.read_parquet(tracking.artifact(settings, run.run_id, f"files/{name}.parquet"))
    answer = predictions.Answer(
        request_id=str(rows["courtside_prediction_id"].iloc[0]).removesuffix("-0"),
        model=run.params["model"],
        version=run.params["version"],
        alias=None,
        source="page",
        scored_at=run.started,
        latency_ms=1.0,
        run_id=run.run_id,
        features=rows[list(SPEC.features)].to_dict("records"),
        probabilities=rows["courtside_probability"].tolist(),
        predicted=rows["courtside_predicted"].tolist(),
    )
    assert predictions.write(settings, [answer]) == [1]


def test_the_court_says_nothing_of_a_position_before_there_is_one(
    copied, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(copied.settings, "score")
    assert not any("from the hoop" in caption.value for caption in app.caption)
    field = next(field for field in app.number_input if field.key.endswith("-lat"))
    field.set_value(field.value + 0.05).run()
    assert not app.exception
    assert any("from the hoop" in caption.value for caption in app.caption)


def test_a_row_is_scored_and_explained_and_its_outcome_is_recorded_later(
    copied,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
    text_of: Callable[[AppTest], str],
) -> None:
    app = open_page(copied.settings, "score")
    assert not app.exception
    live = {metric.label: metric.value for metric in app.metric}
    app = press(app, "Score")
    run_the_job(copied.settings, "score", score)
    run = tracking.last_run(copied.settings, "score")
    assert run is not None
    log_as_its_endpoint_would(copied.settings, run)
    app.run()
    assert not app.exception
    assert not app.error
    logged = predictions.read(copied.settings, run.run_id)
    (answer,) = logged["courtside_probability"]
    # what was shown before is what the server answered
    assert live["Probability of made"] == f"{answer:.1%}"
    version = model_store.require_version(copied.settings, SPEC.model, "champion")
    label = SPEC.positive if answer >= version.threshold else SPEC.negative
    assert live["Predicted class"] == label
    text = text_of(app)
    assert f"**{answer:.1%}** made · Predicted **{label}**" in text
    assert logged["courtside_prediction_id"].iloc[0] in text
    # explained on request only
    assert "How much could each input alone change it?" not in text
    assert not jobs.active(copied.settings)
    app.toggle(key=f"explain-{run.run_id}").set_value(True).run()
    run_the_job(copied.settings, "explain", explain)
    app.run()
    assert not app.exception
    explained = tracking.last_run(copied.settings, "explain")
    assert explained is not None
    assert explained.metrics["probability"] == pytest.approx(answer)
    assert "How much could each input alone change it?" in text_of(app)
    cells = tracking.table(copied.settings, explained.run_id, "map")
    assert len(cells) == len(court_map.grid())
    # the court above shows the same map
    assert "Every position on the court" not in text_of(app)
    app.number_input(key=f"one-{version.run_id}-period").set_value(4).run()
    assert "Every position on the court" in text_of(app)
    app = press(app, "Made")
    assert not app.exception
    assert predictions.read(copied.settings, run.run_id)["courtside_label"].tolist() == [1.0]
    assert "Actual: **made**" in text_of(app)
    app = press(app, "Missed")
    assert predictions.read(copied.settings, run.run_id)["courtside_label"].tolist() == [0.0]
    # the scoring of many rows has its own view
    app = open_page(copied.settings, "score", view="rows")
    assert {metric.label for metric in app.metric} >= {"Rows scored", "F1", "Log loss"}


def run_the_job(settings: Settings, step: str, module: Any) -> None:
    """Run the one job that was submitted, as the worker would."""
    (job,) = jobs.active(settings)
    assert job.step == step
    assert jobs.claim(settings, job.job_id)
    module.run(settings, module.Options(**job.options))
    jobs.finish(settings, job.job_id, "done", result={})


def test_a_missing_value_has_no_live_probability(
    lived, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(lived.settings, "score")
    run_id = model_store.require_version(lived.settings, SPEC.model, "champion").run_id
    app.number_input(key=f"one-{run_id}-period").set_value(None).run()
    assert not app.exception
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown == {"Probability of made": "–", "Predicted class": "–"}
    assert any("period" in warning.value for warning in app.warning)


def test_an_earlier_scoring_can_be_opened_again(copied, open_page: Callable[..., AppTest]) -> None:
    first = copied.run("score")
    score.run(copied.settings, score.Options(way="in_process"))
    newest = copied.run("score")
    app = open_page(copied.settings, "score", view="rows")
    box = app.selectbox(key=f"scoring-{newest.run_id}")
    assert len(box.options) == 2
    box.select_index(1).run()
    assert not app.exception
    queries = [link.proto.query_string for link in app.page_link]
    assert f"run={first.run_id}" in queries
    assert f"run={newest.run_id}" not in queries


def test_columns_of_a_file_are_matched_or_asked_for(
    copied,
    shots: pd.DataFrame,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
    text_of: Callable[[AppTest], str],
) -> None:
    inputs = list(SPEC.features)
    frame = shots[["shot_id", *inputs]].head(20)
    frame = frame.rename(columns={"shot_distance": "Shot Distance", "period": "quarter"})
    frame.loc[3, "lat"] = 99.0
    content = io.BytesIO()
    frame.to_csv(content, index=False)
    app = open_page(copied.settings, "score", view="rows")
    app = app.segmented_control(key="rows").set_value("upload").run()
    app.file_uploader(key="file").upload("rows.csv", content.getvalue(), "text/csv")
    app = app.run()
    assert not app.exception
    assert "No column of the file is chosen for period." in text_of(app)
    assert next(button for button in app.button if button.label == "Score").disabled
    next(box for box in app.selectbox if box.label == "period").set_value("quarter")
    app = app.run()
    assert not app.exception
    assert any("1 cannot be scored" in warning.value for warning in app.warning)
    # the value, and the row as a person counts it
    (table,) = [each.value for each in app.table if "Values" in each.value]
    assert table[["Values", "First row"]].to_numpy().tolist() == [["99", "4"]]
    app = press(app, "Score")
    (job,) = jobs.active(copied.settings)
    chosen = score.Options(**job.options)
    assert chosen.mapping == {"shot_distance": "Shot Distance", "period": "quarter"}
    assert (chosen.source, chosen.way, chosen.keep) == ("upload", "endpoint", None)
    assert chosen.upload is not None
    assert storage.uploaded(copied.settings, chosen.upload).read_bytes() == content.getvalue()


def test_a_path_without_a_name_is_refused_and_one_with_a_name_is_submitted(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "score", view="rows")
    app = app.segmented_control(key="rows").set_value("path").run()
    app = press(app, "Score")
    assert "Required: " in app.error[0].value
    app.text_input(key="path").set_value("/data/rows.parquet")
    app = press(app, "Score")
    (job,) = jobs.active(copied.settings)
    chosen = score.Options(**job.options)
    assert (chosen.path, chosen.way, chosen.destination) == (
        "/data/rows.parquet",
        "in_process",
        None,
    )


def test_the_columns_of_a_path_can_be_listed_and_mapped(
    copied,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
    text_of: Callable[[AppTest], str],
    tmp_path: Path,
) -> None:
    columns = ("lat", "lon", "minutes_remaining", "period", "playoffs", "Shot Distance")
    frame = pd.DataFrame({name: [1.0, 2.0] for name in columns})
    path = tmp_path / "rows.parquet"
    frame.rename(columns={"period": "quarter"}).to_parquet(path)
    app = open_page(copied.settings, "score", view="rows")
    app = app.segmented_control(key="rows").set_value("path").run()
    app.text_input(key="path").set_value(str(path))
    app = press(app.run(), "First rows")
    assert not app.exception
    assert "No column of the file is chosen for period." in text_of(app)
    next(box for box in app.selectbox if box.label == "period").set_value("quarter")
    app = press(app.run(), "Score")
    (job,) = jobs.active(copied.settings)
    chosen = score.Options(**job.options)
    assert chosen.mapping == {"shot_distance": "Shot Distance", "period": "quarter"}
    assert chosen.path == str(path)


def test_an_interrupted_scoring_of_a_path_can_be_resumed(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    options = score.Options(source="path", path="/data/rows.parquet").model_dump(mode="json")
    job = jobs.submit(copied.settings, "score", options)
    assert jobs.claim(copied.settings, job.job_id)
    begun = copied.run("score").run_id
    jobs.update(copied.settings, job.job_id, run_id=begun)
    jobs.finish(copied.settings, job.job_id, "failed", error="The machine went down.")
    app = press(open_page(copied.settings, "score", view="rows"), "Resume")
    assert not app.exception
    (again,) = jobs.active(copied.settings)
    assert again.options["resume"] == begun


def test_the_verdict_on_a_scoring_is_the_one_of_its_monitoring_report(
    lived, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(lived.settings, "score", view="rows")
    assert not app.exception
    assert not app.error
    report = lived.run("monitor")
    title = str(loads(report.tags["courtside.verdict_title"]))
    (link,) = [link for link in app.get("page_link") if title in link.label]
    assert link.label == f"Monitor: {title}"
    assert f"report={report.run_id}" in link.proto.query_string


def test_a_scoring_without_a_report_offers_to_monitor_it(
    copied, open_page: Callable[..., AppTest]
) -> None:
    scored = score.run(copied.settings, score.Options(way="in_process"))
    app = open_page(copied.settings, "score", view="rows")
    (link,) = [link for link in app.get("page_link") if "scoring=" in link.proto.query_string]
    assert f"scoring={scored.scoring}" in link.proto.query_string


@pytest.mark.parametrize("is_complete", [True, False])
def test_missing_inputs_leave_rows_out_only_of_a_model_that_needs_them(is_complete: bool) -> None:
    def page(is_complete: bool) -> None:
        import pandas as pd

        from core.platform import project
        from pages.score import file_form

        spec = project.load("kobe")
        first = pd.DataFrame({"lat": ["34.0", ""], "lon": ["-118.2", "-118.3"]})
        names = tuple(first)
        required = names if is_complete else ()
        file_form.checked(spec, first, {name: name for name in names}, required)

    app = AppTest.from_function(page, args=(is_complete,)).run()
    assert not app.exception
    assert (len(app.warning), len(app.success)) == ((1, 0) if is_complete else (0, 1))


@pytest.mark.parametrize(
    ("latitudes", "marks", "errors", "warnings", "values"),
    [
        (["34.0", "n/d"], ("n/d",), 0, 0, []),
        (["34.0", "n/d"], (), 0, 1, [["'n/d'", "2"]]),
        (["far", "n/d"], (), 1, 0, [["'far', 'n/d'", "1"]]),
    ],
)
def test_values_that_cannot_be_scored_are_shown_with_their_rows(
    latitudes: list[str], marks: tuple[str], errors: int, warnings: int, values: list[list[str]]
) -> None:
    def page(latitudes: list[str], marks: tuple[str]) -> None:
        import pandas as pd

        from core.platform import project
        from pages.score import file_form

        spec = project.load("kobe")
        column = spec.columns["lat"].model_copy(update={"missing_values": marks})
        spec = spec.model_copy(update={"columns": {**spec.columns, "lat": column}})
        first = pd.DataFrame({"lat": latitudes, "lon": ["-118.2", "-118.3"]})
        file_form.checked(spec, first, {name: name for name in first}, ())

    app = AppTest.from_function(page, args=(latitudes, marks)).run()
    assert not app.exception
    assert (len(app.error), len(app.warning)) == (errors, warnings)
    shown = [table.value[["Values", "First row"]].to_numpy().tolist() for table in app.table]
    assert shown == ([values] if values else [])


def test_a_boolean_input_is_asked_for_in_words() -> None:
    def page() -> None:
        import streamlit as st

        from core.platform import project
        from pages.shared import row_field

        spec = project.load("kobe")
        column = spec.columns["playoffs"].model_copy(
            update={"type": "boolean", "min": None, "max": None}
        )
        spec = spec.model_copy(update={"columns": {**spec.columns, "playoffs": column}})
        value = row_field.field(st.container(), spec, "playoffs", 1.0, [], key="field")
        st.text(repr(value))

    app = AppTest.from_function(page).run()
    assert not app.exception
    assert app.selectbox(key="field").options == ["yes", "no"]
    assert app.text[0].value == "1.0"
    assert app.selectbox(key="field").set_value(0.0).run().text[0].value == "0.0"
