"""What follows, in packages above, from something that happens in a package below.

Packages import downwards only; where a step must do something above it, it asks for the hook by
name. All of them stand here.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

HOOKS = {
    # a version is about to become the champion: (settings, version, progress) -> context manager
    "champion_moves": "core.serving.follow_champion:followed",
    # the champion or what is served has changed: (settings)
    "operation_changed": "core.monitoring.operation:close_left_alerts",
    # a monitoring report is finished: (settings, run_id)
    "report_made": "core.retraining.policy_store:ask_about",
}


def hook(name: str) -> Callable[..., Any]:
    """Return the function of that name in `HOOKS`."""
    module, _, function = HOOKS[name].partition(":")
    hooked: Callable[..., Any] = getattr(import_module(module), function)
    return hooked
