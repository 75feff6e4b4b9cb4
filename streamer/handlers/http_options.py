"""Checks of the `http` handler's options that JSON Schema cannot express. `streamer check` uses them, so imports are
light.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Final

from streamer.contracts.components import OptionProblem

MANAGED: Final = frozenset(
    {"connection", "content-encoding", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers of the transfer itself; values other than the client library's would break the exchange."""

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A field name of RFC 9110, section 5.1."""


def problems(options: Mapping[str, Any]) -> Iterator[OptionProblem]:
    """Every problem of options that are valid by the schema. No message contains a header's value or a part of the
    URL.
    """
    if problem := url_problem(options["url"]):
        yield OptionProblem(("url",), problem)
    seen: dict[str, str] = {}
    for name, value in options.get("headers", {}).items():
        place = ("headers", name)
        if not _TOKEN.fullmatch(name):
            yield OptionProblem(place, f"{name!r} is not a valid header name; use only letters, digits, - and _")
        elif name.lower() in MANAGED:
            yield OptionProblem(place, f"the HTTP client sets the header {name!r} itself; remove it")
        elif (other := seen.setdefault(name.lower(), name)) != name:
            yield OptionProblem(place, f"the headers {other!r} and {name!r} are the same; remove one")
        if problem := _value_problem(value):
            yield OptionProblem(place, f"the value of the header {name!r} {problem}")


def url_problem(url: str) -> str | None:
    """Why requests cannot be sent to this URL; None when they can."""
    if any(character.isspace() or not character.isprintable() for character in url):
        return (
            "the url contains a line break, a space or a control character; "
            "a file with a secret often ends with a line break: remove it, or write %20 for a space"
        )
    try:
        parts = urllib.parse.urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        right = False
    return None if right else "the url must start with http:// or https:// and contain a host"


def _value_problem(value: str) -> str | None:
    if "\n" in value or "\r" in value:
        return (
            "contains a line break, which headers cannot contain; "
            "a file with a secret often ends with one: remove it from the secret"
        )
    if any((ord(character) < ord(" ") and character != "\t") or character == "\x7f" for character in value):
        return "contains a control character, which headers cannot contain"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "contains a byte that is not UTF-8"
    return None
