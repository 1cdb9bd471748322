"""The glass box: what this page did, as code that runs as it stands."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from core.adapters import alerts, jobs, policies, schedules, tracking
from core.config import Settings
from core.errors import CourtsideError, without_secrets
from core.logic import glass
from pages import _parts
from pages._bilingual import st

_SECRET = ("_url", "_uri", "_secret", "_password", "emails")
# pages that read something rather than run a step: imports, call
OTHERS = {
    "reports": (
        "from core.steps import documents",
        "for document in documents.make(settings):\n    print(document.name, document.title)",
    ),
    "checklist": (
        "from core.logic.documents import checklist\nfrom core.steps import documents",
        "for found in checklist.look(documents.gather(settings)):\n    print(found)",
    ),
    "runs": (
        "from core.adapters import tracking",
        "for run in tracking.runs(settings, limit=20):\n    print(run.name, run.run_id)",
    ),
}
SHELL = {
    "reports": "documents --out documents.zip",
    "runs": "status",
    "checklist": "status",
}
# what a step cannot do without
USUAL: dict[str, dict[str, Any]] = {
    "label": {"upload": {"name": "labels.csv", "stored": "labels.csv"}}
}


@_parts.told()
def panel(settings: Settings, *steps: str) -> None:
    """Draw the code of what was last done of each of these steps, or of what its button would do.

    Parameters
    ----------
    *steps : str
        Steps, keys of `OTHERS`, or "policy" and "alerts" for what these pages set.
    """
    with st.expander("The same in code", icon=":material/code:"):
        shown = known(settings)
        for step in steps:
            if step in OTHERS:
                words = SHELL.get(step)
                line = glass.command(words, {}, shown) if words else None
                _draw(glass.script(*OTHERS[step], shown), line)
            elif step in ("policy", "alerts"):
                st.caption("What stands now, set again:")
                _draw(glass.script(*(_policy if step == "policy" else _alerts)(settings), shown))
            else:
                _step(settings, step, shown)
        if shown is None:
            st.caption(
                "Settings that may hold a password are not shown: this code reads all settings "
                "from the environment."
            )


@_parts.told()
def whole(settings: Settings, data: str = "sample") -> None:
    """Draw the code of the whole life cycle."""
    shown = known(settings)
    call = (
        f'for step, options in lifecycle.whole("{data}"):\n'
        '    module = import_module(f"core.steps.{step}")\n'
        "    print(module.run(settings, module.Options(**options)))"
    )
    imports = "from importlib import import_module\n\nfrom core.logic import lifecycle"
    with st.expander("The same in code", icon=":material/code:"):
        line = glass.command("lifecycle", {"data": data}, shown)
        _draw(glass.script(imports, call, shown), line)


def _step(settings: Settings, step: str, shown: Mapping[str, Any] | None) -> None:
    _parts.wait_for_store()
    done = last(settings, step)
    if done is None:
        st.caption("What the button does, as it stands:")
    else:
        st.caption("What was done last:")
    options = USUAL.get(step, {}) if done is None else changed(step, done)
    _draw(glass.python(step, options, shown), glass.command(step, options, shown))


def _draw(code: str, command: str | None = None) -> None:
    st.code(without_secrets(code), language="python", wrap_lines=True)
    if command:
        st.code(without_secrets(command), language="bash", wrap_lines=True)


def _policy(settings: Settings) -> tuple[str, str]:
    kept = policies.load(settings).model_dump(mode="json", exclude_defaults=True)
    given = ", ".join(f"{name}={value!r}" for name, value in kept.items())
    return (
        "from core.adapters import policies\nfrom core.retraining import Policy",
        f"policies.save(settings, Policy({given}))\nprint(policies.load(settings))",
    )


def _alerts(settings: Settings) -> tuple[str, str]:
    rules = "".join(
        f"    alerts.made_rule(**{rule.model_dump(mode='json', exclude_defaults=True)!r}),\n"
        for rule in alerts.rules(settings)
    )
    kept = "\n".join(
        "schedules.save(settings, schedules.made("
        f"**{one.schedule.model_dump(mode='json', exclude_defaults=True)!r}))"
        for one in schedules.schedules(settings)
    )
    return (
        "from core.adapters import alerts, schedules",
        f"alerts.save_rules(settings, [\n{rules}])\n{kept}\nprint(alerts.open_alerts(settings))",
    )


def known(settings: Settings) -> dict[str, Any] | None:
    """Return the settings that differ from the defaults; None where one of them is a secret."""
    found = settings.model_dump(mode="json", exclude_defaults=True)
    if any(name.endswith(_SECRET) for name in found):
        return None
    return found


def last(settings: Settings, step: str) -> Mapping[str, Any] | None:
    """Return the options of what was last done of a step, by a job or by a command."""
    found = jobs.latest(settings, step, limit=1)
    job = found[0] if found else None
    # a run without a job is a command's, or somebody's Python
    run = tracking.last_run(settings, step, status=None)
    is_commands = run is not None and f"{tracking.TAG}job_id" not in run.tags
    if run is not None and is_commands and (job is None or run.started > job.created):
        with suppress(CourtsideError, ValueError):
            return _options_of(settings, str(settings.home), run.run_id)
    return job.options if job is not None else None


@st.cache_data(show_spinner=False, max_entries=64)
def _options_of(_settings: Settings, store: str, run_id: str) -> dict[str, Any]:
    path = tracking.artifact(_settings, run_id, "settings.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("options") or {}
    return found


def changed(step: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a job that differ from the step's defaults."""
    module = importlib.import_module(f"core.steps.{step}")
    try:
        found: dict[str, Any] = module.Options(**options).model_dump(
            mode="json", exclude_defaults=True
        )
    except ValidationError:  # an older app took others
        return dict(options)
    return found
