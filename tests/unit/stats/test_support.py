"""Whether rows lie where the model was tested: what is found, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.stats import intervals, support
from core.stats.check import Limit

SIX = ["lat", "lon", "minutes_remaining", "period", "playoffs", "shot_distance"]


def drawn(rows: int, seed: int, **shift: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=rows),
            "y": rng.normal(size=rows),
            "kind": rng.choice(["jump", "dunk", "hook"], rows, p=[0.7, 0.2, 0.1]),
        }
    )
    return frame.assign(**{name: frame[name] + by for name, by in shift.items()})


def verdicts(found: support.Support) -> dict[str, str]:
    return {check.code: check.verdict for check in support.checks(found)}


@pytest.fixture(scope="module")
def old() -> pd.DataFrame:
    return drawn(1500, 0)


def test_alike_rows_are_ok_and_nothing_keeps_from_estimating(old: pd.DataFrame) -> None:
    found = support.measure(old, drawn(800, 1), ["x", "y", "kind"])
    assert found.domain_low < 0.5 < found.domain_high
    assert 0.0 <= found.outside_low <= found.outside_share <= found.outside_high < 0.05
    assert verdicts(found) == {"domain_auc": "ok", "outside_support": "ok"}
    assert support.is_outside(found) is None
    assert found.beyond_reference.shape == (1500,)
    assert found.beyond_reference.mean() == found.outside_reference == pytest.approx(0.01, abs=1e-3)


@pytest.mark.parametrize("name", ["x", "y"])
def test_a_shifted_column_is_named_first(old: pd.DataFrame, name: str) -> None:
    found = support.measure(old, drawn(800, 1, **{name: 6.0}), ["x", "y", "kind"])
    assert found.domain_low > 0.99
    assert found.outside_low > 0.9
    assert found.ranking["feature"][0] == name
    assert found.ranking["auc"][0] > 0.99
    checks = support.checks(found)
    assert [check.verdict for check in checks] == ["alert", "alert"]
    assert all(name in check.text for check in checks if check.code == "domain_auc")
    assert "where the model was never tested" in checks[1].text
    assert all(check.todo for check in checks)
    assert "never tested" in (support.is_outside(found) or "")


def test_a_shift_that_no_column_shows_alone_is_seen() -> None:
    rng = np.random.default_rng(3)
    x, sign = rng.normal(size=1500), rng.choice([-1, 1], 1500)
    old = pd.DataFrame({"x": x, "y": x + 0.3 * rng.normal(size=1500)})
    new = pd.DataFrame({"x": x, "y": sign * x + 0.3 * rng.normal(size=1500)})
    found = support.measure(old, new, ["x", "y"])
    assert found.ranking["auc"].max() < 0.6
    assert found.domain_low > 0.65
    # half of the rows lie off the line
    assert 0.2 < found.outside_share < 0.6


def test_a_column_that_spreads_is_told_though_its_middle_stays() -> None:
    rng = np.random.default_rng(4)
    old, new = (pd.DataFrame({"x": rng.normal(0, s, 1500)}) for s in (1, 3))
    found = support.measure(old, new, ["x"])
    assert found.ranking["auc"][0] > 0.7
    assert found.domain_low > 0.7


def test_a_name_that_nobody_knows_lies_outside(old: pd.DataFrame) -> None:
    new = drawn(400, 1)
    new.loc[:99, "kind"] = "underhand"
    found = support.measure(old, new, ["x", "y", "kind"])
    assert found.outside_share == pytest.approx(0.25, abs=0.05)


def test_a_value_that_never_varied_and_does_now_lies_outside() -> None:
    rng = np.random.default_rng(6)
    old = pd.DataFrame({"x": rng.normal(size=600), "playoffs": 0})
    new = pd.DataFrame({"x": rng.normal(size=600), "playoffs": [0, 1] * 300})
    assert support.measure(old, new, list(old)).outside_share > 0.45


def test_missing_values_are_a_place_of_their_own(old: pd.DataFrame) -> None:
    gaps = old.copy()
    gaps.loc[::5, "x"] = np.nan
    gaps.loc[::7, "kind"] = None
    new = drawn(700, 2)
    new.loc[::5, "x"] = np.nan
    new.loc[::7, "kind"] = None
    alike = support.measure(gaps, new, ["x", "y", "kind"])
    assert alike.domain_low < 0.5 < alike.domain_high
    assert alike.outside_share < 0.05
    gone = support.measure(old, new, ["x", "y", "kind"])
    assert gone.domain_low > 0.55
    assert gone.outside_share > 0.15
    empty = support.measure(old.assign(x=np.nan), new.assign(x=np.nan), ["x", "y"])
    assert np.isfinite(empty.domain_auc)


def test_the_same_seed_gives_the_same_answer_and_large_sets_are_drawn_from(
    old: pd.DataFrame,
) -> None:
    new = drawn(1200, 5, x=0.5)
    one, two, other = (
        support.measure(old, new, ["x", "y", "kind"], seed=seed, rows=150) for seed in (1, 1, 2)
    )
    assert one.domain_auc == two.domain_auc
    assert (one.beyond_reference == two.beyond_reference).all()
    pd.testing.assert_frame_equal(one.ranking, two.ranking)
    assert one.domain_auc != other.domain_auc
    assert one.rows == 600
    assert len(one.beyond_reference) == len(old)


def test_outside_is_what_the_definition_says_for_learned_from_rows_and_without() -> None:
    reference, current, learned = (
        drawn(rows, seed)[["x", "y"]] for rows, seed in ((300, 0), (200, 1), (900, 2))
    )
    current = current.assign(x=current["x"] + 1.5)

    def beyond(rows: pd.DataFrame, known: pd.DataFrame) -> np.ndarray:
        scale = known.std(ddof=0)
        gaps = rows.to_numpy()[:, None, :] - known.to_numpy()[None, :, :]
        distances = np.sqrt(((gaps / scale.to_numpy()) ** 2).sum(axis=2))
        return np.sort(distances, axis=1)

    for known in (reference, learned):
        # the nearest of a known row is itself
        limit = np.quantile(beyond(known, known)[:, 5], 0.99)
        wanted = (beyond(current, known)[:, 4] > limit).mean()
        usual = beyond(reference, known)[:, 5 if known is reference else 4] > limit
        found = support.measure(
            reference, current, ["x", "y"], trained_on=None if known is reference else learned
        )
        assert found.outside_share == pytest.approx(wanted, abs=1e-12)
        assert (found.beyond_reference == usual).all()


def test_few_rows_are_said_to_be_too_few(old: pd.DataFrame) -> None:
    found = support.measure(old, old.head(support.MIN_ROWS - 1), ["x", "y"])
    assert verdicts(found) == {"domain_auc": "not_applicable", "outside_support": "ok"}
    none = support.measure(old.head(20), old, ["x", "y"])
    for check in support.checks(none):
        assert (check.verdict, check.value, check.low) == ("not_applicable", None, None)
        assert f"{support.MIN_ROWS}" in check.text
    assert "too few" in (support.is_outside(none) or "")
    assert support.measure(old, old.head(0), ["x"]).rows == 0


@pytest.mark.parametrize(
    ("outside", "verdict"), [(9, "ok"), (10, "warning"), (27, "warning"), (28, "alert")]
)
def test_of_a_hundred_rows_so_many_outside_make_a_verdict(outside: int, verdict: str) -> None:
    share = outside / 100
    low, high = intervals.share([share], [100])
    found = support.Support(
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
    check = support.checks(found)[1]
    assert check.verdict == verdict
    assert (check.warning_high, check.alert_high) == (0.05, 0.20)
    assert (support.is_outside(found) is None) == (verdict == "ok")


def test_small_windows_of_the_reference_itself_raise_no_alarm(old: pd.DataFrame) -> None:
    many = drawn(4000, 8)
    shares = []
    for seed in range(12):
        window = many.sample(100, random_state=seed)
        found = support.measure(old, window, ["x", "y", "kind"], seed=seed)
        assert set(verdicts(found).values()) == {"ok"}
        shares.append(found.outside_share)
    assert np.mean(shares) < 0.03


def test_limits_of_the_person_win_and_are_of_the_value_itself(old: pd.DataFrame) -> None:
    found = support.measure(old, old.head(500), ["x", "y"])
    limit = Limit(warning_high=0.1, alert_high=found.domain_auc - 1e-9, source="set")
    auc, outside = support.checks(found, {"domain_auc": limit, "outside_support": limit})
    assert (auc.verdict, auc.warning_high, auc.alert_high) == ("alert", 0.1, limit.alert_high)
    assert "set by a person" in auc.threshold
    assert outside.verdict == "ok"
    none = support.checks(found, {"domain_auc": Limit(), "outside_support": Limit()})
    assert [(check.verdict, check.threshold) for check in none] == [("ok", "no limit is set")] * 2


def test_on_the_real_rows_the_known_facts_come_out(real_dir: Path) -> None:
    from sklearn.model_selection import train_test_split

    two, three = (
        pd.read_parquet(real_dir / f"dataset_kobe_{name}.parquet")
        .sort_values("shot_id")[[*SIX, "shot_made_flag"]]
        .dropna()
        for name in ("dev", "prod")
    )
    train, test = train_test_split(
        two, test_size=0.2, random_state=42, stratify=two["shot_made_flag"]
    )
    assert (len(train), len(test), len(three)) == (16228, 4057, 5412)
    found = support.measure(test, three, SIX, trained_on=train)
    assert found.domain_low > 0.99
    assert found.outside_share == pytest.approx(0.597, abs=0.002)
    assert found.outside_reference == pytest.approx(0.0086, abs=0.001)
    assert found.ranking["feature"].tolist()[:2] == ["shot_distance", "lat"]
    assert verdicts(found) == {"domain_auc": "alert", "outside_support": "alert"}
    assert support.checks(found)[1].text.startswith("59.7% of the rows lie where the model was")
    # the fewer rows are known, the wider is the net; what it says stays
    alone = support.measure(test, three, SIX)
    assert alone.outside_share == pytest.approx(0.496, abs=0.002)
    assert verdicts(alone) == verdicts(found)
    # the test set is of the rows that the model learned from
    same = support.measure(train, test, SIX)
    assert verdicts(same) == {"domain_auc": "ok", "outside_support": "ok"}
    assert same.domain_low < 0.5 < same.domain_high
    assert same.outside_share == pytest.approx(0.0086, abs=0.001)
