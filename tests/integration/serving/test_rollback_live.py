"""Promotion and rollback move the live endpoint: without a failed request, or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from core.platform import model_store, project, served_model, tracking
from core.platform.config import Options, Settings
from core.platform.errors import InputError, NotReadyError, ServerError, StoreError
from core.platform.run_record import SILENT, ModelRecord, Progress, Record
from core.platform.run_tags import TAG
from core.platform.runs import ModelVersion
from core.registry import promote, registry, version_files
from core.serving import endpoint, serve, server, server_process
from tests.integration.registry.test_promote import spoil

pytestmark = pytest.mark.long

SPEC = project.load("kobe")
FEATURES = ("shot_distance", "period")
REASON = "Agreed on Monday, see the minutes."
BODY = {"dataframe_split": {"columns": list(FEATURES), "data": [[3.0, 1.0], [22.0, 4.0]]}}


def register(settings: Settings, estimator: Any, rows: pd.DataFrame) -> ModelVersion:
    kinds = SPEC.kinds_of(FEATURES)
    inputs = served_model.checked(rows, kinds)
    estimator.fit(inputs, rows[SPEC.target])
    with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
        tables = {"test_rows": rows.iloc[1::2], "train_keys": rows[[SPEC.id]].iloc[::2]}
        record = ModelRecord(estimator, FEATURES, kinds, 0.5, inputs.head(3))
        model_id = str(tracking.log(settings, run_id, Record(tables=tables, model=record)))
    tags = {
        TAG + "train_run": run_id,
        TAG + "threshold": "0.5",
        TAG + "inputs": ",".join(FEATURES),
        TAG + "features": ",".join(FEATURES),
        TAG + "formulas": "{}",
    }
    return registry.register(settings, SPEC.model, model_id, run_id, tags)


def register_two(settings: Settings, shots: pd.DataFrame) -> None:
    """Version 1, which knows the base rate alone, is champion; 2, a regression, is challenger."""
    rows = shots[shots[SPEC.target].notna()].head(2000).reset_index(drop=True)
    register(settings, DummyClassifier(strategy="prior"), rows)
    register(settings, LogisticRegression(), rows)


def aliases(settings: Settings) -> dict[str, str]:
    versions = model_store.versions(settings, SPEC.model)
    return {alias: version.version for version in versions for alias in version.aliases}


@dataclass
class Live:
    """The endpoint that answers by version 1, and what the two answer."""

    settings: Settings
    url: str
    expected: dict[str, np.ndarray]
    answered: list[tuple[float, float, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def ask(self, session: Any = requests) -> str:
        """Return the version whose probabilities are answered, or what is wrong."""
        answer = session.post(f"{self.url}/invocations", json=BODY, timeout=60)
        if answer.status_code != 200:
            return f"status {answer.status_code}: {answer.text[:200]}"
        probabilities = [row["probability"] for row in answer.json()["predictions"]]
        matches = [
            version
            for version, expected in self.expected.items()
            if np.allclose(probabilities, expected, atol=0)
        ]
        return matches[0] if matches else f"unknown answer {probabilities}"

    def keep_asking(self, stopping: threading.Event, keeps: bool) -> None:
        with requests.Session() as session:
            while not stopping.is_set():
                sent = time.monotonic()
                try:
                    result = self.ask(session if keeps else requests)
                except (requests.RequestException, ValueError, KeyError) as error:
                    result = f"{type(error).__name__}: {error}"
                if result in self.expected:
                    self.answered.append((sent, time.monotonic(), result))
                else:
                    self.failed.append(result)
                # four threads without a pause would leave no core to the work that they wait for
                time.sleep(0.01)

    @contextmanager
    def under_load(self) -> Iterator[None]:
        stopping = threading.Event()
        self.answered, self.failed = [], []
        with ThreadPoolExecutor(4) as pool:
            asking = [
                pool.submit(self.keep_asking, stopping, k) for k in (True, True, False, False)
            ]
            try:
                yield
                # the change can be over in a moment: go on asking after it
                end = time.monotonic() + 60
                while len(self.answered) <= 50 and not self.failed and time.monotonic() < end:
                    time.sleep(0.05)
            finally:
                stopping.set()
                wait(asking)
        assert len(self.answered) > 50
        assert self.failed == []

    def gate(self, progress: Progress = SILENT, **options: Any) -> promote.Result:
        return promote.run(self.settings, promote.Options(**options), progress)

    def until_answered(self) -> None:
        """Wait until a request sent from now on is answered."""
        since = time.monotonic()
        while not any(sent >= since for sent, _, _ in list(self.answered)):
            assert self.failed == []
            assert time.monotonic() < since + 60, "nothing is answered"
            time.sleep(0.02)

    def behind(self) -> str:
        live = endpoint.live(self.settings)
        assert live is not None
        assert live.state == "ready"
        return live.version


@pytest.fixture(scope="module")
def live(module_settings: Settings, shots: pd.DataFrame) -> Iterator[Live]:
    settings = module_settings
    register_two(settings, shots)
    rows = pd.DataFrame(BODY["dataframe_split"]["data"], columns=list(FEATURES))
    expected = {
        number: version_files.load(
            settings, model_store.require_version(settings, SPEC.model, number)
        ).predict(rows)
        for number in ("1", "2")
    }
    served = serve.run(settings, serve.Options())
    try:
        yield Live(settings, served.url, expected)
    finally:
        for left in server.servers(settings):
            server_process.stop(settings, left.port)


class RecordedProgress(Progress):
    """The texts that a person sees while it runs."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def update(self, fraction: float, text: str) -> None:
        self.texts.append(str(text))


def test_promotion_and_rollback_move_the_endpoint_without_a_failed_request(live: Live) -> None:
    assert live.ask() == live.behind() == "1"
    progress = RecordedProgress()
    with live.under_load():
        live.until_answered()
        promoted = live.gate(progress, action="override", reason=REASON, decided_by="ann")
        between = time.monotonic()
        assert (live.behind(), aliases(live.settings)) == ("2", {"champion": "2", "previous": "1"})
        live.until_answered()
        begun = time.monotonic()
        back = live.gate(action="rollback", decided_by="bob")
        ended = time.monotonic()
        live.until_answered()
    assert (live.behind(), aliases(live.settings)) == ("1", {"champion": "1", "previous": "2"})
    # between the two changes, and after the second, only one version answers
    assert {
        version
        for sent, received, version in live.answered
        if between <= sent and received <= begun
    } == {"2"}
    assert {version for sent, _, version in live.answered if sent >= ended} == {"1"}
    assert str(promoted.text).endswith(" The live endpoint serves version 2.")
    assert str(back.text) == (
        "Rolled back: version 1 is the champion again. The live endpoint serves version 1."
    )
    assert any("Waiting for version 2 to respond" in text for text in progress.texts)
    ledger = registry.ledger(live.settings, SPEC.model)
    assert ledger["version"].tolist() == ["1", "2", "1"]
    assert ledger["decided_by"].map(str).tolist() == ["bob", "ann", "the app"]
    assert ledger["reason"].map(str).tolist()[:2] == [str(back.text), str(promoted.text)]


def test_a_version_that_does_not_start_moves_nothing_and_the_run_says_so(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, ledger = aliases(live.settings), registry.ledger(live.settings, SPEC.model)
    described = version_files.servable

    def without_folder(*arguments: Any) -> version_files.Servable:
        servable = described(*arguments)
        return replace(servable, folder=servable.folder / "away", digests={})

    monkeypatch.setattr(version_files, "servable", without_folder)
    with live.under_load(), pytest.raises(ServerError) as caught:
        live.gate(action="rollback")
    assert str(caught.value).startswith("Nothing was changed. ")
    assert ": MlflowException: No such artifact: 'away'. Its log is " in str(caught.value)
    assert str(caught.value).endswith(" The live endpoint serves version 1.")
    failed = tracking.last_run(live.settings, "promote", status=None)
    assert failed is not None
    assert (failed.status, str(failed.error)) == ("FAILED", str(caught.value))
    assert live.ask() == live.behind() == "1"
    assert aliases(live.settings) == before
    pd.testing.assert_frame_equal(registry.ledger(live.settings, SPEC.model), ledger)


def test_where_the_aliases_cannot_be_moved_the_endpoint_goes_back(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, live_versions = aliases(live.settings), []

    def full(*_: object, **__: object) -> None:
        live_versions.append(live.behind())
        raise StoreError("The MLflow registry cannot be used: disk full.")

    monkeypatch.setattr(registry, "move_champion", full)
    with live.under_load(), pytest.raises(StoreError) as caught:
        live.gate(action="rollback")
    assert live_versions == ["2"]
    assert str(caught.value) == (
        "The MLflow registry cannot be used: disk full. The live endpoint serves version 1."
    )
    assert live.ask() == live.behind() == "1"
    assert aliases(live.settings) == before


def test_a_changed_version_is_not_served_anywhere(live: Live) -> None:
    before = server.servers(live.settings)
    spoil(live.settings, model_store.require_version(live.settings, SPEC.model, "2"), "MLmodel")
    for ask in (
        lambda: serve.run(live.settings, serve.Options(target="2")),
        lambda: live.gate(action="rollback"),
    ):
        with pytest.raises(StoreError, match="'MLmodel' of version 2 of kobe-shots is missing"):
            ask()
    assert server.servers(live.settings) == before
    assert live.ask() == "1"


# --- without a server ---------------------------------------------------------------------------


def endpoint_of(settings: Settings, model: str, version: str) -> server.Server:
    return server.Server(
        5471, 1, 0.0, model, version, "champion", "run", "ready", 0.0, settings.home, None, False
    )


def test_without_an_endpoint_of_this_model_none_is_started(
    settings: Settings, shots: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_two(settings, shots)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the endpoint must not follow")

    monkeypatch.setattr(endpoint, "follow", never)
    promoted = promote.run(settings, promote.Options(action="override", reason=REASON))
    assert "live endpoint" not in str(promoted.text)
    monkeypatch.setattr(endpoint, "live", lambda _: endpoint_of(settings, "other-model", "1"))
    rolled_back = promote.run(settings, promote.Options(action="rollback"))
    assert str(rolled_back.text) == "Rolled back: version 1 is the champion again."


def test_a_dry_run_or_a_hold_does_not_touch_the_endpoint(
    settings: Settings, shots: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_two(settings, shots)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the endpoint must not follow")

    monkeypatch.setattr(endpoint, "follow", never)
    monkeypatch.setattr(endpoint, "live", lambda _: endpoint_of(settings, SPEC.model, "1"))
    promote.run(settings, promote.Options(dry_run=True, aim="not_worse", margin=0.1))
    # the only rows are those it was trained on: every rule needs new ones
    held_back = promote.run(settings, promote.Options(aim="better"))
    assert (held_back.decision, held_back.champion) == ("hold", "1")


def test_an_endpoint_that_cannot_go_back_is_reported(
    settings: Settings, shots: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_two(settings, shots)
    followed: list[str] = []

    def follow(_: Settings, version: ModelVersion, *__: object, **___: object) -> None:
        followed.append(version.version)
        if len(followed) == 2:
            raise ServerError("It could not be served.")

    def full(*_: object, **__: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(endpoint, "live", lambda _: endpoint_of(settings, SPEC.model, "1"))
    monkeypatch.setattr(endpoint, "follow", follow)
    monkeypatch.setattr(registry, "move_champion", full)
    with pytest.raises(StoreError) as caught:
        promote.run(settings, promote.Options(action="override", reason=REASON))
    assert followed == ["2", "1"]
    assert str(caught.value) == (
        "The disk is full. The live endpoint serves version 2, which is not the champion. Let it "
        "follow the champion on the Serve page. It could not be served."
    )


def test_a_champion_that_changed_meanwhile_changes_no_endpoint(
    settings: Settings, shots: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_two(settings, shots)
    record = promote._record

    def meanwhile(*arguments: Any) -> None:
        record(*arguments)
        registry.move_champion(
            settings,
            model_store.require_version(settings, SPEC.model, "2"),
            arguments[1],
            instead_of="1",
            decided_by="bob",
            decision="override",
            reason=REASON,
        )

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the endpoint must not follow")

    monkeypatch.setattr(promote, "_record", meanwhile)
    monkeypatch.setattr(endpoint, "live", lambda _: endpoint_of(settings, SPEC.model, "1"))
    monkeypatch.setattr(endpoint, "follow", never)
    with pytest.raises(InputError, match="The champion has changed in the meantime"):
        promote.run(settings, promote.Options(action="override", reason=REASON))


def test_serving_the_champion_waits_for_a_change_of_it_to_end(
    settings: Settings, shots: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_two(settings, shots)
    monkeypatch.setattr(registry, "TURN_SECONDS", 0.3)
    progress = RecordedProgress()
    with registry.exclusive(settings), pytest.raises(NotReadyError, match="A job is under way"):
        serve.run(settings, serve.Options(), progress)
    assert "Waiting for another change of the champion" in progress.texts


def test_two_versions_are_compared_only_in_a_dry_run(
    settings: Settings, shots: pd.DataFrame, tmp_path: Path
) -> None:
    register_two(settings, shots)
    before = aliases(settings)
    with pytest.raises(ValueError, match="`against` needs `dry_run = true`"):
        promote.Options(against="2")
    with pytest.raises(InputError, match="Challenger and against must differ: 2"):
        promote.run(settings, promote.Options(challenger="2", against="2", dry_run=True))
    # the champion as the first of the two, too
    compared = promote.run(settings, promote.Options(challenger="1", against="2", dry_run=True))
    assert (compared.version, compared.champion) == ("1", "1")
    assert aliases(settings) == before
    run = tracking.run(settings, compared.run_id)
    assert run is not None
    assert (run.tags[TAG + "version"], run.tags[TAG + "against"]) == ("1", "2")
    assert run.tags[TAG + "dry_run"] == "true"
