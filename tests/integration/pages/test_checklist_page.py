"""The checklist on its page: counts, filters, links, and the to-do of each open line."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.documents import gather as documents
from core.platform.config import Settings
from core.projects.kobe import checklist
from tests.integration.pages.conftest import Lived


def numbers(app: AppTest) -> list[str]:
    """Return the numbers of the lines that are shown."""
    heads = [element.value for element in app.markdown if "-badge[" in element.value]
    return [text.split("**")[1].strip("`") for text in heads if text.count("**") == 2]


def test_an_empty_home_has_open_lines_each_with_what_to_do(
    settings: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(settings, "checklist")
    assert not app.exception
    assert not app.error
    lines = checklist.inspect(documents.gather(settings))
    met = sum(line.state == "met" for line in lines)
    assert f"{met} of {len(lines)} met" in text_of(app)
    assert numbers(app) == [line.number for line in lines]
    todos = [element.value for element in app.markdown if "**To do:**" in element.value]
    assert len(todos) == len(lines) - met
    assert not [link for link in app.get("page_link") if "run" in str(link.proto.query_string)]


def test_a_life_cycle_links_to_its_runs_and_the_filter_leaves_what_is_open(
    lived: Lived, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(lived.settings, "checklist")
    assert not app.exception
    lines = checklist.inspect(documents.gather(lived.settings))
    links = text_of(app)
    for step in ("acquire", "prepare", "serve", "score", "monitor"):
        assert f"Run {lived.run(step).run_id[:8]}" in links
    path = next(line.path for line in lines if line.number == "8.4")
    assert path in links
    # as many rows as the real source, but not the same ones
    dimension = next(line for line in lines if line.number == "6.8")
    assert dimension.state == "partly"
    assert "built-in sample" in dimension.evidence
    app = app.segmented_control(key="shown").set_value("open").run()
    assert numbers(app) == [line.number for line in lines if line.state != "met"]
    app = app.segmented_control(key="shown").set_value("graded").run()
    assert numbers(app) == [line.number for line in lines if line.graded]
    assert "A grader checks: dimension stated." in text_of(app)
