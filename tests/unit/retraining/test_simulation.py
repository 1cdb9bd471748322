"""The pure part of a replay: windows, labels known by a moment, no look-ahead, the answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.platform.errors import InputError
from core.retraining import policy_comparison, replay_answer, row_stream
from core.retraining import simulation as replay
from core.retraining.injection import DAY
from core.retraining.row_stream import Stream
from core.retraining.simulation import Recipe
from core.training import estimators
from core.training.candidates import KINDS

COUNT = 900


@pytest.fixture(scope="module")
def stream() -> Stream:
    rng = np.random.default_rng(0)
    x, colour = rng.normal(size=COUNT), rng.choice(["red", "blue"], COUNT)
    chance = 1 / (1 + np.exp(-x - 0.5 * (colour == "red")))
    moments = np.arange(COUNT) * DAY
    features = pd.DataFrame({"x": x, "colour": colour})
    return Stream(
        features,
        row_stream.coded(features, ["colour"]),
        (rng.random(COUNT) < chance).astype(np.int64),
        moments,
        row_stream.arrivals(moments, delay_days=10, share=1, seed=0),
        [str(number) for number in range(COUNT)],
    )


def recipe(**fields: object) -> Recipe:
    defaults = {
        "kind": "lr",
        "params": {},
        "features": ("x", "colour"),
        "texts": ("colour",),
        "impute": False,
        "threshold": 0.5,
        "seed": 0,
    }
    return Recipe(**{**defaults, **fields})  # type: ignore[arg-type]


def champion(stream: Stream, row: int, **fields: object) -> replay.Champion:
    at = float(stream.moments[row - 1])
    is_known = stream.arrivals <= at
    return replay.train(stream, recipe(**fields), is_known, version=1, at=at, first=row)


# --- windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["rows", "month", "year", "column"])
def test_windows_follow_on_each_other_and_hold_every_row_once(by: str) -> None:
    moments = np.arange(COUNT) * DAY
    names = pd.Series(np.arange(COUNT) // 100, name="block")
    spans = row_stream.cut(moments, 130, by=by, rows=200, names=names)
    assert [span.first for span in spans] == [130, *[span.last for span in spans[:-1]]]
    assert spans[-1].last == COUNT
    for span in spans:
        assert (span.begin, span.end) == (moments[span.first], moments[span.last - 1])


def test_a_short_rest_joins_the_last_window() -> None:
    moments = np.arange(COUNT) * DAY
    assert [span.last - span.first for span in row_stream.cut(moments, 0, by="rows", rows=400)] == [
        400,
        500,
    ]
    assert len(row_stream.cut(moments, 0, by="rows", rows=350)) == 3


def test_a_column_with_returning_values_does_not_divide_time() -> None:
    names = pd.Series(["a", "b", "a"] * 300, name="side")
    with pytest.raises(InputError, match="'side' does not divide time: a recurs"):
        row_stream.cut(np.arange(COUNT) * DAY, 0, by="column", names=names)


def test_too_few_and_too_many_windows_are_refused() -> None:
    moments = np.arange(COUNT) * DAY
    with pytest.raises(InputError, match="give 1 windows"):
        row_stream.cut(moments, 0, by="rows", rows=900)
    with pytest.raises(InputError, match="give 0 windows"):
        row_stream.first_of(moments, pd.Series(dtype=object), windows=30, by="month", rows=0)


def test_rows_without_a_moment_are_refused() -> None:
    with pytest.raises(InputError, match="1 row has no time in 'day'"):
        row_stream.moments_of(pd.Series(["2001-01-01", None], name="day"))


# --- labels known by a moment ---------------------------------------------------------------------


def test_labels_arrive_after_the_delay_and_some_never() -> None:
    moments = np.arange(5000) * DAY
    arrivals = row_stream.arrivals(moments, delay_days=30, share=0.25, seed=3)
    come = np.isfinite(arrivals)
    assert np.array_equal(arrivals[come], moments[come] + 30 * DAY)
    assert abs(come.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 5000)


def test_a_model_ignores_labels_that_had_not_arrived(stream: Stream) -> None:
    """Flipping every label that was not known at the time changes nothing at all."""
    row = 500
    is_known = stream.arrivals <= stream.moments[row - 1]
    assert is_known.sum() == row - 10
    turned = Stream(
        stream.features,
        stream.codes,
        np.where(is_known, stream.labels, 1 - stream.labels),
        stream.moments,
        stream.arrivals,
        stream.keys,
    )
    first, second = champion(stream, row), champion(turned, row)
    pd.testing.assert_frame_equal(first.reference, second.reference)
    assert len(first.reference) == first.rows == row - 10
    rest = stream.codes[row:]
    assert np.array_equal(replay.forecast(first, rest), replay.forecast(second, rest))


def test_the_reference_is_forecast_by_fits_that_had_not_seen_it(stream: Stream) -> None:
    """A tree knows its own rows by heart: only held-out forecasts of it have errors."""
    trained = champion(stream, 500, kind="dt")
    rows = stream.codes[stream.arrivals <= trained.trained_at]
    in_sample = replay.forecast(trained, rows)
    assert np.array_equal(in_sample > 0.5, trained.reference["courtside_label"] == 1)
    assert trained.figures["accuracy"] < 0.8


def test_numbers_for_texts_make_the_same_model(stream: Stream) -> None:
    """Texts and their numbers are the same columns of 0 and 1, rare ones and missing ones too."""
    rng = np.random.default_rng(1)
    names = pd.Series(rng.choice([f"n{i}" for i in range(40)], COUNT, p=_falling(40)))
    features = stream.features.assign(colour=names.mask(rng.random(COUNT) < 0.05))
    codes = row_stream.coded(features, ["colour"])
    models = [
        estimators.unfitted("lr", ["x"], ["colour"], impute=True).fit(model, stream.labels)
        for model in (features, codes)
    ]
    answers = [
        model.predict_proba(rows)[:, 1]
        for model, rows in zip(models, (features, codes), strict=True)
    ]
    assert np.allclose(*answers)
    assert models[0].named_steps["classify"].n_features_in_ > 10


def _falling(count: int) -> np.ndarray:
    weights = 1 / np.arange(1, count + 1)
    return weights / weights.sum()


def test_too_few_known_labels_are_reported(stream: Stream) -> None:
    with pytest.raises(InputError, match="By 1970-07-19 only 190 labels are known"):
        champion(stream, 200)


@pytest.mark.parametrize("kind", KINDS)
def test_every_candidate_can_be_fitted_and_predicts_probabilities(
    kind: str, stream: Stream
) -> None:
    # two colours make two redundant columns of 0 and 1: qda would warn
    model = estimators.unfitted(kind, ["x"], ["colour"][: kind != "qda"], impute=True)
    holes = stream.features.mask(np.random.default_rng(0).random((COUNT, 2)) < 0.1)
    probabilities = model.fit(holes, stream.labels).predict_proba(holes)
    assert probabilities.shape == (COUNT, 2)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert (probabilities >= 0).all()


def test_a_parameter_that_does_not_exist_is_reported() -> None:
    with pytest.raises(InputError, match="'lr' cannot be fitted"):
        estimators.unfitted("lr", ["x"], [], impute=False, params={"leaves": 3})


# --- reports --------------------------------------------------------------------------------------


def judge(stream: Stream, labels: np.ndarray) -> replay.Report:
    trained = champion(stream, 500)
    rows = stream.features[500:]
    probabilities = replay.forecast(trained, stream.codes[500:])
    current = rows.assign(courtside_probability=probabilities).reset_index(drop=True)
    labelled = pd.DataFrame(
        {"courtside_probability": probabilities, "courtside_label": labels.astype(float)}
    )
    return replay.judge(trained, recipe(), current, labelled, name="the window")


def test_rows_like_the_reference_are_no_alarm(stream: Stream) -> None:
    assert not judge(stream, stream.labels[500:]).is_alarm


def test_flipped_labels_are_an_alarm(stream: Stream) -> None:
    report = judge(stream, 1 - stream.labels[500:])
    assert report.is_alarm
    assert report.conclusion.code == "does_not_fit"


def test_a_moved_input_without_labels_is_no_alarm(stream: Stream) -> None:
    champion_ = champion(stream, 500)
    rows = stream.features[500:].assign(x=lambda frame: frame["x"] + 3)
    current = rows.assign(
        courtside_probability=replay.forecast(champion_, stream.codes[500:])
    ).reset_index(drop=True)
    none = pd.DataFrame({"courtside_probability": [], "courtside_label": []}, dtype=float)
    report = replay.judge(champion_, recipe(), current, none, name="the window")
    assert not report.is_alarm
    assert report.labels == 0
    assert "psi.x" in report.codes("alert", "input")
    assert report.conclusion.code == "investigate"


def test_limits_are_learned_once_for_a_size(stream: Stream) -> None:
    trained = champion(stream, 500)
    first = replay.limits_of(trained, recipe(), 400, 400)
    again = replay.limits_of(trained, recipe(), 401, 400)
    assert first is again
    assert len(trained.learned) == 1
    replay.limits_of(trained, recipe(), 400, 200)
    assert len(trained.learned) == 2


# --- comparing policies ---------------------------------------------------------------------------


def windows(alarms: dict[str, list[bool]]) -> pd.DataFrame:
    """Windows of ten days each."""
    return pd.DataFrame(
        [
            {
                "policy": name,
                "begin": 10 * place * DAY,
                "end": (10 * place + 9) * DAY,
                "rows": 10,
                "is_alarm": alarm,
                "is_input_alert": False,
                "input_alerts": "psi.x" * alarm,
                "is_retrained": alarm,
                "seconds": 1.0,
            }
            for name, flags in alarms.items()
            for place, alarm in enumerate(flags)
        ]
    )


def test_delay_runs_from_the_drift_to_the_first_alarm_after_it_and_earlier_ones_are_false() -> None:
    moments = np.arange(40) * DAY
    table = windows({"a": [True, False, False, True], "b": [False] * 4})
    losses = {"a": np.full(40, 0.6), "b": np.full(40, 0.6)}
    table_by_policy = policy_comparison.compare(
        table, losses, moments, baseline="a", drift_begin=15 * DAY, drift_column="x"
    ).set_index("policy")
    assert table_by_policy.loc["a", ["alarms", "false_alarms", "retrainings"]].tolist() == [2, 1, 2]
    assert table_by_policy.loc["a", ["detection_days", "detection_rows"]].tolist() == [24, 25]
    assert table_by_policy.loc["a", "noticed_days"] == 24
    assert table_by_policy.loc["b", ["detection_days", "noticed_days"]].isna().all()
    plain = policy_comparison.compare(table, losses, moments, baseline="a")
    assert plain["false_alarms"].isna().all()


def test_the_interval_of_a_gain_counts_rows_of_one_moment_as_one() -> None:
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(100), 20)
    by_day = rng.normal(0.01, 0.05, 100)[day]
    table = windows({"a": [False], "b": [False]})
    losses = {"a": by_day + 0.6, "b": np.full(2000, 0.6)}
    compared = (
        policy_comparison.compare(table, losses, day * DAY, baseline="a")
        .set_index("policy")
        .loc["b"]
    )
    assert compared["gain"] == pytest.approx(by_day.mean())
    half = (compared["gain_high"] - compared["gain_low"]) / 2
    # Student's t of 99 degrees of freedom
    by_day_alone = 1.9842 * np.std(by_day[::20], ddof=1) / 10
    assert half == pytest.approx(by_day_alone, rel=0.01)


def summary(**gains: tuple[float, float, float, int]) -> pd.DataFrame:
    rows = [(policy_comparison.BASELINE, 0.65, 0.0, 0.0, 0.0, 0)]
    rows += [(name, 0.65 - gain[0], *gain) for name, gain in gains.items()]
    names = ["policy", "log_loss", "gain", "gain_low", "gain_high", "retrainings"]
    empty = dict.fromkeys(("detection_days", "detection_rows", "false_alarms"), np.nan)
    return pd.DataFrame(rows, columns=names).assign(**empty)


def answer(table: pd.DataFrame) -> str:
    return str(replay_answer.answer(table, baseline=policy_comparison.BASELINE))


def test_the_answer_says_what_was_worth_it_and_what_was_not() -> None:
    said = answer(summary(Reactive=(0.0, 0.0, 0.0, 0), Calendar=(0.001, -0.001, 0.003, 4)))
    assert said.startswith("No policy is better than never retraining. Calendar: log loss 0.6490")
    assert "without retraining 0.6500, difference -0.0010 (95% interval -0.0030 to +0.0010)" in said
    said = answer(summary(Calendar=(-0.001, -0.003, 0.001, 4)))
    assert "log loss 0.6510" in said
    assert "difference +0.0010 (95% interval -0.0010 to +0.0030); retrainings: 4." in said
    assert answer(summary(Reactive=(0.0, 0.0, 0.0, 0))).endswith("None of them retrained.")
    said = answer(summary(Good=(0.02, 0.01, 0.03, 1), Bad=(-0.02, -0.03, -0.01, 9)))
    assert said.startswith("Good is better than never retraining")
    assert "retrainings: 1." in said
    assert said.endswith("Worse than never retraining: Bad.")
    assert answer(summary()).startswith("Without retraining")
    drifted = summary(Good=(0.02, 0.01, 0.03, 1)).assign(false_alarms=0)
    assert answer(drifted).endswith("raised no alarm.")
    detected = drifted.assign(detection_days=[40, 30], detection_rows=[400, 300])
    assert answer(detected).endswith("raised the first alarm after 30 days and 300 rows.")
