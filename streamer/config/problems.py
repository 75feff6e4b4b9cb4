"""What can be wrong with the file, one value per problem."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

CODES: Final = {
    "unreadable": "The file, or a schema that it names, cannot be read: missing, a folder, not permitted, or not UTF-8",
    "syntax": "The text is not YAML",
    "yaml-feature": "YAML that is refused because it surprises: tags, several documents, endless or exploding aliases",
    "duplicate-key": "One key stands twice in one mapping; YAML parsers disagree on which counts",
    "bad-key": "A key that is not a text",
    "missing-variable": "An environment variable that is not set and has no default",
    "bad-variable": "A ${…} that is not well formed",
    "unknown-key": "A key that means nothing here",
    "missing-key": "A key that must be there",
    "wrong-type": "A value of another type than the place takes",
    "bad-value": "A value of the right type that the place does not take",
    "bad-duration": "A value that is not a duration with its unit",
    "bad-size": "A value that is not a size with its unit",
    "bad-rate": "A value that is not a rate",
    "bad-action-name": "An action's name with other characters, too long, or with the service's own prefix",
    "unknown-handler": "No installed plugin offers this handler",
    "unknown-middleware": "No installed plugin offers this middleware",
    "unknown-backend": "No installed plugin offers this backend",
    "unknown-auth": "No installed plugin offers this way of authentication",
    "plugin-error": "A plugin cannot be loaded",
    "unknown-plugin": "plugins.allow names a distribution that offers nothing here",
    "bad-schema": "A JSON Schema that cannot be read, is not one, or does not compile",
    "bad-pattern": "A regular expression in a JSON Schema that does not compile",
    "missing-reference": "A $ref in a JSON Schema to something that is not there",
    "remote-reference": "A $ref in a JSON Schema to the network; nothing is ever fetched",
    "outside-reference": "A $ref in a schema's file that leads out of the folders that the configuration names",
    "bad-option": "Options of a component that each look right, and cannot be used: a missing key file, for instance",
    "open-to-anyone": "No authentication where other machines can connect, and no word that this is meant",
    "permissions-without-auth": "An action that asks for permissions where nobody can hold any",
    "estimate-over-timeout": "An action that usually takes as long as it may, or longer",
}
"""Every code, with what it means."""

WARNINGS: Final = {
    "unlisted-errors": (
        "A JSON Schema that contains itself by alternatives, so that listing all errors of a payload could take hours. "
        "Its errors are searched in bounded time instead: those of the alternative that fits best are reported, and "
        "for a payload with very many values perhaps only that it does not match"
    ),
    "slow-pattern": (
        "A regular expression in a JSON Schema with counts within counts, for which some long text may take seconds, "
        "and no maxLength next to it. One that is slow on the texts that are tried is a problem, bad-pattern"
    ),
}
"""Codes of what is not wrong and worth knowing. `streamer check --strict` fails for them."""


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
    """Path in the file, such as `actions.echo.handler`; empty for the whole."""
    message: str
    """What is wrong, and the way out."""

    def __str__(self) -> str:
        position = f"{self.file}:{self.line}:{self.column}"
        parts = (position, "warning" if self.code in WARNINGS else "", self.code, self.place, self.message)
        text = ": ".join(part for part in parts if part)
        # Names and values of the file may hold anything; a problem is one line all the same.
        return "".join(char if char.isprintable() else " " for char in text)


def in_order(problems: Iterable[Problem], first: str) -> list[Problem]:
    """Sorted by line, those of the file `first` before those of others.

    What was written once and used in many places, by an alias or a shared schema, is told once.
    """
    told: dict[tuple[str, int, int, str, str], Problem] = {}
    for problem in sorted(problems, key=lambda problem: (problem.file != first, problem)):
        told.setdefault((problem.file, problem.line, problem.column, problem.code, problem.message), problem)
    return list(told.values())
