"""What a policy decides: each strategy, what never retrains, and evidence used only once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydantic import ValidationError

from core.retraining import policy, policy_evidence
from core.retraining.policy import MORE_WINDOWS, Decision, Policy
from core.retraining.policy_evidence import Window
from core.stats.check import FIND_OUT, FIND_OUT_ONLY
from core.stats.forecast import DAY

REACTIVE = Policy(strategy="reactive", k=2, n=3)
PREDICTIVE = Policy(strategy="predictive", horizon_days=90)


def window(number: int, *, labels: int = 500, loss: float = 0.65, **verdicts: str) -> Window:
    """A window of 10 days; keyword `performance_x="alert"` is the check x of that group."""
    split = {key.split("_", 1)[1]: (key.split("_", 1)[0], value) for key, value in verdicts.items()}
    return Window(
        run_id=f"run{number}",
        begin=10 * number * DAY,
        end=(10 * number + 9) * DAY,
        rows=1000,
        labels=labels,
        values={"log_loss": loss} if labels else {},
        verdicts={"log_loss": "ok", **{code: verdict for code, (_, verdict) in split.items()}},
        groups={"log_loss": "performance", **{code: group for code, (group, _) in split.items()}},
        limits={"log_loss": (None, 0.70)},
    )


def decide(by: Policy, windows: Sequence[Window], **more: object) -> Decision:
    now = windows[-1].end if windows else 0.0
    return policy.decide(by, windows, trained_at=0.0, **{"now": now, **more})


def test_k_of_n_windows_with_enough_labels_trigger_a_retraining() -> None:
    failing = {"performance_skill": "alert"}
    single_alert = decide(REACTIVE, [window(0), window(1), window(2, **failing)])
    two_alerts = decide(REACTIVE, [window(0, **failing), window(1), window(2, **failing)])
    too_old = decide(REACTIVE, [window(0, **failing), window(1), window(2), window(3, **failing)])
    few_labels = decide(
        REACTIVE, [window(0, **failing), window(1), window(2, labels=99, **failing)]
    )
    assert [decision.code for decision in (single_alert, two_alerts, too_old, few_labels)] == [
        "wait",
        "retrain",
        "wait",
        "wait",
    ]
    assert two_alerts.evidence == ("run0", "run2")
    assert "Skill" in str(two_alerts.reasons[0])


@pytest.mark.parametrize("by", [REACTIVE, PREDICTIVE, Policy(strategy="reactive", k=1, n=1)])
@pytest.mark.parametrize(
    "moved",
    [
        {"input_psi.x": "alert"},
        {"output_psi.courtside_probability": "alert"},
        {"support_domain_auc": "alert"},
        {"support_estimated_log_loss": "alert"},
        {"performance_estimated_log_loss": "alert"},
    ],
)
@pytest.mark.parametrize("labels", [0, 500])
def test_checks_other_than_performance_never_retrain(
    by: Policy, moved: dict[str, str], labels: int
) -> None:
    decision = decide(by, [window(i, labels=labels, **moved) for i in range(8)])
    assert decision.code == "investigate"
    assert "run7" in decision.evidence
    assert decision.todo == (FIND_OUT_ONLY if labels else FIND_OUT)


def test_the_same_evidence_does_not_trigger_twice() -> None:
    failing = {"performance_skill": "alert"}
    windows = [window(i, **failing) for i in range(3)]
    used = {used_window.run_id for used_window in windows}
    assert decide(REACTIVE, windows).code == "retrain"
    assert decide(REACTIVE, windows, used=used).code == "wait"
    assert decide(REACTIVE, [*windows, window(3, **failing)], used=used).code == "wait"
    again = decide(REACTIVE, [*windows, window(3, **failing), window(4, **failing)], used=used)
    assert (again.code, again.evidence) == ("retrain", ("run3", "run4"))


def test_nothing_is_retrained_while_a_challenger_waits() -> None:
    windows = [window(i, performance_skill="alert") for i in range(2)]
    decision = decide(REACTIVE, windows, waiting="Version 7")
    assert decision.code == "wait"
    assert "Version 7" in str(decision.title)


def test_without_a_policy_what_to_do_depends_on_the_last_retraining() -> None:
    windows = [window(0, performance_skill="alert")]
    no_policy = Policy()
    before = decide(no_policy, windows)
    after = decide(no_policy, windows, used={windows[0].run_id})
    assert (before.code, before.todo) == ("person", policy.BY_HAND)
    assert (after.code, after.todo) == ("person", policy.NOT_PROMOTED)
    waits = decide(no_policy, windows, used={windows[0].run_id}, waiting="Version 7")
    assert waits.code == "wait"


def test_a_trend_triggers_before_the_limit_is_crossed() -> None:
    windows = [window(i, loss=0.65 + 0.005 * i) for i in range(6)]
    decision = decide(PREDICTIVE, windows)
    assert decision.code == "retrain"
    assert "log loss" in str(decision.reasons[0]).lower()
    near = PREDICTIVE.model_copy(update={"horizon_days": 20.0})
    assert decide(near, windows).code == "none"
    shaken = [window(i, loss=loss) for i, loss in enumerate((0.65, 0.66, 0.645, 0.655, 0.66, 0.65))]
    assert decide(PREDICTIVE, shaken).code == "none"


def test_a_trend_says_how_many_windows_it_lacks() -> None:
    decision = decide(PREDICTIVE, [window(i, loss=0.65 + 0.01 * i) for i in range(3)])
    assert decision.code == "wait"
    assert decision.title == MORE_WINDOWS


def test_moved_predictions_support_a_forecast_and_never_decide_alone() -> None:
    rising = [window(i, loss=0.65 + 0.005 * i) for i in range(5)]
    moved = {"output_psi.courtside_probability": "alert"}
    decision = decide(PREDICTIVE, [*rising, window(5, loss=0.675, **moved)])
    assert decision.code == "retrain"
    assert "PSI: predicted probability" in str(decision.reasons[-1])
    assert decide(PREDICTIVE, [window(i, **moved) for i in range(6)]).code == "investigate"


def test_a_trend_counts_from_the_newest_window_however_late_it_is_asked() -> None:
    windows = [window(i, loss=0.6 + 0.001 * i) for i in range(6)]
    assert decide(PREDICTIVE, windows, now=windows[-1].end + 5000 * DAY).code == "none"


def test_the_calendar_waits_for_its_day() -> None:
    by = Policy(strategy="calendar", every_days=30)
    assert decide(by, [], now=29.9 * DAY).code == "none"
    assert decide(by, [], now=30 * DAY).code == "retrain"
    assert decide(by, [], now=30 * DAY, retrained_at=10 * DAY).code == "none"


def test_without_a_policy_nothing_is_decided() -> None:
    assert not Policy().is_on
    assert decide(Policy(), [window(0)]).code == "none"
    # and a model that does not fit is a person's matter, not "nothing to do"
    assert decide(Policy(), [window(0, performance_skill="alert")]).code == "person"


def test_a_repeated_report_is_no_second_evidence() -> None:
    again = window(0, performance_skill="alert")
    later = Window(**{**vars(again), "run_id": "later", "labels": 900})
    windows = policy_evidence.apart([again, window(1), later])
    assert [item.run_id for item in windows] == ["later", "run1"]


def test_k_is_at_most_n() -> None:
    with pytest.raises(ValidationError, match="`k = 3` must not be above `n = 2`"):
        Policy(k=3, n=2)


def test_without_a_policy_a_model_that_does_not_fit_is_left_to_a_person() -> None:
    """Colour and words follow the verdict, not the strategy."""
    failing = window(1, performance_skill="alert")
    for by in (Policy(), Policy(strategy="calendar", every_days=900)):
        decision = decide(by, [failing], now=failing.end)
        assert (decision.code, decision.evidence) == ("person", (failing.run_id,))
    assert decide(Policy(), [], now=0.0).code == "none"


ADVICE = {
    "does_not_fit": ("train_rows", "person"),
    "no_skill": ("train", "person"),
    "investigate": ("investigate", "investigate"),
    "cannot_tell": ("label", "wait"),
    "watch": ("threshold", "none"),
    "fits": ("wait", "none"),
}


@pytest.mark.parametrize("verdict", ADVICE)
@pytest.mark.parametrize("by", [Policy(), REACTIVE, Policy(strategy="calendar", every_days=900)])
@pytest.mark.parametrize("used", [(), ("run0",)])
def test_without_a_retraining_the_advice_is_that_of_the_verdict(
    by: Policy, verdict: str, used: tuple[str, ...]
) -> None:
    """Whatever the inputs do: Monitor and Retrain advise the same."""
    action, code = ADVICE[verdict]
    failing = {"performance_skill": "alert"} if verdict == "does_not_fit" else {}
    judged = replace(
        window(0, input_psi_x="alert", **failing),
        verdict=verdict,
        action=action,
        why="As said.",
        todo="Do this.",
    )
    decision = decide(by, [judged], used=used)
    assert (decision.action, decision.todo) == (action, "Do this.")
    if not by.is_on:
        assert decision.code == code
        # the reason is that of the verdict too
        assert code == "none" or decision.reasons[0] == "As said."


def test_a_policy_that_retrains_or_a_challenger_that_waits_comes_before_the_advice() -> None:
    bad = replace(
        window(0, performance_skill="alert"),
        verdict="does_not_fit",
        action="train_rows",
        todo="Do this.",
    )
    retrains = decide(Policy(strategy="reactive", k=1, n=1), [bad])
    assert (retrains.code, retrains.action, retrains.todo) == ("retrain", "", policy.RETRAINED)
    waits = decide(Policy(), [bad], waiting="Version 7")
    assert (waits.code, waits.action) == ("wait", "")
    # retrained on this report already, in vain
    again = replace(bad, action="retrain")
    assert decide(Policy(), [again], used={"run0"}).todo == policy.NOT_PROMOTED
