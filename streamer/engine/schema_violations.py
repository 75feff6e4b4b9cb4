"""The results of a search: errors whose messages are created only when they are reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

LARGE: Final = 1_024
"""Maximum characters of a value that a message repeats: formatting it takes longer than finding the error."""
_SHORT: Final = 80
"""Maximum characters of a string that a message repeats."""
_OTHER: Final = ("type", "const", "enum", "false")
"""Keywords that require another kind of value."""

Path = tuple[str | int, ...]


class Leaf(Protocol):
    """The keywords of one node that have no subschemas."""

    def is_valid(self, value: Any, /) -> bool:
        """Whether the value satisfies all of them."""
        ...

    def failing(self, value: Any, /) -> list[str]:
        """The keywords that a value violates."""
        ...

    def messages(self, value: Any, keyword: str, /) -> list[str]:
        """The violation of a keyword by a small value."""
        ...

    def message(self, value: Any, keyword: str, /) -> str:
        """The violation of a keyword by a large value, in one sentence that does not repeat the value."""
        ...


class Violation(NamedTuple):
    """One error.

    Attributes:
        path: the place.
        keyword: that the value violates.
        message: what is wrong; empty until this violation is reported.
        leaf: creates the message.
        value: of the message.
    """

    path: Path
    keyword: str
    message: str = ""
    leaf: Leaf | None = None
    value: Any = None

    def texts(self) -> list[str]:
        """The message to report, in one sentence or more."""
        if self.leaf is None:
            return [self.message]
        if _size(self.value) > LARGE:
            return [self.leaf.message(self.value, self.keyword)]
        return self.leaf.messages(self.value, self.keyword)


@dataclass(slots=True)
class Found:
    """A node's result for one value.

    Attributes:
        violations: empty for a valid value; not all if there are very many.
        properties: evaluated names; None: all.
        items: evaluated positions; None: all.
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
    """The violations of the alternative that was probably meant; a sentence about all if none matched any part.

    That is one whose constants match and which matches deepest into the value, and of two equal ones the one with fewer
    errors.
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
    """The approximate length of a value when it is formatted; counted only as far as necessary."""
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
    """A small value as JSON; for a larger one its kind."""
    if isinstance(value, dict | list):
        return "this object" if isinstance(value, dict) else "this array"
    if isinstance(value, str) and len(value) > _SHORT:
        return "this string"
    return json.dumps(value, ensure_ascii=False)
