"""The first five minutes: an introduction, and one button that runs everything."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.data import snapshots
from core.jobs import chains
from core.jobs.chains import Chain, Link
from core.monitoring.records import ReportRun
from core.platform import lifecycle, tracking
from core.platform.config import Settings
from core.platform.project import ProjectSpec
from core.platform.tracking import RunInfo
from pages.shared import elements
from pages.shared.bilingual import st

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
    ("pages/train/page.py", "Train", "compare candidates, and see where each one errs"),
    ("pages/explain/page.py", "Explain", "what the probabilities depend on"),
    ("pages/score/page.py", "Score", "ask the served model for one row, or for a file"),
    ("pages/monitor/page.py", "Monitor", "the verdict, its evidence, what to do"),
    ("pages/replay/page.py", "Replay", "let the years pass by, and compare rules of retraining"),
    ("pages/reports/page.py", "Reports", "the finished documents, to read or to take along"),
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
        st.subheader("What this is", anchor=False)
        st.markdown(
            "Courtside takes a classifier from raw data to a model that is served, watched and "
            "trained again. Each step is a run that can be opened, compared and repeated. The "
            f"project that comes with it asks: **{spec.question}**"
        )
        st.markdown(
            f"The model learns from {spec.rows.development_name}, and then meets "
            f"{spec.rows.production_name}. Does it still fit? See for yourself:"
        )
        if spec.sample is not None:
            _button(settings, spec, "sample", "Run the whole life cycle on sample data")
            st.caption(
                f"{spec.sample.about} It takes about a minute, and you watch each stage finish. "
                "Nothing leaves this machine."
            )
        st.markdown("Or go step by step, with your own data: it begins on the page Acquire.")


def _button(
    settings: Settings, spec: ProjectSpec, data: lifecycle.Source, label: str, kind: str = "primary"
) -> None:
    st.button(
        label,
        type=kind,
        icon=":material/play_arrow:",
        key=f"whole-{data}",
        on_click=_start,
        args=(settings, data, label),
    )


@elements.show_errors()
def _start(settings: Settings, data: lifecycle.Source, label: str) -> None:
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
            text=f"Stage {min(done + 1, len(chain.links))} of {len(chain.links)} · {seconds:.0f} s",
        )
        _stages(settings, chain, figure)
        st.button("Cancel all of it", icon=":material/close:", on_click=_cancel, args=(settings,))


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
        return ":gray[not yet]"
    if job.status == "done":
        run = tracking.finished_run(settings, job.run_id) if job.run_id else None
        seconds = (job.ended or 0) - (job.started or 0)
        if run is None:
            return f"done in {seconds:.0f} s"
        value, meaning = figure(link.step, run)
        return f"**{value}** {meaning} · {seconds:.0f} s"
    if job.status == "queued":
        return "waits for the worker, which loads its libraries once (about 15 s)"
    return elements.plain(job.error or job.text)


def _ended(settings: Settings, spec: ProjectSpec, chain: Chain, figure: Figure) -> None:
    with st.container(border=True):
        if chain.state == "done":
            _done(settings, spec, chain)
        else:
            _broken(settings, chain)
        with st.expander("Each stage, and what it came to", expanded=chain.state != "done"):
            _stages(settings, chain, figure)
        st.button(
            "Put this away",
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
            f":material/monitor_heart: {report.verdict_title}"
            + elements.sample_mark(run.is_sample),
            anchor=False,
        )
        st.markdown(report.verdict_text)
        st.markdown(f"**What to do:** {report.verdict_todo}")
        with st.container(horizontal=True):
            st.page_link(
                "pages/monitor/page.py",
                label="See the whole report",
                icon=":material/arrow_forward:",
                query_params={"report": run.run_id},
            )
            elements.run_link(run.run_id, run.name)
    snapshot = snapshots.current(settings)
    if snapshot is not None and snapshot.is_sample:
        st.markdown(
            f"These were rows of the sample. Now the same with real {spec.rows.development_name} "
            f"and {spec.rows.production_name}:"
        )
        _button(
            settings, spec, "folder" if settings.raw_dir else "download", "Now with the real data"
        )
    else:
        st.markdown("**Where to go from here**")
        for page, name, about in TOUR:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.page_link(page, label=name, icon=":material/arrow_forward:", width=140)
                st.markdown(about)


def _broken(settings: Settings, chain: Chain) -> None:
    link = chain.current
    name = elements.STEPS[link.step][1] if link else ""
    if chain.state == "cancelled":
        st.warning(f"Cancelled at {name}. What was done before stands.")
    else:
        error = link.job.error if link and link.job else ""
        st.error(f"**{name} failed.** {elements.plain(error or '')}", icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Try again from the start",
            icon=":material/replay:",
            key="again",
            on_click=_again,
            args=(settings, chain),
        )
        if link is not None:
            page, name, icon = elements.STEPS[link.step]
            st.page_link(page, label=f"Go to {name}", icon=icon)


@elements.show_errors()
def _again(settings: Settings, chain: Chain) -> None:
    chains.start(settings, [(link.step, link.options) for link in chain.links], chain.title)
