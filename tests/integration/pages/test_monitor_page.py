"""Page Monitor: the report from its verdict down, what to compare, and all reports."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import jobs
from core.monitoring import monitor, report_tables
from core.platform import config, model_store, project, steps, tracking
from core.platform.config import Settings
from core.platform.messages import Message, sentences
from core.platform.run_record import SILENT, Record
from core.platform.run_tags import TAG
from core.predictions_log import predictions
from core.stats import densities, drift
from core.stats.check import Action
from core.stats.checks import Check, as_table
from pages.monitor import options_form, report_files, verdict_card
from pages.shared import next_steps, report_view, step_jobs
from tests.conftest import copy_home

SPEC = project.load("kobe")
TITLES = {
    "fits": "It fits the <b>new</b> rows",
    "investigate": "The input has changed",
    "does_not_fit": "It does not fit",
}
DAY = 86400.0


class ReportOptions(config.Options):
    """The options of a report, as its run records them."""

    scoring_run: str | None = None
    limits: dict[str, dict[str, float]] = {}
    false_alarms: float = 0.01


def checks_of(verdict: str, *, labelled: bool = True) -> list[Check]:
    performance_verdict: Any = "alert" if verdict == "does_not_fit" else "ok"
    input_verdict: Any = "ok" if verdict == "fits" else "alert"
    no_labels: dict[str, Any] = {"value": None, "verdict": "not_applicable", "text": "No labels."}

    def performance(code: str, title: str, **values: Any) -> Check:
        defaults = {"reference": 0.5, "threshold": "alert below 0.25", "todo": "Add labels."}
        return Check(code, title, "performance", **defaults | (values if labelled else no_labels))

    return [
        performance(
            "skill",
            "Skill over base rate",
            value=0.02,
            verdict="ok",
            text="Holds.",
            low=0.01,
            high=0.03,
            warning_low=0.0,
            alert_low=-0.01,
        ),
        performance(
            "f1",
            "F1 at the threshold",
            value=0.0 if performance_verdict == "alert" else 0.5,
            verdict=performance_verdict,
            text="No row is right." if performance_verdict == "alert" else "As before.",
        ),
        Check(
            "psi.lat",
            "PSI: lat",
            "input",
            2.4 if input_verdict == "alert" else 0.01,
            None,
            "",
            input_verdict,
            "Moved far." if input_verdict == "alert" else "Stable.",
            warning_high=0.1,
            alert_high=0.2,
        ),
        Check(
            "psi.courtside_probability",
            "PSI: predicted probability",
            "output",
            0.01,
            None,
            "",
            "ok",
            "Stable.",
        ),
        Check("domain_auc", "Domain AUC", "support", 0.5, 0.5, "", "ok", "Alike.", 0.48, 0.52),
    ]


def write(
    settings: Settings,
    verdict: str,
    *,
    labelled: bool = True,
    options: Mapping[str, Any] | None = None,
    end: float | None = None,
    with_document: bool = True,
) -> str:
    """Write a report as the step does, with these values, and return its run id."""
    checks = checks_of(verdict, labelled=labelled)
    labels = 300 if labelled else 0
    frame = pd.DataFrame(
        {"lat": [34.0 + number / 100 for number in range(100)], "courtside_probability": 0.4}
    )
    with tracking.step_run(settings, "monitor", ReportOptions(**options or {}), SILENT) as run_id:
        conclusion = {"code": verdict, "title": TITLES[verdict], "text": "Why.", "todo": "Do it."}
        tags = {f"verdict_{name}": conclusion[name] for name in ("title", "text", "todo")}
        tags |= {
            "verdict": verdict,
            "model": SPEC.model,
            "version": "1",
            "source": "production",
            "window": f"400 rows for {verdict}",
        }
        if end is not None:
            tags["window_end"] = str(end)
        report = {
            "run_id": run_id,
            "conclusion": conclusion,
            "checks": [asdict(check) for check in checks],
            "labels_needed": 1400,
            "false_alarms": {"target": 0.01, "rate": 0.004, "warnings": 0.01},
        }
        tracking.log(
            settings,
            run_id,
            Record(
                metrics={"rows_current": 400, "rows_labelled": labels, "rows_reference": 900},
                tags={TAG + name: value for name, value in tags.items()},
                tables={
                    "checks": as_table(checks),
                    "drift": drift.by_feature(frame, frame, list(frame)),
                    "densities": densities.densities(frame, frame, list(frame)),
                    **({"confusion": confusion()} if labelled else {}),
                },
                documents={"report": report} if with_document else {},
            ),
        )
    return run_id


def confusion() -> pd.DataFrame:
    cells = [(0, 0, 100), (0, 1, 50), (1, 0, 70), (1, 1, 80)]
    return pd.DataFrame(cells, columns=["actual", "predicted", "rows"])


@pytest.fixture(scope="module")
def reports(lived, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, list[str]]:
    """The life cycle with three more reports, the oldest first; tests only read it."""
    home = tmp_path_factory.mktemp("reports") / "home"
    settings = copy_home(lived.settings, home)
    return settings, [
        write(settings, "fits", end=3 * DAY),
        write(settings, "does_not_fit", end=1 * DAY),
        write(
            settings,
            "investigate",
            labelled=False,
            options={"limits": {"psi.lat": {"alert_high": 0.4}}, "false_alarms": 0.05},
        ),
    ]


@pytest.fixture
def page(reports, open_page: Callable[..., AppTest]) -> Callable[..., AppTest]:
    """A function that opens the page on those reports."""
    return lambda **query: open_page(reports[0], "monitor", **query)


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options that the page submits when Monitor is pressed."""
    submissions: list[dict[str, Any]] = []

    def keep(settings: Settings, step: str, options: Any, **values: Any) -> None:
        assert (step, options) == ("monitor", monitor.Options)
        options(**values)  # the step takes them
        submissions.append(values)

    monkeypatch.setattr(step_jobs, "submit", keep)
    return submissions


def links(app: AppTest) -> list[str]:
    return [link.proto.label for link in app.get("page_link")]


def new_report(app: AppTest) -> AppTest:
    """Open the form of a report, which is in a drawer."""
    return app.button(key="open-new-menu").click().run()


def rows_of(app: AppTest) -> dict[str, dict[str, str]]:
    """Return the rows of the table of failed checks by their check."""
    return {row["Check"]: row for row in app.table[0].value.to_dict("records")}


def test_the_newest_report_has_its_verdict_one_next_action_and_what_failed(page, text_of) -> None:
    app = page()
    assert not app.exception
    assert app.warning[0].value == "## The input has changed\n\nWhy.\n\n**Do it.**"
    assert [heading.value for heading in app.subheader] == ["Checks"]
    (primary,) = [button for button in app.button if button.proto.type == "primary"]
    assert primary.label == "Add labels"
    assert primary.help == "Without label: 400"
    assert list(rows_of(app)) == ["**PSI: lat**"]
    row = rows_of(app)["**PSI: lat**"]
    assert (row["Current (95% interval)"], row["Limits"]) == ("2.4000", "alert: above 0.2")
    assert "red-badge" in row["Verdict"]
    text = text_of(app)
    for tile in (
        ":gray[:material/do_not_disturb_on:] **not evaluated**",
        "**Alert: 1**  \n:small[:gray[Columns: 1]]",
        "**Ok: 1**  \n:small[:gray[Checks: 1]]",
        ":orange[:material/warning:] **0%**  \n:small[:gray[0 of 400 rows]]",
    ):
        assert tile in text
    # the details
    assert "at most **0.40%** of windows of this size raise an alert." in text
    assert "Labels: 0 of 400 rows" in text
    assert "takes about 1,400 labels." in text


def test_the_link_to_the_columns_opens_their_view(page) -> None:
    app = page().button(key="next-monitor").click().run()
    assert app.segmented_control(key="evidence").value == "columns"
    assert any("psi" in table.value for table in app.dataframe)


def test_labels_are_judged_beside_the_number_that_is_needed(page, reports) -> None:
    run = tracking.run(reports[0], reports[1][1])
    assert run is not None
    state, share, note = verdict_card._labels(run, 1400.0)
    assert (state, share, note) == ("warning", "75%", "300 of about 1,400 needed")
    assert verdict_card._labels(run, 250.0) == ("ok", "75%", "300 of 400 rows")


def test_without_labels_performance_says_why_not(page, text_of) -> None:
    app = page()
    assert len(app.get("vega_lite_chart")) == 2  # probability, column
    app = app.segmented_control(key="evidence").set_value("performance").run()
    assert "No labels. Add labels." in text_of(app)


def test_the_columns_are_listed_on_request(page) -> None:
    app = page().segmented_control(key="evidence").set_value("columns").run()
    (drawn,) = (table for table in app.dataframe if "psi" in table.value)
    table = drawn.value
    assert table["column"].tolist() == ["lat"]
    assert table["verdict"].tolist() == [["alert"]]
    chips = json.loads(drawn.proto.columns)["verdict"]["type_config"]["options"]
    assert [(chip["value"], chip["color"]) for chip in chips[:3]] == [
        ("ok", "green"),
        ("warning", "orange"),
        ("alert", "red"),
    ]
    app = app.toggle(key="all-kinds").set_value(True).run()
    assert not app.exception


def test_an_older_report_is_shown_by_its_link_and_says_so(page, reports, text_of) -> None:
    _, (fits, does_not_fit, _) = reports
    app = page(report=does_not_fit)
    assert app.error[0].value.startswith("## It does not fit\n")
    assert "This is an older report." in text_of(app)
    assert "See the newest" in links(app)
    (primary,) = [button for button in app.button if button.proto.type == "primary"]
    assert primary.label == "Retrain"
    assert list(rows_of(app)) == ["**F1 at the threshold**", "**PSI: lat**"]
    assert rows_of(app)["**F1 at the threshold**"]["Limits"] == "alert below 0.25"
    app = app.segmented_control(key="evidence").set_value("performance").run()
    skill, f1 = app.table[0].value.to_dict("records")
    assert f1["Check"].startswith("**F1 at the threshold**  \nNo row is right. Add labels.")
    assert "red-badge" in f1["Verdict"]
    assert "0.0100 to 0.0300" in skill["Current (95% interval)"]
    assert len(app.get("vega_lite_chart")) == 3  # confusion; probability, column
    app = page(report=fits)
    # a report's text is shown as text, not as markup
    assert app.success[0].value.startswith("## It fits the \\<b>new\\</b> rows")
    assert "No check is beyond its limits." in text_of(app)


def test_the_reason_is_the_first_sentence_of_the_verdict() -> None:
    several = sentences(Message("{n} rows.", n=2), sentences("Why.", "Moved."), "More.")
    assert str(report_view.lead(several)) == "2 rows."
    assert str(report_view.after_lead(several)) == "Why. Moved. More."
    older = "Of an older report. Whole."
    assert (report_view.lead(older), str(report_view.after_lead(older))) == (older, "")
    assert str(report_view.lead(None)) == ""


@pytest.mark.parametrize(
    ("action", "page_and_query"),
    [
        ("threshold", ("registry", {"view": "decide", "open": "threshold"})),
        ("train_rows", ("data", {"view": "prepare", "rows": SPEC.rows.production})),
        ("train", ("train", {"view": "candidates"})),
        ("retrain", ("retrain", {})),
        ("label", ("score", {"view": "labels"})),
        ("wait", ("score", {"view": "rows"})),
    ],
)
def test_the_action_of_a_verdict_is_the_one_button_and_opens_what_it_promises(
    lived, page_and_query: tuple[str, dict[str, str]], action: Action
) -> None:
    run = lived.run("monitor")
    judged = replace(run, tags={**run.tags, "courtside.verdict_action": action})
    chosen = next_steps.actions(SPEC, judged)[0]
    of = steps.named(chosen.step)
    query = {**({"view": of.view} if of.view else {}), **dict(chosen.query)}
    assert (of.page, query) == page_and_query


def test_the_columns_and_the_probability_count_once_in_cards_and_table() -> None:
    both = [
        replace(check, code=f"{kind}{check.code[3:]}", verdict="alert")
        for check in checks_of("does_not_fit")
        if check.group in ("input", "output")
        for kind in ("psi", "ks")
    ]
    checks = report_tables.complete(as_table(both))
    failed = report_tables.failed(checks)
    assert failed["code"].tolist() == ["psi.courtside_probability", "psi.lat"]
    assert [len(others) for others in failed["others"]] == [1, 1]
    for group in ("input", "output"):
        state, figure, _note = verdict_card._state(group, checks[checks["group"] == group])
        assert (state, figure) == ("alert", "Alert: 1")


def test_a_failed_slice_says_what_was_measured() -> None:
    def script() -> None:
        from core.stats.check import Check
        from core.stats.checks import as_table
        from pages.monitor import check_views

        said = "Predicted minus observed: 11%."
        of_slice = Check("slice.a=9", "a: 9", "performance", 0.1, 0.0, "", "warning", said)
        check_views.failed(as_table([of_slice]))

    app = AppTest.from_function(script).run()
    assert not app.exception
    assert "Predicted minus observed: 11%." in app.table[0].value.iloc[0, 0]


def test_the_next_action_leads_to_its_page(page, reports) -> None:
    app = page(report=reports[1][0])
    app = app.button(key="next").click().run()
    assert not app.exception
    assert app.title[0].value == "Score"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("does_not_fit", ["retrain"]),
        ("no_skill", ["train"]),
        ("watch", ["score"]),
        ("unknown", ["label"]),
        ("cannot_tell", ["label"]),
        ("fits", ["score"]),
    ],
)
def test_a_report_of_an_older_app_has_the_usual_action_of_its_verdict(
    reports, code: str, expected: list[str]
) -> None:
    settings, (fits, _, _) = reports
    run = tracking.run(settings, fits)
    assert run is not None
    run = replace(run, tags=run.tags | {"courtside.verdict": code})
    assert [action.step for action in next_steps.actions(SPEC, run)] == expected


def test_a_link_to_a_report_that_is_gone_shows_the_newest(page, text_of) -> None:
    app = page(report="0" * 32)
    assert f"'{'0' * 32}' does not exist." in text_of(app)
    assert app.warning[0].value.startswith("## The input has changed\n")


def test_answers_and_support_are_beside_the_density_of_the_probability(page) -> None:
    app = page()
    app = app.segmented_control(key="evidence").set_value("answers").run()
    titles = app.table[0].value["Check"].str.extract(r"^\*\*(.*)\*\*")[0]
    assert titles.tolist() == ["PSI: predicted probability", "Domain AUC"]
    assert len(app.get("vega_lite_chart")) == 2


def test_each_window_asks_for_its_rows(page, press, submitted: list[dict[str, Any]]) -> None:
    fixed = {"limits": {"psi.lat": {"alert_high": 0.4}}, "false_alarms": 0.05}
    app = press(new_report(page()), "Monitor")
    assert set(submitted.pop()) == {"scoring_run", *fixed}

    app = app.segmented_control(key="window").set_value("last").run()
    app.number_input(key="last").set_value(500)
    app.selectbox(key="source").set_value("production")
    press(app, "Monitor")
    assert submitted.pop() == {"window": "log", "last": 500, "source": "production", **fixed}

    app = app.segmented_control(key="window").set_value("time").run()
    app.date_input(key="since").set_value(pd.Timestamp("2026-01-01").date())
    app.date_input(key="until").set_value(pd.Timestamp("2026-01-31").date())
    press(app, "Monitor")
    options = submitted.pop()
    assert (options["since"], options["until"]) == (
        "2026-01-01T00:00:00+00:00",
        "2026-02-01T00:00:00+00:00",
    )

    app = app.segmented_control(key="window").set_value("row").run()
    # the dates of the current rows
    assert app.date_input(key="row-since").value.year == 1996
    app.date_input(key="row-since").set_value(pd.Timestamp("2005-12-01").date())
    press(app, "Monitor")
    options = submitted.pop()
    assert (options["time_of"], options["since"]) == ("row", "2005-12-01T00:00:00+00:00")

    app = app.segmented_control(key="window").set_value("slice").run()
    press(app, "Monitor")
    assert not submitted
    assert any("Required: Values." in error.value for error in app.error)
    app.multiselect(key="slice-season").set_value(["2004-05"])
    press(app, "Monitor")
    chosen_source = {"source": "production"}  # a chosen filter stays
    assert submitted.pop() == {
        "window": "log",
        "where": {"season": ("2004-05",)},
        **chosen_source,
        **fixed,
    }

    app = app.segmented_control(key="window").set_value("test").run()
    app.selectbox(key="version").set_value("1")
    press(app, "Monitor")
    assert submitted.pop() == {"window": "test", "version": "1", **fixed}


def test_limits_set_by_a_person_apply_to_the_next_report(page, reports) -> None:
    app = new_report(page())
    assert app.number_input(key="false-alarms").value == 5.0
    assert any(expander.label == "Limits (1)" for expander in app.expander)
    shown = options_form.editable(
        as_table(checks_of("fits")), {"psi.lat": {"alert_high": 0.4}, "ks.gone": {"alert_high": 1}}
    )
    assert options_form.chosen_limits(shown) == {
        "psi.lat": {"alert_high": 0.4},
        "ks.gone": {"alert_high": 1.0},
    }
    shown.loc[shown["code"] == "skill", "warning_low"] = 0.015
    shown.loc[shown["code"] == "psi.lat", "alert_high"] = float("nan")
    assert options_form.chosen_limits(shown) == {
        "skill": {"warning_low": 0.015},
        "ks.gone": {"alert_high": 1.0},
    }


def test_a_check_is_drawn_across_all_reports_by_report_time_or_by_window(page) -> None:
    app = page(view="history").segmented_control(key="history").set_value("time").run()
    assert app.selectbox(key="history-check").value == "skill"
    (chart,) = app.get("vega_lite_chart")
    # with the 95% interval of each report
    assert {"low", "high"} <= {*re.findall(r'"field": ?"(\w+)"', chart.proto.spec)}
    app = app.segmented_control(key="history-by").set_value("rows").run()
    assert not app.exception


def test_the_list_leads_to_every_report(page, reports) -> None:
    app = page(view="history")
    (table,) = (table.value for table in app.dataframe if "report" in table.value)
    expected = [f"/monitor?view=report&report={run_id}" for run_id in reversed(reports[1])]
    assert table["report"].tolist()[:3] == expected
    assert table["verdict"].tolist() == ["investigate", "does not fit", "fits", "does not fit"]
    assert table["labels"].tolist()[:2] == [0, 300]
    assert len(table.columns) == 6
    app = app.toggle(key="all-columns").set_value(True).run()
    assert app.dataframe[0].value["window"].tolist()[0] == "400 rows for investigate"


def test_two_reports_side_by_side_show_what_changed(page, reports, text_of) -> None:
    fits, does_not_fit, _ = reports[1]
    app = page(view="history")
    app = app.segmented_control(key="history").set_value("two").run()
    app.selectbox(key="before").set_value(fits)
    app = app.selectbox(key="after").set_value(does_not_fit).run()
    assert "**2 verdicts changed** of 5 checks; 2 for the worse." in text_of(app)
    shown = app.table[-1].value
    assert shown["Check"].tolist() == ["F1 at the threshold", "PSI: lat"]
    assert shown["Difference"].tolist() == ["-0.5000", "+2.3900"]
    app = app.toggle(key="every-check").set_value(True).run()
    assert len(app.table[-1].value) == 5
    app = app.selectbox(key="before").set_value(does_not_fit).run()
    assert "verdicts changed" not in text_of(app)


def test_a_report_is_available_as_standalone_html_and_as_json(page, reports) -> None:
    settings, (fits, _, _) = reports
    app = page()
    labels = [button.proto.label for button in app.get("download_button")]
    assert {"Report (HTML)", "Report (JSON)"} <= set(labels)
    run = tracking.run(settings, fits)
    assert run is not None
    html = report_files.as_html(settings, run).decode()
    assert "It fits the &lt;b&gt;new&lt;/b&gt; rows" in html
    assert "At most 0.40% of windows without a change" in html
    assert "<script" not in html
    assert "400 rows for fits" in html
    assert json.loads(report_files.as_json(settings, run))["labels_needed"] == 1400


def test_a_report_of_an_older_app_that_kept_less_is_shown(copied, open_page, text_of) -> None:
    run_id = write(copied.settings, "fits", with_document=False)
    path = tracking.artifact(copied.settings, run_id, "tables/checks.parquet")
    few = ["code", "title", "group", "value", "reference", "threshold", "verdict", "text"]
    pd.read_parquet(path)[few].to_parquet(path)
    for name in ("drift", "densities", "confusion"):
        path.with_name(f"{name}.parquet").unlink()
    app = open_page(copied.settings, "monitor")
    assert not app.exception
    for view in ("performance", "columns", "answers"):
        app = app.segmented_control(key="evidence").set_value(view).run()
        assert not app.exception
    assert not app.error
    assert "Not in this run." in text_of(app)
    run = tracking.run(copied.settings, run_id)
    assert run is not None
    assert b"All checks" in report_files.as_html(copied.settings, run)
    assert json.loads(report_files.as_json(copied.settings, run))["run_id"] == run_id


def test_before_anything_was_scored_the_test_set_can_be_compared(
    trained_few: Settings, tmp_path, open_page, press, submitted, text_of
) -> None:
    app = open_page(copy_home(trained_few, tmp_path / "home"), "monitor")
    assert "Monitor needs 100 rows or more." in text_of(app)
    app = press(app.button(key="open-new-page").click().run(), "Monitor")
    assert not app.exception
    assert submitted == [{"window": "test"}]


def test_a_link_to_scored_rows_opens_the_form_with_them(page, reports) -> None:
    (scoring,) = predictions.scorings(reports[0])
    app = page(scoring=scoring.run_id)
    assert not app.exception
    assert app.selectbox(key="scoring").value == scoring.run_id


def test_a_new_report_closes_its_drawer_and_the_form_waits_for_it(
    copied, open_page, press, text_of
) -> None:
    app = press(new_report(open_page(copied.settings, "monitor")), "Monitor")
    assert not app.exception
    (job,) = jobs.active(copied.settings)
    assert job.step == "monitor"
    assert not [button for button in app.button if button.label == "Monitor"]
    app = new_report(app)
    (again,) = [button for button in app.button if button.label == "Monitor"]
    assert again.disabled
    assert "Monitor is running." in text_of(app)


@pytest.fixture
def scored(reports, tmp_path) -> Settings:
    """The reports in a home of their own, with a scoring of version 1 to come."""
    return copy_home(reports[0], tmp_path / "home")


def primary_keys(app: AppTest) -> list[str]:
    return [button.key for button in app.button if button.proto.type == "primary"]


def test_a_newer_scoring_of_the_champion_asks_for_a_new_report(scored, open_page, text_of) -> None:
    assert primary_keys(open_page(scored, "monitor")) == ["next"]
    (newest,) = predictions.scorings(scored, limit=1)
    later = replace(newest, run_id="f" * 32, scored_at=newest.scored_at + DAY, path=newest.path)
    predictions.finish(scored, replace(later, rows=5000, path=later.path or "rows.parquet"))
    app = open_page(scored, "monitor")
    assert not app.exception
    assert "older than the newest scoring of version 1, of 5,000 rows" in text_of(app)
    assert primary_keys(app) == ["open-new-page"]
    # the verdict and its action stay
    assert app.button(key="next").label == "Add labels"
    # an older report that was asked for says so itself
    older = tracking.runs(scored, step="monitor", status="FINISHED")[-1]
    app = open_page(scored, "monitor", report=older.run_id)
    assert "open-new-page" not in primary_keys(app)


@pytest.mark.parametrize(("rows", "key"), [(6426, "open-new-page"), (0, "score-first")])
def test_a_report_about_another_version_says_so_first(
    scored, open_page, text_of, monkeypatch: pytest.MonkeyPatch, rows: int, key: str
) -> None:
    champion = model_store.require_version(scored, SPEC.model, model_store.CHAMPION)
    newer = replace(champion, version="2")
    find = model_store.find_version
    monkeypatch.setattr(
        model_store,
        "find_version",
        lambda settings, model, name: newer if name == "champion" else find(settings, model, name),
    )
    (newest,) = predictions.scorings(scored, limit=1)
    if rows:
        of_newer = replace(newest, run_id="e" * 32, version="2", rows=rows, path="rows.parquet")
        predictions.finish(scored, of_newer)
    app = open_page(scored, "monitor")
    assert not app.exception
    said = f"This report is about version 1; version 2 is the champion and has {rows:,} scored rows"
    assert said in text_of(app)
    assert primary_keys(app) == [key]


def test_a_new_report_is_of_the_champion_unless_another_version_is_chosen(
    scored, open_page
) -> None:
    (newest,) = predictions.scorings(scored, limit=1)
    of_another = replace(
        newest, run_id="d" * 32, version="2", scored_at=newest.scored_at + DAY, path="rows.parquet"
    )
    predictions.finish(scored, of_another)
    app = new_report(open_page(scored, "monitor"))
    assert app.selectbox(key="scoring").value == newest.run_id
    assert len(app.selectbox(key="scoring").options) == 2
