"""What a search finds: errors whose messages are made only when it is known that they are reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

LARGE: Final = 1_024
"""Characters of a value that a message does not repeat: writing it down takes longer than finding the error."""
_SHORT: Final = 80
"""Characters of a text that a message repeats."""
_OTHER: Final = ("type", "const", "enum", "false")
"""Keywords that say that another kind of value is wanted."""

Path = tuple[str | int, ...]


class Leaf(Protocol):
    """The keywords of one node that have no subschemas."""

    def is_valid(self, value: Any, /) -> bool:
        """Whether the value meets all of them."""
        ...

    def failing(self, value: Any, /) -> list[str]:
        """The keywords that a value does not meet."""
        ...

    def messages(self, value: Any, keyword: str, /) -> list[str]:
        """What is wrong with a small value that does not meet a keyword."""
        ...

    def message(self, value: Any, keyword: str, /) -> str:
        """The same of a large value, in one sentence that does not repeat it."""
        ...


class Violation(NamedTuple):
    """One error.

    Attributes:
        path: where.
        keyword: that the value does not meet.
        message: what is wrong; empty until it is known that this violation is reported.
        leaf: that knows the message.
        value: that the message is about.
    """

    path: Path
    keyword: str
    message: str = ""
    leaf: Leaf | None = None
    value: Any = None

    def texts(self) -> list[str]:
        """What to report, in one sentence or more."""
        if self.leaf is None:
            return [self.message]
        if _size(self.value) > LARGE:
            return [self.leaf.message(self.value, self.keyword)]
        return self.leaf.messages(self.value, self.keyword)


@dataclass(slots=True)
class Found:
    """What a node says about one value.

    Attributes:
        violations: empty for a valid value; not all where there are very many.
        properties: names that were evaluated; None: all.
        items: positions that were evaluated; None: all.
    """

    violations: list[Violation]
    properties: set[str] | None
    items: set[int] | None

    def add(self, violations: Sequence[Violation]) -> None:
        """Adds violations, each once."""
        if not self.violations:
            self.violations.extend(violations)
            return
        known = {(one.path, one.keyword, one.message, id(one.leaf)) for one in self.violations}
        for one in violations:
            if (one.path, one.keyword, one.message, id(one.leaf)) not in known:
                self.violations.append(one)


def best(results: list[Found], value: Any, keyword: str) -> list[Violation]:
    """The violations of the alternative that was probably meant; a sentence about all where none got anywhere.

    That is one whose constants match and which got furthest into the value, and of two such the one with fewer errors.
    """
    meant = min(results, key=lambda found: _misfit(found.violations))
    if all(not violation.path for violation in meant.violations) and _is_other(meant.violations):
        message = f"{shown(value)} is not valid under any of the schemas listed in the '{keyword}' keyword"
        return [Violation((), keyword, message)]
    return meant.violations


def _is_other(violations: list[Violation]) -> bool:
    return any(violation.keyword in _OTHER for violation in violations)


def _misfit(violations: list[Violation]) -> tuple[bool, bool, int, int]:
    kind = any(not one.path and one.keyword in _OTHER for one in violations)
    constant = any(len(one.path) == 1 and one.keyword in ("const", "enum") for one in violations)
    return kind, constant, -max(len(one.path) for one in violations), len(violations)


def _size(value: Any) -> int:
    """Characters that a value takes when it is written down, roughly; counted no further than is needed here."""
    size = 0
    waiting = [value]
    while waiting and size <= LARGE:
        one = waiting.pop()
        if isinstance(one, str):
            size += len(one)
        elif isinstance(one, dict):
            size += len(one)
            for name in one:
                size += len(name)
                if size > LARGE:
                    break
            waiting.extend(one.values())
        elif isinstance(one, list):
            size += len(one)
            waiting.extend(one[:LARGE])
        else:
            size += 4
    return size


def shown(value: Any) -> str:
    """A small value as JSON writes it; for a larger one what kind of value it is."""
    if isinstance(value, dict | list):
        return "this object" if isinstance(value, dict) else "this array"
    if isinstance(value, str) and len(value) > _SHORT:
        return "this text"
    return json.dumps(value, ensure_ascii=False)
