"""A step as a background job: how a page starts it, shows it and how it ended."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st
from pydantic import ValidationError

from core.jobs import chains, jobs, supervision
from core.jobs.jobs import Job
from core.platform import config, permissions
from core.platform import table_files as export
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import _, number
from pages.shared import login, navigation
from pages.shared.elements import (
    capital,
    download,
    fact,
    fixed_table,
    named,
    plain,
    show_errors,
    table,
    verdict_badge,
    words,
)
from pages.shared.navigation import STEPS

POLL_SECONDS = 0.5


def submit(settings: Settings, step: str, options: type[config.Options], **values: Any) -> bool:
    """Start a step as a background job, or show why that is not possible; return which."""
    if "decided_by" in options.model_fields and (person := login.logged_in()):
        values["decided_by"] = person
    try:
        chosen = options(**values)
    except ValidationError as error:
        st.error(plain(str(config.sentence(error))), icon=":material/error:")
        return False
    with show_errors():
        jobs.submit(settings, step, chosen.model_dump(mode="json"))
        # that of a further project is started by its first job
        supervision.keep_supervisor(settings)
        return True
    return False


def is_going(settings: Settings, step: str) -> bool:
    """Return whether a job of a step waits or runs."""
    return any(job.step == step for job in jobs.active(settings))


def is_locked(settings: Settings, step: str) -> bool:
    """Return whether a step cannot be started now: it runs, or the role does not allow it."""
    return not permissions.may(step) or is_going(settings, step)


def job_panel(settings: Settings, step: str) -> bool:
    """Show a step's waiting or running jobs, or else how the newest ended.

    Returns whether any waits or runs. Failures can be dismissed.
    """
    going = [job for job in jobs.active(settings) if job.step == step]
    for job in going:
        st.fragment(_running, run_every=POLL_SECONDS)(settings, job.job_id)
    newest = jobs.latest(settings, step, limit=1)
    if newest and not going and st.session_state.get("put-away") != newest[0].job_id:
        _ended(settings, newest[0])
    return bool(going)


def running_chain(settings: Settings) -> chains.Chain | None:
    """Return the chain that is running, if any."""
    chain = chains.current(settings)
    return chain if chain is not None and chain.state == "running" else None


def chain_panel(settings: Settings, *own: str) -> bool:
    """Show the step at which a running chain is, and return whether there is such a chain.

    Parameters
    ----------
    own : str
        Steps whose jobs the page shows anyway.
    """
    chain = running_chain(settings)
    current = chain.current if chain is not None else None
    if current is None:
        return False
    st.info(
        _("{step} is running.", step=STEPS[current.step][1]), icon=":material/progress_activity:"
    )
    if current.step not in own:
        job_panel(settings, current.step)
    return True


@show_errors()
def _running(settings: Settings, job_id: str) -> None:
    job = jobs.get(settings, job_id)
    if job is None or job.status not in ("queued", "running"):
        if job is not None and job.status == "done":
            # stays over the page that is drawn now
            st.toast(named(STEPS[job.step][1], fact(job.text)), icon=":material/check:")
        st.rerun()
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        if job.status == "queued":
            text = capital(_("queued"))
        else:
            text = fact(job.text) or capital(_("running"))
        seconds = time.time() - (job.started or job.created)
        st.progress(min(max(job.fraction, 0.0), 1.0), text=f"{text} · {number(seconds, '.0f')} s")
        st.button(
            _("Cancel"),
            icon=":material/close:",
            key=f"cancel-{job_id}",
            on_click=_cancel,
            args=(settings, job_id),
            disabled=not permissions.may("job"),
        )
    worker = supervision.worker_state(settings)
    if worker.problem and not worker.alive:
        st.caption(words(worker.problem))
    elif job.status == "running" and not worker.ready:
        # it has died: no progress shows until another worker has ended the job
        st.caption(_("{name} is starting (about {seconds} s)", name=_("Worker"), seconds=15))


@show_errors()
def _cancel(settings: Settings, job_id: str) -> None:
    jobs.cancel(settings, job_id)


def _ended(settings: Settings, job: Job) -> None:
    name = STEPS[job.step][1]
    if job.status not in ("failed", "cancelled"):
        return
    if job.status == "failed":
        st.error(
            _("**{step} failed.** {reason}", step=name, reason=fact(job.error)),
            icon=":material/error:",
        )
    else:
        st.warning(_("{step} was cancelled. Earlier results are unchanged.", step=name))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            _("Dismiss"),
            icon=":material/close:",
            key=f"put-away-{job.job_id}",
            on_click=_put_away,
            args=(job.job_id,),
        )
        if job.run_id:
            navigation.run_link(job.run_id)
    if job.run_id and job.status == "failed":
        validation(settings, job.run_id)


def _put_away(job_id: str) -> None:
    st.session_state["put-away"] = job_id


def validation(settings: Settings, run_id: str) -> None:
    """Show a run's findings on its rows, if it validated them, and offer them as a file."""
    try:
        findings = table(settings, run_id, "validation")
    except NotReadyError:
        return
    if findings.empty:
        return
    counts = findings["rows"].astype(float)
    fixed_table(
        {
            _("Finding"): [verdict_badge(severity) for severity in findings["severity"]],
            _("Rows"): [number(rows, ",.0f") if rows == rows else "–" for rows in counts],
            _("First rows"): [fact(where) for where in findings["where"]],
            _("What it means"): [fact(text) for text in findings["text"]],
        }
    )
    download(
        f"{_('Finding')} (CSV)",
        lambda: export.csv(findings),
        f"validation_{run_id[:12]}.csv",
        key=f"validation-{run_id}",
    )
