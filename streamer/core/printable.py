"""Text for people: characters that a terminal would execute or not show are written as escapes.

These are all characters that Unicode does not classify as printable: control characters of both sets (ESC, NUL,
U+009B), bidirectional overrides and isolates, zero-width characters, separators of lines and paragraphs, halves of
surrogate pairs, and spaces other than the common one.
"""

from __future__ import annotations

import re
from typing import Final

_SUSPECT: Final = re.compile(r"[^\x20-\x7e]")
_SUSPECT_IN_LINES: Final = re.compile(r"[^\x20-\x7e\n]")


def printable(text: str) -> str:
    """The text on one line, with Python's escapes (as in `repr`) for unprintable characters."""
    return text if text.isprintable() else _SUSPECT.sub(_python_escape, text)


def printable_lines(text: str) -> str:
    """As `printable`, but keeps line breaks: for our own texts that include others' text."""
    return text if text.isprintable() else _SUSPECT_IN_LINES.sub(_python_escape, text)


def printable_json(data: bytes) -> bytes:
    """JSON in UTF-8, with JSON's four-digit escapes for unprintable characters. The JSON value stays the same.

    Outside of strings, JSON is ASCII; line breaks of the indentation are kept.
    """
    if data.isascii() and b"\x7f" not in data:
        # Encoders already escape the control characters below the space.
        return data
    text = data.decode("utf-8", "surrogatepass")
    return (text if text.isprintable() else _SUSPECT_IN_LINES.sub(_json_escape, text)).encode()


def _python_escape(match: re.Match[str]) -> str:
    character = match[0]
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _json_escape(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x10000:  # noqa: PLR2004 - beyond it JSON writes two halves of a surrogate pair
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
