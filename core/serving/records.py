"""What the run that starts an endpoint is tagged with."""

from __future__ import annotations

from core.platform.run_tags import RunTags


class ServingRun(RunTags):
    """The candidate's run that made what is served, and the address of the endpoint."""

    model_run: str = ""
    url: str = ""
