"""A reader of Portuguese in Chromium: no English word is drawn on any page.

Read are texts, cells of tables, labels of charts (they are SVG), and the names of fields and
buttons that screen readers say.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from babel.messages.pofile import read_po

from core.monitoring import alerting
from core.platform import messages, project, steps
from core.platform.config import Settings
from core.training import candidates
from pages.shared import navigation
from tests import nonsense
from tests.browser.conftest import chromium, running
from tests.browser.driving import settle
from tests.conftest import copy_home

pytestmark = pytest.mark.browser
pytest.importorskip("playwright.sync_api")
pytest.importorskip("spellchecker")
# every view of a page, and what a page opens with
VIEWS = {
    "overview": (),
    "data": ("source", "explore", "prepare"),
    "train": ("candidates", "results", "explain"),
    "registry": ("decide", "versions", "compare", "ledger"),
    "serve": (),
    "score": ("row", "rows", "log", "labels"),
    "monitor": ("report", "alerts", "history"),
    "retrain": ("decision", "policy", "replay"),
    "documents": (),
    "runs": ("runs", "jobs"),
}
# Left out are code, the same in every language; the names of the icon font's signs; and what Vega
# says of each mark and axis to screen readers: names of fields, and English without a setting.
DRAWN = """() => {
  const found = new Set();
  const isSign = node => getComputedStyle(node).fontFamily.includes('Material Symbols');
  const shown = node => node.checkVisibility({visibilityProperty: true}) && !isSign(node)
    && !node.closest('code, pre, script, style, noscript');
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const {nodeValue, parentElement} = texts.currentNode;
    // the cells of a table are within its canvas, for screen readers
    if (nodeValue.trim() && (parentElement.closest('canvas') || shown(parentElement)))
      found.add(nodeValue.trim());
  }
  for (const name of ['aria-label', 'title', 'placeholder', 'alt'])
    for (const node of document.querySelectorAll(`[${name}]`))
      if (shown(node) && !node.closest('svg, [role=img]')) found.add(node.getAttribute(name));
  return [...found];
}"""
# all closed sections
OPEN = "() => document.querySelectorAll('details:not([open]) > summary').forEach(s => s.click())"
# the same in Portuguese: names, terms of the field, what people type
NAMES = nonsense.NAMES | set(
    """
bins boost boosting bootstrap brier challenger champion classifier courtside default english extra
forest gradient null pipeline precision recall ridge score scores threshold tree trees true
""".lower().split()
)
_WORD = re.compile(r"(?<![\w./:=$@-])[A-Za-z]{3,}(?![\w/=@-]|\.\w)")


@pytest.fixture(scope="module")
def known(shots: pd.DataFrame) -> set[str]:
    """Words that are allowed: of the Portuguese catalogue, of the data, names."""
    spec = project.load("kobe")
    texts = shots.select_dtypes("object")
    values = {str(value) for name in texts for value in texts[name].dropna().unique()}
    codes = {code for rule in alerting.DEFAULTS for code in (rule.pattern, rule.level)}
    runs = {*steps.RUN_NAMES.values(), *(str(kind.title) for kind in candidates.KINDS.values())}
    with (messages.FOLDER / "pt" / "LC_MESSAGES" / "courtside.po").open("rb") as file:
        catalogue = read_po(file)
    translated = [text for message in catalogue for text in _texts(message.string)]
    data = {*values, *codes, *runs, *shots.columns, *spec.engineered}
    return NAMES | {word.lower() for text in (*translated, *data) for word in _WORD.findall(text)}


def _texts(translation: object) -> Iterable[str]:
    return translation if isinstance(translation, list | tuple) else [str(translation)]


@pytest.fixture(scope="module")
def english() -> object:
    from spellchecker import SpellChecker

    return SpellChecker(language="en"), SpellChecker(language="pt")


def left_in(texts: Iterable[str], known: set[str], dictionaries: tuple) -> list[str]:
    """Return the texts with a word that only the English dictionary has."""
    english, portuguese = dictionaries
    left = []
    for text in texts:
        words = [word.lower() for word in _WORD.findall(text)]
        foreign = [
            word
            for word in words
            if word not in known and word in english and word not in portuguese
        ]
        if foreign:
            left.append(f"{foreign} in {text[:150]!r}")
    return left


def opened(page, base: str, address: str) -> list[str]:
    """Return what is drawn at an address, in Portuguese."""
    page.goto(f"{base}/{address}{'&' if '?' in address else '?'}lang=pt")
    page.get_by_role("heading", level=1).first.wait_for()
    settle(page)
    page.wait_for_function("() => document.documentElement.lang === 'pt-BR'")
    return page.evaluate(DRAWN)


@pytest.fixture(scope="module")
def window() -> Iterator[object]:
    with chromium() as page:
        yield page


@pytest.fixture(scope="module")
def full_app(scored_few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("full")
    copy_home(scored_few, folder / "home")
    with running(folder) as base:
        yield base


@pytest.fixture(scope="module")
def empty_app(store_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("empty")
    (folder / "home").mkdir()
    shutil.copyfile(store_template, folder / "home" / "mlflow.db")
    with running(folder) as base:
        yield base


def addresses(page: str) -> list[str]:
    address = "" if page == "overview" else page
    return [address, *(f"{page}?view={view}" for view in VIEWS[page])]


@pytest.mark.long
def test_no_page_opens_with_an_english_word(window, full_app: str, known, english) -> None:
    left = {}
    for page in navigation.PAGES:
        texts = opened(window, full_app, addresses(page)[0])
        assert len(texts) > 20, page
        if found := left_in(texts, known, english):
            left[page] = found
    assert not left, left


@pytest.mark.long
@pytest.mark.parametrize("page", navigation.PAGES)
def test_no_view_has_an_english_word(window, full_app: str, page: str, known, english) -> None:
    left = {}
    for address in addresses(page)[1:] or addresses(page):
        texts = opened(window, full_app, address)
        window.evaluate(OPEN)
        settle(window)
        texts = [*texts, *window.evaluate(DRAWN)]
        if found := left_in(dict.fromkeys(texts), known, english):
            left[address] = found
    assert not left, left


@pytest.mark.long
@pytest.mark.parametrize("page", navigation.PAGES)
def test_no_empty_page_has_an_english_word(
    window, empty_app: str, page: str, known, english
) -> None:
    left = {}
    for address in addresses(page):
        if found := left_in(opened(window, empty_app, address), known, english):
            left[address] = found
    assert not left, left
