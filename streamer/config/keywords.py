"""JSON Schema 2020-12 with additional keywords: `x-unit` (duration, size, rate), `x-above-zero` and `x-network`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import jsonschema_rs

from streamer.config.sentences import shown
from streamer.core.networks import parse_network
from streamer.core.units import parse_duration, parse_rate, parse_size

_UNITS: Final[Mapping[str, Callable[[str], Any]]] = {
    "duration": parse_duration,
    "size": parse_size,
    "rate": parse_rate,
}


def unit_problem(unit: str, text: str) -> str | None:
    """Why the text is not a duration, a size or a rate; None when it is one."""
    try:
        _UNITS[unit](text)
    except ValueError as problem:
        written, message = repr(text), str(problem)
        # Python refuses to parse an integer of many thousands of digits, without a helpful message.
        return message.replace(written, shown(text)) if written in message else f"{shown(text)} is too large"
    return None


def above_zero_problem(text: str) -> str | None:
    """Why a duration, a size or a rate must not be zero; its unit is checked elsewhere."""
    if all(unit_problem(unit, text) for unit in _UNITS):
        return None
    # With any unit: without a digit from 1 to 9 it is zero.
    return None if any(digit in text for digit in "123456789") else f"must be above zero, not {shown(text)}"


def network_problem(text: str) -> str | None:
    """Why the text is not a network or an IP address; None when it is one."""
    try:
        parse_network(text)
    except ValueError as problem:
        return str(problem)
    return None


KEYWORDS: Final[Mapping[str, Callable[[Any, str], str | None]]] = {
    "x-unit": unit_problem,
    "x-above-zero": lambda _wanted, text: above_zero_problem(text),
    "x-network": lambda _wanted, text: network_problem(text),
}
"""Why a string is invalid, by the keyword, the keyword's value in the schema, and the string."""


def skips_pattern(schema: Mapping[str, Any]) -> bool:
    """Whether a schema's `pattern` is only for editors, because the parser of `x-unit` gives better messages."""
    return "x-unit" in schema


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether the value certainly has no violation of the schema. False: it has one, or this check cannot decide."""
    try:
        return jsonschema_rs.Draft202012Validator(schema, keywords=_CHECKS, retriever=_no_file).is_valid(value)  # type: ignore[arg-type]  # a schema is a dict
    except (ValueError, TypeError, jsonschema_rs.ReferencingError):
        return False


def _no_file(uri: str) -> Any:
    raise ValueError(uri)


def _keyword(find: Callable[[Any, str], str | None]) -> type:
    class Keyword:
        def __init__(self, _parent: Mapping[str, Any], wanted: Any, _place: list[str | int]) -> None:
            self._wanted = wanted

        def validate(self, value: Any) -> None:
            if type(value) is str and (problem := find(self._wanted, value)) is not None:
                raise ValueError(problem)

    return Keyword


class _Pattern:
    """Matches as the check that words the problems does, with Python's regular expressions."""

    def __init__(self, parent: Mapping[str, Any], pattern: str, _place: list[str | int]) -> None:
        self._pattern = None if skips_pattern(parent) else pattern

    def validate(self, value: Any) -> None:
        if self._pattern is not None and type(value) is str and not re.search(self._pattern, value):
            raise ValueError(self._pattern)


_CHECKS: Final[dict[str, Any]] = {**{name: _keyword(find) for name, find in KEYWORDS.items()}, "pattern": _Pattern}
