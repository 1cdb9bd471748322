"""Runs and registered versions as `tracking` and `model_store` return them, and their tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from core.platform.errors import NotReadyError
from core.platform.messages import Message, Words
from core.platform.model_files import Digests
from core.platform.run_tags import AsJson, AsMessage, Listed, Moment, RunTags

Known = TypeVar("Known")


class EveryRun(RunTags):
    """Tags of every run."""

    step: str | None = None
    project: str = ""
    git_commit: str = ""
    job_id: str | None = None
    # set if anything comes from the built-in sample
    sample: bool = False
    error: AsMessage = ""


class TrainedModel(RunTags):
    """Tags shared by a training, its candidates and the registered version.

    `missing` is `drop` if rows with a missing input are refused, otherwise `impute`; `rows_name` is
    what the rows are called.
    """

    source: str = ""
    inputs: Listed = ()
    features: Listed = ()
    formulas: AsJson[dict[str, tuple[str, str]]] | None = None
    missing: str = ""
    rows_name: AsMessage = ""


class VersionTags(TrainedModel, Digests):
    """Tags of a registered version.

    `rows_served` are the rows that the served classifier was fitted on; `evaluated_...` identify
    the model that the metrics are of, if it is another one. `copied_from` is the version copied
    with another threshold; `logged_model` is set for a candidate without a version number.
    """

    candidate: str = ""
    train_run: str = ""
    threshold: float | None = None
    threshold_aim: AsMessage = ""
    rows_served: int | None = None
    copied_from: str = ""
    logged_model: str = ""
    evaluated_model: str = ""
    evaluated_sha256: str = ""
    evaluated_description_sha256: str = ""


class ChampionMove(RunTags):
    """Tags of the run that changes the champion; `registry.ledger` reads them."""

    champion_of: str = ""
    champion_from: str = ""
    champion_to: str = ""
    champion_at: Moment = 0.0
    decided_by: AsMessage = ""
    decision: str = ""
    reason: AsMessage = ""


@dataclass(frozen=True)
class RunInfo:
    """A run; times are seconds since 1970."""

    run_id: str
    experiment_id: str
    name: str
    status: str
    started: float
    ended: float | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @cached_property
    def _own(self) -> EveryRun:
        return EveryRun.of(self)

    @property
    def step(self) -> str:
        """The step that created it; empty for a run that is not Courtside's."""
        return self._own.step or ""

    @property
    def job_id(self) -> str | None:
        """The job that ran it; None if started by a command."""
        return self._own.job_id

    @property
    def git_commit(self) -> str:
        """The commit of the code that ran; may be empty."""
        return self._own.git_commit

    @property
    def error(self) -> Words:
        """Why it failed; may be empty."""
        return self._own.error

    @property
    def is_sample(self) -> bool:
        """Whether it uses rows of the built-in sample."""
        return self._own.sample

    @property
    def parent(self) -> str | None:
        """The run that it is nested in."""
        return self.tags.get("mlflow.parentRunId")


@dataclass(frozen=True)
class ModelVersion:
    """A registered version, its training run, and its aliases."""

    name: str
    version: str
    run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    created: float

    @cached_property
    def about(self) -> VersionTags:
        """Its tags."""
        return VersionTags.read(self.tags)

    @property
    def is_sample(self) -> bool:
        """Whether it was trained on the built-in sample."""
        return EveryRun.read(self.tags).sample

    @property
    def trained_by(self) -> str:
        """The id of its training run; for a version registered by hand, the run that it names."""
        return self.about.train_run or self.run_id

    @property
    def threshold(self) -> float:
        """Probability, 0 to 1, from which it labels a row 1."""
        if self.about.threshold is None:
            raise KeyError("threshold")
        return self.about.threshold

    @property
    def inputs(self) -> tuple[str, ...]:
        """Raw columns that it takes, in order.

        Raises
        ------
        NotReadyError
            For a version that was not registered by Courtside.
        """
        return self._required(self.about.inputs)

    @property
    def features(self) -> tuple[str, ...]:
        """Features of its classifier, inputs or engineered; raises as `inputs` does."""
        return self._required(self.about.features)

    @property
    def formulas(self) -> dict[str, tuple[str, str]]:
        """Formulas as from `ProjectSpec.formulas_of`; raises as `inputs` does."""
        return self._required(self.about.formulas)

    @property
    def is_complete(self) -> bool:
        """Whether it refuses rows with a missing input; otherwise it imputes."""
        return self.about.missing != "impute"

    def _required(self, known: Known | None) -> Known:
        if known is None or known == ():
            raise NotReadyError(
                Message(
                    "{model!c} was not registered by this app, or by an older version of it. It is "
                    "neither loaded nor served. Train again.",
                    model=Message(
                        "version {version} of {name}", version=self.version, name=self.name
                    ),
                )
            )
        return known
