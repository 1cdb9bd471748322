"""The first five minutes: an introduction, and one button that runs everything."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from core.data import snapshots
from core.jobs import chains
from core.jobs.chains import Chain, Link
from core.monitoring.records import ReportRun
from core.platform import lifecycle, project, tracking
from core.platform.config import Settings
from core.platform.messages import Message, Words, _, number
from core.platform.project import ProjectSpec
from core.platform.tracking import RunInfo
from pages.shared import elements

Figure = Callable[[str, RunInfo], tuple[str, str]]
MARKS = {
    "done": ":green[:material/check_circle:]",
    "running": ":blue[:material/progress_activity:]",
    "queued": ":blue[:material/hourglass_top:]",
    "failed": ":red[:material/error:]",
    "cancelled": ":orange[:material/cancel:]",
    "": ":gray[:material/radio_button_unchecked:]",
}
TOUR = (
    (
        "pages/train/page.py",
        Message("Train"),
        Message("compare candidates, and see what their probabilities depend on"),
    ),
    (
        "pages/score/page.py",
        Message("Score"),
        Message("get predictions from the served model, for a row or a file"),
    ),
    ("pages/monitor/page.py", Message("Monitor"), Message("the verdict, its evidence, what to do")),
    (
        "pages/retrain/page.py",
        Message("Replay"),
        Message("simulate past years, and compare retraining policies"),
    ),
    (
        "pages/documents/page.py",
        Message("Documents"),
        Message("the finished documents, to read or download"),
    ),
)


def draw(settings: Settings, spec: ProjectSpec, figure: Figure) -> None:
    """Draw the introduction while a newcomer needs it.

    Parameters
    ----------
    figure : function
        Takes a step and its run, returns the key figure and its meaning.
    """
    with elements.show_errors():
        chain = chains.current(settings)
        if chain is not None:
            if chain.state == "running":
                st.fragment(_running, run_every=1)(settings, figure)
            else:
                _ended(settings, spec, chain, figure)
        elif snapshots.current(settings) is None:
            _first(settings, spec)


def _first(settings: Settings, spec: ProjectSpec) -> None:
    with st.container(border=True):
        st.subheader(_("What this is"), anchor=False)
        st.markdown(
            _(
                "Courtside takes a classifier from raw data to a model that is served, monitored "
                "and retrained. Each step is a run that can be opened, compared and repeated. "
                "The question of the included project: **{question}**",
                question=project.words(spec.question),
            )
        )
        st.markdown(
            _(
                "The model is trained on {development} and then applied to {production}. Does it "
                "still fit?",
                development=project.words(spec.rows.development_name),
                production=project.words(spec.rows.production_name),
            )
        )
        if spec.sample is not None:
            _button(settings, spec, "sample", Message("Run the whole life cycle on sample data"))
            st.caption(
                f"{project.words(spec.sample.about)} "
                + _("It takes about a minute. Nothing leaves this machine.")
            )
        st.markdown(_("Or go step by step with your own data, starting on the page Data."))


def _button(
    settings: Settings,
    spec: ProjectSpec,
    data: lifecycle.Source,
    label: Words,
    kind: str = "primary",
) -> None:
    st.button(
        str(label),
        type=kind,
        icon=":material/play_arrow:",
        key=f"whole-{data}",
        on_click=_start,
        args=(settings, data, label),
    )


@elements.show_errors()
def _start(settings: Settings, data: lifecycle.Source, label: Words) -> None:
    chains.start(settings, lifecycle.whole(data), label)


@elements.show_errors()
def _cancel(settings: Settings) -> None:
    chains.cancel(settings)


@elements.show_errors()
def _forget(settings: Settings) -> None:
    chains.forget(settings)


@elements.show_errors()
def _running(settings: Settings, figure: Figure) -> None:
    chain = chains.current(settings)
    if chain is None or chain.state != "running":
        st.rerun()
    with st.container(border=True):
        done = sum(link.job is not None and link.job.status == "done" for link in chain.links)
        current = chain.current
        part = current.job.fraction if current and current.job else 0.0
        seconds = time.time() - chain.began
        st.progress(
            min((done + part) / len(chain.links), 1.0),
            text=_(
                "Stage {stage} of {stages} · {seconds:.0f} s",
                stage=min(done + 1, len(chain.links)),
                stages=len(chain.links),
                seconds=seconds,
            ),
        )
        _stages(settings, chain, figure)
        st.button(_("Cancel all"), icon=":material/close:", on_click=_cancel, args=(settings,))


def _stages(settings: Settings, chain: Chain, figure: Figure) -> None:
    """Draw a line for each stage, from the start in full number, so that nothing jumps."""
    for link in chain.links:
        name = elements.STEPS[link.step][1]
        status = link.job.status if link.job else ""
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"{MARKS[status]} **{name}**", width=150)
            st.markdown(_stage_text(settings, link, figure), width="stretch")


def _stage_text(settings: Settings, link: Link, figure: Figure) -> str:
    job = link.job
    if job is None:
        return _(":gray[not yet]")
    if job.status == "done":
        run = tracking.finished_run(settings, job.run_id) if job.run_id else None
        seconds = (job.ended or 0) - (job.started or 0)
        if run is None:
            return _("done in {seconds:.0f} s", seconds=seconds)
        value, meaning = figure(link.step, run)
        return f"**{value}** {meaning} · {number(seconds, '.0f')} s"
    if job.status == "queued":
        return _("waits for the worker, which loads its libraries once (about 15 s)")
    return elements.plain(elements.words(job.error or job.text))


def _ended(settings: Settings, spec: ProjectSpec, chain: Chain, figure: Figure) -> None:
    with st.container(border=True):
        if chain.state == "done":
            _done(settings, spec, chain)
        else:
            _broken(settings, chain)
        with st.expander(_("Result of each stage"), expanded=chain.state != "done"):
            _stages(settings, chain, figure)
        st.button(
            _("Dismiss"),
            icon=":material/close:",
            on_click=_forget,
            args=(settings,),
            key="put-away-chain",
        )


def _done(settings: Settings, spec: ProjectSpec, chain: Chain) -> None:
    job = chain.links[-1].job
    run = tracking.finished_run(settings, job.run_id) if job and job.run_id else None
    if run is not None:
        report = ReportRun.of(run)
        st.subheader(
            f":material/monitor_heart: {elements.words(report.verdict_title)}"
            + elements.sample_mark(run.is_sample),
            anchor=False,
        )
        st.markdown(elements.words(report.verdict_text))
        st.markdown(_("**What to do:** {todo}", todo=elements.words(report.verdict_todo)))
        with st.container(horizontal=True):
            st.page_link(
                "pages/monitor/page.py",
                label=_("See the whole report"),
                icon=":material/arrow_forward:",
                query_params={"report": run.run_id},
            )
            elements.run_link(run.run_id, elements.words(run.name))
    snapshot = snapshots.current(settings)
    if snapshot is not None and snapshot.is_sample:
        st.markdown(
            _(
                "These results are from the sample. Run it on real {development} and {production}:",
                development=project.words(spec.rows.development_name),
                production=project.words(spec.rows.production_name),
            )
        )
        _button(
            settings,
            spec,
            "folder" if settings.raw_dir else "download",
            Message("Run on the real data"),
        )
    else:
        st.markdown(_("**Next pages**"))
        for page, name, about in TOUR:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.page_link(page, label=str(name), icon=":material/arrow_forward:", width=140)
                st.markdown(str(about))


def _broken(settings: Settings, chain: Chain) -> None:
    link = chain.current
    name = elements.STEPS[link.step][1] if link else ""
    if chain.state == "cancelled":
        st.warning(_("Cancelled at {step}. Results of earlier steps are unchanged.", step=name))
    else:
        reason = elements.words(link.job.error) if link and link.job else ""
        st.error(
            _("**{step} failed.** {reason}", step=name, reason=elements.plain(reason)),
            icon=":material/error:",
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            _("Try again from the start"),
            icon=":material/replay:",
            key="again",
            on_click=_again,
            args=(settings, chain),
        )
        if link is not None:
            page, name, icon = elements.STEPS[link.step]
            st.page_link(page, label=_("Go to {page}", page=name), icon=icon)


@elements.show_errors()
def _again(settings: Settings, chain: Chain) -> None:
    chains.start(settings, [(link.step, link.options) for link in chain.links], chain.title)
