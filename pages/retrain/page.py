"""Retrain: the policy's decision now and why, the policy, and past decisions."""

import pandas as pd
import streamlit as st

from core.jobs import jobs
from core.platform import clock, model_store, tracking
from core.platform.errors import CourtsideError
from core.platform.messages import _, sentences
from core.retraining import policy_evidence, policy_store, retrain, retrain_charts
from core.retraining.policy_settings import STRATEGIES, Policy
from core.stats.forecast import DAY
from pages.retrain import decision_list, policy_form
from pages.shared import code_snippets, drafts, elements, set_aside_list

settings, spec = elements.open_app()
drafts.hold("retrain", "strategy", "promotes", "reason", "policy-*")
CONFIDENCE = 1 - policy_evidence.ERROR_RATE / len(policy_evidence.FORECAST)
DRAW = {
    "retrain": st.warning,
    "wait": st.info,
    "investigate": st.warning,
    "person": st.error,
    "none": st.success,
}


@st.cache_data(show_spinner=False, max_entries=4)
def known(_settings: object, store: str, stamp: tuple[str, ...]) -> retrain.State:
    """Return the basis of a decision; `stamp` is a cache key of everything that affects it."""
    return retrain.state(settings, spec)


def read(champion: model_store.ModelVersion, decided: list[tracking.RunInfo]) -> retrain.State:
    newest = tracking.last_run(settings, "monitor")
    waiting = model_store.find_version(settings, spec.model, model_store.CHALLENGER)
    stamp = (
        champion.version,
        newest.run_id if newest else "",
        decided[0].run_id if decided else "",
        decided[0].status if decided else "",
        waiting.version if waiting else "",
    )
    return known(settings, settings.mlflow_uri, stamp)


def now(state: retrain.State, by: Policy) -> None:
    decision = retrain.decide(settings, by, state)
    # without a policy nothing was found to be well
    draw = DRAW[decision.code] if by.is_on or decision.code != "none" else st.info
    draw(f"**{decision.title}.** {elements.plain(str(sentences(*decision.reasons)))}")
    st.markdown(_("**To do:** {todo}", todo=decision.todo))
    champion = _("Champion: version {version}.", version=state.champion.version)
    strategy = _("Strategy: {strategy}.", strategy=STRATEGIES[by.strategy][0])
    windows = _(
        "Windows monitored: {count:,}, with enough labels: {labelled:,}.",
        count=len(state.windows),
        labelled=sum(window.labels >= by.min_labels for window in state.windows),
    )
    note = _("Computed from the store, without training.")
    st.caption(f"{champion} {strategy} {windows} {note}")
    if decision.evidence:
        with st.container(horizontal=True):
            for run_id in decision.evidence[-5:]:
                elements.run_link(run_id, _("Report"))


def buttons(*, going: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.button(
            _("Decide now"),
            icon=":material/gavel:",
            disabled=going,
            key="decide",
            help=_("Applies the policy, as after a report, and keeps the decision as a run."),
        ):
            elements.submit(settings, "retrain", retrain.Options, trigger="person")
        if going:  # an open popover would hide the progress
            st.button(_("Retrain now"), icon=":material/autorenew:", disabled=True, key="busy")
            return
        with st.popover(_("Retrain now"), icon=":material/autorenew:"):
            st.markdown(
                _(
                    "Trains the champion's recipe on its rows and those labelled since, "
                    "regardless of the policy, and evaluates the gate. The current prepared sets "
                    "are replaced by those of the retraining."
                )
            )
            reason = st.text_area(
                _("Reason, at least {count} characters", count=retrain.MIN_REASON),
                max_chars=2000,
                key="reason",
            )
            if st.button(_("Retrain"), type="primary", key="retrain"):
                if len(reason.strip()) < retrain.MIN_REASON:
                    st.error(_("Nothing was started. A manual retraining needs a written reason."))
                else:
                    elements.submit(
                        settings, "retrain", retrain.Options, trigger="person", reason=reason
                    )
                    st.rerun()


def forecast(state: retrain.State, by: Policy) -> None:
    st.subheader(_("Forecast"), anchor=False)
    windows = [window for window in state.windows if window.labels >= by.min_labels]
    codes = [
        code
        for code in policy_evidence.FORECAST
        if any(code in window.values for window in windows)
    ]
    if not codes:
        st.info(
            _(
                "No window of this champion has enough labels yet. Score rows, bring labels, "
                "monitor."
            )
        )
        return
    code = st.segmented_control(
        _("Metric"),
        codes,
        default=codes[0],
        required=True,
        format_func=lambda code: str(policy_evidence.titled(code)),
        key="forecast",
        label_visibility="collapsed",
    )
    own = [window for window in windows if code in window.values]
    start = min(clock.now(settings), own[-1].end)
    trends = {trend.code: trend for trend in policy_evidence.forecasts(by, windows, now=start)}
    mine = trends.get(str(code))
    low, high = own[-1].limits.get(str(code), (None, None))
    table = pd.DataFrame(
        {
            "time": [policy_evidence.middle(window) for window in own],
            "value": [window.values[str(code)] for window in own],
            "run": [window.run_id[:8] for window in own],
        }
    )
    if len({window.end for window in windows}) > 1:
        elements.chart(
            retrain_charts.trend(
                table,
                mine.trend if mine else None,
                name=str(policy_evidence.titled(str(code))),
                low=low,
                high=high,
                until=start + by.horizon_days * DAY,
                confidence=CONFIDENCE,
            )
        )
    if mine:
        st.markdown(elements.plain(str(policy_evidence.sentence(mine))))
        st.caption(
            _(
                "Dashed: the linear trend of the windows, with its {confidence:g}% band; red "
                "line: the alert limit; red section: when the trend may cross it.",
                confidence=100 * CONFIDENCE,
            )
        )
    else:
        st.caption(
            _(
                "{count} of the {needed} windows, at different times, that a trend needs.",
                count=len(own),
                needed=by.min_windows,
            )
        )


with elements.show_errors():
    elements.wait_for_store()
    champion = model_store.find_version(settings, spec.model, model_store.CHAMPION)
    elements.header(
        _("Retrain"),
        _(
            "When the model is retrained, and why. Only performance and calibration can trigger "
            "it; changed input is a reason to investigate."
        ),
        is_sample=bool(champion and champion.is_sample),
    )
    try:
        by, is_broken = policy_store.load(settings), False
    except CourtsideError as error:
        st.error(elements.plain(str(error)), icon=":material/error:")
        by, is_broken = Policy(), True
    if champion is None:
        st.info(_("There is no champion yet. Train a model first."))
        st.page_link("pages/train/page.py", label=_("Go to Train"), icon=":material/arrow_forward:")
    else:
        going = any(job.step in ("retrain", "promote") for job in jobs.active(settings))
        place = st.container()
        with elements.show_errors():
            decided = decision_list.runs(settings)
            state = read(champion, decided)
            if not is_broken:
                now(state, by)
            buttons(going=going)
            decision_list.challenger(settings, decided, state, going=going)
            set_aside_list.draw(settings, "retraining", "labels")
            forecast(state, by)
            decision_list.decisions(decided)
        policy_form.section(settings, by)
        with place:
            elements.job_panel(settings, "retrain")
            elements.job_panel(settings, "promote")
code_snippets.panel(settings, "retrain", "policy")
