"""A choice on one page survives a visit to another page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

OpenPage = Callable[..., AppTest]
CHOSEN: tuple[tuple[str, str, str, Any], ...] = (
    ("data?view=prepare", "number_input", "split-seed", 7),
    ("train?view=candidates", "number_input", "folds", 4),
    ("train?view=candidates", "checkbox", "blend", True),
    ("retrain?view=policy", "radio", "strategy", "calendar"),
    ("retrain?view=replay", "number_input", "k", 3),
    ("score?view=log", "text_input", "search", "17"),
    ("serve", "number_input", "serve-port", 5999),
    ("train?view=explain", "button_group", "rows", 500),
)


def widget(app: AppTest, kind: str, key: str) -> Any:
    return getattr(app, kind)(key=key)


def go_back(app: AppTest, page: str, view: str) -> None:
    """Open a page again, at a view by a link to it."""
    app.switch_page(f"pages/{page}/page.py")
    if view:
        app.query_params["view"] = view
    app.run()
    assert not app.exception


@pytest.mark.parametrize(("page", "kind", "key", "value"), CHOSEN)
def test_a_value_survives_a_visit_to_another_page(
    lived, open_page: OpenPage, page: str, kind: str, key: str, value: Any
) -> None:
    name, _mark, asked = page.partition("?")
    app = open_page(lived.settings, page)
    assert widget(app, kind, key).value != value
    widget(app, kind, key).set_value(value).run()
    for other in ("runs", name):
        app.switch_page(f"pages/{other}/page.py")
        app.query_params.update(parse_qsl(asked) if other == name else {})
        app.run()
        assert not app.exception
    assert widget(app, kind, key).value == value
    # the kept value does not override the person: the next change stays
    app.run()
    assert widget(app, kind, key).value == value


@pytest.mark.parametrize(
    ("drawer", "kind", "key", "value"),
    [
        ("new", "number_input", "false-alarms", 2.5),
        ("channels", "text_input", "channel-webhook", "https://example.org/hook"),
        ("schedule", "number_input", "schedule-count", 6),
    ],
)
def test_a_value_in_a_drawer_of_monitor_survives_a_visit_to_another_page(
    lived, open_page: OpenPage, drawer: str, kind: str, key: str, value: Any
) -> None:
    app = open_page(lived.settings, "monitor")
    app.button(key=f"open-{drawer}-menu").click().run()
    assert widget(app, kind, key).value != value
    widget(app, kind, key).set_value(value).run()
    for other in ("runs", "monitor"):
        app.switch_page(f"pages/{other}/page.py").run()
        assert not app.exception
    app.button(key=f"open-{drawer}-menu").click().run()
    assert widget(app, kind, key).value == value
    # the kept value does not override the person: the next change stays
    app.run()
    assert widget(app, kind, key).value == value


def test_two_pages_with_the_same_key_do_not_share_a_value(lived, open_page: OpenPage) -> None:
    """`window` is the kind of rows on Monitor, and the length of time on Replay."""
    app = open_page(lived.settings, "monitor")
    app.button(key="open-new-menu").click().run()
    app.button_group(key="window").set_value("last").run()
    app.query_params["view"] = "replay"
    app.switch_page("pages/retrain/page.py").run()
    assert not app.exception
    chosen = app.selectbox(key="window").value
    app.switch_page("pages/monitor/page.py").run()
    assert not app.exception
    app.button(key="open-new-menu").click().run()
    assert app.button_group(key="window").value == "last"
    app.query_params["view"] = "replay"
    app.switch_page("pages/retrain/page.py").run()
    assert app.selectbox(key="window").value == chosen


def test_a_chosen_file_survives_and_can_be_removed(
    lived, open_page: OpenPage, text_of, press
) -> None:
    app = open_page(lived.settings, "score", view="labels")
    app.file_uploader(key="labels").set_value(("l.csv", b"shot_id,label\n1,1\n", "text/csv")).run()
    assert "`l.csv`: separator `,`" in text_of(app)
    app.switch_page("pages/runs/page.py").run()
    go_back(app, "score", "labels")
    assert "**l.csv**" in text_of(app)
    assert "`l.csv`: separator `,`" in text_of(app)
    app = press(app, "Remove")
    assert "l.csv" not in text_of(app)
    app.switch_page("pages/runs/page.py").run()
    go_back(app, "score", "labels")
    assert "l.csv" not in text_of(app)
