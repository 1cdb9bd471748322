"""Checklist: every requirement of the brief, what meets it here, and what is still to do."""

from itertools import groupby

from core.logic.documents import checklist
from core.logic.documents.requirement import Requirement
from core.steps import documents
from pages import _glass, _parts
from pages._bilingual import st

settings, spec = _parts.open_app()

STATES = {
    "met": ("met", "green", ":material/check_circle:"),
    "partly": ("partly met", "orange", ":material/incomplete_circle:"),
    "missing": ("open", "red", ":material/radio_button_unchecked:"),
}
PAGES = {page.removeprefix("pages/").removesuffix(".py"): rest
         for page, *rest in _parts.STEPS.values()} | {
    "overview": ["Overview", ":material/home:"],
    "reports": ["Reports", ":material/description:"],
}  # fmt: skip
ALL, OPEN, GRADED = "All", "Open", "What a grader checks"


def counted(found: list[Requirement]) -> str:
    """Return how many of some lines are met."""
    met = sum(one.state == "met" for one in found)
    return f"{met} of {len(found)} met"


def chosen(found: tuple[Requirement, ...]) -> list[Requirement]:
    """Return the lines that the person wants to see."""
    shown = st.segmented_control(
        "Show", [ALL, OPEN, GRADED], default=ALL, required=True, key="shown",
    )  # fmt: skip
    if shown == OPEN:
        return [one for one in found if one.state != "met"]
    if shown == GRADED:
        return [one for one in found if one.graded]
    return list(found)


def line(one: Requirement, *, is_graded: bool) -> None:
    """Draw a requirement: its state, what was found, where that is, and what to do."""
    word, colour, icon = STATES[one.state]
    with st.container(border=True, gap="xsmall", key=f"line-{one.number}"):
        st.markdown(f":{colour}-badge[{icon} {word}] **`{one.number}`** {one.text}")
        todo = f"\n\n:material/arrow_forward: **To do:** {one.todo}" if one.todo else ""
        with st.container(horizontal=True, gap="small"):
            st.markdown(one.evidence + todo, width="stretch")
            with st.container(horizontal=True, gap="small", width="content"):
                name, page_icon = PAGES[one.page]
                st.page_link(f"pages/{one.page}.py", label=f"Page {name}", icon=page_icon)
                if one.run_id:
                    _parts.run_link(one.run_id, "Run")
        if one.path:
            st.caption(f":material/draft: {_parts.plain(one.path)}")
        if is_graded:
            points = ", ".join(checklist.POINTS[point - 1] for point in one.graded)
            st.caption(f"A grader checks: {points}.")


_parts.header(
    "Checklist",
    "Every requirement of the brief, and what meets it here: looked up in the runs and files that "
    "are there at this moment.",
    is_sample=_parts.current_is_sample(settings),
)
with _parts.told():
    _parts.wait_for_store()
    found = checklist.look(documents.gather(settings))
    met, partly, still = (sum(one.state == state for one in found) for state in STATES)
    text = f"{met} of {len(found)} met, {partly} partly met, {still} open"
    st.progress(met / len(found), text=text)
    shown = chosen(found)
    if not shown:
        st.success("Every line is met.", icon=":material/check_circle:")
    for group, lines in groupby(shown, key=lambda one: one.group):
        listed = list(lines)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(group, anchor=False, width="content")
            st.caption(counted([one for one in found if one.group == group]), width="content")
        for one in listed:
            line(one, is_graded=st.session_state.get("shown") == GRADED)
_glass.panel(settings, "checklist")
