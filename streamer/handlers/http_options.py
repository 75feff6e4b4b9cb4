"""What the JSON Schema of the `http` handler's options cannot say; `streamer check` uses it, so no import is heavy."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Final

from streamer.contracts.components import OptionProblem

MANAGED: Final = frozenset(
    {"connection", "content-encoding", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers about the transfer itself; another value than the client library's would break the exchange."""

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A field name of RFC 9110, section 5.1."""


def problems(options: Mapping[str, Any]) -> Iterator[OptionProblem]:
    """Every problem of options whose shape is right. No message holds a header's value or a part of the URL."""
    if problem := url_problem(options["url"]):
        yield OptionProblem(("url",), problem)
    seen: dict[str, str] = {}
    for name, value in options.get("headers", {}).items():
        place = ("headers", name)
        if not _TOKEN.fullmatch(name):
            yield OptionProblem(
                place, f"{name!r} cannot be the name of a header, which has letters, digits, - and _ only"
            )
        elif name.lower() in MANAGED:
            yield OptionProblem(place, f"the header {name!r} is set by the HTTP client itself; leave it out")
        elif (other := seen.setdefault(name.lower(), name)) != name:
            yield OptionProblem(place, f"the headers {other!r} and {name!r} are the same one; leave one out")
        if problem := _value_problem(value):
            yield OptionProblem(place, f"the value of the header {name!r} {problem}")


def url_problem(url: str) -> str | None:
    """Why requests cannot be sent there; None when they can."""
    if any(character.isspace() or not character.isprintable() for character in url):
        return (
            "the url holds a line break, a space or a control character, which no URL has; "
            "a file that holds a secret often ends with a line break: remove it, or write %20 for a space"
        )
    try:
        parts = urllib.parse.urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        right = False
    return None if right else "the url must begin with http:// or https:// and name a host"


def _value_problem(value: str) -> str | None:
    if "\n" in value or "\r" in value:
        return (
            "holds a line break, which no header may have; "
            "a file that holds a secret often ends with one: remove it from the secret"
        )
    if any((ord(character) < ord(" ") and character != "\t") or character == "\x7f" for character in value):
        return "holds a control character, which no header may have"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "holds a byte that is not UTF-8"
    return None
