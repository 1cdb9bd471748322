"""Whether rows are inside the support: the measures, and the checks on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.stats import intervals, support, support_checks
from core.stats.check import Limit
from tests.populations import kinds

SIX = ["lat", "lon", "minutes_remaining", "period", "playoffs", "shot_distance"]


def verdicts(result: support.Support) -> dict[str, str]:
    return {check.code: check.verdict for check in support_checks.checks(result)}


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return kinds(1500, 0)


def test_similar_rows_are_ok_and_allow_estimates(reference: pd.DataFrame) -> None:
    result = support.measure(reference, kinds(800, 1), ["x", "y", "kind"])
    assert result.domain_low < 0.5 < result.domain_high
    assert 0.0 <= result.outside_low <= result.outside_share <= result.outside_high < 0.05
    assert verdicts(result) == {"domain_auc": "ok", "outside_support": "ok"}
    assert support_checks.is_outside(result) is None
    assert result.beyond_reference.shape == (1500,)
    assert (
        result.beyond_reference.mean() == result.outside_reference == pytest.approx(0.01, abs=1e-3)
    )


@pytest.mark.parametrize("name", ["x", "y"])
def test_a_shifted_column_is_named_first(reference: pd.DataFrame, name: str) -> None:
    result = support.measure(reference, kinds(800, 1, **{name: 6.0}), ["x", "y", "kind"])
    assert result.domain_low > 0.99
    assert result.outside_low > 0.9
    assert result.ranking["feature"][0] == name
    assert result.ranking["auc"][0] > 0.99
    checks = support_checks.checks(result)
    assert [check.verdict for check in checks] == ["alert", "alert"]
    assert all(name in str(check.text) for check in checks if check.code == "domain_auc")
    assert "outside the data the model was tested on" in str(checks[1].text)
    assert all(check.todo for check in checks)
    assert "outside the data" in str(support_checks.is_outside(result))


def test_a_shift_that_no_single_column_shows_is_detected() -> None:
    rng = np.random.default_rng(3)
    x, sign = rng.normal(size=1500), rng.choice([-1, 1], 1500)
    reference = pd.DataFrame({"x": x, "y": x + 0.3 * rng.normal(size=1500)})
    current = pd.DataFrame({"x": x, "y": sign * x + 0.3 * rng.normal(size=1500)})
    result = support.measure(reference, current, ["x", "y"])
    assert result.ranking["auc"].max() < 0.6
    assert result.domain_low > 0.65
    # half of the rows are off the line
    assert 0.2 < result.outside_share < 0.6


def test_a_wider_column_is_detected_though_its_mean_stays() -> None:
    rng = np.random.default_rng(4)
    reference, current = (pd.DataFrame({"x": rng.normal(0, s, 1500)}) for s in (1, 3))
    result = support.measure(reference, current, ["x"])
    assert result.ranking["auc"][0] > 0.7
    assert result.domain_low > 0.7


def test_an_unseen_name_lies_outside(reference: pd.DataFrame) -> None:
    current = kinds(400, 1)
    current.loc[:99, "kind"] = "underhand"
    result = support.measure(reference, current, ["x", "y", "kind"])
    assert result.outside_share == pytest.approx(0.25, abs=0.05)


def test_a_value_that_never_varied_and_does_now_lies_outside() -> None:
    rng = np.random.default_rng(6)
    reference = pd.DataFrame({"x": rng.normal(size=600), "playoffs": 0})
    current = pd.DataFrame({"x": rng.normal(size=600), "playoffs": [0, 1] * 300})
    assert support.measure(reference, current, list(reference)).outside_share > 0.45


def test_missing_values_are_a_region_of_their_own(reference: pd.DataFrame) -> None:
    gaps = reference.copy()
    gaps.loc[::5, "x"] = np.nan
    gaps.loc[::7, "kind"] = None
    current = kinds(700, 2)
    current.loc[::5, "x"] = np.nan
    current.loc[::7, "kind"] = None
    alike = support.measure(gaps, current, ["x", "y", "kind"])
    assert alike.domain_low < 0.5 < alike.domain_high
    assert alike.outside_share < 0.05
    gone = support.measure(reference, current, ["x", "y", "kind"])
    assert gone.domain_low > 0.55
    assert gone.outside_share > 0.15
    empty = support.measure(reference.assign(x=np.nan), current.assign(x=np.nan), ["x", "y"])
    assert np.isfinite(empty.domain_auc)


def test_the_same_seed_gives_the_same_answer_and_large_sets_are_drawn_from(
    reference: pd.DataFrame,
) -> None:
    current = kinds(1200, 5, x=0.5)
    first, second, other = (
        support.measure(reference, current, ["x", "y", "kind"], seed=seed, rows=150)
        for seed in (1, 1, 2)
    )
    assert first.domain_auc == second.domain_auc
    assert (first.beyond_reference == second.beyond_reference).all()
    pd.testing.assert_frame_equal(first.ranking, second.ranking)
    assert first.domain_auc != other.domain_auc
    assert first.rows == 600
    assert len(first.beyond_reference) == len(reference)


def test_outside_follows_the_definition_with_and_without_training_rows() -> None:
    reference, current, learned = (
        kinds(rows, seed)[["x", "y"]] for rows, seed in ((300, 0), (200, 1), (900, 2))
    )
    current = current.assign(x=current["x"] + 1.5)

    def beyond(rows: pd.DataFrame, base: pd.DataFrame) -> np.ndarray:
        scale = base.std(ddof=0)
        gaps = rows.to_numpy()[:, None, :] - base.to_numpy()[None, :, :]
        distances = np.sqrt(((gaps / scale.to_numpy()) ** 2).sum(axis=2))
        return np.sort(distances, axis=1)

    for base in (reference, learned):
        # the nearest of a known row is itself
        limit = np.quantile(beyond(base, base)[:, 5], 0.99)
        wanted = (beyond(current, base)[:, 4] > limit).mean()
        usual = beyond(reference, base)[:, 5 if base is reference else 4] > limit
        result = support.measure(
            reference, current, ["x", "y"], trained_on=None if base is reference else learned
        )
        assert result.outside_share == pytest.approx(wanted, abs=1e-12)
        assert (result.beyond_reference == usual).all()


def test_too_few_rows_are_reported(reference: pd.DataFrame) -> None:
    result = support.measure(reference, reference.head(support.MIN_ROWS - 1), ["x", "y"])
    assert verdicts(result) == {"domain_auc": "not_applicable", "outside_support": "ok"}
    none = support.measure(reference.head(20), reference, ["x", "y"])
    for check in support_checks.checks(none):
        assert (check.verdict, check.value, check.low) == ("not_applicable", None, None)
        assert f"{support.MIN_ROWS}" in str(check.text)
    assert f"{support.MIN_ROWS}" in str(support_checks.is_outside(none))
    assert support.measure(reference, reference.head(0), ["x"]).rows == 0


@pytest.mark.parametrize(
    ("outside", "verdict"), [(9, "ok"), (10, "warning"), (27, "warning"), (28, "alert")]
)
def test_of_a_hundred_rows_so_many_outside_make_a_verdict(outside: int, verdict: str) -> None:
    share = outside / 100
    low, high = intervals.share([share], [100])
    result = support.Support(
        0.5,
        0.45,
        0.55,
        share,
        low[0],
        high[0],
        0.01,
        np.zeros(9, dtype=bool),
        pd.DataFrame({"feature": ["x"], "auc": [0.5], "importance": [1.0]}),
        100,
    )
    check = support_checks.checks(result)[1]
    assert check.verdict == verdict
    assert (check.warning_high, check.alert_high) == (0.05, 0.20)
    assert (support_checks.is_outside(result) is None) == (verdict == "ok")


def test_limits_set_by_a_person_win_and_apply_to_the_value_itself(reference: pd.DataFrame) -> None:
    result = support.measure(reference, reference.head(500), ["x", "y"])
    limit = Limit(warning_high=0.1, alert_high=result.domain_auc - 1e-9, source="set")
    auc, outside = support_checks.checks(result, {"domain_auc": limit, "outside_support": limit})
    assert (auc.verdict, auc.warning_high, auc.alert_high) == ("alert", 0.1, limit.alert_high)
    assert "set by a person" in str(auc.threshold)
    assert outside.verdict == "ok"
    none = support_checks.checks(result, {"domain_auc": Limit(), "outside_support": Limit()})
    assert [(check.verdict, str(check.threshold)) for check in none] == [("ok", "")] * 2


def test_the_real_rows_give_the_known_results(real_dir: Path) -> None:
    from sklearn.model_selection import train_test_split

    two_pointers, three_pointers = (
        pd.read_parquet(real_dir / f"dataset_kobe_{name}.parquet")
        .sort_values("shot_id")[[*SIX, "shot_made_flag"]]
        .dropna()
        for name in ("dev", "prod")
    )
    train, test = train_test_split(
        two_pointers, test_size=0.2, random_state=42, stratify=two_pointers["shot_made_flag"]
    )
    assert (len(train), len(test), len(three_pointers)) == (16228, 4057, 5412)
    result = support.measure(test, three_pointers, SIX, trained_on=train)
    assert result.domain_low > 0.99
    assert result.outside_share == pytest.approx(0.597, abs=0.002)
    assert result.outside_reference == pytest.approx(0.0086, abs=0.001)
    assert result.ranking["feature"].tolist()[:2] == ["shot_distance", "lat"]
    assert verdicts(result) == {"domain_auc": "alert", "outside_support": "alert"}
    assert str(support_checks.checks(result)[1].text).startswith(
        "59.7% of the rows are outside the data the model was"
    )
    # the fewer rows are known, the wider is the net; what it says stays
    alone = support.measure(test, three_pointers, SIX)
    assert alone.outside_share == pytest.approx(0.496, abs=0.002)
    assert verdicts(alone) == verdicts(result)
    # the test set is of the rows that the model learned from
    same = support.measure(train, test, SIX)
    assert verdicts(same) == {"domain_auc": "ok", "outside_support": "ok"}
    assert same.domain_low < 0.5 < same.domain_high
    assert same.outside_share == pytest.approx(0.0086, abs=0.001)
