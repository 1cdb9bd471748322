"""The tiles of the steps: state, key figure, time, links to the page and the run."""

from __future__ import annotations

import streamlit as st

from core.data.records import AcquiredRun
from core.data.snapshots import SOURCE_LABELS
from core.jobs.jobs import Job
from core.monitoring.records import ReportRun
from core.platform import project, steps
from core.platform.config import Settings
from core.platform.messages import Message, _, n_, number
from core.platform.project import ProjectSpec
from core.platform.tracking import RunInfo
from core.stats import metrics
from core.stats.check import CONCLUSION_LABELS, VERDICT_LABELS, one_sentence, threshold_fact
from pages.overview.situation import Situation, Tile
from pages.shared import elements, navigation

BADGES = {
    "done": (Message("done"), "green", ":material/check:"),
    "stale": (Message("out of date"), "orange", ":material/update:"),
    "todo": (Message("next"), "blue", ":material/arrow_forward:"),
    "blocked": (Message("waiting"), "gray", ":material/hourglass_empty:"),
    "awaited": (Message("waiting"), "gray", ":material/hourglass_empty:"),
    "queued": (Message("queued"), "blue", ":material/hourglass_top:"),
    "running": (Message("running"), "blue", ":material/progress_activity:"),
    "failed": (Message("failed"), "red", ":material/error:"),
    # done, with a result that needs attention
    "warning": (VERDICT_LABELS["warning"], "orange", ":material/warning:"),
    "alert": (VERDICT_LABELS["alert"], "red", ":material/error:"),
}
CONCERNS = {"does_not_fit": "alert", "no_skill": "alert", "fits": ""}


def draw(settings: Settings, spec: ProjectSpec, seen: Situation) -> None:
    """Draw a tile for each step."""
    # an even grid, by pages/shared/style.css
    with st.container(horizontal=True, key="tiles"):
        for place, tile in enumerate(seen.tiles, start=1):
            with st.container(border=True, height="stretch", key=f"stage-{tile.stage.step}"):
                _head(place, tile)
                if tile.job is not None and tile.state in ("queued", "running"):
                    _progress(settings, tile)
                elif tile.run is None:
                    # the card names what is next, but for the very first step
                    following = None if seen.is_empty or seen.next is None else seen.next.step
                    missing = "" if following == tile.stage.step else _todo(tile)
                    st.markdown(f"### –\n{missing}")
                else:
                    _result(settings, spec, seen, tile, tile.run)


def _head(place: int, tile: Tile) -> None:
    word, colour, badge_icon = BADGES[_concern(tile) or tile.state]
    name, icon = navigation.STEPS[tile.stage.step][1:]
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        navigation.step_link(tile.stage.step, f"**{place} {name}**", icon=icon)
        st.badge(str(word), icon=badge_icon, color=colour)


def _concern(tile: Tile) -> str:
    """Return whether the result of a step that is done is a warning or an alert; empty if not."""
    run = tile.run
    if tile.state != "done" or run is None:
        return ""
    if tile.stage.step == "score":
        return "warning" if _is_one_class(run) else ""
    if tile.stage.step == "monitor":
        return CONCERNS.get(ReportRun.of(run).verdict, "warning")
    return ""


def _is_one_class(run: RunInfo) -> bool:
    """Return whether a scoring of several rows predicts the positive class for none of them."""
    return run.metrics.get("rows_scored", 0) > 1 and run.metrics.get("predicted_positive") == 0


def _progress(settings: Settings, tile: Tile) -> None:
    job = tile.job
    text = elements.fact(job.text) if job else ""
    st.progress(min(max(job.fraction if job else 0.0, 0.0), 1.0), text=text or None)


def _todo(tile: Tile) -> str:
    """Return what is missing for a step without a result."""
    if tile.state == "failed" and tile.problem:
        return elements.fact(tile.problem)
    if tile.state == "done" and tile.job is not None:
        return f"{number(_seconds(tile.job), '.0f')} s"
    return str(tile.stage.todo)


def _seconds(job: Job) -> float:
    return (job.ended or 0.0) - (job.started or 0.0)


def _result(
    settings: Settings, spec: ProjectSpec, seen: Situation, tile: Tile, run: RunInfo
) -> None:
    # the verdict above says what is wrong with the predictions
    value, meaning = key_figure(
        settings, spec, tile.stage.step, run, has_verdict=seen.report is not None
    )
    st.markdown(f"### {value}\n{meaning}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.page_link(
            "pages/runs/page.py",
            label=steps.RUN_NAMES[tile.stage.step],
            icon=":material/history:",
            query_params={"run": run.run_id},
            help=str(navigation.MLFLOW_RUN),
        )
        is_its = tile.job is not None and tile.job.run_id == run.run_id
        seconds = f" · {number(_seconds(tile.job), '.0f')} s" if tile.job and is_its else ""
        mark = "" if seen.is_sample else elements.sample_mark(run.is_sample)
        st.caption(elements.ago(run.ended or run.started) + seconds + mark, width="content")
    if tile.problem:
        failed = _(
            "**{step} failed.** {reason}",
            step=navigation.STEPS[tile.stage.step][1],
            reason=elements.fact(tile.problem),
        )
        st.caption(f":orange[:material/warning:] {failed}")


def key_figure(
    settings: Settings, spec: ProjectSpec, step: str, run: RunInfo, *, has_verdict: bool = False
) -> tuple[str, str]:
    """Return the key figure of a step's last run, and its meaning; of a training, a metric."""
    of = run.metrics
    if step == "acquire":
        code = AcquiredRun.of(run).source
        source = SOURCE_LABELS.get(code) or elements.words(code) or _("unknown")
        return elements.count_text(of, "rows_raw"), f"{_('Rows')} · {source}"
    if step == "prepare":
        tested = elements.count_text(of, "rows_test")
        return (
            elements.count_text(of, "rows_train"),
            f"{_('Training set')} · {elements.named(_('Test set'), tested)}",
        )
    if step == "train":
        if spec.metric != "log_loss" and f"{spec.metric}_test" in of:
            title = str(metrics.TITLES[spec.metric])
            chance = 0.5 if spec.metric == "roc_auc" else of.get("base_rate_test")
            meaning = _("{metric}, test", metric=title)
            if chance is not None:
                meaning += f" · {elements.without_skill(chance, '.3f')}"
            return elements.metric_text(of, f"{spec.metric}_test", 3), meaning
        loss = elements.metric_text(of, "log_loss_test")
        skill = of.get("skill_test", 1.0)
        base = number(of.get("log_loss_test", 0.0) / (1 - skill), ".4f") if skill < 1 else "–"
        return loss, _(
            "log loss on test (lower is better); {base} by always predicting the base rate",
            base=base,
        )
    if step == "serve":
        port, version = run.params.get("served_port", "–"), run.params.get("version", "–")
        where = _("not served")
        for server in elements.ready_servers(settings):
            if str(server.port) == port:
                # a server follows the champion
                where, version = elements.named(_("Port"), port), server.version
        return _("version {version}", version=version), where
    if step == "score":
        # a log loss alone says little: it follows the base rate
        shown = "f1" if spec.metric == "log_loss" else spec.metric
        value = elements.metric_text(of, f"{shown}_{run.params.get('source')}", 3)
        meaning = f"{_('Rows scored')} · {metrics.TITLES[shown]} {value}"
        if _is_one_class(run) and not has_verdict:
            fact = threshold_fact("none_positive", project.words(spec.positive))
            meaning += f"  \n{one_sentence(fact)}"
        return elements.count_text(of, "rows_scored"), meaning
    verdict = ReportRun.of(run).verdict
    rows = n_("{count:,} row", "{count:,} rows", int(of.get("rows_current", 0)))
    return str(CONCLUSION_LABELS.get(verdict, verdict)), rows
