"""Run tags of retrain and replay."""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainSerializer

from core.platform.run_tags import AsMessage, Listed, Moment, RunTags


class DecisionRun(RunTags):
    """A decision about the champion `retrained_version`, its basis, and its outcome.

    It considered reports up to `windows_until`, seconds since 1970. Nested runs, the `challenger`
    and the verdict of the `gate` are present as far as a retraining got.
    """

    decision: str = ""
    decision_title: AsMessage = ""
    reason: AsMessage = ""
    todo: AsMessage = ""
    evidence: Listed = ()
    trigger: str = ""
    strategy: str = ""
    decided_by: AsMessage = ""
    decided_at: Moment | None = None
    report: str | None = None
    retrained_version: str = ""
    windows_until: int | float = 0
    prepare_run: str = ""
    train_run: str = ""
    challenger: str = ""
    gate_run: str = ""
    gate: str = ""
    gate_text: AsMessage = ""
    by_kind: AsMessage = ""


class ReplayRun(RunTags):
    """The conclusion of a replay, in a sentence, and the start of injected drift, if any."""

    answer: AsMessage = ""
    # written empty without drift
    drift_begin: Annotated[float | None, PlainSerializer(lambda at: "" if at is None else at)] = (
        None
    )
