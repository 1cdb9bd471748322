"""Registry: versions, cards, comparisons and decisions as stored, and the jobs it submits."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from streamlit.testing.v1 import AppTest

from core.jobs import jobs
from core.platform import mlflow_client, model_store, project, served_model, tracking
from core.platform.config import Options, Settings
from core.platform.messages import loads
from core.platform.run_record import SILENT, ModelRecord, Record
from core.platform.run_tags import TAG
from core.platform.runs import EveryRun
from core.predictions_log import predictions
from core.registry import model_card, model_facts, promote, registry
from core.serving import endpoint, server
from core.stats import thresholds
from pages.shared.statuses import GATE
from tests.conftest import new_home
from tests.integration.pages.conftest import said

SPEC = project.load("kobe")
FEATURES = ("shot_distance", "period")
REASON = "![x](http://evil.test/a.png) Agreed on Monday."
OpenPage = Callable[..., AppTest]
TextOf = Callable[[AppTest], str]
Press = Callable[[AppTest, str], AppTest]


@dataclass(frozen=True)
class Judged:
    """A home of four versions: 2 is champion, 1 previous, 4 challenger, 3 was compared with 1."""

    settings: Settings
    promoted: promote.Result
    compared: promote.Result
    tried: promote.Result


def register(
    settings: Settings, estimator: Any, rows: pd.DataFrame, kind: str, *, is_sample: bool = False
) -> None:
    kinds = SPEC.kinds_of(FEATURES)
    train, test = rows.iloc[::2], rows.iloc[1::2].reset_index(drop=True)
    estimator.fit(served_model.checked(train, kinds), train[SPEC.target])
    probability = estimator.predict_proba(served_model.checked(test, kinds))[:, 1]
    label = test[SPEC.target].astype(int)
    tags = {
        TAG + "threshold": "0.45",
        TAG + "inputs": ",".join(FEATURES),
        TAG + "candidate": kind,
        TAG + "features": ",".join(FEATURES),
        TAG + "formulas": "{}",
        **EveryRun(sample=is_sample).write(),
    }
    loss = float(-np.log(np.where(label == 1, probability, 1 - probability)).mean())
    tables = {
        "test_rows": test,
        "train_keys": train[[SPEC.id]],
        "test_predictions": test[list(FEATURES)].assign(
            courtside_probability=probability,
            courtside_predicted=(probability >= 0.45).astype(int),
            courtside_label=label,
        ),
    }
    with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
        model = ModelRecord(
            estimator, FEATURES, kinds, 0.45, served_model.checked(train, kinds).head(2)
        )
        figures = {
            "log_loss_test": loss,
            "log_loss_test_low": loss - 0.01,
            "log_loss_test_high": loss + 0.01,
            "roc_auc_test": 0.6,
        }
        model_id = tracking.log(
            settings, run_id, Record(metrics=figures, tables=tables, model=model)
        )
    tags[TAG + "train_run"] = run_id
    registry.register(settings, SPEC.model, str(model_id), run_id, tags)


@pytest.fixture(scope="module")
def judged_shared(
    tmp_path_factory: pytest.TempPathFactory, store_template: Path, shots: pd.DataFrame
) -> Judged:
    settings = new_home(tmp_path_factory.mktemp("judged"), store_template, serve_port=5491)
    rows = shots[shots[SPEC.target].notna()].head(6000).reset_index(drop=True)
    register(settings, DummyClassifier(strategy="prior"), rows, "dummy")
    register(settings, LogisticRegression(), rows, "lr")
    override = promote.Options(action="override", reason=REASON, decided_by="ann", challenger="2")
    promoted = promote.run(settings, override)
    register(settings, LogisticRegression(), rows, "lr")
    compared = promote.run(settings, promote.Options(challenger="3", against="1", dry_run=True))
    register(settings, DummyClassifier(strategy="uniform"), rows, "dummy")
    tried = promote.run(settings, promote.Options(dry_run=True, threshold=0.3, decided_by="bob"))
    return Judged(settings, promoted, compared, tried)


@pytest.fixture
def judged(judged_shared: Judged, tmp_path: Path) -> Judged:
    """The same in a home of the test's own, to change; the runs' files are shared."""
    home = tmp_path / "own"
    home.mkdir()
    shutil.copyfile(judged_shared.settings.home / "mlflow.db", home / "mlflow.db")
    own = judged_shared.settings.model_copy(update={"home": home})
    return dataclasses.replace(judged_shared, settings=own)


def view(app: AppTest, name: str) -> AppTest:
    app = app.segmented_control(key="registry-view").set_value(name).run()
    assert not app.exception
    assert not app.error
    return app


def figures_of(app: AppTest) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.value, metric.delta) for metric in app.metric}


def linked_runs(app: AppTest) -> set[str]:
    return {link.proto.query_string.removeprefix("run=") for link in app.page_link}


def live(settings: Settings, version: str, model: str = SPEC.model) -> server.Server:
    return server.Server(
        5491,
        1,
        0.0,
        model,
        version,
        "champion",
        "run",
        "ready",
        0.0,
        settings.home,
        None,
        False,
        is_live=True,
    )


def submitted(settings: Settings) -> dict[str, Any]:
    (job,) = jobs.latest(settings)
    assert job.step == "promote"
    return {**job.options}


def test_an_empty_registry_says_what_to_do_next(
    settings: Settings, open_page: OpenPage, text_of: TextOf
) -> None:
    app = open_page(settings, "registry")
    assert not app.exception
    assert app.title[0].value == "Registry"
    assert "There is no model yet. Train one first." in text_of(app)
    assert "Go to Train" in [link.label for link in app.page_link]
    assert not app.metric
    assert not app.dataframe


def test_after_one_training_there_is_a_card_and_nobody_to_promote(
    lived, open_page: OpenPage, text_of: TextOf
) -> None:
    app = open_page(lived.settings, "registry")
    assert not app.exception
    version = model_store.require_version(lived.settings, SPEC.model, "1")
    run = tracking.run(lived.settings, version.run_id)
    assert run is not None
    assert app.segmented_control(key="registry-view").value == "decide"
    text = text_of(app)
    assert "Champion: version 1" in text
    assert "Logistic regression · " in text
    assert "built-in sample, not real data" in text
    assert f"answering · Port: {lived.port}" in text
    shown = figures_of(app)
    for title, name in (
        ("Log loss, test", "log_loss_test"),
        ("Skill over base rate, test", "skill_test"),
    ):
        low, high = run.metrics[f"{name}_low"], run.metrics[f"{name}_high"]
        assert shown[title] == (f"{run.metrics[name]:.4f}", f"{low:.4f} to {high:.4f}")
    assert version.run_id in linked_runs(app)
    # the champion is its own challenger: there is none, and no form
    assert "Challenger: none" in text
    assert "There is nothing to roll back to" in text
    assert not {"Promote", "Dry run"} & {button.label for button in app.button}
    assert not [each for each in app.expander if each.label.startswith("Decision")]
    # the card is in a drawer, not on the page
    assert "### Purpose" not in text
    app = app.button(key="card-1").click().run()
    assert not app.exception
    text = text_of(app)
    card = model_card.card(model_facts.card_facts(lived.settings, version))
    for part in ("Purpose", "Slices", "Call"):
        assert f"### {part}" in text
    assert card.split("\n\n", 1)[1].replace("\n## ", "\n### ") in text
    assert [button.label for button in app.get("download_button")] == ["Markdown"]
    app = app.run()
    assert "### Purpose" not in text_of(app)
    text = text_of(view(app, "compare"))
    assert "There is only one version" in text
    assert view(app, "ledger").dataframe[0].value["decision"].tolist() == ["First champion"]


def test_champion_and_challenger_stand_beside_each_other(
    judged_shared: Judged, open_page: OpenPage, text_of: TextOf
) -> None:
    app = open_page(judged_shared.settings, "registry")
    assert not app.exception
    assert [heading.value for heading in app.subheader] == [
        "Champion: version 2",
        "Challenger: version 4",
        "Decision: version 4",
    ]
    text = text_of(app)
    assert "Promoted anyway · Decided by: ann" in text
    assert "Go to Serve" in [link.label for link in app.page_link]
    # the gate measured both on the same rows
    judged_run = tracking.run(judged_shared.settings, judged_shared.tried.run_id)
    assert judged_run is not None
    assert [
        (metric.value, metric.delta) for metric in app.metric if metric.label.startswith("Log loss")
    ] == [
        (f"{judged_run.metrics[f'log_loss_{alias}']:.4f}", "3,000 rows")
        for alias in ("champion", "challenger")
    ]
    # the card follows the choice in the form
    app = app.selectbox(key="challenger").select("3").run()
    assert "Challenger: version 3" in [heading.value for heading in app.subheader]
    assert "not evaluated" in text_of(app)
    # without a decision about it, each has the metrics of its own test set
    versions = [
        model_store.require_version(judged_shared.settings, SPEC.model, name)
        for name in ("champion", "3")
    ]
    assert [metric.value for metric in app.metric if metric.label == "Log loss, test"] == [
        f"{tracking.run(judged_shared.settings, each.run_id).metrics['log_loss_test']:.4f}"
        for each in versions
    ]


@pytest.mark.parametrize("is_same", [True, False])
def test_metrics_of_different_test_rows_are_called_so(
    judged_shared: Judged,
    open_page: OpenPage,
    text_of: TextOf,
    monkeypatch: pytest.MonkeyPatch,
    is_same: bool,
) -> None:
    prepared = {"2": "a", "3": "a" if is_same else "b", "4": "b"}
    monkeypatch.setattr(
        model_facts,
        "prepared_by",
        lambda settings, versions: {each.version: prepared[each.version] for each in versions},
    )
    app = open_page(judged_shared.settings, "registry")
    # the gate compared 4 with the champion on the same rows
    assert "Tested on different rows" not in text_of(app)
    app = app.selectbox(key="challenger").select("3").run()
    assert ("Tested on different rows" in text_of(app)) == (not is_same)
    links = {link.label: link.proto.query_string for link in app.page_link}
    assert (links.get("Compare") == "view=compare") == (not is_same)


def test_a_version_on_real_rows_names_the_sample_that_it_replaced(
    settings: Settings, shots: pd.DataFrame, open_page: OpenPage, text_of: TextOf
) -> None:
    rows = shots[shots[SPEC.target].notna()].head(1200).reset_index(drop=True)
    register(settings, LogisticRegression(), rows, "lr", is_sample=True)
    register(settings, LogisticRegression(), rows, "lr")
    app = open_page(settings, "registry")
    assert not app.exception
    text = text_of(app)
    assert "First model on real data · Decided by" in text
    assert "roll back to: version 1 was trained on the built-in sample" in text
    moves = view(app, "ledger").dataframe[0].value
    assert moves["decision"].tolist() == ["First model on real data", "First champion"]
    assert moves["reason"][0] == "It replaces version 1, which was trained on the built-in sample."
    # a newer version on the sample is no challenger of a champion on real rows
    register(settings, LogisticRegression(), rows, "lr", is_sample=True)
    app = open_page(settings, "registry")
    assert "Challenger: none" in [heading.value for heading in app.subheader]
    assert "Excluded: version 3 and version 1" in text_of(app)
    assert not {"Promote", "Dry run"} & {button.label for button in app.button}


def test_the_table_has_all_versions_and_a_card_is_that_of_the_chosen_one(
    judged_shared: Judged, open_page: OpenPage, text_of: TextOf
) -> None:
    app = open_page(judged_shared.settings, "registry", view="versions")
    assert not app.exception
    table = app.dataframe[0].value
    assert table["version"].tolist() == [4, 3, 2, 1]
    assert table["aliases"].tolist() == ["challenger", "", "champion", "previous"]
    log_losses = [
        tracking.run(judged_shared.settings, version.run_id).metrics["log_loss_test"]
        for version in model_store.versions(judged_shared.settings, SPEC.model)
    ]
    assert table["log_loss"].tolist() == log_losses
    assert table["interval"][0] == f"{log_losses[0] - 0.01:.4f} to {log_losses[0] + 0.01:.4f}"
    assert len(app.dataframe[0].proto.column_order) == 6
    app = app.toggle(key="registry-all-columns").set_value(True).run()
    assert not app.dataframe[0].proto.column_order
    # the champion is chosen first; a person's text on its card is never an image
    assert app.selectbox(key="version").value == "2"
    assert "| Registered |" not in text_of(app)
    app = app.button(key="open-card").click().run()
    text = text_of(app)
    assert "| Alias | champion |" in text
    assert "promoted anyway, by ann" in text
    assert "![x](http" not in text
    app = app.selectbox(key="version").select("1").run()
    app = app.button(key="open-card").click().run()
    text = text_of(app)
    assert "| Alias | previous |" in text
    assert f"{log_losses[3]:.4f}" in text
    # the choice survives other views, and an address can name a version
    assert view(view(app, "ledger"), "versions").selectbox(key="version").value == "1"
    app = open_page(judged_shared.settings, "registry", version="3")
    assert app.selectbox(key="version").value == "3"
    assert "### Decisions" in text_of(app)
    app = open_page(judged_shared.settings, "registry", version="99")
    assert app.segmented_control(key="registry-view").value == "decide"
    assert "### Decisions" not in text_of(app)


def test_two_versions_are_compared_on_the_same_rows(
    judged_shared: Judged, open_page: OpenPage, text_of: TextOf
) -> None:
    app = view(open_page(judged_shared.settings, "registry"), "compare")
    app = app.selectbox(key="one").select("3").run()
    app = app.selectbox(key="other").select("1").run()
    assert not app.exception
    text = text_of(app)
    assert "3,000 rows are new to both models" in text
    assert judged_shared.compared.run_id in linked_runs(app)
    compared = tracking.table(judged_shared.settings, judged_shared.compared.run_id, "comparison")
    table = app.table[0].value
    assert table["Version 3"].tolist() == [f"{value:.4f}" for value in compared["challenger"]]
    assert table["Version 1"].tolist() == [f"{value:.4f}" for value in compared["champion"]]
    assert table["Difference"][0].startswith(f"{compared['difference'][0]:+.4f}")
    assert f"{compared['low'][0]:+.4f} to {compared['high'][0]:+.4f}" in table["Difference"][0]
    assert table["Meaning"][0] == "version 3 is better"
    assert len(app.get("vega_lite_chart")) == 1
    slices = tracking.table(judged_shared.settings, judged_shared.compared.run_id, "slices")
    shown = app.dataframe[0].value
    assert shown["difference"].tolist() == slices["difference"].tolist()
    assert (shown["finding"] == "worse").tolist() == slices["harmed"].tolist()
    assert f"None of {slices['low'].notna().sum()} slices stands out." in text
    assert not slices["harmed"].any()


def test_versions_not_compared_yet_are_compared_on_request(
    judged: Judged, open_page: OpenPage, text_of: TextOf, press: Press
) -> None:
    app = view(open_page(judged.settings, "registry"), "compare")
    app = app.selectbox(key="one").select("1").run()
    assert app.selectbox(key="other").value == "2"
    assert "Nothing here yet. Press Compare." in text_of(app)
    app = press(app, "Compare")
    options = submitted(judged.settings)
    assert (options["challenger"], options["against"], options["dry_run"]) == ("1", "2", True)
    compared = promote.run(judged.settings, promote.Options(**options))
    text = text_of(app.run())
    assert "Promocao " + compared.run_id[:8] in text
    assert "Queued" in text
    # while the job waits, no other comparison can be submitted
    assert next(button for button in app.button if button.label == "Compare").disabled


def test_the_last_answer_is_shown_rule_by_rule(
    judged_shared: Judged, open_page: OpenPage, text_of: TextOf
) -> None:
    app = open_page(judged_shared.settings, "registry")
    text = text_of(app)
    # not the answer for the two that were only compared
    assert judged_shared.tried.run_id in linked_runs(app)
    assert judged_shared.compared.run_id not in linked_runs(app)
    assert "**Version 4** · Compared with version 2 · Threshold 0.3" in text
    # what the gate refuses is not moved, dry run or not
    assert "Dry run:" not in text
    assert "refused" in text
    # the gate objects: promoting is not the primary action
    assert not [button for button in app.button if button.proto.type == "primary"]
    assert "Decided by: bob" in text
    rules = tracking.table(judged_shared.settings, judged_shared.tried.run_id, "rules")
    shown = app.table[-1].value
    assert shown["Rule"].tolist() == [str(loads(title)) for title in rules["title"]]
    assert [rule.split("[")[1].rstrip("]") for rule in shown["Verdict"]] == [
        str(GATE[verdict][0]) for verdict in rules["verdict"]
    ]
    assert shown["What it means"].tolist() == [
        str(loads(text)).replace("$", r"\$") for text in rules["text"]
    ]
    rules_shown = shown.set_index("Rule")
    assert rules_shown.loc["Same rows, new to both", ["Value", "Limits"]].tolist() == [
        "3,000 rows",
        "≥ 200 rows",
    ]
    # the end of the interval is judged, and shown next to the limit
    high = rules.set_index("code").loc["better", "value"]
    assert high > 0
    assert rules_shown.loc["Log loss", "Limits"] == "< 0"
    assert rules_shown.loc["Log loss", "Value"].startswith(f"{high:+.4f}")
    assert rules_shown.loc["Model size", "Limits"] == "≤ 10 MB"


def test_the_gate_is_asked_with_what_was_chosen(
    judged: Judged, open_page: OpenPage, text_of: TextOf, press: Press
) -> None:
    app = open_page(judged.settings, "registry")
    assert app.selectbox(key="challenger").value == "4"
    assert "2 (champion)" not in str(app.selectbox(key="challenger").options)
    app = app.selectbox(key="challenger").select("3").run()
    app = app.segmented_control(key="gate-aim").set_value("not_worse").run()
    app = app.number_input(key="margin").set_value(0.01).run()
    app = app.text_input(key="decided-by").set_value("carl").run()
    assert "**Promote** makes version 3 the champion" in text_of(app)
    press(app, "Promote")
    options = submitted(judged.settings)
    assert options["action"] == "gate"
    assert (options["challenger"], options["aim"], options["margin"]) == ("3", "not_worse", 0.01)
    assert (options["threshold"], options["decided_by"]) == (None, "carl")
    assert not options["dry_run"]
    decided = promote.run(judged.settings, promote.Options(**options))
    assert (decided.decision, decided.champion) == ("promote", "3")


def test_a_threshold_is_tried_with_its_consequences_in_view(
    judged: Judged, open_page: OpenPage, text_of: TextOf, press: Press
) -> None:
    app = open_page(judged.settings, "registry")
    app = app.selectbox(key="challenger").select("3").run()
    app = app.toggle(key="changes-3").set_value(True).run()
    assert app.slider(key="threshold-3").value == 0.45
    app = app.slider(key="threshold-3").set_value(0.4).run()
    assert not app.exception
    version = model_store.require_version(judged.settings, SPEC.model, "3")
    tested = tracking.table(judged.settings, version.run_id, "test_predictions")
    table = thresholds.trade_off(
        tested["courtside_label"].to_numpy(), tested["courtside_probability"].to_numpy()
    )
    by_threshold = table.set_index("threshold")
    shown = app.table[0].value.set_index("Metric")
    for title, name in (("F1", "f1"), ("Precision", "precision"), ("Recall", "recall")):
        assert shown.loc[title, "Threshold: 0.40"] == f"{by_threshold.loc[0.4, name]:.1%}"
        assert shown.loc[title, "Current: 0.45"] == f"{by_threshold.loc[0.45, name]:.1%}"
        change = 100 * (by_threshold.loc[0.4, name] - by_threshold.loc[0.45, name])
        assert shown.loc[title, "Difference"] == f"{change:+.1f} points"
    assert "chosen on the test set looks better there" in text_of(app)
    press(app, "Dry run")
    options = submitted(judged.settings)
    assert (options["threshold"], options["dry_run"]) == (0.4, True)


def test_the_threshold_is_shown_on_the_validation_folds_where_the_run_kept_them(
    lived, copied, open_page: OpenPage, text_of: TextOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = model_store.require_version(lived.settings, SPEC.model, "1")
    folds = tracking.table(lived.settings, version.run_id, "validation")
    monkeypatch.setenv(
        mlflow_client.STORE_VARIABLE, copied.settings.mlflow_uri
    )  # taken back after this
    mlflow.set_tracking_uri(copied.settings.mlflow_uri)
    client = MlflowClient(copied.settings.mlflow_uri)
    version_1 = client.get_model_version(SPEC.model, "1")
    client.create_model_version(
        SPEC.model, version_1.source, run_id=version_1.run_id, tags=dict(version_1.tags)
    )
    app = open_page(copied.settings, "registry")
    app = app.toggle(key="changes-2").set_value(True).run()
    assert not app.exception
    assert f"Validation folds: {len(folds):,} rows" in text_of(app)
    assert "chosen on the test set" not in text_of(app)


def test_a_link_opens_another_threshold_for_the_champion(
    judged: Judged, open_page: OpenPage, press: Press
) -> None:
    app = open_page(judged.settings, "registry", view="decide")
    assert not app.slider
    app = open_page(judged.settings, "registry", view="decide", open="threshold")
    assert not app.exception
    # the one action of the page, before the decision about the challenger
    assert [button.label for button in app.button if button.proto.type == "primary"] == ["Use"]
    assert app.slider(key="threshold-2").value == 0.45
    app = press(app, "Use")
    assert "is the champion already" in app.error[0].value
    app = app.slider(key="threshold-2").set_value(0.3).run()
    press(app, "Use")
    options = submitted(judged.settings)
    assert (options["challenger"], options["threshold"]) == ("2", 0.3)
    done = promote.run(judged.settings, promote.Options(**options))
    assert (done.decision, done.champion) == ("promote", "5")
    copy = model_store.require_version(judged.settings, SPEC.model, "5")
    assert (copy.threshold, copy.about.copied_from) == (0.3, "2")


def test_another_threshold_is_judged_on_the_rows_that_a_report_is_about(
    lived, open_page: OpenPage, text_of: TextOf
) -> None:
    app = open_page(lived.settings, "registry", view="decide", open="threshold")
    assert not app.exception
    rows = predictions.read(lived.settings, lived.run("score").run_id)
    rows = rows[rows["courtside_label"].notna()]
    table = thresholds.trade_off(
        rows["courtside_label"].to_numpy(dtype="int64"), rows["courtside_probability"].to_numpy()
    ).set_index("threshold")
    app = app.slider(key="threshold-1").set_value(0.3).run()
    shown = app.table[0].value.set_index("Metric")
    assert shown.loc["Recall", "Threshold: 0.30"] == f"{table.loc[0.3, 'recall']:.1%}"
    assert said(lived.run("monitor"), "window") in text_of(app).replace("\\", "")
    app = app.segmented_control(key="threshold-rows").set_value("folds").run()
    assert "Validation folds: " in text_of(app)
    assert app.table[0].value["Threshold: 0.30"][2] != shown.loc["Recall", "Threshold: 0.30"]


def test_an_override_needs_a_reason(judged: Judged, open_page: OpenPage, press: Press) -> None:
    app = open_page(judged.settings, "registry")
    for reason in ("", "because", "          "):
        app.text_area(key="reason-4").set_value(reason)
        app = press(app, "Promote anyway")
        assert "Required: Reason, at least " in app.error[0].value
    assert not jobs.latest(judged.settings)
    app.text_area(key="reason-4").set_value("The coach wants it.")
    app = press(app, "Promote anyway")
    assert not app.error
    options = submitted(judged.settings)
    assert (options["action"], options["reason"]) == ("override", "The coach wants it.")
    assert options["challenger"] == "4"


def test_a_rollback_says_beforehand_what_it_will_do(
    judged: Judged,
    open_page: OpenPage,
    text_of: TextOf,
    press: Press,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = open_page(judged.settings, "registry")
    text = text_of(app)
    assert "Makes version 1 (" in text
    assert "the champion whatever the gate says." in text
    monkeypatch.setattr(endpoint, "live", lambda _: live(judged.settings, "2"))
    text = text_of(app.run())
    assert "switches to it without a failed request" in text
    assert "if it does not start, nothing changes." in text
    app.text_input(key="rollback-note").set_value("It was slow.")
    press(app, "Roll back")
    options = submitted(judged.settings)
    assert (options["action"], options["reason"]) == ("rollback", "It was slow.")
    monkeypatch.setattr(endpoint, "live", lambda _: None)
    done = promote.run(judged.settings, promote.Options(**options))
    assert done.champion == "1"
    app = open_page(judged.settings, "registry")
    sentence = f"Rollback · Decided by: {promote.user()}"
    assert sentence in text_of(app)
    ledger = view(app, "ledger").dataframe[0].value
    assert ledger["run"][0] == f"/runs?run={done.run_id}"


def test_the_ledger_is_that_of_the_registry(judged_shared: Judged, open_page: OpenPage) -> None:
    app = view(open_page(judged_shared.settings, "registry"), "ledger")
    shown = app.dataframe[0].value
    ledger = registry.ledger(judged_shared.settings, SPEC.model)
    assert shown["version"].tolist() == [int(number) for number in ledger["version"]]
    assert shown["decided_by"].tolist() == ["ann", "the app"]
    assert shown["decision"].tolist() == ["Promoted anyway", "First champion"]
    assert shown["to"][0] == "–"
    assert shown["to"][1] == shown["from"][0]
    assert shown["run"].tolist() == [f"/runs?run={run_id}" for run_id in ledger["run_id"]]
    assert shown["hours"][1] == pytest.approx(
        (ledger["to"][1] - ledger["from"][1]).total_seconds() / 3600
    )


def test_an_endpoint_behind_the_champion_is_reported_and_follows_on_request(
    judged: Judged,
    open_page: OpenPage,
    text_of: TextOf,
    press: Press,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sentence = "serves version 1, but the champion is version 2."
    monkeypatch.setattr(endpoint, "live", lambda _: live(judged.settings, "1"))
    app = open_page(judged.settings, "registry")
    assert sentence in app.warning[0].value
    # one action: the switch
    assert [button.label for button in app.button if button.proto.type == "primary"] == [
        "Serve: version 2"
    ]
    app = open_page(judged.settings, "serve")
    assert not app.exception
    assert sentence in app.warning[0].value
    # the aliases as people think of them, then the versions
    assert [option.split(" ")[0] for option in app.selectbox[0].options][:4] == [
        "champion",
        "challenger",
        "previous",
        "version",
    ]
    press(app, "Serve: version 2")
    (job,) = jobs.latest(judged.settings)
    wanted = {"target": "champion", "port": None, "shadow": False, "workers": None}
    assert (job.step, job.options) == ("serve", wanted)
    # an endpoint of the champion, or of another project, gives no warning
    for other in (live(judged.settings, "2"), live(judged.settings, "1", "titanic")):
        monkeypatch.setattr(endpoint, "live", lambda _, other=other: other)
        for page in ("registry", "serve"):
            assert not open_page(judged.settings, page).warning


def test_a_version_with_a_missing_run_does_not_hide_the_rest(
    judged: Judged, open_page: OpenPage, text_of: TextOf
) -> None:
    client = MlflowClient(judged.settings.mlflow_uri)
    version = model_store.require_version(judged.settings, SPEC.model, "3")
    client.delete_run(version.run_id)
    client.delete_model_version_tag(SPEC.model, "3", TAG + "threshold")
    app = open_page(judged.settings, "registry", version="3")
    assert not app.exception
    assert pd.isna(app.dataframe[0].value.set_index("version").loc[3, "threshold"])
    assert "### Decisions" in text_of(app)
    app = view(app, "decide")
    app = app.selectbox(key="challenger").select("3").run()
    app = app.toggle(key="changes-3").set_value(True).run()
    assert not app.exception


@pytest.mark.long
def test_sixty_versions_and_five_hundred_runs_need_no_more_queries(
    judged: Judged, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Runs

    questions: list[str] = []
    for kind, names in (
        (Runs, ("_search_runs", "get_run", "search_logged_models", "get_logged_model")),
        (Registry, ("get_registered_model", "get_model_version", "search_model_versions")),
    ):
        for name in names:
            working = getattr(kind, name)

            def ask(*args: Any, working: Any = working, name: str = name, **kwargs: Any) -> Any:
                questions.append(name)
                return working(*args, **kwargs)

            monkeypatch.setattr(kind, name, ask)

    def counted() -> dict[str, int]:
        counts = {}
        app = open_page(judged.settings, "registry")
        for name in ("decide", "versions", "compare", "ledger"):
            questions.clear()
            app = view(app, name)
            counts[name] = len(questions)
        return counts

    few = counted()
    monkeypatch.setenv(
        mlflow_client.STORE_VARIABLE, judged.settings.mlflow_uri
    )  # taken back after this
    mlflow.set_tracking_uri(judged.settings.mlflow_uri)
    client = MlflowClient(judged.settings.mlflow_uri)
    version_2 = client.get_model_version(SPEC.model, "2")
    experiment = mlflow_client.experiment_id(judged.settings)
    for number in range(56):
        run_id = client.create_run(experiment).info.run_id
        client.log_metric(run_id, "log_loss_test", number / 100)
        client.create_model_version(
            SPEC.model, version_2.source, run_id=run_id, tags=dict(version_2.tags)
        )
    for number in range(450):
        tags = {TAG + "step": "promote", TAG + "version": str(number % 60)}
        client.create_run(experiment, tags=tags)
    many = counted()
    assert all(many[name] <= few[name] for name in many), (few, many)
    assert max(many.values()) <= 16, many
    app = open_page(judged.settings, "registry", view="versions")
    table = app.dataframe[0].value
    assert table["version"].tolist() == list(range(60, 0, -1))
    assert table["log_loss"].tolist()[:3] == [0.55, 0.54, 0.53]
