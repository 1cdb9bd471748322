"""The first five minutes on the Overview: one button, each stage, the verdict, starting over."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import chains, jobs
from core.platform import lifecycle, process
from core.platform.config import Settings
from core.runtime import backup
from tests.integration.pages.conftest import Lived, said

BUTTON = "Run the whole life cycle on sample data"
RESET = "Reset, or restore a backup"
REAL = "Run on the real data"
SAMPLE_MARK = ":orange[:material/science: sample]"
STEPS = [step for step, _ in lifecycle.whole()]


def states(app: AppTest) -> list[str]:
    """Return the state on each step's tile."""
    return [element.value for element in app.markdown if "-badge[" in element.value]


def waiting(app: AppTest) -> int:
    return sum("waiting" in state for state in states(app))


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def first_todo(app: AppTest) -> str:
    """Return what the card says to do."""
    card = [element.value for element in app.markdown if element.value.startswith("**")]
    return card[0].strip("*") if card else ""


def go(settings: Settings, count: int, runs: dict[str, str] | None = None) -> None:
    """Finish that many jobs of the chain, as a worker does."""
    for _ in range(count):
        (job,) = jobs.active(settings)
        jobs.claim(settings, job.job_id)
        if runs:
            jobs.update(settings, job.job_id, run_id=runs[job.step])
        jobs.finish(settings, job.job_id, jobs.DONE)
        chains.advance(settings)


def test_a_newcomer_presses_one_button_and_sees_every_stage(
    settings: Settings, open_page: Callable[..., AppTest], press, text_of
) -> None:
    app = open_page(settings, "overview")
    assert "Does the shot go in?" in text_of(app)
    assert BUTTON in labels(app)
    # one sentence, and a way to go step by step
    assert "Courtside trains a model, serves it" in text_of(app)
    assert "Use your own data" in [link.value for link in app.page_link]
    app = press(app, BUTTON)
    assert not app.error
    chain = chains.current(settings)
    assert chain is not None
    assert ([link.step for link in chain.links], chain.state) == (STEPS, "running")
    assert [job.step for job in jobs.active(settings)] == ["acquire"]
    text = text_of(app)
    assert "1 / 6 · " in text
    assert "running" in states(app)[0] or "queued" in states(app)[0]
    assert waiting(app) == 5
    assert BUTTON not in labels(app)
    go(settings, 2)
    text = text_of(app.run())
    assert "3 / 6 · " in text
    assert waiting(app) == 3
    app = press(app, "Cancel")
    assert "Train was cancelled. Earlier results are unchanged." in text_of(app)
    assert not jobs.active(settings)


def test_a_failed_stage_shows_its_reason_and_can_be_tried_again(
    settings: Settings, open_page: Callable[..., AppTest], press, text_of
) -> None:
    chains.start(settings, lifecycle.whole(), BUTTON)
    go(settings, 1)
    (job,) = jobs.active(settings)
    jobs.claim(settings, job.job_id)
    jobs.finish(settings, job.job_id, jobs.FAILED, error="The disk is full.")
    app = open_page(settings, "overview")
    assert "**Prepare failed.** The disk is full." in [error.value for error in app.error]
    assert "Go to Prepare" in [link.value for link in app.page_link]
    app = press(app, "Try again from the start")
    chain = chains.current(settings)
    assert chain is not None
    assert (chain.state, chain.links[1].job) == ("running", None)
    assert "1 / 6 · " in text_of(app)


@pytest.mark.parametrize(("raw_dir", "source"), [(False, "download"), (True, "folder")])
def test_it_ends_with_the_verdict_and_the_real_data_come_next(
    copied: Lived, open_page: Callable[..., AppTest], press, text_of, raw_dir: bool, source: str
) -> None:
    settings = copied.settings
    if raw_dir:
        settings = settings.model_copy(update={"raw_dir": settings.home})
    runs = {step: copied.run(step).run_id for step in STEPS}
    chains.start(settings, lifecycle.whole(), BUTTON)
    go(settings, len(STEPS), runs)
    app = open_page(settings, "overview")
    run = copied.run("monitor")
    text = text_of(app)
    # on sample rows, and marked so
    assert app.subheader[0].value.endswith(f"] {said(run, 'verdict_title')} :small[{SAMPLE_MARK}]")
    assert said(run, "verdict_todo").startswith(first_todo(app))
    assert first_todo(app)
    (primary,) = [button for button in app.button if button.proto.type == "primary"]
    assert primary.label == "Go to Monitor"
    assert f"### {copied.run('train').metrics['log_loss_test']:.4f}\nlog loss on test" in text
    app = press(app, REAL)
    assert [(job.step, job.options) for job in jobs.active(settings)] == [
        ("acquire", {"source": source})
    ]


def test_a_reset_asks_for_the_name_and_restarts_the_app(
    copied: Lived, open_page: Callable[..., AppTest], press, text_of, monkeypatch
) -> None:
    settings, restarts = copied.settings, []
    monkeypatch.setattr(process, "re_exec", restarts.append)
    # the server belongs to another home
    monkeypatch.setattr(backup, "_stop_all", lambda settings: None)
    app = press(open_page(settings, "overview"), RESET)
    (button,) = [button for button in app.button if button.key == "reset"]
    assert button.disabled
    app.text_input(key="confirm-reset").set_value("kobe bryant").run()
    assert app.button(key="reset").disabled
    app.text_input(key="confirm-reset").set_value(settings.project).run()
    app = press(app, "Move everything into a backup")
    assert "The app is restarting" in text_of(app)
    assert restarts == [settings.environment()]
    # as the app does when it starts
    name = backup.finish(settings)
    app = open_page(settings, "overview", warm=False)
    assert BUTTON in labels(app)
    (stored,) = backup.listed(settings)
    assert stored.name == name
    app = press(app, RESET)
    assert app.button(key="restore").disabled
    app.checkbox(key="sure-restore").check().run()
    app = press(app, "Restore")
    backup.finish(settings)
    assert backup.size(settings) > 0
    assert BUTTON not in labels(open_page(settings, "overview", warm=False))


def test_while_a_job_waits_the_reset_is_refused_with_the_reason(
    settings: Settings, open_page: Callable[..., AppTest], press, monkeypatch
) -> None:
    restarts: list[object] = []
    monkeypatch.setattr(process, "re_exec", restarts.append)
    jobs.submit(settings, "prepare", {})
    app = press(open_page(settings, "overview"), RESET)
    app.text_input(key="confirm-reset").set_value(settings.project).run()
    app = press(app, "Move everything into a backup")
    assert "A job is under way." in app.error[0].value
    assert not restarts


def test_a_press_at_the_end_of_a_chain_is_not_lost(
    lived: Lived, open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(lived.settings, "overview")
    (primary,) = [button for button in app.button if button.proto.type == "primary"]
    gone: list[str] = []
    monkeypatch.setattr("streamlit.switch_page", lambda page, **_: gone.append(page))
    # the chain ends while the page, which was drawn during it, gets the press
    busy = iter([True])
    monkeypatch.setattr(
        "pages.shared.step_jobs.running_chain", lambda _: object() if next(busy, None) else None
    )
    primary.click()
    app.run()
    assert not app.exception
    assert gone == ["pages/monitor/page.py"]
