"""What the runs of a scoring, and of labels that came, are tagged with."""

from __future__ import annotations

from core.platform.run_tags import AsJson, RunTags


class ScoringRun(RunTags):
    """Which rows were scored by which version, and what is needed to go on with a long scoring.

    `scoring` is the run that began it; `staging` is the place of its parts.
    """

    scoring: str = ""
    staging: AsJson[tuple[str, str]] | None = None
    source: str = ""
    model_run: str = ""
    version: str = ""
    csv_dialect: str | None = None


class LabelRun(RunTags):
    """Where labels came from."""

    source: str = ""
    csv_dialect: str | None = None
