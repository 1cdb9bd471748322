"""A document on the page, a chapter at a time or whole."""

from __future__ import annotations

import streamlit as st

from core.documents.dossier import (
    Block,
    Bullets,
    Code,
    Document,
    Figure,
    Heading,
    Missing,
    Paragraph,
    Table,
)
from core.documents.texts import as_markdown
from core.platform.messages import _
from pages.shared import elements, navigation

WHOLE = "whole"


def chapters(document: Document) -> tuple[tuple[Block, ...], list[tuple[str, tuple[Block, ...]]]]:
    """Return the blocks before the first chapter, and title and blocks of each chapter."""
    parts: list[list[Block]] = [[]]
    for block in document.blocks:
        if isinstance(block, Heading) and block.level == 2:
            parts.append([])
        parts[-1].append(block)
    named = [(part[0].text, tuple(part)) for part in parts[1:] if isinstance(part[0], Heading)]
    return tuple(parts[0]), named


def choose(document: Document) -> str:
    """Draw the choice of a chapter, and return its place, or `WHOLE`."""
    titles = {str(at): title for at, (title, _blocks) in enumerate(chapters(document)[1])}
    key, asked = _key(document), st.query_params.get("chapter", "")
    if asked == WHOLE or asked in titles:
        # of a link, once
        st.session_state[key] = asked
        del st.query_params["chapter"]
    options = [*titles, WHOLE]
    if st.session_state.get(key) not in options:
        st.session_state[key] = options[0]
    return str(
        st.selectbox(
            _("Chapter"),
            options,
            format_func=lambda at: titles.get(at) or _("All"),
            key=key,
            width=420,
        )
    )


def draw(document: Document, chapter: str) -> None:
    """Draw a document's title and a chapter of it, or all."""
    first, named = chapters(document)
    st.markdown(f"## {linked(document.title)}")
    st.caption(linked(document.about))
    if chapter == WHOLE:
        blocks, following = document.blocks, ""
    else:
        at = int(chapter)
        blocks = (*first, *named[at][1])
        following = str(at + 1) if at + 1 < len(named) else ""
    for place, block in enumerate(blocks):
        _block(block, place)
    if following:
        st.button(
            _("Next: {name}", name=named[int(following)][0]),
            icon=":material/arrow_forward:",
            key="next-chapter",
            on_click=_turn,
            args=(_key(document), following),
        )


def _key(document: Document) -> str:
    return f"chapter-{document.name}"


def _turn(key: str, chapter: str) -> None:
    st.session_state[key] = chapter


def link(run_id: str) -> str:
    """Return the address of a run within the app."""
    return f"/runs?run={run_id}"


def linked(text: str) -> str:
    """Return a text of a document with its links."""
    return as_markdown.linked(text, link)


def _block(block: Block, place: int) -> None:
    if isinstance(block, Heading):
        st.markdown(f"{'#' * (block.level + 1)} {linked(block.text)}")
    elif isinstance(block, Paragraph):
        st.markdown(linked(block.text))
    elif isinstance(block, Bullets):
        marks = (f"{at}." if block.numbered else "-" for at in range(1, len(block.items) + 1))
        items = zip(marks, block.items, strict=True)
        st.markdown("\n".join(f"{mark} {linked(item)}" for mark, item in items))
    elif isinstance(block, Table):
        st.markdown(as_markdown.table(block, link))
        if block.caption:
            st.caption(linked(block.caption))
    elif isinstance(block, Figure):
        st.vega_lite_chart(elements.localized(block.chart), width="stretch", key=f"figure-{place}")
        st.caption(linked(block.caption))
    elif isinstance(block, Code):
        st.code(block.text, language=block.language or None, wrap_lines=True)
    else:
        _missing(block)


def _missing(block: Missing) -> None:
    """Draw a missing fact, with a link to the step that supplies it."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/pending: {linked(block.text)}")
        if block.step in navigation.STEPS:
            _page, name, icon = navigation.STEPS[block.step]
            navigation.step_link(block.step, _("Go to {page}", page=name), icon=icon)
