"""Translation of what a person reads into the chosen language.

Everything is recorded in English: steps, errors, reports and pages produce plain English strings,
and runs keep those. Translation happens on display, so an old report can be read in either
language. The catalogues are gettext's; `.ci/messages.py` collects the messages from the source,
where an f-string is a message with placeholders: `f"{rows:,} rows"` is `{rows} rows`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel.dates import format_date
from babel.messages.mofile import read_mo
from babel.numbers import get_decimal_symbol, get_group_symbol

from core.platform.errors import InputError

LANGUAGES = {"en": "English", "pt": "Português"}
# Babel's locale of each language
LOCALES = {"en": "en_GB", "pt": "pt_BR"}
FOLDER = Path(__file__).resolve().parents[1] / "locale"
PLACE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
# a page may have escaped these with a backslash
_ESCAPED = re.compile(r"\\([\\`*\[\]$~<@:.])")
# separators at which a text is split for translation, from coarse to fine
_SEAMS = tuple(
    re.compile(seam)
    for seam in (
        r"(\s*\n[\s#|-]*)",
        r"(^(?:#+|-|>|\d+\.)\s+)",
        r"(\s+[0-9a-f]{8}$)",
        r"(^\d+\s+(?=[A-Z]))",
        r"((?<=[.!?])[*_]*\s+(?=\S))",
        r"(\s+·\s+|\s*\|\s*)",
        r"(\*\*|:[a-z]+(?:-badge)?\[|\]\([^)]*\)|[\[\]]|</?[a-z][^>]*>|&[a-z]+;|:material/[a-z_]+:)",
        r"(;\s+|:\s+|\s+\(|\)|\s+–\s+|\s+→\s+)",
        r"(,\s+)",
        r"(\s+and\s+|\s+or\s+)",
    )
)
_SEVERAL = re.compile(r"[.,;:]\s|\n")
_WRAPPED = re.compile(r"(\*\*|\*)([^*]+)\1")
# a bold term and its explanation
_HEADED = re.compile(r"((?:[-*] )?\*\*[^*\n]+\*\*)(:?\s+)(\S[^\n]*)")
_KEPT = re.compile(r"(`[^`]*`|https?:\S+|\\?`)")
_TOKEN = re.compile(r"[\w.,:/@+-]+")
_NUMBER = re.compile(r"([+-]?)((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)(e[+-]?\d+)?([.,:]?)")
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})([.,:]?)")
_LETTERS = re.compile(r"[^\W\d_]")
# a value within a sentence contains no end of a sentence
_WITHIN = r"((?:(?![.!?]\s+[A-Z*`\"])[^\n])*?)"
_ANY = r"([\s\S]*?)"
_TRIED = 8
# in a longer text, a message of few letters ("{low} to {high}") matches anything
_SHORT, _TELLING, _OPENING = 60, 7, 5
_MOST_PARTS = 16
# a piece with more words is not a name
_NAME_WORDS = 4
# a translated text, and its untranslated pieces
_Answer = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Template:
    """A message with placeholders: its literals, and the pattern that splits a text by them."""

    names: tuple[str, ...]
    is_code: tuple[bool, ...]
    pieces: tuple[str, ...]
    literal: str
    size: int
    lines: int
    answer: str


@dataclass(frozen=True)
class _Catalogue:
    exact: Mapping[str, str]
    templates: tuple[_Template, ...]


def translate(text: str, language: str) -> str:
    """Translate a text; what the catalogue does not know stays as it is.

    Numbers and dates are localized. Code in backticks, addresses and names are unchanged.

    Raises
    ------
    InputError
        For a language without a catalogue.

    Examples
    --------
    >>> translate("Train", "en")
    'Train'
    >>> translate("lat: 20,285 (0.6776), 2026-11-25 `a.b 1.5`", "pt")
    'lat: 20.285 (0,6776), 25/11/2026 `a.b 1.5`'
    """
    if language == "en" or not text:
        return text
    return _translate(text, language)[0]


def untranslated(text: str, language: str) -> tuple[str, ...]:
    """Return the pieces of a text that the catalogue does not contain.

    Examples
    --------
    >>> untranslated("1,234", "pt"), untranslated("qwzk: 1,234", "pt")
    ((), ('qwzk',))
    """
    return _translate(text, language)[1]


def d3_locale(language: str) -> dict[str, object]:
    """Return Vega's number format locale."""
    locale = _locale(language)
    return {
        "decimal": get_decimal_symbol(locale),
        "thousands": get_group_symbol(locale),
        "grouping": [3],
        "currency": ["", ""],
    }


def is_number(text: str) -> bool:
    """Return whether a text is a number as pages format it.

    Examples
    --------
    >>> is_number("1,022"), is_number("12.5%"), is_number("1.2.3"), is_number("0021")
    (True, True, False, False)
    """
    written = _NUMBER.fullmatch(text.removesuffix("%"))
    return bool(written) and not re.match(r"[+-]?0\d", text)


def matches(language: str, text: str) -> bool:
    """Return whether the catalogue contains a text as a whole, placeholders filled."""
    known = _catalogue(language)
    return text in known.exact or next(_fitting(known, text, strict=False), None) is not None


# keys of a Vega-Lite chart with strings for people, and with strings that are data values
CHART_TEXTS = frozenset({"title", "text", "subtitle", "description"})
CHART_VALUES = frozenset({"domain", "sort", "values"})
_QUOTED = re.compile(r"'([^'\\]*)'")


def chart_word(text: str, language: str) -> str:
    """Translate a data value of a chart if it is in the catalogue or a formatted number.

    Examples
    --------
    >>> chart_word("1,022", "pt"), chart_word("Kobe", "pt")
    ('1.022', 'Kobe')
    """
    return translate(text, language) if is_number(text) or matches(language, text) else text


def chart_text(text: str, key: str, language: str) -> str:
    """Translate a string of a chart's specification if its key holds text for people."""
    if key in CHART_TEXTS:
        return translate(text, language)
    if key == "labelExpr":
        return _QUOTED.sub(lambda quoted: f"'{translate(quoted[1], language)}'", text)
    return chart_word(text, language) if key in CHART_VALUES else text


def translated_chart(spec: Mapping[str, Any], language: str) -> dict[str, Any]:
    """Return a Vega-Lite chart with its texts translated and its numbers localized.

    Examples
    --------
    >>> translated_chart({"mark": "bar", "title": "1,022"}, "pt")["title"]
    '1.022'
    """
    if language == "en":
        return dict(spec)
    chart: dict[str, Any] = _translated_part(dict(spec), "", language)
    locale = {"number": d3_locale(language)}
    chart["config"] = {**chart.get("config", {}), "locale": locale}
    return chart


def _translated_part(part: Any, key: str, language: str) -> Any:
    if isinstance(part, str):
        return chart_text(part, key, language)
    if isinstance(part, Mapping):
        if key == "datasets":
            return {name: _translated_rows(rows, language) for name, rows in part.items()}
        return {
            name: _translated_rows(value, language)
            if key == "data" and name == "values"
            else _translated_part(value, name, language)
            for name, value in part.items()
        }
    if isinstance(part, list | tuple):
        return [_translated_part(element, key, language) for element in part]
    return part


def _translated_rows(rows: Any, language: str) -> Any:
    if not isinstance(rows, list):
        return rows
    return [
        {
            name: chart_word(cell, language) if isinstance(cell, str) else cell
            for name, cell in row.items()
        }
        if isinstance(row, dict)
        else row
        for row in rows
    ]


def pieces(message: str) -> tuple[list[str], list[str]]:
    """Return a message's literals and the names of its placeholders.

    Examples
    --------
    >>> pieces("{rows} rows of {name}")
    (['', ' rows of ', ''], ['rows', 'name'])
    """
    parts = PLACE.split(message)
    return parts[::2], parts[1::2]


def _locale(language: str) -> str:
    if language not in LOCALES:
        raise InputError(f"{language!r} is not a language of this app: {', '.join(LOCALES)}.")
    return LOCALES[language]


@lru_cache(maxsize=len(LANGUAGES))
def _catalogue(language: str) -> _Catalogue:
    _locale(language)
    path = FOLDER / language / "LC_MESSAGES" / "courtside.mo"
    with path.open("rb") as file:
        catalogue = read_mo(file)
    exact, templates = {}, []
    for message in catalogue:
        if not message.id or not message.string:
            continue
        source, answer = str(message.id), str(message.string)
        literals, names = pieces(source)
        if not names:
            exact[source] = answer
            continue
        solid = max(
            (run for piece in literals for run in re.split(r"[\\`*\[\]$~<@:.]", piece)), key=len
        )
        templates.append(
            _Template(
                names=tuple(names),
                is_code=tuple(piece.endswith("`") for piece in literals[:-1]),
                pieces=tuple(literals),
                literal=solid,
                size=sum(len(piece.replace(" ", "")) for piece in literals),
                lines=source.count("\n"),
                answer=answer,
            )
        )
    templates.sort(key=lambda template: -template.size)
    return _Catalogue(exact, tuple(templates))


@lru_cache(maxsize=8192)
def _pattern(literals: tuple[str, ...], place: str) -> re.Pattern[str]:
    """Return a pattern in which characters of the literals may be escaped with a backslash."""
    return re.compile(place.join(_escapable(piece) for piece in literals))


def _escapable(piece: str) -> str:
    return "".join((r"\\?" if sign in "\\`*[]$~<@:." else "") + re.escape(sign) for sign in piece)


def _fitting(
    known: _Catalogue, text: str, *, strict: bool
) -> Iterator[tuple[_Template, tuple[str, ...]]]:
    bare = _ESCAPED.sub(r"\1", text)
    lines, short = text.count("\n"), len(text) <= _SHORT
    for template in known.templates:
        if not strict and template.size < _TELLING:
            continue
        telling = template.size >= _TELLING or len(template.pieces[0]) >= _OPENING
        if template.literal not in bare or not (short or telling):
            continue
        if (template.lines != lines and strict) or not _in_order(template.pieces, bare):
            continue
        fit = _pattern(template.pieces, _WITHIN if strict else _ANY).fullmatch(text)
        # a message of few letters would match whole lists and sentences
        if fit and not (template.size < _TELLING and _swallows(template, fit.groups())):
            yield template, fit.groups()


def _swallows(template: _Template, values: Sequence[str]) -> bool:
    """Return whether a value spans several parts of a text, except after the last literal."""
    inner = values if not template.pieces[0] else values[:-1]
    return any(map(_SEVERAL.search, inner))


def _in_order(pieces: Sequence[str], text: str) -> bool:
    """Return whether a text starts with, contains in order and ends with these; fast."""
    if not text.startswith(pieces[0]) or not text.endswith(pieces[-1]):
        return False
    at = 0
    for piece in pieces:
        at = text.find(piece, at) + len(piece)
        if at < len(piece):
            return False
    return True


@lru_cache(maxsize=50_000)
def _translate(text: str, language: str) -> _Answer:
    """Return a text translated, and its untranslated pieces, with as few letters as possible."""
    bare = text.strip()
    if bare != text:
        if not bare:
            return text, ()
        inner, left = _translate(bare, language)
        start = text.index(bare)
        return text[:start] + inner + text[start + len(bare) :], left
    if not _LETTERS.search(text):
        return _leaf(text, language)
    known = _catalogue(language)
    for exact in (text, _ESCAPED.sub(r"\1", text)):
        if exact in known.exact:
            return known.exact[exact], ()
    if text[-1] in ".:" and text[:-1] in known.exact:
        return known.exact[text[:-1]] + text[-1], ()
    best = _leaf(text, language)
    for strict in (True, False):
        for tried, (template, values) in enumerate(_fitting(known, text, strict=strict)):
            if tried == _TRIED or not best[1]:
                break
            filled = _filled(template, values, language)
            # a half-translated sentence reads worse than the original
            if not any(len(piece.split()) > _NAME_WORDS for piece in filled[1]):
                best = min(best, filled, key=_cost)
    if best[1]:
        best = min(_by_parts(text, language), best, key=_cost)
    return best


def _cost(answer: _Answer) -> int:
    return sum(len(_LETTERS.findall(piece)) for piece in answer[1])


def _filled(template: _Template, values: Sequence[str], language: str) -> _Answer:
    inner = [
        (value, ()) if is_code or not value else _translate(value, language)
        for value, is_code in zip(values, template.is_code, strict=True)
    ]
    by_name = {name: value[0] for name, value in zip(template.names, inner, strict=True)}
    answer = PLACE.sub(lambda place: by_name[place[1]], template.answer)
    return answer, tuple(piece for value in inner for piece in value[1])


def _by_parts(text: str, language: str) -> _Answer:
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped:
        inner, left = _translate(wrapped[2], language)
        return f"{wrapped[1]}{inner}{wrapped[1]}", left
    headed = _HEADED.fullmatch(text)
    if headed:
        head, gap, rest = headed.groups()
        return _joined((head, gap, rest), language)
    for seam in _SEAMS:
        parts = seam.split(text)
        if 3 < len(parts) <= _MOST_PARTS:
            # a message may contain such a separator: try the first or last part alone
            ways = (parts, _ends(parts, 1), _ends(parts, len(parts) - 2))
            return min((_joined(way, language) for way in ways), key=_cost)
        if len(parts) > 1:
            return _joined(parts, language)
    return _leaf(text, language)


def _ends(parts: Sequence[str], at: int) -> list[str]:
    return ["".join(parts[:at]), parts[at], "".join(parts[at + 1 :])]


def _joined(parts: Sequence[str], language: str) -> _Answer:
    """Return parts translated and joined with their separators."""
    inner = [
        _translate(part, language) if place % 2 == 0 and part else (_join(part, language), ())
        for place, part in enumerate(parts)
    ]
    return "".join(part[0] for part in inner), tuple(left for part in inner for left in part[1])


def _join(seam: str, language: str) -> str:
    words = {"pt": {"and": "e", "or": "ou"}}[language]
    return re.sub(r"\b(and|or)\b", lambda word: words[word[1]], seam)


def _leaf(text: str, language: str) -> _Answer:
    """Return a text that the catalogue does not contain: numbers localized, words unchanged."""
    parts = _KEPT.split(text)
    inner = [
        part if place % 2 else _TOKEN.sub(lambda token: _token(token[0], language), part)
        for place, part in enumerate(parts)
    ]
    left = tuple(part.strip() for part in parts[::2] if _LETTERS.search(part))
    return "".join(inner), left


def _token(token: str, language: str) -> str:
    day = _DAY.fullmatch(token)
    if day:
        return _day(token, language, day)
    written = _NUMBER.fullmatch(token)
    if not written:
        return token
    sign, digits, power, end = written.groups()
    locale = _locale(language)
    whole, _, fraction = digits.partition(".")
    whole = whole.replace(",", str(get_group_symbol(locale)))
    fraction = f"{get_decimal_symbol(locale)}{fraction}" if fraction else ""
    return f"{sign}{whole}{fraction}{power or ''}{end}"


def _day(token: str, language: str, written: re.Match[str]) -> str:
    from datetime import date

    try:
        day = date(int(written[1]), int(written[2]), int(written[3]))
    except ValueError:
        return token
    return f"{format_date(day, 'dd/MM/yyyy', locale=_locale(language))}{written[4]}"
