"""Overview: the state of the life cycle, and the next thing to do."""

import streamlit as st

from core.data import snapshots
from core.data.records import AcquiredRun
from core.jobs import chains, jobs
from core.monitoring import monitor
from core.monitoring.records import ReportRun
from core.platform import lifecycle, model_store, project, steps, storage, tracking
from core.platform.messages import Message, Words, _, number
from core.predictions_log import predictions
from pages.documents import diagram_view
from pages.overview import first_run, reset_form
from pages.shared import alert_banner, code_snippets, elements, set_aside_list

settings, spec = elements.open_app()

BADGES = {
    "done": (Message("done"), "green", ":material/check:"),
    "stale": (Message("out of date"), "orange", ":material/update:"),
    "todo": (Message("next"), "blue", ":material/arrow_forward:"),
    "blocked": (Message("waiting"), "gray", ":material/hourglass_empty:"),
    "running": (Message("running"), "blue", ":material/progress_activity:"),
    "failed": (Message("failed"), "red", ":material/error:"),
}
CONCLUSIONS = {
    "fits": Message("fits"),
    "watch": Message("watch"),
    "investigate": Message("investigate"),
    "does_not_fit": Message("does not fit"),
    "no_skill": Message("no skill"),
    "cannot_tell": Message("cannot tell"),
}
SOURCES = {
    "sample": Message("sample"),
    "folder": Message("folder"),
    "file": Message("file"),
    "upload": Message("uploaded files"),
    "download": Message("download"),
}
# dark enough for white text on them (4.5 to 1), in both themes
FILLS = {
    "done": "#0F766E",
    "stale": "#8A6408",
    "todo": "#C2511A",
    "blocked": "#6B7280",
    "running": "#4757CE",
    "failed": "#B3364A",
}


def gather() -> tuple[lifecycle.Facts, dict[str, tracking.RunInfo | None]]:
    """Return the facts in the stores, and the last finished run of each step."""
    runs = {step: tracking.last_run(settings, step) for step in steps.RUN_NAMES}
    snapshot, prepared = snapshots.current(settings), storage.current_prepared(settings)
    champion = model_store.find_version(settings, spec.model, model_store.CHAMPION)
    large = predictions.scorings(settings, min_rows=monitor.MIN_ROWS, limit=1)
    if large:
        # a single row's score says nothing about operation
        runs["score"] = tracking.finished_run(settings, large[0].run_id) or runs["score"]
    trained, monitored = runs["train"], of_operation()
    runs["monitor"] = monitored
    looked_at = monitored.params.get("scored_by") if monitored else None
    if monitored and not looked_at and large and monitored.started >= large[0].scored_at:
        looked_at = large[0].run_id  # a window of the log that includes that scoring
    return lifecycle.Facts(
        snapshot=snapshot.id if snapshot else None,
        prepared_from=prepared.snapshot if prepared else None,
        prepared_run=prepared.run_id if prepared else None,
        trained_on=trained.params.get("prepared_by") if trained else None,
        champion=champion.version if champion else None,
        served=tuple(server.version for server in elements.ready_servers(settings)),
        scored_run=large[0].run_id if large else None,
        scored_version=large[0].version if large else None,
        monitored_run=looked_at,
    ), runs


def of_operation() -> tracking.RunInfo | None:
    """Return the newest report on current data: not on the test set, nor on the past."""
    newest = tracking.runs(settings, step="monitor", status="FINISHED", limit=20)
    for run in newest:
        if run.params.get("window") != "test" and run.params.get("where", "{}") in ("", "{}"):
            return run
    return None


def key_figure(step: str, run: tracking.RunInfo) -> tuple[str, str]:
    """Return the key figure of a step's last run, and its meaning."""
    of = run.metrics
    if step == "acquire":
        code = AcquiredRun.of(run).source
        source = SOURCES.get(code) or elements.words(code) or _("a source")
        return elements.count_text(of, "rows_raw"), _("rows, {source}", source=source)
    if step == "prepare":
        tested = elements.count_text(of, "rows_test")
        return elements.count_text(of, "rows_train"), _(
            "rows for training, {tested} for testing", tested=tested
        )
    if step == "train":
        loss = elements.metric_text(of, "log_loss_test")
        skill = of.get("skill_test", 1.0)
        base = number(of.get("log_loss_test", 0.0) / (1 - skill), ".4f") if skill < 1 else "–"
        return loss, _("log loss on test, base rate {base}", base=base)
    if step == "serve":
        port = run.params.get("served_port", "–")
        answers = any(str(server.port) == port for server in elements.ready_servers(settings))
        version = run.params.get("version", "–")
        where = _("port {port}", port=port) if answers else _("not served now")
        return _("version {version}", version=version), where
    if step == "score":
        f1 = elements.metric_text(of, f"f1_{run.params.get('source')}", 3)
        return elements.count_text(of, "rows_scored"), _("rows scored, F1 {f1}", f1=f1)
    verdict = ReportRun.of(run).verdict
    return str(CONCLUSIONS.get(verdict, verdict)), elements.checks_text(of)


def state_of(
    stage: lifecycle.Stage, run: tracking.RunInfo | None, awaited: set[str]
) -> tuple[str, Words]:
    """Return a stage's state, and why its newest job failed if older results are still in use.

    `awaited` are the steps that a running chain has not reached yet.
    """
    newest = jobs.latest(settings, stage.step, limit=1)
    if newest and newest[0].status in ("queued", "running"):
        return "running", ""
    if stage.step in awaited:
        return "blocked", ""
    if newest and newest[0].status == "failed" and not (run and run.started > newest[0].created):
        if stage.state == "done":
            return "done", newest[0].error or ""
        return "failed", ""
    return stage.state, ""


def picture(states: dict[str, str]) -> None:
    """Draw the life cycle as a chain of arrows, coloured by state."""
    arrows = "".join(
        f'<div role="listitem" style="flex:1 1 118px; background:{FILLS[state]}; color:#fff; '
        "padding:.55rem .4rem .55rem 1.5rem; line-height:1.25; clip-path:polygon(0 0, "
        'calc(100% - 14px) 0, 100% 50%, calc(100% - 14px) 100%, 0 100%, 14px 50%)">'
        f"<b>{elements.STEPS[step][1]}</b><br><small>{BADGES[state][0]}</small></div>"
        for step, state in states.items()
    )
    st.html(f'<div role="list" style="display:flex; flex-wrap:wrap; gap:2px">{arrows}</div>')


def card(
    place: int, stage: lifecycle.Stage, state: str, problem: Words, run: tracking.RunInfo | None
) -> None:
    """Draw one stage: its state, its last run's key figure, and a link."""
    page, name, icon = elements.STEPS[stage.step]
    word, colour, badge_icon = BADGES[state]
    with st.container(border=True, width=312, height="stretch", key=f"stage-{stage.step}"):
        with st.container(horizontal=True, horizontal_alignment="distribute"):
            st.page_link(page, label=f"**{place} {name}**", icon=icon)
            st.badge(str(word), icon=badge_icon, color=colour)
        if run is None:
            st.markdown(f"### –\n{stage.todo}")
        else:
            value, meaning = key_figure(stage.step, run)
            text = f"### {value}\n{meaning}, {elements.ago(run.ended or run.started)}"
            mark = elements.sample_mark(run.is_sample)
            # on a separate line
            st.markdown(f"{text}  \n{mark.strip()}" if mark else text)
            elements.run_link(run.run_id, steps.RUN_NAMES[stage.step])
        if problem:
            failed = _(
                "The last attempt failed: {reason}", reason=elements.plain(elements.words(problem))
            )
            st.caption(f":orange[:material/warning:] {failed}")


def verdict(run: tracking.RunInfo | None, *, is_shown: bool) -> None:
    """Show the newest report's conclusion, unless the end of the chain shows it above."""
    report = ReportRun.of(run) if run else ReportRun()
    if is_shown:
        st.markdown(_(":material/check: **Every stage is done.**"))
    else:
        title, todo = elements.words(report.verdict_title), elements.words(report.verdict_todo)
        st.markdown(f":material/monitor_heart: **{title}.** {todo}")
    st.page_link(
        "pages/monitor/page.py", label=_("See the report"), icon=":material/arrow_forward:"
    )


@st.fragment(run_every=2)
def life_cycle() -> None:
    """Draw the picture, and keep it up to date."""
    with elements.show_errors():
        elements.wait_for_store()
        facts, runs = gather()
        listed = lifecycle.stages(facts)
        first = lifecycle.next_stage(listed)
        chain = chains.current(settings)
        awaited = {link.step for link in chain.links if link.job is None} if chain else set()
        if chain is None or chain.state != "running":
            awaited = set()
        standings = {stage.step: state_of(stage, runs[stage.step], awaited) for stage in listed}
        states = {step: state for step, (state, _reason) in standings.items()}
        picture(states)
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            running = [step for step, state in states.items() if state == "running"]
            if running:
                page, name = elements.STEPS[running[0]][:2]
                text = _("{step} is running.", step=name)
                st.markdown(f":material/progress_activity: **{text}**")
                st.page_link(page, label=_("Show progress"), icon=":material/arrow_forward:")
            elif first is None:
                verdict(runs["monitor"], is_shown=chain is not None and chain.state == "done")
            else:
                page, name = elements.STEPS[first.step][:2]
                text = _("**Next: {step}.** {todo}", step=name, todo=first.todo)
                st.markdown(f":material/flag: {text}")
                st.page_link(
                    page, label=_("Go to {page}", page=name), icon=":material/arrow_forward:"
                )
        with st.container(horizontal=True):
            for place, stage in enumerate(listed, start=1):
                card(place, stage, *standings[stage.step], runs[stage.step])


elements.header(
    Message("Overview"),
    Message(
        "From raw data to a monitored model: trained on {development}, applied to {production}.",
        development=project.words(spec.rows.development_name),
        production=project.words(spec.rows.production_name),
    ),
)
reset_form.notice()
first_run.draw(settings, spec, key_figure)
alert_banner.banner(settings)
set_aside_list.draw(settings)
life_cycle()
st.subheader(_("The whole life cycle"), anchor=False)
diagram_view.draw()
code_snippets.whole(settings)
reset_form.draw(settings)
