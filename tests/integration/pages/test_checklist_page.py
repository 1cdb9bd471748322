"""The checklist on its page: counts, filters, links, and the to-do of each open line."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.documents import gather as documents
from core.platform.config import Settings
from core.projects.kobe import checklist
from tests.integration.pages.conftest import Lived


def page(open_page: Callable[..., AppTest], settings: Settings, **query: str) -> AppTest:
    return open_page(settings, "documents", document="checklist", **query)


def numbers(app: AppTest) -> list[str]:
    """Return the numbers of the lines that are shown."""
    return app.dataframe[0].value["number"].tolist()


def test_an_empty_home_has_open_lines_each_with_what_to_do(
    settings: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = page(open_page, settings)
    assert not app.exception
    assert not app.error
    lines = checklist.inspect(documents.gather(settings))
    met = sum(line.state == "met" for line in lines)
    assert f"Met: {met} · " in text_of(app)
    still = [line for line in lines if line.state != "met"]
    assert numbers(app) == [line.number for line in still]
    app = app.segmented_control(key="shown").set_value("all").run()
    assert numbers(app) == [line.number for line in lines]
    assert not [link for link in app.get("page_link") if "run" in str(link.proto.query_string)]
    for line in still[:3]:
        app = page(open_page, settings, line=line.number)
        assert f"**To do:** {line.todo}" in text_of(app)
        assert str(line.evidence) in text_of(app)


def test_a_life_cycle_links_to_its_runs_and_the_filter_leaves_what_is_open(
    lived: Lived, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    lines = checklist.inspect(documents.gather(lived.settings))
    by_run = {line.run_id: line.number for line in lines}
    for step in ("acquire", "prepare", "serve", "score", "monitor"):
        run_id = lived.run(step).run_id
        app = page(open_page, lived.settings, line=by_run[run_id])
        app = app.segmented_control(key="shown").set_value("all").run()
        assert not app.exception
        assert f"Run {run_id[:8]}" in text_of(app)
    app = page(open_page, lived.settings, line="8.4")
    app = app.segmented_control(key="shown").set_value("met").run()
    assert next(line.path for line in lines if line.number == "8.4") in text_of(app)
    # as many rows as the real source, but not the same ones
    dimension = next(line for line in lines if line.number == "6.8")
    assert dimension.state == "partly"
    assert "built-in sample" in dimension.evidence
    assert numbers(app) == [line.number for line in lines if line.state == "met"]
    app = app.segmented_control(key="shown").set_value("open").run()
    assert numbers(app) == [line.number for line in lines if line.state != "met"]
    app = app.segmented_control(key="shown").set_value("all").run()
    app = app.toggle(key="graded").set_value(True).run()
    assert numbers(app) == [line.number for line in lines if line.graded]
