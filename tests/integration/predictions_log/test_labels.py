"""Labels come in any order, twice, late and at odds: counted, and the last word is kept."""

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
    """One log for all tests: each has keys and ids of its own."""
    url = None
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("postgresql")
        url = server.new_database(f"labels_{next(_databases)}")
    return Settings(home=tmp_path_factory.mktemp("labels"), predictions_url=url)


def keep(log: Settings, keys: list[str | None], **values: object) -> list[str]:
    """Keep a prediction per key, and return their ids."""
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


def take(log: Settings, *reports: Report) -> tuple[int, ...]:
    found = labels.report(log, reports, source="api")
    return found.new, found.repeated, found.changed, found.outdated, found.unmatched, found.rejected


def test_a_label_finds_its_prediction_by_id_and_by_key(log: Settings) -> None:
    key = new_key()
    ids = keep(log, [key, None])
    assert take(log, Report(label=1, key=key), Report(label=0, prediction_id=ids[1])) == (
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
    one = keep(log, [str(number)])[0]
    take(log, Report(label=1, key=float(number)))
    assert label_of(log, one) == [1]


def test_a_label_may_come_before_its_prediction(log: Settings) -> None:
    key, name = new_key(), uuid.uuid4().hex
    early = [Report(label=1, prediction_id=f"{name}-0"), Report(label=0, key=key)]
    assert take(log, *early) == (2, 0, 0, 0, 2, 0)
    one = Answer(
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
    predictions.write(log, [one])
    assert predictions.browse(log, Filters(search=name))["courtside_label"].tolist() == [0, 1]
    assert take(log, *early) == (0, 2, 0, 0, 0, 0)


def test_the_id_counts_before_the_key_whichever_came_first(log: Settings) -> None:
    keys = [new_key(), new_key()]
    ids = keep(log, keys)
    take(log, Report(label=0, prediction_id=ids[0]), Report(label=1, key=keys[1]))
    take(log, Report(label=1, key=keys[0]), Report(label=0, prediction_id=ids[1]))
    assert [label_of(log, name) for name in ids] == [[0], [0]]
    # another prediction of that key has the key's
    assert label_of(log, keep(log, [keys[0]])[0]) == [1]


def test_the_newest_word_counts_and_every_change_is_kept(log: Settings) -> None:
    key = new_key()
    name = keep(log, [key])[0]
    assert take(log, Report(label=1, key=key, labelled_at=100.0)) == (1, 0, 0, 0, 0, 0)
    assert take(log, Report(label=0, key=key, labelled_at=50.0)) == (0, 0, 0, 1, 0, 0)
    assert label_of(log, name) == [1]
    assert take(log, Report(label=0, key=key, labelled_at=200.0)) == (0, 0, 1, 0, 0, 0)
    assert take(log, Report(label=1, key=key, labelled_at=100.0)) == (0, 1, 0, 0, 0, 0)
    assert label_of(log, name) == [0]
    assert take(log, Report(label=1, key=key)) == (0, 0, 1, 0, 0, 0)  # of now
    told = labels.history(log, prediction_id=name, key=key)
    assert [(one.label, one.outcome) for one in told] == [
        (1, "changed"),
        (0, "changed"),
        (0, "outdated"),
        (1, "new"),
    ]
    assert told[1].labelled_at == 200.0
    assert abs(told[0].labelled_at - time.time()) < 60


def test_what_cannot_be_used_is_told_and_the_rest_is_kept(log: Settings) -> None:
    key = new_key()
    found = labels.report(
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
    assert (found.new, found.rejected, found.unmatched) == (1, 8, 1)
    assert [one.index for one in found.refusals] == list(range(8))
    assert "neither 0 nor 1" in found.refusals[0].reason
    assert "in the future" in found.refusals[6].reason
    assert labels.report(log, [], source="api") == Counts()


def test_keys_of_another_project_are_other_keys(log: Settings) -> None:
    key = new_key()
    mine = keep(log, [key])[0]
    other = log.model_copy(update={"project": "rain"})
    theirs = keep(other, [key])[0]
    take(other, Report(label=1, key=key))
    assert label_of(other, theirs) == [1]
    assert str(label_of(log, mine)) == "[nan]"


def test_many_labels_of_one_request_and_of_many_are_all_found(log: Settings) -> None:
    keys = [new_key() for _ in range(700)]
    ids = keep(log, keys[:600], run_id="c" * 32)
    ids += [keep(log, [key], run_id="c" * 32)[0] for key in keys[600:620]]
    wanted = ids[::2] + ids[601::2]
    found = labels.report(
        log, [Report(label=i % 2, prediction_id=name) for i, name in enumerate(wanted)], source="x"
    )
    assert (found.new, found.unmatched) == (len(wanted), 0)
    read = predictions.read(log, "c" * 32).set_index("courtside_prediction_id")["courtside_label"]
    assert read[wanted].tolist() == [i % 2 for i in range(len(wanted))]
    assert read.notna().sum() == len(set(wanted))


REPORTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.sampled_from([1.0, 2.0, 3.0])),
    min_size=1,
    max_size=6,
)


@given(REPORTS, st.data())
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_and_repetition_ends_in_the_same_word(
    log: Settings, said: list[tuple[str, int, float]], data: st.DataObject
) -> None:
    last = {
        name: max((at, label) for one, label, at in said if one == name)[1]
        for name in {one for one, _, _ in said}
    }
    for _ in range(2):
        order = data.draw(st.permutations(said * data.draw(st.integers(1, 2))))
        size = data.draw(st.integers(1, len(order)))
        keys = {name: new_key() for name in last}
        new = 0
        kept = {}
        for start in range(0, len(order), size):
            if start >= len(order) // 2 and not kept:  # amidst the labels come the predictions
                kept = {name: keep(log, [key])[0] for name, key in keys.items()}
            part = order[start : start + size]
            reports = [
                Report(label=label, key=keys[one], labelled_at=at) for one, label, at in part
            ]
            found = labels.report(log, reports, source="api")
            outcomes = (found.new, found.repeated, found.changed, found.outdated)
            assert sum(outcomes) == len(part)
            new += found.new
        kept = kept or {name: keep(log, [key])[0] for name, key in keys.items()}
        assert {name: label_of(log, one) for name, one in kept.items()} == {
            name: [label] for name, label in last.items()
        }
        assert new == len(last)
        everything = [Report(label=label, key=keys[one], labelled_at=at) for one, label, at in said]
        assert labels.report(log, everything, source="api").repeated == len(said)


def test_labels_of_real_rows_never_reach_predictions_of_the_sample(log: Settings) -> None:
    early, late = new_key(), new_key()
    made_up = keep(log, [early], is_sample=True)
    real = keep(log, [early])
    told = labels.report(log, [Report(1, key=early), Report(0, key=late)], source="file")
    assert (told.new, told.unmatched) == (2, 1)
    assert (label_of(log, real[0]), str(label_of(log, made_up[0]))) == ([1], "[nan]")
    # nor those that came before the predictions
    made_up += keep(log, [late], is_sample=True)
    real += keep(log, [late])
    assert (label_of(log, real[1]), str(label_of(log, made_up[1]))) == ([0], "[nan]")
    # the same keys of the sample are other names, and have a history of their own
    sampled = labels.report(log, [Report(0, key=early)], source="file", is_sample=True)
    assert (sampled.new, sampled.changed, sampled.unmatched) == (1, 0, 0)
    assert (label_of(log, real[0]), label_of(log, made_up[0])) == ([1], [0])
    for name, is_sample, label in ((real[0], False, 1), (made_up[0], True, 0)):
        said = labels.history(log, prediction_id=name, key=early, is_sample=is_sample)
        assert [one.label for one in said] == [label]
    # an id names one prediction, whatever it is of
    assert take(log, Report(label=1, prediction_id=made_up[1]))[0] == 1
    assert (label_of(log, real[1]), label_of(log, made_up[1])) == ([0], [1])
    # and they are counted apart
    found = {one.is_sample: one for one in predictions.tallies(log)}
    assert found[True].rows == 2
    assert found[True].labels == 2
    assert predictions.count(log, Filters(is_sample=True)) == 2
    assert set(predictions.browse(log, Filters(is_sample=True))["courtside_is_sample"]) == {True}
