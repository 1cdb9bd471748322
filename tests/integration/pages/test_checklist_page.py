"""The checklist on its page: counts, filters, links, and what is to do for each open line."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.documents import gather as documents
from core.platform.config import Settings
from core.projects.kobe import checklist
from tests.integration.pages.conftest import Lived


def numbers(app: AppTest) -> list[str]:
    """Return the numbers of the lines that are shown."""
    heads = [found.value for found in app.markdown if "-badge[" in found.value]
    return [text.split("**")[1].strip("`") for text in heads if text.count("**") == 2]


def test_an_empty_home_has_open_lines_each_with_what_to_do(
    settings: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(settings, "checklist")
    assert not app.exception
    assert not app.error
    found = checklist.inspect(documents.gather(settings))
    met = sum(one.state == "met" for one in found)
    assert f"{met} of {len(found)} met" in text_of(app)
    assert numbers(app) == [one.number for one in found]
    told = [found.value for found in app.markdown if "**To do:**" in found.value]
    assert len(told) == len(found) - met
    assert not [link for link in app.get("page_link") if "run" in str(link.proto.query_string)]


def test_a_life_cycle_links_to_its_runs_and_the_filter_leaves_what_is_open(
    lived: Lived, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(lived.settings, "checklist")
    assert not app.exception
    found = checklist.inspect(documents.gather(lived.settings))
    links = text_of(app)
    for step in ("acquire", "prepare", "serve", "score", "monitor"):
        assert f"Run {lived.run(step).run_id[:8]}" in links
    path = next(one.path for one in found if one.number == "8.4")
    assert path in links
    # as many rows as the real source, and not those
    dimension = next(one for one in found if one.number == "6.8")
    assert dimension.state == "partly"
    assert "built-in sample" in dimension.evidence
    app = app.segmented_control(key="shown").set_value("Open").run()
    assert numbers(app) == [one.number for one in found if one.state != "met"]
    app = app.segmented_control(key="shown").set_value("What a grader checks").run()
    assert numbers(app) == [one.number for one in found if one.graded]
    assert "A grader checks: dimension stated." in text_of(app)
