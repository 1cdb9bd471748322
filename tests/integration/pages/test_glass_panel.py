"""Every page shows the code of the last action on it, and no secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data import prepare
from core.jobs import jobs, schedules
from core.monitoring import alert_rules
from core.platform.config import CODE_ROOT, Settings
from core.retraining import policy_store
from core.retraining.policy_settings import Policy
from pages.shared import code_snippets
from tests.conftest import copy_home

PAGES = sorted(path.parent.name for path in (CODE_ROOT / "pages").glob("*/page.py"))


def codes(app: AppTest) -> str:
    opened = [button for button in app.button if button.key == "show-code"]
    if opened:
        # in a drawer, from the page's menu
        app = opened[0].click().run()
        assert not app.exception
        return "\n".join(str(block.value) for block in app.code)
    (panel,) = [expander for expander in app.expander if expander.label == "Code"]
    return "\n".join(str(block.value) for block in panel.code)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_it(
    page: str, settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(settings, page)
    assert not app.exception
    shown = codes(app)
    assert "from core.platform.config import Settings" in shown
    assert str(settings.home) in shown


def test_the_code_of_the_last_action_has_its_options(
    acquired_few: Settings, tmp_path: Path, open_page: Callable[..., AppTest]
) -> None:
    settings = copy_home(acquired_few, tmp_path / "home")
    assert "prepare.Options()" in codes(open_page(settings, "data", view="prepare"))
    # by a command, which leaves a run and no job
    prepare.run(settings, prepare.Options(test_share=0.25))
    assert "--test-share 0.25" in codes(open_page(settings, "data", view="prepare"))
    # by the page's button
    jobs.submit(settings, "prepare", {"test_share": 0.35, "seed": 42})
    shown = codes(open_page(settings, "data", view="prepare"))
    assert "prepare.Options(test_share=0.35)" in shown
    assert "python -m core prepare --test-share 0.35" in shown


def test_a_secret_is_nowhere(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, open_page: Callable[..., AppTest]
) -> None:
    hidden = settings.model_copy(update={"webhook_secret": "do-not-show-this"})
    assert code_snippets.known(hidden) is None
    for page in ("data", "monitor", "documents"):
        shown = codes(open_page(hidden, page))
        assert "settings = Settings.load()" in shown
        assert "do-not-show-this" not in shown
        assert "COURTSIDE_WEBHOOK_SECRET" not in shown


@pytest.mark.parametrize(
    "snippet", [code_snippets._alerts, code_snippets._policy], ids=["alerts", "policy"]
)
def test_the_code_sets_the_current_settings_again(snippet: Callable, settings: Settings) -> None:
    policy_store.save(settings, Policy(strategy="reactive", k=1))
    schedule = schedules.made(name="night's", step="monitor", cron="0 6 * * *")
    schedules.save(settings, schedule)
    before = (policy_store.load(settings), alert_rules.load(settings))
    imports, call = snippet(settings)
    exec(f"{imports}\n{call}", {"settings": settings})
    assert (policy_store.load(settings), alert_rules.load(settings)) == before
    assert [stored.schedule for stored in schedules.schedules(settings)] == [schedule]
