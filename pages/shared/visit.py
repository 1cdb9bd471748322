"""The start of each page visit: settings, log-in, project, worker and store."""

from __future__ import annotations

import threading
import time

import streamlit as st

from core.jobs import leftovers, supervision
from core.platform import mlflow_client, permissions, privacy, project, projects
from core.platform.config import Settings
from core.platform.errors import CourtsideError
from core.platform.messages import _
from core.platform.project import ProjectSpec
from core.runtime import backup, project_homes
from pages.shared import browser, drafts, language, login, project_choice, style
from pages.shared.elements import length, plain, show_errors, words
from pages.shared.navigation import GROUPS, PAGES


def open_app() -> tuple[Settings, ProjectSpec]:
    """Return the settings and the project; the first call starts the worker and the store.

    Invalid settings are reported on the page, which ends there; so is an invalid project file.
    """
    browser.apply()
    settings, spec = _visit()
    if spec is None:
        st.page_link(
            project_choice.PAGE,
            label=_("Go to {page}", page=_("Projects")),
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
    with permissions.acting("admin"):
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
        st.caption(
            f":gray[:material/bedtime:] {_('The worker starts when the first job is submitted')}"
        )
    else:
        if not state.alive:
            supervision.keep_supervisor(settings)
        starting = _("{name} is starting (about {seconds} s)", name=_("Worker"), seconds=15)
        st.caption(f":gray[:material/hourglass_top:] {starting}")


def wait_for_store() -> None:
    """Wait, with a message, until MLflow is imported and its store is open.

    A store that is being created for the first time is empty, so nothing has to wait for it.
    """
    settings, opening = _start()
    if opening.is_alive() and mlflow_client.has_store(settings):
        notice = st.info(_("{name} is starting (about {seconds} s)", name="MLflow", seconds=5))
        opening.join()
        notice.empty()
