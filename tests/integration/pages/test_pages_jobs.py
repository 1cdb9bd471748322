"""What pages do with background jobs: submit them once, show them, cancel them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data import prepare
from core.jobs import chains, jobs
from core.platform import project, storage, tracking
from core.platform.config import Settings
from core.platform.run_record import SILENT, Record
from core.predictions_log import predictions
from core.serving import server, server_process
from core.training import candidates, train
from tests.conftest import copy_home
from tests.integration.pages.conftest import LIVED_PORT

SPEC = project.load("kobe")
# step -> the page that runs it and what its panel calls it
PANELS = {
    "acquire": ("data?view=source", "Acquire"),
    "prepare": ("data?view=prepare", "Prepare"),
    "train": ("train?view=candidates", "Train"),
    "serve": ("serve", "Serve"),
    "score": ("score", "Score"),
    "monitor": ("monitor", "Monitor"),
}
# the format of CSV files is detected unless a person sets it
AS_DETECTED = {"delimiter": None, "decimal": None, "encoding": None}
# step -> the options of the job that the button submits when the page is unchanged
DEFAULTS = {
    "acquire": {
        **AS_DETECTED,
        "source": "sample",
        "path": None,
        "files": [],
        "uploads": [],
        "snapshot": None,
        "seed": 24,
    },
    "prepare": {
        "features": None,
        "rows": None,
        "missing": "drop",
        "split": "random",
        "test_share": 0.2,
        "test_from": None,
        "seed": 42,
        "continues": None,
    },
    "train": {
        "candidates": ["lr", "dt", "knn", "lightgbm"],
        "params": {},
        "folds": 10,
        "seed": 42,
        "fit_share": 1.0,
        "balanced": False,
        "tune_trials": 0,
        "tune_seconds": 60,
        "blend": False,
        "stack": False,
        "calibrate": "none",
        "budget_seconds": None,
        "preset": None,
        "aim": "project",
        "cost_false_positive": 1.0,
        "cost_false_negative": 1.0,
        "refit": False,
        "learning_seconds": 20,
    },
    "serve": {"target": "champion", "port": None, "shadow": False, "workers": None},
    "score": {
        **AS_DETECTED,
        "source": "production",
        "port": LIVED_PORT,
        "upload": None,
        "row": None,
        "batch_rows": None,
        "path": None,
        "mapping": {},
        "way": "endpoint",
        "keep": None,
        "columns": None,
        "destination": None,
        "resume": None,
    },
}


def running(settings: Settings, step: str, **values: object) -> jobs.Job:
    """Return a job of that step that a worker has claimed."""
    job = jobs.submit(settings, step, {})
    assert jobs.claim(settings, job.job_id)
    if values:
        jobs.update(settings, job.job_id, **values)
    return job


def test_a_queued_job_is_shown_and_can_be_cancelled(
    copied, open_page: Callable[..., AppTest]
) -> None:
    job = jobs.submit(copied.settings, "train", {})
    app = open_page(copied.settings, "train")
    assert not app.exception
    (bar,) = app.progress
    assert bar.text.startswith("Queued")
    assert bar.value == 0
    app.button(key=f"cancel-{job.job_id}").click().run()
    assert not app.exception
    cancelled = jobs.get(copied.settings, job.job_id)
    assert cancelled is not None
    assert cancelled.status == "cancelled"
    assert not app.progress
    assert any("Train was cancelled." in warning.value for warning in app.warning)


def test_all_jobs_of_a_step_are_shown_and_what_ended_badly_can_be_put_away(
    copied, open_page: Callable[..., AppTest]
) -> None:
    first = running(copied.settings, "prepare", text="Filtering")
    second = jobs.submit(copied.settings, "prepare", {"seed": 7})
    app = open_page(copied.settings, "data", view="prepare")
    assert not app.exception
    assert [bar.text.split(" ·")[0] for bar in app.progress] == ["Filtering", "Queued"]
    jobs.finish(copied.settings, first.job_id, jobs.DONE)
    assert jobs.claim(copied.settings, second.job_id)
    jobs.finish(copied.settings, second.job_id, jobs.FAILED, error="No row has these values.")
    app = open_page(copied.settings, "data", view="prepare")
    assert "No row has these values." in app.error[0].value
    app.button(key=f"put-away-{second.job_id}").click().run()
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize("step", PANELS)
def test_a_running_job_shows_how_far_it_is_and_then_why_it_failed(
    step: str, copied, open_page: Callable[..., AppTest]
) -> None:
    page, name = PANELS[step]
    job = running(copied.settings, step, fraction=0.4, text="Halfway through the rows")
    app = open_page(copied.settings, page)
    assert not app.exception
    (bar,) = app.progress
    assert bar.value == 40
    assert bar.text.startswith("Halfway through the rows · ")
    run_id = copied.run("acquire").run_id
    jobs.update(copied.settings, job.job_id, run_id=run_id)
    jobs.finish(copied.settings, job.job_id, "failed", error="The file is empty. Choose another.")
    app.run()
    assert not app.exception
    assert not app.progress
    assert f"**{name} failed.** The file is empty. Choose another." in [
        error.value for error in app.error
    ]
    assert f"MLflow run {run_id[:8]}" in [link.value for link in app.page_link]


def test_cancelling_a_running_job_asks_for_its_end_and_says_so(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    job = running(settings, "acquire", fraction=0.5, text="Checking 10 rows")
    app = open_page(settings, "data", view="source")
    app.button(key=f"cancel-{job.job_id}").click().run()
    assert jobs.to_cancel(settings) == [job.job_id]
    assert app.progress[0].text.startswith("Cancelling")
    jobs.finish(settings, job.job_id, "cancelled")
    app.run()
    assert any("Acquire was cancelled." in warning.value for warning in app.warning)


def test_a_job_that_ends_while_the_page_is_drawn_is_shown_as_ended(
    settings: Settings, open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = running(settings, "acquire")
    get = jobs.get

    def ended(settings: Settings, job_id: str) -> jobs.Job | None:
        jobs.finish(settings, job_id, "failed", error="It ended just now.")
        return get(settings, job_id)

    monkeypatch.setattr(jobs, "get", ended)
    app = open_page(settings, "data", view="source")
    assert not app.exception
    assert not app.progress
    assert "It ended just now." in app.error[0].value
    assert job.job_id


def test_a_finished_job_leaves_no_panel(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    job = running(settings, "acquire")
    jobs.finish(settings, job.job_id, "done", result={"rows": 1})
    app = open_page(settings, "data", view="source")
    assert not app.progress
    assert not app.error
    assert not app.warning


@pytest.mark.parametrize("step", DEFAULTS)
def test_a_button_submits_one_job_with_the_options_of_its_form(
    step: str, copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    page, name = PANELS[step]
    label = "Start" if step == "serve" else name
    view = {"view": "rows"} if step == "score" else {}
    app = press(open_page(copied.settings, page, **view), label)
    assert not app.exception
    assert not app.error
    (job,) = jobs.latest(copied.settings)
    options = DEFAULTS[step]
    if step == "score":
        # where the shared server found a free port
        options = options | {"port": server.servers(copied.settings)[0].port}
    assert (job.step, job.status, job.options) == (step, "queued", options)
    assert app.progress[0].text.startswith("Queued")
    (button,) = [button for button in app.button if button.label == label]
    # a form that is disabled while its job runs cannot be sent again at all
    if not button.disabled:
        button.click().run()
    assert [job.job_id for job in jobs.latest(copied.settings)] == [job.job_id]


def test_reloading_a_page_or_pressing_in_another_window_makes_no_second_job(
    settings: Settings, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    other = open_page(settings, "data", view="source")
    app = press(open_page(settings, "data", view="source"), "Acquire").run()
    other = press(other, "Acquire")
    assert not app.exception
    assert not other.exception
    (button,) = [button for button in app.button if button.label == "Acquire"]
    assert button.disabled
    assert len(jobs.latest(settings)) == 1


def test_monitor_submits_the_scoring_that_is_chosen(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "monitor")
    press(app.button(key="open-new-menu").click().run(), "Monitor")
    (job,) = jobs.latest(copied.settings)
    (scoring,) = predictions.scorings(copied.settings)
    assert (job.step, job.options["scoring_run"]) == ("monitor", scoring.run_id)


def test_prepare_submits_the_share_and_the_seed_that_were_typed(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "data", view="prepare")
    share, seed = app.number_input
    share.set_value(0.35)
    seed.set_value(7)
    press(app, "Prepare")
    (job,) = jobs.latest(copied.settings)
    assert job.options == {**DEFAULTS["prepare"], "test_share": 0.35, "seed": 7}


@pytest.mark.parametrize(("share", "words"), [(0.0, "greater than 0"), (1.0, "less than 1")])
def test_a_share_that_leaves_a_set_empty_is_refused_in_words(
    share: float,
    words: str,
    copied,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
) -> None:
    app = open_page(copied.settings, "data", view="prepare")
    app.number_input[0].set_value(share)
    press(app, "Prepare")
    assert not app.exception
    assert words in app.error[0].value
    assert not jobs.latest(copied.settings)


def test_train_without_a_candidate_is_refused_in_words(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "train", view="candidates")
    app.pills(key="candidates").set_value([])
    press(app, "Train")
    assert not app.exception
    assert "Required: Candidates." in app.error[0].value
    assert not jobs.latest(copied.settings)


def test_train_submits_what_was_ticked_and_typed(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "train", view="candidates")
    app.pills(key="candidates").set_value(["lr", "knn"])
    typed = (5, 1, 0.7, 20, 90, 300, 3.0, 2.0, 0)
    for box, value in zip(app.number_input, typed, strict=True):
        box.set_value(value)
    for box in app.checkbox:
        if box.key != "everything":
            box.check()
    app.segmented_control(key="calibrate").set_value("isotonic")
    app.segmented_control(key="aim").set_value("cost")
    press(app, "Train")
    (job,) = jobs.latest(copied.settings)
    assert job.options == DEFAULTS["train"] | {
        "candidates": ["lr", "knn"],
        "folds": 5,
        "seed": 1,
        "fit_share": 0.7,
        "balanced": True,
        "tune_trials": 20,
        "tune_seconds": 90,
        "blend": True,
        "stack": True,
        "calibrate": "isotonic",
        "budget_seconds": 300,
        "aim": "cost",
        "cost_false_positive": 3.0,
        "cost_false_negative": 2.0,
        "refit": True,
        "learning_seconds": 0,
    }


def test_train_compares_all_candidates_when_asked(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "train", view="candidates")
    app.checkbox(key="everything").check()
    press(app, "Train")
    (job,) = jobs.latest(copied.settings)
    assert job.options == DEFAULTS["train"] | {"candidates": list(candidates.KINDS)}


def test_serve_submits_the_version_and_the_port_that_were_chosen(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "serve")
    (target,) = app.selectbox
    assert target.options == ["champion (version 1)", "challenger (version 1)", "version 1"]
    target.select("1")
    app.number_input[0].set_value(5432)
    app.checkbox[0].check()
    press(app, "Start")
    (job,) = jobs.latest(copied.settings)
    assert job.options == {"target": "1", "port": 5432, "shadow": True, "workers": None}


@pytest.mark.parametrize(("page", "control"), [("data?view=source", "source"), ("score", "rows")])
def test_an_upload_without_a_file_is_refused_in_words(
    page: str,
    control: str,
    copied,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
) -> None:
    view = {"view": "rows"} if page == "score" else {}
    app = open_page(copied.settings, page, **view)
    app.segmented_control(key=control).set_value("upload").run()
    press(app, "Score" if page == "score" else "Acquire")
    assert not app.exception
    assert "Required: " in app.error[0].value
    assert not jobs.latest(copied.settings)


def test_uploaded_files_are_kept_for_the_job_that_acquires_them(
    settings: Settings, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(settings, "data", view="source")
    app.segmented_control(key="source").set_value("upload").run()
    contents = {"a.csv": b"x,y\n1,2\n", "../b.csv": b"x,y\n3,4\n"}
    app.file_uploader(key="files").set_value(
        [(name, content, "text/csv") for name, content in contents.items()]
    )
    press(app.run(), "Acquire")
    assert not app.exception
    (job,) = jobs.latest(settings)
    assert job.options["source"] == "upload"
    uploads = [storage.Upload(**upload) for upload in job.options["uploads"]]
    assert [upload.name for upload in uploads] == ["a.csv", "b.csv"]
    assert [storage.uploaded(settings, upload).read_bytes() for upload in uploads] == list(
        contents.values()
    )


def test_the_overview_shows_what_runs_and_what_failed(
    copied, open_page: Callable[..., AppTest]
) -> None:
    job = running(copied.settings, "train")
    app = open_page(copied.settings, "overview")
    states = [element.value for element in app.markdown if "-badge[" in element.value]
    assert ["running" in state for state in states] == [False, False, True, False, False, False]
    jobs.finish(copied.settings, job.job_id, "failed", error="No luck.")
    app.run()
    # a champion is in use: the failed attempt is a notice, not the state of the stage
    states = [element.value for element in app.markdown if "-badge[" in element.value]
    assert not any("failed" in state for state in states)
    assert [caption.value for caption in app.caption if "failed.** No luck." in caption.value]


def test_the_runs_page_lists_the_jobs(copied, open_page: Callable[..., AppTest]) -> None:
    job = running(copied.settings, "train")
    jobs.finish(copied.settings, job.job_id, "failed", error="No luck.")
    app = open_page(copied.settings, "runs", view="jobs")
    (listed,) = (table.value for table in app.dataframe)
    row = listed.iloc[0]
    assert (row["step"], row["status"], row["text"]) == ("Train", "failed", "No luck.")


def test_stop_ends_the_server_on_that_port(
    copied, open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:

    stopped: list[int] = []
    monkeypatch.setattr(server_process, "stop", lambda settings, port: stopped.append(port))
    open_page(copied.settings, "serve").button(key=f"stop-{copied.port}").click().run()
    assert stopped == [copied.port]


def test_a_preset_fills_the_form_and_then_prepares_and_trains(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "train", view="candidates")
    app.number_input(key="folds").set_value(4).run()
    app = app.button(key="preset-2").click().run()
    chosen = SPEC.presets[2]
    assert not app.exception
    assert any(chosen.about in caption.value for caption in app.caption)
    assert app.button(key="train").label == "Prepare and train"
    # in front of the person, nothing begins
    assert app.pills(key="candidates").value == list(chosen.candidates)
    assert app.checkbox(key="blend").value is True
    assert app.number_input(key="folds").value == 10
    assert not jobs.latest(copied.settings)
    press(app, "Prepare and train")
    assert not app.exception
    second, first = jobs.latest(copied.settings)
    assert (first.step, second.step) == ("prepare", "train")
    assert first.options["features"] == list(SPEC.features)
    assert (first.options["split"], first.options["test_from"]) == ("time", "2010-12-01")
    assert (second.options["preset"], second.options["blend"]) == (chosen.title, True)
    assert second.options["params"]["lightgbm"]["n_estimators"] == 200


def test_a_preset_of_the_current_sets_only_trains(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "train", view="candidates")
    app = app.button(key="preset-0").click().run()
    app.pills(key="candidates").set_value(["lightgbm", "lr"]).run()
    press(app, "Train")
    (job,) = jobs.latest(copied.settings)
    # parameters of a candidate that was taken out are not passed on
    assert (job.step, list(job.options["params"])) == ("train", ["lightgbm"])
    assert job.options["candidates"] == ["lightgbm", "lr"]


def test_a_preset_can_be_cleared(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "train", view="candidates")
    app = press(app.button(key="preset-1").click().run(), "Remove")
    press(app, "Train")
    (job,) = jobs.latest(copied.settings)
    assert job.options == DEFAULTS["train"]


def test_without_sets_a_preset_prepares_its_own(
    acquired_few: Settings,
    tmp_path: Path,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
) -> None:
    settings = copy_home(acquired_few, tmp_path / "home")
    app = open_page(settings, "train")
    assert app.button(key="train").disabled
    app = press(app.button(key="preset-0").click().run(), "Prepare and train")
    assert [job.step for job in jobs.latest(settings)] == ["train", "prepare"]


def test_the_form_is_locked_while_a_training_runs_and_the_results_open_after_it(
    copied, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    prepare.run(copied.settings, prepare.Options(seed=7))
    app = open_page(copied.settings, "train", view="candidates")
    assert "Train again." in text_of(app)
    job = running(copied.settings, "train", text="Fitting")
    app = app.run()
    assert app.progress[0].text.startswith("Fitting")
    assert app.button(key="train").disabled
    assert app.pills(key="candidates").disabled
    assert all(box.disabled for box in [*app.number_input, *app.checkbox])
    # what would contradict the job
    assert "Train again." not in text_of(app)
    jobs.finish(copied.settings, job.job_id, jobs.DONE, result={})
    app = app.run()
    assert not app.exception
    assert app.segmented_control(key="train-view").value == "results"


@pytest.mark.parametrize(("view", "key"), [("source", "acquire"), ("prepare", "prepare")])
def test_a_running_chain_locks_what_it_has_done_already(
    copied, open_page: Callable[..., AppTest], view: str, key: str
) -> None:
    assert not open_page(copied.settings, "data", view=view).button(key=key).disabled
    chains.start(copied.settings, [("train", {}), ("score", {})], "Rest of the life cycle")
    app = open_page(copied.settings, "data", view=view)
    assert not app.exception
    assert app.progress
    assert app.button(key=key).disabled


def test_a_running_chain_is_shown_and_locks_the_form(
    copied, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    chains.start(copied.settings, [("acquire", {}), ("train", {})], "Whole life cycle")
    app = open_page(copied.settings, "train", view="candidates")
    assert "Acquire is running." in text_of(app)
    assert app.progress
    assert app.button(key="train").disabled


def test_the_depth_of_another_candidate_and_its_parts_can_be_seen(
    copied, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(copied.settings, "train")
    for curves in ("ranking", "training"):
        app = app.segmented_control(key="curves").set_value(curves).run()
        assert not app.exception
        assert not app.error
    app = app.segmented_control(key="train-results").set_value("one").run()
    assert app.selectbox(key="in-depth").options == ["Logistic regression", "Naive Bayes"]
    for part, words in (
        ("threshold", "What does another threshold change?"),
        ("slices", "slices"),
        ("court", "Predicted minus observed"),
    ):
        app = app.segmented_control(key="depth-view").set_value(part).run()
        assert not app.exception
        assert not app.error
        assert words in text_of(app)


def test_a_cancelled_training_shows_what_it_finished(
    copied, open_page: Callable[..., AppTest]
) -> None:
    settings = copied.settings

    def cancelled() -> None:
        with tracking.step_run(settings, "train", train.Options(), SILENT):
            with tracking.child_run(settings, "Logistic regression", SILENT) as child:
                tracking.log(settings, child, Record(metrics={"log_loss_cv": 0.6771}))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cancelled()
    run = tracking.last_run(settings, "train", status=None)
    assert run is not None
    assert run.status == "KILLED"
    app = open_page(settings, "train")
    assert not app.exception
    assert any("Finished candidates:" in info.value for info in app.info)
    labels = [link.label for link in app.get("page_link")]
    assert any(label.startswith("Logistic regression, Log loss, folds 0.6771") for label in labels)
