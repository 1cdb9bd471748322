"""Run tags of train, its candidates, and explain."""

from __future__ import annotations

from core.platform.run_tags import AsMessage, RunTags
from core.platform.runs import TrainedModel


class TrainingRun(TrainedModel):
    """The data of a training, and the run of its best candidate."""

    best_run: str = ""


class CandidateRun(TrainedModel):
    """The training data of a candidate, and how its threshold was chosen, in a sentence."""

    threshold_choice: AsMessage = ""


class ExplanationRun(RunTags):
    """The explanation's kind, `model` or `row`, and the run or version of the explained model."""

    model_run: str = ""
    version: str | None = None
    explained: str = ""
