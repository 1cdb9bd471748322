"""Replay: the past once more, under several policies of retraining."""

import pandas as pd

from core.adapters import jobs, replays, snapshots, tracking
from core.logic import replay_charts
from core.steps import replay
from pages import _glass, _parts, _replay_form
from pages._bilingual import st

settings, spec = _parts.open_app()
STORE = settings.mlflow_uri
LOOK_SECONDS = 1.0
BASELINE = "Never"


def form() -> None:
    snapshot = snapshots.current(settings)
    if snapshot is None:
        st.info("There are no rows to replay yet. Acquire some first.")
        st.page_link("pages/acquire.py", label="Go to Acquire", icon=":material/arrow_forward:")
        return
    options = _replay_form.ask(settings, spec, snapshot.id)
    pressed = st.button("Replay", type="primary", icon=":material/replay:", key="replay")
    if pressed:
        _parts.submit(settings, "replay", replay.Options, **options)


@st.fragment(run_every=LOOK_SECONDS)
@_parts.told()
def live(job_id: str) -> None:
    """Draw the windows that have gone by so far."""
    job = jobs.get(settings, job_id)
    if job is None or job.run_id is None:
        return
    found = replays.told(settings, job.run_id)
    if found.empty:
        return
    last = found.iloc[-1]
    day = pd.Timestamp(last["end"], unit="s").date().isoformat()
    counts = found.groupby("policy", sort=False)[["is_alarm", "is_retrained"]].sum()
    told = "; ".join(
        f"{name}: alarms {count.is_alarm:,.0f}, retrainings {count.is_retrained:,.0f}"
        for name, count in zip(counts.index, counts.itertuples(), strict=True)
    )
    st.caption(f"It is {day}. {told}.")
    if found["window"].nunique() > 1:
        _parts.chart(replay_charts.log_loss(found))


def result(run: tracking.RunInfo) -> None:
    answer = run.tags["courtside.answer"]
    policies = kept(run, "policies")
    draw = st.info if answer.startswith("No policy") or len(policies) == 1 else st.success
    draw(f"**{answer}**", icon=":material/gavel:")
    of, begin = run.metrics, run.tags.get("courtside.drift_begin") or ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"{run.params['candidate_title']} on {run.params['features_used'].count(',') + 1} "
            f"features, first trained on {of['rows_first_training']:,.0f} rows; "
            f"{of['rows_replayed']:,.0f} rows in {of['windows']:,.0f} windows from "
            f"{run.params['from']} to {run.params['until']}.",
            width="content",
        )
        _parts.run_link(run.run_id, "Simulacao")
        if run.is_sample:
            _parts.sample_badge()
    if begin:
        st.markdown(f":red[:material/bolt:] Put in: {_parts.plain(run.params['drift'])}.")
    table(policies, has_drift=bool(begin))
    windows = kept(run, "windows")
    drift_begin = float(begin) if begin else None
    st.markdown("**Log loss of each window**")
    _parts.chart(replay_charts.log_loss(windows, drift_begin=drift_begin))
    st.caption(
        "By all labels, those that came too late to be acted on too. Where lines lie on each "
        "other, the policies had the same model."
    )
    if len(policies) > 1:
        st.markdown("**What each policy gained over doing nothing**")
        _parts.chart(replay_charts.gain(windows, baseline=BASELINE, drift_begin=drift_begin))
    decided(kept(run, "decisions"))
    store(run.run_id)


def table(policies: pd.DataFrame, *, has_drift: bool) -> None:
    gains = [
        "–"
        if row.policy == BASELINE
        else f"{row.gain:+.4f}  \n:small[:gray[{row.gain_low:+.4f} to {row.gain_high:+.4f}]]"
        if row.gain_low < row.gain_high
        else "the same model"
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
                "never" if pd.isna(days) else f"{days:,.0f} days, {rows:,.0f} rows"
                for days, rows in policies[["detection_days", "detection_rows"]].itertuples(
                    index=False
                )
            ],
            "Alarms before the drift": policies["false_alarms"].map("{:,.0f}".format),
        }
    st.table(pd.DataFrame(shown), hide_index=True)
    st.caption(
        "An alarm is a check of performance in alert. "
        + (
            "Those before the drift was put in are counted apart; in real rows one of them may "
            "still be true."
            if has_drift
            else "No drift was put in; in real rows an alarm may be true all the same, so none is "
            "called false."
        )
        + " Below a difference stands its 95% interval."
    )


def decided(decisions: pd.DataFrame) -> None:
    st.subheader("Decisions", anchor=False)
    every = st.toggle("All, not only those to retrain", key="every_decision")
    shown = decisions if every else decisions[decisions["decision"] == "retrain"]
    if shown.empty:
        st.caption("No policy ever saw a reason to retrain.")
        return
    days = pd.to_datetime(shown["at"], unit="s").dt.date
    rows = [
        f"version {row.version} on {row.rows_trained:,} rows"
        if row.is_retrained
        else "nothing: no rows came after"
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
    found = [one for one in replays.stores(settings) if one.run_id == run_id and not one.is_open]
    if not found:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"Its predictions log takes {found[0].bytes / 1e6:,.1f} MB; the newest "
            f"{replays.KEPT} are kept. The result stays without it.",
            width="content",
        )
        st.button(
            "Remove its log", icon=":material/delete:", key="remove",
            on_click=remove, args=(run_id,),
        )  # fmt: skip


@_parts.told()
def remove(run_id: str) -> None:
    replays.remove(settings, run_id)


def kept(run: tracking.RunInfo, name: str) -> pd.DataFrame:
    return _parts.table(settings, STORE, run.run_id, name)


def choose(done: list[tracking.RunInfo]) -> tracking.RunInfo:
    """Return the replay that is asked for, the newest without."""
    if len(done) == 1:
        return done[0]
    names = {
        one.run_id: f"{_parts.ago(one.started)}: {one.params.get('candidate_title', '')}, "
        f"{one.params.get('features_used', '').count(',') + 1} features"
        f"{'' if one.params.get('drift', 'none') == 'none' else ', ' + one.params['drift']}"
        for one in done
    }
    wanted = st.selectbox(
        "Replay shown", list(names), format_func=names.__getitem__, key=f"shown-{done[0].run_id}"
    )
    return next(one for one in done if one.run_id == wanted)


with _parts.told():
    _parts.header(
        "Replay",
        "The labelled rows go by once more in the order of time: a model is trained on the first, "
        "answers the rest, and each policy of retraining sees only the labels that had come by "
        "then. It shows what monitoring and retraining would have been worth, and leaves your "
        "models and your predictions log alone.",
    )
    _parts.wait_for_store()
    with _parts.told():
        form()
    _parts.job_panel(settings, "replay")
    for job in jobs.active(settings):
        if job.step == "replay":
            live(job.job_id)
    done = tracking.runs(settings, step="replay", status="FINISHED", limit=20)
    if done:
        result(choose(done))
    elif snapshots.current(settings) is not None:
        st.info("No replay yet. Press Replay.")
_glass.panel(settings, "replay")
