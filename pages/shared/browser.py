"""A script in the reader's browser: the language of the page, Streamlit's own words, the sidebar.

Streamlit has no setting for any of these.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import streamlit

from core.platform import messages

SCRIPT = Path(__file__).with_name("browser.js")
# language -> Streamlit's own words, whole and as parts of a text
WORDS = Path(__file__).with_name("streamlit_words.json")
NONE: dict[str, object] = {"words": {}, "parts": {}}
# width up to which the sidebar is collapsed
NARROW = 900
# components with Streamlit's own words only
WITHIN = (
    '[data-testid="stSkipToContent"]',
    '[data-testid="stFileUploaderDropzone"]',
    '[data-testid="stElementToolbar"]',
    '[data-testid="stDataFrameColumnMenu"]',
    '[data-testid="stDataFrameColumnVisibilityMenu"]',
    '[data-testid="stMainMenuPopover"]',
    '[data-testid="stMainMenu"]',
    '[data-testid="stStatusWidget"]',
    '[data-testid="stSidebarCollapseButton"]',
    '[data-testid="stExpandSidebarButton"]',
    '[data-testid="InputInstructions"]',
    '[data-testid="stNumberInputStepDown"]',
    '[data-testid="stNumberInputStepUp"]',
    '[data-testid="stToolbar"]',
    ".gdg-search-bar",
    '[role="listbox"] [data-key^="__select"]',
)
# components with texts of a page too: only their names are Streamlit's
NAMED = (
    '[data-testid="stSidebar"]',
    '[data-testid="stSidebarNav"]',
    '[data-testid="stDialog"] button',
    '[data-testid="stHeaderActionElements"] a',
    '[data-testid="stMultiSelect"] :is(button, input)',
    '[data-testid="stSelectbox"] :is(button, input)',
    '[data-testid="stTextInputRootElement"] button',
    '[data-testid="stTooltipHoverTarget"] [aria-label]',
    '[role="listbox"]',
)


def apply() -> None:
    """Run the script, with the words of the current language."""
    streamlit.html(_script(messages.current()), unsafe_allow_javascript=True)


@lru_cache(maxsize=len(messages.LANGUAGES))
def _script(language: str) -> str:
    settings = {
        "lang": messages.LOCALES[language].replace("_", "-"),
        **(json.loads(WORDS.read_text(encoding="utf-8")).get(language) or NONE),
        "within": ",".join(WITHIN),
        "named": ",".join(NAMED),
        "narrow": NARROW,
    }
    # within a script, a tag could end it
    text = json.dumps(settings, ensure_ascii=False).replace("<", "\\u003c")
    script = SCRIPT.read_text(encoding="utf-8").replace("SETTINGS", text, 1)
    return f"<script>{script}</script>"
