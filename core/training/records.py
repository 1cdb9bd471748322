"""What the runs of a training, of its candidates and of an explanation are tagged with."""

from __future__ import annotations

from core.platform.run_tags import RunTags
from core.platform.runs import TrainedModel


class TrainingRun(TrainedModel):
    """What a training worked on, and the run of its best candidate."""

    best_run: str = ""


class CandidateRun(TrainedModel):
    """What a candidate was trained on, and how its threshold was chosen, in a sentence."""

    threshold_choice: str = ""


class ExplanationRun(RunTags):
    """What was explained, `model` or `row`, of the version or candidate that a run made."""

    model_run: str = ""
    version: str | None = None
    explained: str = ""
