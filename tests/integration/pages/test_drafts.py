"""A choice on one page survives a visit to another page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

OpenPage = Callable[..., AppTest]
CHOSEN: tuple[tuple[str, str, str, Any], ...] = (
    ("prepare", "number_input", "split-seed", 7),
    ("train", "number_input", "folds", 4),
    ("train", "checkbox", "blend", True),
    ("monitor", "number_input", "false-alarms", 2.5),
    ("retrain?policy", "radio", "strategy", "calendar"),
    ("retrain?replay", "number_input", "k", 3),
    ("predictions", "text_input", "search", "17"),
    ("serve", "number_input", "serve-port", 5999),
    ("explain", "button_group", "rows", 500),
    ("alerts", "text_input", "channel-webhook", "https://example.org/hook"),
    ("alerts", "number_input", "schedule-count", 6),
)


def widget(app: AppTest, kind: str, key: str) -> Any:
    return getattr(app, kind)(key=key)


@pytest.mark.parametrize(("page", "kind", "key", "value"), CHOSEN)
def test_a_value_survives_a_visit_to_another_page(
    lived, open_page: OpenPage, page: str, kind: str, key: str, value: Any
) -> None:
    page, _, view = page.partition("?")
    app = open_page(lived.settings, page, **({"view": view} if view else {}))
    assert widget(app, kind, key).value != value
    widget(app, kind, key).set_value(value).run()
    for other in ("runs", page):
        if view and other == page:
            app.query_params["view"] = view
        app.switch_page(f"pages/{other}/page.py").run()
        assert not app.exception
    assert widget(app, kind, key).value == value
    # the kept value does not override the person: the next change stays
    app.run()
    assert widget(app, kind, key).value == value


def test_two_pages_with_the_same_key_do_not_share_a_value(lived, open_page: OpenPage) -> None:
    """`window` is the kind of rows on Monitor, and the length of time on Replay."""
    app = open_page(lived.settings, "monitor")
    app.button_group(key="window").set_value("last").run()
    app.query_params["view"] = "replay"
    app.switch_page("pages/retrain/page.py").run()
    assert not app.exception
    chosen = app.selectbox(key="window").value
    app.switch_page("pages/monitor/page.py").run()
    assert not app.exception
    assert app.button_group(key="window").value == "last"
    app.query_params["view"] = "replay"
    app.switch_page("pages/retrain/page.py").run()
    assert app.selectbox(key="window").value == chosen


def test_a_chosen_file_survives_and_can_be_removed(
    lived, open_page: OpenPage, text_of, press
) -> None:
    app = open_page(lived.settings, "predictions")
    app.file_uploader(key="labels").set_value(("l.csv", b"shot_id,label\n1,1\n", "text/csv")).run()
    assert "`l.csv` is read with commas" in text_of(app)
    for other in ("runs", "predictions"):
        app.switch_page(f"pages/{other}/page.py").run()
    assert "Chosen before: **l.csv**" in text_of(app)
    assert "`l.csv` is read with commas" in text_of(app)
    app = press(app, "Remove")
    assert "l.csv" not in text_of(app)
    app.switch_page("pages/runs/page.py").run()
    app.switch_page("pages/predictions/page.py").run()
    assert "l.csv" not in text_of(app)
