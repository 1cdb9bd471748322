"""What to do about a report: one button, and links to what may help as well."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from core.monitoring.records import ReportRun
from core.platform import steps, tracking
from core.platform.config import Settings
from core.platform.messages import NOTHING, Message, plural
from pages.shared import elements, report_view

# checks that only the threshold can mend
AT_THRESHOLD = ("f1", "precision", "recall")


class Action(NamedTuple):
    """A step that helps: its label, and why."""

    step: str
    label: Message
    icon: str
    why: Message = NOTHING


RETRAIN = Action("retrain", Message("Retrain"), "autorenew")
PREPARE = Action("prepare", Message("Train on such rows"), "filter_alt")
THRESHOLD = Action(
    "promote",
    Message("Choose a threshold"),
    "tune",
    Message("The predicted classes fail at the threshold; the probabilities may not."),
)
ACQUIRE = Action("acquire", Message("Look at the raw data"), "search")
MORE = Action("score", Message("Score more rows"), "target")


def show(settings: Settings, run: tracking.RunInfo) -> None:
    """Draw the next action as the page's button, and the others as links."""
    first, *others = actions(settings, run)
    if st.button(
        str(first.label),
        type="primary",
        icon=f":material/{first.icon}:",
        key="next",
        help=str(first.why) or None,
    ):
        of = steps.named(first.step)
        st.switch_page(
            f"pages/{of.page}/page.py", query_params={"view": of.view} if of.view else None
        )
    for action in others:
        elements.step_link(action.step, action.label, icon=f":material/{action.icon}:")


def actions(settings: Settings, run: tracking.RunInfo) -> list[Action]:
    """Return what helps with this verdict, the most important first."""
    code = ReportRun.of(run).verdict or "unknown"
    missing = int(run.metrics.get("rows_current", 0) - run.metrics.get("rows_labelled", 0))
    labels = Action(
        "label",
        Message("Add labels"),
        "label",
        plural(
            "{count:,} of these rows has no label.",
            "{count:,} of these rows have no label.",
            missing,
        ),
    )
    at_threshold, elsewhere = _failures(settings, run)
    threshold = [THRESHOLD] if at_threshold else []
    if code in ("does_not_fit", "no_skill"):
        helpful = [RETRAIN, PREPARE]
        if code == "does_not_fit" and not elsewhere:
            return [*threshold, *helpful]
    elif code == "investigate":
        unjudged = [labels] if missing and not run.metrics.get("rows_labelled") else []
        later = [labels] if missing and not unjudged else []
        helpful = [*unjudged, ACQUIRE, *later]
    elif code == "watch":
        helpful = [MORE, *([labels] if missing else [])]
    elif code in ("unknown", "cannot_tell"):
        helpful = [labels]
    else:
        helpful = [MORE]
    return [*helpful, *threshold]


def _failures(settings: Settings, run: tracking.RunInfo) -> tuple[bool, bool]:
    """Return whether F1 fails or the threshold separates no rows, and whether more is in alert."""
    checks = report_view.checks_of(settings, settings.mlflow_uri, run.run_id)
    if checks is None:
        return False, True
    f1 = checks[checks["code"] == "f1"]
    bad = f1["verdict"].isin(("warning", "alert"))
    odd = f1["state"].ne("") & f1["verdict"].ne("ok") & f1["value"].notna()
    own = checks[(checks["group"] == "performance") & (checks["verdict"] == "alert")]
    return bool((bad | odd).any()), bool((~own["code"].isin(AT_THRESHOLD)).any())
