"""Elements that pages share."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st
from altair.utils import schemapi
from pydantic import ValidationError
from streamlit.delta_generator import DeltaGenerator

from core.data import snapshots
from core.jobs import chains, jobs, leftovers, supervision
from core.jobs.jobs import Job
from core.platform import (
    config,
    messages,
    mlflow_client,
    privacy,
    project,
    projects,
    steps,
    storage,
    store_faults,
    tracking,
)
from core.platform import table_files as export
from core.platform.config import Settings
from core.platform.errors import CourtsideError, NotReadyError
from core.platform.messages import NOTHING, Message, Words, _, n_, number, span
from core.platform.own_columns import LABEL, PREDICTED, PROBABILITY
from core.platform.project import ProjectSpec
from core.runtime import backup, project_homes
from core.serving import server
from core.stats.check import VERDICT_LABELS
from pages.shared import browser, drafts, language, login, project_choice, style

# a chart is validated once, whole, when it is drawn: not also each part of it when it is created
schemapi.disable_debug_mode()
POLL_SECONDS = 0.5
HALF_WIDTH = 470
# four beside each other at 1440 px, two at 800
FIGURE_WIDTH = 222
INNER_FIGURE_WIDTH = 208
MLFLOW_RUN = Message("MLflow run")
# key of a page's menu
MENU = "page-menu"
# usual columns of a table of checks
COMPARED = (Message("Current"), Message("Reference"))
SAMPLE = Message("built-in sample, not real data")
COLOURS = {
    "ok": "green",
    "warning": "orange",
    "alert": "red",
    "not_applicable": "gray",
    "error": "red",
}
# step -> its page, name (words, or a message) and icon
STEPS: dict[str, tuple[str, Words, str]] = {
    step.name: (f"pages/{step.page}/page.py", step.title, f":material/{step.icon}:")
    for step in steps.STEPS
}
# folder of a page -> its name and icon
PAGES: dict[str, tuple[Words, str]] = {
    "overview": (Message("Overview"), "home"),
    "data": (Message("Data"), "table_rows"),
    "train": (Message("Train"), "model_training"),
    "registry": (Message("Registry"), "inventory_2"),
    "serve": (Message("Serve"), "dns"),
    "score": (Message("Score"), "target"),
    "monitor": (Message("Monitor"), "monitoring"),
    "retrain": (Message("Retrain"), "autorenew"),
    "documents": (Message("Documents"), "description"),
    "runs": (Message("Runs"), "history"),
}
# folder of a page that is linked beside the project, and not in the list of pages
LINKED_PAGES: dict[str, tuple[Words, str]] = {"projects": (Message("Projects"), "folder_open")}
# page that a group of the sidebar begins with -> its name
GROUPS: dict[str, Words] = {
    "data": Message("Build"),
    "serve": Message("Operate"),
    "retrain": Message("Improve and document"),
}


def navigation() -> Any:
    """Return the requested page, with all pages in the sidebar."""
    return st.navigation(
        [
            st.Page(
                f"pages/{name}/page.py",
                title=str(title),
                icon=f":material/{icon}:",
                url_path=name,
                default=name == "overview",
                visibility="visible" if name in PAGES else "hidden",
            )
            for name, (title, icon) in (PAGES | LINKED_PAGES).items()
        ],
        # otherwise the last of many pages hide behind "View 4 more"
        expanded=True,
    )


def badge(label: Words, colour: str) -> str:
    """Return a label as a badge, in Markdown."""
    return f":{colour}-badge[{label}]"


def verdict_badge(code: str) -> str:
    """Return the verdict of a check, or how bad a finding is, as a badge."""
    label = _("error") if code == "error" else str(VERDICT_LABELS[code])
    return badge(label, COLOURS[code])


def capital(label: Words) -> str:
    """Return a label with a capital, for the beginning of a line."""
    text = str(label)
    return text[:1].upper() + text[1:]


def counted(title: Words, count: int) -> str:
    """Return the title of a section with the number of things in it."""
    return f"{title} ({number(count)})"


def question(text: str) -> None:
    """Draw the question that a chart or a table answers."""
    st.markdown(f"**{text}**")


def views(page: str, labels: Mapping[str, Words], *, default: str = "") -> str:
    """Draw the choice of a page's view, which its address keeps, and return the chosen one.

    Parameters
    ----------
    page : str
        The folder of the page.
    labels : mapping
        The name of each view by its code; the first is the default if none is given.
    default : str
        The view that matters now, where the address names none.
    """
    key, kept = f"{page}-view", f"{page}-view-address"
    asked = st.query_params.get("view", "")
    # a link to a view counts more than what was chosen before, also after a visit to another page
    if asked in labels and (key not in st.session_state or asked != st.session_state.get(kept)):
        st.session_state[key] = asked
    if st.session_state.get(key) not in labels:
        st.session_state[key] = default or next(iter(labels))
    chosen = st.segmented_control(
        _("View"),
        list(labels),
        format_func=lambda code: str(labels[code]),
        required=True,
        key=key,
        label_visibility="collapsed",
    )
    if asked != chosen:
        st.query_params["view"] = chosen
    st.session_state[kept] = chosen
    return str(chosen)


def step_link(step: str, label: Words = NOTHING, *, icon: str = "", **query: str) -> None:
    """Link to a step's page, at the view that it has to itself."""
    of = next(known for known in steps.STEPS if known.name == step)
    view = {"view": of.view} if of.view else {}
    st.page_link(
        f"pages/{of.page}/page.py",
        label=str(label or of.title),
        icon=icon or ":material/arrow_forward:",
        query_params={**view, **query} or None,
    )


def go_to(step: str) -> None:
    """Link to a step's page, by its name."""
    step_link(step, Message("Go to {page}", page=STEPS[step][1]))


def open_app() -> tuple[Settings, ProjectSpec]:
    """Return the settings and the project; the first call starts the worker and the store.

    Invalid settings are reported on the page, which ends there; so is an invalid project file.
    """
    browser.apply()
    settings, spec = _visit()
    if spec is None:
        st.page_link(
            project_choice.PAGE,
            label=_("Go to the projects"),
            icon=":material/arrow_forward:",
            query_params={"view": "list"},
        )
        st.stop()
    return settings, spec


def open_projects() -> Settings:
    """Return the settings of the visit, also if the file of its project cannot be used."""
    browser.apply()
    return _visit()[0]


def _visit() -> tuple[Settings, ProjectSpec | None]:
    drafts.keep()
    spec: ProjectSpec | None = None
    try:
        # before anything is started or shown
        login.gate(Settings.load())
        settings = project_choice.of_visit(_start()[0])
        _sweep(settings, str(settings.home))
    except CourtsideError as error:
        st.error(str(error))
        st.stop()
    try:
        spec = project.of(settings)
    except CourtsideError as error:
        st.error(plain(str(error)))
        if not settings.is_nested:
            st.stop()
    places = {name: place for place, name in enumerate(PAGES, 1)}
    style.apply({places[name]: str(group) for name, group in GROUPS.items()})
    with st.sidebar:
        language.choose()
        is_named = project_choice.choose(settings)
        if spec is not None:
            title = "" if is_named else f"**{project.words(spec.title)}**  \n"
            st.caption(f"{title}{project.words(spec.question)}")
        project_choice.links(settings)
        _worker(settings)
    return settings, spec


@st.cache_resource(show_spinner=False)
def _start() -> tuple[Settings, threading.Thread]:
    # read once: MLflow writes its own variable into the environment later
    settings = Settings.load()
    privacy.set_umask()
    backup.finish(settings.outer)
    settings = projects.settle(Settings.load())
    privacy.tighten(settings.outer)
    supervision.keep_supervisor(settings)
    project_homes.keep_workers(settings)
    # MLflow's import takes seconds; a page that needs the store waits for the rest
    opening = threading.Thread(target=_warm, args=(settings,), daemon=True)
    opening.start()
    return settings, opening


def started_with() -> Settings:
    """Return the settings that the app was started with."""
    return _start()[0]


@st.cache_resource(show_spinner=False)
def _sweep(_settings: Settings, home: str) -> None:
    """Remove leftovers of a project, once for a start of the app."""
    leftovers.sweep(_settings)


def _warm(settings: Settings) -> None:
    try:
        mlflow_client.warm(settings)
    except CourtsideError:
        return  # the next page that needs it gets the same error and shows it


def words(value: object) -> str:
    """Return a fact in words: a message, or one that was stored as a text; empty for none."""
    if value is None or value != value:
        return ""
    return str(messages.loads(value) if isinstance(value, str) else value)


def plain(text: str) -> str:
    """Return a text from a file with all Markdown escaped.

    A cell of a source can contain Markdown: an image in it would be loaded from anywhere.
    """
    text = re.sub(r"([\\`*\[\]$~<@])", r"\\\1", text)
    # otherwise an address becomes a link
    return text.replace("://", "\\://").replace("www.", "www\\.")


@contextmanager
def show_errors() -> Iterator[None]:
    """Show an error in the body as a sentence, and continue with the page."""
    try:
        yield
    except CourtsideError as error:
        st.error(plain(str(error)), icon=":material/error:")
    except OSError as error:
        if (known := store_faults.of_disk(error)) is None:
            raise
        st.error(plain(str(known)), icon=":material/error:")


@st.fragment(run_every=5)
@show_errors()
def _worker(settings: Settings) -> None:
    state = supervision.worker_state(settings)
    if state.silent_since is not None:
        how_long = length(time.time() - state.silent_since)
        st.caption(
            ":orange[:material/warning:] "
            + _(
                "Worker not answering for {how_long}. After {hang_seconds:.0f} s it is "
                "replaced, and its jobs fail.",
                how_long=how_long,
                hang_seconds=settings.hang_seconds,
            )
        )
    elif state.problem:
        st.caption(f":orange[:material/warning:] {words(state.problem)}")
    elif state.ready:
        st.caption(":green[:material/check_circle:] " + _("Worker ready"))
    elif not state.alive and settings != _start()[0] and not project_homes.needs_worker(settings):
        st.caption(f":gray[:material/bedtime:] {_('The worker starts with the first job')}")
    else:
        if not state.alive:
            supervision.keep_supervisor(settings)
        starting = _("{name} is starting (about {seconds} s)", name=_("Worker"), seconds=15)
        st.caption(f":gray[:material/hourglass_top:] {starting}")


def wait_for_store() -> None:
    """Wait, with a message, until MLflow is imported and its store is open."""
    opening = _start()[1]
    if opening.is_alive():
        notice = st.info(_("Opening the MLflow store (a few seconds)"))
        opening.join()
        notice.empty()


def header(
    title: Words, about: Words, *, is_sample: bool = False, menu: Callable[[], object] | None = None
) -> None:
    """Draw a page's title, its purpose in a line, and its menu.

    Parameters
    ----------
    is_sample : bool
        Whether the page's figures are of the built-in sample.
    menu : function, optional
        Draws what is seldom needed, in a popover at the right: the code, downloads, runs.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.title(str(title), width="content", anchor=False)
            if is_sample:
                sample_badge()
        if menu is not None:
            # its state is kept, so that what opens a drawer can close it
            with st.popover(
                _("More"),
                icon=":material/more_vert:",
                type="tertiary",
                width="content",
                key=MENU,
                on_change=_nothing,
            ):
                menu()
    if about:
        st.caption(str(about))


def close_menu() -> None:
    """Close the page's menu, which would stay open above a drawer; call it in a callback."""
    if MENU in st.session_state:
        st.session_state[MENU] = False


def _nothing() -> None:
    """Let Streamlit keep the state of the menu."""


def sample_badge() -> None:
    """Mark the element beside it as sample data."""
    st.badge(str(SAMPLE), icon=":material/science:", color="orange")


def sample_mark(is_sample: bool) -> str:
    """Return the same mark, short, as the end of a line of text; empty for real data."""
    return f" :orange[:material/science: {_('sample')}]" if is_sample else ""


def data_word(is_sample: bool) -> str:
    """Return the data source of rows, in words for a table cell."""
    return _("sample") if is_sample else _("real")


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
        st.rerun()
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        if job.status == "queued":
            text = capital(_("queued"))
        else:
            text = plain(words(job.text)) or capital(_("running"))
        seconds = time.time() - (job.started or job.created)
        st.progress(min(max(job.fraction, 0.0), 1.0), text=f"{text} · {number(seconds, '.0f')} s")
        st.button(
            _("Cancel"),
            icon=":material/close:",
            key=f"cancel-{job_id}",
            on_click=_cancel,
            args=(settings, job_id),
        )


@show_errors()
def _cancel(settings: Settings, job_id: str) -> None:
    jobs.cancel(settings, job_id)


def _ended(settings: Settings, job: Job) -> None:
    name = STEPS[job.step][1]
    if job.status not in ("failed", "cancelled"):
        return
    if job.status == "failed":
        st.error(
            _("**{step} failed.** {reason}", step=name, reason=plain(words(job.error))),
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
            run_link(job.run_id)
    if job.run_id and job.status == "failed":
        validation(settings, job.run_id)


def _put_away(job_id: str) -> None:
    st.session_state["put-away"] = job_id


def current_is_sample(settings: Settings) -> bool:
    """Return whether the current raw data, or the current sets, are of the sample."""
    data_sets: list[snapshots.Snapshot | storage.Prepared | None] = []
    with suppress(CourtsideError):  # the page reports it where it needs them
        data_sets = [snapshots.current(settings), storage.current_prepared(settings)]
    return any(data_set is not None and data_set.is_sample for data_set in data_sets)


def validation(settings: Settings, run_id: str) -> None:
    """Show a run's findings on its rows, if it validated them, and offer them as a file."""
    try:
        findings = table(settings, settings.mlflow_uri, run_id, "validation")
    except NotReadyError:
        return
    if findings.empty:
        return
    counts = findings["rows"].astype(float)
    st.table(
        pd.DataFrame(
            {
                _("Finding"): [verdict_badge(severity) for severity in findings["severity"]],
                _("Rows"): [number(rows, ",.0f") if rows == rows else "–" for rows in counts],
                _("First rows"): [plain(words(where)) for where in findings["where"]],
                _("What it means"): [plain(words(text)) for text in findings["text"]],
            }
        ),
        hide_index=True,
    )
    st.download_button(
        f"{_('Finding')} (CSV)",
        lambda: export.csv(findings),
        file_name=f"validation_{run_id[:12]}.csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"validation-{run_id}",
    )


def run_link(run_id: str, name: Words = MLFLOW_RUN) -> None:
    """Link to a run."""
    st.page_link(
        "pages/runs/page.py",
        label=f"{name} {run_id[:8]}",
        icon=":material/history:",
        query_params={"run": run_id},
    )


def figures(rows: Sequence[tuple[Words, Words, Words]], *, width: int = FIGURE_WIDTH) -> None:
    """Draw metrics in an even grid: a label, a value with its unit, and a comparison.

    Parameters
    ----------
    width : int
        Of each, in pixels; within a container with a border use `INNER_FIGURE_WIDTH`.
    """
    with st.container(horizontal=True, gap="small"):
        for label, value, note in rows:
            st.metric(
                str(label),
                str(value),
                delta=str(note) or None,
                delta_color="off",
                delta_arrow="off",
                border=True,
                height="stretch",
                width=width,
            )


def side_by_side() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Return two columns, or one above the other in a narrow window."""
    row = st.container(horizontal=True)
    return row.container(width=HALF_WIDTH), row.container(width=HALF_WIDTH)


def chart(drawn: Any) -> None:
    """Draw an Altair chart as wide as its column, in the form of the language."""
    st.altair_chart(localized(drawn), width="stretch")


def localized(drawn: Any) -> Any:
    """Return a chart, or its specification, with numbers and days in the form of the language."""
    locale = messages.d3_locale(messages.current())
    if isinstance(drawn, Mapping):
        kept = drawn.get("config", {})
        return {**drawn, "config": {**kept, "locale": locale}}
    # a dictionary of it would copy its rows
    copied = drawn.copy(deep=False)
    config = {} if drawn.config is alt.Undefined else drawn.config
    kept = config if isinstance(config, dict) else config.to_dict()
    copied.config = alt.Config(**{**kept, "locale": locale})
    return copied


@st.cache_data(show_spinner=False, max_entries=64)
def table(_settings: Settings, store: str, run_id: str, name: str) -> pd.DataFrame:
    """Return a table of a run; runs are immutable, so it is cached."""
    return tracking.table(_settings, run_id, name)


def example_row(settings: Settings, run_id: str) -> dict[str, float | str | None]:
    """Return the inputs of the first test row of a model's run."""
    rows = table(settings, settings.mlflow_uri, run_id, "test_predictions")
    inputs = rows.drop(columns=[PROBABILITY, PREDICTED, LABEL]).head(1)
    return {
        name: None if pd.isna(value) else value if isinstance(value, str) else float(value)
        for name, value in inputs.iloc[0].items()
    }


def known_texts(settings: Settings, run_id: str) -> dict[str, list[str]]:
    """Return the texts of each text input in the test rows of a model's run."""
    rows = table(settings, settings.mlflow_uri, run_id, "test_predictions")
    return {
        str(name): sorted(rows[name].dropna().unique())
        for name in rows.columns
        if not pd.api.types.is_numeric_dtype(rows[name])
    }


def without_weights(spec: ProjectSpec) -> None:
    """State that what is below counts each row once, where the project has sampling weights."""
    if spec.weights is not None:
        text = _(
            "Counts each row once, without the sampling weight '{column}'.", column=spec.weights
        )
        st.caption(plain(text))


def length(seconds: float) -> str:
    """Return a duration in words, rounded down to its largest unit."""
    if seconds >= 86400:
        return n_("{count:,} day", "{count:,} days", int(seconds // 86400))
    if seconds >= 3600:
        return n_("{count} hour", "{count} hours", int(seconds // 3600))
    if seconds >= 60:
        return n_("{count} minute", "{count} minutes", int(seconds // 60))
    return _("less than a minute")


def ago(moment: float) -> str:
    """Return the time since then, in words."""
    return _("{length} ago", length=length(max(0.0, time.time() - moment)))


def ready_servers(settings: Settings) -> list[server.Server]:
    """Return the servers that answer: the live endpoint, then the newest first."""
    ready = [served for served in server.servers(settings) if served.state == "ready"]
    return sorted(ready, key=lambda served: (not served.is_live, -served.started))


def check_table(
    checks: pd.DataFrame, *, columns: tuple[Words, Words] = COMPARED, limits: bool = False
) -> None:
    """Show checks with their verdicts, from `core.stats.checks.as_table`."""

    def value_text(value: float) -> str:
        count = value == value and float(value).is_integer() and value != 1
        return "–" if pd.isna(value) else number(value, ",.0f" if count else ".4f")

    def between(value: float, low: float, high: float) -> str:
        if pd.isna(low):
            return value_text(value)
        return value_text(value) + small(span(low, high))

    def meaning(text: object, limit: object) -> str:
        limit = words(limit) if limits else ""
        note = small(_("Limits: {limits}", limits=plain(limit))) if limit else ""
        return plain(words(text)) + note

    st.table(
        pd.DataFrame(
            {
                _("Check"): [words(title) for title in checks["title"]],
                _("Verdict"): list(map(verdict_badge, checks["verdict"])),
                str(columns[0]): [
                    between(*row)
                    for row in checks[["value", "low", "high"]].itertuples(index=False)
                ],
                str(columns[1]): checks["reference"].map(value_text),
                _("What it means"): list(map(meaning, checks["text"], checks["threshold"])),
            }
        ),
        hide_index=True,
    )


def small(text: str) -> str:
    """Return a note for a line of its own in a table cell, small and grey."""
    return f"  \n:small[:gray[{text}]]"


def count_text(values: Mapping[str, float], name: str) -> str:
    """Return a count as text, a dash for none."""
    return number(values[name], ",.0f") if name in values else "–"


def metric_text(values: Mapping[str, float], name: str, digits: int = 4) -> str:
    """Return a metric as text, a dash for none."""
    return number(values[name], f".{digits}f") if name in values else "–"
