"""Runs and registered versions as `tracking` and `model_store` return them, and their tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from core.platform.errors import NotReadyError
from core.platform.model_files import Digests
from core.platform.run_tags import AsJson, Listed, Moment, RunTags

Known = TypeVar("Known")


class EveryRun(RunTags):
    """What every run of ours is tagged with."""

    step: str | None = None
    project: str = ""
    git_commit: str = ""
    job_id: str | None = None
    # there, if any figure comes from the built-in sample
    sample: bool = False
    error: str = ""


class TrainedModel(RunTags):
    """What a training, its candidates and the version that comes of it have in common.

    `missing` is `drop` where a row with a missing input is refused, else `impute`; `rows_name` is
    what the rows are called.
    """

    source: str = ""
    inputs: Listed = ()
    features: Listed = ()
    formulas: AsJson[dict[str, tuple[str, str]]] | None = None
    missing: str = ""
    rows_name: str = ""


class VersionTags(TrainedModel, Digests):
    """What a registered version is tagged with.

    `rows_served` is what the served classifier was fitted on, `evaluated_...` the model that the
    figures are of where that is another one. `copied_from` is the version that it is a copy of,
    with another threshold; `logged_model` is of a candidate without a number.
    """

    candidate: str = ""
    train_run: str = ""
    threshold: float | None = None
    threshold_aim: str = ""
    rows_served: int | None = None
    copied_from: str = ""
    logged_model: str = ""
    evaluated_model: str = ""
    evaluated_sha256: str = ""
    evaluated_description_sha256: str = ""


class ChampionMove(RunTags):
    """What the run that moves the champion is tagged with: `registry.ledger` is made of these."""

    champion_of: str = ""
    champion_from: str = ""
    champion_to: str = ""
    champion_at: Moment = 0.0
    decided_by: str = ""
    decision: str = ""
    reason: str = ""


@dataclass(frozen=True)
class RunInfo:
    """A run as a page shows it; times are seconds since 1970."""

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
        """The step that made it, or an empty text for a run of somebody else's."""
        return self._own.step or ""

    @property
    def job_id(self) -> str | None:
        """The job of the app that ran it; None for a command's."""
        return self._own.job_id

    @property
    def git_commit(self) -> str:
        """The commit of the code that ran, or an empty text."""
        return self._own.git_commit

    @property
    def error(self) -> str:
        """Why it failed, or an empty text."""
        return self._own.error

    @property
    def is_sample(self) -> bool:
        """Whether its figures come, in part or in whole, from the built-in sample."""
        return self._own.sample

    @property
    def parent(self) -> str | None:
        """The run that it is nested in."""
        return self.tags.get("mlflow.parentRunId")


@dataclass(frozen=True)
class ModelVersion:
    """A registered version, the run that made it, and the aliases that point at it."""

    name: str
    version: str
    run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    created: float

    @cached_property
    def about(self) -> VersionTags:
        """What it was registered with."""
        return VersionTags.read(self.tags)

    @property
    def is_sample(self) -> bool:
        """Whether it was trained on the built-in sample."""
        return EveryRun.read(self.tags).sample

    @property
    def trained_by(self) -> str:
        """The run of its training; of one that was registered by hand, the run that it names."""
        return self.about.train_run or self.run_id

    @property
    def threshold(self) -> float:
        """Probability, 0 to 1, from which it labels a row 1."""
        if self.about.threshold is None:
            raise KeyError("threshold")
        return self.about.threshold

    @property
    def inputs(self) -> tuple[str, ...]:
        """The raw columns that it takes, in order.

        Raises
        ------
        NotReadyError
            For a version that somebody else registered under this name.
        """
        return self._required(self.about.inputs)

    @property
    def features(self) -> tuple[str, ...]:
        """What its classifier sees: inputs, or computed from them; raises as `inputs` does."""
        return self._required(self.about.features)

    @property
    def formulas(self) -> dict[str, tuple[str, str]]:
        """How it computes features, as `ProjectSpec.formulas_of` said; raises as `inputs` does."""
        return self._required(self.about.formulas)

    @property
    def is_complete(self) -> bool:
        """Whether it refuses rows with a missing input; else it imputes them."""
        return self.about.missing != "impute"

    def _required(self, known: Known | None) -> Known:
        if known is None or known == ():
            raise NotReadyError(
                f"Version {self.version} of {self.name} does not say which columns it needs, "
                "because Courtside did not register it. Train again."
            )
        return known
