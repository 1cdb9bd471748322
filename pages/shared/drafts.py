"""Form values that survive a visit to another page.

Streamlit drops the value of a widget once a page without it is shown. Each page names the keys of
its form with `hold`; when another page is opened, their values are saved, and restored before the
form is drawn again.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import streamlit as st

_VALUES, _HELD, _LEFT = "drafts", "drafts-held", "drafts-left"


def keep() -> None:
    """Save the values of the page drawn last; call it at the start of each page's script."""
    state = st.session_state
    page, patterns = state.get(_HELD, ("", ()))
    kept = {
        key: state[key]
        for key in list(state)
        if isinstance(key, str) and any(fnmatchcase(key, pattern) for pattern in patterns)
    }
    if kept:
        state.setdefault(_VALUES, {}).setdefault(page, {}).update(kept)
    state[_LEFT], state[_HELD] = page, ("", ())


def all_values() -> dict[str, dict[str, object]]:
    """Return the saved values of all pages."""
    values: dict[str, dict[str, object]] = st.session_state.get(_VALUES, {})
    return values


def put_back(values: dict[str, dict[str, object]]) -> None:
    """Replace the saved values of all pages."""
    st.session_state[_VALUES] = values


def hold(page: str, *patterns: str) -> None:
    """Keep the widgets of these keys while other pages are visited; call it before they are drawn.

    Parameters
    ----------
    page : str
        Its name: two pages may have the same key.
    *patterns : str
        Keys of widgets that have a value, no buttons and no uploads; `*` matches any text.
    """
    state = st.session_state
    is_new = state.get(_LEFT) != page
    for key, value in state.get(_VALUES, {}).get(page, {}).items():
        # the previous page may have left another value under the same key
        if is_new or key not in state:
            state[key] = value
    state[_HELD] = (page, patterns)


def forget(page: str) -> None:
    """Drop what is kept of a page, with its widgets' values."""
    state = st.session_state
    for key in state.get(_VALUES, {}).pop(page, {}):
        state.pop(key, None)
    if state.get(_HELD, ("", ()))[0] == page:
        state[_HELD] = ("", ())
