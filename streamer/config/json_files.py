"""Reads JSON files and finds the line and column of their values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

_SPACE: Final = " \t\n\r"
_DECODER: Final = json.JSONDecoder()


class NotJson(Exception):
    """The file is not JSON.

    Args:
        line: from 1.
        column: from 1.
        message: what is wrong.
    """

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class JsonFile:
    """One file, read immediately.

    Args:
        path: its path.

    Attributes:
        data: its content.

    Raises:
        OSError: it cannot be read.
        NotJson: it is not JSON in UTF-8.
    """

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        try:
            self._text = raw.decode("utf-8-sig")
            self.data: Any = json.loads(self._text, parse_constant=_refuse_constant)
        except UnicodeDecodeError as problem:
            before = raw[: problem.start]
            line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
            raise NotJson(line, column, "the file is not UTF-8 text; save it as UTF-8") from None
        except json.JSONDecodeError as problem:
            message = f"it is not JSON: {problem.msg}"
            if problem.msg.startswith("Expecting property name"):
                message += " (JSON allows no comma before a closing brace, and no comments)"
            elif problem.msg.startswith("Expecting value"):
                message += " (strings need double quotes; use YAML only for schemas inside the configuration itself)"
            raise NotJson(problem.lineno, problem.colno, message) from None
        except RecursionError:
            raise NotJson(1, 1, "it is nested too deeply") from None
        except ValueError as problem:
            raise NotJson(1, 1, f"it is not JSON: {problem}") from None

    def position(self, place: Sequence[str | int]) -> tuple[int, int]:
        """Line and column, from 1, of a value; those of the nearest parent for a place that does not exist."""
        at = self._skip(0)
        for part in place:
            found = self._member(at, part) if self._text[at] == "{" else self._item(at, part)
            if found is None:
                break
            at = found
        return self._text.count("\n", 0, at) + 1, at - self._text.rfind("\n", 0, at)

    def _skip(self, at: int) -> int:
        while self._text[at : at + 1] and self._text[at] in _SPACE:
            at += 1
        return at

    def _member(self, at: int, key: str | int) -> int | None:
        found = None
        at = self._skip(at + 1)
        while self._text[at] != "}":
            name, at = _DECODER.raw_decode(self._text, at)
            at = self._skip(self._skip(at) + 1)
            if name == key:
                # As in Python, the last of several equal keys counts.
                found = at
            _, at = _DECODER.raw_decode(self._text, at)
            at = self._after(at)
        return found

    def _item(self, at: int, index: str | int) -> int | None:
        if self._text[at] != "[":
            return None
        at = self._skip(at + 1)
        position = 0
        while self._text[at] != "]":
            if position == index:
                return at
            _, at = _DECODER.raw_decode(self._text, at)
            at = self._after(at)
            position += 1
        return None

    def _after(self, at: int) -> int:
        at = self._skip(at)
        return self._skip(at + 1) if self._text[at] == "," else at


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no number {name}")
