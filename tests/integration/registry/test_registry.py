"""Versions are loaded only as they were registered, and the champion moves in one step."""

from __future__ import annotations

import dataclasses
import json
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from lightgbm import LGBMClassifier
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sklearn import (
    calibration,
    discriminant_analysis,
    dummy,
    ensemble,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    tree,
)
from sklearn.pipeline import Pipeline

from core.platform import (
    message_tables,
    mlflow_client,
    model_files,
    model_store,
    served_model,
    tracking,
)
from core.platform.config import Options, Settings
from core.platform.errors import InputError, NotReadyError, StoreError
from core.platform.run_record import SILENT, ModelRecord, Record
from core.platform.run_tags import TAG
from core.platform.runs import ChampionMove, ModelVersion
from core.registry import model_card, model_facts, registry, version_files
from core.stats import slices
from core.training.preprocessing import preprocessor
from tests.conftest import copy_home

INPUTS = {"distance": "number", "zone": "text", "day": "text"}
ENGINEERED = {"month": ("day.str.slice(5, 7)", "text"), "near": ("distance < 5", "number")}
FEATURES = ("distance", "zone", "month", "near")
DIGESTS = {
    "artifacts/pipeline.skops": "courtside.model_sha256",
    "served_model.py": "courtside.code_sha256",
    "MLmodel": "courtside.description_sha256",
}
# every classifier that has a PyCaret id, also tuned, and ensembles built from them
CLASSIFIERS: dict[str, Any] = {
    "lr": lambda: linear_model.LogisticRegression(max_iter=1000),
    "knn": lambda: neighbors.KNeighborsClassifier(),
    "knn_manhattan": lambda: neighbors.KNeighborsClassifier(metric="manhattan"),
    "nb": lambda: naive_bayes.GaussianNB(),
    "dt": lambda: tree.DecisionTreeClassifier(max_depth=5, random_state=0),
    "mlp": lambda: neural_network.MLPClassifier(max_iter=20, random_state=0),
    "rf": lambda: ensemble.RandomForestClassifier(5, random_state=0),
    "qda": lambda: discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1),
    "ada": lambda: ensemble.AdaBoostClassifier(n_estimators=5, random_state=0),
    "gbc": lambda: ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0),
    "lda": lambda: discriminant_analysis.LinearDiscriminantAnalysis(),
    "et": lambda: ensemble.ExtraTreesClassifier(5, random_state=0),
    "lightgbm": lambda: LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1, random_state=0),
    "dummy": lambda: dummy.DummyClassifier(),
    "blend": lambda: ensemble.VotingClassifier(
        [(name, CLASSIFIERS[name]()) for name in ("lr", "knn", "lightgbm")], voting="soft"
    ),
    "stack": lambda: ensemble.StackingClassifier(
        [(name, CLASSIFIERS[name]()) for name in ("dt", "nb")], linear_model.LogisticRegression()
    ),
    "sigmoid": lambda: calibration.CalibratedClassifierCV(CLASSIFIERS["rf"](), cv=3),
    "isotonic": lambda: calibration.CalibratedClassifierCV(
        CLASSIFIERS["lightgbm"](), method="isotonic", cv=3
    ),
    "calibrated_blend": lambda: calibration.CalibratedClassifierCV(
        CLASSIFIERS["blend"](), method="isotonic", cv=3
    ),
}


def toy_rows(rows: int = 200) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "distance": rng.integers(0, 30, rows).astype("float64"),
            "zone": rng.choice(["left", "right, far"], rows),
            "day": [f"2000-{1 + i % 3:02}-01" for i in range(rows)],
        }
    )
    return frame, (frame["distance"] + rng.normal(0, 5, rows) < 12).astype("int64")


def full_pipeline(classifier: Any, *, impute: bool = False) -> Any:
    prepared = preprocessor(["distance", "near"], ["zone", "month"], impute=impute)
    return Pipeline([("preprocess", prepared), ("classify", classifier)])


def register(
    settings: Settings,
    classifier: Any,
    *,
    model: str = "m",
    is_complete: bool = True,
    tags: dict[str, str] | None = None,
    params: dict[str, object] | None = None,
    **options: Any,
) -> tuple[ModelVersion, np.ndarray]:
    """Fit, log and register; return the version, and the probabilities before it was saved."""
    frame, target = toy_rows()
    model_inputs = served_model.with_features(
        served_model.checked(frame, INPUTS, is_complete=False), FEATURES, ENGINEERED
    )
    estimator = full_pipeline(classifier, impute=not is_complete).fit(model_inputs, target)
    with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
        record = ModelRecord(
            estimator,
            FEATURES,
            INPUTS,
            0.4,
            frame.head(3),
            ENGINEERED,
            is_complete,
            ("scikit-learn", "lightgbm"),
        )
        model_id = tracking.log(settings, run_id, Record(params=params or {}, model=record))
    version_tags = {
        TAG + "inputs": ",".join(INPUTS),
        TAG + "features": ",".join(FEATURES),
        TAG + "formulas": json.dumps(ENGINEERED),
        TAG + "threshold": "0.4",
        TAG + "missing": "drop" if is_complete else "impute",
        **(tags or {}),
    }
    version = registry.register(settings, model, str(model_id), run_id, version_tags, **options)
    return version, estimator.predict_proba(model_inputs)[:, 1]


def folder(settings: Settings, version: ModelVersion) -> Path:
    client = MlflowClient(settings.mlflow_uri)
    source = client.get_model_version(version.name, version.version).source
    location = client.get_logged_model(source.removeprefix("models:/")).artifact_location
    return Path(location.removeprefix("file://"))


def aliases(settings: Settings, model: str = "m") -> dict[str, str]:
    versions = model_store.versions(settings, model)
    return {alias: version.version for version in versions for alias in version.aliases}


@pytest.fixture(scope="module")
def registered(module_settings: Settings) -> tuple[Settings, ModelVersion, np.ndarray]:
    """One version that tests only read."""
    return module_settings, *register(module_settings, CLASSIFIERS["lr"]())


Dummies = Callable[[int], tuple[Settings, list[ModelVersion]]]


@pytest.fixture
def dummies(shared_home: Callable[..., Settings], tmp_path: Path) -> Dummies:
    """A function that returns a home with so many versions of the simplest model, to be changed."""

    def copied(count: int) -> tuple[Settings, list[ModelVersion]]:
        def build(settings: Settings) -> None:
            register(settings, CLASSIFIERS["dummy"]())

        home = None
        for number in range(count):
            home = shared_home(f"dummies-{number + 1}", build, home)
        settings = copy_home(home, tmp_path / "copied")
        versions = model_store.versions(settings, "m")
        return settings, sorted(versions, key=lambda version: int(version.version))

    return copied


@pytest.mark.parametrize(
    "name",
    [
        # made of most of the others
        name
        if name in ("lr", "stack", "calibrated_blend")
        else pytest.param(name, marks=pytest.mark.long)
        for name in CLASSIFIERS
    ],
)
def test_each_classifier_is_the_same_after_saving_and_loading(
    name: str, module_settings: Settings
) -> None:
    version, expected = register(module_settings, CLASSIFIERS[name](), model=name.replace("_", "-"))
    loaded = version_files.load(module_settings, version)
    frame, _ = toy_rows()
    assert loaded.predict(frame).tolist() == expected.tolist()


def test_only_types_that_these_classifiers_need_are_trusted() -> None:
    frame, target = toy_rows()
    model_inputs = served_model.with_features(frame, FEATURES, ENGINEERED)
    needed: set[str] = set()
    pipelines = [full_pipeline(build()) for build in CLASSIFIERS.values()]
    for estimator in [*pipelines, full_pipeline(CLASSIFIERS["lr"](), impute=True)]:
        data = skops.io.dumps(estimator.fit(model_inputs, target))
        needed |= set(skops.io.get_untrusted_types(data=data))
    assert needed == set(served_model.TRUSTED_TYPES)


def test_a_loaded_version_knows_its_inputs(
    registered: tuple[Settings, ModelVersion, np.ndarray],
) -> None:
    settings, version, _ = registered
    loaded = version_files.load(settings, version)
    assert dict(loaded.inputs) == INPUTS
    assert list(loaded.inputs) == list(version.inputs) == list(INPUTS)
    assert loaded.feature_names == version.features == FEATURES
    assert loaded.engineered == version.formulas == ENGINEERED
    assert (loaded.is_complete, loaded.threshold) == (True, 0.4)
    assert loaded.size == (folder(settings, version) / "artifacts/pipeline.skops").stat().st_size
    assert loaded.libraries == ("scikit-learn", "lightgbm")
    pd.testing.assert_frame_equal(loaded.example, toy_rows()[0].head(3))
    frame = toy_rows()[0].head(4)
    assert loaded.features(frame)["month"].tolist() == ["01", "02", "03", "01"]
    answers = loaded.probabilities(loaded.features(frame))
    assert answers.tolist() == loaded.predict(frame).tolist()


def test_rows_that_a_server_would_refuse_are_refused(
    registered: tuple[Settings, ModelVersion, np.ndarray],
) -> None:
    settings, version, _ = registered
    loaded = version_files.load(settings, version)
    frame = toy_rows()[0].head(5)
    with pytest.raises(InputError, match="Missing columns: zone"):
        loaded.predict(frame.drop(columns="zone"))
    with pytest.raises(InputError, match="'distance' must be a number"):
        loaded.predict(frame.assign(distance="far"))
    holes = frame.assign(zone=[None, "left", "left", "left", "left"])
    holes.loc[1, "distance"] = np.nan
    with pytest.raises(
        InputError, match=r"'distance' must not be missing.*'zone' must not be missing"
    ):
        loaded.predict(holes)
    assert loaded.answers(holes).tolist() == [False, False, True, True, True]
    assert len(loaded.predict(holes[loaded.answers(holes)])) == 3


def test_a_version_that_imputes_answers_all_rows(settings: Settings) -> None:
    version, expected = register(settings, CLASSIFIERS["lr"](), is_complete=False)
    loaded = version_files.load(settings, version)
    frame, _ = toy_rows()
    assert loaded.predict(frame) == pytest.approx(expected, abs=0)
    holes = frame.head(4).assign(zone=None, distance=np.nan)
    assert loaded.answers(holes).all()
    assert np.isfinite(loaded.predict(holes)).all()


def test_the_digests_are_stored_in_the_version_and_in_the_model(
    registered: tuple[Settings, ModelVersion, np.ndarray],
) -> None:
    import hashlib

    settings, version, _ = registered
    location = folder(settings, version)
    assert set(model_files.Digests().by_file()) == set(DIGESTS)
    for name, tag in DIGESTS.items():
        assert version.tags[tag] == hashlib.sha256((location / name).read_bytes()).hexdigest()
    assert version.tags["courtside.model_sha256"] in (location / "MLmodel").read_text()
    version_files.check(settings, version)


@pytest.mark.parametrize("name", DIGESTS)
def test_a_changed_file_is_not_loaded(dummies: Dummies, name: str) -> None:
    settings, [version] = dummies(1)
    other, _ = register(settings, CLASSIFIERS["lr"]())
    path = folder(settings, version) / name
    original = path.read_bytes()
    # one byte more; an empty file; another file of the same kind
    for content in (original + b"\n", b"", (folder(settings, other) / name).read_bytes()):
        path.write_bytes(content)
        if content == original:
            continue  # the code is the same in all versions
        for ask in (version_files.load, version_files.check):
            with pytest.raises(
                StoreError, match=r"version 1 of m is missing, or was changed after"
            ):
                ask(settings, version)
    path.unlink()
    with pytest.raises(StoreError, match=r"of version 1 of m is missing"):
        version_files.load(settings, version)
    path.write_bytes(original)
    version_files.load(settings, version)


def test_a_server_of_a_changed_file_does_not_start(dummies: Dummies) -> None:
    import mlflow

    settings, [version] = dummies(1)
    path = folder(settings, version) / "artifacts" / "pipeline.skops"
    mlflow.pyfunc.load_model("models:/m/1")
    path.write_bytes(skops.io.dumps(full_pipeline(CLASSIFIERS["lr"]())))
    with pytest.raises(MlflowException, match="is not the one that was kept with this model"):
        mlflow.pyfunc.load_model("models:/m/1")


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("threshold: 0.4", "threshold: 0.1"),
        ("is_complete: true", "is_complete: false"),
        ("distance: number", "distance: text"),
        ("distance < 5", "distance < 6"),
        ("      - near", "      - zone"),
        ("mlflow.pyfunc.loaders.code_model", "mlflow.pyfunc.model"),
    ],
)
def test_a_changed_configuration_is_neither_loaded_nor_served(
    dummies: Dummies, now: str, then: str
) -> None:
    settings, [version] = dummies(1)
    path = folder(settings, version) / "MLmodel"
    text = path.read_text()
    assert text.count(now) == 1
    path.write_text(text.replace(now, then))
    for ask in (version_files.load, version_files.check):
        with pytest.raises(StoreError, match=r"'MLmodel' of version 1 of m .*was changed"):
            ask(settings, version)


def test_serving_leaves_the_configuration_as_it_was_registered(dummies: Dummies) -> None:
    import mlflow

    settings, [version] = dummies(1)
    MlflowClient(settings.mlflow_uri).set_registered_model_alias("m", "previous", "1")
    mlflow.pyfunc.load_model("models:/m/1").predict(toy_rows()[0].head(2))
    version_files.check(settings, version)


@pytest.mark.parametrize("tag", DIGESTS.values())
def test_a_version_of_an_older_app_with_fewer_digests_must_be_trained_again(
    dummies: Dummies, tag: str
) -> None:
    settings, _ = dummies(1)
    MlflowClient(settings.mlflow_uri).delete_model_version_tag("m", "1", tag)
    older = model_store.require_version(settings, "m", "1")
    for ask in (version_files.load, version_files.check):
        with pytest.raises(StoreError, match=r"older version of it\. .* Train again\."):
            ask(settings, older)


def test_foreign_versions_are_not_loaded(dummies: Dummies) -> None:
    import mlflow

    settings, [own] = dummies(1)
    client = MlflowClient(settings.mlflow_uri)
    with tracking.step_run(settings, "train", Options(), SILENT):
        info = mlflow.pyfunc.log_model(
            name="other",
            python_model=lambda model_input: [0.5 for _ in model_input],
            pip_requirements=[],
        )
    client.create_model_version("m", f"models:/{info.model_id}")
    with pytest.raises(StoreError, match="was not registered by this app, or by an older ver"):
        version_files.load(settings, model_store.require_version(settings, "m", "2"))
    # a version whose tag was removed, and one that points somewhere else
    client.delete_model_version_tag("m", "1", "courtside.model_sha256")
    with pytest.raises(StoreError, match="was not registered by this app"):
        version_files.load(settings, model_store.require_version(settings, "m", "1"))
    client.create_model_version("m", str(settings.home), tags=dict(own.tags))
    with pytest.raises(StoreError, match="was not registered by this app"):
        version_files.load(settings, model_store.require_version(settings, "m", "3"))


class Evil:
    """What a pickled file may hold."""

    def __reduce__(self) -> Any:
        return (Path("/tmp/courtside-evil").touch, ())


def test_types_that_are_not_on_the_list_are_refused_even_with_the_right_digests(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, _ = register(settings, CLASSIFIERS["lightgbm"]())
    fewer = [name for name in served_model.TRUSTED_TYPES if "lightgbm" not in name]
    monkeypatch.setattr(served_model, "TRUSTED_TYPES", fewer)
    with pytest.raises(StoreError, match=r"Version 1 of m cannot be loaded: .*lightgbm"):
        version_files.load(settings, version)
    with pytest.raises(Exception, match="zip"):
        skops.io.loads(pickle.dumps(Evil()), trusted=list(served_model.TRUSTED_TYPES))
    assert not Path("/tmp/courtside-evil").exists()


def test_the_evaluated_and_the_served_classifier_are_separate(settings: Settings) -> None:
    first, evaluated_answers = register(settings, CLASSIFIERS["dummy"](), model="twin")
    client = MlflowClient(settings.mlflow_uri)
    evaluated = client.get_model_version("twin", "1").source.removeprefix("models:/")
    version, served_answers = register(settings, CLASSIFIERS["lr"](), evaluated=evaluated)
    frame, _ = toy_rows()
    assert version_files.load(settings, version).predict(frame).tolist() == served_answers.tolist()
    loaded = version_files.load(settings, version, evaluated=True)
    assert loaded.predict(frame).tolist() == evaluated_answers.tolist()
    assert version.about.evaluated_model == evaluated
    # a version without a separate evaluated model is its own
    same = version_files.load(settings, first, evaluated=True)
    assert same.predict(frame).tolist() == evaluated_answers.tolist()
    path = folder(settings, first) / "artifacts" / "pipeline.skops"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(StoreError, match="was changed after its registration"):
        version_files.load(settings, version, evaluated=True)
    version_files.load(settings, version)
    # its features are read from its own description
    path.write_bytes(path.read_bytes()[:-1])
    version_files.load(settings, version, evaluated=True)
    described = folder(settings, first) / "MLmodel"
    described.write_text(described.read_text().replace("      - near\n", ""))
    with pytest.raises(StoreError, match=r"'MLmodel' of version 1 of m .*was changed"):
        version_files.load(settings, version, evaluated=True)


def move(settings: Settings, version: ModelVersion, instead_of: str | None, **other: str) -> str:
    entry = {"decided_by": "ann", "decision": "promote", "reason": "Better.", **other}
    with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
        registry.move_champion(settings, version, run_id, instead_of=instead_of, **entry)
    return run_id


def test_the_old_champion_becomes_previous_and_the_challenger_loses_its_alias(
    dummies: Dummies,
) -> None:
    settings, [first, second, third] = dummies(3)
    assert aliases(settings) == {"champion": "1", "challenger": "3"}
    move(settings, second, "1")
    # another challenger keeps its alias
    assert aliases(settings) == {"champion": "2", "previous": "1", "challenger": "3"}
    move(settings, third, "2")
    assert aliases(settings) == {"champion": "3", "previous": "2"}
    with pytest.raises(InputError, match="Version 3 is the champion already"):
        move(settings, third, "3")
    with pytest.raises(InputError, match="The champion has changed"):
        move(settings, first, "2")
    with pytest.raises(InputError, match="The champion has changed"):
        move(settings, first, None)
    assert aliases(settings) == {"champion": "3", "previous": "2"}
    assert registry.require_previous(settings, "m").version == "2"


@pytest.mark.parametrize("has_previous", [True, False])
def test_a_move_that_fails_halfway_changes_nothing(
    dummies: Dummies, monkeypatch: pytest.MonkeyPatch, has_previous: bool
) -> None:
    settings, versions = dummies(3)
    champion = "1"
    if has_previous:
        move(settings, versions[1], "1")
        champion = "2"
    before, ledger = aliases(settings), registry.ledger(settings, "m")
    working = MlflowClient.set_registered_model_alias
    moves = []

    def failing(self: Any, name: str, alias: str, version: str) -> None:
        moves.append((alias, aliases(settings)["champion"]))
        if alias == "champion":
            raise MlflowException("The disk is full.\nINSERT INTO ...")
        working(self, name, alias, version)

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "set_registered_model_alias", failing)
        with pytest.raises(StoreError, match=r"disk is full: .*mlflow\.db cannot be w") as caught:
            move(settings, versions[2], champion)
        assert "INSERT" not in str(caught.value.message)
    # the champion's alias is the last to move, and there was one at each moment
    assert [alias for alias, _ in moves][:2] == ["previous", "champion"]
    assert {champion_then for _, champion_then in moves} == {champion}
    assert aliases(settings) == before
    pd.testing.assert_frame_equal(registry.ledger(settings, "m"), ledger)


def test_a_copy_with_another_threshold_is_a_version_without_an_alias(settings: Settings) -> None:
    import mlflow

    original, expected = register(settings, CLASSIFIERS["lightgbm"](), is_complete=False)
    with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
        copy = registry.with_threshold(settings, original, 0.7, run_id)
    assert (copy.version, copy.aliases, copy.threshold) == ("2", (), 0.7)
    assert (copy.inputs, copy.features, copy.formulas) == (
        original.inputs,
        original.features,
        original.formulas,
    )
    assert copy.run_id == original.run_id
    assert not copy.is_complete
    assert aliases(settings) == {"champion": "1", "challenger": "1"}
    frame, _ = toy_rows()
    answer = mlflow.pyfunc.load_model("models:/m/2").predict(frame)
    assert answer["probability"].tolist() == expected.tolist()
    assert answer["label"].tolist() == (expected >= 0.7).astype(int).tolist()
    requirements = (folder(settings, copy) / "requirements.txt").read_text()
    assert requirements == (folder(settings, original) / "requirements.txt").read_text()
    assert version_files.load(settings, copy).threshold == 0.7
    assert version_files.load(settings, original).threshold == 0.4


def test_the_ledger_shows_who_moved_the_champion_and_when(settings: Settings) -> None:
    assert registry.ledger(settings, "m").empty
    assert registry.ledger(settings, "m").columns.tolist() == list(registry.LEDGER)
    older, _ = register(settings, CLASSIFIERS["dummy"]())
    newer, _ = register(settings, CLASSIFIERS["dummy"]())
    register(settings, CLASSIFIERS["dummy"](), model="other")
    first = registry.ledger(settings, "m")
    assert first[["version", "decided_by", "decision"]].map(str).values.tolist() == [
        ["1", "the app", "first"]
    ]
    assert first["run_id"].tolist() == [older.run_id]
    run_id = move(settings, newer, "1", decided_by="ann", reason="Better by 0.01.")
    move(settings, older, "2", decided_by="bob", decision="rollback")
    ledger = registry.ledger(settings, "m")
    assert ledger["version"].tolist() == ["1", "2", "1"]
    assert ledger["decided_by"].map(str).tolist() == ["bob", "ann", "the app"]
    assert ledger["reason"].map(str).tolist()[1:] == [
        "Better by 0.01.",
        "There is no champion yet.",
    ]
    assert ledger["run_id"].iloc[1] == run_id
    assert ledger["to"].isna().tolist() == [True, False, False]
    assert ledger["to"].tolist()[1:] == ledger["from"].tolist()[:-1]
    assert str(ledger["from"].dtype) == str(ledger["to"].dtype) == "datetime64[ns, UTC]"
    assert abs((pd.Timestamp.now("UTC") - ledger["from"].iloc[0]).total_seconds()) < 600
    # deleting a run in MLflow's pages does not change the ledger
    MlflowClient(settings.mlflow_uri).delete_run(run_id)
    pd.testing.assert_frame_equal(registry.ledger(settings, "m"), ledger)


def test_the_ledger_shows_moves_made_outside_the_app(dummies: Dummies) -> None:
    settings, versions = dummies(3)
    client = MlflowClient(settings.mlflow_uri)
    client.set_registered_model_alias("m", "champion", "2")
    ledger = registry.ledger(settings, "m")
    assert ledger["version"].tolist() == ["2", "1"]
    assert ledger["decided_by"].map(str).tolist() == ["unknown", "the app"]
    assert ledger[["from", "to"]].iloc[0].isna().all()
    assert pd.isna(ledger["to"].iloc[1])  # nobody knows when it ended
    move(settings, versions[2], "2")
    ledger = registry.ledger(settings, "m")
    assert ledger["version"].tolist() == ["3", "2", "1"]
    assert ledger["decided_by"].map(str).tolist() == ["ann", "unknown", "the app"]
    assert ledger["to"].iloc[1] == ledger["from"].iloc[0]


@pytest.mark.long
def test_sixty_versions_and_five_hundred_runs_need_few_queries(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, _ = register(settings, CLASSIFIERS["dummy"]())
    client = MlflowClient(settings.mlflow_uri)
    source = client.get_model_version("m", "1").source
    for _ in range(59):
        client.create_model_version("m", source, run_id=version.run_id, tags=dict(version.tags))
    experiment = mlflow_client.experiment_id(settings)
    for i in range(500):
        tags = {}
        if i % 10 == 0:
            target, origin = 2 + i // 10, 1 + i // 10
            tags = ChampionMove(
                champion_of="m",
                champion_from=str(origin),
                champion_to=str(target),
                champion_at=4e9 + i,
                decided_by="ann",
                decision="promote",
                reason="Better.",
            ).write()
        client.create_run(experiment, tags=tags)
    client.set_registered_model_alias("m", "champion", "51")

    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Runs

    queries: list[str] = []

    def counted(kind: type, name: str) -> None:
        working = getattr(kind, name)

        def ask(*arguments: Any, **kwargs: Any) -> Any:
            queries.append(name)
            return working(*arguments, **kwargs)

        monkeypatch.setattr(kind, name, ask)

    for kind, names in (
        (Runs, ("_search_runs", "get_run", "search_logged_models", "get_logged_model")),
        (Registry, ("get_registered_model", "get_model_version", "search_model_versions")),
    ):
        for name in names:
            counted(kind, name)
    ledger = registry.ledger(settings, "m")
    assert len(queries) <= 3, queries
    assert ledger["version"].tolist() == [str(number) for number in range(51, 0, -1)]
    queries.clear()
    assert (
        version_files.load(settings, model_store.require_version(settings, "m", "60")).threshold
        == 0.4
    )
    assert len(queries) <= 6, queries


def test_the_facts_of_a_version_make_a_card(settings: Settings) -> None:
    version, _ = register(
        settings,
        CLASSIFIERS["dummy"](),
        params={"threshold": 0.4},
        tags={TAG + "source": "upload", TAG + "rows_name": "near rows"},
    )
    figures = {
        "log_loss_test": 0.61,
        "log_loss_test_low": 0.6,
        "log_loss_test_high": 0.62,
        "rows_test": 5.0,
        "seconds_predict_test": 0.1,
        "f1_test": 0.5,
    }
    client = MlflowClient(settings.mlflow_uri)
    for name, value in figures.items():
        client.log_metric(version.run_id, name, value)
    facts = model_facts.card_facts(settings, model_store.require_version(settings, "m", "1"))
    assert facts["metrics"] == [("f1", 0.5, None, None), ("log_loss", 0.61, 0.6, 0.62)]
    assert facts["example"] == toy_rows()[0].iloc[0].to_dict()
    assert facts["formulas"]["month"] == "day.str.slice(5, 7)"
    assert facts["slices"] is None
    judged = slices.by_slice(
        pd.DataFrame({"kind": np.repeat(["a", "b"], 500)}),
        np.repeat([1, 0, 0, 0, 0], 200),
        np.repeat([0.4, 0.4, 0.4, 0.9, 0.9], 200),
        ["kind"],
        0.5,
    )
    with tempfile.TemporaryDirectory() as temporary:
        message_tables.to_texts(judged).to_parquet(Path(temporary) / "slices.parquet")
        client.log_artifact(version.run_id, str(Path(temporary) / "slices.parquet"), "tables")
    shown = model_facts.card_facts(settings, version)["slices"]
    assert [str(flagged) for flagged in shown] == [
        f"{row['column']} = {row['value']}: {row['text']}"
        for row in judged.to_dict("records")
        if row["finding"] != "ok"
    ]
    assert shown
    assert [str(decision) for decision in facts["decisions"]] == [
        f"first, by the app: There is no champion yet. (run {version.run_id[:8]})"
    ]
    text = model_card.card(facts)
    for part in (
        "# m, version 1",
        "| Alias | challenger and champion |",
        "0.6000 to 0.6200",
        "near rows",
        f"`{version.about.model_sha256}`",
    ):
        assert part in text


def test_the_facts_of_a_foreign_version_are_few_but_present(dummies: Dummies) -> None:
    settings, [version] = dummies(1)
    client = MlflowClient(settings.mlflow_uri)
    source = client.get_model_version("m", "1").source
    client.create_model_version("m", source, tags={TAG + "sample": "true"})
    (folder(settings, version) / "input_example.json").unlink()
    facts = model_facts.card_facts(settings, model_store.require_version(settings, "m", "2"))
    text = model_card.card(facts)
    assert "Built-in sample" in text
    assert "## Call\n\nThis was not recorded." in text


def test_without_a_previous_version_there_is_nothing_to_go_back_to(settings: Settings) -> None:
    with pytest.raises(NotReadyError, match="nothing to roll back to"):
        registry.require_previous(settings, "m")
    register(settings, CLASSIFIERS["dummy"]())
    with pytest.raises(NotReadyError, match="no other version was the champion"):
        registry.require_previous(settings, "m")


def test_changes_of_the_champion_happen_one_after_the_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[bool] = []
    with registry.exclusive(settings, lambda: waited.append(True)):
        monkeypatch.setattr(registry, "TURN_SECONDS", 0.3)
        with (
            pytest.raises(NotReadyError, match="A job is under way"),
            registry.exclusive(settings, lambda: waited.append(False)),
        ):
            raise AssertionError("two at once")
    assert waited.count(False) >= 2
    with registry.exclusive(settings):
        pass


def test_figures_and_decisions_of_versions_are_found_with_one_query(dummies: Dummies) -> None:
    settings, [first, second] = dummies(2)
    client = MlflowClient(settings.mlflow_uri)
    for version, loss in ((first, 0.7), (second, 0.6)):
        client.log_metric(version.run_id, "log_loss_test", loss)
    unregistered = dataclasses.replace(second, version="3", run_id="f" * 32)
    figures = model_facts.figures_of(settings, [first, second, unregistered])
    assert {number: values["log_loss_test"] for number, values in figures.items()} == {
        "1": 0.7,
        "2": 0.6,
    }
    assert model_facts.figures_of(settings, []) == {}

    run_ids: list[str] = []
    for version, against, decision, dry, opponent in (
        ("2", "1", "hold", "true", "1"),
        ("2", "1", "promote", "false", "champion"),
        ("1", "2", "rollback", "false", "champion"),
        ("3", "2", "hold", "true", "2"),
    ):
        tags = {
            TAG + "version": version,
            TAG + "against": against,
            TAG + "decision": decision,
            TAG + "dry_run": dry,
            TAG + "decided_by": "ann",
            TAG + "reason": f"{decision}!",
        }
        with tracking.step_run(settings, "promote", Options(), SILENT) as run_id:
            tracking.log(settings, run_id, Record(tags=tags, params={"against": opponent}))
        run_ids.append(run_id)

    def ids(**options: Any) -> list[str]:
        return [run.run_id for run in model_facts.decisions(settings, **options)]

    assert ids() == [run_ids[3]]
    assert ids(limit=9) == [run_ids[3], run_ids[1], run_ids[0]]
    assert ids(version="2", against="1", limit=9) == [run_ids[1], run_ids[0]]
    assert ids(of_gate=True, limit=9) == [run_ids[1]]
    assert ids(version="1") == []
    # a dry run decides nothing, and appears in no card
    facts = model_facts.card_facts(settings, model_store.require_version(settings, "m", "2"))
    assert [str(decision) for decision in facts["decisions"]] == [
        f"promoted, by ann: promote! (run {run_ids[1][:8]})"
    ]
