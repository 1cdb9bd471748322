"""Run tags of train, its candidates, and explain."""

from __future__ import annotations

from core.platform.run_tags import AsMessage, Listed, RunTags
from core.platform.runs import TrainedModel


class TrainingRun(TrainedModel):
    """The data of a training, and the run of its best candidate.

    `weights` is the column of sampling weights, `unweighted` the models fitted without them.
    """

    best_run: str = ""
    weights: str = ""
    unweighted: Listed = ()


class CandidateRun(TrainedModel):
    """The training data of a candidate, and how its threshold was chosen, in a sentence.

    `unweighted` are the models in it that were fitted without the rows' sampling weights.
    """

    threshold_choice: AsMessage = ""
    unweighted: Listed = ()


class ExplanationRun(RunTags):
    """The explanation's kind, `model` or `row`, and the run or version of the explained model."""

    model_run: str = ""
    version: str | None = None
    explained: str = ""
