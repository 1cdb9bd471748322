"""Each check on both sides of its limits, and what the checks say together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.stats import checks, drift

REFERENCE = {
    "log_loss": 0.68,
    "skill": 0.02,
    "roc_auc": 0.60,
    "f1": 0.50,
    "calibration": 0.0,
    "base_rate": 0.48,
    "mean_probability": 0.48,
}


def verdicts(**changes: float) -> dict[str, str]:
    results = checks.performance(REFERENCE, REFERENCE | changes, 5000)
    return {check.code: check.verdict for check in results}


@pytest.mark.parametrize(
    ("changes", "code", "verdict"),
    [
        ({}, "skill", "ok"),
        ({"skill": 0.009}, "skill", "warning"),
        ({"skill": -0.001}, "skill", "alert"),
        ({}, "roc_auc", "ok"),
        ({"roc_auc": 0.57}, "roc_auc", "warning"),
        ({"roc_auc": 0.54}, "roc_auc", "alert"),
        ({}, "f1", "ok"),
        ({"f1": 0.44}, "f1", "warning"),
        ({"f1": 0.24}, "f1", "alert"),
        ({}, "calibration", "ok"),
        ({"mean_probability": 0.51}, "calibration", "warning"),
        ({"mean_probability": 0.40}, "calibration", "alert"),
        ({}, "log_loss", "ok"),
        ({"log_loss": 0.6905}, "log_loss", "ok"),
        ({"log_loss": 0.70, "skill": -0.01}, "log_loss", "alert"),
        ({"base_rate": 0.33, "log_loss": 0.62}, "log_loss", "not_applicable"),
        ({"base_rate": 0.33, "log_loss": 0.65, "skill": -0.02}, "log_loss", "alert"),
    ],
)
def test_a_performance_check_on_both_sides_of_its_limits(
    changes: dict[str, float], code: str, verdict: str
) -> None:
    assert verdicts(**changes)[code] == verdict


def test_a_higher_log_loss_at_the_same_base_rate_is_a_warning() -> None:
    reference = REFERENCE | {"log_loss": 0.60}
    result = checks.performance(reference, reference | {"log_loss": 0.62}, 5000)[0]
    assert (result.code, result.verdict) == ("log_loss", "warning")


@pytest.mark.parametrize(
    ("current", "labels", "words"),
    [
        (None, 0, "Only 0 labels;"),
        (REFERENCE, 99, "Only 99 labels;"),
        ({k: v for k, v in REFERENCE.items() if k != "skill"}, 500, "are the same"),
    ],
)
def test_without_enough_labels_a_check_is_not_applicable_and_never_zero(
    current: dict[str, float] | None, labels: int, words: str
) -> None:
    for check in checks.performance(REFERENCE, current, labels):
        assert (check.verdict, check.value) == ("not_applicable", None)
        assert words in str(check.text)
        assert check.reference == REFERENCE[check.code]


@pytest.mark.parametrize(
    ("psi", "ks", "expected"),
    [(0.09, 0.09, ["ok", "ok"]), (0.1, 0.1, ["warning"] * 2), (0.2, 0.2, ["alert"] * 2)],
)
def test_an_input_check_on_both_sides_of_its_limits(
    psi: float, ks: float, expected: list[str]
) -> None:
    moved = pd.DataFrame(
        {"feature": ["x"], "psi": [psi], "ks": [ks], "mean_reference": [0.0], "mean_current": [1.0]}
    )
    assert [check.verdict for check in checks.inputs(moved)] == expected


def check(group: str, verdict: str, code: str = "psi.x") -> checks.Check:
    fields: Any = (code, code, group, None, None, "", verdict, "")
    if group == "performance" and verdict != "not_applicable" and code == "psi.x":
        # a skill that is above zero beyond chance
        fields = ("skill", "skill", group, 0.02, 0.02, "", verdict, "", 0.01, 0.03)
    return checks.Check(*fields)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([check("performance", "ok"), check("input", "ok")], "fits"),
        ([check("performance", "warning"), check("input", "ok")], "watch"),
        ([check("performance", "alert"), check("input", "ok")], "does_not_fit"),
        ([check("performance", "ok"), check("input", "alert")], "investigate"),
        ([check("performance", "warning"), check("input", "alert")], "investigate"),
        ([check("performance", "not_applicable"), check("input", "alert")], "investigate"),
        ([check("performance", "not_applicable"), check("input", "ok")], "unknown"),
    ],
)
def test_only_performance_can_say_that_a_model_does_not_fit(
    results: list[checks.Check], code: str
) -> None:
    conclusion = checks.conclude(results, "new rows", "old rows")
    assert conclusion.code == code
    assert conclusion.title
    assert conclusion.text
    assert conclusion.todo


def test_the_conclusion_names_what_alerted_and_what_moved() -> None:
    conclusion = checks.conclude(
        [check("performance", "alert", "F1"), check("input", "alert", "psi.lat")], "3s", "2s"
    )
    columns, f1 = conclusion.params["facts"]
    assert columns.params == {"columns": ["lat"]}
    assert f1 == "F1"
    # each once
    assert str(conclusion.text).count("lat") == 1


def test_a_conclusion_says_what_moved_somewhat_and_why_labels_do_not_help() -> None:
    conclusion = checks.conclude(
        [check("performance", "ok"), check("input", "warning")], "3s", "2s"
    )
    assert str(conclusion.text) == "No performance check is beyond its limits. Changed: x."
    same = checks.performance(REFERENCE, {"log_loss": 0.1}, 500)
    assert "are the same" in str(checks.conclude(same, "3s", "2s").text)


def test_an_interval_that_reaches_within_the_limits_is_no_alarm() -> None:
    current = REFERENCE | {"skill": -0.01, "roc_auc": 0.52, "f1": 0.2, "mean_probability": 0.40}
    wide = {
        "log_loss": (0.66, 0.72),
        "skill": (-0.04, 0.02),
        "roc_auc": (0.44, 0.60),
        "f1": (0.1, 0.5),
        "calibration": (-0.16, 0.01),
    }
    assert {c.verdict for c in checks.performance(REFERENCE, current, 150, wide)} == {"ok"}
    narrow = {
        "log_loss": (0.695, 0.70),
        "skill": (-0.02, -0.005),
        "roc_auc": (0.51, 0.53),
        "f1": (0.18, 0.22),
        "calibration": (-0.09, -0.07),
    }
    assert {c.verdict for c in checks.performance(REFERENCE, current, 9000, narrow)} == {"alert"}


def test_distances_are_those_of_scipy() -> None:
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import chi2_contingency, ks_2samp

    rng = np.random.default_rng(0)
    reference = pd.DataFrame({"x": rng.normal(size=700), "kind": rng.choice(list("abc"), 700)})
    current = pd.DataFrame({"x": rng.normal(0.3, 1, 400), "kind": rng.choice(list("aabcd"), 400)})
    table = drift.by_feature(reference, current, ["x", "kind"]).set_index("feature")
    assert table.loc["x", "ks"] == pytest.approx(
        ks_2samp(reference["x"], current["x"]).statistic, abs=1e-12
    )
    counts = [
        side["kind"].value_counts().reindex(list("abcd"), fill_value=0)
        for side in (reference, current)
    ]
    shares = [side / side.sum() for side in counts]
    assert table.loc["kind", "js"] == pytest.approx(jensenshannon(*shares, base=2), abs=1e-12)
    exact = chi2_contingency(np.array(counts), correction=False)
    assert table.loc["kind", "chi2"] == pytest.approx(exact.statistic, rel=1e-9)
    assert table.loc["kind", "chi2_p_value"] == pytest.approx(exact.pvalue, rel=1e-6)
    assert table.loc["kind", "unseen"] == (current["kind"] == "d").mean()
    beyond = (current["x"] < reference["x"].min()) | (current["x"] > reference["x"].max())
    assert table.loc["x", "out_of_range"] == beyond.mean()


def test_missing_and_new_values_are_reported_with_the_reference_share() -> None:
    reference = pd.DataFrame({"x": [1.0, 2.0, np.nan, 4.0] * 50})
    current = pd.DataFrame({"x": [1.0, 2.0, np.nan, np.nan, 9.0] * 40})
    by_code = {
        check.code: check for check in checks.inputs(drift.by_feature(reference, current, ["x"]))
    }
    assert (by_code["missing.x"].value, by_code["missing.x"].reference) == (0.4, 0.25)
    assert by_code["missing.x"].verdict == by_code["unseen.x"].verdict == by_code["range.x"].verdict
    assert by_code["range.x"].verdict == "alert"
    assert by_code["missing.x"].todo
    same = {
        check.code: check.verdict
        for check in checks.inputs(drift.by_feature(reference, reference, ["x"]))
    }
    assert set(same.values()) == {"ok"}


def test_predicted_probabilities_are_outputs_and_not_inputs() -> None:
    reference = pd.DataFrame({"x": range(100), "courtside_probability": np.linspace(0, 0.5, 100)})
    moved = drift.by_feature(
        reference,
        reference.assign(courtside_probability=reference["courtside_probability"] + 0.4),
        list(reference),
    )
    assert {check.code for check in checks.outputs(moved)} == {
        "psi.courtside_probability",
        "ks.courtside_probability",
    }
    assert {check.verdict for check in checks.outputs(moved)} == {"alert"}
    assert not [check for check in checks.inputs(moved) if "probability" in check.code]


def test_a_lower_log_loss_is_no_good_news_where_only_the_base_rate_fell() -> None:
    limits = {"skill": checks.Limit(warning_low=0.01, alert_low=0.0)}
    figures = REFERENCE | {"base_rate": 0.33, "log_loss": 0.63, "skill": 0.006, "f1": 0.0}
    results = checks.performance(REFERENCE, figures, 5000, None, limits)
    loss = next(check for check in results if check.code == "log_loss")
    assert loss.verdict == "not_applicable"
    assert str(loss.text).startswith("Log loss is lower, but that is not an improvement")
    assert str(loss.text).endswith("Always predicting the base rate gives 0.6342.")
    outside = checks.Check(
        "outside_support", "", "support", 0.6, 0.01, "", "alert", "60% of the rows lie elsewhere."
    )
    verdict = checks.conclude([*results, outside], "3s", "2s")
    assert verdict.code == "does_not_fit"
    text = str(verdict.text)
    assert "F1" in text
    assert "Log loss is lower, but that is not an improvement" in text
    assert verdict.params["facts"][0].params == {"share": 0.6}


@pytest.mark.parametrize("group", ["support", "output"])
def test_a_warning_about_answers_or_support_is_named_and_watched(group: str) -> None:
    conclusion = checks.conclude(
        [check("performance", "ok"), check(group, "warning", "q")], "3s", "2s"
    )
    assert conclusion.code == "watch"
    assert conclusion.text.params["sentences"][0].params == {"checks": ["q"]}


@pytest.mark.parametrize("group", ["support", "output", "input"])
def test_nothing_without_labels_says_more_than_investigate(group: str) -> None:
    results = [check("performance", "ok"), check(group, "alert")]
    assert checks.conclude(results, "new", "old").code == "investigate"


def test_a_slice_is_reported_only_where_its_gap_moved() -> None:
    names = ["column", "value", "rows", "gap", "low", "high"]
    reference = pd.DataFrame(
        [("zone", "near", 500, 0.15, 0.1, 0.2), ("zone", "far", 500, 0.0, -0.05, 0.05)],
        columns=names,
    )
    current = reference.assign(gap=[0.16, 0.2], low=[0.11, 0.15], high=[0.21, 0.25])
    results = checks.slices(current, reference)
    assert [(check.code, check.verdict) for check in results] == [("slice.zone=far", "warning")]
    assert not checks.slices(current.assign(rows=99), reference)


def test_limits_set_by_a_person_say_so() -> None:
    mine = {"f1": checks.Limit(alert_low=0.49, source="set")}
    by_code = {
        check.code: check for check in checks.performance(REFERENCE, REFERENCE, 500, None, mine)
    }
    assert (by_code["f1"].verdict, by_code["f1"].alert_low) == ("ok", 0.49)
    assert str(by_code["f1"].threshold) == "alert: below 0.49; set by a person"
    worse = checks.performance(REFERENCE, REFERENCE | {"f1": 0.48}, 500, None, mine)
    assert {check.code: check.verdict for check in worse}["f1"] == "alert"
