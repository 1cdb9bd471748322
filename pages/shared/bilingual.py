"""Streamlit in the user's language: pages import `st` from here.

Pages are written in English. In another language, everything drawn passes through
`core.platform.language.translate`: labels, texts, options, table headings, words in charts. User
input, and the values that widgets return, stay unchanged.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any

import altair as alt
import pandas as pd
import streamlit
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.platform import language, messages
from core.platform.messages import Message

PARAMETER = "lang"
_CHOSEN = "language"
# functions whose first argument is a text
_TEXTS = {
    "badge",
    "button",
    "caption",
    "checkbox",
    "date_input",
    "download_button",
    "error",
    "expander",
    "file_uploader",
    "form_submit_button",
    "header",
    "info",
    "link_button",
    "markdown",
    "metric",
    "multiselect",
    "number_input",
    "pills",
    "popover",
    "radio",
    "segmented_control",
    "select_slider",
    "selectbox",
    "slider",
    "spinner",
    "status",
    "subheader",
    "success",
    "text_area",
    "text_input",
    "text",
    "title",
    "toast",
    "toggle",
    "warning",
    "write",
}
_CHOICES = {"multiselect", "pills", "radio", "segmented_control", "select_slider", "selectbox"}
_KEYWORDS = {
    "body",
    "caption",
    "captions",
    "delta",
    "help",
    "label",
    "page_title",
    "placeholder",
    "text",
    "title",
}
_MARKUP = re.compile(r"(<[^>]*>)")
_MOST_WORDS = 60


def chosen() -> str:
    """Return the language of this session: from its address, or else as selected before."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return "en"
    asked = streamlit.query_params.get(PARAMETER)
    if asked in messages.LANGUAGES and streamlit.session_state.get(_CHOSEN) is None:
        return asked
    return str(streamlit.session_state.get(_CHOSEN) or "en")


def choose() -> None:
    """Draw the selection; the address keeps it, so a link opens in the same language."""
    asked = streamlit.query_params.get(PARAMETER)
    if _CHOSEN not in streamlit.session_state and asked in messages.LANGUAGES:
        streamlit.session_state[_CHOSEN] = asked
    # a widget that is not drawn for a moment loses its value: a separate key keeps it
    kept = streamlit.session_state.get(_CHOSEN) or "en"
    picked = streamlit.segmented_control(
        messages._("Language"),
        list(messages.LANGUAGES),
        format_func=messages.LANGUAGES.__getitem__,
        default=kept,
        required=True,
        key=f"language-{kept}",
        label_visibility="collapsed",
    )
    if picked != kept:
        streamlit.session_state[_CHOSEN] = picked
        _write(picked)
        streamlit.rerun()
    _write(kept)


def _write(picked: str) -> None:
    asked = streamlit.query_params.get(PARAMETER)
    if picked == "en" and asked is not None:
        del streamlit.query_params[PARAMETER]
    elif picked not in ("en", asked):
        streamlit.query_params[PARAMETER] = picked


def translate(text: str) -> str:
    """Return a text in the language of this session."""
    return language.translate(text, chosen())


class TranslatedStreamlit:
    """Streamlit, or a container on its page, that translates its texts."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._real, name)
        if name == "sidebar":
            return TranslatedStreamlit(member)
        translator = _TRANSLATORS.get(name)
        if translator is None and name not in _TEXTS and name not in _PLACES:
            return member

        # when it is called, not when it is taken: a module may keep the function for all visits
        def draw(*args: Any, **values: Any) -> Any:
            return _translator(member, name, chosen())(*args, **values)

        return draw

    def __enter__(self) -> TranslatedStreamlit:
        self._real.__enter__()
        return self

    def __exit__(self, *fault: Any) -> Any:
        return self._real.__exit__(*fault)


def _translator(real: Callable[..., Any], name: str, spoken: str) -> Callable[..., Any]:
    def translate(text: Any) -> Any:
        if isinstance(text, list):
            return [translate(line) for line in text]
        if isinstance(text, Message):
            return str(text)
        return language.translate(text, spoken) if isinstance(text, str) else text

    def drawn(*given: Any, **named: Any) -> Any:
        for key in _KEYWORDS & named.keys():
            named[key] = translate(named[key])
        if name in _TEXTS and given:
            given = (translate(given[0]), *given[1:])
        if name == "metric":
            given = tuple(translate(argument) for argument in given)
            named |= {key: translate(named[key]) for key in ("value",) if key in named}
        if name in _CHOICES:
            form = named.get("format_func", str)
            named["format_func"] = lambda option: translate(str(form(option)))
        translator = _TRANSLATORS.get(name)
        if translator is not None:
            given, named = translator(translate, given, named)
        return _wrapped(real(*given, **named))

    return drawn


def _wrapped(drawn: Any) -> Any:
    if isinstance(drawn, DeltaGenerator):
        return TranslatedStreamlit(drawn)
    if isinstance(drawn, list | tuple) and any(
        isinstance(element, DeltaGenerator) for element in drawn
    ):
        return type(drawn)(_wrapped(element) for element in drawn)
    return drawn


Given = tuple[Any, ...]
Named = dict[str, Any]
Translate = Callable[[Any], Any]


def _first(translate: Translate, given: Given, named: Named) -> tuple[Given, Named]:
    return (translate(given[0]), *given[1:]), named


def _html(translate: Translate, given: Given, named: Named) -> tuple[Given, Named]:
    parts = _MARKUP.split(given[0])
    body = "".join(part if place % 2 else translate(part) for place, part in enumerate(parts))
    return (body, *given[1:]), named


def _pages(translate: Translate, given: Given, named: Named) -> tuple[Given, Named]:
    if isinstance(given[0], Mapping):
        return ({translate(title): pages for title, pages in given[0].items()}, *given[1:]), named
    return given, named


def _table(translate: Translate, given: Given, named: Named) -> tuple[Given, Named]:
    rows = given[0]
    if isinstance(rows, pd.DataFrame):
        rows = rows.rename(columns=translate)
        for name in _texts_of(rows):
            rows[name] = rows[name].map(translate)
        if rows.index.dtype == object:
            rows.index = rows.index.map(translate)
    return (rows, *given[1:]), named


def _frame(translate: Translate, given: Given, named: Named) -> tuple[Given, Named]:
    """Translate headings, and cells with words of ours; the column names stay."""
    rows = given[0] if given else named.get("data")
    if not isinstance(rows, pd.DataFrame):
        return given, named
    shown = dict(named.get("column_config") or {})
    for name in rows.columns:
        if name not in shown:
            shown[name] = translate(str(name))
        elif isinstance(shown[name], str):
            shown[name] = translate(shown[name])
        elif isinstance(shown[name], Mapping):
            own = {
                key: translate(shown[name][key])
                for key in ("label", "help")
                if shown[name].get(key)
            }
            shown[name] = {"label": translate(str(name)), **shown[name], **own}
    rows = rows.copy()
    for name in _texts_of(rows):
        rows[name] = _words(rows[name])
    return (rows, *given[1:]), {**named, "column_config": shown}


def _edited(translate: Translate, given: Given, named: Named) -> tuple[Given, Named]:
    _, translated_named = _frame(translate, given, named)
    return given, translated_named  # cells are user input


def _chart(translate: Translate, given: Given, named: Named) -> tuple[Given, Named]:
    return (_drawn(given[0]), *given[1:]), named


_TRANSLATORS: dict[str, Callable[[Translate, Given, Named], tuple[Given, Named]]] = {
    "altair_chart": _chart,
    "data_editor": _edited,
    "dataframe": _frame,
    "html": _html,
    "navigation": _pages,
    "tabs": _first,
    "table": _table,
    "vega_lite_chart": _chart,
}
# functions that draw no text of their own, or have it in keywords only
_PLACES = {
    "Page",
    "columns",
    "container",
    "empty",
    "form",
    "page_link",
    "progress",
    "set_page_config",
}


def _texts_of(rows: pd.DataFrame) -> list[Any]:
    """Return the columns that hold texts, and nothing else but missing values."""
    kinds = {name: rows[name].dropna().map(type).unique() for name in rows.columns}
    return [name for name, types in kinds.items() if list(types) == [str]]


def _words(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column with our words translated, if it has few distinct ones."""
    spoken = chosen()
    known = {
        word: language.translate(word, spoken)
        for word in values.dropna().unique()[: 20 * _MOST_WORDS]
        if isinstance(word, str) and language.matches(spoken, word)
    }
    return values.map(lambda cell: known.get(cell, cell) if isinstance(cell, str) else cell)


def _drawn(chart: Any) -> Any:
    """Return a chart with its texts translated, and numbers formatted for the language."""
    spoken = chosen()
    if isinstance(chart, Mapping):
        return language.translated_chart(chart, spoken)
    translated = _translated_part(chart, "", spoken)
    config = translated._kwds.get("config", alt.Undefined)
    kept = {} if config is alt.Undefined else config if isinstance(config, dict) else config._kwds
    kept = {name: value for name, value in kept.items() if value is not alt.Undefined}
    locale = {"number": language.d3_locale(spoken)}
    translated._kwds["config"] = alt.Config(**{**kept, "locale": locale})
    return translated


def _translated_part(part: Any, key: str, spoken: str) -> Any:
    """Return a translated part of an Altair chart: a dictionary would copy its data frames."""
    if isinstance(part, str):
        return language.chart_text(part, key, spoken)
    if isinstance(part, pd.DataFrame):
        rows = part.copy(deep=False)
        for name in _texts_of(rows):
            if rows[name].nunique() <= _MOST_WORDS:
                rows[name] = rows[name].map(
                    lambda cell: (
                        language.chart_word(cell, spoken) if isinstance(cell, str) else cell
                    )
                )
        return rows
    if isinstance(part, alt.SchemaBase):
        copied = copy.copy(part)
        # Altair takes an attribute set on an object for one of its own properties
        vars(copied).update(
            _kwds={
                name: _translated_part(child, name, spoken) for name, child in part._kwds.items()
            },
            _args=tuple(_translated_part(child, key, spoken) for child in part._args),
        )
        return copied
    if isinstance(part, Mapping):
        return {name: _translated_part(child, str(name), spoken) for name, child in part.items()}
    if isinstance(part, list | tuple):
        return type(part)(_translated_part(child, key, spoken) for child in part)
    return part


messages.ask(chosen)
st: Any = TranslatedStreamlit(streamlit)
