"""Checklist: every requirement of the brief, what meets it here, and what is still to do."""

from itertools import groupby

import streamlit as st

from core.documents import gather as documents
from core.documents.texts.requirement import Requirement
from core.platform.messages import Message, _
from core.platform.plugins import part
from pages.shared import code_snippets, elements

settings, spec = elements.open_app()
# a project without a checklist has no such page
checklist = part(spec.name, "checklist")

STATES = {
    "met": (Message("met"), "green", ":material/check_circle:"),
    "partly": (Message("partly met"), "orange", ":material/incomplete_circle:"),
    "missing": (Message("open"), "red", ":material/radio_button_unchecked:"),
}
SHOWN = {"all": Message("All"), "open": Message("Open"), "graded": Message("What a grader checks")}


def counted(requirements: list[Requirement]) -> str:
    """Return how many of the lines are met."""
    met = sum(requirement.state == "met" for requirement in requirements)
    return _("{met} of {number} met", met=met, number=len(requirements))


def chosen(requirements: tuple[Requirement, ...]) -> list[Requirement]:
    """Return the lines that match the filter."""
    shown = st.segmented_control(
        _("Show"),
        list(SHOWN),
        default="all",
        required=True,
        format_func=lambda name: str(SHOWN[name]),
        key="shown",
    )
    if shown == "open":
        return [requirement for requirement in requirements if requirement.state != "met"]
    if shown == "graded":
        return [requirement for requirement in requirements if requirement.graded]
    return list(requirements)


def line(requirement: Requirement, *, is_graded: bool) -> None:
    """Draw a requirement: its state, the evidence, where that is, and what to do."""
    word, colour, icon = STATES[requirement.state]
    with st.container(border=True, gap="xsmall", key=f"line-{requirement.number}"):
        st.markdown(f":{colour}-badge[{icon} {word}] **`{requirement.number}`** {requirement.text}")
        text = str(requirement.evidence)
        if requirement.todo:
            todo = _("**To do:** {todo}", todo=requirement.todo)
            text += f"\n\n:material/arrow_forward: {todo}"
        with st.container(horizontal=True, gap="small"):
            st.markdown(text, width="stretch")
            with st.container(horizontal=True, gap="small", width="content"):
                name, page_icon = elements.PAGES[requirement.page]
                st.page_link(
                    f"pages/{requirement.page}/page.py",
                    label=_("Page {page}", page=name),
                    icon=f":material/{page_icon}:",
                )
                if requirement.run_id:
                    elements.run_link(requirement.run_id, _("Run"))
        if requirement.path:
            st.caption(f":material/draft: {elements.plain(requirement.path)}")
        if is_graded:
            points = [checklist.POINTS[point - 1] for point in requirement.graded]
            st.caption(_("A grader checks: {points}.", points=points))


elements.header(
    _("Checklist"),
    _(
        "Every requirement of the brief, and what meets it here, looked up in the current runs "
        "and files."
    ),
    is_sample=elements.current_is_sample(settings),
)
with elements.show_errors():
    elements.wait_for_store()
    requirements = checklist.inspect(documents.gather(settings))
    met, partly, still = (
        sum(requirement.state == state for requirement in requirements) for state in STATES
    )
    text = _(
        "{met} of {number} met, {partly} partly met, {still} open",
        met=met,
        number=len(requirements),
        partly=partly,
        still=still,
    )
    st.progress(met / len(requirements), text=text)
    shown = chosen(requirements)
    if not shown:
        st.success(_("Every line is met."), icon=":material/check_circle:")
    for group, lines in groupby(shown, key=lambda requirement: requirement.group):
        listed = list(lines)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(str(group), anchor=False, width="content")
            st.caption(
                counted(
                    [requirement for requirement in requirements if requirement.group == group]
                ),
                width="content",
            )
        for requirement in listed:
            line(requirement, is_graded=st.session_state.get("shown") == "graded")
code_snippets.panel(settings, "checklist")
