"""What people read: a message of the catalogue with parameters, put into words when it is shown.

Facts that are stored (errors, checks, events, progress) are a `Message`; text that is shown
(a page, a chart, a document) is put into words at once by `_`. Both read the catalogues of
`core/locale`, which Babel extracts from these calls: the message is English and stands in the call
as a literal, with its places in braces.

Numbers and dates take the form of the language; texts that are parameters stay as they are.
"""

from __future__ import annotations

import gettext
import json
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from babel.dates import format_date, format_datetime, get_day_names, get_month_names
from babel.lists import format_list
from babel.numbers import get_decimal_symbol, get_group_symbol
from babel.units import format_unit

# language -> its own name
LANGUAGES = {"en": "English", "pt": "Português"}
# Babel's locale of each language
LOCALES = {"en": "en_GB", "pt": "pt_BR"}
FOLDER = Path(__file__).resolve().parents[1] / "locale"
DOMAIN = "courtside"
# keys of a day and a moment among stored parameters
DAY = "$day"
MOMENT = "$moment"

_language: ContextVar[str] = ContextVar("language")
_of_visit: list[Callable[[], str]] = []


def current() -> str:
    """Return the language that messages are put into now: English outside of `speaking`."""
    chosen = _language.get("")
    return chosen or (_of_visit[-1]() if _of_visit else "en")


def ask(language_of_visit: Callable[[], str]) -> None:
    """Ask this for the language from now on, outside of `speaking`."""
    _of_visit[:] = [language_of_visit]


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Put messages into a language within the block.

    Raises
    ------
    ValueError
        For a language without a catalogue.

    Examples
    --------
    >>> with speaking("pt"):
    ...     number(20285), number(0.6776, ".1%")
    ('20.285', '67,8%')
    """
    if language not in LANGUAGES:
        raise ValueError(f"{language!r} is no language of this app: {', '.join(LANGUAGES)}.")
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


@dataclass(frozen=True, init=False, eq=True)
class Message:
    """A message of the catalogue with its parameters.

    Parameters
    ----------
    msgid : str
        The English words, with places as of `str.format`: `"{rows:,} rows of {name}"`.
    plural : str
        The words for other counts than 1, chosen by the parameter `count`; see `plural`.
    context : str
        Distinguishes two meanings of the same words, for translators.
    params : mapping
        Values for the places: data, or messages. A sequence is listed.

    Examples
    --------
    >>> message = Message("{rows:,} rows of {name}", rows=20285, name="shots")
    >>> str(message)
    '20,285 rows of shots'
    >>> from_data(to_data(message)) == message
    True
    """

    msgid: str
    params: Mapping[str, Any]
    plural: str
    context: str

    def __init__(
        self, msgid: str, /, *, plural: str = "", context: str = "", **params: Any
    ) -> None:
        object.__setattr__(self, "msgid", msgid)
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "plural", plural)
        object.__setattr__(self, "context", context)

    def __str__(self) -> str:
        return in_words(self, current())

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        return bool(self.msgid or self.params)

    def __hash__(self) -> int:
        return hash((self.msgid, self.plural, self.context, repr(sorted(self.params.items()))))


# no words at all
NOTHING = Message("")
# words of a message, or a text that is not ours: a name, data
Words = str | Message


def plural(one: str, many: str, count: int, /, **params: Any) -> Message:
    """Return a message that depends on a count, which is its parameter `count` too.

    Examples
    --------
    >>> str(plural("{count:,} row", "{count:,} rows", 1)), str(plural("a row", "{count:,} rows", 0))
    ('1 row', '0 rows')
    """
    return Message(one, plural=many, count=count, **params)


def sentences(*parts: Words) -> Message:
    """Return whole sentences, one after the other, as one message; empty ones are left out.

    Examples
    --------
    >>> str(sentences(Message("Trained."), "", Message("{n} rows.", n=2)))
    'Trained. 2 rows.'
    """
    present = [part for part in parts if part]
    return Message(NOTHING.msgid, sentences=present) if present else NOTHING


def parted(words: Words) -> tuple[Words, list[Words]]:
    """Return the first sentence of a message of several, and the others; a text stays whole.

    Examples
    --------
    >>> parted(sentences("Trained.", "Two rows.")), parted("Trained. Two rows.")
    (('Trained.', ['Two rows.']), ('Trained. Two rows.', []))
    """
    parts = words.params.get("sentences") if isinstance(words, Message) else None
    return (parts[0], list(parts[1:])) if parts else (words, [])


def _(msgid: str, /, **params: Any) -> str:
    """Return a message in words, in the current language."""
    return str(Message(msgid, **params))


def n_(one: str, many: str, count: int, /, **params: Any) -> str:
    """Return a message that depends on a count in words, in the current language."""
    return str(plural(one, many, count, **params))


def in_context(context: str, msgid: str, /, **params: Any) -> Message:
    """Return a message whose words have another meaning elsewhere."""
    return Message(msgid, context=context, **params)


def p_(context: str, msgid: str, /, **params: Any) -> str:
    """Return a message with a context in words, in the current language."""
    return str(in_context(context, msgid, **params))


def number(value: float, spec: str = ",") -> str:
    """Return a number as the current language writes it.

    Examples
    --------
    >>> number(20285), number(0.6776, ".1%")
    ('20,285', '67.8%')
    """
    return _localized(format(value, spec), current())


def span(low: float, high: float, spec: str = ".4f") -> str:
    """Return an interval as the current language writes it.

    Examples
    --------
    >>> span(0.52, 0.55)
    '0.5200 to 0.5500'
    """
    return _("{low} to {high}", low=number(low, spec), high=number(high, spec))


def day(value: date | datetime | str) -> str:
    """Return a day, or a moment to the minute, as the current language writes it.

    Examples
    --------
    >>> day(date(2026, 11, 25)), day("2026-11-25"), day("2026-11-25T14:06:12+00:00")
    ('2026-11-25', '2026-11-25', '2026-11-25 14:06')
    """
    if isinstance(value, str):
        has_time = len(value) > len("2026-11-25")
        value = datetime.fromisoformat(value) if has_time else date.fromisoformat(value)
    return _day(value, current())


def unit(name: str) -> str:
    """Return the name of a unit, in the plural, in the current language.

    Examples
    --------
    >>> unit("duration-month")
    'Months'
    """
    locale = LOCALES[current()]
    words = format_unit(2, name, "long", locale=locale)
    # Babel has some Portuguese names among the short ones only
    words = format_unit(2, name, "short", locale=locale) if name in words else words
    return words.removeprefix("2").strip().capitalize()


def listed(words: Sequence[Any], kind: str = "standard") -> str:
    """Return words as a list in the current language.

    Parameters
    ----------
    kind : {"standard", "or", "unit"}
        Joined by "and", by "or", by commas alone.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a", "b"], "or"), listed([])
    ('a, b and c', 'a or b', '')
    """
    # Babel's own list of units has an "and" in Portuguese
    if kind == "unit":
        return ", ".join(map(str, words))
    return _listed([str(word) for word in words], current(), kind)


def in_words(message: Words, language: str) -> str:
    """Return a message in words of a language; other texts as they are."""
    if isinstance(message, str):
        return message
    if not message.msgid:
        return " ".join(in_words(part, language) for part in message.params.get("sentences", ()))
    catalogue = _catalogue(language)
    if message.plural:
        count = message.params["count"]
        words = (
            catalogue.npgettext(message.context, message.msgid, message.plural, count)
            if message.context
            else catalogue.ngettext(message.msgid, message.plural, count)
        )
    elif message.context:
        words = catalogue.pgettext(message.context, message.msgid)
    else:
        words = catalogue.gettext(message.msgid)
    if not message.params:
        return words
    return _Filler(language).vformat(words, (), message.params)


def to_data(value: Any) -> Any:
    """Return a value for JSON: messages in it become mappings, other objects their text.

    Examples
    --------
    >>> to_data([Message("{n} rows", n=2)])
    [{'msgid': '{n} rows', 'params': {'n': 2}}]
    """
    if isinstance(value, Message):
        params = {name: _param(given) for name, given in value.params.items()}
        data: dict[str, Any] = {"msgid": value.msgid, "params": params}
        data |= {"plural": value.plural} if value.plural else {}
        return data | ({"context": value.context} if value.context else {})
    if isinstance(value, Mapping):
        return {name: to_data(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_data(part) for part in value]
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Real):  # of numpy
        return int(value) if isinstance(value, Integral) else float(value)
    return str(value)


def _param(value: Any) -> Any:
    """Return a parameter for JSON; days and moments stay what they are, for the reader's form."""
    if isinstance(value, list | tuple):
        return [_param(part) for part in value]
    if isinstance(value, datetime):
        return {MOMENT: value.isoformat()}
    if isinstance(value, date):
        return {DAY: value.isoformat()}
    return to_data(value)


def from_data(value: Any) -> Any:
    """Return what `to_data` was given, with lists for tuples.

    Examples
    --------
    >>> with speaking("pt"):
    ...     str(from_data(to_data(Message("{start}", start=date(2025, 6, 1)))))
    ...     str(from_data(to_data(Message("{at}", at=datetime(2025, 6, 1, 9, 5)))))
    '01/06/2025'
    '01/06/2025 09:05'
    """
    if isinstance(value, Mapping):
        if value.keys() == {DAY}:
            return date.fromisoformat(value[DAY])
        if value.keys() == {MOMENT}:
            return datetime.fromisoformat(value[MOMENT])
        if "msgid" in value and "params" in value:
            return Message(
                value["msgid"],
                plural=value.get("plural", ""),
                context=value.get("context", ""),
                **from_data(value["params"]),
            )
        return {name: from_data(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [from_data(part) for part in value]
    return value


def dumps(message: Words) -> str:
    """Return a message as one text, for a column, a tag or a cell; see `loads`.

    Examples
    --------
    >>> dumps("Kobe"), loads(dumps(Message("{n} rows", n=2))) == Message("{n} rows", n=2)
    ('Kobe', True)
    """
    return message if isinstance(message, str) else json.dumps(to_data(message), ensure_ascii=False)


def loads(text: Words) -> Words:
    """Return the message that `dumps` wrote, or what is given if that is a message or a text."""
    if isinstance(text, Message) or not text.startswith('{"msgid"'):
        return text
    try:
        message: Message = from_data(json.loads(text))
    except ValueError:  # cut off
        return text
    return message


def d3_locale(language: str) -> dict[str, dict[str, object]]:
    """Return how Vega writes numbers and moments in a language.

    Examples
    --------
    >>> d3_locale("pt")["number"]["decimal"], d3_locale("pt")["time"]["shortMonths"][1]
    (',', 'fev.')
    """
    locale = LOCALES[language]
    day_form = "%Y-%m-%d" if language == "en" else "%d/%m/%Y"

    def names(of: Callable[..., Mapping[int, str]], width: str, order: Sequence[int]) -> list[str]:
        known = of(width, locale=locale)
        return [known[place] for place in order]

    weekdays, months = (6, *range(6)), range(1, 13)
    return {
        "number": {
            "decimal": get_decimal_symbol(locale),
            "thousands": get_group_symbol(locale),
            "grouping": [3],
            "currency": ["", ""],
        },
        "time": {
            "dateTime": f"{day_form} %H:%M",
            "date": day_form,
            "time": "%H:%M",
            "periods": ["AM", "PM"],
            "days": names(get_day_names, "wide", weekdays),
            "shortDays": names(get_day_names, "abbreviated", weekdays),
            "months": names(get_month_names, "wide", months),
            "shortMonths": names(get_month_names, "abbreviated", months),
        },
    }


class _Filler(string.Formatter):
    """Fills the places of a message in a language."""

    def __init__(self, language: str) -> None:
        self.language = language

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if conversion == "c":  # with a capital, at the beginning of a sentence
            text = str(self.format_field(value, ""))
            return text[:1].upper() + text[1:]
        return super().convert_field(value, conversion)

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Message):
            return in_words(value, self.language)
        if isinstance(value, date) and not format_spec:
            return _day(value, self.language)
        if isinstance(value, list | tuple) and not format_spec:
            return _listed([self.format_field(part, "") for part in value], self.language)
        text = format(value, format_spec)
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        return _localized(text, self.language) if is_number else text


@lru_cache(maxsize=len(LANGUAGES))
def _catalogue(language: str) -> gettext.NullTranslations:
    if language == "en":
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, FOLDER, languages=[language])


def _localized(text: str, language: str) -> str:
    return text if language == "en" else text.translate(_signs(language))


@lru_cache(maxsize=len(LANGUAGES))
def _signs(language: str) -> dict[int, str]:
    locale = LOCALES[language]
    return str.maketrans({",": get_group_symbol(locale), ".": get_decimal_symbol(locale)})


def _day(value: date, language: str) -> str:
    is_moment = isinstance(value, datetime)
    if language == "en":
        return f"{value:%Y-%m-%d %H:%M}" if is_moment else value.isoformat()
    locale = LOCALES[language]
    if isinstance(value, datetime):
        return format_datetime(value, "dd/MM/yyyy HH:mm", tzinfo=value.tzinfo, locale=locale)
    return format_date(value, "dd/MM/yyyy", locale=locale)


def _listed(words: Sequence[str], language: str, kind: str = "standard") -> str:
    if not words:
        return ""
    return format_list(list(words), kind, locale=LOCALES[language])  # type: ignore[arg-type]
