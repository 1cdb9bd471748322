"""Replay: labelled history under several retraining policies."""

import pandas as pd
import streamlit as st

from core.data import snapshots
from core.jobs import jobs
from core.platform import tracking
from core.platform.messages import Message, _
from core.retraining import replay, replay_charts, replay_store
from core.retraining.records import ReplayRun
from pages.replay import options_form
from pages.shared import code_snippets, drafts, elements

settings, spec = elements.open_app()
drafts.hold(
    "replay",
    "rows",
    "features",
    "candidate",
    "params-*",
    "window",
    "window_rows",
    "train_windows",
    "train_share",
    "delay",
    "share",
    "policies",
    "speed",
    "k",
    "n",
    "horizon",
    "least",
    "every",
    "drift*",
)
STORE = settings.mlflow_uri
POLL_SECONDS = 1.0
BASELINE = Message("Never")


def form() -> None:
    snapshot = snapshots.current(settings)
    if snapshot is None:
        st.info(_("There are no rows to replay yet. Acquire some first."))
        st.page_link(
            "pages/acquire/page.py", label=_("Go to Acquire"), icon=":material/arrow_forward:"
        )
        return
    options = options_form.ask(settings, spec, snapshot.id)
    pressed = st.button(_("Replay"), type="primary", icon=":material/replay:", key="replay")
    if pressed:
        elements.submit(settings, "replay", replay.Options, **options)


@st.fragment(run_every=POLL_SECONDS)
@elements.show_errors()
def live(job_id: str) -> None:
    """Draw the windows replayed so far."""
    job = jobs.get(settings, job_id)
    if job is None or job.run_id is None:
        return
    progress = replay_store.progress_of(settings, job.run_id)
    if progress.empty:
        return
    last = progress.iloc[-1]
    day = pd.Timestamp(last["end"], unit="s").date().isoformat()
    counts = progress.groupby("policy", sort=False)[["is_alarm", "is_retrained"]].sum()
    tally = "; ".join(
        _(
            "{name}: alarms {is_alarm:,.0f}, retrainings {is_retrained:,.0f}",
            name=name,
            is_alarm=count.is_alarm,
            is_retrained=count.is_retrained,
        )
        for name, count in zip(counts.index, counts.itertuples(), strict=True)
    )
    st.caption(_("It is {day}. {tally}.", day=day, tally=tally))
    if progress["window"].nunique() > 1:
        elements.chart(replay_charts.log_loss(progress))


def result(run: tracking.RunInfo) -> None:
    outcome = ReplayRun.of(run)
    policies = stored_table(run, "policies")
    draw = st.info if outcome.answer.startswith("No policy") or len(policies) == 1 else st.success
    draw(f"**{outcome.answer}**", icon=":material/gavel:")
    of, begin = run.metrics, outcome.drift_begin
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            _(
                "{candidate_title} on {value} features, first trained on "
                "{rows_first_training:,.0f} rows; {rows_replayed:,.0f} rows in {windows:,.0f} "
                "windows from {from_value} to {until}.",
                candidate_title=run.params["candidate_title"],
                value=run.params["features_used"].count(",") + 1,
                rows_first_training=of["rows_first_training"],
                rows_replayed=of["rows_replayed"],
                windows=of["windows"],
                from_value=run.params["from"],
                until=run.params["until"],
            ),
            width="content",
        )
        elements.run_link(run.run_id, "Simulacao")
        if run.is_sample:
            elements.sample_badge()
    if begin is not None:
        st.markdown(
            _(":red[:material/bolt:] Put in: {drift}.", drift=elements.plain(run.params["drift"]))
        )
    table(policies, has_drift=begin is not None)
    windows = stored_table(run, "windows")
    st.markdown(_("**Log loss of each window**"))
    elements.chart(replay_charts.log_loss(windows, drift_begin=begin))
    st.caption(
        _(
            "By all labels, those that came too late to be acted on too. Where lines lie "
            "on each other, the policies had the same model."
        )
    )
    if len(policies) > 1:
        st.markdown(_("**What each policy gained over doing nothing**"))
        elements.chart(replay_charts.gain(windows, baseline=BASELINE, drift_begin=begin))
    decided(stored_table(run, "decisions"))
    store(run.run_id)


def table(policies: pd.DataFrame, *, has_drift: bool) -> None:
    gains = [
        "–"
        if row.policy == BASELINE
        else _(
            "{gain:+.4f}  \n:small[:gray[{gain_low:+.4f} to {gain_high:+.4f}]]",
            gain=row.gain,
            gain_low=row.gain_low,
            gain_high=row.gain_high,
        )
        if row.gain_low < row.gain_high
        else _("the same model")
        for row in policies.itertuples()
    ]
    shown = {
        "Policy": policies["policy"],
        "Mean log loss": policies["log_loss"].map("{:.4f}".format),
        "Less than doing nothing": gains,
        "Retrainings": policies["retrainings"].map("{:,}".format),
        "Windows with an alarm": policies["alarms"].map("{:,}".format),
        "Only the input in alert": policies["input_alerts"].map("{:,}".format),
    }
    if has_drift:
        shown |= {
            "First alarm after": [
                "never"
                if pd.isna(days)
                else _("{days:,.0f} days, {rows:,.0f} rows", days=days, rows=rows)
                for days, rows in policies[["detection_days", "detection_rows"]].itertuples(
                    index=False
                )
            ],
            "Alarms before the drift": policies["false_alarms"].map("{:,.0f}".format),
        }
    st.table(pd.DataFrame(shown), hide_index=True)
    st.caption(
        (_("An alarm is a check of performance in alert.") + " ")
        + (
            _(
                "Those before the drift was put in are counted apart; in real rows one of them "
                "may still be true."
            )
            if has_drift
            else _(
                "No drift was put in; in real rows an alarm may be true all the same, so none "
                "is called false."
            )
        )
        + (" " + _("Below a difference stands its 95% interval."))
    )


def decided(decisions: pd.DataFrame) -> None:
    st.subheader(_("Decisions"), anchor=False)
    every = st.toggle(_("All, not only those to retrain"), key="every_decision")
    shown = decisions if every else decisions[decisions["decision"] == "retrain"]
    if shown.empty:
        st.caption(_("No policy ever saw a reason to retrain."))
        return
    days = pd.to_datetime(shown["at"], unit="s").dt.date
    rows = [
        _(
            "version {version} on {rows_trained:,} rows",
            version=row.version,
            rows_trained=row.rows_trained,
        )
        if row.is_retrained
        else _("nothing: no rows came after")
        if row.is_too_late
        else "–"
        for row in shown.itertuples()
    ]
    st.dataframe(
        pd.DataFrame(
            {
                "At the end of": shown["window"],
                "Day": days,
                "Policy": shown["policy"],
                "Decision": shown["title"],
                "Why": shown["reasons"],
                "Trained": rows,
            }
        ),
        hide_index=True,
        width="stretch",
    )


def store(run_id: str) -> None:
    logs = [
        log for log in replay_store.stores(settings) if log.run_id == run_id and not log.is_open
    ]
    if not logs:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            _(
                "Its predictions log takes {value:,.1f} MB; the newest {kept} are kept. The "
                "result stays without it.",
                value=logs[0].bytes / 1e6,
                kept=replay_store.KEPT,
            ),
            width="content",
        )
        st.button(
            _("Remove its log"),
            icon=":material/delete:",
            key="remove",
            on_click=remove,
            args=(run_id,),
        )


@elements.show_errors()
def remove(run_id: str) -> None:
    replay_store.remove(settings, run_id)


def stored_table(run: tracking.RunInfo, name: str) -> pd.DataFrame:
    return elements.table(settings, STORE, run.run_id, name)


def choose(done: list[tracking.RunInfo]) -> tracking.RunInfo:
    """Return the requested replay, by default the newest."""
    if len(done) == 1:
        return done[0]
    names = {
        run.run_id: _(
            "{started}: {value}, {value_2} features{value_3}",
            started=elements.ago(run.started),
            value=run.params.get("candidate_title", ""),
            value_2=run.params.get("features_used", "").count(",") + 1,
            value_3="" if run.params.get("drift", "none") == "none" else ", " + run.params["drift"],
        )
        for run in done
    }
    wanted = st.selectbox(
        _("Replay shown"), list(names), format_func=names.__getitem__, key=f"shown-{done[0].run_id}"
    )
    return next(run for run in done if run.run_id == wanted)


with elements.show_errors():
    elements.header(
        _("Replay"),
        _(
            "The labelled rows go by once more in the order of time: a model is trained on "
            "the first, answers the rest, and each policy of retraining sees only the "
            "labels that had come by then. It shows what monitoring and retraining would "
            "have been worth, and leaves your models and your predictions log alone."
        ),
    )
    elements.wait_for_store()
    with elements.show_errors():
        form()
    elements.job_panel(settings, "replay")
    for job in jobs.active(settings):
        if job.step == "replay":
            live(job.job_id)
    done = tracking.runs(settings, step="replay", status="FINISHED", limit=20)
    if done:
        result(choose(done))
    elif snapshots.current(settings) is not None:
        st.info(_("No replay yet. Press Replay."))
code_snippets.panel(settings, "replay")
