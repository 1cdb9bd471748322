"""How a CSV file is written (delimiter, decimal sign, encoding), and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.platform import config
from core.platform.bounds import NOT_A_TABLE, FileError
from core.platform.messages import Message
from core.platform.project_parts import Column

SIGNS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
POINTS = {"point": ".", "comma": ","}
# Python's and Arrow's name of each
CODECS = {"utf-8": "utf-8-sig", "windows-1252": "cp1252"}

Delimiter = Literal["comma", "semicolon", "tab", "bar"]
Decimal = Literal["point", "comma"]
Encoding = Literal["utf-8", "windows-1252"]

# for people; a tab cannot be seen
SHOWN: Mapping[str, str] = {
    **{name: f"`{sign}`" for name, sign in SIGNS.items()},
    "tab": "`\\t`",
    "utf-8": "UTF-8",
    "windows-1252": "Windows-1252",
}
_DECIMAL_UNCLEAR = Message(
    "'{name}' may have decimal points or decimal commas (`{as_point}`, `{as_comma}`). Choose the "
    "decimal sign, or give --decimal."
)
_NOT_UTF8 = Message(
    "'{name}' is not UTF-8 text. Save it as CSV UTF-8, or choose its encoding (--encoding)."
)
FAULTS = {
    "delimiter_unclear": Message(
        "The values of '{name}' may be separated by {choices}. Choose one, or give --delimiter."
    ),
    "decimal_unclear": _DECIMAL_UNCLEAR,
    "decimal_mixed": _DECIMAL_UNCLEAR,
    "encoding_unclear": _NOT_UTF8,
    "not_utf8": _NOT_UTF8,
    "not_text": _NOT_UTF8,
    "utf16": _NOT_UTF8,
    "binary": NOT_A_TABLE,
    "not_csv": Message("'{name}' cannot be read: {reason}"),
    "no_header": Message("'{name}' has no line with the names of its columns."),
}
# the question to the person if a fault says that the file is ambiguous
QUESTIONS = {
    "delimiter_unclear": "delimiter",
    "decimal_unclear": "decimal",
    "decimal_mixed": "decimal",
    "encoding_unclear": "encoding",
}


class DialectError(FileError):
    """A CSV file that cannot be read or is ambiguous; `choices` holds the possible answers.

    Examples
    --------
    >>> fault = DialectError("delimiter_unclear", name="a.csv", choices=("comma", "semicolon"))
    >>> fault.asks, fault.choices
    ('delimiter', ('comma', 'semicolon'))
    """

    sentences: Mapping[str, Message] = FAULTS

    def __init__(self, code: str, *, choices: Sequence[str] = (), **values: object) -> None:
        self.choices = tuple(choices)
        super().__init__(code, **values, choices=[SHOWN[choice] for choice in choices])

    @property
    def asks(self) -> str | None:
        """What the person must choose: `delimiter`, `decimal` or `encoding`; else None."""
        return QUESTIONS.get(self.code)


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Parameters
    ----------
    delimiter : {"comma", "semicolon", "tab", "bar"}
    decimal : {"point", "comma"}
    encoding : {"utf-8", "windows-1252"}
        UTF-8 with or without a byte-order mark.
    thousands : bool
        Whether numbers have thousands separators, written with the other sign.
    old_mac : bool
        Whether lines end with a bare carriage return.

    Examples
    --------
    >>> str(Dialect("semicolon", "comma").describe())
    'separator `;`, numbers like `1234,5`, UTF-8'
    """

    delimiter: str = "comma"
    decimal: str = "point"
    encoding: str = "utf-8"
    thousands: bool = False
    old_mac: bool = False

    @property
    def sign(self) -> str:
        """The delimiter character."""
        return SIGNS[self.delimiter]

    @property
    def point(self) -> str:
        """The decimal sign."""
        return POINTS[self.decimal]

    @property
    def codec(self) -> str:
        """Python's name of the encoding."""
        return CODECS[self.encoding]

    @property
    def line_end(self) -> bytes:
        """The byte that ends a line."""
        return b"\r" if self.old_mac else b"\n"

    def describe(self) -> Message:
        """Return it in words, for runs, commands and captions."""
        other = POINTS["comma" if self.decimal == "point" else "point"]
        return Message(
            "separator {separator}, numbers like {example}, {encoding}",
            separator=SHOWN[self.delimiter],
            example=f"`1{other if self.thousands else ''}234{self.point}5`",
            encoding=SHOWN[self.encoding],
        )

    @property
    def code(self) -> str:
        """Its compact form in runs and snapshots."""
        return f"{self.delimiter} {self.decimal} {self.encoding}"


PLAIN = Dialect()


@dataclass(frozen=True)
class Given:
    """What a person stated about a file, and a project knows of it; the rest is detected.

    Parameters
    ----------
    delimiter, decimal, encoding : str, optional
    numbers, others : frozenset of str
        Names of columns that hold numbers, and of those that hold texts or dates.
    """

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    numbers: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    @classmethod
    def of(cls, code: str) -> Given:
        """Parse `Dialect.code`; an empty text, as for parquet, states nothing.

        Examples
        --------
        >>> Given.of(Dialect("tab").code).delimiter
        'tab'
        """
        if not code:
            return cls()
        delimiter, decimal, encoding = code.split()
        return cls(delimiter, decimal, encoding)

    def knowing(self, columns: Mapping[str, Column]) -> Given:
        """Return the same with what a project knows of a file's columns.

        Examples
        --------
        >>> NOTHING.knowing({"x": Column(type="number", aliases=("y",))}).numbers == {"x", "y"}
        True
        """
        numbers, others = {*self.numbers}, {*self.others}
        for name, column in columns.items():
            if column.type in ("number", "integer"):
                numbers |= {name, *column.aliases}
            elif column.is_text:
                others |= {name, *column.aliases}
        return replace(self, numbers=frozenset(numbers), others=frozenset(others - numbers))


NOTHING = Given()


def listed(codes: Iterable[str]) -> str | None:
    """Return the distinct dialects of a run's CSV files; None if there are none.

    Examples
    --------
    >>> listed([Dialect().code, "", Dialect().code]), listed([""])
    ('comma point utf-8', None)
    """
    return "; ".join(dict.fromkeys(code for code in codes if code)) or None


class Options(config.Options):
    """How a step's CSV files are written, where stated rather than detected."""

    delimiter: Delimiter | None = None
    decimal: Decimal | None = None
    encoding: Encoding | None = None

    @property
    def given(self) -> Given:
        """The stated parts."""
        return Given(self.delimiter, self.decimal, self.encoding)
