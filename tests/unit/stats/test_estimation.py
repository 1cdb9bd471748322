"""Estimates without labels: against published figures, all possible labels, and drawn ones."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.stats import estimation, metrics
from core.stats.check import ADD_LABELS, Limit

SIX = ["lat", "lon", "minutes_remaining", "period", "playoffs", "shot_distance"]


# NannyML 0.13.1, tests/performance_estimation/CBPE/test_cbpe_metrics.py: the estimated confusion
# matrix of two chunks of its synthetic rows, and the figures that it estimates from them.
@pytest.mark.parametrize(
    ("tp", "tn", "fp", "fn", "figures"),
    [
        (
            9488.96406430504,
            9468.107941981285,
            567.0359356949585,
            475.8920580187156,
            {
                "f1": 0.9479079222515973,
                "precision": 0.9436121782324026,
                "recall": 0.9522429574319092,
                "accuracy": 0.9478536003143163,
            },
        ),
        (
            14537.180201036117,
            13200.5981195499,
            1267.8197989638852,
            994.4018804500995,
            {
                "f1": 0.9278089207836576,
                "precision": 0.9197836255005452,
                "recall": 0.9359754933378336,
                "accuracy": 0.9245926106862006,
            },
        ),
    ],
)
def test_published_estimates_follow_from_the_published_confusion_matrix(
    tp: float, tn: float, fp: float, fn: float, figures: dict[str, float]
) -> None:
    above, below = round(tp + fp), round(tn + fn)
    probabilities = np.repeat([tp / (tp + fp), fn / (tn + fn)], [above, below])
    estimates = estimation.cbpe(probabilities, 0.5)
    assert {name: estimates[name] for name in figures} == pytest.approx(figures, rel=1e-12)


def test_the_roc_curve_is_that_of_the_definition_threshold_by_threshold() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(2, 3, 300).round(2)
    points = []
    for threshold in [*np.unique(p), 2.0]:
        above = p >= threshold
        points.append(((1 - p)[above].sum() / (1 - p).sum(), p[above].sum() / p.sum()))
    fpr, tpr = np.array(points[::-1]).T
    assert estimation.cbpe(p, 0.5)["roc_auc"] == pytest.approx(np.trapz(tpr, fpr), abs=1e-12)


def test_log_loss_brier_and_accuracy_are_means_over_all_labels_that_there_may_be() -> None:
    p = np.array([0.05, 0.3, 0.5, 0.62, 0.99])
    mean = dict.fromkeys(("log_loss", "brier_score", "accuracy"), 0.0)
    for labels in itertools.product([0, 1], repeat=len(p)):
        chance = float(np.prod(np.where(labels, p, 1 - p)))
        figures = metrics.classification(np.array(labels), p, 0.5)
        mean = {name: value + chance * figures[name] for name, value in mean.items()}
    estimates = estimation.cbpe(p, 0.5)
    assert {name: estimates[name] for name in mean} == pytest.approx(mean, abs=1e-12)


def test_no_row_above_the_threshold_and_sure_probabilities_stay_numbers() -> None:
    estimates = estimation.cbpe(np.array([0.1, 0.2, 0.3]), 0.5)
    assert (estimates["f1"], estimates["precision"], estimates["recall"]) == (0.0, 0.0, 0.0)
    sure = estimation.cbpe(np.array([0.0, 1.0, 1.0]), 0.5)
    assert sure["log_loss"] == pytest.approx(0.0, abs=1e-12)
    # as in the definition, a row is compared with itself too
    assert sure["roc_auc"] == sure["accuracy"] == 1.0
    assert "roc_auc" not in estimation.cbpe(np.zeros(3), 0.5)
    for low, high in estimation.intervals(np.array([0.0, 1.0, 1.0]), 0.5).values():
        assert low <= high


def reference(rows: int = 3000, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.15, 0.85, rows)
    return (rng.uniform(size=rows) < p).astype(np.int64), p


def test_rows_like_the_reference_are_ok_and_a_lower_base_rate_alone_is_no_good_news() -> None:
    labels, p = reference()
    same = reference(800, 3)[1]
    assert {check.verdict for check in estimation.checks(labels, p, same, 0.5)} == {"ok"}
    # rarer and hardly separated: log loss decreases, and yet the skill is lost
    weak = 0.2 + 0.1 * np.random.default_rng(4).uniform(-1, 1, 3000)
    loss = estimation.checks(labels, p, weak, 0.5)[0]
    assert loss.value is not None
    assert loss.value < metrics.classification(labels, p, 0.5)["log_loss"]
    assert loss.verdict == "warning"
    wide = estimation.checks(labels, p, np.tile(weak, 40), 0.5)
    assert [check.verdict for check in wide] == ["alert"] * 3
    assert all(check.todo and check.group == "output" for check in wide)


def test_a_reason_makes_every_estimate_not_available_and_never_a_zero() -> None:
    labels, p = reference()
    for results in (
        estimation.checks(labels, p, p, 0.5, "60% of the rows lie elsewhere"),
        estimation.checks(labels, p, np.empty(0), 0.5),
        estimation.checks(np.empty(0, dtype=np.int64), np.empty(0), p, 0.5),
        # too sure of itself
        estimation.checks(labels, np.where(p > 0.5, 0.999, 0.001), p, 0.5),
        # calibrated in shape, and everywhere 20 points too high
        estimation.checks((labels * (p < 0.5)).astype(np.int64), p, p, 0.5),
    ):
        assert [check.code for check in results] == list(estimation.TITLES)
        for check in results:
            assert (check.verdict, check.value, check.low, check.high) == (
                "not_applicable",
                None,
                None,
                None,
            )
            assert str(check.text)
            assert check.todo == ADD_LABELS


def test_an_estimate_is_judged_by_the_better_end_of_its_interval() -> None:
    labels, p = reference()
    few = np.random.default_rng(5).uniform(0.4, 0.6, 12)
    assert {check.verdict for check in estimation.checks(labels, p, few, 0.5)} == {"ok"}
    many = np.random.default_rng(5).uniform(0.4, 0.6, 9000)
    assert estimation.checks(labels, p, many, 0.5)[1].verdict == "alert"


def test_limits_set_by_a_person_win() -> None:
    labels, p = reference()
    limits = {"estimated_log_loss": Limit(alert_high=0.01, source="set")}
    checks = estimation.checks(labels, p, p, 0.5, limits=limits)
    assert [check.verdict for check in checks] == ["alert", "ok", "ok"]
    assert (checks[0].warning_high, checks[0].alert_high) == (None, 0.01)
    assert str(checks[0].threshold) == "alert: above 0.01; set by a person"


def test_the_real_rows_give_the_known_estimates(real_dir: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.neighbors import KNeighborsClassifier

    two, three = (
        pd.read_parquet(real_dir / f"dataset_kobe_{name}.parquet")
        .sort_values("shot_id")[[*SIX, "shot_made_flag"]]
        .dropna()
        for name in ("dev", "prod")
    )
    train, test = train_test_split(
        two, test_size=0.2, random_state=42, stratify=two["shot_made_flag"]
    )
    labels = test["shot_made_flag"].to_numpy(dtype=np.int64)
    model = LogisticRegression(max_iter=1000).fit(train[SIX], train["shot_made_flag"])
    before, now = (model.predict_proba(rows[SIX])[:, 1] for rows in (test, three))
    realised = metrics.classification(three["shot_made_flag"].to_numpy(dtype=np.int64), now, 0.5)
    estimated = estimation.cbpe(now, 0.5)
    assert estimated["log_loss"] == pytest.approx(0.624, abs=0.002)
    assert realised["log_loss"] == pytest.approx(0.629, abs=0.001)
    assert estimation.cbpe(before, 0.5)["log_loss"] == pytest.approx(0.678, abs=0.002)
    assert estimation.why_not(labels, before) is None
    # five neighbours: the estimate is far below the true figure, on the reference already
    knn = KNeighborsClassifier(5).fit(train[SIX], train["shot_made_flag"])
    sure = knn.predict_proba(test[SIX])[:, 1]
    assert "not calibrated" in str(estimation.why_not(labels, sure))
