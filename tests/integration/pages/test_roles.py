"""Pages as somebody sees them whose role allows no change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.platform.config import Settings
from pages.shared import login
from tests.conftest import copy_home

PLACES: dict[str, dict[str, str]] = {
    "overview": {},
    "data": {"view": "source"},
    "train": {},
    "registry": {},
    "serve": {},
    "score": {"view": "rows"},
    "monitor": {},
    "retrain": {},
    "projects": {"view": "new"},
}

# they open something, or lead to another page
OPENING = {
    "Code",
    "Next: Serve",
    "Reset, or restore a backup",
    "Model card",
    "Rules",
    "New report",
    "Choose a threshold",
    "Schedule",
    "Channels",
    "Go to Policy",
}
# what an operator can press besides
GAINED = {"data": {"Acquire"}, "serve": {"Start"}, "retrain": {"Retrain"}}


@pytest.mark.parametrize("page", list(PLACES))
def test_a_viewer_presses_nothing_that_changes_something(
    page: str,
    scored_few: Settings,
    tmp_path: Path,
    open_page: Callable[..., AppTest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = copy_home(scored_few, tmp_path / "home")
    pressed = {}
    for role in ("viewer", "operator", "admin"):
        monkeypatch.setattr(login, "_role", lambda role=role: role)
        app = open_page(home, page, **PLACES[page])
        assert not app.exception
        pressed[role] = {button.label for button in app.button if not button.disabled}
    assert pressed["viewer"] <= OPENING
    assert pressed["operator"] - pressed["viewer"] == GAINED.get(page, set())
    assert pressed["viewer"] <= pressed["operator"] <= pressed["admin"]
