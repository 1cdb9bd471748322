"""Hooks by which a package triggers work in packages above it.

Packages import downwards only; a step that needs something from above calls a hook by name. All
hooks are listed here.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

HOOKS = {
    # before a version becomes the champion: (settings, version, progress) -> context manager
    "champion_moves": "core.serving.follow_champion:followed",
    # after the champion or the served versions change: (settings)
    "operation_changed": "core.monitoring.operation:close_left_alerts",
    # after a monitoring report: (settings, run_id)
    "report_made": "core.retraining.policy_store:ask_about",
}


def hook(name: str) -> Callable[..., Any]:
    """Return the function registered in `HOOKS` under this name."""
    module, _, function = HOOKS[name].partition(":")
    hooked: Callable[..., Any] = getattr(import_module(module), function)
    return hooked
