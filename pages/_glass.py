"""The glass box: what this page did, as code that runs as it stands."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from core.adapters import jobs
from core.config import Settings
from core.logic import glass
from pages import _parts
from pages._bilingual import st

_SECRET = ("_url", "_secret", "_password", "emails")
# pages that read or set something rather than run a step: imports, call
OTHERS = {
    "alerts": (
        "from core.adapters import alerts, schedules",
        "print(alerts.open_alerts(settings))\nprint(schedules.schedules(settings))",
    ),
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
    "policy": (
        "from core.adapters import policies",
        "print(policies.load(settings))",
    ),
}
SHELL = {
    "reports": "python -m core documents --out documents.zip",
    "runs": "python -m core status",
    "overview": "python -m core lifecycle --data sample",
}


@_parts.told()
def panel(settings: Settings, *steps: str) -> None:
    """Draw the code of the newest job of each of these steps, or of what its button would do."""
    with st.expander("The same in code", icon=":material/code:"):
        shown = known(settings)
        for step in steps:
            if step in OTHERS:
                _draw(glass.script(*OTHERS[step], shown), SHELL.get(step))
                continue
            found = jobs.latest(settings, step, limit=1)
            options = changed(step, found[0].options if found else {})
            st.caption("What was done last:" if found else "What the button does, as it stands:")
            _draw(glass.python(step, options, shown), glass.command(step, options, shown))


@_parts.told()
def whole(settings: Settings, data: str = "sample") -> None:
    """Draw the code of the whole life cycle."""
    call = (
        f'for step, options in lifecycle.whole("{data}"):\n'
        '    module = import_module(f"core.steps.{step}")\n'
        "    print(module.run(settings, module.Options(**options)))"
    )
    imports = "from importlib import import_module\n\nfrom core.logic import lifecycle"
    with st.expander("The same in code", icon=":material/code:"):
        _draw(glass.script(imports, call, known(settings)), SHELL["overview"])


def _draw(code: str, command: str | None) -> None:
    st.code(code, language="python", wrap_lines=True)
    if command:
        st.code(command, language="bash", wrap_lines=True)


def known(settings: Settings) -> dict[str, Any]:
    """Return the settings that differ from the defaults, without what nobody is to see."""
    found = settings.model_dump(mode="json", exclude_defaults=True)
    return {name: value for name, value in found.items() if not name.endswith(_SECRET)}


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
