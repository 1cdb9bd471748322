"""Registration of versions, and the rules by which the champion's aliases move.

A version is registered as the challenger. Each move of the champion is recorded as tags of its
run, from which the ledger is built. `version_files` reads the files of a version, `model_store`
talks to MLflow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

import pandas as pd
from filelock import FileLock

from core.platform import locks, mlflow_client, model_store, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError, StoreError
from core.platform.messages import Message, Words, in_context
from core.platform.model_store import CHALLENGER, CHAMPION, PREVIOUS
from core.platform.run_record import ModelRecord, Record
from core.platform.runs import ChampionMove, EveryRun, ModelVersion, VersionTags
from core.registry import version_files

LEDGER = ("version", "from", "to", "decided_by", "decision", "reason", "run_id")
UNKNOWN = "unknown"
DECISIONS = {
    "first": Message("first"),
    "promote": Message("promoted"),
    "hold": Message("on hold"),
    "refuse": in_context("gate", "refused"),
    "unchanged": Message("unchanged"),
    "override": Message("promoted anyway"),
    "rollback": Message("rollback"),
    UNKNOWN: Message("unknown"),
}
# who decided, if no person is recorded
NOBODY = DECISIONS[UNKNOWN]
NO_PREVIOUS = Message("There is nothing to roll back to: no other version was the champion.")
TURN_SECONDS = 300.0
# the most runs that MLflow returns for one query
MOST_MOVES = 50_000


def register(
    settings: Settings,
    model: str,
    model_id: str,
    run_id: str,
    tags: Mapping[str, str],
    *,
    evaluated: str | None = None,
    alias: str | None = CHALLENGER,
) -> ModelVersion:
    """Register a logged model as a new version with the alias `challenger`.

    It also becomes `champion` if there is none yet, or if the champion was trained on the built-in
    sample and this version was not: no one would operate on synthetic rows by choice. The run of
    its training, if the tags name it, else `run_id`, is tagged with that `ChampionMove`.

    Parameters
    ----------
    evaluated : str, optional
        The logged model that was evaluated, if `model_id`, which is served, was refitted on more
        rows.
    alias : str or None
        None sets no alias.
    """
    model_store.require_model(settings, model)
    own = {**tags, **model_store.digests(settings, model_id).write()}
    if evaluated is not None and evaluated != model_id:
        of_evaluated = model_store.digests(settings, evaluated)
        own |= VersionTags(
            evaluated_model=evaluated,
            evaluated_sha256=of_evaluated.model_sha256,
            evaluated_description_sha256=of_evaluated.description_sha256,
        ).write()
    number = model_store.add_version(settings, model, model_id, run_id, own)
    if alias is not None:
        model_store.set_alias(settings, model, alias, number)
        champion = model_store.find_version(settings, model, CHAMPION)
        if champion is None or (champion.is_sample and not EveryRun.read(tags).sample):
            old, why = (
                (
                    champion.version,
                    Message(
                        "It replaces version {former}, which was trained on the built-in sample.",
                        former=champion.version,
                    ),
                )
                if champion
                else ("", Message("There is no champion yet."))
            )
            move = ChampionMove(
                champion_of=model,
                champion_from=old,
                champion_to=number,
                champion_at=time.time(),
                decided_by=Message("the app"),
                decision="first",
                reason=why,
            )
            trained_by = VersionTags.read(tags).train_run or run_id
            tracking.set_tags(settings, trained_by, move.write())
            model_store.set_alias(settings, model, CHAMPION, number)
    return model_store.require_version(settings, model, number)


def with_threshold(
    settings: Settings, version: ModelVersion, threshold: float, run_id: str
) -> ModelVersion:
    """Register the same classifier with another threshold, as a new version.

    A version never changes: the server, the app, and any other client label by the threshold that
    it was registered with. The new one has no alias yet; its metrics are those of the run that
    trained it, and its tag `copied_from` names the original version.

    Parameters
    ----------
    threshold : float
        Probability, 0 to 1.
    run_id : str
        The open run; the model is logged in it.

    Raises
    ------
    StoreError
        As for `version_files.load`.
    """
    from core.platform import served_model

    loaded = version_files.load(settings, version)
    example = served_model.checked(loaded.example, loaded.inputs, is_complete=False)
    model_id = tracking.log(
        settings,
        run_id,
        Record(
            model=ModelRecord(
                loaded.estimator,
                loaded.feature_names,
                loaded.inputs,
                threshold,
                example,
                loaded.engineered,
                loaded.is_complete,
                loaded.libraries,
                loaded.rules,
            )
        ),
    )
    own = VersionTags(threshold=threshold, copied_from=version.version)
    tags = {**version.tags, **own.write()}
    return register(settings, version.name, str(model_id), version.run_id, tags, alias=None)


def exclusive(
    settings: Settings, on_wait: Callable[[], None] | None = None
) -> AbstractContextManager[None]:
    """Serialize changes of the champion and of the endpoint that follows it.

    Parameters
    ----------
    on_wait : callable, optional
        Called several times a second while waiting for another change.

    Raises
    ------
    NotReadyError
        When the other change does not finish.
    """
    path = settings.state_dir / "turn.lock"
    return locks.exclusive(path, on_wait, patience=TURN_SECONDS)


def check_champion(
    settings: Settings, version: ModelVersion, *, instead_of: str | None
) -> dict[str, str]:
    """Return the version behind each alias, if this one may still become the champion.

    Parameters
    ----------
    instead_of : str or None
        The champion at the time of the decision, None for none.

    Raises
    ------
    InputError
        When it is the champion already, or another version became the champion meanwhile.
    """
    aliases = model_store.aliases(settings, version.name)
    old = aliases.get(CHAMPION)
    if old != instead_of:
        raise InputError(
            Message("The champion has changed in the meantime. Nothing was changed: decide again.")
        )
    if old == version.version:
        raise InputError(already_champion(version))
    return aliases


def already_champion(version: ModelVersion) -> Message:
    """Return the sentence on a version that is to become the champion, and is it already."""
    return Message(
        "Version {version} is the champion already: there is nothing to decide.",
        version=version.version,
    )


def move_champion(
    settings: Settings,
    version: ModelVersion,
    run_id: str,
    *,
    instead_of: str | None,
    decided_by: Words,
    decision: str,
    reason: Words,
) -> None:
    """Make a version the champion and the old champion `previous`; it loses `challenger`.

    There is a champion at every moment: its alias is moved in one call, the last that can fail.
    When a call fails, the previous state is restored.

    Parameters
    ----------
    run_id : str
        The run that moves it; tagged for the `ledger`.
    instead_of : str or None
        See `check_champion`.

    Raises
    ------
    InputError
        As for `check_champion`.
    StoreError
        When the store fails.
    """
    model, number = version.name, version.version
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with (
        FileLock(settings.state_dir / "champion.lock", timeout=60),
        mlflow_client.wrap_store_errors(only_store=True),
    ):
        before = check_champion(settings, version, instead_of=instead_of)
        old = before.get(CHAMPION)
        move = ChampionMove(
            champion_of=model, champion_from=old or "", champion_to=number, champion_at=time.time()
        ).write()
        decided = ChampionMove(decided_by=decided_by, decision=decision, reason=reason).write()
        try:
            tracking.set_tags(settings, run_id, {**move, **decided})
            if old:
                model_store.set_alias(settings, model, PREVIOUS, old)
            model_store.set_alias(settings, model, CHAMPION, number)
        except BaseException:
            _take_back(settings, model, run_id, move, before.get(PREVIOUS))
            raise
        # it is the champion now and stays so: a leftover alias does no harm
        judged = version.about.copied_from or number
        if before.get(CHALLENGER) in (number, judged):
            with suppress(StoreError):
                model_store.delete_alias(settings, model, CHALLENGER)


def ledger(settings: Settings, model: str) -> pd.DataFrame:
    """Return which version was the champion from when to when, and who decided so.

    Built from the tags of the runs that moved it, including deleted runs, and compared with the
    current alias: moves made in MLflow's own pages, or by an app that did not tag its runs, have
    `unknown` decision and person.

    Returns
    -------
    DataFrame
        Newest first: `version`, `from` and `to` (UTC; missing where unknown, and `to` of the
        current champion), `decided_by` (a name or a message), `decision` (a key of DECISIONS),
        `reason` (a message), `run_id` (empty when unknown).
    """
    matching = ChampionMove.where(champion_of=model)
    runs = tracking.runs(settings, matching=matching, limit=MOST_MOVES, with_deleted=True)
    champion = model_store.aliases(settings, model).get(CHAMPION)
    moves = [(ChampionMove.of(run), run.run_id) for run in runs]
    rows: list[dict[str, Any]] = []
    for move, run_id in sorted(moves, key=lambda pair: pair[0].champion_at):
        _follow(rows, move.champion_from, move.champion_at)
        rows.append(
            {
                "version": move.champion_to,
                "from": move.champion_at,
                "to": None,
                "decided_by": move.decided_by or NOBODY,
                "decision": move.decision or UNKNOWN,
                "reason": move.reason,
                "run_id": run_id,
            }
        )
    _follow(rows, champion or "", None)
    table = pd.DataFrame(rows[::-1], columns=list(LEDGER))
    for name in ("from", "to"):
        seconds = pd.to_numeric(table[name])
        table[name] = pd.to_datetime(seconds, unit="s", utc=True).dt.round("ms")
    return table


def require_previous(settings: Settings, model: str) -> ModelVersion:
    """Return the previous champion.

    Raises
    ------
    NotReadyError
        When there was none.
    """
    previous = model_store.find_version(settings, model, PREVIOUS)
    if previous is None:
        raise NotReadyError(NO_PREVIOUS)
    return previous


def _follow(rows: list[dict[str, Any]], version: str, when: float | None) -> None:
    """End the last row at a time, if it is of the version that was the champion then."""
    if version and (not rows or rows[-1]["version"] != version):
        rows.append(
            {
                "version": version,
                "from": None,
                "to": None,
                "decided_by": NOBODY,
                "decision": UNKNOWN,
                "reason": Message("Changed outside this app, or by an older version of it."),
                "run_id": "",
            }
        )
    if rows:
        rows[-1]["to"] = when


def _take_back(
    settings: Settings, model: str, run_id: str, tags: Iterable[str], previous: str | None
) -> None:
    """Undo a move that failed halfway, as far as the store permits; the decision stays."""
    with suppress(StoreError):
        if previous:
            model_store.set_alias(settings, model, PREVIOUS, previous)
        else:
            model_store.delete_alias(settings, model, PREVIOUS)
    for tag in tags:
        with suppress(StoreError):
            tracking.delete_tag(settings, run_id, tag)
