"""retrain: decide from the reports whether to retrain, do it, and apply the gate."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from pydantic import Field, ValidationError, field_validator, model_validator

from core.data import prepare
from core.platform import clock, config, project, steps, storage, tracking
from core.platform.config import Settings
from core.platform.errors import CourtsideError, NotReadyError
from core.platform.messages import Message, Words, sentences
from core.platform.project import ProjectSpec
from core.platform.run_record import SILENT, Progress, Record
from core.platform.runs import ModelVersion
from core.registry import promote
from core.registry.registry import DECISIONS
from core.retraining import decision_basis, policy, policy_store
from core.retraining.decision_basis import State
from core.retraining.policy import RETRAINED, Decision, Policy
from core.retraining.policy_settings import STRATEGIES
from core.retraining.records import DecisionRun
from core.training import train

MIN_REASON = 10


class Options(config.Options):
    """Who triggers it, and which policy decides.

    Parameters
    ----------
    trigger : {"report", "person", "calendar", "schedule"}
        A new report, a person, or a schedule.
    report : str, optional
        Run id of that report.
    reason : str, optional
        A person's reason, of 10 characters or more, to retrain regardless of the policy. Without it
        the policy decides.
    policy : Policy, optional
        Instead of the saved one.
    decided_by : str
        Who triggers it, by default the operating system's user.
    recipe : {"champion", "free"}
        Train with the champion's own candidate and parameters, or with all the options of its
        training, so that another candidate may win.
    """

    trigger: Literal["report", "person", "calendar", "schedule"] = "person"
    report: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    reason: str | None = Field(None, max_length=2000)
    policy: Policy | None = None
    decided_by: str = Field(default_factory=promote.user, min_length=1, max_length=80)
    recipe: Literal["champion", "free"] = "champion"

    @field_validator("reason")
    @classmethod
    def _is_a_reason(cls, value: str | None) -> str | None:
        if value is not None and len(value.strip()) < MIN_REASON:
            raise ValueError(
                Message("write a reason of {count} characters or more", count=MIN_REASON)
            )
        return value.strip() if value is not None else None

    @model_validator(mode="after")
    def _only_a_person_has_reasons(self) -> Options:
        if self.reason is not None and self.trigger != "person":
            raise config.needs("reason", "trigger = person")
        return self


@dataclass(frozen=True)
class Result:
    """The decision; the other fields are empty without a retraining.

    Parameters
    ----------
    decision : {"retrain", "wait", "investigate", "person", "none"}
    version : str
        The challenger.
    gate : {"promote", "hold", "refuse", ""}
    """

    run_id: str
    decision: str
    title: Words
    version: str = ""
    gate: str = ""
    is_promoted: bool = False


class _Part(Progress):
    """A section of a progress: inner steps report 0 to 1 of theirs, and not their runs."""

    def __init__(self, outer: Progress, begin: float, end: float, name: Message) -> None:
        self.job_id = outer.job_id
        self._outer, self._begin, self._end, self._name = outer, begin, end, name

    def update(self, fraction: float, text: Words) -> None:
        share = min(max(fraction, 0.0), 1.0)
        done = self._begin + (self._end - self._begin) * share
        self._outer.update(done, Message("{name}: {value}", name=self._name, value=text))


def decide(settings: Settings, by: Policy, standing: State) -> Decision:
    """Return the policy's decision now."""
    return policy.decide(
        by,
        standing.windows,
        trained_at=clock.moment(settings, standing.champion.created),
        now=clock.now(settings),
        used=standing.used,
        retrained_at=standing.retrained_at,
        waiting=standing.waiting,
    )


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Decide, and retrain if so decided, as the run `Retreinamento`.

    The runs of the preparation, the training and the gate are nested in it. A retraining trains
    the champion's recipe on its rows and those labelled since, which replaces the current prepared
    sets; the test rows stay test rows. The new version becomes the challenger. When the preparation
    or the training fails, the previous sets are restored.

    Raises
    ------
    NotReadyError
        Before there is a champion, or when its training cannot be repeated.
    InputError
        When there are no new labels.
    """
    spec = project.of(settings)

    def waits() -> None:
        progress.update(0.0, Message("Waiting for another change of the champion"))

    with (
        policy_store.turn(settings, waits),
        tracking.step_run(settings, "retrain", options, progress) as run_id,
    ):
        began = time.perf_counter()
        progress.update(0.02, Message("Reading the rows"))
        by = policy_store.load(settings) if options.policy is None else options.policy
        standing = decision_basis.state(settings, spec)
        decision = _decided(options, decide(settings, by, standing))
        _record(settings, run_id, options, by, standing, decision)
        if decision.code != "retrain":
            _cost(settings, run_id, began)
            progress.update(1.0, decision.title)
            return Result(run_id, decision.code, decision.title)
        result = _retrain(settings, spec, options, by, standing, decision, run_id, began, progress)
        progress.update(1.0, result.title)
    return result


def _retrain(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    by: Policy,
    standing: State,
    decision: Decision,
    run_id: str,
    began: float,
    progress: Progress,
) -> Result:
    champion = standing.champion
    sets, recipe = _recipe(settings, spec, options, champion)

    def note(done: DecisionRun) -> None:
        tracking.log(settings, run_id, Record(tags=done.write()))

    with storage.prepared_put_back(settings):
        prepared = prepare.run(
            settings, sets, _Part(progress, 0.05, 0.25, steps.named("prepare").title)
        )
        note(DecisionRun(prepare_run=prepared.run_id))
        trained = train.run(
            settings, recipe, _Part(progress, 0.25, 0.8, steps.named("train").title)
        )
    note(DecisionRun(train_run=trained.run_id, challenger=trained.version))
    itself = by.promotes == "itself"
    judged = promote.run(
        settings,
        promote.Options(
            action="gate",
            challenger=trained.version,
            decided_by=options.decided_by,
            dry_run=not itself,
        ),
        _Part(progress, 0.8, 0.98, steps.named("promote").title),
        reason=Message(
            "Retrained from version {version}: {title}.",
            version=champion.version,
            # a person's reason for requesting it, in their words
            title=options.reason.rstrip(".") if options.reason else decision.title,
        ),
        decided_by=None
        if options.reason
        else Message("{name}: {value}", name=Message("Policy"), value=STRATEGIES[by.strategy][0]),
    )
    is_promoted = itself and judged.decision == "promote"
    table, by_kind = _by_kind(settings, spec, judged.run_id)
    note(
        DecisionRun(
            gate_run=judged.run_id, gate=judged.decision, gate_text=judged.text, by_kind=by_kind
        )
    )
    fitted = tracking.run(settings, trained.run_id)
    preparation = tracking.run(settings, prepared.run_id)
    metrics = {
        "rows_fit": fitted.metrics.get("rows_fit", 0.0) if fitted else 0.0,
        "labels_new": preparation.metrics.get("rows_new", 0.0) if preparation else 0.0,
        "labels_used": float(prepared.rows_train + prepared.rows_test),
        "log_loss_test": trained.log_loss_test,
    }
    is_sample = bool(fitted and fitted.is_sample)
    tables = {} if table.empty else {"by_kind": table}
    tracking.log(settings, run_id, Record(metrics=metrics, tables=tables, is_sample=is_sample))
    _cost(settings, run_id, began)
    decided = (
        Message("waits for a person")
        if judged.decision == "promote" and not is_promoted
        else DECISIONS[judged.decision]
    )
    title = Message(
        "Version {version} was trained: {decision}", version=trained.version, decision=decided
    )
    return Result(run_id, "retrain", title, trained.version, judged.decision, is_promoted)


def _decided(options: Options, decision: Decision) -> Decision:
    """Return the policy's decision, or a person's instead."""
    if options.reason is None:
        return decision
    policy_says = Message("By the rules: {text}", text=decision.title)
    return Decision(
        "retrain",
        Message("Requested by {decided_by}", decided_by=options.decided_by),
        (options.reason, policy_says, *decision.reasons),
        decision.evidence,
        RETRAINED,
    )


def _record(
    settings: Settings,
    run_id: str,
    options: Options,
    by: Policy,
    standing: State,
    decision: Decision,
) -> None:
    rows = [
        {
            "run_id": window.run_id,
            "begin": window.begin,
            "end": window.end,
            "rows": window.rows,
            "labels": window.labels,
            "alerts": ",".join(window.alerts(performance=True)),
            "other_alerts": ",".join(window.alerts(performance=False)),
            "is_evidence": window.run_id in decision.evidence,
            "is_used": window.run_id in standing.used,
        }
        for window in standing.windows
    ]
    reasons = pd.DataFrame({"reason": list(decision.reasons)}, dtype="object")
    tracking.log(
        settings,
        run_id,
        Record(
            params={"policy_in_force": by.model_dump_json(), "model": standing.champion.name},
            tags=DecisionRun(
                decision=decision.code,
                decision_title=decision.title,
                reason=sentences(*decision.reasons),
                todo=decision.todo,
                evidence=decision.evidence,
                trigger=options.trigger,
                strategy=by.strategy,
                decided_by=options.decided_by,
                decided_at=clock.now(settings),
                retrained_version=standing.champion.version,
                windows_until=standing.windows[-1].end if standing.windows else 0,
                report=options.report,
            ).write(),
            tables={"windows": pd.DataFrame(rows), "reasons": reasons},
            documents={"decision": vars(decision)},
            is_sample=standing.champion.is_sample,
        ),
    )


def _cost(settings: Settings, run_id: str, began: float) -> None:
    seconds = time.perf_counter() - began
    tracking.log(settings, run_id, Record(metrics={"seconds": seconds}))


def _recipe(
    settings: Settings, spec: ProjectSpec, options: Options, champion: ModelVersion
) -> tuple[prepare.Options, train.Options]:
    """Return the options of the champion's own preparation and training, with newer rows."""
    trained = tracking.run(settings, champion.trained_by)
    if trained is None or trained.step != "train":
        raise NotReadyError(_unrepeatable(champion))
    sets = _options(settings, champion, prepare.Options, trained.params.get("prepared_by", ""))
    recipe = _options(settings, champion, train.Options, trained.run_id)
    candidate = champion.about.candidate
    changed: dict[str, Any] = {"preset": None, "learning_seconds": 0, "budget_seconds": None}
    if options.recipe == "champion" and candidate in recipe["candidates"]:
        own = {name: given for name, given in recipe["params"].items() if name == candidate}
        changed |= {
            "candidates": (candidate,),
            "params": own,
            "tune_trials": 0,
            "blend": False,
            "stack": False,
            "calibrate": "none",
        }
    try:
        return (
            prepare.Options(**{**sets, "continues": trained.run_id}),
            train.Options(**{**recipe, **changed}),
        )
    except ValidationError as error:
        raise NotReadyError(sentences(_unrepeatable(champion), config.sentence(error))) from error


def _unrepeatable(champion: ModelVersion) -> Message:
    return Message(
        "The training of version {version} cannot be repeated here. Train a challenger on the "
        "Train page.",
        version=champion.version,
    )


def _options(
    settings: Settings, champion: ModelVersion, kind: type[config.Options], run_id: str
) -> dict[str, Any]:
    """Return the resolved options of a run, as far as the step still has them."""
    try:
        path = tracking.artifact(settings, run_id, "settings.json")
    except CourtsideError as error:
        raise NotReadyError(_unrepeatable(champion)) from error
    stored = json.loads(path.read_text(encoding="utf-8"))["options"]
    return {name: value for name, value in stored.items() if name in kind.model_fields}


def _by_kind(settings: Settings, spec: ProjectSpec, gate_run: str) -> tuple[pd.DataFrame, Words]:
    """Return the gate's results on each kind of row, as a table and in a sentence."""
    try:
        slices = tracking.table(settings, gate_run, "slices")
    except NotReadyError:
        return pd.DataFrame(), ""
    kinds = slices[slices["column"] == spec.rows.column].drop(columns="column")
    if kinds.empty:
        return kinds, ""
    parts = [
        Message(
            "{kind}: log loss {before:.4f} before, {after:.4f} after ({rows:,} rows).",
            kind=str(row["value"]),
            before=float(row["log_loss_champion"]),
            after=float(row["log_loss_challenger"]),
            rows=int(row["rows"]),
        )
        for row in kinds.to_dict("records")
    ]
    return kinds.reset_index(drop=True), sentences(*parts)
