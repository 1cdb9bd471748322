"""What a person has chosen on a page, kept while they visit another one.

Streamlit forgets the value of a widget once a page is shown that does not draw it. Each page names
the keys of its form with `hold`; when another page is opened, their values are put aside, and put
back before the form is drawn again.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from pages.shared.bilingual import st

_VALUES, _HELD, _LEFT = "drafts", "drafts-held", "drafts-left"


def keep() -> None:
    """Put aside what the page that was drawn last holds; at the begin of each page's script."""
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


def hold(page: str, *patterns: str) -> None:
    """Keep the widgets of these keys while other pages are visited; before any of them is drawn.

    Parameters
    ----------
    page : str
        Its name: two pages may have the same key.
    *patterns : str
        Keys of widgets that have a value, no buttons and no uploads; `*` stands for any text.
    """
    state = st.session_state
    is_new = state.get(_LEFT) != page
    for key, value in state.get(_VALUES, {}).get(page, {}).items():
        # of the page before there may still be another value under the same key
        if is_new or key not in state:
            state[key] = value
    state[_HELD] = (page, patterns)
