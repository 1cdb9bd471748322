"""promote: decide whether the challenger becomes champion, and roll back."""

from __future__ import annotations

import getpass
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from core.platform import config, model_store, own_columns, project, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError, StoreError
from core.platform.hooks import hook
from core.platform.project import ProjectSpec
from core.platform.run_record import SILENT, Progress, Record
from core.platform.runs import ModelVersion
from core.registry import gate, registry, version_files
from core.registry.gate import Decision, Limits, Rule
from core.registry.records import PromotionRun
from core.registry.version_files import Loaded
from core.stats import comparison, metrics, slices
from core.stats.metrics import Floats, Labels

MIN_REASON = 10
# rows per timed prediction, and repetitions
TIMED_ROWS, TIMED_TIMES = 1000, 7
NO_CHAMPION = "There is no champion yet."
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
        With another one, a copy of the version with that threshold is registered and promoted.
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

    @field_validator("reason", "decided_by")
    @classmethod
    def _says_something(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("nothing but spaces stands there")
        return value.strip() if value is not None else None

    @model_validator(mode="after")
    def _suits_the_action(self) -> Options:
        if self.action == "override" and len(self.reason or "") < MIN_REASON:
            raise ValueError(
                f"an override needs a written reason of {MIN_REASON} characters or more"
            )
        if self.action == "rollback" and self.threshold is not None:
            raise ValueError("a rollback brings a version back as it was, with its own threshold")
        if self.against != model_store.CHAMPION and not (self.dry_run and self.action == "gate"):
            raise ValueError("only a dry run of the gate compares with another than the champion")
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
    text : str
        The reason, in sentences.
    """

    run_id: str
    decision: str
    version: str
    champion: str | None
    text: str


@dataclass(frozen=True)
class _Rows:
    """The frozen rows for comparing two versions, and counts of the excluded ones.

    Parameters
    ----------
    rows : DataFrame
        All of the project's columns.
    trained_on, unanswered : int
        Rows that one of the two was trained on; that one of the two cannot score.
    problem : str or None
        Why there are no rows, in a sentence.
    """

    rows: pd.DataFrame
    trained_on: int = 0
    unanswered: int = 0
    problem: str | None = None


@dataclass(frozen=True)
class _Judged:
    """The results of the gate."""

    rules: list[Rule]
    metrics: dict[str, float]
    tables: dict[str, pd.DataFrame]


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Decide about the champion, as the run `Promocao`; aliases move last, after recording.

    If this model has a live endpoint, it switches to the new champion before the aliases move. If
    that fails to start, no alias moves and the endpoint stays as it is; if the aliases cannot be
    moved, the endpoint switches back.

    Challenger and champion are compared on the test rows of the challenger's training, without
    rows that either was trained on. If the served classifier was refitted on all labelled rows,
    the one fitted on the training rows is compared in its place.

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
    spec = project.load(settings.project)
    with tracking.step_run(settings, "promote", options, progress) as run_id:
        champion = model_store.find_version(settings, spec.model, model_store.CHAMPION)
        if options.action == "rollback":
            version, decision = _rollback(settings, spec, champion)
            judged, other = _Judged([], {}, {}), champion
        else:
            version = model_store.require_version(settings, spec.model, options.challenger)
            other = _other(settings, spec, options, version, champion)
            if other is None and _is_same(version, champion):
                judged = _Judged(_not_evaluated("A champion is not compared with itself."), {}, {})
                decision = _unchanged(version)
            else:
                judged = _judge(settings, spec, options, version, other, progress)
                decision = gate.decide(judged.rules)
        code, text = _final(options, decision)
        progress.update(0.9, "Recording the decision")
        _record(settings, run_id, options, version, other, judged, (code, text))
        moves = code not in ("hold", "refuse", "unchanged") and not options.dry_run
        if moves:
            copy = _with_threshold(settings, options, version, run_id)
            if copy != version:
                text += (
                    f" It is registered anew as version {copy.version}, with the threshold "
                    f"{copy.threshold:g} instead of {version.threshold:g}."
                )
            version = copy
            text += _move(settings, options, run_id, version, champion, (code, text), progress)
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
        if _is_same(version, champion):
            if options.dry_run and options.action == "gate":
                return None
            raise InputError(
                f"Version {version.version} is the champion already. Choose another challenger."
            )
        return champion
    other = model_store.require_version(settings, spec.model, options.against)
    if other.version == version.version:
        raise InputError(f"Version {version.version} is compared with itself. Choose another.")
    return other


def _is_same(version: ModelVersion, champion: ModelVersion | None) -> bool:
    return champion is not None and champion.version == version.version


def _unchanged(version: ModelVersion) -> Decision:
    return Decision(
        "unchanged",
        f"Version {version.version} is the champion already, so there is nothing to decide.",
    )


def _move(
    settings: Settings,
    options: Options,
    run_id: str,
    version: ModelVersion,
    champion: ModelVersion | None,
    final: tuple[str, str],
    progress: Progress,
) -> str:
    """Move the live endpoint, then the aliases; return a sentence about the endpoint, if any."""
    instead_of = champion.version if champion else None
    code, text = final
    waiting = "Waiting for another change of the champion to end"
    with registry.exclusive(settings, lambda: progress.update(0.9, waiting)):
        # before the endpoint switches needlessly
        registry.check_champion(settings, version, instead_of=instead_of)
        with hook("champion_moves")(settings, version, progress) as sentence:
            registry.move_champion(
                settings,
                version,
                run_id,
                instead_of=instead_of,
                decided_by=options.decided_by,
                decision=code,
                reason=text + sentence,
            )
    return str(sentence)


def _rollback(
    settings: Settings, spec: ProjectSpec, champion: ModelVersion | None
) -> tuple[ModelVersion, Decision]:
    version = registry.require_previous(settings, spec.model)
    if champion is not None and champion.version == version.version:
        raise NotReadyError(
            f"There is nothing to roll back to: version {version.version} is the champion and the "
            "previous one."
        )
    # a version with changed files must not be restored
    version_files.check(settings, version)
    left = f" instead of version {champion.version}" if champion else ""
    return version, Decision(
        "promote", f"Rolled back: version {version.version} is the champion again{left}."
    )


def _final(options: Options, decision: Decision) -> tuple[str, str]:
    """Return the final decision and its reason: by the rules, or by a person against them."""
    code, text = _by_person(options, decision)
    return code, f"Only tried, nothing was moved. {text}" if options.dry_run else text


def _by_person(options: Options, decision: Decision) -> tuple[str, str]:
    if options.action == "gate":
        own = f" {options.decided_by} adds: {options.reason}" if options.reason else ""
        return decision.code, decision.text + own
    if options.action == "rollback":
        own = f" {options.reason}" if options.reason else ""
        return "rollback", decision.text + own
    said = f"The rules say {decision.code}: {decision.text}"
    return "override", f"{options.decided_by} decides: {options.reason} {said}"


def _judge(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    version: ModelVersion,
    champion: ModelVersion | None,
    progress: Progress,
) -> _Judged:
    """Evaluate all rules; loading refuses files that are not the registered ones."""
    limits = Limits(aim=options.aim, margin=options.margin)
    progress.update(0.05, f"Loading version {version.version}")
    served = version_files.load(settings, version)
    if champion is None:
        return _Judged(_not_evaluated(NO_CHAMPION), {}, {})
    progress.update(0.1, f"Loading version {champion.version}")
    try:
        old_served = version_files.load(settings, champion)
        both = [
            version_files.load(settings, asked, evaluated=True)
            if asked.about.evaluated_model
            else loaded
            for asked, loaded in ((version, served), (champion, old_served))
        ]
    except StoreError as error:
        # a person may still replace a broken champion with the challenger
        first = gate.same_rows(0, 0, 0, problem=error.message)
        return _Judged(_not_evaluated("One of the two cannot be asked.", first), {}, {})
    schema = gate.schema(
        served.inputs,
        old_served.inputs,
        spec.kinds_of(list(spec.columns)),
        more_complete=served.is_complete and not old_served.is_complete,
    )
    size = gate.size(served.size, old_served.size, limits)
    measured: dict[str, float] = {
        "bytes_challenger": served.size,
        "bytes_champion": old_served.size,
    }
    if schema.verdict == "refuse":
        return _Judged(
            _not_evaluated("It cannot be asked: its columns do not fit.", size, schema),
            measured,
            {},
        )
    frozen = _frozen(settings, spec, version, champion, both)
    measured |= {
        "rows_judged": len(frozen.rows),
        "rows_left_out": frozen.trained_on + frozen.unanswered,
    }
    first = gate.same_rows(
        len(frozen.rows),
        frozen.trained_on,
        frozen.unanswered,
        problem=frozen.problem,
        limits=limits,
    )
    if first.verdict != "pass":
        rest = _not_evaluated("There are not enough rows to judge by.", first, size, schema)
        return _Judged(rest, measured, {})
    progress.update(0.2, f"Asking both about {len(frozen.rows):,} rows")
    thresholds = (
        served.threshold if options.threshold is None else options.threshold,
        old_served.threshold,
    )
    compared = _compare(spec, frozen.rows, both, thresholds, limits, progress)
    progress.update(0.8, "Measuring the time of an answer")
    new, old = (_milliseconds(loaded, frozen.rows) for loaded in (served, old_served))
    times = {"ms_per_row_challenger": new, "ms_per_row_champion": old}
    latency = gate.latency(new, old, limits)
    return _Judged(
        [first, *compared.rules, latency, size, schema],
        {**measured, **compared.metrics, **times},
        compared.tables,
    )


def _not_evaluated(reason: str, *evaluated: Rule) -> list[Rule]:
    """Return all rules in their order, those that were not evaluated with the reason."""
    by_code = {rule.code: rule for rule in evaluated}
    return [by_code.get(code) or gate.not_applicable(code, reason) for code in gate.TITLES]


def _frozen(
    settings: Settings,
    spec: ProjectSpec,
    version: ModelVersion,
    champion: ModelVersion,
    both: list[Loaded],
) -> _Rows:
    """Return the challenger's test rows that are new to both models and scorable by both."""
    empty = pd.DataFrame(columns=list(spec.columns))
    if version.is_sample != champion.is_sample:
        which = "challenger" if version.is_sample else "champion"
        return _Rows(empty, problem=f"Only the {which} was trained on the built-in sample.")
    try:
        rows = _kept(settings, version, "test_rows")
        keys = pd.concat(
            [_kept(settings, trained, "train_keys")[spec.id] for trained in (version, champion)]
        )
    except NotReadyError as error:
        return _Rows(
            empty,
            problem=(
                "Which rows are new to both cannot be determined: the tables of a training are "
                f"gone. Train both again. {error.message}"
            ),
        )
    trained_on = rows[spec.id].isin(keys)
    rows = rows[~trained_on & rows[spec.target].notna()].reset_index(drop=True)
    answered = pd.Series(True, index=rows.index)
    for loaded in both:
        answered &= loaded.answers(rows)
    return _Rows(
        rows[answered].reset_index(drop=True), int(trained_on.sum()), int((~answered).sum())
    )


def _kept(settings: Settings, version: ModelVersion, name: str) -> pd.DataFrame:
    return tracking.table(settings, version.trained_by, name)


def _compare(
    spec: ProjectSpec,
    rows: pd.DataFrame,
    both: list[Loaded],
    thresholds: tuple[float, float],
    limits: Limits,
    progress: Progress,
) -> _Judged:
    labels: Labels = rows[spec.target].to_numpy(dtype=np.int64)
    new, old = (loaded.predict(rows) for loaded in both)
    table = comparison.paired(labels, new, old, *thresholds)
    losses = table.set_index("metric").loc["log_loss"]
    progress.update(0.4, "Comparing slice by slice")
    harm = slices.harm(rows, labels, new, old, spec.slice_columns)
    progress.update(0.6, "Comparing calibration")
    calibration, errors = _calibration(labels, new, old)
    better = gate.better(losses["difference"], (losses["low"], losses["high"]), limits)
    return _Judged(
        [better, gate.slices(harm), calibration],
        {
            "log_loss_challenger": losses["one"],
            "log_loss_champion": losses["other"],
            "log_loss_difference": losses["difference"],
            "log_loss_difference_low": losses["low"],
            "log_loss_difference_high": losses["high"],
            **errors,
        },
        {
            "comparison": table.rename(columns={"one": "challenger", "other": "champion"}),
            "slices": harm,
            "judged_rows": pd.DataFrame(
                {
                    spec.id: rows[spec.id],
                    own_columns.LABEL: labels,
                    own_columns.PREFIX + "challenger": new,
                    own_columns.PREFIX + "champion": old,
                }
            ),
        },
    )


def _calibration(labels: Labels, new: Floats, old: Floats) -> tuple[Rule, dict[str, float]]:
    error, champion = (
        metrics.calibration_error(labels, probabilities) for probabilities in (new, old)
    )
    _, floor = metrics.calibration_floor(new)
    difference, interval = gate.calibration_change(labels, new, old)
    rule = gate.calibration(error, floor, difference, interval)
    return rule, {
        "calibration_error_challenger": error,
        "calibration_error_champion": champion,
        "calibration_floor_challenger": floor,
    }


def _milliseconds(loaded: Loaded, rows: pd.DataFrame) -> float:
    """Return the median prediction time per row, in milliseconds, for up to 1,000 rows at once."""
    sample = rows.head(TIMED_ROWS)
    loaded.predict(sample)  # warm-up: the first prediction is slower than what callers wait for
    seconds = []
    for _ in range(TIMED_TIMES):
        start = time.perf_counter()
        loaded.predict(sample)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) * 1000 / len(sample)


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
    version: ModelVersion,
    champion: ModelVersion | None,
    judged: _Judged,
    final: tuple[str, str],
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
                decided_by=options.decided_by,
                dry_run=options.dry_run,
            ).write(),
            tables={"rules": gate.as_table(judged.rules), **judged.tables},
            is_sample=version.is_sample or bool(champion and champion.is_sample),
        ),
    )
