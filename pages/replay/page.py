"""Replay: labelled history under several retraining policies."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from core.data import snapshots
from core.jobs import jobs
from core.platform import tracking
from core.platform.config import Settings
from core.platform.messages import _, current, day, loads, number
from core.retraining import replay, replay_charts, replay_store
from core.retraining.injection import Injection
from core.retraining.records import ReplayRun
from core.retraining.simulation import titled
from core.training import candidates as kinds
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


def form() -> None:
    snapshot = snapshots.current(settings)
    if snapshot is None:
        st.info(_("There are no rows to replay yet. Acquire some first."))
        elements.step_link("acquire", _("Go to Acquire"))
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
    end = pd.Timestamp(progress["end"].iloc[-1], unit="s").date()
    counts = progress.groupby("policy", sort=False)[["is_alarm", "is_retrained"]].sum()
    tally = [
        _(
            "{policy}: alarms {alarms:,}, retrainings {retrainings:,}",
            policy=titled(policy),
            alarms=int(count.is_alarm),
            retrainings=int(count.is_retrained),
        )
        for policy, count in zip(counts.index, counts.itertuples(), strict=True)
    ]
    st.caption(_("Replayed until {day}. {tally}.", day=end, tally="; ".join(tally)))
    if progress["window"].nunique() > 1:
        elements.chart(replay_charts.log_loss(progress))


def result(run: tracking.RunInfo) -> None:
    outcome = ReplayRun.of(run)
    policies = stored_table(run, "policies")
    # doing nothing comes first
    baseline = policies["policy"].iloc[0]
    draw = st.success if (policies["gain_low"].iloc[1:] > 0).any() else st.info
    draw(f"**{outcome.answer}**", icon=":material/gavel:")
    of, begin = run.metrics, outcome.drift_begin
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            _(
                "{model} on {features} features, first trained on {first:,} rows; {rows:,} rows "
                "in {windows:,} windows from {begin} to {end}.",
                model=kinds.title(run.params["candidate"]),
                features=run.params["features_used"].count(",") + 1,
                first=int(of["rows_first_training"]),
                rows=int(of["rows_replayed"]),
                windows=int(of["windows"]),
                begin=day(run.params["from"]),
                end=day(run.params["until"]),
            ),
            width="content",
        )
        elements.run_link(run.run_id, "Simulacao")
        if run.is_sample:
            elements.sample_badge()
    if begin is not None:
        drift = elements.plain(drift_of(settings, run.run_id, current()))
        st.markdown(_(":red[:material/bolt:] Injected: {drift}.", drift=drift))
    table(policies, has_drift=begin is not None)
    windows = stored_table(run, "windows")
    st.markdown(_("**Log loss of each window**"))
    elements.chart(replay_charts.log_loss(windows, drift_begin=begin))
    st.caption(
        _(
            "By all labels, including those that came too late to act on. Where lines overlap, "
            "the policies had the same model."
        )
    )
    if len(policies) > 1:
        st.markdown(_("**What each policy gained over doing nothing**"))
        elements.chart(replay_charts.gain(windows, baseline=baseline, drift_begin=begin))
    decided(stored_table(run, "decisions"))
    store(run.run_id)


def table(policies: pd.DataFrame, *, has_drift: bool) -> None:
    shown = {
        _("Policy"): [str(titled(policy)) for policy in policies["policy"]],
        _("Mean log loss"): [number(loss, ".4f") for loss in policies["log_loss"]],
        _("Less than doing nothing"): ["–", *map(gain, policies.iloc[1:].itertuples())],
        _("Retrainings"): policies["retrainings"].map(number).to_list(),
        _("Windows with an alarm"): policies["alarms"].map(number).to_list(),
        _("Only the input in alert"): policies["input_alerts"].map(number).to_list(),
    }
    if has_drift:
        shown |= {
            _("First alarm after"): [
                _("never")
                if pd.isna(days)
                else _("{days:,} days, {rows:,} rows", days=round(days), rows=round(rows))
                for days, rows in policies[["detection_days", "detection_rows"]].itertuples(
                    index=False
                )
            ],
            _("Alarms before the drift"): [
                number(count, ",.0f") for count in policies["false_alarms"]
            ],
        }
    st.table(pd.DataFrame(shown), hide_index=True)
    about_alarms = (
        _(
            "Those before the injected drift are counted separately; in real rows they may still "
            "be true."
        )
        if has_drift
        else _(
            "No drift was injected; in real rows an alarm may be true all the same, so none is "
            "called false."
        )
    )
    st.caption(
        " ".join(
            (
                _("An alarm is a check of performance in alert."),
                about_alarms,
                _("Below each difference is its 95% interval."),
            )
        )
    )


def gain(row: Any) -> str:
    if not row.gain_low < row.gain_high:
        return _("the same model")
    interval = _("{low:+.4f} to {high:+.4f}", low=row.gain_low, high=row.gain_high)
    return f"{number(row.gain, '+.4f')}  \n:small[:gray[{interval}]]"


def decided(decisions: pd.DataFrame) -> None:
    st.subheader(_("Decisions"), anchor=False)
    every = st.toggle(_("All, not only those to retrain"), key="every_decision")
    shown = decisions if every else decisions[decisions["decision"] == "retrain"]
    if shown.empty:
        st.caption(_("No policy decided to retrain."))
        return
    config = st.column_config
    st.dataframe(
        pd.DataFrame(
            {
                "window": shown["window"].to_list(),
                "day": pd.to_datetime(shown["at"], unit="s").dt.date.to_list(),
                "policy": [str(titled(policy)) for policy in shown["policy"]],
                "decision": [str(loads(title)) for title in shown["title"]],
                "reasons": [str(loads(reasons)) for reasons in shown["reasons"]],
                "trained": [trained(row) for row in shown.itertuples()],
            }
        ),
        hide_index=True,
        width="stretch",
        column_config={
            "window": _("At the end of"),
            "day": config.DateColumn(_("Day")),
            "policy": _("Policy"),
            "decision": _("Decision"),
            "reasons": _("Why"),
            "trained": _("Trained"),
        },
    )


def trained(decision: Any) -> str:
    if decision.is_retrained:
        return _(
            "version {version} on {rows:,} rows",
            version=decision.version,
            rows=decision.rows_trained,
        )
    return _("nothing: no rows came after") if decision.is_too_late else "–"


def store(run_id: str) -> None:
    logs = [
        log for log in replay_store.stores(settings) if log.run_id == run_id and not log.is_open
    ]
    if not logs:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            _(
                "Its predictions log takes {size:,.1f} MB; the newest {count} are kept. The "
                "result stays without it.",
                size=logs[0].bytes / 1e6,
                count=replay_store.KEPT,
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


@st.cache_data(show_spinner=False, max_entries=64)
def drift_of(_settings: Settings, run_id: str, language: str) -> str:
    """Return the injected drift of a replay in words."""
    text = tracking.artifact(_settings, run_id, "settings.json").read_text(encoding="utf-8")
    return str(Injection(**json.loads(text)["options"]["injection"]).text)


def name_of(run: tracking.RunInfo) -> str:
    """Return the name of a replay in a list."""
    name = _(
        "{ago}: {model}, {features} features",
        ago=elements.ago(run.started),
        model=kinds.title(run.params["candidate"]),
        features=run.params["features_used"].count(",") + 1,
    )
    has_drift = ReplayRun.of(run).drift_begin is not None
    return name + ", " + _("with injected drift") if has_drift else name


def choose(done: list[tracking.RunInfo]) -> tracking.RunInfo:
    """Return the requested replay, by default the newest."""
    if len(done) == 1:
        return done[0]
    names = {run.run_id: name_of(run) for run in done}
    wanted = st.selectbox(
        _("Replay shown"), list(names), format_func=names.__getitem__, key=f"shown-{done[0].run_id}"
    )
    return next(run for run in done if run.run_id == wanted)


with elements.show_errors():
    elements.header(
        _("Replay"),
        _(
            "Replays the labelled rows in the order of time: a model is trained on the first, "
            "predicts the rest, and each retraining policy sees only the labels known by then. It "
            "shows what monitoring and retraining would have gained. Your models and your "
            "predictions log stay as they are."
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
