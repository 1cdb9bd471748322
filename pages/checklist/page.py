"""Checklist: every requirement of the brief, what meets it here, and what is still to do."""

from itertools import groupby

from core.documents import gather as documents
from core.documents.texts.requirement import Requirement
from core.platform.plugins import part
from pages.shared import code_snippets, elements
from pages.shared.bilingual import st

settings, spec = elements.open_app()
# a project without a checklist has no such page
checklist = part(spec.name, "checklist")

STATES = {
    "met": ("met", "green", ":material/check_circle:"),
    "partly": ("partly met", "orange", ":material/incomplete_circle:"),
    "missing": ("open", "red", ":material/radio_button_unchecked:"),
}
ALL, OPEN, GRADED = "All", "Open", "What a grader checks"


def counted(requirements: list[Requirement]) -> str:
    """Return how many of the lines are met."""
    met = sum(requirement.state == "met" for requirement in requirements)
    return f"{met} of {len(requirements)} met"


def chosen(requirements: tuple[Requirement, ...]) -> list[Requirement]:
    """Return the lines that match the filter."""
    shown = st.segmented_control(
        "Show", [ALL, OPEN, GRADED], default=ALL, required=True, key="shown"
    )
    if shown == OPEN:
        return [requirement for requirement in requirements if requirement.state != "met"]
    if shown == GRADED:
        return [requirement for requirement in requirements if requirement.graded]
    return list(requirements)


def line(requirement: Requirement, *, is_graded: bool) -> None:
    """Draw a requirement: its state, the evidence, where that is, and what to do."""
    word, colour, icon = STATES[requirement.state]
    with st.container(border=True, gap="xsmall", key=f"line-{requirement.number}"):
        st.markdown(f":{colour}-badge[{icon} {word}] **`{requirement.number}`** {requirement.text}")
        todo = (
            f"\n\n:material/arrow_forward: **To do:** {requirement.todo}"
            if requirement.todo
            else ""
        )
        with st.container(horizontal=True, gap="small"):
            st.markdown(requirement.evidence + todo, width="stretch")
            with st.container(horizontal=True, gap="small", width="content"):
                name, page_icon = elements.PAGES[requirement.page]
                st.page_link(
                    f"pages/{requirement.page}/page.py",
                    label=f"Page {name}",
                    icon=f":material/{page_icon}:",
                )
                if requirement.run_id:
                    elements.run_link(requirement.run_id, "Run")
        if requirement.path:
            st.caption(f":material/draft: {elements.plain(requirement.path)}")
        if is_graded:
            points = ", ".join(checklist.POINTS[point - 1] for point in requirement.graded)
            st.caption(f"A grader checks: {points}.")


elements.header(
    "Checklist",
    "Every requirement of the brief, and what meets it here: looked up in the runs and files that "
    "are there at this moment.",
    is_sample=elements.current_is_sample(settings),
)
with elements.show_errors():
    elements.wait_for_store()
    requirements = checklist.inspect(documents.gather(settings))
    met, partly, still = (
        sum(requirement.state == state for requirement in requirements) for state in STATES
    )
    text = f"{met} of {len(requirements)} met, {partly} partly met, {still} open"
    st.progress(met / len(requirements), text=text)
    shown = chosen(requirements)
    if not shown:
        st.success("Every line is met.", icon=":material/check_circle:")
    for group, lines in groupby(shown, key=lambda requirement: requirement.group):
        listed = list(lines)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(group, anchor=False, width="content")
            st.caption(
                counted(
                    [requirement for requirement in requirements if requirement.group == group]
                ),
                width="content",
            )
        for requirement in listed:
            line(requirement, is_graded=st.session_state.get("shown") == GRADED)
code_snippets.panel(settings, "checklist")
