"""Run tags of score and label."""

from __future__ import annotations

from core.platform.run_tags import AsJson, RunTags


class ScoringRun(RunTags):
    """The rows and the version of a scoring, and the state for resuming a long one.

    `scoring` is the run that started it; `staging` is the place of its parts; `weights` is the
    column of sampling weights, if the metrics are by weight.
    """

    scoring: str = ""
    staging: AsJson[tuple[str, str]] | None = None
    source: str = ""
    model_run: str = ""
    version: str = ""
    csv_dialect: str | None = None
    weights: str = ""


class LabelRun(RunTags):
    """The source of imported labels."""

    source: str = ""
    csv_dialect: str | None = None
