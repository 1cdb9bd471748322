"""Overview: the state of the life cycle, and the next thing to do."""

from core.data import snapshots
from core.data.records import AcquiredRun
from core.jobs import chains, jobs
from core.monitoring import monitor
from core.monitoring.records import ReportRun
from core.platform import lifecycle, model_store, steps, storage, tracking
from core.predictions_log import predictions
from pages.overview import diagram_view, first_run, reset_form
from pages.shared import alert_banner, code_snippets, elements, set_aside_list
from pages.shared.bilingual import st

settings, spec = elements.open_app()

BADGES = {
    "done": ("done", "green", ":material/check:"),
    "stale": ("out of date", "orange", ":material/update:"),
    "todo": ("next", "blue", ":material/arrow_forward:"),
    "blocked": ("waiting", "gray", ":material/hourglass_empty:"),
    "running": ("running", "blue", ":material/progress_activity:"),
    "failed": ("failed", "red", ":material/error:"),
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
        source = AcquiredRun.of(run).source or "a source"
        return elements.count_text(of, "rows_raw"), f"rows, {source}"
    if step == "prepare":
        tested = elements.count_text(of, "rows_test")
        return elements.count_text(of, "rows_train"), f"rows to train, {tested} to test"
    if step == "train":
        loss = elements.metric_text(of, "log_loss_test")
        skill = of.get("skill_test", 1.0)
        base = f"{of.get('log_loss_test', 0.0) / (1 - skill):.4f}" if skill < 1 else "–"
        return loss, f"log loss on test, base rate {base}"
    if step == "serve":
        port = run.params.get("served_port", "–")
        answers = any(str(server.port) == port for server in elements.ready_servers(settings))
        version = run.params.get("version", "–")
        return f"version {version}", f"port {port}" if answers else "not served now"
    if step == "score":
        f1 = elements.metric_text(of, f"f1_{run.params.get('source')}", 3)
        return elements.count_text(of, "rows_scored"), f"rows scored, F1 {f1}"
    return ReportRun.of(run).verdict.replace("_", " "), elements.checks_text(of)


def state_of(
    stage: lifecycle.Stage, run: tracking.RunInfo | None, awaited: set[str]
) -> tuple[str, str]:
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
    number: int, stage: lifecycle.Stage, state: str, problem: str, run: tracking.RunInfo | None
) -> None:
    """Draw one stage: its state, its last run's key figure, and a link."""
    page, name, icon = elements.STEPS[stage.step]
    word, colour, badge_icon = BADGES[state]
    with st.container(border=True, width=312, height="stretch", key=f"stage-{stage.step}"):
        with st.container(horizontal=True, horizontal_alignment="distribute"):
            st.page_link(page, label=f"**{number} {name}**", icon=icon)
            st.badge(word, icon=badge_icon, color=colour)
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
            st.caption(
                f":orange[:material/warning:] The last attempt failed: {elements.plain(problem)}"
            )


def verdict(run: tracking.RunInfo | None, *, is_shown: bool) -> None:
    """Show the newest report's conclusion, unless the end of the chain shows it above."""
    report = ReportRun.of(run) if run else ReportRun()
    if is_shown:
        st.markdown(":material/check: **Every stage is done.**")
    else:
        st.markdown(f":material/monitor_heart: **{report.verdict_title}.** {report.verdict_todo}")
    st.page_link("pages/monitor/page.py", label="See the report", icon=":material/arrow_forward:")


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
        states = {step: state for step, (state, _) in standings.items()}
        picture(states)
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            running = [step for step, state in states.items() if state == "running"]
            if running:
                page, name, _ = elements.STEPS[running[0]]
                st.markdown(f":material/progress_activity: **{name} is running.**")
                st.page_link(page, label="See how far it is", icon=":material/arrow_forward:")
            elif first is None:
                verdict(runs["monitor"], is_shown=chain is not None and chain.state == "done")
            else:
                page, name, _ = elements.STEPS[first.step]
                st.markdown(f":material/flag: **Next: {name}.** {first.todo}")
                st.page_link(page, label=f"Go to {name}", icon=":material/arrow_forward:")
        with st.container(horizontal=True):
            for number, stage in enumerate(listed, start=1):
                card(number, stage, *standings[stage.step], runs[stage.step])


elements.header(
    "Overview",
    f"From raw data to a monitored model: {spec.rows.development_name} train it, "
    f"{spec.rows.production_name} are what it meets in operation.",
)
reset_form.notice()
first_run.draw(settings, spec, key_figure)
alert_banner.banner(settings)
set_aside_list.draw(settings)
life_cycle()
st.subheader("The whole life cycle", anchor=False)
diagram_view.draw()
code_snippets.whole(settings)
reset_form.draw(settings)
