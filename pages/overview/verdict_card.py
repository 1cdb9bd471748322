"""The card on top: the verdict, its main reason, the open alerts, and the one next action."""

from __future__ import annotations

import time
from typing import Literal

import streamlit as st

from core.jobs import chains
from core.jobs.chains import Chain
from core.monitoring import incidents
from core.monitoring.records import ReportRun
from core.platform import clock, lifecycle, permissions, project, steps
from core.platform.config import Settings
from core.platform.messages import Message, Words, _, n_, number
from core.platform.project import ProjectSpec
from core.platform.tracking import RunInfo
from pages.overview.situation import Situation
from pages.shared import elements, navigation, project_choice, report_view

NAMED = 5
LIGHTS = {"fits": "green", "does_not_fit": "red", "no_skill": "red"}


def draw(settings: Settings, spec: ProjectSpec, seen: Situation) -> None:
    """Draw the card for the current situation."""
    with st.container(border=True, key="verdict-card"):
        if seen.chain is not None and seen.chain.state == "running":
            _running(settings, seen.chain, seen)
        elif seen.chain is not None and seen.chain.state != "done":
            _broken(settings, seen.chain)
        elif seen.is_empty:
            _first(settings, spec)
        else:
            _now(settings, spec, seen)


def _first(settings: Settings, spec: ProjectSpec) -> None:
    """Draw what Courtside does, and the button that does it."""
    st.markdown(
        _(
            "Courtside trains a model, serves it, and monitors whether it still fits. The question "
            "here: **{question}**",
            question=project.words(spec.question),
        )
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if spec.sample is not None:
            _whole(settings, "sample", Message("Run the whole life cycle on sample data"))
            st.page_link(
                project_choice.PAGE,
                label=_("Use your own data"),
                icon=":material/arrow_forward:",
                query_params={"view": "new"},
            )
        else:
            _go("acquire", _("Use your own data"))
        _alerts(settings)
    if spec.sample is not None:
        st.caption(
            _("Takes one or two minutes. Nothing leaves this machine."),
            help=str(project.words(spec.sample.about)),
        )


def _running(settings: Settings, chain: Chain, seen: Situation) -> None:
    current = chain.current
    done = sum(link.job is not None and link.job.status == "done" for link in chain.links)
    part = current.job.fraction if current and current.job else 0.0
    st.subheader(_("The life cycle is running") + _mark(seen.is_sample), anchor=False)
    st.progress(
        min((done + part) / len(chain.links), 1.0),
        text=f"{min(done + 1, len(chain.links))} / {len(chain.links)} · "
        f"{number(time.time() - chain.began, '.0f')} s",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            _("Cancel"),
            icon=":material/close:",
            on_click=_cancel,
            args=(settings,),
            disabled=not permissions.may("job"),
        )
        _alerts(settings)


def _broken(settings: Settings, chain: Chain) -> None:
    link = chain.current
    name = navigation.STEPS[link.step][1] if link else ""
    if chain.state == "cancelled":
        st.warning(_("{step} was cancelled. Earlier results are unchanged.", step=name))
    else:
        reason = elements.words(link.job.error) if link and link.job else ""
        st.error(
            _("**{step} failed.** {reason}", step=name, reason=elements.plain(reason)),
            icon=":material/error:",
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            _("Try again from the start"),
            type="primary",
            icon=":material/replay:",
            key="again",
            on_click=_again,
            args=(settings, chain),
            disabled=not permissions.may("acquire"),
        )
        if link is not None:
            navigation.go_to(link.step)
        _dismiss(settings)
        _alerts(settings)


def _now(settings: Settings, spec: ProjectSpec, seen: Situation) -> None:
    """Draw the newest verdict, and what comes next."""
    report = ReportRun.of(seen.report) if seen.report else ReportRun()
    active, following = seen.active, seen.next
    if active is not None:
        name = navigation.STEPS[active.stage.step][1]
        todo: Words = Message("{step} is running.", step=name)
    else:
        todo = following.todo if following else report_view.lead(report.verdict_todo)
    if seen.report is not None and seen.champion not in (None, report.version):
        st.subheader(elements.fact(todo) + _mark(seen.is_sample), anchor=False)
        about = _("version {version}", version=report.version)
        st.caption(elements.named(about, elements.words(report.verdict_title)))
    elif seen.report is not None and report.verdict_title:
        colour = LIGHTS.get(report.verdict, "orange")
        st.subheader(
            f":{colour}[:material/monitor_heart:] {elements.words(report.verdict_title)}"
            + _mark(seen.report.is_sample),
            anchor=False,
        )
        st.markdown(elements.fact(report_view.lead(report.verdict_text)))
        st.markdown(f"**{elements.fact(todo)}**")
    else:
        st.subheader(elements.fact(todo) + _mark(seen.is_sample), anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        if active is not None:
            _go(active.stage.step, _("Go to {page}", page=navigation.STEPS[active.stage.step][1]))
        elif following is not None:
            _go(following.step, _("Next: {name}", name=navigation.STEPS[following.step][1]))
        else:
            label = _("Go to {page}", page=navigation.STEPS["monitor"][1])
            _go("monitor", label, _report_query(seen.report))
            if seen.chain is not None and seen.is_sample:
                _whole(
                    settings,
                    "folder" if settings.raw_dir else "download",
                    Message("Run on the real data"),
                    kind="secondary",
                )
                _dismiss(settings)
        if seen.report is not None and (active is not None or following is not None):
            _report_link(seen.report)
        _alerts(settings)


def _mark(is_sample: bool) -> str:
    """Return the mark of sample data for a headline."""
    mark = elements.sample_mark(is_sample).strip()
    return f" :small[{mark}]" if mark else ""


def _report_query(run: RunInfo | None) -> dict[str, str]:
    return {"report": run.run_id} if run else {}


def _report_link(run: RunInfo | None) -> None:
    navigation.step_link("monitor", Message("Report"), **_report_query(run))


def _alerts(settings: Settings) -> None:
    """Link to the unacknowledged alerts, with their number; draw nothing without any."""
    fresh = [alert for found in incidents.standing(settings) for alert in found.unanswered]
    if not fresh:
        return
    label = n_(
        "{count} open alert, oldest {age} old",
        "{count} open alerts, oldest {age} old",
        len(fresh),
        age=elements.length(clock.now(settings) - min(alert.at for alert in fresh)),
    )
    named = [
        elements.fact(alert.title) + elements.sample_mark(alert.is_sample)
        for alert in fresh[:NAMED]
    ]
    if len(fresh) > NAMED:
        named.append(_("and {count} more", count=len(fresh) - NAMED))
    st.page_link(
        "pages/monitor/page.py",
        label=f":red[{label}]",
        icon=":material/notifications_active:",
        query_params={"view": "alerts"},
        help="; ".join(named),
    )


def _go(step: str, label: str, query: dict[str, str] | None = None) -> None:
    """Draw the primary button that leads to a step's page."""
    if st.button(label, type="primary", icon=":material/arrow_forward:", key="next"):
        of = steps.named(step)
        view = {"view": of.view} if of.view else {}
        st.switch_page(f"pages/{of.page}/page.py", query_params={**view, **(query or {})})


def _whole(
    settings: Settings,
    data: lifecycle.Source,
    label: Words,
    *,
    kind: Literal["primary", "secondary"] = "primary",
) -> None:
    st.button(
        str(label),
        type=kind,
        icon=":material/play_arrow:",
        key=f"whole-{data}",
        on_click=_start,
        args=(settings, data, label),
        disabled=not permissions.may("acquire"),
    )


def _dismiss(settings: Settings) -> None:
    st.button(
        _("Dismiss"),
        type="tertiary",
        icon=":material/close:",
        on_click=_forget,
        args=(settings,),
        key="put-away-chain",
        disabled=not permissions.may("job"),
    )


@elements.show_errors()
def _start(settings: Settings, data: lifecycle.Source, label: Words) -> None:
    chains.start(settings, lifecycle.whole(data), label)


@elements.show_errors()
def _again(settings: Settings, chain: Chain) -> None:
    chains.start(settings, [(link.step, link.options) for link in chain.links], chain.title)


@elements.show_errors()
def _cancel(settings: Settings) -> None:
    chains.cancel(settings)


@elements.show_errors()
def _forget(settings: Settings) -> None:
    chains.forget(settings)
