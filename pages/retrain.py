"""Retrain: what the policy would do now and why, the policy, and the decisions so far."""

import pandas as pd

from core.adapters import clock, jobs, policies, tracking
from core.errors import CourtsideError
from core.logic import policy as rules
from core.logic import retrain_charts
from core.logic.forecast import DAY
from core.retraining import STRATEGIES, Policy
from core.steps import retrain
from pages import _glass, _parts, _policy_form, _retrainings
from pages._bilingual import st

settings, spec = _parts.open_app()
CONFIDENCE = 1 - rules.ERROR_RATE / len(rules.FORECAST)
DRAW = {"retrain": st.warning, "wait": st.info, "investigate": st.warning, "none": st.success}


@st.cache_data(show_spinner=False, max_entries=4)
def known(_settings: object, store: str, stamp: tuple[str, ...]) -> retrain.State:
    """Return what a decision is made by; `stamp` is of all that can change it."""
    return retrain.state(settings, spec)


def read(champion: tracking.ModelVersion, decided: list[tracking.RunInfo]) -> retrain.State:
    newest = tracking.last_run(settings, "monitor")
    waiting = tracking.find_version(settings, spec.model, tracking.CHALLENGER)
    stamp = (
        champion.version, newest.run_id if newest else "", decided[0].run_id if decided else "",
        decided[0].status if decided else "", waiting.version if waiting else "",
    )  # fmt: skip
    return known(settings, settings.mlflow_uri, stamp)


def now(found: retrain.State, by: Policy) -> None:
    decision = retrain.decide(settings, by, found)
    DRAW[decision.code](f"**{decision.title}.** {_parts.plain(' '.join(decision.reasons))}")
    st.markdown(f"**To do:** {decision.todo}")
    count = len(found.windows)
    labelled = sum(one.labels >= by.min_labels for one in found.windows)
    st.caption(
        f"Champion: version {found.champion.version}. Strategy: "
        f"{STRATEGIES[by.strategy][0].lower()}. Windows monitored: {count:,}, with enough "
        f"labels: {labelled:,}. Computed from the store; nothing is trained for it."
    )
    if decision.evidence:
        with st.container(horizontal=True):
            for run_id in decision.evidence[-5:]:
                _parts.run_link(run_id, "Report")


def buttons(*, going: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.button(
            "Decide now", icon=":material/gavel:", disabled=going, key="decide",
            help="Has the policy decide, as after a report, and keeps that as a run.",
        ):  # fmt: skip
            _parts.submit(settings, "retrain", retrain.Options, trigger="person")
        if going:  # an open popover would hide the progress
            st.button("Retrain now", icon=":material/autorenew:", disabled=True, key="busy")
            return
        with st.popover("Retrain now", icon=":material/autorenew:"):
            st.markdown(
                "Trains the champion's recipe on its rows and those that got a label since, "
                "whatever the policy says, and asks the gate. The prepared sets that stand are "
                "replaced by those of the retraining."
            )
            reason = st.text_area(
                f"Reason, at least {retrain.MIN_REASON} characters", max_chars=2000, key="reason"
            )
            if st.button("Retrain", type="primary", key="retrain"):
                if len(reason.strip()) < retrain.MIN_REASON:
                    st.error("Nothing was started. A retraining by hand needs a written reason.")
                else:
                    _parts.submit(
                        settings, "retrain", retrain.Options, trigger="person", reason=reason
                    )
                    st.rerun()


def forecast(found: retrain.State, by: Policy) -> None:
    st.subheader("Forecast", anchor=False)
    windows = [one for one in found.windows if one.labels >= by.min_labels]
    codes = [code for code in rules.FORECAST if any(code in one.values for one in windows)]
    if not codes:
        st.info(
            "No window of this champion has enough labels yet. Score rows, bring labels, monitor."
        )
        return
    code = st.segmented_control(
        "Metric", codes, default=codes[0], required=True, format_func=rules.titled,
        key="forecast", label_visibility="collapsed",
    )  # fmt: skip
    own = [one for one in windows if code in one.values]
    start = min(clock.now(settings), own[-1].end)
    trends = {one.code: one for one in rules.forecasts(by, windows, now=start)}
    mine = trends.get(str(code))
    low, high = own[-1].limits.get(str(code), (None, None))
    table = pd.DataFrame(
        {
            "time": [rules.middle(one) for one in own],
            "value": [one.values[str(code)] for one in own],
            "run": [one.run_id[:8] for one in own],
        }
    )
    if len({one.end for one in windows}) > 1:
        _parts.chart(
            retrain_charts.trend(
                table, mine.trend if mine else None, name=rules.titled(str(code)),
                low=low, high=high,
                until=start + by.horizon_days * DAY, confidence=CONFIDENCE,
            )
        )  # fmt: skip
    if mine:
        st.markdown(_parts.plain(rules.sentence(mine)))
        st.caption(
            f"Dashed: a straight line through the windows, with its {100 * CONFIDENCE:g}% band; "
            "red line: the alert limit; red stretch: when the line may cross it."
        )
    else:
        st.caption(
            f"{len(own)} of the {by.min_windows} windows, of different moments, that a trend needs."
        )


with _parts.told():
    _parts.wait_for_store()
    champion = tracking.find_version(settings, spec.model, tracking.CHAMPION)
    _parts.header(
        "Retrain",
        "When the model is trained again, and why. Only performance and calibration can ask for "
        "it; a changed input asks for a look.",
        is_sample=bool(champion and champion.is_sample),
    )
    try:
        by, is_broken = policies.load(settings), False
    except CourtsideError as error:
        st.error(_parts.plain(error.message), icon=":material/error:")
        by, is_broken = Policy(), True
    if champion is None:
        st.info("There is no champion yet. Train a model first.")
        st.page_link("pages/train.py", label="Go to Train", icon=":material/arrow_forward:")
    else:
        going = any(job.step in ("retrain", "promote") for job in jobs.active(settings))
        place = st.container()
        with _parts.told():
            decided = _retrainings.runs(settings)
            state = read(champion, decided)
            if not is_broken:
                now(state, by)
            buttons(going=going)
            _retrainings.challenger(settings, decided, state, going=going)
            forecast(state, by)
            _retrainings.decisions(decided)
        _policy_form.section(settings, by)
        with place:
            _parts.job_panel(settings, "retrain")
            _parts.job_panel(settings, "promote")
_glass.panel(settings, "retrain", "policy")
