"""Run tags of serve."""

from __future__ import annotations

from core.platform.run_tags import RunTags


class ServingRun(RunTags):
    """The run of the served model, and the address of the endpoint."""

    model_run: str = ""
    url: str = ""
