"""Every page after the whole life cycle: it shows what the runs recorded and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data import acquire, prepare, snapshots
from core.platform import messages, model_store, project, steps, storage, tracking
from core.platform.config import Settings
from core.predictions_log import predictions
from core.serving import server
from pages.shared import report_view
from tests.conftest import copy_home
from tests.integration.pages.conftest import said

SPEC = project.load("kobe")
SAMPLE = "built-in sample, not real data"
# page -> the step whose run it shows
STEP_OF = {
    "data?view=source": "acquire",
    "data?view=explore": "acquire",
    "data?view=prepare": "prepare",
    "train": "train",
    "serve": "serve",
    "score?view=rows": "score",
    "monitor": "monitor",
}
CHARTS = {"data?view=explore": 7, "data?view=prepare": 3, "train": 2, "score?view=rows": 2}


def metrics_of(app: AppTest) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.value, metric.delta) for metric in app.metric}


def linked_runs(app: AppTest) -> set[str]:
    """Return the ids of the runs that the page links to."""
    queries = [link.proto.query_string for link in app.page_link]
    return {query.removeprefix("run=") for query in queries if query.startswith("run=")}


def next_step(app: AppTest) -> str:
    """Return the label of the Overview's one primary button."""
    (label,) = (button.label for button in app.button if button.proto.type == "primary")
    return label


@pytest.mark.parametrize("page", STEP_OF)
def test_a_page_shows_figures_their_run_and_that_they_come_from_the_sample(
    page: str, lived, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(lived.settings, page)
    assert not app.exception
    text = text_of(app)
    for fault in (" yet.", "nan", "None", "No model is served"):
        assert fault not in text
    assert len(app.get("vega_lite_chart")) >= CHARTS.get(page, 0)
    run = lived.run(STEP_OF[page])
    assert run.run_id in linked_runs(app)
    assert f"{run.name} {run.run_id[:8]}" in text
    assert SAMPLE in text


def test_prepare_shows_what_was_acquired_and_what_became_of_it(
    lived, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(lived.settings, "data", view="source")
    shown = metrics_of(app)
    (details,) = [table.value for table in app.table if "What" in table.value]
    facts = details.set_index("What")["Value"]
    app = open_page(lived.settings, "data", view="prepare")
    shown |= metrics_of(app)
    acquired, prepared = lived.run("acquire").metrics, lived.run("prepare").metrics
    assert shown["Rows"][0] == f"{acquired['rows_raw']:,.0f}"
    assert shown["Rows"][1] == f"Without label: {acquired['labels_missing']:,.0f}"
    assert shown["Columns"][0] == f"{acquired['columns_raw']:.0f}"
    assert shown["Filtered"] == (
        f"{prepared['rows_filtered']:,.0f} rows",
        f"{prepared['columns_filtered']:.0f} columns",
    )
    for label, name in (("Training set", "train"), ("Test set", "test")):
        assert shown[label][0].startswith(f"{prepared[f'rows_{name}']:,.0f} ")
        assert shown[label][1].startswith(f"{prepared[f'base_rate_{name}']:.1%} ")
    assert shown["Excluded"][0].startswith(
        f"{prepared['rows_raw'] - prepared['rows_filtered']:,.0f} "
    )
    assert shown["Excluded"][1] == f"of {prepared['rows_raw']:,.0f} rows"
    # only the reasons that there are
    assert prepared["rows_missing"] == 0
    assert (
        f"Outside the row filter: {prepared['rows_other']:,.0f}, "
        f"Without label: {prepared['rows_unlabelled']:,.0f}"
    ) in [caption.value for caption in app.caption]
    snapshot = snapshots.current(lived.settings)
    assert snapshot is not None
    assert facts["Snapshot"] == snapshot.id
    assert facts["SHA-256"] == snapshot.digest


def test_train_shows_the_figures_of_the_best_and_the_registered_version(
    lived, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(lived.settings, "train")
    shown, run = metrics_of(app), lived.run("train")
    recorded = run.metrics
    assert app.subheader[0].value == "Best: Logistic regression"
    for label, text in (
        ("Log loss, test", f"{recorded['log_loss_test']:.4f}"),
        ("ROC AUC, test", f"{recorded['roc_auc_test']:.4f}"),
        ("F1, test", f"{recorded['f1_test']:.4f}"),
        ("Rows fitted on", f"{recorded['rows_fit']:,.0f}"),
    ):
        assert shown[label][0] == text
    (comparison,) = (table.value for table in app.dataframe)
    stored = tracking.table(lived.settings, run.run_id, "comparison")
    stored = stored.sort_values("log_loss_cv")
    assert comparison["log_loss_cv"].tolist() == stored["log_loss_cv"].tolist()
    assert comparison["best"].tolist() == ["★", ""]
    assert comparison["run"].tolist() == [f"/runs?run={run_id}" for run_id in stored["run_id"]]
    assert comparison["view"].tolist() == ["regression", "classification"]
    assert "**version 1** (champion)" in text_of(app)


def test_the_base_rate_beside_the_log_loss_is_that_of_the_test_set(
    lived, open_page: Callable[..., AppTest]
) -> None:
    from core.stats import metrics

    _, _, test = storage.read_prepared(lived.settings)
    base = metrics.base_rate_log_loss(float(test[SPEC.target].mean()))
    shown = metrics_of(open_page(lived.settings, "train"))
    assert shown["Log loss, test"][1].endswith(f"; no skill: {base:.4f}")


def test_serve_shows_the_server_its_model_and_how_to_call_it(
    lived, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(lived.settings, "serve")
    text = text_of(app)
    version = model_store.require_version(lived.settings, SPEC.model, "champion")
    assert app.subheader[0].value == f"{SPEC.model}, version 1 (champion)"
    assert f"live endpoint · Port: {lived.port} · `http://127.0.0.1:{lived.port}`" in text
    assert "answering" in text
    assert version.run_id in linked_runs(app)
    assert app.button(key=f"stop-{lived.port}").label == "Stop"
    call = next(block.value for block in app.code if block.value.startswith("curl "))
    assert f"http://127.0.0.1:{lived.port}/invocations" in call
    assert all(f'"{name}"' in call for name in SPEC.features)


def test_score_shows_the_figures_beside_those_of_the_test_set_and_the_rows(
    lived, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(lived.settings, "score", view="rows")
    shown, recorded = metrics_of(app), lived.run("score").metrics
    version = model_store.require_version(lived.settings, SPEC.model, "champion")
    model = tracking.run(lived.settings, version.run_id)
    assert model is not None
    assert shown["Rows scored"][0] == f"{recorded['rows_scored']:,.0f}"
    assert shown["Mean predicted probability"][0] == f"{recorded['probability_mean']:.1%}"
    observed = f"Observed: {recorded['base_rate_production']:.1%}"
    assert shown["Mean predicted probability"][1] == observed
    assert shown["Log loss"][0] == f"{recorded['log_loss_production']:.4f}"
    for label, name, digits in (
        ("F1", "f1", 3),
        ("ROC AUC", "roc_auc", 3),
        ("Skill over base rate", "skill", 4),
    ):
        assert shown[label][0] == f"{recorded[f'{name}_production']:.{digits}f}"
        low, high = (recorded[f"{name}_production_{end}"] for end in ("low", "high"))
        assert shown[label][1] == (
            f"{low:.{digits}f}–{high:.{digits}f}; test {model.metrics[f'{name}_test']:.{digits}f}"
        )
    rows = app.dataframe[0].value
    stored = predictions.read(lived.settings, lived.run("score").run_id)
    assert (
        rows["courtside_probability"].tolist()
        == stored["courtside_probability"].head(len(rows)).tolist()
    )
    assert len(app.dataframe[0].proto.column_order) == 6
    assert set(rows["courtside_predicted"]) <= {SPEC.positive, SPEC.negative}
    assert [button.label for button in app.get("download_button")] == ["CSV", "Parquet"]


def test_monitor_draws_its_verdict_the_checks_and_where_they_come_from(
    lived, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(lived.settings, "monitor")
    run = lived.run("monitor")
    assert run.tags["courtside.verdict"] == "does_not_fit"
    title, reason, todo = app.error[0].value.split("\n\n")
    assert title == f"## {said(run, 'verdict_title')}"
    texts = [element.value for element in app.markdown]
    # the reason is on top, the rest on request, nothing twice
    assert any(said(run, "verdict_text") == f"{reason} {text}" for text in texts)
    assert todo == f"**{said(run, 'verdict_todo')}**"
    assert run.tags["courtside.verdict_action"] == "train_rows"
    (primary,) = [button for button in app.button if button.proto.type == "primary"]
    assert primary.label == "Train on such rows"
    assert any(f" of {run.metrics['rows_current']:,.0f} rows" in text for text in texts)
    of_model = model_store.require_version(lived.settings, SPEC.model, "champion").run_id
    assert {run.run_id, lived.run("score").run_id, of_model} <= linked_runs(app)
    stored = tracking.table(lived.settings, run.run_id, "checks")
    performance = stored[stored["group"] == "performance"]
    failed = app.table[0].value
    names = failed["Check"].str.extract(r"^\*\*(.*)\*\*")[0]
    in_alert = performance.loc[performance["verdict"] == "alert", "title"]
    assert set(map(str, in_alert)) <= set(names)
    assert not failed["Verdict"].str.contains("ok").any()
    app = app.segmented_control(key="evidence").set_value("performance").run()
    drawn = app.table[0].value
    titles = drawn["Check"].str.extract(r"^\*\*(.*)\*\*")[0]
    assert sorted(titles) == sorted(map(str, performance["title"]))
    for title, name in (
        ("Skill over base rate", "skill"),
        ("ROC AUC", "roc_auc"),
        ("F1", "f1"),
        ("Log loss", "log_loss"),
    ):
        row = drawn[titles == title].iloc[0]
        assert row["Current (95% interval)"].startswith(f"{run.metrics[f'{name}_current']:.4f}")
        assert row["Reference"] == f"{run.metrics[f'{name}_reference']:.4f}"
    alerts = drawn["Verdict"].str.contains("alert").sum()
    assert alerts == (performance["verdict"] == "alert").sum()


def test_monitor_draws_the_column_that_is_chosen(lived, open_page: Callable[..., AppTest]) -> None:
    app = open_page(lived.settings, "monitor")
    assert len(app.get("vega_lite_chart")) == 2
    chosen = app.selectbox(key="feature")
    assert sorted(chosen.options) == sorted([*SPEC.features, "predicted probability"])
    drift = tracking.table(lived.settings, lived.run("monitor").run_id, "drift")
    assert chosen.value == drift.loc[drift["psi"].idxmax(), "feature"]
    app = chosen.select("courtside_probability").run()
    assert not app.exception
    assert app.selectbox(key="feature").value == "courtside_probability"


def test_the_overview_shows_each_stage_done_and_the_verdict(
    lived, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(lived.settings, "overview")
    assert not app.exception
    text = text_of(app)
    states = [element.value for element in app.markdown if "-badge[" in element.value]
    assert len(states) == 6
    # no green mark next to a result that needs attention
    marks = ["done", "done", "done", "done", "warning", "alert"]
    assert all(mark in state for mark, state in zip(marks, states, strict=True))
    runs = {step: lived.run(step) for step in STEP_OF.values()}
    assert {run.run_id for run in runs.values()} <= linked_runs(app)
    monitored = runs["monitor"]
    assert said(monitored, "verdict_title") in app.subheader[0].value
    # the main reason, and what to do
    reason, todo = (
        str(report_view.lead(messages.loads(monitored.tags[f"courtside.verdict_{name}"])))
        for name in ("text", "todo")
    )
    assert reason in text
    assert f"**{todo}**" in text
    # all of it is of the sample, which the card says once
    assert text.count(":material/science: sample") == 1
    assert [button.label for button in app.button if button.proto.type == "primary"] == [
        "Go to Monitor"
    ]
    for figure in (
        f"{runs['acquire'].metrics['rows_raw']:,.0f}",
        f"{runs['prepare'].metrics['rows_train']:,.0f}",
        f"{runs['train'].metrics['log_loss_test']:.4f}",
        "version 1",
        f"{runs['score'].metrics['rows_scored']:,.0f}",
        "does not fit",
    ):
        assert f"### {figure}\n" in text
    assert f"F1 {runs['score'].metrics['f1_production']:.3f}" in text


def test_runs_lists_every_step_and_filters_by_one(lived, open_page: Callable[..., AppTest]) -> None:
    app = open_page(lived.settings, "runs")
    assert not app.exception
    names = set(app.dataframe[0].value["name"])
    candidates = {"Logistic regression", "Naive Bayes"}
    assert names == {steps.RUN_NAMES[step] for step in STEP_OF.values()} | candidates
    assert set(app.dataframe[0].value["data"]) == {"sample"}
    # a fixed name says little: its step is shown next to it
    order = list(app.dataframe[0].proto.column_order)
    assert order[order.index("name") + 1] == "step"
    app = app.pills(key="step").set_value("score").run()
    assert app.dataframe[0].value["name"].tolist() == ["PipelineAplicacao"]


@pytest.mark.parametrize("step", STEP_OF.values())
def test_runs_shows_one_runs_metrics_parameters_and_files(
    step: str, lived, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    run = lived.run(step)
    app = open_page(lived.settings, "runs", run=run.run_id)
    assert not app.exception
    assert not app.error
    assert app.subheader[0].value == f"{run.name} {run.run_id[:8]}"
    text = text_of(app)
    assert run.run_id in text
    assert SAMPLE in text
    assert "settings.json" in text
    metrics, parameters = (
        table.value.set_index("name")["value"] for table in list(app.dataframe)[:2]
    )
    assert {name: float(value.replace(",", "")) for name, value in metrics.items()} == {
        name: pytest.approx(value, rel=1e-5) for name, value in run.metrics.items()
    }
    assert parameters.to_dict() == dict(run.params)


def test_the_training_run_links_to_its_candidate_and_back(
    lived, open_page: Callable[..., AppTest]
) -> None:
    training = lived.run("train")
    children = {child.run_id for child in tracking.runs(lived.settings, parent=training.run_id)}
    assert len(children) == 2
    assert children <= set(linked_runs(open_page(lived.settings, "runs", run=training.run_id)))
    for child in children:
        assert training.run_id in linked_runs(open_page(lived.settings, "runs", run=child))


def test_a_missing_run_is_reported(lived, open_page: Callable[..., AppTest]) -> None:
    app = open_page(lived.settings, "runs", run="0" * 32)
    assert not app.exception
    assert app.error[0].value == f"'{'0' * 32}' does not exist."
    assert "Runs" in [link.value for link in app.page_link]
    assert len(app.dataframe[0].value) == len(tracking.runs(lived.settings))


def test_new_raw_data_marks_what_depends_on_it_out_of_date(
    copied, few_file: Path, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    acquire.run(copied.settings, acquire.Options(source="file", path=few_file))
    app = open_page(copied.settings, "data", view="prepare")
    assert any("Data changed." in warning.value for warning in app.warning)
    assert metrics_of(open_page(copied.settings, "data", view="source"))["Rows"][0] == "800"
    # the sets below are still those of the sample
    assert SAMPLE in text_of(app)
    app = open_page(copied.settings, "overview")
    assert "**The input of Prepare has changed. Run it again.**" in text_of(app)
    assert next_step(app) == "Next: Prepare"
    # the verdict and the five steps after the new data
    assert text_of(app).count(":material/science: sample") == 6
    states = [element.value for element in app.markdown if "-badge[" in element.value]
    assert "out of date" in states[1]
    prepare.run(copied.settings, prepare.Options())
    # there one trains again; the results say that they are older, and lead there
    app = open_page(copied.settings, "train")
    assert app.segmented_control(key="train-view").value == "candidates"
    assert any("Train again" in warning.value for warning in app.warning)
    app = open_page(copied.settings, "train", view="results")
    assert any("Train again" in warning.value for warning in app.warning)
    assert "view=candidates" in [link.proto.query_string for link in app.page_link]
    assert SAMPLE in text_of(app)
    assert SAMPLE not in text_of(open_page(copied.settings, "data", view="prepare"))
    assert next_step(open_page(copied.settings, "overview")) == "Next: Train"


def test_a_dead_server_is_shown_and_can_be_dismissed(
    lived, copied, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    # given up, and another process has its process id now, as after a restart of the machine
    for gone in server.kept(copied.settings):
        later = gone.create_time + 1e10
        server.keep(copied.settings, replace(gone, create_time=later, state="died"))
    app = open_page(copied.settings, "serve")
    assert "ended on its own" in app.error[0].value
    assert "No model is served" in text_of(open_page(copied.settings, "score"))
    assert next_step(open_page(copied.settings, "overview")) == "Next: Serve"
    app.button(key=f"dismiss-{copied.port}").click().run()
    assert not app.exception
    assert "No model is served" in text_of(app)
    assert not server.servers(copied.settings)
    # the process that now has this id is another one, and is left alone
    assert [served.state for served in server.servers(lived.settings)] == ["ready"]


@pytest.mark.real
def test_prepare_shows_the_known_size_of_the_filtered_real_rows(
    prepared_real: Settings,
    tmp_path: Path,
    open_page: Callable[..., AppTest],
    text_of: Callable[[AppTest], str],
) -> None:
    settings = copy_home(prepared_real, tmp_path / "home")
    app = open_page(settings, "data", view="source")
    assert metrics_of(app)["Rows"][0] == "30,697"
    assert "**Warnings: 0**" in text_of(app)
    assert SAMPLE not in text_of(app)
    app = open_page(settings, "data", view="prepare")
    shown = metrics_of(app)
    assert shown["Filtered"] == ("20,285 rows", "7 columns")
    assert (shown["Training set"][0], shown["Test set"][0]) == ("16,228 rows", "4,057 rows")
    assert SAMPLE not in text_of(app)
