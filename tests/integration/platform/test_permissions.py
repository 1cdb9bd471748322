"""What each role may do: checked in core, whatever pages show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.jobs import chains, jobs, local_cluster, schedules
from core.monitoring import alert_rules, alerts, channels, deliver
from core.platform import permissions, projects, set_aside, state, steps, storage, tracking
from core.platform.config import ROLES, Options, Settings
from core.platform.errors import InputError, RoleError
from core.platform.run_record import SILENT
from core.predictions_log import labels
from core.retraining import policy, policy_store, replay_store
from core.runtime import backup, project_homes
from core.serving import api_keys, endpoint, mlflow_ui, server_process

WEEKLY = schedules.Schedule(name="Weekly", step="monitor", every_seconds=604800)
# action -> what does it
CHANGES: dict[str, tuple[Callable[[Settings], object], ...]] = {
    "job": (
        lambda settings: jobs.cancel(settings, "one"),
        chains.cancel,
        chains.forget,
        set_aside.dismiss,
    ),
    "schedule": (
        lambda settings: schedules.save(settings, WEEKLY),
        lambda settings: schedules.remove(settings, "Weekly"),
    ),
    "alert": (
        lambda settings: alerts.acknowledge_all(settings, "subject", "ana", ""),
        lambda settings: alerts.close(settings, "one", "ana", ""),
    ),
    "acquire": (lambda settings: storage.stage_upload(settings, "rows.csv", b"a\n1\n"),),
    "label": (lambda settings: labels.report(settings, []),),
    "serve": (
        endpoint.stop,
        lambda settings: endpoint.restart(settings, 5001),
        lambda settings: endpoint.set_shadow(settings, 5002, on=True),
        lambda settings: server_process.stop(settings, 5001),
        lambda settings: server_process.dismiss(settings, 5001),
    ),
    "replay": (lambda settings: replay_store.remove(settings, "one"),),
    "cluster": (local_cluster.start, local_cluster.stop),
    "mlflow": (mlflow_ui.start, mlflow_ui.stop),
    "api_key": (
        lambda settings: api_keys.create(settings, "mine"),
        lambda settings: api_keys.revoke(settings, "mine"),
    ),
    "channel": (
        lambda settings: channels.save(settings, channels.Channels()),
        lambda settings: deliver.send_test(settings, "mail"),
    ),
    "alert_rule": (lambda settings: alert_rules.save(settings, []),),
    "policy": (lambda settings: policy_store.save(settings, policy.Policy()),),
    "project": (
        lambda settings: projects.create(settings, ""),
        lambda settings: projects.add_example(settings, "flights"),
        lambda settings: projects.edit(settings, ""),
        lambda settings: project_homes.edit(settings, ""),
        lambda settings: project_homes.delete(settings, "kobe"),
        lambda settings: project_homes.restore(settings, "kobe.zip"),
    ),
    "reset": (backup.ask,),
}


def files(settings: Settings) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in settings.home.rglob("*") if path.is_file()}


def test_each_action_has_a_role_and_each_change_a_test() -> None:
    names = {step.name for step in steps.STEPS}
    assert names <= permissions.ACTIONS.keys()
    assert names | CHANGES.keys() == permissions.ACTIONS.keys()
    assert set(permissions.ACTIONS.values()) == {"operator", "admin"}


@pytest.mark.parametrize("step", list(steps.RUN_NAMES))
def test_a_viewer_starts_no_step(settings: Settings, step: str) -> None:
    state.save(settings, "something", 1)
    before, version = files(settings), state.version(settings)
    attempts: list[Callable[[], object]] = [
        lambda: jobs.submit(settings, step, {}),
        lambda: chains.start(settings, [(step, {})], "All"),
        lambda: tracking.step_run(settings, step, Options(), SILENT).__enter__(),
    ]
    for attempt in attempts:
        with permissions.acting("viewer"), pytest.raises(RoleError) as refused:
            attempt()
        assert refused.value.action == step
    assert jobs.latest(settings) == []
    assert chains.current(settings) is None
    assert state.version(settings) == version
    assert files(settings).keys() - before.keys() == set()


@pytest.mark.parametrize("action", list(CHANGES))
def test_who_lacks_the_role_changes_nothing(settings: Settings, action: str) -> None:
    state.save(settings, "something", 1)
    version = state.version(settings)
    needed = permissions.ACTIONS[action]
    for role in ROLES[: ROLES.index(needed)]:
        for change in CHANGES[action]:
            with permissions.acting(role), pytest.raises(RoleError) as refused:
                change(settings)
            assert refused.value.action == action
    assert state.version(settings) == version


def test_an_operator_runs_steps_and_an_admin_changes_what_they_follow(settings: Settings) -> None:
    with permissions.acting("operator"):
        job = jobs.submit(settings, "train", {})
        jobs.cancel(settings, job.job_id)
        schedules.save(settings, WEEKLY)
        assert not permissions.may("policy")
    with permissions.acting("admin"):
        policy_store.save(settings, policy.Policy())
    # the command line and the worker are nobody who logs in
    assert permissions.role() == "admin"


def test_roles_without_a_log_in_are_refused() -> None:
    with pytest.raises(InputError):
        Settings.load({"COURTSIDE_ROLES": "ana@example.org=admin"})
    for wrong in ("ana@example.org", "ana@example.org=owner", "=admin"):
        with pytest.raises(InputError):
            Settings.load({"COURTSIDE_ROLES": wrong, "COURTSIDE_LOGIN": "true"})
