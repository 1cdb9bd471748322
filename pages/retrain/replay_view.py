"""Replay: labelled history under several retraining policies."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from core.data import snapshots
from core.jobs import jobs
from core.platform import permissions, tracking
from core.platform.config import Settings
from core.platform.messages import Message, _, current, day, loads, n_, number, span
from core.platform.project import ProjectSpec
from core.retraining import replay, replay_charts, replay_rows, replay_store
from core.retraining.injection import Injection
from core.retraining.policy_comparison import titled
from core.retraining.records import ReplayRun
from core.training import candidates as kinds
from pages.retrain import replay_form
from pages.shared import drafts, elements, navigation, step_jobs, table_texts

HELD = (
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
CHARTS = {"log_loss": Message("Log loss"), "gain": Message("Gain")}
POLL_SECONDS = 1.0


def draw(settings: Settings, spec: ProjectSpec) -> None:
    """Draw the form, the running replay, and the result of the newest or the chosen one."""
    drafts.hold("replay", *HELD)
    snapshot = snapshots.current(settings)
    going = step_jobs.job_panel(settings, "replay")
    for job in jobs.active(settings):
        if job.step == "replay":
            st.fragment(_live, run_every=POLL_SECONDS)(settings, job.job_id)
    if reason := replay_rows.not_applicable(spec):
        st.info(elements.plain(str(reason)))
        return
    if snapshot is None:
        st.info(_("No raw data yet. Acquire it first."))
        navigation.go_to("acquire")
    else:
        with elements.show_errors():
            _form(settings, spec, snapshot.id, going=going)
            elements.without_weights(spec)
    done = tracking.runs(settings, step="replay", status="FINISHED", limit=20)
    if done:
        _result(settings, _choose(done))
    elif snapshot is not None and not going:
        st.caption(_("Nothing here yet."))


def _form(settings: Settings, spec: ProjectSpec, snapshot: str, *, going: bool) -> None:
    options, about = replay_form.ask(settings, spec, snapshot)
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            _("Replay"),
            type="primary",
            icon=":material/replay:",
            key="replay",
            disabled=not permissions.may("replay") or going,
            help=_(
                "Trains on the first rows and predicts the rest in order of time; each policy "
                "sees only the labels known by then. Your models stay as they are."
            ),
        )
        st.caption(about, width="content")
    if pressed and step_jobs.submit(settings, "replay", replay.Options, **options):
        st.rerun()


@elements.show_errors()
def _live(settings: Settings, job_id: str) -> None:
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
        f"**{titled(policy)}** {elements.named(_('Alarms'), number(int(count.is_alarm)))}, "
        + elements.named(_("Retrainings"), number(int(count.is_retrained)))
        for policy, count in zip(counts.index, counts.itertuples(), strict=True)
    ]
    st.caption(f"{day(end)}: {'; '.join(tally)}")
    if progress["window"].nunique() > 1:
        elements.chart(replay_charts.log_loss(progress))


def _result(settings: Settings, run: tracking.RunInfo) -> None:
    outcome, begin = ReplayRun.of(run), ReplayRun.of(run).drift_begin
    policies = elements.table(settings, run.run_id, "policies")
    # doing nothing comes first
    draw = st.success if (policies["gain_low"].iloc[1:] > 0).any() else st.info
    draw(f"**{outcome.answer}**", icon=":material/gavel:")
    if begin is not None:
        drift = elements.plain(_drift(settings, run.run_id, current()))
        st.markdown(f":red[:material/bolt:] {_('Drift')}: {drift}")
    _table(policies, has_drift=begin is not None)
    _charts(elements.table(settings, run.run_id, "windows"), str(policies["policy"].iloc[0]), begin)
    with st.expander(_("Details")):
        _subject(run)
        _decided(elements.table(settings, run.run_id, "decisions"))
        _store(settings, run.run_id)


def _subject(run: tracking.RunInfo) -> None:
    """Draw what was replayed, in a line, with its run."""
    of = run.metrics
    begin, end = day(run.params["from"]), day(run.params["until"])
    counts = (
        (_("Features"), run.params["features_used"].count(",") + 1),
        (_("First training"), of["rows_first_training"]),
        (_("Rows"), of["rows_replayed"]),
        (_("Window"), of["windows"]),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            " · ".join(
                (
                    str(kinds.title(run.params["candidate"])),
                    *(elements.named(name, number(count, ",.0f")) for name, count in counts),
                    _("{low} to {high}", low=begin, high=end),
                )
            ),
            width="content",
        )
        navigation.run_link(run.run_id, "Simulacao")
        if run.is_sample:
            elements.sample_badge()


def _charts(windows: pd.DataFrame, baseline: str, begin: float | None) -> None:
    """Draw the log loss of each policy, or its gain over doing nothing."""
    with st.container(horizontal=True, vertical_alignment="center"):
        place = st.container()
        shown = "log_loss"
        if windows["policy"].nunique() > 1:
            shown = elements.choose(
                _("View"), CHARTS, "replay-chart", default="log_loss", is_bare=True
            )
    if shown == "gain":
        drawn = replay_charts.gain(windows, baseline=baseline, drift_begin=begin)
    else:
        drawn = replay_charts.log_loss(windows, drift_begin=begin)
    place.markdown(
        f"**{CHARTS[shown]}**",
        help=_("Based on all labels, including those that arrived too late to act on."),
    )
    elements.chart(drawn)


def _table(policies: pd.DataFrame, *, has_drift: bool) -> None:
    shown = {
        _("Policy"): [str(titled(policy)) for policy in policies["policy"]],
        _("Log loss"): [number(loss, ".4f") for loss in policies["log_loss"]],
        _("Gain"): ["–", *map(_gain, policies.iloc[1:].itertuples())],
        _("Retrainings"): policies["retrainings"].map(number).to_list(),
        _("Alarms"): policies["alarms"].map(number).to_list(),
        _("Input-only alerts"): policies["input_alerts"].map(number).to_list(),
    }
    if has_drift:
        shown |= {
            _("First alarm after"): [
                "–"
                if pd.isna(days)
                else ", ".join(
                    (
                        n_("{count:,} day", "{count:,} days", round(days)),
                        n_("{count:,} row", "{count:,} rows", round(rows)),
                    )
                )
                for days, rows in policies[["detection_days", "detection_rows"]].itertuples(
                    index=False
                )
            ],
            _("Alarms before the drift"): [
                number(count, ",.0f") for count in policies["false_alarms"]
            ],
        }
    st.markdown(
        _("**What did each policy cost and gain?**"),
        help=_("An alarm is a check of performance in alert; in real rows it may be true."),
    )
    elements.fixed_table(shown)


def _gain(row: Any) -> str:
    if not row.gain_low < row.gain_high:
        return _("No difference")
    interval = span(row.gain_low, row.gain_high, "+.4f")
    return f"{number(row.gain, '+.4f')}  \n:small[:gray[{interval}]]"


def _decided(decisions: pd.DataFrame) -> None:
    every = st.toggle(_("All"), key="every_decision")
    shown = decisions if every else decisions[decisions["decision"] == "retrain"]
    if shown.empty:
        st.caption(_("No policy decided to retrain."))
        return
    config = st.column_config
    st.dataframe(
        table_texts.localized(
            pd.DataFrame(
                {
                    "window": shown["window"].to_list(),
                    "day": pd.to_datetime(shown["at"], unit="s").dt.date.to_list(),
                    "policy": [str(titled(policy)) for policy in shown["policy"]],
                    "decision": [str(loads(title)) for title in shown["title"]],
                    "reasons": [str(loads(reasons)) for reasons in shown["reasons"]],
                    "trained": [_trained(row) for row in shown.itertuples()],
                }
            )
        ),
        hide_index=True,
        width="stretch",
        column_config={
            "window": _("Window"),
            "day": config.DateColumn(_("When")),
            "policy": _("Policy"),
            "decision": _("Decision"),
            "reasons": _("Why"),
            "trained": _("Training set"),
        },
    )


def _trained(decision: Any) -> str:
    if decision.is_retrained:
        return f"{_('version {version}', version=decision.version)}, " + n_(
            "{count:,} row", "{count:,} rows", decision.rows_trained
        )
    return "–"


def _store(settings: Settings, run_id: str) -> None:
    logs = [
        log for log in replay_store.stores(settings) if log.run_id == run_id and not log.is_open
    ]
    if not logs:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            _(
                "Its predictions log takes {size:,.1f} MB; the newest {count} are kept. "
                "Removing it keeps the result.",
                size=logs[0].bytes / 1e6,
                count=replay_store.KEPT,
            ),
            width="content",
        )
        st.button(
            _("Remove"),
            icon=":material/delete:",
            key="remove",
            on_click=_remove,
            args=(settings, run_id),
            disabled=not permissions.may("replay"),
        )


@elements.show_errors()
def _remove(settings: Settings, run_id: str) -> None:
    replay_store.remove(settings, run_id)


@st.cache_data(show_spinner=False, max_entries=64)
def _drift(_settings: Settings, run_id: str, language: str) -> str:
    """Return the injected drift of a replay in words."""
    text = tracking.artifact(_settings, run_id, "settings.json").read_text(encoding="utf-8")
    return str(Injection(**json.loads(text)["options"]["injection"]).text)


def _name(run: tracking.RunInfo) -> str:
    """Return the name of a replay in a list."""
    name = f"{elements.ago(run.started)}: {kinds.title(run.params['candidate'])}"
    has_drift = ReplayRun.of(run).drift_begin is not None
    return f"{name}, {_('Drift')}" if has_drift else name


def _choose(done: list[tracking.RunInfo]) -> tracking.RunInfo:
    """Return the requested replay, by default the newest."""
    if len(done) == 1:
        return done[0]
    names = {run.run_id: _name(run) for run in done}
    wanted = st.selectbox(
        _("Replay"), list(names), format_func=names.__getitem__, key=f"shown-{done[0].run_id}"
    )
    return next(run for run in done if run.run_id == wanted)
