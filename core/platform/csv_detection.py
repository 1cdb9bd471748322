"""Detection of a CSV file's dialect.

What is unambiguous is detected, from the first megabyte (the encoding from the whole file). What is
ambiguous is asked and never guessed: `1,234` is 1.234 to some programs and 1234 to others.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

from core.platform.csv_dialect import CODECS, NOTHING, POINTS, SIGNS, Dialect, DialectError, Given
from core.platform.rows import MISSING_MARKS

SAMPLE_BYTES = 1 << 20
SAMPLE_ROWS = 1_000

# up to this share of a column of numbers may be texts without a digit, such as n/d
_TEXTS = 0.1
EXPONENT = r"(?:[eE][+-]?\d+)?"
# a number in either convention, with thousands separators
_NUMBER = {
    "point": re.compile(rf"[+-]?(?:\d+|[1-9]\d{{0,2}}(?:,\d{{3}})+)?(?:\.\d*)?{EXPONENT}"),
    "comma": re.compile(rf"[+-]?(?:\d+|[1-9]\d{{0,2}}(?:\.\d{{3}})+)?(?:,\d*)?{EXPONENT}"),
}
# lines of them, each with a digit
_NUMBERS = {
    decimal: re.compile(rf"(?>(?=[^\n]*\d)(?:{number.pattern})\n)*+")
    for decimal, number in _NUMBER.items()
}
_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
# bytes that Windows-1252 does not use
_NOT_1252 = bytes((0x81, 0x8D, 0x8F, 0x90, 0x9D))


class TextCheck:
    """Detects the encoding of a file from all of its blocks.

    Examples
    --------
    >>> check = TextCheck("a.csv", NOTHING)
    >>> check.feed("maçã,1".encode("cp1252"))
    >>> check.encoding()
    'windows-1252'
    """

    def __init__(self, name: str, given: Given) -> None:
        self.name, self.given = name, given
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_utf8 = True
        self._has_multibyte = False

    def feed(self, block: bytes) -> None:
        """Read the next block.

        Raises
        ------
        DialectError
            For bytes that are invalid in every known encoding.
        """
        if b"\0" in block:
            raise DialectError("binary", name=self.name)
        if block.isascii():
            if not self._decoder.getstate()[0]:
                return  # valid in all encodings
        elif not self._has_multibyte:
            self._has_multibyte = bool(_MULTIBYTE.search(block))
        if self._is_utf8:
            try:
                self._decoder.decode(block)
            except UnicodeDecodeError:
                self._is_utf8 = False
        if not self._is_utf8:
            self._refuse(block)

    def encoding(self) -> str:
        """Return the encoding, after all blocks.

        Raises
        ------
        DialectError
            If the bytes are ambiguous, or contradict the stated encoding.
        """
        if self._is_utf8:
            try:
                self._decoder.decode(b"", True)
            except UnicodeDecodeError as error:
                if self.given.encoding != "windows-1252":
                    raise DialectError("encoding_unclear", name=self.name) from error
        return self.given.encoding or ("utf-8" if self._is_utf8 else "windows-1252")

    def _refuse(self, block: bytes) -> None:
        if self.given.encoding == "utf-8":
            raise DialectError("not_utf8", name=self.name)
        # both encodings in one file: damaged, or a third encoding
        if self._has_multibyte and self.given.encoding is None:
            raise DialectError("encoding_unclear", name=self.name)
        if any(byte in block for byte in _NOT_1252):
            raise DialectError("not_text", name=self.name)


def sample_text(sample: bytes, name: str, encoding: str) -> str:
    """Decode the first bytes of a file, which may end within a character.

    Raises
    ------
    DialectError
        For UTF-16.
    """
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DialectError("utf16", name=name)
    return sample.decode(CODECS[encoding], errors="ignore")


def detect(
    sample: bytes, name: str, *, is_whole: bool, encoding: str = "utf-8", given: Given = NOTHING
) -> tuple[Dialect, tuple[str, ...]]:
    r"""Return a file's dialect and column names, from its first bytes.

    Parameters
    ----------
    sample : bytes
        The first `SAMPLE_BYTES`.
    name : str
        For messages.
    is_whole : bool
        Whether the sample is the whole file; otherwise its last line may be cut.
    encoding : {"utf-8", "windows-1252"}
        From `TextCheck`.

    Raises
    ------
    DialectError
        If it is not CSV, or its delimiter or decimal sign is ambiguous.

    Examples
    --------
    >>> dialect, names = detect(b"lat;lon\n33,9;-118,2\n", "a.csv", is_whole=True)
    >>> str(dialect.describe()), names
    ('separator `;`, numbers like `1234,5`, UTF-8', ('lat', 'lon'))
    """
    text = sample_text(sample, name, encoding)
    delimiter, rows = _divided(text, name, is_whole, given)
    if not any(cell.strip(",;|\t ") for cell in rows[0]):
        raise DialectError("no_header", name=name)
    decimal, thousands = _decimal(rows, name, delimiter, given)
    bare = re.sub(r'"[^"]*"', "", text)
    old_mac = "\r" in bare and "\n" not in bare
    return Dialect(delimiter, decimal, encoding, thousands, old_mac), tuple(rows[0])


def header(sample: bytes, dialect: Dialect) -> tuple[str, ...]:
    """Return a file's column names, given its dialect and first bytes."""
    text = sample.decode(dialect.codec, errors="ignore")
    return tuple(next(iter(_rows(text, dialect.sign, False, 1)), ()))


def _divided(text: str, name: str, is_whole: bool, given: Given) -> tuple[str, list[list[str]]]:
    """Return the delimiter, and the first rows split by it."""
    reason = ""
    read: dict[str, list[list[str]]] = {}
    for delimiter in (given.delimiter,) if given.delimiter else SIGNS:
        try:
            read[delimiter] = _rows(text, SIGNS[delimiter], is_whole)
        except csv.Error as error:
            reason = str(error)
    read = {delimiter: rows for delimiter, rows in read.items() if rows}
    if not read:
        if reason:
            raise DialectError("not_csv", name=name, reason=f"{reason}.")
        raise DialectError("no_header", name=name)
    if given.delimiter:
        return given.delimiter, read[given.delimiter]
    several = [delimiter for delimiter, rows in read.items() if len(rows[0]) > 1]
    if not several:
        return _single_column(read)
    if len(several) > 1:
        fitting = [delimiter for delimiter in several if _fits(read[delimiter])]
        if len(fitting) != 1:
            raise DialectError("delimiter_unclear", name=name, choices=fitting or several)
        several = fitting
    return several[0], read[several[0]]


def _single_column(read: Mapping[str, list[list[str]]]) -> tuple[str, list[list[str]]]:
    """Return the only column of a file; its numbers may have a decimal comma."""
    alone = read.get("semicolon")
    if alone and any(len(row) > 1 for row in read.get("comma", ())):
        cells = [row[0].strip() for row in alone[1:] if len(row) == 1]
        if len(cells) == len(alone) - 1 and all(
            cell in MISSING_MARKS or _NUMBER["comma"].fullmatch(cell) for cell in cells
        ):
            return "semicolon", alone
    delimiter = "comma" if "comma" in read else next(iter(read))
    return delimiter, read[delimiter]


def _rows(text: str, sign: str, is_whole: bool, most: int = SAMPLE_ROWS) -> list[list[str]]:
    """Return the first non-empty rows, the last one only if it is complete."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=sign):
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) > most:
                return rows
    except csv.Error:
        # a cell that is too long for this reader, but not for those that read the rows
        if not rows:
            raise
        return rows
    return rows if is_whole or len(rows) < 2 else rows[:-1]


def _fits(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether each row has as many values as there are columns.

    Allowed: R's row names in a first column without a name, and empty values from trailing
    delimiters.
    """
    width = len(rows[0])
    sizes = {len(row) for row in rows[1:] if len(row) <= width or any(row[width:])}
    return sizes <= {width} or sizes == {width + 1}


def _decimal(
    rows: Sequence[Sequence[str]], name: str, delimiter: str, given: Given
) -> tuple[str, bool]:
    """Return the decimal sign, and whether numbers have thousands separators."""
    # the values of each column that has a value with a sign that is not known
    columns: list[list[str]] = []
    signs = (
        ",." if given.decimal is None else POINTS["point" if given.decimal == "comma" else "comma"]
    )
    for heading, values in zip(rows[0], _columns(rows), strict=False):
        text = "".join(values)
        if heading not in given.others and any(sign in text for sign in signs):
            cells = [value.strip() for value in values]
            cells = [cell for cell in cells if cell not in MISSING_MARKS]
            cells = _possible_numbers(cells, is_known=heading in given.numbers)
            if any("," in cell or "." in cell for cell in cells):
                columns.append(cells)
    # the conventions by which each numeric column can be read, with its first value that has a sign
    readable: list[tuple[bool, bool, str]] = []
    for cells in columns:
        signed = [cell for cell in cells if "," in cell or "." in cell]
        by_point, by_comma = (_are_numbers(cells, convention) for convention in ("point", "comma"))
        if by_point or by_comma:
            readable.append((by_point, by_comma, signed[0]))
        elif given.decimal is None and all(_is_a_number(cell) for cell in cells):
            # columns of both conventions
            odd = [
                [cell for cell in signed if not _are_numbers([cell], convention)]
                for convention in POINTS
            ]
            raise DialectError("decimal_mixed", name=name, as_point=odd[1][0], as_comma=odd[0][0])
    points = [cell for by_point, by_comma, cell in readable if not by_comma]
    commas = [
        cell
        for by_point, by_comma, cell in readable
        # in a comma-delimited file, 192.168.100 is hardly a number
        if not by_point and ("," in cell or delimiter != "comma")
    ]
    open_ones = [cell for by_point, by_comma, cell in readable if by_point and by_comma]
    decimal = given.decimal
    if decimal is None:
        if points and commas:
            raise DialectError("decimal_mixed", name=name, as_point=points[0], as_comma=commas[0])
        ambiguous = [
            cell
            for cell in open_ones
            # with comma as delimiter, the point in 1.234 is a decimal point
            if "," in cell or delimiter in ("semicolon", "tab")
        ]
        if ambiguous and not points and not commas:
            raise DialectError(
                "decimal_unclear",
                name=name,
                example=ambiguous[0],
                as_point=_as_number(ambiguous[0], "point"),
                as_comma=_as_number(ambiguous[0], "comma"),
            )
        decimal = "comma" if commas else "point"
    group = POINTS["point" if decimal == "comma" else "comma"]
    thousands = any(
        any(group in cell for cell in cells) and _are_numbers(cells, decimal) for cells in columns
    )
    return decimal, thousands


def _possible_numbers(cells: list[str], *, is_known: bool) -> list[str]:
    """Return the cells without the texts that stand for a missing value in a column of numbers."""
    if is_known:
        # all at once, which takes a hundredth of the time
        if any(_are_numbers(cells, decimal) for decimal in POINTS):
            return cells
        return [cell for cell in cells if _is_a_number(cell)]
    digits = [cell for cell in cells if any(map(str.isdigit, cell))]
    return digits if len(cells) - len(digits) <= _TEXTS * len(cells) else cells


def _columns(rows: Sequence[Sequence[str]]) -> Iterable[Sequence[str]]:
    """Return the values below the header by column."""
    width = len(rows[0])
    if all(len(row) >= width for row in rows):
        return list(zip(*(row[:width] for row in rows[1:]), strict=True)) if rows[1:] else []
    return ([row[at] for row in rows[1:] if at < len(row)] for at in range(width))


def _are_numbers(cells: Sequence[str], decimal: str) -> bool:
    text = "\n".join([*cells, ""])
    if text.count("\n") == len(cells):
        return _NUMBERS[decimal].fullmatch(text) is not None
    fullmatch = _NUMBER[decimal].fullmatch
    return all(fullmatch(cell) and any(map(str.isdigit, cell)) for cell in cells)


def _is_a_number(cell: str) -> bool:
    return any(_are_numbers([cell], decimal) for decimal in POINTS)


def _as_number(cell: str, decimal: str) -> str:
    """Rewrite a number of a convention with a decimal point and no separators.

    Examples
    --------
    >>> _as_number("1.234,5", "comma"), _as_number("1,234", "point"), _as_number("1,234", "comma")
    ('1234.5', '1234', '1.234')
    """
    group = POINTS["point" if decimal == "comma" else "comma"]
    return cell.replace(group, "").replace(POINTS[decimal], ".")
