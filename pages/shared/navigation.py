"""The pages of the app, and links to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.platform import steps
from core.platform.messages import NOTHING, Message, Words, _
from pages.shared import elements

MLFLOW_RUN = Message("MLflow run")
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
# folder of a page that is linked next to the project, and not in the list of pages
LINKED_PAGES: dict[str, tuple[Words, str]] = {"projects": (Message("Projects"), "folder_open")}
# page that a group of the sidebar begins with -> its name
GROUPS: dict[str, Words] = {
    "data": Message("Build"),
    "serve": Message("Operate"),
    "retrain": Message("Improve and document"),
}


def requested_page() -> Any:
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


def views(page: str, labels: Mapping[str, Words], *, default: str = "") -> str:
    """Draw the choice of a page's view, which its address keeps, and return the chosen one.

    Parameters
    ----------
    page : str
        The folder of the page.
    labels : mapping
        The name of each view by its code; the first is the default if none is given.
    default : str
        The view to open if the address names none.
    """
    key, kept = f"{page}-view", f"{page}-view-address"
    asked = st.query_params.get("view", "")
    # a link to a view overrides an earlier choice, also after a visit to another page
    if asked in labels and (key not in st.session_state or asked != st.session_state.get(kept)):
        st.session_state[key] = asked
    if st.session_state.get(key) not in labels:
        st.session_state[key] = default or next(iter(labels))
    chosen = elements.choose(_("View"), labels, key, is_bare=True)
    if asked != chosen:
        st.query_params["view"] = chosen
    st.session_state[kept] = chosen
    return str(chosen)


def step_link(step: str, label: Words = NOTHING, *, icon: str = "", **query: str) -> None:
    """Link to a step's page, at the step's own view."""
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


def changed(step: str, *what: Words) -> str:
    """Return that a step's inputs have changed since."""
    return _("{what} changed. Run {step} again.", what=what, step=STEPS[step][1])


def not_kept(step: str) -> str:
    """Return that a run lacks the requested output, and which step creates it."""
    return _("Not in this run. Run {step} again.", step=STEPS[step][1])


def run_again(step: str) -> str:
    """Return why a run cannot be shown, and what to do."""
    return _("Its run has not ended or no longer exists. Run {step} again.", step=STEPS[step][1])


def run_link(run_id: str, name: Words = MLFLOW_RUN) -> None:
    """Link to a run."""
    st.page_link(
        "pages/runs/page.py",
        label=f"{name} {run_id[:8]}",
        icon=":material/history:",
        query_params={"run": run_id},
    )
