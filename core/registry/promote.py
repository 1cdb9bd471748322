"""promote: decide whether the challenger becomes champion, and roll back."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from core.platform import config, model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError
from core.platform.hooks import hook
from core.platform.messages import Message, Words, sentences
from core.platform.project import ProjectSpec
from core.platform.run_record import SILENT, Progress, Record
from core.platform.runs import ModelVersion
from core.registry import gate, gate_evaluation, registry, version_files
from core.registry.gate import Decision
from core.registry.gate_evaluation import Evaluation
from core.registry.records import PromotionRun

MIN_REASON = 10
SAME_CLASSIFIER = Message("Only the threshold changes: the probabilities stay the same.")
# decisions that move the champion, unless in a dry run
MOVING = ("promote", "override", "rollback")
NAMED = r"^([a-z][a-z0-9_-]{0,39}|[1-9][0-9]{0,8})$"


def user() -> str:
    """Return the current user of the operating system."""
    try:
        return getpass.getuser()[:80]
    except (OSError, KeyError, ImportError):
        return "unknown"


class Options(config.Options):
    """What to decide, about which version, and by whom.

    Parameters
    ----------
    action : {"gate", "override", "rollback"}
        Apply the rules; promote regardless of the rules; or make the previous champion the
        champion again.
    challenger : str
        An alias or a version number; not for `rollback`.
    against : str
        An alias or a version number instead of the champion; for a comparison, in a dry run only.
    reason : str, optional
        Recorded in the run and in the ledger; an override needs one of 10 characters or more.
    decided_by : str
        Who decides, by default the operating system's user.
    threshold : float, optional
        Lowest probability, 0 to 1, that the promoted version labels 1; by default its own.
        With another one, a copy of the version with that threshold is registered and promoted;
        if that version is the champion, there is nothing for the rules to compare.
    aim : {"better", "not_worse"}
        Whether the challenger must be shown to be better, or not to be worse by more than `margin`.
    margin : float
        Log loss, 0 to 0.1 nats.
    dry_run : bool
        Whether to report the decision without acting on it.
    """

    action: Literal["gate", "override", "rollback"] = "gate"
    challenger: str = Field(model_store.CHALLENGER, pattern=NAMED)
    against: str = Field(model_store.CHAMPION, pattern=NAMED)
    reason: str | None = Field(None, max_length=2000)
    decided_by: str = Field(default_factory=user, min_length=1, max_length=80)
    threshold: float | None = Field(None, ge=0, le=1)
    aim: Literal["better", "not_worse"] = "better"
    margin: float = Field(0.0, ge=0, le=0.1)
    dry_run: bool = False

    @field_validator("reason", "decided_by", mode="before")
    @classmethod
    def _without_spaces(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _suits_the_action(self) -> Options:
        if self.action == "override" and len(self.reason or "") < MIN_REASON:
            raise ValueError(
                Message("write a reason of {count} characters or more", count=MIN_REASON)
            )
        if self.action == "rollback" and self.threshold is not None:
            raise config.needs("threshold", "action = gate")
        if self.against != model_store.CHAMPION and not (self.dry_run and self.action == "gate"):
            raise config.needs("against", "dry_run = true")
        return self


@dataclass(frozen=True)
class Result:
    """The decision.

    Parameters
    ----------
    decision : {"promote", "hold", "refuse", "unchanged", "override", "rollback"}
        "unchanged": a dry run of the version that is the champion already.
    version : str
        The version decided about; with another threshold, the promoted copy.
    champion : str or None
        The champion now, None if there is none.
    text : Message
        The reason, in sentences.
    """

    run_id: str
    decision: str
    version: str
    champion: str | None
    text: Words


@dataclass(frozen=True)
class _Author:
    """Who decides, and their written reason, empty for none."""

    name: Words
    reason: Words


def run(
    settings: Settings,
    options: Options,
    progress: Progress = SILENT,
    *,
    reason: Words | None = None,
    decided_by: Words | None = None,
) -> Result:
    """Decide about the champion, as the run `Promocao`; aliases move last, after recording.

    If this model has a live endpoint, it switches to the new champion before the aliases move. If
    that fails to start, no alias moves and the endpoint stays as it is; if the aliases cannot be
    moved, the endpoint switches back.

    Challenger and champion are compared on the test rows of the challenger's training, without
    rows that either was trained on. If the served classifier was refitted on all labelled rows,
    the one fitted on the training rows is compared instead.

    Parameters
    ----------
    reason, decided_by : Message, optional
        Instead of those of the options, where the app itself decides.

    Raises
    ------
    NotReadyError
        When the version does not exist, or there is nothing to roll back to.
    InputError
        When the challenger is the champion already, unless in a dry run, or another version became
        the champion meanwhile.
    StoreError
        When the files of a version are not the registered ones, or the store fails.
    ServerError
        When the live endpoint cannot follow.
    """
    spec = project.of(settings)
    author = _Author(decided_by or options.decided_by, reason or options.reason or "")
    with tracking.step_run(settings, "promote", options, progress) as run_id:
        champion = model_store.find_version(settings, spec.model, model_store.CHAMPION)
        if options.action == "rollback":
            version, decision = _rollback(settings, spec, champion)
            judged, other = Evaluation([], {}, {}), champion
        else:
            version = model_store.require_version(settings, spec.model, options.challenger)
            other = _other(settings, spec, options, version, champion)
            if other is not None and _is_same(version, other):
                judged = Evaluation(gate_evaluation.not_evaluated(SAME_CLASSIFIER), {}, {})
                decision = gate.decide(judged.rules)
            elif other is None and _is_same(version, champion):
                unchanged = registry.already_champion(version)
                judged = Evaluation(gate_evaluation.not_evaluated(unchanged), {}, {})
                decision = Decision("unchanged", unchanged)
            else:
                judged = gate_evaluation.evaluate(settings, spec, options, version, other, progress)
                decision = gate.decide(judged.rules)
        code, text = _final(options, author, decision)
        progress.update(0.9, Message("Writing the results"))
        _record(settings, run_id, options, author, version, other, judged, (code, text))
        moves = code in MOVING and not options.dry_run
        if moves:
            copy = _with_threshold(settings, options, version, run_id)
            if copy != version:
                text = sentences(
                    text,
                    Message(
                        "It is registered again as version {version}, with the threshold {new:g} "
                        "instead of {old:g}.",
                        version=copy.version,
                        new=copy.threshold,
                        old=version.threshold,
                    ),
                )
            version = copy
            text = _move(settings, author, run_id, version, champion, (code, text), progress)
            now: str | None = version.version
        else:
            now = champion.version if champion else None
        progress.update(1.0, text)
    if moves:
        hook("operation_changed")(settings)
    return Result(run_id, code, version.version, now, text)


def _other(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    version: ModelVersion,
    champion: ModelVersion | None,
) -> ModelVersion | None:
    """Return the version to compare with, by default the champion; None if there is none."""
    if options.against == model_store.CHAMPION:
        if _is_same(version, champion) and options.threshold in (None, version.about.threshold):
            if options.dry_run and options.action == "gate":
                return None
            raise InputError(registry.already_champion(version))
        return champion
    other = model_store.require_version(settings, spec.model, options.against)
    if other.version == version.version:
        both = Message(
            "{keys} must differ: {values}", keys=["challenger", "against"], values=version.version
        )
        raise InputError(Message("{reason!c}.", reason=both))
    return other


def _is_same(version: ModelVersion, champion: ModelVersion | None) -> bool:
    return champion is not None and champion.version == version.version


def _move(
    settings: Settings,
    author: _Author,
    run_id: str,
    version: ModelVersion,
    champion: ModelVersion | None,
    final: tuple[str, Words],
    progress: Progress,
) -> Words:
    """Move the live endpoint, then the aliases; return the reason, with what the endpoint did."""
    instead_of = champion.version if champion else None
    code, text = final
    waiting = Message("Waiting for another change of the champion")
    with registry.exclusive(settings, lambda: progress.update(0.9, waiting)):
        # before the endpoint switches needlessly
        registry.check_champion(settings, version, instead_of=instead_of)
        with hook("champion_moves")(settings, version, progress) as switched:
            reason = sentences(text, switched)
            registry.move_champion(
                settings,
                version,
                run_id,
                instead_of=instead_of,
                decided_by=author.name,
                decision=code,
                reason=reason,
            )
    return reason


def _rollback(
    settings: Settings, spec: ProjectSpec, champion: ModelVersion | None
) -> tuple[ModelVersion, Decision]:
    version = registry.require_previous(settings, spec.model)
    if champion is not None and champion.version == version.version:
        raise NotReadyError(registry.NO_PREVIOUS)
    # a version with changed files must not be restored
    version_files.check(settings, version)
    return version, Decision(
        "promote",
        Message("Rolled back: version {version} is the champion again.", version=version.version),
    )


def _final(options: Options, author: _Author, decision: Decision) -> tuple[str, Words]:
    """Return the final decision and its reason: by the rules, or by a person against them."""
    code, text = _by_person(options.action, author, decision)
    if options.dry_run and code in MOVING:
        return code, sentences(Message("Nothing was changed."), text)
    return code, text


def _by_person(action: str, author: _Author, decision: Decision) -> tuple[str, Words]:
    if action == "rollback":
        return "rollback", sentences(decision.text, author.reason)
    reason = Message("{name}: {value}", name=author.name, value=author.reason)
    if action == "override":
        return "override", sentences(reason, Message("By the rules: {text}", text=decision.text))
    if not author.reason:
        return decision.code, decision.text
    return decision.code, sentences(decision.text, reason)


def _with_threshold(
    settings: Settings, options: Options, version: ModelVersion, run_id: str
) -> ModelVersion:
    if options.threshold is None or options.threshold == version.threshold:
        return version
    return registry.with_threshold(settings, version, options.threshold, run_id)


def _record(
    settings: Settings,
    run_id: str,
    options: Options,
    author: _Author,
    version: ModelVersion,
    champion: ModelVersion | None,
    judged: Evaluation,
    final: tuple[str, Words],
) -> None:
    code, text = final
    tracking.log(
        settings,
        run_id,
        Record(
            params={
                "model": version.name,
                "challenger_version": version.version,
                "champion_version": champion.version if champion else "none",
                "challenger_threshold": (
                    version.about.threshold if options.threshold is None else options.threshold
                ),
                "challenger_model_judged": version.about.evaluated_model or "the served one",
            },
            metrics=judged.metrics,
            tags=PromotionRun(
                version=version.version,
                against=champion.version if champion else "",
                decision=code,
                reason=text,
                decided_by=author.name,
                dry_run=options.dry_run,
            ).write(),
            tables={"rules": gate.as_table(judged.rules), **judged.tables},
            is_sample=version.is_sample or bool(champion and champion.is_sample),
        ),
    )
