"""User settings for when a model is retrained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from core.platform.config import Options
from core.platform.messages import Message, in_context

Strategy = Literal["none", "reactive", "predictive", "calendar"]
# name and description of each
STRATEGIES: dict[str, tuple[Message, Message]] = {
    "none": (in_context("strategy", "None"), Message("Reports and alerts only; a person decides.")),
    "reactive": (
        Message("Reactive"),
        Message(
            "After performance was in alert in k of the last n windows with enough labels. It "
            "assumes nothing, but acts only after the harm."
        ),
    ),
    "predictive": (
        Message("Predictive"),
        Message(
            "Before the trend of a metric crosses its alert limit, or after k of n alerts. It can "
            "act before the harm if the decay is gradual."
        ),
    ),
    "calendar": (
        Message("Calendar"),
        Message("After a fixed time, needed or not. A schedule on Monitor starts it."),
    ),
}


class Policy(Options):
    """When to retrain, and who promotes.

    Parameters
    ----------
    strategy : {"none", "reactive", "predictive", "calendar"}
        See STRATEGIES for descriptions.
    k, n : int
        Reactive: alerts in k of the last n windows with enough labels; k is at most n.
    min_labels : int
        Windows with fewer labels do not count for performance.
    horizon_days : float
        Predictive: a crossing within this many days of the newest window triggers a retraining.
    min_windows : int
        Predictive: fewest windows for a trend.
    every_days : float
        Calendar: from one training to the next.
    promotes : {"person", "itself"}
        Whether a challenger that passes the gate waits for a person.
    """

    strategy: Strategy = "none"
    k: int = Field(2, ge=1, le=20)
    n: int = Field(3, ge=1, le=50)
    min_labels: int = Field(100, ge=100, le=1_000_000)
    horizon_days: float = Field(90.0, gt=0, le=3650)
    min_windows: int = Field(4, ge=3, le=100)
    every_days: float = Field(365.0, gt=0, le=3650)
    promotes: Literal["person", "itself"] = "person"

    @model_validator(mode="after")
    def _k_of_n(self) -> Policy:
        if self.k > self.n:
            raise ValueError(
                Message(
                    "{low} must not be above {high}", low=f"`k = {self.k}`", high=f"`n = {self.n}`"
                )
            )
        return self

    @property
    def is_on(self) -> bool:
        """Whether anything is decided automatically."""
        return self.strategy != "none"
