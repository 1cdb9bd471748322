"""No model fits without shown skill, and a verdict's words come from its code and parameters."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from core.platform import messages
from core.platform.own_columns import PROBABILITY, shown
from core.retraining import policy
from core.retraining.policy import DAY, Policy
from core.retraining.policy_evidence import Window
from core.stats import checks, performance, slices, verdicts
from core.stats.check import (
    FIND_OUT,
    FIND_OUT_ONLY,
    MORE_ROWS,
    THRESHOLD_TODO,
    Action,
    Check,
    Conclusion,
    Limit,
    VerdictCode,
    one_sentence,
    threshold_fact,
    trained_on,
)

REFERENCE = {
    "log_loss": 0.68,
    "skill": 0.02,
    "roc_auc": 0.60,
    "f1": 0.50,
    "precision": 0.5,
    "recall": 0.5,
    "base_rate": 0.48,
    "mean_probability": 0.48,
    "positive_rate": 0.5,
}
NAMES = ("new rows", "old rows")


def skill(value: float, low: float, high: float, reference: float = 0.02) -> Check:
    fields: Any = ("skill", "Skill", "performance", value, reference, "", "ok", "", low, high)
    return Check(*fields)


def moved() -> Check:
    return Check("psi.x", "PSI: x", "input", 3.0, 0.0, "", "alert", "Moved far.")


@pytest.mark.parametrize(
    ("check", "others", "code"),
    [
        (skill(0.02, 0.01, 0.03), [], "fits"),
        # the case of the review: no better than the base rate, on either side
        (skill(-0.02, -0.09, 0.06, reference=-0.01), [], "no_skill"),
        (skill(-0.02, -0.09, 0.06), [], "cannot_tell"),
        (skill(0.005, -0.005, 0.015), [], "no_skill"),
        (skill(-0.05, -0.08, -0.01, reference=0.3), [], "no_skill"),
        (skill(0.01, -0.02, 0.04), [], "cannot_tell"),
        (skill(0.01, -0.02, 0.04), [moved()], "investigate"),
        (skill(0.005, -0.005, 0.015), [moved()], "no_skill"),
        # shown here, whatever the reference was
        (skill(0.02, 0.01, 0.03, reference=-0.01), [], "fits"),
    ],
)
def test_a_model_without_shown_skill_never_fits(
    check: Check, others: list[Check], code: str
) -> None:
    conclusion = checks.conclude([check, *others], *NAMES, labels=400)
    assert conclusion.code == code
    assert (conclusion.title, conclusion.text, conclusion.todo) == verdicts.wording(
        conclusion.code, conclusion.params
    )


def test_a_skill_without_an_interval_is_not_shown() -> None:
    check = Check("skill", "Skill", "performance", 0.02, 0.02, "", "ok", "")
    assert checks.conclude([check], *NAMES).code == "cannot_tell"


def test_cannot_tell_says_how_many_labels_are_missing() -> None:
    conclusion = checks.conclude([skill(0.01, -0.02, 0.04)], *NAMES, labels=500)
    assert conclusion.params["labels_needed"] == 2300
    assert "About 2,300 labels would show the skill" in str(conclusion.text)
    assert "there are 500." in str(conclusion.text)
    assert str(conclusion.todo) == "Add about 1,800 more labels, then monitor again."


def test_every_verdict_has_words() -> None:
    assert set(verdicts._WORDING) == set(get_args(VerdictCode))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"positive_rate": 0.0, "f1": 0.0, "precision": 0.0, "recall": 0.0}, "none_positive"),
        ({"positive_rate": 1.0, "f1": 0.2, "precision": 0.1, "recall": 1.0}, "all_positive"),
        ({"positive_rate": 0.1, "f1": 0.0, "precision": 0.0, "recall": 0.0}, "no_true_positive"),
    ],
)
def test_a_threshold_that_separates_no_rows_is_one_state_with_one_advice(
    changes: dict[str, float], state: str
) -> None:
    limits = {code: Limit(0.45, None, 0.25) for code in ("f1", "precision", "recall")}
    results = performance.performance(REFERENCE, REFERENCE | changes, 900, None, limits)
    by_code = {check.code: check for check in results}
    assert {by_code[code].state for code in ("f1", "precision", "recall")} == {state}
    assert by_code["f1"].verdict == "alert"
    assert {by_code[code].verdict for code in ("precision", "recall")} == {"not_applicable"}
    conclusion = checks.conclude(results, *NAMES, labels=900, positive="made")
    assert conclusion.params["facts"] == [threshold_fact(state, "made")]
    assert str(conclusion.text) == str(one_sentence(threshold_fact(state, "made")))
    assert (conclusion.action, conclusion.todo) == ("threshold", THRESHOLD_TODO)


def test_a_threshold_that_never_labels_any_row_is_reported_without_a_change() -> None:
    rare = REFERENCE | {
        "base_rate": 0.03,
        "mean_probability": 0.03,
        "positive_rate": 0.0,
        "f1": 0.0,
        "precision": 0.0,
        "recall": 0.0,
        "log_loss": 0.13,
    }
    between = {"skill": (0.01, 0.03)}
    results = performance.performance(rare, rare, 900, between)
    f1 = next(check for check in results if check.code == "f1")
    assert (f1.verdict, f1.text) == (
        "not_applicable",
        one_sentence(threshold_fact("none_positive")),
    )
    conclusion = checks.conclude(results, *NAMES, labels=900)
    assert conclusion.code == "watch"
    assert str(one_sentence(threshold_fact("none_positive"))) in str(conclusion.text)
    assert (conclusion.action, conclusion.todo) == ("threshold", THRESHOLD_TODO)


def test_no_check_of_performance_has_an_advice_beside_that_of_the_verdict() -> None:
    limits = {code: Limit(0.45, None, 0.25) for code in ("precision", "recall", "f1", "roc_auc")}
    bad = REFERENCE | {"precision": 0.2, "recall": 0.2, "f1": 0.2, "roc_auc": 0.2}
    results = performance.performance(REFERENCE, bad, 900, None, limits)
    assert {check.todo for check in results if check.verdict == "alert"} == {""}


def test_the_skill_is_given_once_and_its_text_says_the_scale() -> None:
    results = performance.performance(REFERENCE, REFERENCE | {"skill": -0.89, "log_loss": 1.3}, 900)
    check = next(check for check in results if check.code == "skill")
    assert (check.value, check.text.params) == (-0.89, {"base_rate": 0.48})


def test_a_slice_of_few_labels_in_the_reference_is_not_called_missing() -> None:
    names = ["column", "value", "rows", "gap", "low", "high"]
    current = pd.DataFrame(
        [("sex", "female", 300, 0.3, 0.2, 0.4), ("sex", "other", 300, 0.3, 0.2, 0.4)], columns=names
    )
    reference = pd.DataFrame([("sex", "female", 63, 0.0, -0.1, 0.1)], columns=names)
    texts = {check.code: str(check.text) for check in checks.slices(current, reference)}
    assert "(63 in the reference)" in texts["slice.sex=female"]
    assert "(0 in the reference)" in texts["slice.sex=other"]


def test_bands_of_numbers_are_the_same_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    sides = slices.in_bands(
        pd.DataFrame({"age": rng.normal(40, 9, 400), "kind": "a"}),
        pd.DataFrame({"age": rng.normal(50, 9, 300), "kind": [*["a"] * 299, None]}),
    )
    assert set(sides[1]["age"]) <= set(sides[0]["age"])
    assert sides[1]["kind"].isna().sum() == 1


@pytest.mark.parametrize(
    ("verdict", "code"), [("cannot_tell", "wait"), ("no_skill", "person"), ("fits", "none")]
)
def test_a_policy_does_not_call_unshown_skill_nothing_to_do(verdict: str, code: str) -> None:
    window = Window(
        "a1",
        0,
        DAY,
        500,
        500,
        {"skill": 0.0},
        {"skill": "ok"},
        {"skill": "performance"},
        {"skill": (0.0, None)},
        verdict,
    )
    reactive = Policy(strategy="reactive", k=1, n=1)
    assert policy.decide(reactive, [window], trained_at=0, now=DAY).code == code


def alarmed(code: str, value: float, reference: float | None = 0.6, **fields: Any) -> Check:
    group = fields.pop("group", "performance")
    return Check(code, code, group, value, reference, "", "alert", "", **fields)


AUC, F1 = alarmed("roc_auc", 0.539), alarmed("f1", 0.0, state="none_positive")
OUTSIDE = alarmed("outside_support", 0.514, group="support")


def test_a_model_that_does_not_fit_says_why_in_one_sentence_of_at_most_three_facts() -> None:
    many = [alarmed("calibration_error", 0.2), F1, AUC, moved(), OUTSIDE]
    conclusion = checks.conclude(many, *NAMES, labels=900, positive="made")
    facts = conclusion.params["facts"]
    assert [fact.params for fact in facts] == [
        {"share": 0.514},
        {"value": 0.539},
        {"positive": "made"},
    ]
    assert str(conclusion.text).startswith(f"{one_sentence(*facts)} ")
    # without rows elsewhere, the columns that moved; precision and recall are left to F1
    rates = [alarmed("precision", 0.1), alarmed("recall", 0.1), alarmed("f1", 0.1)]
    conclusion = checks.conclude([*rates, moved()], *NAMES, labels=900)
    columns, f1 = conclusion.params["facts"]
    assert columns.params == {"columns": ["x"]}
    assert f1.params == {"check": "f1", "value": 0.1, "before": 0.6}


def test_probabilities_that_are_off_do_not_blame_the_predicted_classes() -> None:
    results = performance.performance(
        REFERENCE, REFERENCE | {"mean_probability": 0.36, "base_rate": 0.48}, 9000
    )
    off = [replace(c, verdict="alert") for c in results if c.code == "calibration"]
    conclusion = checks.conclude(off, *NAMES, labels=9000, is_other_kind=True)
    (fact,) = conclusion.params["facts"]
    assert fact.params == {"predicted": 0.36, "observed": 0.48}
    assert (conclusion.code, conclusion.action) == ("does_not_fit", "retrain")
    assert "ranking" in str(conclusion.todo)


def test_a_check_of_the_probability_is_named_once_among_what_changed() -> None:
    probability = [
        alarmed(f"{kind}.{PROBABILITY}", 2.0, group="output", reference=None)
        for kind in ("psi", "ks")
    ]
    conclusion = checks.conclude([AUC, *probability], *NAMES, labels=900)
    assert conclusion.params["outputs"] == [shown(PROBABILITY)]


@pytest.mark.parametrize(
    ("judged", "about", "action"),
    [
        # the threshold is to blame only if nothing else is, and another one would help
        ([F1], {}, "threshold"),
        ([alarmed("precision", 0.1), alarmed("recall", 0.1), alarmed("f1", 0.1)], {}, "retrain"),
        ([F1, AUC], {"is_other_kind": True}, "train_rows"),
        ([F1, AUC], {}, "retrain"),
        # such rows were trained on already
        ([F1, AUC], {"is_other_kind": True, "trained_share": 0.6}, "train"),
        ([skill(-0.05, -0.08, -0.01)], {"is_other_kind": True}, "train_rows"),
        ([skill(-0.05, -0.08, -0.01)], {}, "train"),
        ([skill(0.02, 0.01, 0.03), moved()], {}, "investigate"),
        ([skill(0.01, -0.02, 0.04)], {"unlabelled": 30}, "label"),
        ([skill(0.02, 0.01, 0.03)], {}, "wait"),
    ],
)
def test_each_verdict_has_one_action(
    judged: list[Check], about: dict[str, Any], action: Action
) -> None:
    conclusion = checks.conclude(judged, *NAMES, labels=900, **about)
    assert (conclusion.action, conclusion.params["action"]) == (action, action)


def test_more_labels_are_asked_for_only_where_they_are_missing() -> None:
    for check, todo in (
        (skill(0.02, 0.01, 0.03), FIND_OUT_ONLY),
        (skill(0.01, -0.02, 0.04), FIND_OUT),
    ):
        conclusion = checks.conclude([check, moved()], *NAMES, labels=400)
        assert (conclusion.code, conclusion.todo) == ("investigate", todo)


def test_rows_of_the_training_set_never_simply_fit() -> None:
    good = [skill(0.02, 0.01, 0.03)]
    assert checks.conclude(good, *NAMES, labels=900, trained_share=0.001).code == "fits"
    conclusion = checks.conclude(good, *NAMES, labels=900, trained_share=0.62)
    assert (conclusion.code, conclusion.action) == ("watch", "wait")
    assert "62% of these rows" in str(conclusion.text)


def test_the_first_sentence_of_a_verdict_is_about_its_action() -> None:
    flat = replace(F1, verdict="not_applicable")
    conclusion = checks.conclude(
        [skill(0.02, 0.01, 0.03), flat], *NAMES, labels=900, positive="made", trained_share=0.67
    )
    reason, trained = conclusion.text.params["sentences"]
    assert (conclusion.code, conclusion.action) == ("watch", "threshold")
    assert reason == one_sentence(threshold_fact("none_positive", "made"))
    assert trained == trained_on(0.67)
    # the threshold is to blame, wherever the rows lie
    conclusion = checks.conclude([F1, OUTSIDE], *NAMES, labels=900, positive="made")
    assert (conclusion.code, conclusion.action) == ("does_not_fit", "threshold")
    assert conclusion.params["facts"][0] == threshold_fact("none_positive", "made")


@pytest.mark.parametrize("unlabelled", [0, 30])
def test_a_changed_prediction_of_a_model_with_skill_is_looked_into(unlabelled: int) -> None:
    """More rows or labels would not explain it: all checks of performance are fine."""
    odd = Check(f"psi.{PROBABILITY}", "PSI", "output", 0.13, 0.0, "", "warning", "")
    good = skill(0.02, 0.01, 0.03)
    conclusion = checks.conclude([good, odd], *NAMES, labels=2327, unlabelled=unlabelled)
    assert (conclusion.code, conclusion.action) == ("watch", "investigate")
    assert conclusion.todo == FIND_OUT_ONLY
    assert conclusion.text.params["sentences"][0].params == {"checks": [shown(PROBABILITY)]}


@pytest.mark.parametrize(("unlabelled", "action"), [(0, "wait"), (30, "label")])
def test_a_weaker_check_asks_for_labels_only_where_some_are_missing(
    unlabelled: int, action: Action
) -> None:
    weaker = replace(skill(0.02, 0.01, 0.03), verdict="warning")
    conclusion = checks.conclude([weaker], *NAMES, labels=2327, unlabelled=unlabelled)
    assert (conclusion.code, conclusion.action) == ("watch", action)
    assert conclusion.todo != MORE_ROWS


def every_conclusion() -> list[Conclusion]:
    """Return a conclusion of every verdict, some with all that it can say."""
    weak = Check("f1", "F1", "performance", 0.1, 0.5, "", "alert", "", state="none_positive")
    bare = Check("skill", "Skill", "performance", None, 0.02, "", "not_applicable", "No labels.")
    cases: list[list[Check]] = [
        [skill(0.02, 0.01, 0.03)],
        [replace(skill(0.02, 0.01, 0.03), verdict="warning")],
        [skill(0.02, 0.01, 0.03), moved()],
        [skill(0.02, 0.01, 0.03), moved(), weak],
        [skill(-0.02, -0.09, 0.06, reference=-0.01)],
        [skill(0.01, -0.02, 0.04)],
        [bare],
        [bare, moved()],
    ]
    return [checks.conclude(case, *NAMES, labels=400) for case in cases]


def test_every_verdict_is_a_short_headline_of_plain_words() -> None:
    conclusions = every_conclusion()
    assert {conclusion.code for conclusion in conclusions} == set(get_args(VerdictCode))
    for conclusion in conclusions:
        assert len(str(conclusion.title).split()) <= 12, str(conclusion.title)


def test_a_stored_verdict_reads_as_the_same_message() -> None:
    for conclusion in every_conclusion():
        parts = [conclusion.title, conclusion.text, conclusion.todo]
        assert [messages.loads(messages.dumps(part)) for part in parts] == parts
        kept = json.loads(json.dumps(messages.to_data(conclusion.params)))
        again = verdicts.wording(conclusion.code, messages.from_data(kept))
        assert [str(part) for part in again] == [str(part) for part in parts]
