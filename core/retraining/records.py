"""What the runs of a decision about retraining, and of a replay, are tagged with."""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainSerializer

from core.platform.run_tags import Listed, Moment, RunTags


class DecisionRun(RunTags):
    """What was decided about the champion `retrained_version`, by what, and what came of it.

    Reports were read up to `windows_until`, seconds since 1970. The runs of its own, the
    `challenger` and what the `gate` said of it are there where a retraining came so far.
    """

    decision: str = ""
    decision_title: str = ""
    reason: str = ""
    todo: str = ""
    evidence: Listed = ()
    trigger: str = ""
    strategy: str = ""
    decided_by: str = ""
    decided_at: Moment | None = None
    report: str | None = None
    retrained_version: str = ""
    windows_until: int | float = 0
    prepare_run: str = ""
    train_run: str = ""
    challenger: str = ""
    gate_run: str = ""
    gate: str = ""
    gate_text: str = ""
    by_kind: str = ""


class ReplayRun(RunTags):
    """What came out of a replay, in a sentence, and when drift was put in, where it was."""

    answer: str = ""
    # written empty where none was put in
    drift_begin: Annotated[float | None, PlainSerializer(lambda at: "" if at is None else at)] = (
        None
    )
