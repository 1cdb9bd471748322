"""The stage of the life cycle that follows from the stores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.platform.lifecycle import Facts, next_stage, stages

ALL = Facts(
    snapshot="s",
    prepared_from="s",
    prepared_run="p",
    trained_on="p",
    champion="1",
    served=("1",),
    scored_run="r",
    scored_version="1",
    monitored_run="r",
)


def test_with_everything_done_nothing_is_next() -> None:
    assert [stage.state for stage in stages(ALL)] == ["done"] * 6
    assert next_stage(stages(ALL)) is None


@pytest.mark.parametrize(
    ("change", "step", "state"),
    [
        ({"snapshot": "t"}, "prepare", "stale"),
        ({"prepared_run": "q"}, "train", "stale"),
        ({"champion": "2"}, "serve", "stale"),
        ({"served": ()}, "serve", "todo"),
        ({"served": ("1", "2"), "champion": "2"}, "serve", "done"),
        ({"scored_version": "0"}, "score", "stale"),
        ({"scored_run": "t"}, "monitor", "stale"),
        ({"monitored_run": None}, "monitor", "todo"),
    ],
)
def test_a_change_before_a_stage_makes_it_out_of_date(
    change: dict[str, object], step: str, state: str
) -> None:
    state_by_step = {stage.step: stage.state for stage in stages(replace(ALL, **change))}
    assert state_by_step[step] == state


def test_the_first_open_stage_is_next_and_the_rest_wait() -> None:
    listed = stages(Facts(snapshot="s"))
    assert [stage.state for stage in listed] == ["done", "todo", *["blocked"] * 4]
    following = next_stage(listed)
    assert following is not None
    assert following.step == "prepare"
