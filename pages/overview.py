"""Overview: where the life cycle stands, and the one next thing to do."""

from core.adapters import jobs, predictions, snapshots, storage, tracking
from core.logic import lifecycle
from core.steps import monitor
from pages import _alert_banner, _diagram, _glass, _parts, _reset, _welcome
from pages._bilingual import st

settings, spec = _parts.open_app()

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
    """Return what the stores say, and the last finished run of each step."""
    runs = {step: tracking.last_run(settings, step) for step in tracking.RUN_NAMES}
    snapshot, prepared = snapshots.current(settings), storage.current_prepared(settings)
    champion = tracking.find_version(settings, spec.model, tracking.CHAMPION)
    large = predictions.scorings(settings, min_rows=monitor.MIN_ROWS, limit=1)
    if large:
        # one row's score says nothing of the rows in operation
        runs["score"] = tracking.run(settings, large[0].run_id) or runs["score"]
    trained, monitored = runs["train"], of_operation()
    runs["monitor"] = monitored
    looked_at = monitored.params.get("scored_by") if monitored else None
    if monitored and not looked_at and large and monitored.started >= large[0].scored_at:
        looked_at = large[0].run_id  # a window of the log, which that scoring is part of
    return lifecycle.Facts(
        snapshot=snapshot.id if snapshot else None,
        prepared_from=prepared.snapshot if prepared else None,
        prepared_run=prepared.run_id if prepared else None,
        trained_on=trained.params.get("prepared_by") if trained else None,
        champion=champion.version if champion else None,
        served=tuple(found.version for found in _parts.ready_servers(settings)),
        scored_run=large[0].run_id if large else None,
        scored_version=large[0].version if large else None,
        monitored_run=looked_at,
    ), runs


def of_operation() -> tracking.RunInfo | None:
    """Return the newest report of the present: not of the test set, nor of a season of old."""
    newest = tracking.runs(settings, step="monitor", status="FINISHED", limit=20)
    for run in newest:
        if run.params.get("window") != "test" and run.params.get("where", "{}") in ("", "{}"):
            return run
    return None


def key_figure(step: str, run: tracking.RunInfo) -> tuple[str, str]:
    """Return the figure that says most about a step's last run, and what it means."""
    of = run.metrics
    if step == "acquire":
        return f"{of['rows_raw']:,.0f}", f"rows, {run.tags.get('courtside.source', 'a source')}"
    if step == "prepare":
        return f"{of['rows_train']:,.0f}", f"rows to train, {of['rows_test']:,.0f} to test"
    if step == "train":
        base = of["log_loss_test"] / (1 - of["skill_test"])
        return f"{of['log_loss_test']:.4f}", f"log loss on test, base rate {base:.4f}"
    if step == "serve":
        port = run.params["served_port"]
        answers = any(str(found.port) == port for found in _parts.ready_servers(settings))
        return f"version {run.params['version']}", f"port {port}" if answers else "not served now"
    if step == "score":
        f1 = _parts.metric_text(of, f"f1_{run.params.get('source')}", 3)
        return f"{of['rows_scored']:,.0f}", f"rows scored, F1 {f1}"
    found = f"{of['checks_alert']:.0f} alerts, {of['checks_warning']:.0f} warnings"
    return run.tags.get("courtside.verdict", "").replace("_", " "), found


def state_of(stage: lifecycle.Stage, run: tracking.RunInfo | None) -> str:
    """Return a stage's state, with what its newest job says."""
    newest = jobs.latest(settings, stage.step, limit=1)
    if newest and newest[0].status in ("queued", "running"):
        return "running"
    if newest and newest[0].status == "failed" and not (run and run.started > newest[0].created):
        return "failed"
    return stage.state


def picture(states: dict[str, str]) -> None:
    """Draw the life cycle as a chain of arrows, each in the colour of its state."""
    arrows = "".join(
        f'<div role="listitem" style="flex:1 1 118px; background:{FILLS[state]}; color:#fff; '
        "padding:.55rem .4rem .55rem 1.5rem; line-height:1.25; clip-path:polygon(0 0, "
        'calc(100% - 14px) 0, 100% 50%, calc(100% - 14px) 100%, 0 100%, 14px 50%)">'
        f"<b>{_parts.STEPS[step][1]}</b><br><small>{BADGES[state][0]}</small></div>"
        for step, state in states.items()
    )
    st.html(f'<div role="list" style="display:flex; flex-wrap:wrap; gap:2px">{arrows}</div>')


def card(number: int, stage: lifecycle.Stage, state: str, run: tracking.RunInfo | None) -> None:
    """Draw one stage: its state, its last run's key figure, and where to go."""
    page, name, icon = _parts.STEPS[stage.step]
    word, colour, badge_icon = BADGES[state]
    with st.container(border=True, width=312, height="stretch", key=f"stage-{stage.step}"):
        with st.container(horizontal=True, horizontal_alignment="distribute"):
            st.page_link(page, label=f"**{number} {name}**", icon=icon)
            st.badge(word, icon=badge_icon, color=colour)
        if run is None:
            st.markdown(f"### –\n{stage.todo}")
        else:
            value, meaning = key_figure(stage.step, run)
            mark = "  \n:orange[sample data]" if run.is_sample else ""
            st.markdown(f"### {value}\n{meaning}, {_parts.ago(run.ended or run.started)}{mark}")
            _parts.run_link(run.run_id, tracking.RUN_NAMES[stage.step])


@st.fragment(run_every=2)
def life_cycle() -> None:
    """Draw the picture, and keep it up to date."""
    with _parts.told():
        _parts.wait_for_store()
        facts, runs = gather()
        listed = lifecycle.stages(facts)
        first = lifecycle.next_stage(listed)
        states = {stage.step: state_of(stage, runs[stage.step]) for stage in listed}
        picture(states)
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            running = [step for step, state in states.items() if state == "running"]
            if running:
                page, name, _ = _parts.STEPS[running[0]]
                st.markdown(f":material/progress_activity: **{name} is running.**")
                st.page_link(page, label="See how far it is", icon=":material/arrow_forward:")
            elif first is None:
                tags = runs["monitor"].tags if runs["monitor"] else {}
                st.markdown(
                    f":material/monitor_heart: **{tags.get('courtside.verdict_title')}.** "
                    f"{tags.get('courtside.verdict_todo')}"
                )
                st.page_link(
                    "pages/monitor.py", label="See the report", icon=":material/arrow_forward:"
                )
            else:
                page, name, _ = _parts.STEPS[first.step]
                st.markdown(f":material/flag: **Next: {name}.** {first.todo}")
                st.page_link(page, label=f"Go to {name}", icon=":material/arrow_forward:")
        with st.container(horizontal=True):
            for number, stage in enumerate(listed, start=1):
                card(number, stage, states[stage.step], runs[stage.step])


_parts.header(
    "Overview",
    f"From raw data to a monitored model: {spec.rows.development_name} train it, "
    f"{spec.rows.production_name} are what it meets in operation.",
)
_reset.notice()
_welcome.draw(settings, spec, key_figure)
_alert_banner.banner(settings)
life_cycle()
st.subheader("The whole life cycle", anchor=False)
_diagram.draw()
_glass.whole(settings)
_reset.draw(settings)
