"""The gate, the override, the rollback, and what each of them leaves in the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from pydantic import ValidationError
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from core.platform import model_files, model_store, project, served_model, storage, tracking
from core.platform.config import Options, Settings
from core.platform.errors import CourtsideError, InputError, NotReadyError, StoreError
from core.platform.run_record import SILENT, ModelRecord, Record
from core.platform.run_tags import TAG
from core.platform.runs import ModelVersion
from core.registry import model_card, model_facts, promote, registry, version_files
from core.runtime.worker import run_step
from core.training import train
from tests.conftest import copy_home

SPEC = project.load("kobe")
FEATURES = ("shot_distance", "playoffs", "period")
REASON = "The coach wants it, see the minutes of Monday."


@dataclass
class World:
    """Rows whose labels follow a known rule, cut in training and test rows."""

    settings: Settings
    train: pd.DataFrame
    test: pd.DataFrame

    def register(
        self,
        estimator: Any,
        *,
        train: pd.DataFrame | None = None,
        features: tuple[str, ...] = FEATURES,
        alias: str | None = model_store.CHALLENGER,
        is_complete: bool = True,
        evaluated: Any = None,
        tables: tuple[str, ...] = ("test_rows", "train_keys"),
        tags: dict[str, str] | None = None,
    ) -> ModelVersion:
        """Fit and register as the step train does."""
        settings = self.settings
        train = self.train if train is None else train
        kinds = SPEC.kinds_of(features)
        all_tables = {"test_rows": self.test, "train_keys": train[[SPEC.id]]}

        def logged(model: Any) -> str:
            inputs = served_model.checked(train, kinds, is_complete=False)
            model.fit(inputs, train[SPEC.target])
            record = ModelRecord(model, features, kinds, 0.5, inputs.head(3), {}, is_complete)
            return str(tracking.log(settings, run_id, Record(model=record)))

        with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
            tables_kept = {name: all_tables[name] for name in tables}
            tracking.log(settings, run_id, Record(tables=tables_kept))
            first = logged(evaluated) if evaluated is not None else None
            model_id = logged(estimator)
        return registry.register(
            settings,
            SPEC.model,
            model_id,
            run_id,
            {
                TAG + "train_run": run_id,
                TAG + "threshold": "0.5",
                TAG + "inputs": ",".join(features),
                TAG + "features": ",".join(features),
                TAG + "formulas": "{}",
                TAG + "missing": "drop" if is_complete else "impute",
                **(tags or {}),
            },
            evaluated=first,
            alias=alias,
        )

    def aliases(self) -> dict[str, str]:
        versions = model_store.versions(self.settings, SPEC.model)
        return {alias: version.version for version in versions for alias in version.aliases}

    def gate(self, **options: Any) -> promote.Result:
        return promote.run(self.settings, promote.Options(**options))

    def rules(self, result: promote.Result) -> pd.DataFrame:
        return tracking.table(self.settings, result.run_id, "rules").set_index("code")

    def ledger(self) -> pd.DataFrame:
        return registry.ledger(self.settings, SPEC.model)


@pytest.fixture
def world(settings: Settings, shots: pd.DataFrame) -> World:
    rows = shots.iloc[::3].reset_index(drop=True)
    rng = np.random.default_rng(5)
    chance = np.where(rows["shot_distance"] > 12, 0.2, 0.8)
    rows = rows.assign(**{SPEC.target: (rng.uniform(size=len(rows)) < chance).astype(float)})
    return World(settings, rows.iloc[::2], rows.iloc[1::2].reset_index(drop=True))


def informed() -> Any:
    """Return a model that finds the rule."""
    return DecisionTreeClassifier(max_depth=2, random_state=0)


def poor() -> Any:
    """Return a model that knows only the base rate."""
    return DummyClassifier(strategy="prior")


def test_without_a_champion_the_challenger_is_promoted_and_the_reason_says_so(world: World) -> None:
    registered = world.register(informed(), alias=None)
    assert registered.aliases == ()
    result = world.gate(challenger=registered.version, decided_by="ann")
    assert (result.decision, result.version, result.champion) == ("promote", "1", "1")
    assert str(result.text) == "There is no champion yet."
    assert world.aliases() == {"champion": "1"}
    assert set(world.rules(result)["verdict"]) == {"not_applicable"}
    (row,) = world.ledger().to_dict("records")
    assert (row["version"], row["decided_by"], row["decision"]) == ("1", "ann", "promote")


def test_a_better_challenger_becomes_champion_and_the_ledger_records_it(world: World) -> None:
    world.register(poor())
    world.register(informed())
    assert world.aliases() == {"champion": "1", "challenger": "2"}

    result = world.gate(decided_by="ann")

    assert (result.decision, result.champion) == ("promote", "2")
    assert world.aliases() == {"champion": "2", "previous": "1"}
    rules = world.rules(result)
    assert rules.index.tolist() == [
        "same_rows",
        "better",
        "slices",
        "calibration",
        "latency",
        "size",
        "schema",
    ]
    assert set(rules["verdict"]) == {"pass"}
    run = tracking.run(world.settings, result.run_id)
    assert run is not None
    assert (run.name, run.status, run.step) == ("Promocao", "FINISHED", "promote")
    assert run.metrics["rows_judged"] == len(world.test)
    # the truth: the entropy of a chance of 0.2 against that of the base rate
    entropy = -(0.2 * np.log(0.2) + 0.8 * np.log(0.8))
    assert run.metrics["log_loss_challenger"] == pytest.approx(entropy, abs=0.02)
    rate = world.test[SPEC.target].mean()
    base = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert run.metrics["log_loss_champion"] == pytest.approx(base, abs=0.002)
    difference = run.metrics["log_loss_challenger"] - run.metrics["log_loss_champion"]
    assert run.metrics["log_loss_difference"] == pytest.approx(difference, abs=1e-12)
    assert run.metrics["log_loss_difference_high"] < 0
    assert run.params["challenger_version"] == "2"
    assert run.params["champion_version"] == "1"
    assert run.tags["courtside.decision"] == "promote"

    rolled_back = world.gate(action="rollback", decided_by="bob", reason="It was slow on Sunday.")

    assert (rolled_back.decision, rolled_back.version, rolled_back.champion) == (
        "rollback",
        "1",
        "1",
    )
    assert world.aliases() == {"champion": "1", "previous": "2"}
    table = world.ledger()
    assert table["version"].tolist() == ["1", "2", "1"]
    assert table["decision"].tolist() == ["rollback", "promote", "first"]
    assert table["decided_by"].map(str).tolist() == ["bob", "ann", "the app"]
    assert table["run_id"].tolist()[:2] == [rolled_back.run_id, result.run_id]
    assert "It was slow on Sunday." in str(table["reason"].iloc[0])
    assert str(table["reason"].iloc[2]) == "There is no champion yet."
    assert pd.isna(table["to"].iloc[0])
    assert table["to"].iloc[1:].tolist() == table["from"].iloc[:-1].tolist()
    assert table["from"].is_monotonic_decreasing


@pytest.mark.long
def test_a_challenger_that_is_worse_on_one_slice_is_held_with_its_name(world: World) -> None:
    world.register(poor())
    flipped = world.train.assign(
        **{
            SPEC.target: world.train[SPEC.target].where(
                world.train["playoffs"] == 0, 1 - world.train[SPEC.target]
            )
        }
    )
    # no leaf so small that it is certain: a certain but wrong forecast widens the interval
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=30, random_state=0)
    challenger = world.register(tree, train=flipped)

    result = world.gate()

    rules = world.rules(result)
    assert rules.loc["better", "verdict"] == "pass"  # on all rows it is better
    assert rules.loc["slices", "verdict"] == "hold"
    assert (result.decision, result.champion) == ("hold", "1")
    assert "slices: playoffs = 1" in str(result.text)
    assert world.aliases() == {"champion": "1", "challenger": challenger.version}
    slices = tracking.table(world.settings, result.run_id, "slices")
    assert slices[slices["harmed"]]["column"].tolist() == ["playoffs"]


@pytest.mark.real
@pytest.mark.parametrize("spoiled", [pytest.param(False, marks=pytest.mark.long), True])
def test_on_real_rows_a_challenger_spoiled_on_one_slice_is_held_for_that_only(
    prepared_real: Settings, tmp_path: Path, spoiled: bool
) -> None:
    settings = copy_home(prepared_real, tmp_path / "home")
    prepared, _, _ = storage.read_prepared(settings)
    world = World(settings, *storage.read_rows(settings, prepared))
    world.register(LogisticRegression(max_iter=1000), features=SPEC.features)
    rows = world.train
    right = rows[SPEC.target]
    labels = right.where(rows["playoffs"] == 0, 1 - right) if spoiled else right
    boosted = LGBMClassifier(n_estimators=60, num_leaves=15, n_jobs=1, verbose=-1, random_state=0)
    world.register(boosted, train=rows.assign(**{SPEC.target: labels}), features=SPEC.features)

    result = world.gate(aim="not_worse", margin=0.02)

    rules = world.rules(result)
    against = rules[rules["verdict"].isin(("hold", "refuse"))]
    harmed = tracking.table(settings, result.run_id, "slices").set_index(["column", "value"])
    if spoiled:
        assert result.decision == "hold"
        assert against.index.tolist() == ["slices"]
        assert "slices: playoffs = 1" in str(result.text)
        assert world.aliases()["champion"] == "1"
        assert harmed.loc[("playoffs", "1"), "low"] > 0
    else:
        assert result.decision == "promote"
        assert against.empty
        assert not harmed["harmed"].any()


@pytest.mark.long
def test_an_equal_challenger_is_neither_better_nor_worse(world: World) -> None:
    world.register(informed())
    world.register(informed())
    result = world.gate()
    assert result.decision == "hold"
    assert "not significantly better: the interval contains zero" in str(result.text)
    assert world.gate(aim="not_worse", margin=0.005).decision == "promote"


def test_a_worse_challenger_is_refused(world: World) -> None:
    world.register(informed())
    world.register(poor())
    result = world.gate()
    assert (result.decision, result.champion) == ("refuse", "1")
    assert str(result.text).startswith("The challenger is worse.")


def test_an_override_needs_a_reason_and_keeps_it(world: World) -> None:
    world.register(informed())
    world.register(poor())
    for reason in (None, "because", "          so"):
        with pytest.raises(ValidationError, match="write a reason of 10 characters"):
            promote.Options(action="override", reason=reason)

    result = world.gate(action="override", reason=REASON, decided_by="ann")

    assert (result.decision, result.champion) == ("override", "2")
    assert str(result.text).startswith(f"ann: {REASON} By the rules: ")
    assert world.rules(result).loc["better", "verdict"] == "refuse"
    row = world.ledger().iloc[0]
    assert (row["version"], row["decision"], row["decided_by"]) == ("2", "override", "ann")
    assert REASON in str(row["reason"])
    assert world.aliases() == {"champion": "2", "previous": "1"}


def test_a_rollback_needs_a_version_to_go_back_to(world: World) -> None:
    with pytest.raises(NotReadyError, match="nothing to roll back to"):
        world.gate(action="rollback")
    world.register(informed())
    with pytest.raises(NotReadyError, match="nothing to roll back to"):
        world.gate(action="rollback")
    world.register(poor())
    world.gate(action="override", reason=REASON)
    # there and back again
    assert [world.gate(action="rollback").champion for _ in range(3)] == ["1", "2", "1"]
    with pytest.raises(ValidationError, match="`threshold` needs `action = gate`"):
        promote.Options(action="rollback", threshold=0.4)


@pytest.mark.long
def test_the_champion_cannot_challenge_itself(
    world: World, last_error: Callable[[Settings, str], tuple[str, str]]
) -> None:
    world.register(informed())
    for name in ("challenger", "1", "champion"):
        with pytest.raises(InputError, match="Version 1 is the champion already"):
            world.gate(challenger=name)
    assert last_error(world.settings, "promote")[0] == "FAILED"
    # trying is not an error: a pipeline asks after every training, even the first
    for name in ("challenger", "1", "champion"):
        result = world.gate(challenger=name, dry_run=True)
        assert (result.decision, result.version, result.champion) == ("unchanged", "1", "1")
    rules = tracking.table(world.settings, result.run_id, "rules")
    assert set(rules["verdict"]) == {"not_applicable"}
    with pytest.raises(InputError, match="Version 1 is the champion already"):
        world.gate(challenger="1", action="override", reason=REASON, dry_run=True)
    with pytest.raises(NotReadyError, match="no version 9"):
        world.gate(challenger="9")


def test_the_champion_gets_another_threshold_without_a_comparison(world: World) -> None:
    world.register(informed())
    tried = world.gate(challenger="champion", threshold=0.3, dry_run=True)
    assert (tried.decision, tried.champion) == ("promote", "1")
    result = world.gate(challenger="champion", threshold=0.3, decided_by="ann")
    assert (result.decision, result.version, result.champion) == ("promote", "2", "2")
    assert set(world.rules(result)["verdict"]) == {"not_applicable"}
    assert str(result.text).startswith("Only the threshold changes")
    copy = model_store.require_version(world.settings, SPEC.model, "2")
    assert (copy.threshold, copy.about.copied_from) == (0.3, "1")
    assert world.aliases() == {"champion": "2", "previous": "1"}
    with pytest.raises(InputError, match="Version 2 is the champion already"):
        world.gate(challenger="champion", threshold=0.3)


@pytest.mark.long
def test_rows_that_the_champion_was_trained_on_are_left_out(world: World) -> None:
    trained_on = world.test.iloc[:1000]
    world.register(poor(), train=pd.concat([world.train, trained_on]))
    world.register(informed())
    result = world.gate()
    run = tracking.run(world.settings, result.run_id)
    assert run is not None
    assert run.metrics["rows_left_out"] == 1000
    assert run.metrics["rows_judged"] == len(world.test) - 1000
    assert result.decision == "promote"
    judged = tracking.table(world.settings, result.run_id, "judged_rows")
    assert judged[SPEC.id].tolist() == world.test[SPEC.id].iloc[1000:].tolist()

    everything = pd.concat([world.train, world.test.iloc[:-150]])
    world.register(DecisionTreeClassifier(max_depth=3, random_state=0), train=everything)
    result = world.gate()
    assert result.decision == "hold"
    assert "150 rows are new to both models" in str(result.text)
    assert world.rules(result).loc["better", "verdict"] == "not_applicable"


@pytest.mark.long
def test_rows_that_one_of_them_does_not_answer_are_left_out(world: World) -> None:
    world.register(poor())
    world.test.loc[world.test.index[:40], "shot_distance"] = np.nan
    world.register(informed())
    result = world.gate()
    run = tracking.run(world.settings, result.run_id)
    assert run is not None
    assert (run.metrics["rows_judged"], result.decision) == (len(world.test) - 40, "promote")
    text = str(world.rules(result).loc["same_rows", "text"])
    assert "40 rows were left out" in text


@pytest.mark.long
@pytest.mark.parametrize("tables", [(), ("test_rows",), ("train_keys",)])
def test_a_version_whose_rows_are_gone_is_held_and_can_be_overridden(
    world: World, tables: tuple[str, ...]
) -> None:
    world.register(poor())
    world.register(informed(), tables=tables)
    result = world.gate()
    assert result.decision == "hold"
    assert "Run its step again." in str(result.text)
    assert world.gate(action="override", reason=REASON).champion == "2"


@pytest.mark.long
def test_sample_and_real_rows_are_not_compared(world: World) -> None:
    world.register(poor())
    world.register(informed(), tags={TAG + "sample": "true"})
    result = world.gate()
    assert result.decision == "hold"
    assert "Only one side was trained on the built-in sample" in str(result.text)
    run = tracking.run(world.settings, result.run_id)
    assert run is not None
    assert run.is_sample


@pytest.mark.long
def test_new_inputs_are_held_until_callers_send_them(world: World) -> None:
    world.register(poor(), features=("playoffs",))
    world.register(informed())
    result = world.gate()
    assert result.decision == "hold"
    assert "callers of the champion do not send: shot_distance and period." in str(result.text)
    # fewer inputs are fine
    world.register(DecisionTreeClassifier(max_depth=1), features=("shot_distance",))
    world.gate(action="override", challenger="2", reason=REASON)
    assert world.rules(world.gate(aim="not_worse", margin=0.1)).loc["schema", "verdict"] == "pass"


@pytest.mark.long
def test_a_challenger_that_refuses_missing_values_is_held(world: World) -> None:
    world.register(poor(), is_complete=False)
    world.register(informed())
    result = world.gate()
    assert result.decision == "hold"
    assert "The champion scores rows with missing values" in str(result.text)


def test_a_dry_run_moves_nothing(world: World) -> None:
    world.register(poor())
    world.register(informed())
    before = world.aliases()
    result = world.gate(dry_run=True, threshold=0.3)
    assert (result.decision, result.version, result.champion) == ("promote", "2", "1")
    assert str(result.text).startswith("Nothing was changed.")
    assert world.aliases() == before
    assert world.ledger()["version"].tolist() == ["1"]
    assert len(model_store.versions(world.settings, SPEC.model)) == 2


@pytest.mark.long
def test_a_threshold_chosen_at_promotion_becomes_a_version_that_uses_it(world: World) -> None:
    import mlflow

    world.register(poor())
    world.register(informed())
    world.register(informed())  # a newer challenger stays one
    promoted = world.gate(challenger="2", threshold=0.25)
    assert (promoted.decision, promoted.version) == ("promote", "4")
    assert "again as version 4, with the threshold 0.25 instead of 0.5." in str(promoted.text)
    assert world.aliases() == {"champion": "4", "previous": "1", "challenger": "3"}
    champion = model_store.require_version(world.settings, SPEC.model, "champion")
    origin = model_store.require_version(world.settings, SPEC.model, "2")
    assert (champion.threshold, origin.threshold) == (0.25, 0.5)
    assert champion.about.copied_from == "2"
    assert champion.run_id == origin.run_id
    rows = world.test[list(FEATURES)].astype("float64")
    answer = mlflow.pyfunc.load_model(f"models:/{SPEC.model}/4").predict(rows)
    expected = version_files.load(world.settings, origin).predict(rows)
    assert answer["probability"].to_numpy() == pytest.approx(expected, abs=0)
    assert answer["label"].tolist() == (expected >= 0.25).astype(int).tolist()
    assert world.ledger()["reason"].iloc[0] == promoted.text

    # the copied challenger loses its alias; its own threshold needs no copy
    world.register(informed())
    result = world.gate(action="override", reason=REASON, threshold=0.9)
    assert world.aliases() == {"champion": result.version, "previous": "4"}
    same = world.gate(action="override", challenger="2", reason=REASON, threshold=0.5)
    assert same.version == "2"


@pytest.mark.long
def test_the_evaluated_model_is_judged_and_not_the_one_fitted_on_the_test_rows(
    world: World,
) -> None:
    world.register(poor())
    # the served model knows nothing, the evaluated one the rule: they are not confused
    challenger = world.register(poor(), evaluated=informed())
    assert challenger.about.evaluated_sha256 != challenger.about.model_sha256
    result = world.gate()
    run = tracking.run(world.settings, result.run_id)
    assert run is not None
    assert result.decision == "promote"
    assert run.metrics["log_loss_challenger"] < 0.55
    assert run.params["challenger_model_judged"] == challenger.about.evaluated_model


def spoil(settings: Settings, version: ModelVersion, name: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(settings.mlflow_uri)
    source = client.get_model_version(version.name, version.version).source
    location = client.get_logged_model(source.removeprefix("models:/")).artifact_location
    path = Path(location.removeprefix("file://")) / name
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize("name", model_files.Digests().by_file())
def test_a_challenger_with_a_changed_file_is_never_promoted(
    world: World, name: str, last_error: Callable[[Settings, str], tuple[str, str]]
) -> None:
    world.register(poor())
    spoil(world.settings, world.register(informed()), name)
    before = world.aliases()
    for options in ({}, {"action": "override", "reason": REASON}):
        with pytest.raises(StoreError, match="was changed after its registration"):
            world.gate(**options)
        assert last_error(world.settings, "promote")[0] == "FAILED"
    assert world.aliases() == before
    assert world.ledger()["version"].tolist() == ["1"]


@pytest.mark.long
def test_a_champion_with_a_changed_file_can_be_replaced_but_not_rolled_back_to(
    world: World,
) -> None:
    broken = world.register(poor())
    world.register(informed())
    spoil(world.settings, broken, "artifacts/pipeline.skops")
    result = world.gate()
    assert result.decision == "hold"
    assert "version 1 of kobe-shots was changed after its registration" in str(result.text)
    assert world.gate(action="override", reason=REASON).champion == "2"
    with pytest.raises(StoreError, match="was changed after its registration"):
        world.gate(action="rollback")
    assert world.aliases() == {"champion": "2", "previous": "1"}


def test_a_failed_run_moves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.register(poor())
    world.register(informed())
    before = world.aliases()

    def fail(*_: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(promote, "_record", fail)
    with pytest.raises(StoreError, match="disk is full"):
        world.gate()
    assert world.aliases() == before
    assert world.ledger()["version"].tolist() == ["1"]


@pytest.mark.long
def test_a_champion_that_changed_meanwhile_is_not_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.register(poor())
    world.register(informed())
    record = promote._record

    other = world.register(informed(), alias=None)

    def meanwhile(*arguments: Any) -> None:
        record(*arguments)
        registry.move_champion(
            world.settings,
            other,
            other.run_id,
            instead_of="1",
            decided_by="bob",
            decision="override",
            reason=REASON,
        )

    monkeypatch.setattr(promote, "_record", meanwhile)
    with pytest.raises(CourtsideError, match="The champion has changed"):
        world.gate()
    assert world.aliases() == {"champion": "3", "previous": "1", "challenger": "2"}
    assert world.ledger()["version"].tolist() == ["3", "1"]


@pytest.mark.long
def test_it_runs_as_a_job_and_names_who_decided(world: World) -> None:
    world.register(poor())
    world.register(informed())
    result = run_step(world.settings, "promote", {"threshold": None, "decided_by": " ann "}, SILENT)
    assert result.decision == "promote"
    assert world.ledger()["decided_by"].iloc[0] == "ann"
    assert promote.Options().decided_by == promote.user()
    for wrong in ({"decided_by": ""}, {"decided_by": "x" * 81}, {"threshold": 1.2}, {"margin": -1}):
        with pytest.raises(InputError):
            run_step(world.settings, "promote", wrong, SILENT)
    for wrong in ({"decided_by": "  "}, {"challenger": "a b"}, {"action": "force"}):
        with pytest.raises(InputError):
            run_step(world.settings, "promote", wrong, SILENT)


@pytest.mark.long
def test_a_linear_challenger_is_held_to_its_calibration(world: World) -> None:
    world.register(poor())
    # balanced weights on rows of a low base rate give probabilities that are too high
    rare = world.train[world.train["shot_distance"] > 12]
    world.test = world.test[world.test["shot_distance"] > 12].reset_index(drop=True)
    world.register(poor(), train=rare)
    world.gate(action="override", reason=REASON)
    world.register(LogisticRegression(class_weight="balanced"), train=rare)
    rules = world.rules(world.gate())
    assert rules.loc["calibration", "verdict"] == "hold"
    assert rules.loc["calibration", "value"] == pytest.approx(0.3, abs=0.05)


@pytest.mark.long
def test_two_trainings_leave_what_the_gate_needs(prepared_sample: Settings, tmp_path: Path) -> None:
    settings = copy_home(prepared_sample, tmp_path / "home")
    first, second = (
        train.run(settings, train.Options(candidates=(candidate,), folds=2, learning_seconds=0))
        for candidate in ("dummy", "lr")
    )
    assert registry.ledger(settings, SPEC.model)["run_id"].tolist() == [first.run_id]

    result = promote.run(settings, promote.Options())

    run = tracking.run(settings, result.run_id)
    assert run is not None
    _, _, tested = storage.read_prepared(settings)
    assert (run.metrics["rows_judged"], run.metrics["rows_left_out"]) == (len(tested), 0)
    assert run.metrics["log_loss_challenger"] == pytest.approx(second.log_loss_test, abs=1e-9)
    assert run.metrics["log_loss_champion"] == pytest.approx(first.log_loss_test, abs=1e-9)
    assert run.is_sample
    rules = tracking.table(settings, result.run_id, "rules").set_index("code")
    assert rules.loc[["same_rows", "better", "schema"], "verdict"].tolist() == ["pass"] * 3
    facts = model_facts.card_facts(
        settings, model_store.require_version(settings, SPEC.model, second.version)
    )
    assert facts["rows_train"] + facts["rows_test"] > 15_000
    assert facts["split"]["split"] == "random"
    assert len(facts["digest"]) == 64
    assert ("log_loss", pytest.approx(second.log_loss_test)) in [
        (name, value) for name, value, *_ in facts["metrics"]
    ]
    assert "Does the shot go in?" in model_card.card(facts)
