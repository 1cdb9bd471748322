"""Glass box: the actions of a page as runnable code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import streamlit as st

from core.jobs import jobs, schedules
from core.monitoring import alert_rules
from core.platform import code_snippets, steps, tracking
from core.platform.config import Settings
from core.platform.errors import CourtsideError, without_secrets
from core.platform.messages import _
from core.retraining import policy_store
from pages.shared import elements, visit

_SECRET = ("_url", "_uri", "_secret", "_password", "emails")
# pages that read something rather than run a step: imports, call
OTHERS = {
    "documents": (
        "from core.documents import gather",
        "for document in gather.build(settings):\n    print(document.name, document.title)",
    ),
    "checklist": (
        "from core.documents import gather\nfrom core.platform.plugins import part",
        "for line in part(settings.project, 'checklist').inspect(gather.gather(settings)):\n"
        "    print(line)",
    ),
    "projects": (
        "from core.platform import projects",
        "for listed in projects.listed(settings):\n    print(listed.name, listed.title)",
    ),
    "runs": (
        "from core.platform import tracking",
        "for run in tracking.runs(settings, limit=20):\n    print(run.name, run.run_id)",
    ),
}
SHELL = {
    "documents": "documents --out documents.zip",
    "runs": "status",
    "checklist": "status",
    "projects": "projects",
}
# required options of a step
USUAL: dict[str, dict[str, Any]] = {
    "label": {"upload": {"name": "labels.csv", "stored": "labels.csv"}}
}


def button(settings: Settings, *steps: str) -> None:
    """Draw a button that shows the code of the last run of these steps, or of what they would do.

    Parameters
    ----------
    *steps : str
        Steps, keys of `OTHERS`, "policy" and "alerts" for what these pages set, or "lifecycle"
        for all steps.
    """
    if st.button(
        _("Code"),
        icon=":material/code:",
        key="show-code",
        type="tertiary",
        on_click=elements.close_menu,
    ):
        st.dialog(_("Code"), width="large", position="right")(_draw_all)(settings, *steps)


@elements.show_errors()
def _draw_all(settings: Settings, *steps: str) -> None:
    shown = known(settings)
    for step in steps:
        if step in OTHERS:
            words = SHELL.get(step)
            line = code_snippets.command(words, {}, shown) if words else None
            _draw(code_snippets.script(*OTHERS[step], shown), line)
        elif step == "lifecycle":
            _whole("sample", shown)
        elif step in ("policy", "alerts"):
            _draw(
                code_snippets.script(*(_policy if step == "policy" else _alerts)(settings), shown)
            )
        else:
            _step(settings, step, shown)
    if shown is None:
        st.caption(_("All settings come from the environment, as they may hold a password."))


def _whole(data: str, shown: Mapping[str, Any] | None) -> None:
    call = (
        f'for step, options in lifecycle.whole("{data}"):\n'
        "    module = steps.module(step)\n"
        "    print(module.run(settings, module.Options(**options)))"
    )
    imports = "from core.platform import lifecycle, steps"
    line = code_snippets.command("lifecycle", {"data": data}, shown)
    _draw(code_snippets.script(imports, call, shown), line)


def _step(settings: Settings, step: str, shown: Mapping[str, Any] | None) -> None:
    visit.wait_for_store()
    done = last(settings, step)

    options = USUAL.get(step, {}) if done is None else changed(step, done)
    _draw(code_snippets.python(step, options, shown), code_snippets.command(step, options, shown))


def _draw(code: str, command: str | None = None) -> None:
    st.code(without_secrets(code), language="python", wrap_lines=True)
    if command:
        st.code(without_secrets(command), language="bash", wrap_lines=True)


def _policy(settings: Settings) -> tuple[str, str]:
    kept = policy_store.load(settings).model_dump(mode="json", exclude_defaults=True)
    given = ", ".join(f"{name}={value!r}" for name, value in kept.items())
    return (
        "from core.retraining import policy_store\n"
        "from core.retraining.policy_settings import Policy",
        f"policy_store.save(settings, Policy({given}))\nprint(policy_store.load(settings))",
    )


def _alerts(settings: Settings) -> tuple[str, str]:
    rules = "".join(
        f"    alert_rules.made_rule(**{rule.model_dump(mode='json', exclude_defaults=True)!r}),\n"
        for rule in alert_rules.load(settings)
    )
    kept = "\n".join(
        "schedules.save(settings, schedules.made("
        f"**{scheduled.schedule.model_dump(mode='json', exclude_defaults=True)!r}))"
        for scheduled in schedules.schedules(settings)
    )
    return (
        "from core.jobs import schedules\nfrom core.monitoring import alert_rules, alerts",
        f"alert_rules.save(settings, [\n{rules}])\n{kept}\nprint(alerts.open_alerts(settings))",
    )


def known(settings: Settings) -> dict[str, Any] | None:
    """Return the settings that differ from the defaults; None if one of them is a secret."""
    if settings.is_nested:
        # as a person writes them: the project's home is inside that of the app
        update = {"home": settings.outer_home, "tracking_uri": settings.outer.tracking_uri}
        settings = settings.model_copy(update=update)
    differing = settings.model_dump(mode="json", exclude_defaults=True)
    if any(name.endswith(_SECRET) for name in differing):
        return None
    return differing


def last(settings: Settings, step: str) -> Mapping[str, Any] | None:
    """Return the options of a step's last run, by a job or by a command."""
    newest = jobs.latest(settings, step, limit=1)
    job = newest[0] if newest else None
    # a run without a job is from a command, or from Python code
    run = tracking.last_run(settings, step, status=None)
    is_commands = run is not None and run.job_id is None
    if run is not None and is_commands and (job is None or run.started > job.created):
        with suppress(CourtsideError, ValueError):
            return _options_of(settings, str(settings.home), run.run_id)
    return job.options if job is not None else None


@st.cache_data(show_spinner=False, max_entries=64)
def _options_of(_settings: Settings, store: str, run_id: str) -> dict[str, Any]:
    path = tracking.artifact(_settings, run_id, "settings.json")
    options: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("options") or {}
    return options


def changed(step: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a job that differ from the step's defaults."""
    chosen = steps.module(step).Options(**options)
    differing: dict[str, Any] = chosen.model_dump(mode="json", exclude_defaults=True)
    return differing
