"""What to do about a report: the one action of its verdict, as a button, wherever it is shown."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from core.monitoring.records import ReportRun
from core.platform import steps, tracking
from core.platform.messages import NOTHING, Message, number
from core.platform.project import ProjectSpec
from pages.shared import navigation

# key of the chosen view of Monitor's checks
EVIDENCE = "evidence"


class Action(NamedTuple):
    """A step that helps: its label, why, and what its page opens."""

    step: str
    label: Message
    icon: str
    why: Message = NOTHING
    query: tuple[tuple[str, str], ...] = ()


ACTIONS = {
    "threshold": Action(
        "promote",
        Message("Choose a threshold"),
        "tune",
        Message("The predicted classes fail at the threshold; the probabilities may not."),
        (("open", "threshold"),),
    ),
    "train_rows": Action("prepare", Message("Train on such rows"), "filter_alt"),
    "train": Action(
        "train",
        Message("Go to {page}", page=navigation.STEPS["train"][1]),
        "model_training",
        query=(("view", "candidates"),),
    ),
    "retrain": Action("retrain", Message("Retrain"), "autorenew"),
    "label": Action("label", Message("Add labels"), "label"),
    "investigate": Action("monitor", Message("See which columns changed"), "search"),
    "wait": Action("score", Message("Score"), "target"),
}
# of a report of an older app, which has no action
BY_VERDICT = {
    "does_not_fit": "retrain",
    "no_skill": "train",
    "investigate": "investigate",
    "fits": "wait",
    "watch": "wait",
}


def show(spec: ProjectSpec, run: tracking.RunInfo, *, is_main: bool = True) -> None:
    """Draw the action as Monitor's button, and links to what it goes with."""
    first, *others = actions(spec, run)
    button(first, run, is_first=True, is_main=is_main, is_here=first.step == "monitor")
    for action in others:
        button(action, run, is_first=False, is_here=action.step == "monitor")


def button(
    action: Action,
    run: tracking.RunInfo,
    *,
    is_first: bool,
    is_main: bool = True,
    is_here: bool = False,
) -> None:
    """Draw the button of an action, which opens its page.

    Parameters
    ----------
    is_main : bool
        Whether the first action is the page's.
    is_here : bool
        Whether this is the page of the action: only its view changes.
    """
    pressed = st.button(
        str(action.label),
        type=("primary" if is_main else "secondary") if is_first else "tertiary",
        icon=f":material/{action.icon}:",
        key="next" if is_first else f"next-{action.step}",
        help=str(action.why) or None,
        on_click=_open_columns if action.step == "monitor" else None,
    )
    if not pressed or is_here:
        return
    of = steps.named(action.step)
    query = {**({"view": of.view} if of.view else {}), **dict(action.query)}
    if action.step == "monitor":
        query["report"] = run.run_id
    st.switch_page(f"pages/{of.page}/page.py", query_params=query or None)


def _open_columns() -> None:
    st.session_state[EVIDENCE] = "columns"


def actions(spec: ProjectSpec, run: tracking.RunInfo) -> list[Action]:
    """Return the action of a verdict; without labels, adding some comes first."""
    report = ReportRun.of(run)
    code = report.verdict_action or BY_VERDICT.get(report.verdict, "label")
    labelled = run.metrics.get("rows_labelled", 0)
    missing = int(run.metrics.get("rows_current", 0) - labelled)
    labels = ACTIONS["label"]._replace(
        why=Message("{name}: {value}", name=Message("Without label"), value=number(missing))
    )
    if code == "label":
        return [labels]
    if code == "train_rows":
        return [ACTIONS[code]._replace(query=(("rows", spec.rows.production),))]
    if code == "investigate" and missing and not labelled:
        return [labels, ACTIONS[code]]
    return [ACTIONS[code]]
