"""The text of a PDF by fpdf2, read back by the tables of its fonts: enough to test our own."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

_OBJECT = re.compile(rb"(\d+) 0 obj(.*?)endobj", re.DOTALL)
_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
_TOKEN = re.compile(rb"/(F\d+) [\d.]+ Tf|\(((?:\\.|[^\\)])*)\) Tj|\[(.*?)\] TJ", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


@dataclass(frozen=True)
class Read:
    """The text of each page, titles of the outline with their place, and addresses of links."""

    pages: tuple[str, ...]
    outline: tuple[str, ...]
    links: tuple[str, ...]
    pictures: int


def read(content: bytes) -> Read:
    """Return the contents of a file; its glyphs have codes of two bytes."""
    objects = {int(number): body for number, body in _OBJECT.findall(content)}
    fonts = {}
    for name, number in set(re.findall(rb"/(F\d+) (\d+) 0 R", content)):
        mapping = re.search(rb"/ToUnicode (\d+) 0 R", objects[int(number)])
        if mapping:
            fonts[name] = _letters(_content(objects[int(mapping[1])]))
    pages = []
    for body in objects.values():
        if re.search(rb"/Type /Page\b(?!s)", body):
            number = re.search(rb"/Contents (\d+) 0 R", body)
            assert number is not None
            pages.append(_text(_content(objects[int(number[1])]), fonts))
    titles = [
        _string(match[1])
        for body in objects.values()
        if b"/Parent" in body and b"/Dest" in body
        if (match := re.search(rb"/Title (\((?:\\.|[^\\)])*\)|<[0-9a-fA-F]+>)", body, re.DOTALL))
    ]
    return Read(
        tuple(pages),
        tuple(titles),
        tuple(address.decode() for address in re.findall(rb"/URI \(((?:\\.|[^\\)])*)\)", content)),
        len(re.findall(rb"/Subtype /Image", content)),
    )


def _content(body: bytes) -> bytes:
    match = _STREAM.search(body)
    assert match is not None
    return zlib.decompress(match[1]) if b"/FlateDecode" in body else match[1]


def _letters(table: bytes) -> dict[int, str]:
    """Return the letter of each code, of a font's table."""
    letters = {}
    for code, letter in re.findall(rb"<([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)>\s*\n", table):
        letters[int(code, 16)] = bytes.fromhex(letter.decode()).decode("utf-16-be")
    for low, high, letter in re.findall(
        rb"<([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)>", table
    ):
        begin = bytes.fromhex(letter.decode()).decode("utf-16-be")
        for code in range(int(low, 16), int(high, 16) + 1):
            letters[code] = chr(ord(begin) + code - int(low, 16))
    return letters


def _text(content: bytes, fonts: dict[bytes, dict[int, str]]) -> str:
    texts, letters = [], {}
    for font, shown, parts in _TOKEN.findall(content):
        if font:
            letters = fonts.get(font, {})
            continue
        strings = [shown] if shown else re.findall(rb"\(((?:\\.|[^\\)])*)\)", parts, re.DOTALL)
        raw = b"".join(_unescaped(string) for string in strings)
        codes = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
        texts.append("".join(letters.get(code, "\N{REPLACEMENT CHARACTER}") for code in codes))
    return " ".join(texts)


def _unescaped(raw: bytes) -> bytes:
    return re.sub(rb"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), raw, flags=re.DOTALL)


def _string(raw: bytes) -> str:
    decoded = bytes.fromhex(raw[1:-1].decode()) if raw.startswith(b"<") else _unescaped(raw[1:-1])
    return decoded.decode("utf-16" if decoded.startswith(b"\xfe\xff") else "latin-1")
