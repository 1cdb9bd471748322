"""What the Data page offers, show and submit, beyond the default path."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.data import acquire, prepare, snapshots
from core.jobs import jobs
from core.platform import project, storage, tracking
from core.platform.config import Settings
from core.platform.errors import InputError

SPEC = project.load("kobe")


def shown(app: AppTest) -> str:
    return "\n".join(
        str(element.value)
        for kind in ("table", "caption", "markdown", "warning")
        for element in getattr(app, kind)
    )


def charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart"))


def failed_job(settings: Settings, step: str, run_id: str, error: str) -> None:
    job = jobs.submit(settings, step, {"seed": 7})
    assert jobs.claim(settings, job.job_id)
    jobs.update(settings, job.job_id, run_id=run_id)
    jobs.finish(settings, job.job_id, "failed", error=error)


# --- which view ---------------------------------------------------------------------------------


def test_the_view_that_matters_now_is_shown_first(
    settings: Settings, copied, few_file: Path, open_page: Callable[..., AppTest]
) -> None:
    def shown_view(home: Settings) -> str:
        app = open_page(home, "data")
        assert not app.exception
        return str(app.segmented_control(key="data-view").value)

    assert shown_view(settings) == "source"
    acquire.run(settings, acquire.Options(source="file", path=few_file))
    assert shown_view(settings) == "prepare"
    assert shown_view(copied.settings) == "explore"
    acquire.run(copied.settings, acquire.Options(source="file", path=few_file))
    assert shown_view(copied.settings) == "prepare"
    jobs.submit(copied.settings, "acquire", {})
    assert shown_view(copied.settings) == "source"


def test_a_running_step_disables_its_form(copied, open_page: Callable[..., AppTest]) -> None:
    for step in ("acquire", "prepare"):
        jobs.submit(copied.settings, step, {})
    for view, label in (("source", "Acquire"), ("prepare", "Prepare")):
        app = open_page(copied.settings, "data", view=view)
        (button,) = [button for button in app.button if button.label == label]
        assert button.disabled
        assert app.progress


# --- the picture ------------------------------------------------------------------------------


def test_columns_are_shown_with_what_the_run_gathered(
    lived, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(lived.settings, "data", view="explore")
    app.pills(key="view").set_value("columns").run()
    recorded = tracking.table(lived.settings, lived.run("acquire").run_id, "columns")
    recorded = recorded[recorded["kind"] == "development"].set_index("column")
    table = next(table.value for table in app.dataframe if "distinct" in table.value)
    assert table["column"].tolist() == list(SPEC.columns)
    assert table["distinct"].tolist() == recorded["distinct"].tolist()
    assert table["missing"].tolist() == recorded["missing"].tolist()
    for name in ("positive", "negative"):
        assert all(abs(sum(shares) - 1) < 1e-9 for shares in table[name].dropna())
    shown_columns = app.dataframe[0].proto.column_order
    assert len(shown_columns) == 6
    app.toggle(key="all-columns").set_value(True).run()
    assert not app.dataframe[0].proto.column_order
    app.segmented_control(key="kind").set_value("production").run()
    again = next(table.value for table in app.dataframe if "distinct" in table.value)
    assert again.loc[again["column"] == "shot_type", "distinct"].tolist() == [1]


@pytest.mark.parametrize("column", ["season", "lat", "game_date", "action_type", "team_id"])
def test_any_column_can_be_shown(column: str, lived, open_page: Callable[..., AppTest]) -> None:
    app = open_page(lived.settings, "data", view="explore")
    app.pills(key="view").set_value("columns").run()
    app.selectbox(key="look").set_value(column).run()
    assert not app.exception
    assert charts(app) == 2


@pytest.mark.parametrize(
    ("view", "count", "words"),
    [
        ("glance", 7, SPEC.court.title if SPEC.court else ""),
        ("slices", 2, "How many rows?"),
        ("correlation", 1, "Which columns carry the same information?"),
        ("leakage", 0, "'action_type' is recorded only after the predicted event"),
    ],
)
def test_each_view_draws_from_the_run(
    view: str, count: int, words: str, lived, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(lived.settings, "data", view="explore")
    app.pills(key="view").set_value(view).run()
    assert not app.exception
    assert charts(app) == count
    text = shown(app) + "".join(table.value.to_string() for table in app.table)
    assert words in text
    run_id = lived.run("acquire").run_id
    assert any(run_id in link.proto.query_string for link in app.page_link)


def test_the_court_is_filtered_and_shows_rates_or_single_rows(
    lived, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(lived.settings, "data", view="explore")
    # the rows of the whole part are counted once, below the court
    assert [metric.label for metric in app.metric].count("Rows") == 1
    every = app.metric[0]
    app.multiselect(key="court-season").set_value(["2000-01"]).run()
    app.multiselect(key="court-shot_type").set_value(["3PT Field Goal"]).run()
    some = app.metric[0]
    assert [metric.label for metric in app.metric].count("Rows") == 2
    all_rows, few_rows = (int(shown.value.replace(",", "")) for shown in (every, some))
    assert 0 < few_rows < all_rows / 20
    app.segmented_control(key="court-draw").set_value("points").run()
    assert not app.exception
    assert any(
        " of " in caption.value and caption.value.endswith(" rows") for caption in app.caption
    )
    app.multiselect(key="court-period").set_value([7]).run()
    assert not app.exception
    assert any("Nothing to show" in info.value for info in app.info)


# --- sources and snapshots --------------------------------------------------------------------


def test_a_download_is_offered_with_its_addresses(
    settings: Settings, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    mirrored = settings.model_copy(update={"download_mirror": "http://10.0.0.7/kobe"})
    app = open_page(mirrored, "data", view="source")
    app.segmented_control(key="source").set_value("download").run()
    text = shown(app)
    for download in SPEC.downloads:
        assert download.url in text
    assert "http://10.0.0.7/kobe" in text
    press(app, "Acquire")
    (job,) = jobs.latest(settings)
    assert job.options["source"] == "download"


def test_the_files_of_the_folder_can_be_chosen(
    settings: Settings,
    tmp_path: Path,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    app = open_page(settings.model_copy(update={"raw_dir": tmp_path}), "data", view="source")
    files = app.multiselect(key="folder-files")
    files.set_value([]).run()
    press(app, "Acquire")
    assert "Required: Files." in app.error[0].value
    assert not jobs.latest(settings)
    app.multiselect(key="folder-files").set_value(["b.csv"]).run()
    press(app, "Acquire")
    (job,) = jobs.latest(settings)
    assert (job.options["source"], job.options["files"]) == ("folder", ["b.csv"])


def test_snapshots_are_listed_and_another_can_become_current(
    copied,
    few_file: Path,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
) -> None:
    sample = snapshots.current(copied.settings)
    assert sample is not None
    acquire.run(copied.settings, acquire.Options(source="file", path=few_file))
    app = open_page(copied.settings, "data", view="source")
    listed = next(table.value for table in app.dataframe if "sha256" in table.value)
    assert listed["source"].tolist() == ["files", "built-in sample"]
    assert listed["current"].tolist() == ["★", ""]
    assert listed["rows"].tolist() == [800, 30697]
    assert listed["sha256"].tolist()[1] == sample.digest
    app = press(app, "Use")
    (job,) = jobs.latest(copied.settings)
    assert job.options["source"] == "snapshot"
    assert job.options["snapshot"] == sample.id
    # what the worker would do with it
    assert jobs.claim(copied.settings, job.job_id)
    done = acquire.run(copied.settings, acquire.Options(**job.options))
    jobs.finish(copied.settings, job.job_id, "done", result={"run_id": done.run_id})
    app.run()
    assert not app.exception
    listed = next(table.value for table in app.dataframe if "sha256" in table.value)
    assert listed.set_index("id").loc[sample.id, "current"] == "★"
    rows = next(metric for metric in app.metric if metric.label == "Rows")
    assert rows.value == "30,697"


# --- validation -------------------------------------------------------------------------------


@pytest.fixture
def refused(settings: Settings, few_shots: pd.DataFrame, tmp_path: Path) -> str:
    """A failed acquisition of rows with faults and Markdown; its sentence."""
    faulty = few_shots.astype({"period": "object"})
    faulty.loc[[1, 2], "period"] = "![x](http://a.example/x.png) *b*"
    faulty.loc[5, "shot_type"] = "4PT"
    faulty.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(InputError) as caught:
        acquire.run(settings, acquire.Options(source="file", path=tmp_path / "bad.csv"))
    return str(caught.value)


def test_a_refused_source_shows_all_findings_and_no_markdown_of_a_file(
    refused: str, settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    run = tracking.last_run(settings, "acquire", status=None)
    assert run is not None
    failed_job(settings, "acquire", run.run_id, refused)
    app = open_page(settings, "data", view="source")
    assert not app.exception
    error = app.error[0].value
    assert "Acquire failed." in error
    assert "![x]" in refused
    assert "![x]" not in error
    assert "!\\[x\\](http\\://" in error
    (table,) = app.table
    assert ["error" in finding for finding in table.value["Finding"]] == [True, True]
    assert table.value["Rows"].tolist() == ["2", "1"]
    assert "![x]" not in table.value.to_string()
    assert table.value["First rows"].iloc[0].startswith("shot_id ")
    assert "Finding (CSV)" in [button.label for button in app.get("download_button")]
    assert "No raw data yet" in app.info[0].value


def test_warnings_of_the_data_in_use_are_shown(
    settings: Settings, few_shots: pd.DataFrame, tmp_path: Path, open_page: Callable[..., AppTest]
) -> None:
    odd = few_shots.copy()
    odd.loc[3, "lat"] += 0.01
    odd.to_csv(tmp_path / "odd.csv", index=False)
    acquire.run(settings, acquire.Options(source="file", path=tmp_path / "odd.csv"))
    app = open_page(settings, "data", view="source")
    assert "**Warnings: 1**" in shown(app)
    marked = [line.value for line in app.markdown if ":orange-badge[" in line.value]
    assert ["Identities" in line for line in marked] == [True]
    (findings,) = [table.value for table in app.table if "Finding" in table.value]
    assert (
        "Column 'lat' is not 34.0443 - loc_y / 1000 in 1 row" in findings["What it means"].iloc[0]
    )


# --- preparation ------------------------------------------------------------------------------


def test_prepare_submits_what_was_chosen(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "data", view="prepare")
    app.segmented_control(key="feature-set").set_value("All known before the shot").run()
    app.segmented_control(key="missing").set_value("impute").run()
    app.segmented_control(key="split").set_value("time").run()
    app.text_input[0].set_value(" 2010-12-01 ").run()
    app.multiselect(key="rows-playoffs").set_value(["1"]).run()
    press(app, "Prepare")
    assert not app.exception
    (job,) = jobs.latest(copied.settings)
    assert job.options == {
        "features": list(SPEC.feature_sets[0].features),
        "rows": {"shot_type": ["2PT Field Goal"], "playoffs": ["1"]},
        "missing": "impute",
        "split": "time",
        "test_share": 0.2,
        "test_from": "2010-12-01",
        "seed": 42,
        "continues": None,
    }


def test_the_form_begins_with_the_choices_of_the_current_sets(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    chosen = prepare.Options(
        features=("lat", "angle"),
        missing="drop_inputs",
        split="time",
        test_from="2005-01-01",
        rows={"playoffs": ("0",), "period": ("1", "2")},
        seed=7,
    )
    prepare.run(copied.settings, chosen)
    app = open_page(copied.settings, "data", view="prepare")
    assert not app.exception
    assert app.multiselect(key="rows-period").value == ["1", "2"]
    assert app.number_input(key="test-share").disabled
    assert filter_label(app) == "Rows: period = 1, 2; playoffs = 0"
    press(app, "Prepare")
    (job,) = jobs.latest(copied.settings)
    again = prepare.Options(**job.options)
    assert again.model_copy(update={"rows": None}) == chosen.model_copy(update={"rows": None})
    assert dict(again.rows or {}) == chosen.rows


def test_own_features_are_chosen_from_columns_and_computed_ones(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "data", view="prepare")
    app.segmented_control(key="feature-set").set_value("own").run()
    own = app.multiselect(key="features")
    assert own.value == list(SPEC.features)
    own.set_value([]).run()
    press(app, "Prepare")
    assert "Required: Features." in app.error[0].value
    app.multiselect(key="features").set_value(["angle", "action_type", "game_id"]).run()
    warned = " ".join(warning.value for warning in app.warning)
    assert "Recorded only after the outcome: action_type." in warned
    assert "game_id identifies rows" in warned
    press(app, "Prepare")
    (job,) = jobs.latest(copied.settings)
    assert job.options["features"] == ["angle", "action_type", "game_id"]


def test_no_row_filter_is_all_rows(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "data", view="prepare")
    rows = app.multiselect(key="rows-shot_type")
    assert rows.value == [SPEC.rows.development]
    rows.set_value([]).run()
    press(app, "Prepare")
    (job,) = jobs.latest(copied.settings)
    assert job.options["rows"] == {}


def filter_label(app: AppTest) -> str:
    (label,) = [each.label for each in app.expander if each.label.startswith("Rows: ")]
    return label


def test_a_link_selects_its_rows_and_the_filter_names_what_is_selected(
    copied, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(copied.settings, "data", view="prepare")
    assert filter_label(app) == "Rows: 2-point shots"
    assert not app.session_state["filter-open"]
    app = open_page(copied.settings, "data", view="prepare", rows=SPEC.rows.production)
    assert not app.exception
    assert app.multiselect(key="rows-shot_type").value == [SPEC.rows.production]
    assert app.session_state["filter-open"]
    assert filter_label(app) == "Rows: 3-point shots"
    assert "from the report: 3-point shots" in app.info[0].value
    # another choice is a person's own
    both = [SPEC.rows.development, SPEC.rows.production]
    app.multiselect(key="rows-shot_type").set_value(both).run()
    assert filter_label(app) == "Rows: 2-point shots and 3-point shots"
    assert not app.info
    app.multiselect(key="rows-shot_type").set_value([SPEC.rows.production]).run()
    press(app, "Prepare")
    (job,) = jobs.latest(copied.settings)
    assert job.options["rows"] == {"shot_type": [SPEC.rows.production]}
    jobs.cancel(copied.settings, job.job_id)
    # once prepared, nothing is left to say
    prepare.run(copied.settings, prepare.Options(rows={"shot_type": (SPEC.rows.production,)}))
    app = open_page(copied.settings, "data", view="prepare", rows=SPEC.rows.production)
    assert filter_label(app) == "Rows: 3-point shots"
    assert not app.info
    # values that the data does not have select nothing
    app = open_page(copied.settings, "data", view="prepare", rows="4PT Field Goal")
    assert not app.exception
    assert not app.info


def test_missing_development_rows_are_reported_and_not_replaced(
    settings: Settings,
    few_shots: pd.DataFrame,
    tmp_path: Path,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
) -> None:
    path = tmp_path / "threes.csv"
    few_shots[few_shots["shot_type"] == SPEC.rows.production].to_csv(path, index=False)
    acquire.run(settings, acquire.Options(source="file", path=path))
    app = open_page(settings, "data", view="prepare")
    assert any("contains no 2-point shots" in warning.value for warning in app.warning)
    press(app, "Prepare")
    (job,) = jobs.latest(settings)
    assert job.options["rows"] is None
    with pytest.raises(InputError, match="No row has shot_type = '2PT Field Goal'"):
        prepare.run(settings, prepare.Options(**job.options))


def test_a_project_file_that_changed_asks_for_another_validation(
    copied,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fewer = {name: column for name, column in SPEC.columns.items() if name != "team_name"}
    changed = SPEC.model_copy(update={"columns": fewer})
    monkeypatch.setattr(project, "load", lambda name, folder=None: changed)
    app = open_page(copied.settings, "data", view="source")
    assert not app.exception
    assert any("Project file changed." in warning.value for warning in app.warning)
    app = press(app, "Validate again")
    (job,) = jobs.latest(copied.settings)
    current = snapshots.current(copied.settings)
    assert current is not None
    assert job.options["snapshot"] == current.id
    for page in ("data?view=prepare", "train"):
        app = open_page(copied.settings, page)
        assert not app.exception
        assert any("Project file changed." in warning.value for warning in app.warning)


def test_the_split_is_checked_and_the_sets_show_their_lineage(
    lived, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(lived.settings, "data", view="prepare")
    checks, lineage = (table.value for table in app.table)
    assert len(checks) == 5
    assert "warning" in checks.set_index("Check").loc["Groups in both sets", "Verdict"]
    assert [":orange-badge[" in line.value for line in app.markdown if "Groups" in line.value] == [
        True
    ]
    assert "**Groups in both sets.** 1,402 of 1,557 values" in app.warning[0].value
    assert "Outside the row filter: 6,426, Without label: 3,986" in shown(app)
    lineage_rows = lineage.set_index("What")["Value"]
    prepared, raw = storage.current_prepared(lived.settings), snapshots.current(lived.settings)
    assert prepared is not None
    assert raw is not None
    assert lineage_rows["Snapshot"] == f"{raw.id} (built-in sample)"
    assert lineage_rows["SHA-256"] == f"{raw.digest[:16]}…"
    assert lineage_rows["Run"] == prepared.run_id
    assert lineage_rows["Commit"] == prepared.commit
    assert lineage_rows["Split"] == "at random, Test share 0.2, Seed 42"
    assert (
        lineage_rows["SHA-256 train_data.parquet"]
        == f"{prepared.digests['train_data.parquet'][:16]}…"
    )
    run = lived.run("prepare")
    recorded = tracking.artifact(lived.settings, run.run_id, "documents/lineage.json").read_text()
    assert json.loads(recorded)["digest"] == raw.digest


def test_leaking_features_are_marked_beside_the_split(
    copied, open_page: Callable[..., AppTest]
) -> None:
    prepare.run(copied.settings, prepare.Options(features=("action_type", "lat"), split="group"))
    app = open_page(copied.settings, "data", view="prepare")
    assert not app.exception
    assert any("ecorded only after the" in warning.value for warning in app.warning)
    assert "ok" in app.table[0].value.set_index("Check").loc["Groups in both sets", "Verdict"]
    app = open_page(copied.settings, "train", view="candidates")
    assert any("Training and test set changed." in warning.value for warning in app.warning)
    assert any("by group · Features: action_type, lat" in caption.value for caption in app.caption)


@pytest.mark.long
def test_sets_of_an_older_app_are_reported(copied, open_page: Callable[..., AppTest]) -> None:
    record = copied.settings.data_dir / "05_model_input" / "prepared.json"
    prepared = json.loads(record.read_text())
    del prepared["inputs"]
    record.write_text(json.dumps(prepared))
    for page in ("data?view=prepare", "train", "overview"):
        app = open_page(copied.settings, page)
        assert not app.exception
        assert any("prepared.json is damaged" in error.value for error in app.error)
