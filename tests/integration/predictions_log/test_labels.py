"""Labels arrive in any order, twice, late and contradictory: all are counted, the newest wins."""

from __future__ import annotations

import itertools
import time
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.platform.config import Settings
from core.predictions_log import labels, predictions
from core.predictions_log.labels import Counts, Report
from core.predictions_log.predictions import Answer, Filters
from tests.postgresql import Server

_databases = itertools.count()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One log for all tests: each has its own keys and ids."""
    url = None
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("postgresql")
        url = server.new_database(f"labels_{next(_databases)}")
    return Settings(home=tmp_path_factory.mktemp("labels"), predictions_url=url)


def keep(log: Settings, keys: list[str | None], **values: object) -> list[str]:
    """Log a prediction per key, and return the ids."""
    name = uuid.uuid4().hex
    count = len(keys)
    predictions.write(
        log,
        [
            Answer(
                name,
                "m",
                "1",
                None,
                "api",
                1.0,
                1.0,
                [{"a": 1.0}] * count,
                [0.5] * count,
                [0] * count,
                keys,
                **values,
            )
        ],
    )
    return [f"{name}-{i}" for i in range(count)]


def label_of(log: Settings, name: str) -> list[float]:
    return predictions.browse(log, Filters(search=name))["courtside_label"].tolist()


def new_key() -> str:
    return uuid.uuid4().hex[:12]


def report_labels(log: Settings, *reports: Report) -> tuple[int, ...]:
    counts = labels.report(log, reports, source="api")
    return (
        counts.new,
        counts.repeated,
        counts.changed,
        counts.outdated,
        counts.unmatched,
        counts.rejected,
    )


def test_a_label_finds_its_prediction_by_id_and_by_key(log: Settings) -> None:
    key = new_key()
    ids = keep(log, [key, None])
    assert report_labels(log, Report(label=1, key=key), Report(label=0, prediction_id=ids[1])) == (
        2,
        0,
        0,
        0,
        0,
        0,
    )
    assert label_of(log, ids[0]) == [1]
    assert label_of(log, ids[1]) == [0]
    # later predictions of the same key have it at once, in whatever version
    assert label_of(log, keep(log, [key])[0]) == [1]
    # numbers name the same key, however they are written
    number = int(new_key(), 16) % 10**9
    prediction_id = keep(log, [str(number)])[0]
    report_labels(log, Report(label=1, key=float(number)))
    assert label_of(log, prediction_id) == [1]


def test_a_label_may_come_before_its_prediction(log: Settings) -> None:
    key, name = new_key(), uuid.uuid4().hex
    early = [Report(label=1, prediction_id=f"{name}-0"), Report(label=0, key=key)]
    assert report_labels(log, *early) == (2, 0, 0, 0, 2, 0)
    own_answer = Answer(
        name,
        "m",
        "1",
        None,
        "api",
        1.0,
        1.0,
        [{"a": 1.0}] * 2,
        [0.5] * 2,
        [0] * 2,
        [new_key(), key],
    )
    predictions.write(log, [own_answer])
    assert predictions.browse(log, Filters(search=name))["courtside_label"].tolist() == [0, 1]
    assert report_labels(log, *early) == (0, 2, 0, 0, 0, 0)


def test_the_id_counts_before_the_key_whichever_came_first(log: Settings) -> None:
    keys = [new_key(), new_key()]
    ids = keep(log, keys)
    report_labels(log, Report(label=0, prediction_id=ids[0]), Report(label=1, key=keys[1]))
    report_labels(log, Report(label=1, key=keys[0]), Report(label=0, prediction_id=ids[1]))
    assert [label_of(log, name) for name in ids] == [[0], [0]]
    # another prediction of that key has the key's
    assert label_of(log, keep(log, [keys[0]])[0]) == [1]


def test_the_newest_label_wins_and_every_change_is_recorded(log: Settings) -> None:
    key = new_key()
    name = keep(log, [key])[0]
    assert report_labels(log, Report(label=1, key=key, labelled_at=100.0)) == (1, 0, 0, 0, 0, 0)
    assert report_labels(log, Report(label=0, key=key, labelled_at=50.0)) == (0, 0, 0, 1, 0, 0)
    assert label_of(log, name) == [1]
    assert report_labels(log, Report(label=0, key=key, labelled_at=200.0)) == (0, 0, 1, 0, 0, 0)
    assert report_labels(log, Report(label=1, key=key, labelled_at=100.0)) == (0, 1, 0, 0, 0, 0)
    assert label_of(log, name) == [0]
    assert report_labels(log, Report(label=1, key=key)) == (0, 0, 1, 0, 0, 0)  # of now
    changes = labels.history(log, prediction_id=name, key=key)
    assert [(change.label, change.outcome) for change in changes] == [
        (1, "changed"),
        (0, "changed"),
        (0, "outdated"),
        (1, "new"),
    ]
    assert changes[1].labelled_at == 200.0
    assert abs(changes[0].labelled_at - time.time()) < 60


def test_unusable_labels_are_refused_and_the_rest_is_stored(log: Settings) -> None:
    key = new_key()
    counts = labels.report(
        log,
        [
            Report(label=2, key=key),
            Report(label=float("nan"), key=key),
            Report(label=1),
            Report(label=1, key=key, prediction_id=f"{uuid.uuid4().hex}-0"),
            Report(label=1, key=" "),
            Report(label=1, prediction_id="seven"),
            Report(label=1, key=key, labelled_at=time.time() + 86_400),
            Report(label=1, key=key, labelled_at=float("nan")),
            Report(label=1, key=key),
        ],
        source="api",
    )
    assert (counts.new, counts.rejected, counts.unmatched) == (1, 8, 1)
    assert [refusal.index for refusal in counts.refusals] == list(range(8))
    assert "neither 0 nor 1" in str(counts.refusals[0].reason)
    assert "in the future" in str(counts.refusals[6].reason)
    assert labels.report(log, [], source="api") == Counts()


def test_keys_of_another_project_are_other_keys(log: Settings) -> None:
    key = new_key()
    own_id = keep(log, [key])[0]
    other = log.model_copy(update={"project": "rain"})
    other_id = keep(other, [key])[0]
    report_labels(other, Report(label=1, key=key))
    assert label_of(other, other_id) == [1]
    assert str(label_of(log, own_id)) == "[nan]"


def test_many_labels_of_one_request_and_of_many_are_all_found(log: Settings) -> None:
    keys = [new_key() for _ in range(700)]
    ids = keep(log, keys[:600], run_id="c" * 32)
    ids += [keep(log, [key], run_id="c" * 32)[0] for key in keys[600:620]]
    reported = ids[::2] + ids[601::2]
    counts = labels.report(
        log,
        [Report(label=i % 2, prediction_id=name) for i, name in enumerate(reported)],
        source="x",
    )
    assert (counts.new, counts.unmatched) == (len(reported), 0)
    read = predictions.read(log, "c" * 32).set_index("courtside_prediction_id")["courtside_label"]
    assert read[reported].tolist() == [i % 2 for i in range(len(reported))]
    assert read.notna().sum() == len(set(reported))


REPORTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.sampled_from([1.0, 2.0, 3.0])),
    min_size=1,
    max_size=6,
)


@given(REPORTS, st.data())
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_and_repetition_ends_in_the_same_label(
    log: Settings, statements: list[tuple[str, int, float]], data: st.DataObject
) -> None:
    last = {
        name: max((at, label) for letter, label, at in statements if letter == name)[1]
        for name in {letter for letter, _, _ in statements}
    }
    for _ in range(2):
        order = data.draw(st.permutations(statements * data.draw(st.integers(1, 2))))
        size = data.draw(st.integers(1, len(order)))
        keys = {name: new_key() for name in last}
        new_count = 0
        ids = {}
        for start in range(0, len(order), size):
            if start >= len(order) // 2 and not ids:  # the predictions arrive amid the labels
                ids = {name: keep(log, [key])[0] for name, key in keys.items()}
            part = order[start : start + size]
            reports = [
                Report(label=label, key=keys[letter], labelled_at=at) for letter, label, at in part
            ]
            counts = labels.report(log, reports, source="api")
            outcomes = (counts.new, counts.repeated, counts.changed, counts.outdated)
            assert sum(outcomes) == len(part)
            new_count += counts.new
        ids = ids or {name: keep(log, [key])[0] for name, key in keys.items()}
        assert {name: label_of(log, prediction_id) for name, prediction_id in ids.items()} == {
            name: [label] for name, label in last.items()
        }
        assert new_count == len(last)
        everything = [
            Report(label=label, key=keys[letter], labelled_at=at)
            for letter, label, at in statements
        ]
        assert labels.report(log, everything, source="api").repeated == len(statements)


def test_labels_of_real_rows_never_reach_predictions_of_the_sample(log: Settings) -> None:
    early, late = new_key(), new_key()
    sample_ids = keep(log, [early], is_sample=True)
    real = keep(log, [early])
    counts = labels.report(log, [Report(1, key=early), Report(0, key=late)], source="file")
    assert (counts.new, counts.unmatched) == (2, 1)
    assert (label_of(log, real[0]), str(label_of(log, sample_ids[0]))) == ([1], "[nan]")
    # nor those that came before the predictions
    sample_ids += keep(log, [late], is_sample=True)
    real += keep(log, [late])
    assert (label_of(log, real[1]), str(label_of(log, sample_ids[1]))) == ([0], "[nan]")
    # the same keys of the sample are other names with their own history
    sampled = labels.report(log, [Report(0, key=early)], source="file", is_sample=True)
    assert (sampled.new, sampled.changed, sampled.unmatched) == (1, 0, 0)
    assert (label_of(log, real[0]), label_of(log, sample_ids[0])) == ([1], [0])
    for name, is_sample, label in ((real[0], False, 1), (sample_ids[0], True, 0)):
        changes = labels.history(log, prediction_id=name, key=early, is_sample=is_sample)
        assert [change.label for change in changes] == [label]
    # an id names one prediction, whatever it is of
    assert report_labels(log, Report(label=1, prediction_id=sample_ids[1]))[0] == 1
    assert (label_of(log, real[1]), label_of(log, sample_ids[1])) == ([0], [1])
    # and they are counted apart
    tallies = {tally.is_sample: tally for tally in predictions.tallies(log)}
    assert tallies[True].rows == 2
    assert tallies[True].labels == 2
    assert predictions.count(log, Filters(is_sample=True)) == 2
    assert set(predictions.browse(log, Filters(is_sample=True))["courtside_is_sample"]) == {True}
