"""The problems that a file can have, and how one is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

CODES: Final = {
    "unreadable": "The file, or a schema that it names, cannot be read",
    "syntax": "The text is not valid YAML",
    "yaml-feature": "Unsupported YAML: tags, several documents, recursive or exponentially growing aliases",
    "duplicate-key": "A key is used twice in a mapping; YAML parsers disagree on which one counts",
    "bad-key": "A key is not a string",
    "missing-variable": "An environment variable is not set and has no default",
    "bad-variable": "A ${…} is malformed",
    "unknown-key": "The key is unknown at this place",
    "missing-key": "A required key is missing",
    "wrong-type": "The value has the wrong type",
    "bad-value": "The value has the right type but is not allowed",
    "bad-duration": "The value is not a duration with a unit",
    "bad-size": "The value is not a size with a unit",
    "bad-rate": "The value is not a rate",
    "bad-action-name": "An action's name has invalid characters, is too long, or has the reserved prefix 'streamer.'",
    "unknown-handler": "No installed plugin has this handler",
    "unknown-middleware": "No installed plugin has this middleware",
    "unknown-backend": "No installed plugin has this backend",
    "unknown-auth": "No installed plugin has this authentication",
    "plugin-error": "A plugin cannot be loaded",
    "unknown-plugin": "plugins.allow names a distribution that has no installed plugin",
    "bad-schema": "A JSON Schema cannot be read, is invalid, or does not compile",
    "bad-pattern": "A regular expression in a JSON Schema does not compile or is unsafe",
    "missing-reference": "A $ref in a JSON Schema points to something that does not exist",
    "remote-reference": "A $ref in a JSON Schema points to the network; streamer never downloads schemas",
    "outside-reference": "A $ref in a schema's file points outside the folders that the configuration names",
    "bad-option": "The options of a component are valid, but cannot be used; for example, a key file is missing",
    "open-to-anyone": "Other machines can connect without authentication, and auth does not allow that explicitly",
    "admin-without-token": "Other machines can reach the admin port, and it has no token",
    "permissions-without-auth": "An action requires permissions, but no client can have any",
    "estimate-over-timeout": "An action's estimated duration is not below its timeout",
}
"""Every code, with its meaning."""

WARNINGS: Final = {
    "unlisted-errors": (
        "The schema refers to itself inside anyOf or oneOf, so listing all errors of a payload could take hours. "
        "The validator limits its search instead: it reports the errors of the best matching alternative, and for a "
        "payload with very many values perhaps only that it does not match"
    ),
    "slow-pattern": (
        "A regular expression in a JSON Schema has nested counts, so some long strings take seconds to match, and the "
        "schema has no maxLength. A pattern that is slow on the tested strings is a problem instead: bad-pattern"
    ),
}
"""Codes of warnings. `streamer check --strict` fails for them."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem. As text it is one line: `file:line:column: code: place: message`."""

    file: str
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    code: str
    """One of `CODES`, or of `WARNINGS`."""
    place: str
    """Path in the file, such as `actions.echo.handler`; empty for the whole file."""
    message: str
    """What is wrong, and how to fix it."""

    def __str__(self) -> str:
        position = f"{self.file}:{self.line}:{self.column}"
        parts = (position, "warning" if self.code in WARNINGS else "", self.code, self.place, self.message)
        text = ": ".join(part for part in parts if part)
        # Names and values in the file may contain anything, but a problem must be one line.
        return "".join(char if char.isprintable() else " " for char in text)


def in_order(problems: Iterable[Problem], first: str) -> list[Problem]:
    """Sorted by line, those of the file `first` before those of others.

    A problem in a part that is used in several places, by an alias or a shared schema, is reported once.
    """
    unique: dict[tuple[str, int, int, str, str], Problem] = {}
    for problem in sorted(problems, key=lambda problem: (problem.file != first, problem)):
        unique.setdefault((problem.file, problem.line, problem.column, problem.code, problem.message), problem)
    return list(unique.values())
